//! BATCH_FENCE: when it completes, everything that was published before it has finished.

use super::case::{Case, Checked, Suite};
use super::setup::Setup;
use super::world::{at, of, pick, word, Fault, World};
use gristmill_protocol::priority::Priority;
use gristmill_protocol::{fault, opcode};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("alone and in a row", alone),
    ("everything before a fence is finished", ordering),
    ("a refused fence waits, too", refused),
];

fn fence(tag: u32) -> Submission {
    Submission::new(opcode::BATCH_FENCE, &[0, tag, 77, 77])
}

/// Fences that have nothing to wait for. There are more of them than the ring has slots, so that the state kept for a
/// fence is used again.
fn alone(suite: &Suite<'_>) -> Checked {
    for slots in [1, 2, 8] {
        let mut world = World::launch(suite, Setup::default().slots(slots))?;
        for round in 0..20 {
            for tag in 0..slots {
                world.publish(&fence(tag))?;
            }
            for done in world.drain()? {
                same!(done.fault, Fault::NONE, "a fence");
            }
            same!(world.kernel()?.epoch(), (round + 1) * slots, "the epoch");
        }
        world.close()?;
    }
    Ok("20 rounds of fences through rings of 1, 2 and 8 slots".into())
}

/// Fences of any priority among slots of any priority: a fence may be claimed first, but must complete last.
fn ordering(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(21);
    let mut ran = (0, 0);
    for (slots, workers) in [(2, 2), (8, 1), (8, 4), (64, 4)] {
        let mut world = World::launch(suite, Setup::default().workers(workers).slots(slots))?;
        let mut fences = Vec::new();
        let total = 1_500;
        // For each publication, the position at which it completed.
        let mut when = vec![0; total];
        let mut position = 0;
        world.stream(
            total,
            |_| {
                let is_fence = numbers.u32(..6) == 0;
                fences.push(is_fence);
                let submission = match is_fence {
                    true => fence(1),
                    false => Submission::new(opcode::ATOMIC_ADD, &[1, 0]),
                };
                at(pick(&mut numbers, &Priority::ALL), submission)
            },
            |done| {
                same!(done.fault, Fault::NONE, "publication {}", done.number);
                when[done.number] = position;
                position += 1;
                Ok(())
            },
        )?;
        let mut latest = 0;
        for (number, position) in when.iter().enumerate() {
            if fences[number] {
                ensure!(
                    number == 0 || latest < *position,
                    "fence {number} completed as number {position}, before one that was published before it ({latest})"
                );
            }
            latest = latest.max(*position);
        }
        let count = fences.iter().filter(|is_fence| **is_fence).count();
        same!(world.kernel()?.epoch(), word(count), "the epoch");
        same!(world.observable(0)?, word(total - count), "the additions");
        world.close()?;
        ran = (ran.0 + total, ran.1 + count);
    }
    Ok(format!(
        "{} slots, {} of them fences, 1 to 4 workers",
        ran.0, ran.1
    ))
}

/// A fence of a tenant that may not run is a fault, but slots that are published after it rely on it having waited.
fn refused(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().slots(32).tenants(2))?;
    world.tenant(1)?.set_mask(0);
    let kinds = [
        (of(1, fence(0)), fault::TENANT_MASKED),
        (of(29, fence(0)), fault::BAD_TENANT),
        (of(1 << 20, fence(0)), fault::BAD_TENANT),
        (of(u32::MAX, fence(0)), fault::BAD_TENANT),
    ];
    let mut rounds = 0;
    for (refused, reason) in kinds {
        let mut list = vec![Submission::new(opcode::ATOMIC_ADD, &[1, 0]); 6];
        // Both fences are claimed before all other slots.
        list.push(at(Priority::Critical, refused));
        list.push(at(Priority::Critical, fence(1)));
        let order = world.held(&list)?;
        let places: Vec<usize> = order.iter().map(|(place, _)| *place).collect();
        same!(
            places.last(),
            Some(&7),
            "the fence, which must complete last of {places:?}"
        );
        for (place, done) in order {
            let expected = if place == 6 { reason } else { fault::NONE };
            same!(done.fault, Fault(expected), "place {place}");
        }
        rounds += 1;
    }
    let after = world.run(&fence(2))?;
    ensure!(
        after.fault == Fault::NONE,
        "a fence after all that: {:?}",
        after.fault
    );
    world.close()?;
    Ok(format!("{rounds} refused fences, each with one behind it"))
}
