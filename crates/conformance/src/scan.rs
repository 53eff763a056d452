//! SCAN finds what a naive search finds, in all four modes. The areas are so small that it overflows and is resumed.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::world::{word, Fault, World};
use fastrand::Rng;
use gristmill_megakernel::{ScanMode, ScanSet, StreamJob};
use gristmill_protocol::stream::{self, StreamArgs};
use gristmill_protocol::{completion, fault, opcode};
use gristmill_ring::Submission;
use std::sync::Arc;

pub(super) const CASES: &[Case] = &[
    ("lines", lines),
    ("every occurrence", occurrences),
    ("modes that a set is not for", wrong_modes),
];

const CHUNK: usize = 1_500;

/// Patterns, and whether case is ignored.
type Set = (Vec<Vec<u8>>, bool);

/// Sets of different sizes, from one byte to more patterns than any searcher for few patterns takes.
fn sets(numbers: &mut Rng) -> Vec<Set> {
    let mut sets: Vec<Set> = vec![
        (vec![b"a".to_vec()], false),
        (vec![b"a".to_vec()], true),
        (vec![b"ab".to_vec()], false),
        (vec![b"aB".to_vec()], true),
        (vec![b"aa".to_vec(), b"a".to_vec(), b"aab".to_vec()], false),
        (
            vec![b"ab".to_vec(), b"b\0".to_vec(), b"\xFFa".to_vec()],
            true,
        ),
        (vec![b"nowhere at all".to_vec()], false),
        (vec![vec![b'a'; 200], b"b".to_vec()], false),
    ];
    let many = |numbers: &mut Rng, count| {
        let pattern = |numbers: &mut Rng| {
            let len = 2 + numbers.usize(..4);
            text(numbers, len)
                .iter()
                .map(|byte| if *byte == b'\n' { b'z' } else { *byte })
                .collect()
        };
        (0..count).map(|_| pattern(numbers)).collect()
    };
    sets.push((many(numbers, 12), false));
    sets.push((many(numbers, 12), true));
    sets.push((many(numbers, 90), false));
    sets
}

fn text(numbers: &mut Rng, len: usize) -> Vec<u8> {
    const BYTES: &[u8; 12] = b"abABa b\0\xFFz\n\n";
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        // Sometimes a long run, which long patterns need to match.
        let run = if numbers.u32(..60) == 0 { 250 } else { 1 };
        let byte = BYTES[numbers.usize(..12)];
        out.extend(std::iter::repeat_n(byte, run));
    }
    out.truncate(len);
    out
}

/// Where a pattern begins, found by comparing at every place.
fn starts<'a>(bytes: &'a [u8], pattern: &'a [u8], fold: bool) -> impl Iterator<Item = usize> + 'a {
    bytes
        .windows(pattern.len())
        .enumerate()
        .filter_map(move |(at, here)| {
            let found = if fold {
                here.eq_ignore_ascii_case(pattern)
            } else {
                here == pattern
            };
            found.then_some(at)
        })
}

fn first_match(bytes: &[u8], (patterns, fold): &Set) -> Option<usize> {
    let firsts = patterns
        .iter()
        .map(|pattern| starts(bytes, pattern, *fold).next());
    firsts.flatten().min()
}

fn position(at: Option<usize>) -> u32 {
    at.map_or(stream::NONE, word)
}

/// The results that SCAN must have for a chunk in the modes for lines.
struct Expected {
    /// Start and end of the matching lines between the first and the last newline.
    interior: Vec<(u32, u32)>,
    first_newline: u32,
    last_newline: u32,
    edges: u32,
    first_match: u32,
    newlines: u32,
    first_nul: u32,
}

fn expected(bytes: &[u8], set: &Set) -> Expected {
    let first = bytes.iter().position(|byte| *byte == b'\n');
    let last = bytes.iter().rposition(|byte| *byte == b'\n');
    let mut edges = 0;
    let mut interior = Vec::new();
    let mut found = None;
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some(at) = first_match(text, set) {
            found = found.or(Some(start + at));
            let is_head = first.is_none_or(|first| end == first + 1);
            let is_tail = last.is_none_or(|last| start > last);
            edges |= if is_head { stream::HEAD_MATCH } else { 0 };
            edges |= if is_tail { stream::TAIL_MATCH } else { 0 };
            if !is_head && !is_tail {
                interior.push((word(start), word(end)));
            }
        }
        start = end;
    }
    Expected {
        interior,
        first_newline: position(first),
        last_newline: position(last),
        edges,
        first_match: position(found),
        newlines: word(bytes.iter().filter(|byte| **byte == b'\n').count()),
        first_nul: position(bytes.iter().position(|byte| *byte == 0)),
    }
}

