//! HISTOGRAM, LINES and CRC32C are right at the lengths where loops over bytes go wrong, and they fault on places
//! outside of their chunk.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::world::{random_bytes, word, Done, Fault, World};
use fastrand::Rng;
use gristmill_megakernel::StreamJob;
use gristmill_protocol::stream::{StreamArgs, HISTOGRAM_RECORDS, HISTOGRAM_WORDS};
use gristmill_protocol::{fault, opcode};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("checksum, lines and histogram", sizes),
    ("places outside of a chunk", outside),
    ("chunks that are not lent", not_lent),
    ("several slots over one chunk", shared),
    ("jobs that are not there", jobs),
    ("areas that are too small", small_area),
];

/// The size of chunks, which is not a power of two.
const CHUNK: usize = 9_000;

/// The lengths at which every opcode over bytes is tested.
pub(super) const SIZES: [usize; 14] = [
    0, 1, 2, 3, 31, 63, 64, 65, 255, 1000, 4095, 4096, 4097, CHUNK,
];

fn setup() -> Setup {
    Setup::default().chunk_bytes(CHUNK).jobs(vec![
        StreamJob::Lines,
        StreamJob::Histogram,
        StreamJob::Crc32c,
    ])
}

/// Computes the checksum bit by bit, from the polynomial.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// Bytes of several kinds: random ones, one byte repeated, newlines.
pub(super) fn bytes(numbers: &mut Rng, len: usize) -> Vec<u8> {
    match numbers.u32(..5) {
        0 => vec![b'\n'; len],
        1 => vec![0xFF; len],
        2 => random_bytes(numbers, len)
            .iter()
            .map(|byte| b"ab \n\0"[usize::from(byte % 5)])
            .collect(),
        _ => random_bytes(numbers, len),
    }
}

/// Runs a stream opcode. Returns its whole completion.
fn stream(world: &mut World, number: u32, args: &StreamArgs) -> Result<Done, Stop> {
    world.run(&Submission::new(number, &args.encode()))
}

fn sizes(suite: &Suite<'_>) -> Checked {
    same!(
        crc32c(b"123456789"),
        0xE306_9283,
        "the checksum of this suite"
    );
    let mut numbers = suite.numbers(31);
    let mut world = World::launch(suite, setup())?;
    let mut places = 0;
    for len in SIZES {
        for start in [0, 1, 3, 7, 64, CHUNK - len] {
            if start + len > CHUNK {
                continue;
            }
            // The bytes around the own bytes must not affect the result.
            let data = bytes(&mut numbers, CHUNK);
            let own = &data[start..start + len];
            let lent = world.lend(&data)?;
            let args = StreamArgs {
                chunk: lent.index(),
                start: word(start),
                len: word(len),
                offset: u64::MAX - 5,
                before: numbers.u32(..word(start) + 1),
                after: numbers.u32(..word(CHUNK - start - len) + 1),
                ..StreamArgs::default()
            };
            let lines = stream(&mut world, opcode::LINES, &args)?;
            let newlines = own.iter().filter(|byte| **byte == b'\n').count();
            same!(
                lines.answer(),
                Ok(word(newlines)),
                "LINES of {len} bytes at {start}"
            );
            let crc = stream(&mut world, opcode::CRC32C, &StreamArgs { job: 2, ..args })?;
            same!(
                crc.answer(),
                Ok(crc32c(own)),
                "CRC32C of {len} bytes at {start}"
            );
            let histogram = stream(
                &mut world,
                opcode::HISTOGRAM,
                &StreamArgs { job: 1, ..args },
            )?;
            same!(histogram.fault, Fault::NONE, "the fault of HISTOGRAM");
            same!(
                histogram.records,
                HISTOGRAM_RECORDS,
                "the records of HISTOGRAM"
            );
            let mut counts = [0; HISTOGRAM_WORDS as usize];
            for byte in own {
                counts[usize::from(*byte)] += 1;
            }
            let area = histogram.slot;
            let got: [u32; HISTOGRAM_WORDS as usize] =
                std::array::from_fn(|index| world.records.word(area, index));
            same!(got, counts, "HISTOGRAM of {len} bytes at {start}");
            world.take_back(lent)?;
            places += 1;
        }
    }
    world.close()?;
    Ok(format!("{places} places of 0 to {CHUNK} bytes"))
}

fn outside(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, setup())?;
    let lent = world.lend(b"")?;
    let end = word(CHUNK);
    let inside = [
        (end, 0, 0, 0),
        (0, end, 0, 0),
        (5, 0, 5, end - 5),
        (1, 1, 1, end - 2),
    ];
    let outside = [
        (0, end + 1, 0, 0),
        (1, end, 0, 0),
        (end, 1, 0, 0),
        (end + 1, 0, 0, 0),
        (0, 0, 1, 0),
        (5, 1, 6, 0),
        (0, 1, 0, end),
        (0, 0, 0, end + 1),
        (u32::MAX, 1, 0, 0),
        (1, u32::MAX, 0, 0),
        (u32::MAX, u32::MAX, 0, 2),
        (0, 1, 0, u32::MAX),
        (1, 1, u32::MAX, 0),
    ];
    let places = inside
        .map(|place| (place, true))
        .into_iter()
        .chain(outside.map(|place| (place, false)));
    for ((start, len, before, after), fits) in places {
        for (job, number) in (0..).zip([opcode::LINES, opcode::HISTOGRAM, opcode::CRC32C]) {
            let args = StreamArgs {
                chunk: lent.index(),
                start,
                len,
                job,
                before,
                after,
                ..StreamArgs::default()
            };
            let reason = if fits {
                fault::NONE
            } else {
                fault::INDEX_OUT_OF_RANGE
            };
            let done = stream(&mut world, number, &args)?;
            same!(done.fault, Fault(reason), "opcode {number:#x}, {args:?}");
        }
    }
    world.take_back(lent)?;
    world.close()?;
    Ok(format!(
        "{} places within, {} beyond",
        inside.len(),
        outside.len()
    ))
}

