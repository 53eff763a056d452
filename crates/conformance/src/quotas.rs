//! Quotas: at any time, no more of a tenant's slots run than its quota allows, and all of them run in the end.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::world::{failed, of, over, program, word, Answer, Fault, World, GATE, GATE_BYTES};
use gristmill_protocol::{fault, opcode, packed, slot};
use gristmill_ring::Submission;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    ("a quota of 0", zero),
    ("a quota of 1 is exclusive", exclusive),
    ("small quotas are never exceeded", bounded),
    ("one tenant at its quota holds nobody up", others),
    ("quotas that change", changing),
];

const COPY: u8 = opcode::MEMCPY.to_le_bytes()[0];
const ADD: u8 = opcode::ATOMIC_ADD.to_le_bytes()[0];

/// How long a gate should run, which is much longer than it takes to publish a slot.
const GATE_TIME: Duration = Duration::from_millis(10);

const QUOTA: Answer = Err(Fault(fault::QUOTA));

fn zero(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().tenants(2))?;
    let tenant = world.tenant(1)?;
    let nop = of(1, Submission::new(opcode::NOP, &[]));
    for quota in [0, 1, 0, 2, u32::MAX, 0] {
        tenant.set_quota(quota);
        let expected = if quota == 0 { QUOTA } else { Ok(0) };
        same!(
            world.answer(&nop)?,
            expected,
            "a NOP under a quota of {quota}"
        );
        same!(world.op(opcode::NOP, &[])?, Ok(0), "the other tenant's");
    }
    world.close()?;
    Ok("faults while it is 0, and only then".into())
}

fn several(suite: &Suite<'_>, quota: u32) -> Result<World, Stop> {
    let world = World::launch(suite, Setup::default().workers(4).slots(32).tenants(2))?;
    world.tenant(1)?.set_quota(quota);
    Ok(world)
}

/// The slot copies a word, adds to the copy, and copies it back. If two slots did so at once, one addition would be
/// lost.
fn exclusive(suite: &Suite<'_>) -> Checked {
    let count = 3_000;
    let mut world = several(suite, 1)?;
    let ops = [(COPY, &[0, 1, 1][..]), (ADD, &[1, 1]), (COPY, &[1, 0, 1])];
    let slot = of(
        1,
        Submission::new(opcode::PACKED_SLOT, &packed::encode(&ops)?),
    );
    world.stream(
        count,
        |_| slot,
        |done| {
            same!(done.fault, Fault::NONE, "a slot under a quota of 1");
            Ok(())
        },
    )?;
    same!(world.observable(32)?, word(count), "the sum");
    world.close()?;
    Ok(format!("{count} slots on 4 workers, no update lost"))
}

/// Whether a probe that is published while gates run completes before all of them; `None` if the gates were not all
/// running for long enough to tell.
fn overtakes(
    world: &mut World,
    gates: &[Submission],
    probe: &Submission,
) -> Result<Option<bool>, Stop> {
    let mut numbers = Vec::new();
    for gate in gates {
        numbers.push(world.publish(gate)?);
    }
    let all_run = |world: &World| {
        let mut statuses = numbers.iter().map(|number| world.status(*number));
        statuses.all(|status| status == Some(slot::CLAIMED))
    };
    let until = Instant::now() + GATE_TIME;
    while !all_run(world) && Instant::now() < until {
        std::thread::yield_now();
    }
    // A slot becomes claimed shortly before its tenant's quota is checked.
    std::thread::sleep(Duration::from_millis(1));
    let told = all_run(world);
    let probe = world.publish(probe)?;
    let told = told && all_run(world);
    let mut first = None;
    for done in world.drain()? {
        same!(done.fault, Fault::NONE, "publication {}", done.number);
        first = first.or(Some(done.number));
    }
    Ok(told.then_some(first == Some(probe)))
}