/// The results of a slot for each part, and its records.
type Through = (Vec<[u32; 8]>, Vec<(u32, u32)>);

/// Runs a slot, and again from where its area was full until the chunk is done. Returns each part's results and all
/// records.
fn through(world: &mut World, args: &StreamArgs) -> Result<Through, Stop> {
    let (mut parts, mut records) = (Vec::new(), Vec::new());
    let mut args = *args;
    loop {
        let done = world.run(&Submission::new(opcode::SCAN, &args.encode()))?;
        same!(done.fault, Fault::NONE, "SCAN {args:?}");
        records.extend((0..done.records).map(|index| world.records.get(done.slot, index)));
        parts.push(done.results);
        if done.flags & completion::FLAG_OVERFLOW == 0 {
            return Ok((parts, records));
        }
        ensure!(done.records > 0, "an overflow without a record: {args:?}");
        ensure!(parts.len() <= 2 * CHUNK, "never through: {args:?}");
        args.resume = done.results[stream::RESULT_RESUME];
    }
}

fn scan_world(
    suite: &Suite<'_>,
    sets: &[Set],
    mode: ScanMode,
    record_words: u32,
) -> Result<World, Stop> {
    let build = |(patterns, fold): &Set| {
        Ok(StreamJob::Scan(Arc::new(ScanSet::build(
            patterns, *fold, mode,
        )?)))
    };
    let jobs: Result<Vec<StreamJob>, gristmill_protocol::PipelineError> =
        sets.iter().map(build).collect();
    let setup = Setup::default()
        .chunk_bytes(CHUNK + 80)
        .record_words(record_words)
        .jobs(jobs?);
    World::launch(suite, setup)
}

/// Puts text somewhere into a chunk, surrounded by text that must not count.
fn place(
    world: &mut World,
    numbers: &mut Rng,
    len: usize,
) -> Result<(Vec<u8>, gristmill_ring::LentChunk, StreamArgs), Stop> {
    let data = text(numbers, CHUNK + 80);
    let start = numbers.usize(..70);
    let lent = world.lend(&data)?;
    let args = StreamArgs {
        chunk: lent.index(),
        start: word(start),
        len: word(len),
        before: numbers.u32(..word(start) + 1),
        after: 5,
        ..StreamArgs::default()
    };
    Ok((data[start..start + len].to_vec(), lent, args))
}

/// A random length; many are short.
fn length(numbers: &mut Rng) -> usize {
    let most = [1, 5, 40, 70, 300, word(CHUNK)][numbers.usize(..6)];
    numbers.u32(..most + 1) as usize
}

