//! VIR0 programs, shipped and random ones, leave the same results as the reference interpreter, and forbidden slots
//! fault.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::shipped::programs;
use super::streams::bytes;
use super::world::{busy, failed, over, pick, program, word, Done, Fault, World};
use fastrand::Rng;
use gristmill_megakernel::{Lease, ProgramTable};
use gristmill_protocol::program::{ProgramArgs, ACC_WORDS, PROGRAM_ARGS};
use gristmill_protocol::{completion, fault};
use gristmill_vir0::random;
use gristmill_vir0::{
    reference, verify, Chunk, FaultKind, Limits, Record, Results, Stop as Stopped, Verified,
};

pub(super) const CASES: &[Case] = &[
    ("the shipped ones", shipped),
    ("1,000 random ones", random_ones),
    ("places that they do not take", places),
    ("areas are each slot's own", areas),
    ("a budget for each slot", budget),
];

const CHUNK: usize = 16 << 10;

/// The results of a program.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    Results {
        accs: Vec<u64>,
        records: Vec<Record>,
    },
    Overflow,
    Fault(Fault),
}

/// The reference interpreter's results for bytes whose own bytes begin at `place.start`.
fn expected(program: &Verified, place: &ProgramArgs, data: &[u8]) -> Result<Left, Stop> {
    let (start, len) = (place.start as usize, place.len as usize);
    let seen = data.get(..start + len + place.after as usize);
    let chunk = seen.and_then(|seen| Chunk::new(seen, start, len, place.offset, &place.args));
    let Some(chunk) = chunk else {
        return failed("a place outside of the suite's own bytes");
    };
    let mut results = Results::default();
    Ok(match reference::run(program, &chunk, &mut results) {
        Err(Stopped::Cancelled) => return failed("the reference was cancelled"),
        Ok(()) => Left::Results {
            accs: results.accs,
            records: results.records,
        },
        Err(Stopped::Overflow) => Left::Overflow,
        Err(Stopped::Fault(found)) => {
            let reason = match found.kind {
                FaultKind::Scratch => fault::SCRATCH_INDEX,
                FaultKind::Acc => fault::ACC_INDEX,
            };
            let instruction = u16::try_from(found.instruction).unwrap_or(u16::MAX);
            Left::Fault(Fault(fault::word(reason, instruction)))
        }
    })
}

/// The results that a completed slot of a program left in its area.
fn left(world: &World, program: &Verified, done: &Done) -> Left {
    if done.fault != Fault::NONE {
        return Left::Fault(done.fault);
    }
    if done.flags & completion::FLAG_OVERFLOW != 0 {
        return Left::Overflow;
    }
    let pair = |at: usize| {
        let word = |index| world.records.word(done.slot, index);
        (word(ACC_WORDS * at), word(ACC_WORDS * at + 1))
    };
    let accs = program.program().acc_count();
    let acc = |at| {
        let (low, high) = pair(at);
        u64::from(high) << 32 | u64::from(low)
    };
    let record = |at| {
        let (position, value) = pair(at);
        Record {
            position: position.cast_signed(),
            value,
        }
    };
    Left::Results {
        accs: (0..accs).map(acc).collect(),
        records: (accs..accs + done.records as usize).map(record).collect(),
    }
}

/// Runs a loaded program over a place of a chunk and compares it with the reference. Returns its results, and its slot.
fn compare(
    world: &mut World,
    number: u32,
    program: &Verified,
    place: ProgramArgs,
    data: &[u8],
) -> Result<(Left, u32), Stop> {
    let right = expected(program, &place, data)?;
    let lent = world.lend(data)?;
    let place = ProgramArgs {
        chunk: lent.index(),
        ..place
    };
    let done = world.run(&busy(number, &place)?)?;
    let got = left(world, program, &done);
    ensure!(
        got == right,
        "program {}, {place:?}: {}",
        program.program().name,
        difference(&got, &right)
    );
    world.take_back(lent)?;
    Ok((got, done.slot))
}

/// Describes only the first difference, since results may be long.
fn difference(got: &Left, right: &Left) -> String {
    let (
        Left::Results { accs, records },
        Left::Results {
            accs: a,
            records: r,
        },
    ) = (got, right)
    else {
        return match (got, right) {
            (Left::Results { .. }, right) => format!("got results, expected {right:?}"),
            (got, Left::Results { .. }) => format!("got {got:?}, expected results"),
            _ => format!("got {got:?}, expected {right:?}"),
        };
    };
    if let Some(at) = (0..accs.len()).find(|at| accs.get(*at) != a.get(*at)) {
        return format!(
            "accumulator {at}: got {:?}, expected {:?}",
            accs.get(at),
            a.get(at)
        );
    }
    let at = (0..records.len().max(r.len())).find(|at| records.get(*at) != r.get(*at));
    let at = at.unwrap_or(0);
    format!(
        "record {at} of {} (expected {}): got {:?}, expected {:?}",
        records.len(),
        r.len(),
        records.get(at),
        r.get(at)
    )
}