/// As many long slots run as the quota allows, each on its own worker, and one worker is free. Another slot of the
/// tenant must wait for one of them. If the quota is raised by one, it need not wait, which shows that a slot beyond
/// the quota would be noticed.
fn bounded(suite: &Suite<'_>) -> Checked {
    const ROUNDS: usize = 8;
    let mut world = World::launch(suite, Setup::default().workers(4).tenants(2).chunks(3))?;
    let tenant = world.tenant(1)?;
    let number = world.load(1, &program(GATE)?)?;
    let lents = [world.lend(b"")?, world.lend(b"")?, world.lend(b"")?];
    let gate = |lent, len| Ok::<_, Stop>(of(1, over(number, lent, len)?));
    // The length that a gate must have on this machine. The shorter of two runs counts, since the machine may have been
    // busy with something else.
    let mut len = 4;
    loop {
        let mut shortest = Duration::MAX;
        for _ in 0..2 {
            let began = Instant::now();
            let done = world.run(&gate(&lents[0], len)?)?;
            shortest = shortest.min(began.elapsed());
            same!(done.fault, Fault::NONE, "a gate of {len} bytes");
        }
        if shortest >= GATE_TIME || len >= GATE_BYTES {
            break;
        }
        len = (len * 2).min(GATE_BYTES);
    }
    let gates = [0, 1, 2].map(|at: usize| gate(&lents[at], len));
    let [first, second, third] = gates;
    let gates = [first?, second?, third?];
    let probe = of(1, Submission::new(opcode::NOP, &[]));
    let mut shown = Vec::new();
    for quota in 1..=3 {
        let gates = &gates[..quota];
        tenant.set_quota(word(quota));
        let mut beyond = 0;
        for _ in 0..ROUNDS {
            beyond += usize::from(overtakes(&mut world, gates, &probe)? == Some(true));
        }
        // It may happen once that a gate's worker was held up before it checked the quota.
        ensure!(
            beyond <= 1,
            "{beyond} of {ROUNDS} times one more slot than a quota of {quota} allows ran"
        );
        // On a busy machine, only a few rounds find all workers running.
        tenant.set_quota(word(quota + 1));
        let mut within = 0;
        for _ in 0..8 * ROUNDS {
            within += usize::from(overtakes(&mut world, gates, &probe)? == Some(true));
            if within == 2 {
                shown.push(quota);
                break;
            }
        }
    }
    for lent in lents {
        world.take_back(lent)?;
    }
    world.close()?;
    if shown.is_empty() {
        let why = "no two slots run at a time here, so that an excess would not be seen";
        return Err(Stop::Skipped(why.into()));
    }
    Ok(format!(
        "one more slot waits under quotas of {shown:?}, and does not under one more"
    ))
}

fn others(suite: &Suite<'_>) -> Checked {
    let mut world = several(suite, 1)?;
    let add = |tenant| of(tenant, Submission::new(opcode::ATOMIC_ADD, &[1, 0]));
    let rounds = 40;
    for _ in 0..rounds {
        // The slots of the tenant with the quota come first, and there are more of them than may run at a time.
        for _ in 0..20 {
            world.publish(&add(1))?;
        }
        world.publish(&of(1, Submission::new(opcode::BATCH_FENCE, &[])))?;
        for _ in 0..10 {
            world.publish(&add(0))?;
        }
        for done in world.drain()? {
            same!(done.fault, Fault::NONE, "publication {}", done.number);
        }
    }
    same!(
        (world.observable(0)?, world.observable(32)?),
        (10 * rounds, 20 * rounds),
        "the sums"
    );
    world.close()?;
    Ok(format!(
        "{} slots of two tenants, and fences among them",
        31 * rounds
    ))
}

/// A quota is lowered and raised while slots wait for it. Each slot runs, or faults while the quota is 0.
fn changing(suite: &Suite<'_>) -> Checked {
    let mut world = several(suite, 1)?;
    let tenant = world.tenant(1)?;
    let add = of(1, Submission::new(opcode::ATOMIC_ADD, &[1, 0]));
    let mut ran = 0;
    let mut count = |answer: Answer| match answer {
        Ok(_) => {
            ran += 1;
            Ok(())
        }
        QUOTA => Ok(()),
        Err(fault) => failed(format!("{fault:?} under a quota that changes")),
    };
    for quota in [1, 2, 0, 1, 100, 3, 0, 2].into_iter().cycle().take(400) {
        tenant.set_quota(quota);
        for _ in 0..5 {
            while world.try_publish(&add)?.is_none() {
                count(world.reap()?.answer())?;
            }
        }
    }
    for done in world.drain()? {
        count(done.answer())?;
    }
    same!(
        world.observable(32)?,
        ran,
        "the additions that did not fault"
    );
    // No slot is still counted as running.
    tenant.set_quota(1);
    same!(
        world.answer(&add)?,
        Ok(ran + 1),
        "one more under a quota of 1"
    );
    world.close()?;
    Ok(format!("400 changes, {ran} of 2,000 slots ran"))
}