fn lines(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(41);
    let sets = sets(&mut numbers);
    let (mut searches, mut resumed) = (0, 0);
    for record_words in [2, 6, 7, 512] {
        let mut world = scan_world(suite, &sets, ScanMode::Lines, record_words)?;
        for round in 0..4 * sets.len() {
            let len = length(&mut numbers);
            let (own, lent, mut args) = place(&mut world, &mut numbers, len)?;
            let set = round % sets.len();
            args.job = word(set);
            let right = expected(&own, &sets[set]);
            let wants = stream::WANT_NEWLINES | stream::WANT_NUL;
            let mut counted = Vec::new();
            for (mode, flags) in [
                (stream::MODE_ANY, 0),
                (stream::MODE_ANY, wants),
                (stream::MODE_COUNT_LINES, stream::WANT_NUL),
                (stream::MODE_LINES, 0),
                (stream::MODE_LINES, wants),
            ] {
                args.mode = mode | flags;
                let what = format!("mode {:#x} of {:?} in {own:?}", args.mode, sets[set]);
                let (parts, records) = through(&mut world, &args)?;
                let lines: &[(u32, u32)] = if mode == stream::MODE_LINES {
                    &right.interior
                } else {
                    &[]
                };
                same!(records, lines, "the lines, {what}");
                for part in &parts {
                    let newlines = if flags & stream::WANT_NEWLINES == 0 {
                        0
                    } else {
                        right.newlines
                    };
                    let nul = if flags & stream::WANT_NUL == 0 {
                        stream::NONE
                    } else {
                        right.first_nul
                    };
                    let told = [
                        part[stream::RESULT_NEWLINES],
                        part[stream::RESULT_FIRST_NEWLINE],
                        part[stream::RESULT_LAST_NEWLINE],
                        part[stream::RESULT_EDGES],
                        part[stream::RESULT_FIRST_NUL],
                        part[stream::RESULT_FIRST_MATCH],
                    ];
                    let (first, last) = (right.first_newline, right.last_newline);
                    let all = [newlines, first, last, right.edges, nul, right.first_match];
                    same!(
                        told,
                        all,
                        "newlines, first, last, edges, NUL and first match, {what}"
                    );
                }
                let matches: u32 = parts.iter().map(|part| part[stream::RESULT_MATCHES]).sum();
                counted.push(matches);
                resumed += parts.len() - 1;
            }
            let any = u32::from(right.first_match != stream::NONE);
            let count = word(right.interior.len());
            same!(
                counted,
                [any, any, count, count, count],
                "matches by mode, {:?} in {own:?}",
                sets[set]
            );
            world.take_back(lent)?;
            searches += counted.len();
        }
        world.close()?;
    }
    Ok(format!(
        "{} sets, {searches} searches, resumed {resumed} times",
        sets.len()
    ))
}

fn occurrences(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(42);
    let sets = sets(&mut numbers);
    let (mut searches, mut resumed) = (0, 0);
    // As many matches as there are patterns may end at one place, and an area must have room for all of them.
    for record_words in [180, 202, 1 << 14] {
        let mut world = scan_world(suite, &sets, ScanMode::All, record_words)?;
        for round in 0..4 * sets.len() {
            let len = length(&mut numbers);
            let (own, lent, mut args) = place(&mut world, &mut numbers, len)?;
            let set = round % sets.len();
            let (patterns, fold) = &sets[set];
            args.job = word(set);
            args.mode = stream::MODE_ALL;
            let mut right = Vec::new();
            for (number, pattern) in patterns.iter().enumerate() {
                let ends = starts(&own, pattern, *fold)
                    .map(|start| (start + pattern.len(), number, start));
                right.extend(ends);
            }
            right.sort_unstable();
            let right: Vec<_> = right
                .iter()
                .map(|(_, number, start)| (word(*start), word(*number)))
                .collect();
            let (parts, records) = through(&mut world, &args)?;
            same!(records, right, "all of {:?} in {own:?}", sets[set]);
            let matches: u32 = parts.iter().map(|part| part[stream::RESULT_MATCHES]).sum();
            same!(matches, word(right.len()), "their number");
            world.take_back(lent)?;
            searches += 1;
            resumed += parts.len() - 1;
        }
        world.close()?;
    }
    Ok(format!(
        "{} sets, {searches} searches, resumed {resumed} times",
        sets.len()
    ))
}

fn wrong_modes(suite: &Suite<'_>) -> Checked {
    let set = vec![(vec![b"a".to_vec()], false)];
    let mut tried = 0;
    for (kind, right) in [(ScanMode::Lines, 0..=2), (ScanMode::All, 3..=3)] {
        let mut world = scan_world(suite, &set, kind, 512)?;
        let lent = world.lend(b"x")?;
        for mode in [0, 1, 2, 3, 4, 255] {
            let args = StreamArgs {
                chunk: lent.index(),
                len: 1,
                mode,
                ..StreamArgs::default()
            };
            let done = world.run(&Submission::new(opcode::SCAN, &args.encode()))?;
            let reason = if right.contains(&mode) {
                fault::NONE
            } else {
                fault::BAD_ARGUMENT
            };
            same!(
                done.fault,
                Fault(reason),
                "mode {mode} of a set for {kind:?}"
            );
            tried += 1;
        }
        world.take_back(lent)?;
        world.close()?;
    }
    Ok(format!("{tried} modes"))
}
