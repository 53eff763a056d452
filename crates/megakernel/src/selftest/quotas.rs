//! Quotas: how many slots of a tenant run at a time, and that they all run in the end.

use super::world::{failed, of, word, Answer, Fault, Setup, World};
use super::{Case, Checked, Stop, Suite};
use gristmill_protocol::{fault, opcode, packed};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("a quota of 0", zero),
    ("a quota of 1 is exclusive", exclusive),
    ("small quotas are never exceeded", bounded),
    ("one tenant at its quota holds nobody up", others),
    ("quotas that change", changing),
];

const QUOTA: Answer = Err(Fault(fault::QUOTA));

fn zero(suite: &Suite<'_>) -> Checked {
    let setup = Setup {
        tenants: 2,
        ..Setup::default()
    };
    let mut world = World::launch(suite, setup)?;
    let tenant = world.tenant(1)?;
    let nop = of(1, Submission::new(opcode::NOP, &[]));
    for quota in [0, 1, 0, 2, u32::MAX, 0] {
        tenant.set_quota(quota);
        let expected = if quota == 0 { QUOTA } else { Ok(0) };
        same!(
            world.run(&nop)?.answer(),
            expected,
            "a NOP under a quota of {quota}"
        );
        same!(world.op(opcode::NOP, &[])?, Ok(0), "the other tenant's");
    }
    world.close()?;
    Ok("faults while it is 0, and only then".into())
}

fn several(suite: &Suite<'_>, quota: u32) -> Result<World, Stop> {
    let setup = Setup {
        workers: 4,
        slots: 32,
        tenants: 2,
        ..Setup::default()
    };
    let world = World::launch(suite, setup)?;
    world.tenant(1)?.set_quota(quota);
    Ok(world)
}

/// Runs `count` slots, as many at a time as there is room for.
fn stream(
    world: &mut World,
    submission: &Submission,
    count: usize,
    mut check: impl FnMut(Answer) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let (mut published, mut reaped) = (0, 0);
    while reaped < count {
        while published < count && world.try_publish(submission)?.is_some() {
            published += 1;
        }
        check(world.reap()?.answer())?;
        reaped += 1;
    }
    Ok(())
}

/// The slot copies a word, adds to the copy, and copies it back: what two did at once would be counted once.
fn exclusive(suite: &Suite<'_>) -> Checked {
    const COPY: u8 = opcode::MEMCPY as u8;
    const ADD: u8 = opcode::ATOMIC_ADD as u8;
    let count = 3_000;
    let mut world = several(suite, 1)?;
    let ops = [(COPY, &[0, 1, 1][..]), (ADD, &[1, 1]), (COPY, &[1, 0, 1])];
    let slot = of(
        1,
        Submission::new(opcode::PACKED_SLOT, &packed::encode(&ops)?),
    );
    stream(&mut world, &slot, count, |answer| match answer {
        Ok(_) => Ok(()),
        Err(fault) => failed(format!("{fault:?} under a quota of 1")),
    })?;
    same!(world.observable(32)?, word(count), "the sum");
    world.close()?;
    Ok(format!("{count} slots on 4 workers, no update lost"))
}

/// The slot counts itself in, and out again: what it then reads is how many others run.
fn bounded(suite: &Suite<'_>) -> Checked {
    const ADD: u8 = opcode::ATOMIC_ADD as u8;
    let count = 2_000;
    let mut ops = vec![(ADD, vec![1, 0])];
    // As many as fit, to make it last.
    ops.extend(vec![(opcode::NOP as u8, Vec::new()); 13]);
    ops.push((ADD, vec![u32::MAX, 0]));
    let slot = of(
        1,
        Submission::new(opcode::PACKED_SLOT, &packed::encode(&ops)?),
    );
    let mut most = Vec::new();
    for quota in [1, 2, 3] {
        let mut world = several(suite, quota)?;
        let mut seen = 0;
        stream(&mut world, &slot, count, |answer| match answer {
            Ok(others) if others < quota => {
                seen = seen.max(others + 1);
                Ok(())
            }
            other => failed(format!("{other:?} others ran under a quota of {quota}")),
        })?;
        most.push(seen);
        world.close()?;
    }
    Ok(format!(
        "{count} slots each under quotas of 1, 2 and 3: at most {most:?} at a time"
    ))
}

fn others(suite: &Suite<'_>) -> Checked {
    let mut world = several(suite, 1)?;
    let add = |tenant| of(tenant, Submission::new(opcode::ATOMIC_ADD, &[1, 0]));
    let rounds = 40;
    for _ in 0..rounds {
        // The bound tenant's first, and more of them than may run.
        for _ in 0..20 {
            world.publish(&add(1))?;
        }
        world.publish(&of(1, Submission::new(opcode::BATCH_FENCE, &[])))?;
        for _ in 0..10 {
            world.publish(&add(0))?;
        }
        for done in world.drain()? {
            same!(
                Fault(done.fault),
                Fault(fault::NONE),
                "publication {}",
                done.number
            );
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

/// A quota that is lowered and raised while slots wait for it: each runs, or faults while it is 0.
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
    // Nothing is still counted as running.
    tenant.set_quota(1);
    same!(
        world.run(&add)?.answer(),
        Ok(ran + 1),
        "one more under a quota of 1"
    );
    world.close()?;
    Ok(format!("400 changes, {ran} of 2,000 slots ran"))
}