fn not_lent(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, setup())?;
    let number = opcode::LINES;
    let of = |chunk| StreamArgs {
        chunk,
        len: 1,
        ..StreamArgs::default()
    };
    let missing = Err(Fault(fault::CHUNK_NOT_LENT));
    for chunk in [0, 1, 2, 3, 1 << 19, 1 << 31, u32::MAX] {
        same!(
            stream(&mut world, number, &of(chunk))?.answer(),
            missing,
            "chunk {chunk}"
        );
    }
    for round in 0..20 {
        let lent = world.lend(b"\n")?;
        let chunk = lent.index();
        same!(
            stream(&mut world, number, &of(chunk))?.answer(),
            Ok(1),
            "chunk {chunk}, round {round}"
        );
        same!(
            stream(&mut world, number, &of(1 - chunk))?.answer(),
            missing,
            "the other chunk"
        );
        world.take_back(lent)?;
        same!(
            stream(&mut world, number, &of(chunk))?.answer(),
            missing,
            "chunk {chunk} when it is taken back"
        );
    }
    world.close()?;
    Ok("7 chunks that are not lent; 20 that were".into())
}

/// Slots of several jobs name the same chunk, and as many are in flight as there is room for.
fn shared(suite: &Suite<'_>) -> Checked {
    const SLOTS: usize = 300;
    let mut numbers = suite.numbers(32);
    let mut world = World::launch(suite, setup())?;
    let data = bytes(&mut numbers, CHUNK);
    let lent = world.lend(&data)?;
    // Each slot sees another part, by one of two jobs.
    let place = |number: usize| {
        let start = number * 17 % CHUNK;
        (start, CHUNK - start)
    };
    let submission = |number: usize| {
        let (start, len) = place(number);
        let args = StreamArgs {
            chunk: lent.index(),
            start: word(start),
            len: word(len),
            job: if number.is_multiple_of(2) { 0 } else { 2 },
            ..StreamArgs::default()
        };
        let opcodes = [opcode::LINES, opcode::CRC32C];
        Submission::new(opcodes[number % 2], &args.encode())
    };
    world.stream(SLOTS, submission, |done| {
        let (start, _) = place(done.number);
        let own = &data[start..];
        let expected = match done.number % 2 {
            0 => word(own.iter().filter(|byte| **byte == b'\n').count()),
            _ => crc32c(own),
        };
        same!(done.answer(), Ok(expected), "slot {}", done.number);
        // The host may read beside the slots that are in flight.
        same!(lent.as_slice().get(..CHUNK), Some(&data[..]), "the chunk");
        Ok(())
    })?;
    world.take_back(lent)?;
    world.close()?;
    Ok(format!("{SLOTS} slots over one chunk"))
}

fn jobs(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, setup())?;
    let lent = world.lend(b"x")?;
    let missing = Err(Fault(fault::NO_SUCH_JOB));
    // SCAN has no job here. The others have one, but under another number.
    for (number, its) in [
        (opcode::LINES, 0),
        (opcode::HISTOGRAM, 1),
        (opcode::CRC32C, 2),
        (opcode::SCAN, 9),
    ] {
        for job in [0, 1, 2, 3, 1000, u32::MAX] {
            let args = StreamArgs {
                chunk: lent.index(),
                job,
                ..StreamArgs::default()
            };
            let got = stream(&mut world, number, &args)?.answer();
            ensure!(
                (got == missing) == (job != its),
                "opcode {number:#x}, job {job}: {got:?}"
            );
        }
    }
    world.take_back(lent)?;
    world.close()?;
    Ok("4 opcodes with 6 numbers of jobs".into())
}

/// HISTOGRAM needs 256 words, and must not write into the area of the next slot.
fn small_area(suite: &Suite<'_>) -> Checked {
    for record_words in [0, 1, 255, 256] {
        let mut world = World::launch(suite, setup().record_words(record_words))?;
        let lent = world.lend(&[7; CHUNK])?;
        let args = StreamArgs {
            chunk: lent.index(),
            len: word(CHUNK),
            job: 1,
            ..StreamArgs::default()
        };
        let done = stream(&mut world, opcode::HISTOGRAM, &args)?;
        let fits = record_words >= HISTOGRAM_WORDS;
        ensure!(
            (done.fault == Fault::NONE) == fits,
            "{:?} in an area of {record_words} words",
            done.fault
        );
        for area in (0..64).filter(|area| *area != done.slot) {
            for index in 0..record_words as usize {
                same!(
                    world.records.word(area, index),
                    0,
                    "word {index} of slot {area}'s area"
                );
            }
        }
        world.take_back(lent)?;
        world.close()?;
    }
    Ok("areas of 0, 1, 255 and 256 words".into())
}
