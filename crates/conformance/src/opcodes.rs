//! The core opcodes do what the model says, and any number that is not an opcode faults for the right reason.

use super::case::{Case, Checked, Suite};
use super::model;
use super::setup::Setup;
use super::world::{program, Fault, World};
use gristmill_protocol::{control, fault, opcode, CONTROL_MIN_WORDS};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("arithmetic and copies", examples),
    ("random operations", random),
    ("control words are read only", control_words),
    ("an automaton's steps", automaton),
    ("debug log", debug_log),
    ("unknown, reserved and foreign opcodes", unknown),
];

/// Each opcode's effect, written by hand. This also checks the model with which other cases compare.
fn examples(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default())?;
    let outside = Err(Fault(fault::INDEX_OUT_OF_RANGE));
    let first = CONTROL_MIN_WORDS as u32;
    let last = 63;
    let steps = [
        (opcode::NOP, [0, 0, 0], Ok(0)),
        (opcode::STORE_U32, [7, 0, 0], Ok(0)),
        (opcode::STORE_U32, [u32::MAX, last, 0], Ok(0)),
        (opcode::STORE_U32, [7, last + 1, 0], outside),
        (opcode::STORE_U32, [7, u32::MAX, 0], outside),
        (opcode::ATOMIC_ADD, [5, 0, 0], Ok(12)),
        (opcode::ATOMIC_ADD, [2, last, 0], Ok(1)),
        (opcode::ATOMIC_ADD, [2, last + 1, 0], outside),
        (opcode::COMPARE_SWAP, [0, 11, 1], Ok(12)),
        (opcode::COMPARE_SWAP, [0, 12, 1], Ok(12)),
        (opcode::COMPARE_SWAP, [0, 1, 9], Ok(1)),
        (opcode::COMPARE_SWAP, [last + 1, 0, 0], outside),
        (opcode::LOAD_U32, [first, 5, 0], Ok(9)),
        (opcode::LOAD_U32, [first + last, 6, 0], Ok(1)),
        (opcode::LOAD_U32, [first + last + 1, 0, 0], outside),
        (opcode::LOAD_U32, [first, last + 1, 0], outside),
        (opcode::LOAD_U32, [2, 7, 0], Ok(3)),
        // Words 5, 6 and 7 are 9, 1 and 3: they are copied up by one, then back down.
        (opcode::MEMCPY, [5, 6, 3], Ok(0)),
        (opcode::MEMCPY, [6, 5, 3], Ok(0)),
        (opcode::MEMCPY, [5, last - 2, 3], Ok(0)),
        (opcode::MEMCPY, [5, last - 1, 3], outside),
        (opcode::MEMCPY, [last - 1, 5, 3], outside),
        (opcode::MEMCPY, [last + 1, 0, 0], Ok(0)),
        (opcode::MEMCPY, [last + 2, 0, 0], outside),
        (opcode::MEMCPY, [0, 0, u32::MAX], outside),
        (opcode::MEMCPY, [u32::MAX, 0, 2], outside),
        (opcode::MEMCPY, [0, u32::MAX, 2], outside),
    ];
    let mut window = [0; 64];
    for (number, args, expected) in steps {
        let of_model = model::core(&mut window, 1, number, &args);
        same!(of_model, expected, "the model, opcode {number} {args:?}");
        let done = world.run(&Submission::new(number, &args))?;
        same!(done.answer(), expected, "opcode {number} {args:?}");
        let rest = (&done.results[1..], done.records, done.flags);
        same!(
            rest,
            (&[0; 7][..], 0, 0),
            "opcode {number}, the rest of its entry"
        );
    }
    same!(window[5..9], [9, 1, 3, 3], "the model's copies");
    same!(world.observables()?, window, "the observables");
    let count = steps.len();
    world.close()?;
    Ok(format!("{count} operations, with their boundaries"))
}

fn random(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(1);
    let mut ran = 0;
    for observables in [1, 2, 61] {
        let mut world = World::launch(suite, Setup::default().observables(observables))?;
        let mut window = vec![0; observables as usize];
        for _ in 0..12 {
            let ops: Vec<_> = (0..64)
                .map(|_| model::random_op(&mut numbers, observables))
                .collect();
            for (number, args) in &ops {
                world.publish(&Submission::new(*number, args))?;
            }
            // With one worker and one priority, slots run in order.
            for (number, args) in &ops {
                let got = world.reap()?.answer();
                let expected = model::core(&mut window, 1, *number, args);
                same!(
                    got,
                    expected,
                    "opcode {number} {args:?} of {observables} observables"
                );
            }
            same!(world.observables()?, window, "the observables");
            ran += ops.len();
        }
        world.close()?;
    }
    Ok(format!("{ran} operations in windows of 1, 2 and 61 words"))
}

