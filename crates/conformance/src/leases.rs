//! Leases: a kernel that leaves and is launched again loses nothing.

use super::case::{Case, Checked, Suite};
use super::setup::Setup;
use super::world::{of, word, Fault, World};
use gristmill_megakernel::Lease;
use gristmill_protocol::{control, opcode};
use gristmill_ring::Submission;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    ("leases of few slots", few_slots),
    ("leases of few polls", few_polls),
    ("fences and quotas across leases", parked),
];

fn of_slots(slots: u64) -> Lease {
    Lease {
        slots,
        ..Lease::default()
    }
}

/// Checks the statistics after `slots` slots on `workers` workers, of which `faults` faulted.
fn explained(
    world: &World,
    slots: u64,
    faults: u64,
    workers: u64,
    lease: Lease,
) -> Result<u64, super::case::Stop> {
    let stats = world.kernel()?.stats();
    same!(
        (stats.slots, stats.faults),
        (slots, faults),
        "slots and faults"
    );
    same!(
        stats.slots_by_worker.iter().sum::<u64>(),
        slots,
        "slots by worker"
    );
    // Each launch but the first follows a lease. A worker may be launched again while the numbers are read.
    let explained = 1 + stats.leases + workers;
    ensure!(
        (1..=explained).contains(&stats.launches),
        "{} launches, but {} leases have ended",
        stats.launches,
        stats.leases
    );
    // A lease runs at most `lease.slots` slots, and each worker is in one that has not ended.
    let most = (stats.leases + workers).saturating_mul(lease.slots);
    ensure!(
        slots <= most,
        "{slots} slots in {} leases of {} slots",
        stats.leases,
        lease.slots
    );
    let done = world
        .settles(|kernel| kernel.control_word(control::DONE_COUNT).map(u64::from) == Some(slots))?;
    ensure!(done, "DONE_COUNT is not the number of slots");
    Ok(stats.launches)
}

fn few_slots(suite: &Suite<'_>) -> Checked {
    let mut launches = 0;
    for (slots, workers, count) in [(1, 1, 300), (7, 1, 2_000), (1, 3, 300), (7, 3, 2_000)] {
        let lease = of_slots(slots);
        let mut world = World::launch(suite, Setup::default().workers(workers).lease(lease))?;
        let mut faults = 0;
        world.stream(
            count,
            |number| {
                // Every tenth slot faults.
                let index = if number % 10 == 9 { 64 } else { 1 };
                Submission::new(opcode::ATOMIC_ADD, &[1, index])
            },
            |done| {
                faults += u64::from(done.fault != Fault::NONE);
                Ok(())
            },
        )?;
        same!(world.observable(1)?, word(count - count / 10), "the sum");
        launches += explained(&world, count as u64, faults, workers as u64, lease)?;
        world.close()?;
    }
    Ok(format!(
        "4,600 slots in leases of 1 and 7, {launches} launches"
    ))
}

/// The worker has left before each slot is published, and must come back.
fn few_polls(suite: &Suite<'_>) -> Checked {
    let mut launches = 0;
    for workers in [1, 2] {
        let lease = Lease {
            idle_polls: 1,
            ..of_slots(3)
        };
        let mut world = World::launch(suite, Setup::default().workers(workers).lease(lease))?;
        for round in 0..150 {
            if round % 10 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            same!(
                world.op(opcode::ATOMIC_ADD, &[1, 0])?,
                Ok(round + 1),
                "a sum"
            );
        }
        launches += explained(&world, 150, 0, workers as u64, lease)?;
        world.close()?;
    }
    Ok(format!(
        "300 slots, each after a pause, {launches} launches"
    ))
}

/// A slot that is parked when a lease ends is still there in the next lease.
fn parked(suite: &Suite<'_>) -> Checked {
    let lease = Lease {
        idle_polls: 1,
        ..of_slots(1)
    };
    let mut world = World::launch(suite, Setup::default().workers(2).tenants(2).lease(lease))?;
    world.tenant(1)?.set_quota(1);
    let rounds = 20;
    for round in 0..rounds {
        for index in 0..30 {
            let submission = match index % 10 {
                9 => Submission::new(opcode::BATCH_FENCE, &[]),
                _ => of(index % 2, Submission::new(opcode::ATOMIC_ADD, &[1, 0])),
            };
            world.publish(&submission)?;
        }
        for done in world.drain()? {
            same!(done.fault, Fault::NONE, "publication {}", done.number);
        }
        same!(world.kernel()?.epoch(), 3 * (round + 1), "the epoch");
    }
    same!(
        world.observable(0)? + world.observable(32)?,
        27 * rounds,
        "the sums"
    );
    world.close()?;
    Ok(format!(
        "{} slots, {} of them fences, leases of one slot",
        30 * rounds,
        3 * rounds
    ))
}