/// A place for `len` own bytes somewhere in a chunk, aligned as the program requires.
fn somewhere(numbers: &mut Rng, program: &Verified, len: usize) -> ProgramArgs {
    let declared = program.program();
    let room = word(CHUNK - len);
    let start = numbers.u32(..room.min(300) + 1);
    let align = u64::from(declared.align.max(1));
    ProgramArgs {
        start,
        len: word(len),
        after: numbers.u32(..(room - start).min(5_000) + 1),
        offset: numbers.u64(..) / align * align,
        args: std::array::from_fn(|index| {
            let default = declared.args.get(index).and_then(|arg| arg.default);
            default.unwrap_or_else(|| numbers.u32(..300))
        }),
        ..ProgramArgs::default()
    }
}

fn world_for<N>(suite: &Suite<'_>, programs: &[(N, Verified)]) -> Result<World, Stop> {
    let words = programs.iter().map(|(_, program)| words_of(program)).max();
    let setup = Setup::default()
        .slots(4)
        .chunk_bytes(CHUNK)
        .record_words(words.unwrap_or(0).max(64));
    World::launch(suite, setup)
}

fn words_of(program: &Verified) -> u32 {
    u32::try_from(ProgramTable::words_needed(program.program())).unwrap_or(u32::MAX)
}

fn shipped(suite: &Suite<'_>) -> Checked {
    let programs = programs()?;
    let mut numbers = suite.numbers(51);
    let mut world = world_for(suite, &programs)?;
    let mut chunks = 0;
    for (name, program) in &programs {
        let number = world.load(0, program)?;
        for len in [0, 1, 2, 63, 64, 65, 500, 4_096, 4_097] {
            // The reference interpreter is slow, and a device that runs one window after the other is even slower.
            if program.cost().at(word(len)) > 3_000_000 {
                continue;
            }
            let mut data = bytes(&mut numbers, CHUNK);
            if numbers.bool() {
                let text = "a needle, häufig\n".as_bytes();
                data = text.iter().copied().cycle().take(CHUNK).collect();
            }
            let place = somewhere(&mut numbers, program, len);
            let (got, _) = compare(&mut world, number, program, place, &data)?;
            ensure!(!matches!(got, Left::Fault(_)), "{name} faults: {got:?}");
            chunks += 1;
        }
        world.kernel()?.programs().unload(number);
    }
    world.close()?;
    Ok(format!("{} programs, {chunks} chunks", programs.len()))
}

fn random_ones(suite: &Suite<'_>) -> Checked {
    /// The number of instructions that a chunk may cost by the static bound.
    const COST: u64 = 20_000;
    let mut numbers = suite.numbers(52);
    let count = 1_000;
    let mut told = (0, 0, 0);
    for _ in 0..count / 50 {
        let mut batch = Vec::new();
        for _ in 0..50 {
            let program = verify(random::program(numbers.u64(..)), &Limits::default()).map_err(
                |refusal| Stop::Failed(format!("a random program is refused: {refusal}")),
            )?;
            batch.push((program.program().name.clone(), program));
        }
        let mut world = world_for(suite, &batch)?;
        for (_, program) in &batch {
            let number = world.load(0, program)?;
            let mut len = pick(&mut numbers, &[1, 70, 300, 4_200]);
            while len > 1 && program.cost().at(len) > COST {
                len /= 2;
            }
            let len = numbers.u32(..=len) as usize;
            let place = somewhere(&mut numbers, program, len);
            let data = bytes(&mut numbers, CHUNK);
            match compare(&mut world, number, program, place, &data)?.0 {
                Left::Results { .. } => told.0 += 1,
                Left::Overflow => told.1 += 1,
                Left::Fault(_) => told.2 += 1,
            }
            world.kernel()?.programs().unload(number);
        }
        world.close()?;
    }
    let (results, overflows, faults) = told;
    Ok(format!(
        "{count} programs: {results} with results, {overflows} overflow, {faults} fault"
    ))
}

