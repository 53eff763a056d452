//! Tenants: a tenant runs while its mask is open, and has no access to another tenant's observables and programs.

use super::case::{Case, Checked, Stop, Suite};
use super::model::control_word;
use super::setup::Setup;
use super::world::{failed, of, over, program, word, Answer, Fault, World};
use gristmill_protocol::{control, fault, opcode, packed, CONTROL_MIN_WORDS};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("masks", masks),
    ("tenant ids", ids),
    ("windows of observables", windows),
    ("tenants opened late", late),
    ("programs of others", foreign),
    ("programs loaded and unloaded while running", loading),
];

const MASKED: Answer = Err(Fault(fault::TENANT_MASKED));
const OUTSIDE: Answer = Err(Fault(fault::INDEX_OUT_OF_RANGE));

fn nop(tenant: u32) -> Submission {
    of(tenant, Submission::new(opcode::NOP, &[]))
}

fn masks(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().workers(2).tenants(2))?;
    let tenant = world.tenant(1)?;
    for mask in [0, 1, 0, 1 << 31, u32::MAX, 0, u32::MAX] {
        tenant.set_mask(mask);
        let expected = if mask == 0 { MASKED } else { Ok(0) };
        same!(
            world.answer(&nop(1))?,
            expected,
            "tenant 1 with mask {mask:#x}"
        );
        same!(world.answer(&nop(0))?, Ok(0), "tenant 0 meanwhile");
    }
    same!(
        world.answer(&nop(2))?,
        MASKED,
        "a tenant that was never opened"
    );
    // A slot of a closed tenant does nothing; not even SHUTDOWN has an effect.
    tenant.set_mask(0);
    let add = of(1, Submission::new(opcode::ATOMIC_ADD, &[1, 0]));
    same!(
        world.answer(&add)?,
        MASKED,
        "an addition of a closed tenant"
    );
    let shutdown = of(1, Submission::new(opcode::SHUTDOWN, &[]));
    same!(
        world.answer(&shutdown)?,
        MASKED,
        "SHUTDOWN of a closed tenant"
    );
    same!(world.observables()?, vec![0; 64], "the observables");
    // The tenant is closed and opened while its slots are in flight. Each slot runs or faults.
    let mut sum = 0;
    for round in 0..600 {
        tenant.set_mask(u32::from(round % 7 < 4));
        while world.try_publish(&add)?.is_none() {
            sum += ran(world.reap()?.answer())?;
        }
    }
    for done in world.drain()? {
        sum += ran(done.answer())?;
    }
    same!(
        world.observable(32)?,
        sum,
        "the additions that did not fault"
    );
    world.close()?;
    Ok(format!(
        "7 masks; opened and closed 600 times, {sum} slots got through"
    ))
}

/// Returns 1 for a slot that ran, and 0 for one that found its tenant closed.
fn ran(answer: Answer) -> Result<u32, Stop> {
    match answer {
        Ok(_) => Ok(1),
        MASKED => Ok(0),
        other => failed(format!(
            "a slot of a tenant that opens and closes: {other:?}"
        )),
    }
}

fn ids(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(
        suite,
        Setup::default()
            .tenants(control::TENANT_MASK_WORDS as u32)
            .observables(4096),
    )?;
    for tenant in 0..29 {
        same!(world.answer(&nop(tenant))?, Ok(0), "tenant {tenant}");
    }
    // The words after the masks are quotas, counters, and finally observables. None of them is used as a mask.
    for index in 0..64 {
        same!(
            world.op(opcode::STORE_U32, &[1, index])?,
            Ok(0),
            "a store to observable {index}"
        );
    }
    let bad = Err(Fault(fault::BAD_TENANT));
    let ids = [
        29,
        30,
        31,
        32,
        61,
        63,
        64,
        157,
        158,
        200,
        1023,
        1024,
        1 << 16,
        1 << 31,
        u32::MAX - 2,
        u32::MAX,
    ];
    for tenant in ids {
        same!(world.answer(&nop(tenant))?, bad, "tenant {tenant}");
    }
    ensure!(
        world.tenant(29).is_err(),
        "the host has a handle to tenant 29, which has no mask"
    );
    world.close()?;
    Ok(format!("29 tenants run, {} ids are refused", ids.len()))
}

