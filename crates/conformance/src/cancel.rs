//! Cancelling: every running slot ends, however long it would have taken, and completes as cancelled.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::shipped::assembled;
use super::world::{failed, over, program, Fault, World};
use gristmill_megakernel::{Lease, StreamJob};
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{fault, opcode, slot};
use gristmill_ring::Submission;
use gristmill_vir0::{Limits, Verified};

pub(super) const CASES: &[Case] = &[
    ("programs that would run for years", programs),
    ("what comes afterwards", afterwards),
    ("shutting down", shutting_down),
];

/// Programs that would run for years, at top level and in windows. The default limits refuse them.
fn endless() -> Result<Vec<Verified>, Stop> {
    let many = "loop 65535\nloop 65535\nloop 65535\n";
    let ends = "end\nend\nend\n";
    let limits = Limits {
        cost: u64::MAX,
        work: u64::MAX,
    };
    let sources = [
        format!("{many}add r1, r1, 1\n{ends}"),
        format!("each r2, 1\n{many}add r1, r1, 1\n{ends}end\n"),
        format!(".acc n[4] min\neach r2, 1\nand r3, r2, 3\nif r3\n{many}acc n, r3, r2\n{ends}end\nend\n"),
    ];
    sources
        .iter()
        .map(|source| assembled("selftest.vasm", source, &limits))
        .collect()
}

fn setup(workers: usize) -> Setup {
    Setup {
        workers,
        lease: Lease {
            instructions: u64::MAX,
            ..Lease::default()
        },
        jobs: vec![StreamJob::Lines],
        ..Setup::default()
    }
}

/// A kernel with a worker that runs an endless program, and short slots behind it. Returns the world and the
/// publication number of the endless slot.
fn occupied(suite: &Suite<'_>, workers: usize, program: &Verified) -> Result<(World, usize), Stop> {
    let mut world = World::launch(suite, setup(workers))?;
    let number = world.load(0, program)?;
    let lent = world.lend(&[7; 300])?;
    // The chunk stays lent. On the CPU only one worker at a time may read it, so the other slots would find it taken.
    // The first slot has it.
    let first = world.publish(&over(number, &lent, 300)?)?;
    while world.status(first) == Some(slot::PUBLISHED) {
        std::thread::yield_now();
    }
    for _ in 0..8 {
        world.publish(&Submission::new(opcode::NOP, &[]))?;
    }
    Ok((world, first))
}

fn programs(suite: &Suite<'_>) -> Checked {
    let endless = endless()?;
    for program in &endless {
        for workers in [1, 2] {
            let (mut world, first) = occupied(suite, workers, program)?;
            world.kernel()?.cancel();
            for done in world.drain()? {
                let expected = match done.number == first {
                    true => Fault(fault::CANCELLED),
                    false => Fault::NONE,
                };
                same!(done.fault, expected, "slot {}", done.number);
                same!(done.results, [0; 8], "its results");
            }
            world.close()?;
        }
    }
    Ok(format!("{} programs, by 1 and by 2 workers", endless.len()))
}

fn afterwards(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, setup(1))?;
    let program = program(".acc n sum\n mov r1, 1\n acc n, r1")?;
    let number = world.load(0, &program)?;
    let lent = world.lend(b"one\ntwo\n")?;
    let lines = StreamArgs {
        chunk: lent.index(),
        len: 8,
        ..StreamArgs::default()
    };
    let submissions = [
        Submission::new(opcode::LINES, &lines.encode()),
        over(number, &lent, 8)?,
    ];
    for submission in &submissions {
        let done = world.run(submission)?;
        same!(done.fault, Fault::NONE, "before");
    }
    let kernel = world.kernel()?;
    kernel.cancel();
    kernel.cancel();
    for submission in &submissions {
        let done = world.run(submission)?;
        same!(done.fault, Fault(fault::CANCELLED), "after");
        same!(
            (done.results, done.records, done.flags),
            ([0; 8], 0, 0),
            "it"
        );
    }
    // Short slots still run, including fences.
    same!(world.op(opcode::ATOMIC_ADD, &[5, 0])?, Ok(5), "an addition");
    same!(world.op(opcode::BATCH_FENCE, &[])?, Ok(1), "a fence");
    world.take_back(lent)?;
    world.close()?;
    Ok("a program and LINES before and after, and what takes no time".into())
}

fn shutting_down(suite: &Suite<'_>) -> Checked {
    let endless = endless()?;
    for program in &endless {
        let (mut world, first) = occupied(suite, 1, program)?;
        world.shut_down()?;
        let mut ended = false;
        while let Some(done) = world.poll()? {
            if done.number == first {
                same!(done.fault, Fault(fault::CANCELLED), "the program");
                ended = true;
            }
        }
        if !ended {
            return failed("the program's slot has not completed");
        }
        let (mut world, _) = occupied(suite, 1, program)?;
        world.drop_kernel()?;
    }
    Ok(format!(
        "{} programs, by shutdown and by drop",
        endless.len()
    ))
}