fn places(suite: &Suite<'_>) -> Checked {
    let program = program(".chunk 4096\n.align 512\n.acc n sum\n len r1\n acc n, r1")?;
    let mut world = World::launch(suite, Setup::default().chunk_bytes(CHUNK))?;
    let number = world.load(0, &program)?;
    let lent = world.lend(b"")?;
    let chunk = lent.index();
    let end = word(CHUNK);
    // For each: the start, the own bytes, the bytes behind, and the position in the file.
    let tries = [
        ((0, 4_096, 0, 0), fault::NONE),
        ((0, 0, 0, 1 << 40), fault::NONE),
        ((end, 0, 0, 512), fault::NONE),
        ((end - 1, 1, 0, 0), fault::NONE),
        ((end - 4_096, 4_000, 96, 0), fault::NONE),
        ((0, 4_097, 0, 0), fault::BAD_ARGUMENT),
        ((0, u32::MAX, 0, 0), fault::BAD_ARGUMENT),
        ((0, 1, 0, 1), fault::BAD_ARGUMENT),
        ((0, 1, 0, (1 << 40) + 256), fault::BAD_ARGUMENT),
        ((0, 1, 0, u64::MAX), fault::BAD_ARGUMENT),
        ((end, 1, 0, 0), fault::INDEX_OUT_OF_RANGE),
        ((end + 1, 0, 0, 0), fault::INDEX_OUT_OF_RANGE),
        ((end - 1, 1, 1, 0), fault::INDEX_OUT_OF_RANGE),
        ((u32::MAX, 4_096, 8_191, 0), fault::INDEX_OUT_OF_RANGE),
        ((u32::MAX, 1, 0, 0), fault::INDEX_OUT_OF_RANGE),
    ];
    for ((start, len, after, offset), reason) in tries {
        let place = ProgramArgs {
            chunk,
            after,
            start,
            len,
            offset,
            args: [0; PROGRAM_ARGS],
        };
        let done = world.run(&busy(number, &place)?)?;
        same!(done.fault, Fault(reason), "{place:?}");
        if reason == fault::NONE {
            same!(
                world.records.word(done.slot, 0),
                len,
                "the length that the program saw"
            );
        }
    }
    world.take_back(lent)?;
    for missing in [chunk, 2, (1 << 19) - 1] {
        let place = ProgramArgs {
            chunk: missing,
            ..ProgramArgs::default()
        };
        let done = world.run(&busy(number, &place)?)?;
        same!(
            done.fault,
            Fault(fault::CHUNK_NOT_LENT),
            "chunk {missing}, which is not lent"
        );
    }
    world.close()?;
    Ok(format!(
        "{} places, and 3 chunks that are not lent",
        tries.len()
    ))
}

/// A slot that could cost more than the lease allows faults before it runs; one that could cost exactly as much runs.
fn budget(suite: &Suite<'_>) -> Checked {
    let program = program(".acc n sum\n each r1, 1\n mov r2, 1\n acc n, r2\n end")?;
    let longest = 1_000;
    let lease = Lease {
        instructions: program.cost().at(longest),
        ..Lease::default()
    };
    let mut world = World::launch(suite, Setup::default().chunk_bytes(CHUNK).lease(lease))?;
    let number = world.load(0, &program)?;
    let lent = world.lend(b"")?;
    let tries = [0, 1, longest - 1, longest, longest + 1, 4_096, u32::MAX];
    for len in tries {
        let done = world.run(&over(number, &lent, len)?)?;
        let fault = match len > longest {
            true => Fault(fault::OVER_BUDGET),
            false => Fault::NONE,
        };
        same!(done.fault, fault, "{len} bytes");
        if fault == Fault::NONE {
            same!(world.records.word(done.slot, 0), len, "the bytes counted");
        }
    }
    world.take_back(lent)?;
    world.close()?;
    Ok(format!(
        "{} lengths, up to {longest} within it",
        tries.len()
    ))
}

/// A program that fills its area exactly leaves other areas unchanged, whether it has results, overflows or faults.
fn areas(suite: &Suite<'_>) -> Checked {
    // The program writes a record for each byte above its argument, and faults on 255.
    let program = program(
        "
        .acc n sum
        .records 31
        .arg limit
        .scratch s 4
            arg  r4, limit
            each r1, 1
              ld8  r2, r1
              eq   r3, r2, 255
              mul  r3, r3, 100
              s.ld r5, s, r3
              ltu  r3, r4, r2
              acc  n, r3
              if   r3
                emit r1, r2
              end
            end
        ",
    )?;
    let mut world = World::launch(
        suite,
        Setup::default().slots(8).record_words(words_of(&program)),
    )?;
    ensure!(
        world.load(0, &program).is_ok(),
        "a program that needs all of its area is refused"
    );
    let larger =
        super::world::program(".acc n[2] sum\n.records 31\n len r1\n emit r1, r1\n acc n, r1")?;
    ensure!(
        world.load(0, &larger).is_err(),
        "a program that needs more than its area is taken"
    );
    let number = world.load(0, &program)?;
    let words = words_of(&program) as usize;
    let all = |world: &World| -> Vec<Vec<u32>> {
        let area = |area| {
            (0..words)
                .map(|index| world.records.word(area, index))
                .collect()
        };
        (0..8).map(area).collect()
    };
    let mut numbers = suite.numbers(53);
    let rounds = 60;
    for _ in 0..rounds {
        let len = 25 + numbers.usize(..10);
        let last = if numbers.u32(..4) == 0 { 255 } else { 200 };
        let data: Vec<u8> = (0..len)
            .map(|_| 100 + numbers.u8(..3))
            .chain([last])
            .collect();
        let before = all(&world);
        let place = ProgramArgs {
            len: word(data.len()),
            args: [99, 0, 0, 0, 0, 0, 0],
            ..ProgramArgs::default()
        };
        let (_, slot) = compare(&mut world, number, &program, place, &data)?;
        for (area, (now, before)) in all(&world).iter().zip(&before).enumerate() {
            let own = word(area) == slot;
            ensure!(
                own || now == before,
                "slot {slot} wrote into the area of slot {area}"
            );
        }
    }
    world.close()?;
    Ok(format!(
        "{rounds} chunks, with results, overflows and faults"
    ))
}
