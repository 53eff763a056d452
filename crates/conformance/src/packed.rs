//! PACKED_SLOT: what the host's encoder accepts runs in order, and anything else is refused before any of it runs.

use super::case::{Case, Checked, Suite};
use super::model;
use super::setup::Setup;
use super::world::{Fault, World};
use gristmill_protocol::{fault, opcode, packed};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("1 to 23 operations", sizes),
    ("random operations", random),
    ("malformed payloads", malformed),
];

/// Bytes, as argument words.
fn words(bytes: &[u8]) -> [u32; 12] {
    let mut args = [0; 12];
    for (word, bytes) in args.iter_mut().zip(bytes.chunks(4)) {
        let mut four = [0; 4];
        four[..bytes.len()].copy_from_slice(bytes);
        *word = u32::from_le_bytes(four);
    }
    args
}

fn sizes(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default())?;
    for ops in 1..=packed::MAX_OPS {
        let args = packed::encode(&vec![(0_u8, [0_u32; 0]); ops])?;
        same!(world.op(opcode::PACKED_SLOT, &args)?, Ok(0), "{ops} NOPs");
    }
    // As many additions as fit: each takes two bytes and two words.
    for ops in 1..=4_u32 {
        let list: Vec<_> = (0..ops).map(|index| (2_u8, [10 + index, 5])).collect();
        let before = world.observable(5)?;
        let sum = before + (0..ops).map(|index| 10 + index).sum::<u32>();
        let args = packed::encode(&list)?;
        same!(
            world.op(opcode::PACKED_SLOT, &args)?,
            Ok(sum),
            "{ops} additions"
        );
        same!(world.observable(5)?, sum, "the sum of {ops} additions");
    }
    world.close()?;
    Ok("23 slots of NOPs, 4 of additions".into())
}

fn random(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(2);
    let mut world = World::launch(suite, Setup::default())?;
    let mut window = vec![0; 64];
    let (mut slots, mut operations) = (0, 0);
    while slots < 400 {
        let ops: Vec<(u8, Vec<u32>)> = (0..=numbers.u32(..6))
            .map(|_| {
                let (number, mut args) = model::random_op(&mut numbers, 64);
                // Sometimes an opcode that does not exist, one argument too few, or one too many.
                let number = if numbers.u32(..30) == 0 {
                    8 + numbers.u32(..248)
                } else {
                    number
                };
                if numbers.u32(..20) == 0 {
                    args.pop();
                } else if numbers.u32(..10) == 0 {
                    args.push(1);
                }
                (number.to_le_bytes()[0], args)
            })
            .collect();
        let Ok(args) = packed::encode(&ops) else {
            continue;
        };
        let expected = model::packed(&mut window, 1, &args);
        same!(world.op(opcode::PACKED_SLOT, &args)?, expected, "{ops:?}");
        same!(
            world.observables()?,
            window,
            "the observables after {ops:?}"
        );
        slots += 1;
        operations += ops.len();
    }
    world.close()?;
    Ok(format!("{slots} slots of {operations} operations"))
}

fn malformed(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(3);
    let mut world = World::launch(suite, Setup::default())?;
    // Each begins with an addition whose effect would be seen if anything ran.
    let add = opcode::ATOMIC_ADD.to_le_bytes()[0];
    let listed: [&[u8]; 12] = [
        // No operations; more than fit; more words than exist.
        &[0, 2, add, 0, 1, 0, 0, 0, 1],
        &[24, 0, add, 0],
        &[255, 0, add, 0],
        &[1, 12, add, 0, 1],
        &[1, 255, add, 0, 1],
        // The first argument is not at 0; one is behind the end; the arguments go backwards.
        &[1, 4, add, 1, 1, 0, 0, 0, 1],
        &[2, 4, add, 0, add, 5, 0, 0, 1],
        &[3, 4, add, 0, add, 2, add, 1, 1],
        // One byte of the padding is not zero.
        &[2, 4, add, 0, add, 2, 0, 1, 1],
        // A fence, as the first or the last operation.
        &[1, 2, 7, 0, 1],
        &[2, 2, add, 0, 7, 2, 0, 0, 1],
        // Two operations that share their arguments, so that the first has none.
        &[2, 2, add, 0, add, 0, 0, 0, 1],
    ];
    let bad = Err(Fault(fault::BAD_PACKED_SLOT));
    for bytes in listed {
        same!(
            world.op(opcode::PACKED_SLOT, &words(bytes))?,
            bad,
            "{bytes:?}"
        );
        same!(
            world.observables()?,
            [0; 64],
            "the observables after {bytes:?}"
        );
    }
    // Payloads, of which most are malformed and a few are well-formed.
    let mut window = vec![0; 64];
    let (mut refused, count) = (0, 600);
    for _ in 0..count {
        let mut bytes = [0; 48];
        for byte in bytes.iter_mut() {
            *byte = numbers.u8(..5);
        }
        let args = words(&bytes);
        refused += usize::from(packed::decode(&args).is_err());
        let expected = model::packed(&mut window, 1, &args);
        let got = world.answer(&Submission::new(opcode::PACKED_SLOT, &args))?;
        same!(got, expected, "{bytes:?}");
    }
    same!(world.observables()?, window, "the observables");
    world.close()?;
    Ok(format!(
        "{} by hand, {count} random ones, {refused} of them malformed",
        listed.len()
    ))
}
