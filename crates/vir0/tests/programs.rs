//! The shipped programs: each gives the same answer as an independent implementation, however the file is cut into
//! chunks, and on both interpreters.

use fastrand::Rng;
use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::vector::Machine;
use gristmill_vir0::{reference, verify, Chunk, Limits, Results, Stop, Verified};
use std::path::Path;

/// The answer of a program for a file.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Answer {
    accs: Vec<u64>,
    /// The position in the file, and the value.
    records: Vec<(u64, u32)>,
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../programs")
}

fn shipped(name: &str) -> Verified {
    let path = directory().join(format!("{name}.vasm"));
    let source = std::fs::read_to_string(&path).unwrap();
    let files = |file: &str| std::fs::read(directory().join(file));
    let options = AsmOptions {
        name: &format!("{name}.vasm"),
        files: &files,
        debug: true,
    };
    let program = assemble(&source, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.name, name);
    verify(program, &Limits::default()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// An interpreter.
type Run<'a> = dyn FnMut(&Chunk<'_>, &mut Results) -> Result<(), Stop> + 'a;

/// Runs over a part of a file, and splits it where records overflow, as the mill does.
fn part(
    program: &Verified,
    file: &[u8],
    range: std::ops::Range<usize>,
    args: &[u32],
    run: &mut Run<'_>,
    answer: &mut Answer,
) {
    let chunk = Chunk::new(file, range.start, range.len(), range.start as u64, args).unwrap();
    let mut results = Results::default();
    match run(&chunk, &mut results) {
        Ok(()) => {
            program
                .program()
                .merge_accs(&mut answer.accs, &results.accs);
            for record in &results.records {
                let position = record.file_position(range.start as u64);
                answer.records.push((position, record.value));
            }
        }
        Err(Stop::Overflow) => {
            let align = program.program().align as usize;
            let middle = (range.start + range.len() / 2).next_multiple_of(align);
            assert!(
                middle > range.start && middle < range.end,
                "one block overflows"
            );
            part(program, file, range.start..middle, args, run, answer);
            part(program, file, middle..range.end, args, run, answer);
        }
        Err(Stop::Fault(fault)) => panic!("{}", fault.describe(program.program())),
        Err(Stop::Cancelled) => panic!("nobody has cancelled it"),
    }
}

fn whole(program: &Verified, file: &[u8], size: usize, args: &[u32], run: &mut Run<'_>) -> Answer {
    let mut answer = Answer {
        accs: program.program().fresh_accs(),
        records: Vec::new(),
    };
    for start in (0..file.len()).step_by(size) {
        let range = start..file.len().min(start + size);
        part(program, file, range, args, run, &mut answer);
    }
    answer.records.sort_unstable();
    answer
}

/// The default values of the arguments.
fn defaults(program: &Verified) -> Vec<u32> {
    let args = program.program().args.iter();
    args.map(|arg| arg.default.unwrap()).collect()
}

/// The program's answer, which must be the same for every interpreter and chunk size.
#[track_caller]
fn answer(program: &Verified, file: &[u8]) -> Answer {
    let args = defaults(program);
    let declared = program.program();
    let (align, most) = (declared.align as usize, declared.chunk as usize);
    let mut machine = Machine::new(program);
    let mut vector = |chunk: &Chunk<'_>, results: &mut Results| machine.run(chunk, results);
    let expected = whole(program, file, most, &args, &mut vector);
    let mut sizes = vec![align, 3 * align, 4096.max(align), 65_536.max(align), most];
    // Chunks of one byte are used only for short files.
    sizes.retain(|size| *size <= most && (*size >= 64 || file.len() <= 3_000));
    for size in sizes {
        let got = whole(program, file, size, &args, &mut vector);
        assert!(
            got == expected,
            "chunks of {size} bytes, a file of {}",
            file.len()
        );
    }
    if file.len() <= 20_000 {
        let mut scalar =
            |chunk: &Chunk<'_>, results: &mut Results| reference::run(program, chunk, results);
        let got = whole(program, file, 8192, &args, &mut scalar);
        assert!(got == expected, "the reference, a file of {}", file.len());
    }
    expected
}

/// Files of the kinds that such programs encounter: empty, short, random, text, runs, long lines.
fn files() -> Vec<Vec<u8>> {
    let mut numbers = Rng::with_seed(7);
    let mut files = vec![
        Vec::new(),
        b"\n".to_vec(),
        b"a".to_vec(),
        b"needle needles, needneedle\nneedle".to_vec(),
        b"a\n\nbcd".to_vec(),
        vec![0; 4096],
        vec![b'x'; 9_001],
    ];
    for len in [100, 2_999, 4_095, 4_097, 16_384, 300_001] {
        files.push(
            std::iter::repeat_with(|| numbers.u8(..))
                .take(len)
                .collect::<Vec<u8>>(),
        );
        // Words and lines.
        let words = [
            "needle", "hay", "stack", "\n", " ", "é", "日本", "𝄞", "\n\n",
        ];
        let mut text = Vec::new();
        while text.len() < len {
            text.extend(words[numbers.usize(..9)].as_bytes());
        }
        files.push(text);
        // Runs.
        let mut runs = Vec::new();
        while runs.len() < len {
            let run = [1, 2, 3, 300, 5_000][numbers.usize(..5)];
            runs.extend(std::iter::repeat_n(b"ab\n\0"[numbers.usize(..4)], run));
        }
        files.push(runs);
    }
    files
}

fn records(of: impl Iterator<Item = (usize, u32)>) -> Vec<(u64, u32)> {
    of.map(|(at, value)| (at as u64, value)).collect()
}

#[test]
fn newlines_are_counted() {
    let program = shipped("newline_count");
    for file in files() {
        let count = file.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(answer(&program, &file).accs, [count]);
    }
}

#[test]
fn bytes_are_counted_by_value() {
    let program = shipped("byte_histogram");
    for file in files() {
        let mut counts = vec![0_u64; 256];
        for byte in &file {
            counts[usize::from(*byte)] += 1;
        }
        assert_eq!(answer(&program, &file).accs, counts);
    }
}

#[test]
fn entropy_is_that_of_each_window() {
    let program = shipped("entropy");
    let table: Vec<u32> = (0..=4096_u32)
        .map(|count| match count {
            0 => 0,
            _ => (f64::from(count) * f64::from(count).log2() * 65_536.0).round() as u32,
        })
        .collect();
    let stored = program.program().table.as_chunks::<4>().0;
    assert!(stored
        .iter()
        .map(|word| u32::from_le_bytes(*word))
        .eq(table));
    for file in files() {
        let got = answer(&program, &file);
        let windows: Vec<&[u8]> = file.chunks(4096).collect();
        assert_eq!(got.records.len(), windows.len());
        for ((index, window), (position, value)) in windows.iter().enumerate().zip(&got.records) {
            assert_eq!(*position, index as u64 * 4096);
            let entropy: f64 = (0..=255_u8)
                .map(|value| window.iter().filter(|byte| **byte == value).count() as f64)
                .filter(|count| *count > 0.0)
                .map(|count| count / window.len() as f64)
                .map(|share| -share * share.log2())
                .sum();
            let error = (f64::from(*value) / 65_536.0 - entropy).abs();
            assert!(error < 0.001, "{value} for {entropy}");
        }
        let values = got.records.iter().map(|record| u64::from(record.1));
        let highest = values.clone().max().unwrap_or(0);
        let lowest = values.min().unwrap_or(u64::MAX);
        assert_eq!(got.accs, [highest, lowest, windows.len() as u64]);
    }
}

#[test]
fn utf8_is_what_the_standard_library_takes() {
    let program = shipped("utf8_validate");
    let mut numbers = Rng::with_seed(3);
    let mut all = files();
    // Short texts that are nearly valid, to test the edges of the rules.
    for _ in 0..4_000 {
        const PIECES: [&[u8]; 22] = [
            b"a",
            b"\x7F",
            b"\x80",
            b"\x8F",
            b"\x90",
            b"\x9F",
            b"\xA0",
            b"\xBF",
            b"\xC0",
            b"\xC1",
            b"\xC2",
            b"\xDF",
            b"\xE0",
            b"\xE1",
            b"\xED",
            b"\xEF",
            b"\xF0",
            b"\xF3",
            b"\xF4",
            b"\xF5",
            b"\xFF",
            "é".as_bytes(),
        ];
        let mut file = Vec::new();
        for _ in 0..=numbers.u32(..7) {
            file.extend(PIECES[numbers.usize(..22)]);
        }
        all.push(file);
    }
    for file in all {
        let got = answer(&program, &file);
        match std::str::from_utf8(&file) {
            Ok(_) => assert_eq!((got.accs, got.records.len()), (vec![0], 0), "{file:?}"),
            Err(error) => {
                assert!(got.accs[0] > 0, "{file:?}");
                let at = error.valid_up_to();
                let first = (at as u64, u32::from(file[at]));
                assert_eq!(got.records[0], first, "{:?}", &file[..file.len().min(20)]);
            }
        }
    }
}

#[test]
fn every_occurrence_of_the_string_is_found() {
    let program = shipped("fixed_string");
    for file in files() {
        let windows = file.windows(6).enumerate();
        let expected = records(
            windows
                .filter(|(_, w)| w == b"needle")
                .map(|(at, _)| (at, 0)),
        );
        let got = answer(&program, &file);
        assert_eq!(got.accs, [expected.len() as u64]);
        assert_eq!(got.records, expected);
    }
}

#[test]
fn lines_are_measured() {
    let program = shipped("line_lengths");
    for file in files() {
        let mut lines: Vec<usize> = file
            .split(|byte| *byte == b'\n')
            .map(|line| line.len().min(4096))
            .collect();
        if lines.last() == Some(&0) {
            lines.pop();
        }
        let mut expected = vec![0; 16];
        expected[0] = lines.len() as u64;
        expected[1] = lines.iter().copied().max().unwrap_or(0) as u64;
        for length in lines {
            expected[2 + (usize::BITS - length.leading_zeros()) as usize] += 1;
        }
        assert_eq!(answer(&program, &file).accs, expected);
    }
}

/// The nth number of SplitMix64 (Steele, Lea and Flood 2014) from seed 0. The program's table consists of these
/// numbers.
fn split_mix(n: u64) -> u64 {
    let word = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[test]
fn content_is_cut_where_a_sequential_gear_hash_cuts_it() {
    let program = shipped("content_chunks");
    let gear: Vec<u64> = (1..=256).map(split_mix).collect();
    let stored = program.program().table.as_chunks::<8>().0;
    assert!(stored
        .iter()
        .map(|word| u64::from_le_bytes(*word))
        .eq(gear.iter().copied()));
    let mut cuts = 0;
    for file in files() {
        let mut hash = 0_u64;
        let mut expected = Vec::new();
        for (at, byte) in file.iter().enumerate() {
            hash = (hash << 1).wrapping_add(gear[usize::from(*byte)]);
            let high = (hash >> 32) as u32;
            if high & 0xFFF8_0000 == 0 {
                expected.push((at as u64 + 1, high));
            }
        }
        cuts += expected.len();
        let got = answer(&program, &file);
        assert_eq!(got.records, expected);
        assert_eq!(got.accs, [expected.len() as u64]);
    }
    assert!(cuts > 50, "only {cuts} cuts were compared");
}

#[test]
fn blocks_have_the_checksum_of_the_rfc() {
    let program = shipped("adler32_blocks");
    let adler = |block: &[u8]| {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in block {
            a = (a + u32::from(*byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        b << 16 | a
    };
    assert_eq!(adler(b"Wikipedia"), 0x11E6_0398);
    for file in files() {
        let sums: Vec<u32> = file.chunks(4096).map(adler).collect();
        let got = answer(&program, &file);
        let starts = (0..).step_by(4096);
        assert_eq!(got.records, records(starts.zip(sums.iter().copied())));
        let all = sums.iter().fold(0, |all, sum| all ^ u64::from(*sum));
        assert_eq!(got.accs, [sums.len() as u64, all]);
    }
}

#[test]
fn runs_are_measured() {
    let program = shipped("longest_run");
    for file in files() {
        let mut expected = vec![0_u64; 256];
        for run in file.chunk_by(|left, right| left == right) {
            let longest = &mut expected[usize::from(run[0])];
            *longest = (*longest).max(run.len().min(4096) as u64);
        }
        assert_eq!(answer(&program, &file).accs, expected);
    }
}

#[test]
fn every_shipped_program_is_tested_here() {
    let this = include_str!("programs.rs");
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "vasm") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(this.contains(&format!("shipped(\"{name}\")")), "{name}");
        }
    }
}