/// LOAD can read every control word, and only the kernel's own counting changes one.
fn control_words(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().tenants(3).observables(30))?;
    let mut compared = 0;
    for from in 0..CONTROL_MIN_WORDS as u32 {
        let got = world.op(opcode::LOAD_U32, &[from, 1])?;
        if let Some(expected) = model::control_word(from, 3) {
            same!(got, Ok(expected), "control word {from}");
            compared += 1;
        }
        same!(
            got,
            Ok(world.observable(1)?),
            "the observable after control word {from}"
        );
    }
    for number in model::OPCODES {
        for index in [10, 0_u32.wrapping_sub(160), 0_u32.wrapping_sub(157)] {
            let args = [index, index, 5];
            if number != opcode::NOP {
                let outside = Err(Fault(fault::INDEX_OUT_OF_RANGE));
                same!(
                    world.op(number, &args)?,
                    outside,
                    "opcode {number} {args:?}"
                );
            }
        }
    }
    for from in 0..CONTROL_MIN_WORDS as u32 {
        if let Some(expected) = model::control_word(from, 3) {
            let kept = world.kernel()?.control_word(from as usize);
            same!(kept, Some(expected), "control word {from} afterwards");
        }
    }
    world.close()?;
    Ok(format!(
        "160 words loaded, {compared} of them compared, 15 writes refused"
    ))
}

fn automaton(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default().tenants(2))?;
    // Three states: on byte b, state s goes to 7919 s + 31 b. Half a state follows them.
    let next = |state: u32, byte: u32| 7919 * state + 31 * byte;
    let words: Vec<String> = (0..3 * 256 + 128)
        .map(|at| next(at / 256, at % 256).to_string())
        .collect();
    let table = program(&format!(".u32 {}\n halt", words.join(", ")))?;
    let empty = program("halt")?;
    let (first, second) = (world.load(0, &empty)?, world.load(0, &table)?);
    let number = |opcode| gristmill_megakernel::ProgramTable::number(opcode).unwrap_or(u32::MAX);
    let (none, table) = (number(first), number(second));
    for (state, byte) in [(0, 0), (0, 255), (1, 0), (2, 255), (3, 0), (3, 127)] {
        let got = world.op(opcode::DFA_STEP, &[state, byte, table])?;
        same!(got, Ok(next(state, byte)), "state {state} on {byte}");
    }
    let outside = Err(Fault(fault::INDEX_OUT_OF_RANGE));
    let missing = Err(Fault(fault::NO_SUCH_PROGRAM));
    for (args, expected) in [
        ([3, 128, table], outside),
        ([4, 0, table], outside),
        ([0, 256, table], outside),
        ([1 << 24, 0, table], outside),
        ([u32::MAX, u32::MAX, table], outside),
        ([0, 0, none], outside),
        ([0, 0, table + 1], missing),
        ([0, 0, opcode::TENANT_WINDOW - 1], missing),
        ([0, 0, opcode::TENANT_WINDOW], missing),
        ([0, 0, u32::MAX], missing),
    ] {
        same!(
            world.op(opcode::DFA_STEP, &args)?,
            expected,
            "step {args:?}"
        );
    }
    let foreign = super::world::of(1, Submission::new(opcode::DFA_STEP, &[0, 0, table]));
    same!(world.answer(&foreign)?, missing, "another tenant's program");
    world.close()?;
    Ok("6 steps, 11 that fault".into())
}

fn debug_log(suite: &Suite<'_>) -> Checked {
    for records in [0, 1, 5] {
        let mut world = World::launch(suite, Setup::default().debug_records(records))?;
        let mut expected = Vec::new();
        for id in 0..8 {
            let done = world.run(&Submission::new(
                opcode::PRINTF,
                &[id, 10 * id, u32::MAX - id],
            ))?;
            same!(done.answer(), Ok(0), "PRINTF {id}");
            expected.push([id, 10 * id, u32::MAX - id, done.slot]);
        }
        expected.truncate(records as usize);
        let log = world.kernel()?.debug_log();
        same!(log, (expected, 8 - records), "a log of {records} records");
        world.close()?;
    }
    Ok("8 records to logs of 0, 1 and 5".into())
}

fn unknown(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(
        suite,
        Setup::default()
            .tenants(2)
            .jobs(vec![gristmill_megakernel::StreamJob::Lines]),
    )?;
    let mine = opcode::TENANT_BASE;
    let theirs = mine + opcode::TENANT_WINDOW;
    let expected: [(u32, &[u32]); 4] = [
        (
            fault::UNKNOWN_OPCODE,
            &[
                8,
                0xFF,
                0x200,
                0xFFEF,
                0xFFF0,
                0xFFF3,
                0xFFFC,
                0xFFFF,
                0x1_0000,
                0x3FFF_FFFF,
                0x8000_0000,
                0x8000_0002,
                0xFFFF_FFFE,
            ],
        ),
        (
            fault::NO_SUCH_JOB,
            &[opcode::SCAN, opcode::CRC32C, opcode::BLAKE3, 0x105, 0x1FF],
        ),
        (fault::NO_SUCH_PROGRAM, &[mine, mine + 1, theirs - 1]),
        (fault::FOREIGN_OPCODE, &[theirs, theirs + 1, 0x7FFF_FFFF]),
    ];
    let mut count = 0;
    for (reason, opcodes) in expected {
        for number in opcodes {
            same!(
                world.op(*number, &[])?,
                Err(Fault(reason)),
                "opcode {number:#x}"
            );
            count += 1;
        }
    }
    same!(world.op(opcode::NOP, &[])?, Ok(0), "a NOP after all that");
    let shutdown = world.kernel()?.control_word(control::SHUTDOWN);
    same!(shutdown, Some(0), "SHUTDOWN");
    world.close()?;
    Ok(format!("{count} opcodes fault, each for its reason"))
}