/// Tries every way to access an observable, from each of three tenants, at the edges of its window and beyond them.
fn windows(suite: &Suite<'_>) -> Checked {
    // Each of the three tenants has 22 words, and two words belong to no tenant.
    const EACH: u32 = 22;
    let mut world = World::launch(suite, Setup::default().tenants(3).observables(3 * EACH + 2))?;
    let mut expected = vec![0; 3 * EACH as usize + 2];
    let first = CONTROL_MIN_WORDS as u32;
    let mut refused = 0;
    for tenant in 0..3 {
        let mine = (tenant * EACH) as usize;
        for index in [0, EACH - 1] {
            let value = 100 * tenant + index + 1;
            let store = of(tenant, Submission::new(opcode::STORE_U32, &[value, index]));
            same!(world.answer(&store)?, Ok(0), "a store of tenant {tenant}");
            expected[mine + index as usize] = value;
            let load = of(
                tenant,
                Submission::new(opcode::LOAD_U32, &[first + index, 3]),
            );
            same!(world.answer(&load)?, Ok(value), "a load of tenant {tenant}");
            expected[mine + 3] = value;
        }
        same!(
            world.observables()?,
            expected,
            "the observables after tenant {tenant}'s stores"
        );
        // The words of other tenants, the words that belong to no tenant, the control words, and indexes that wrap
        // around to them.
        let far = [
            EACH,
            EACH + 1,
            2 * EACH,
            3 * EACH,
            3 * EACH + 1,
            3 * EACH + 2,
            u32::MAX,
        ];
        let wrapped = [
            1,
            EACH,
            first + mine as u32,
            first - 3 + mine as u32,
            1 << 30,
            1 << 31,
        ];
        for index in far
            .into_iter()
            .chain(wrapped.map(|back| 0_u32.wrapping_sub(back)))
        {
            let tries = [
                (opcode::STORE_U32, [9, index, 0]),
                (opcode::ATOMIC_ADD, [9, index, 0]),
                (opcode::COMPARE_SWAP, [index, 0, 9]),
                (opcode::MEMCPY, [0, index, 1]),
                (opcode::MEMCPY, [index, 0, 1]),
                (opcode::LOAD_U32, [0, index, 0]),
            ];
            for (number, args) in tries {
                let plain = of(tenant, Submission::new(number, &args));
                same!(
                    world.answer(&plain)?,
                    OUTSIDE,
                    "tenant {tenant}, opcode {number} {args:?}"
                );
                let inner = packed::encode(&[(number.to_le_bytes()[0], args)])?;
                let inner = of(tenant, Submission::new(opcode::PACKED_SLOT, &inner));
                same!(
                    world.answer(&inner)?,
                    OUTSIDE,
                    "tenant {tenant}, packed {number} {args:?}"
                );
                refused += 2;
            }
            // An index below 160 would be a control word, which may be read.
            if first.wrapping_add(index) >= first {
                let load = of(
                    tenant,
                    Submission::new(opcode::LOAD_U32, &[first.wrapping_add(index), 0]),
                );
                same!(
                    world.answer(&load)?,
                    OUTSIDE,
                    "tenant {tenant}, a load of observable {index}"
                );
                refused += 1;
            }
        }
        let across = of(tenant, Submission::new(opcode::MEMCPY, &[0, 1, EACH]));
        same!(
            world.answer(&across)?,
            OUTSIDE,
            "a copy across the window's end"
        );
        same!(
            world.observables()?,
            expected,
            "the observables after what tenant {tenant} must not"
        );
    }
    for index in 0..word(control::TENANT_QUOTAS + control::TENANT_QUOTA_WORDS) {
        if let Some(kept) = control_word(index, 3) {
            same!(
                world.kernel()?.control_word(index as usize),
                Some(kept),
                "control word {index}"
            );
        }
    }
    world.close()?;
    Ok(format!("3 tenants, {refused} tries beyond a window"))
}

/// A tenant that was not open at launch has no window, not even the words that remained after the division.
fn late(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().tenants(3).observables(5))?;
    for tenant in [3, 4, 28] {
        world.tenant(tenant)?.set_mask(1);
        same!(
            world.answer(&nop(tenant))?,
            Ok(0),
            "a NOP of tenant {tenant}"
        );
        for number in [opcode::STORE_U32, opcode::ATOMIC_ADD] {
            let write = of(tenant, Submission::new(number, &[9, 0]));
            same!(
                world.answer(&write)?,
                OUTSIDE,
                "opcode {number} of tenant {tenant}"
            );
        }
    }
    same!(world.observables()?, [0; 5], "the observables");
    world.close()?;
    Ok("3 tenants opened after launch run, and write nothing".into())
}

fn foreign(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().tenants(3))?;
    let counts = program(".acc n sum\n len r1\n acc n, r1")?;
    let lent = world.lend(b"twelve bytes")?;
    let numbers = [
        world.load(0, &counts)?,
        world.load(1, &counts)?,
        world.load(2, &counts)?,
    ];
    for (owner, number) in (0..).zip(numbers) {
        for tenant in 0..3 {
            let slot = of(tenant, over(number, &lent, 12)?);
            let expected = if owner == tenant {
                Ok(0)
            } else {
                Err(Fault(fault::FOREIGN_OPCODE))
            };
            same!(
                world.answer(&slot)?,
                expected,
                "tenant {tenant} and a program of {owner}"
            );
        }
    }
    world.take_back(lent)?;
    world.close()?;
    Ok("3 tenants, each with each one's program".into())
}

/// An opcode is bound to one program after the other while other programs of the tenant run.
fn loading(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().workers(2).chunks(4))?;
    let constant = |value: u32| program(&format!(".acc n sum\n mov r1, {value}\n acc n, r1"));
    let lent = world.lend(b"other")?;
    let mine = world.lend(b"mine")?;
    let steady = world.load(0, &constant(7)?)?;
    let rounds = 60;
    for round in 0..rounds {
        // One program keeps running all the time, with its own slot and over its own chunk.
        let other = world.publish(&over(steady, &lent, 5)?)?;
        let number = world.load(0, &constant(round)?)?;
        ensure!(number != steady, "an opcode was given to two programs");
        let slot = over(number, &mine, 4)?;
        let this = world.publish(&slot)?;
        for _ in 0..2 {
            let done = world.reap()?;
            same!(done.fault, Fault::NONE, "the fault in round {round}");
            let expected = if done.number == this { round } else { 7 };
            ensure!(
                done.number == this || done.number == other,
                "a slot of neither program"
            );
            same!(
                world.records.word(done.slot, 0),
                expected,
                "what the program left in round {round}"
            );
        }
        ensure!(
            world.kernel()?.programs().unload(number).is_some(),
            "the program was not there"
        );
        let gone = Err(Fault(fault::NO_SUCH_PROGRAM));
        same!(
            world.answer(&slot)?,
            gone,
            "the opcode after the program was unloaded"
        );
        ensure!(
            world.kernel()?.programs().unload(number).is_none(),
            "it was there twice"
        );
    }
    world.take_back(lent)?;
    world.take_back(mine)?;
    world.close()?;
    Ok(format!(
        "{rounds} programs under one opcode, beside one that stays"
    ))
}
