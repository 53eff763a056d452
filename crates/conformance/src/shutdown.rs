//! Shutdown: it returns whatever is in flight, and slots that had not run are not run.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::world::{failed, word, Fault, World};
use gristmill_protocol::{control, opcode, slot, CONTROL_MIN_WORDS};
use gristmill_ring::Submission;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    ("under load", under_load),
    ("by the opcode", by_opcode),
    ("a kernel dropped under load", dropped),
    ("kernels that did nothing", nothing),
];

/// Checks, after the kernel has ended, that every slot either completed, exactly once, or was never run.
fn accounts(world: &mut World, published: usize) -> Result<usize, Stop> {
    let mut completed = 0;
    let mut ran = 0;
    while let Some(done) = world.poll()? {
        completed += 1;
        ran += u32::from(done.fault == Fault::NONE);
    }
    let control = world.submitter.control().clone();
    let word_at = |index: usize| control.get(index).map(|word| word.load(Ordering::Acquire));
    same!(
        word_at(CONTROL_MIN_WORDS),
        Some(ran),
        "the sum of {completed} additions that completed"
    );
    let mut unrun = 0;
    for index in 0..world.submitter.slots() {
        match world.submitter.status(index) {
            Some(slot::PUBLISHED) => unrun += 1,
            Some(slot::EMPTY | slot::DONE | slot::FAULT) => {}
            other => {
                return failed(format!(
                    "slot {index} was left as {}",
                    other.map_or("nothing", slot::status_name)
                ))
            }
        }
    }
    same!(
        completed + unrun,
        published,
        "slots completed and slots unrun"
    );
    Ok(completed)
}

fn full(suite: &Suite<'_>, slots: u32, workers: usize) -> Result<World, Stop> {
    let mut world = World::launch(
        suite,
        Setup::default().workers(workers).slots(slots).tenants(2),
    )?;
    for index in 0..slots {
        let submission = match index % 16 {
            7 => Submission::new(opcode::BATCH_FENCE, &[]),
            _ => Submission::new(opcode::ATOMIC_ADD, &[1, 0]),
        };
        world.publish(&submission)?;
    }
    Ok(world)
}

fn under_load(suite: &Suite<'_>) -> Checked {
    let mut told = Vec::new();
    for (slots, workers) in [(4_096, 1), (4_096, 3), (64, 3)] {
        let mut world = World::launch(suite, Setup::default().workers(workers).slots(slots))?;
        for _ in 0..slots {
            world.publish(&Submission::new(opcode::ATOMIC_ADD, &[1, 0]))?;
        }
        world.shut_down()?;
        let completed = accounts(&mut world, slots as usize)?;
        let done = world.submitter.control()[control::DONE_COUNT].load(Ordering::Acquire);
        same!(done, word(completed), "DONE_COUNT");
        told.push(completed);
    }
    // With fences that wait, this checks only that shutdown returns.
    for _ in 0..10 {
        full(suite, 256, 3)?.shut_down()?;
    }
    Ok(format!(
        "of 4,096, 4,096 and 64 slots in flight {told:?} were run; 10 times with fences"
    ))
}

fn by_opcode(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default())?;
    same!(
        world.op(opcode::ATOMIC_ADD, &[1, 0])?,
        Ok(1),
        "before SHUTDOWN"
    );
    same!(world.op(opcode::SHUTDOWN, &[])?, Ok(0), "SHUTDOWN");
    same!(
        world.kernel()?.control_word(control::SHUTDOWN),
        Some(1),
        "control word 0"
    );
    // No slot is run any more.
    std::thread::sleep(Duration::from_millis(5));
    for _ in 0..8 {
        world.publish(&Submission::new(opcode::ATOMIC_ADD, &[1, 0]))?;
    }
    std::thread::sleep(Duration::from_millis(20));
    ensure!(world.poll()?.is_none(), "a slot was run after SHUTDOWN");
    same!(world.observable(0)?, 1, "the sum after SHUTDOWN");
    world.shut_down()?;
    same!(accounts_after(&mut world)?, 8, "slots that stay unrun");
    Ok("8 slots after it stay unrun".into())
}

fn accounts_after(world: &mut World) -> Result<usize, Stop> {
    ensure!(world.poll()?.is_none(), "a slot was run by the shutdown");
    let slots = 0..world.submitter.slots();
    Ok(slots
        .filter(|index| world.submitter.status(*index) == Some(slot::PUBLISHED))
        .count())
}

fn dropped(suite: &Suite<'_>) -> Checked {
    for slots in [8, 4_096] {
        full(suite, slots, 2)?.drop_kernel()?;
    }
    Ok("with 8 and with 4,096 slots in flight".into())
}

fn nothing(suite: &Suite<'_>) -> Checked {
    for workers in [1, 2, 1, 4] {
        let setup = Setup::default().workers(workers);
        World::launch(suite, setup)?.close()?;
    }
    Ok("4 kernels launched and ended".into())
}
