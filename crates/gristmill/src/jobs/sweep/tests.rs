//! A sweep finds in files, however they are cut, what a search for each pattern alone finds.

mod limits;
mod parts;

use super::{Boundary, SweepJob, SweepJobBuilder, SweepReport};
use crate::jobs::Job;
use crate::mill::{Control, Mill};
use crate::source::Tree;
use fastrand::Rng;
use std::path::PathBuf;
use std::sync::Arc;

/// Patterns as strings and regexes.
#[derive(Debug, Clone)]
enum Given {
    String(&'static [u8]),
    Regex(&'static str),
}

const STRINGS: &[&[u8]] = &[b"aa", b"aXb", b"b", b"key", b"\n", b"key-key"];

const REGEXES: &[&str] = &[
    "a+",
    "a*",
    "[ab]{3}",
    "(?s)key.*end",
    "(?s)key.*?end",
    "key[a-z]*",
    "key-[0-9]{4,}",
    r"\bkey\b",
    r"\w+",
    r"(?m)^.*$",
    "^.",
    "(?s).$",
    r"\z",
    "",
    "b|ab|abc",
    r"(?:ab)+c?",
    "[^ab]+b",
    r"(?s)X.{0,20}b",
    "(?:key-){0,1500}end",
    "é+",
    r"(?-u)\xff+",
    "(?i)KEY",
    "a(?:aaab)?",
    "ab|bk|",
    "abc|bca|",
    "key|ey-k|",
    "(?s)aa|aX.|",
];

/// A text in which the patterns occur, and long runs of few bytes.
fn text(rng: &mut Rng, length: usize) -> Vec<u8> {
    let words: [&[u8]; 15] = [
        b"a",
        b"aa",
        b"b",
        b"abc",
        b"key",
        b"key-",
        b"end",
        b"1234",
        b" ",
        b"\n",
        b"\r\n",
        b"X",
        "é".as_bytes(),
        b"\xff",
        b"Key",
    ];
    let mut text = Vec::new();
    while text.len() < length {
        let word = words[rng.usize(..words.len())];
        let times = match rng.usize(..40) {
            0 => rng.usize(..9000),
            _ => 1,
        };
        for _ in 0..times {
            text.extend_from_slice(word);
        }
    }
    text.truncate(length);
    text
}

/// What matches must lie between: mostly anything.
fn boundary(rng: &mut Rng) -> Option<Boundary> {
    let boundaries = [None, None, Some(Boundary::Word), Some(Boundary::Line)];
    boundaries[rng.usize(..boundaries.len())]
}

/// What must hold before and behind a match, as regexes.
fn bounds(boundary: Option<Boundary>) -> [&'static str; 2] {
    match boundary {
        None => ["", ""],
        Some(Boundary::Word) => [r"\b{start-half}", r"\b{end-half}"],
        Some(Boundary::Line) => ["(?m:^)", "(?m:$)"],
    }
}

/// Offset, length and pattern of each match, in the order of rows.
fn expected(
    given: &[Given],
    text: &[u8],
    boundary: Option<Boundary>,
    crlf: bool,
) -> Vec<(usize, usize, usize)> {
    let mut found = Vec::new();
    let regex = |regex: &str| {
        let mut builder = regex::bytes::RegexBuilder::new(regex);
        builder.crlf(crlf).build().unwrap()
    };
    let [before, behind] = bounds(boundary);
    let places = |bound: &str| -> Vec<usize> {
        let regex = regex(bound);
        regex.find_iter(text).map(|one| one.start()).collect()
    };
    let (starts_here, ends_here) = (places(before), places(behind));
    for (number, pattern) in given.iter().enumerate() {
        match pattern {
            Given::String(string) => {
                let starts = text.windows(string.len()).enumerate();
                let starts = starts.filter(|(_, window)| window == string);
                found.extend(starts.filter_map(|(at, _)| {
                    let end = at + string.len();
                    let bounded = starts_here.binary_search(&at).is_ok()
                        && ends_here.binary_search(&end).is_ok();
                    bounded.then_some((end, number, at))
                }));
            }
            Given::Regex(alone) => {
                let regex = regex(&format!("{before}(?:{alone}){behind}"));
                let matches = regex.find_iter(text);
                found.extend(matches.map(|one| (one.end(), number, one.start())));
            }
        }
    }
    found.sort_unstable();
    let row = |(end, number, start)| (start, end - start, number);
    found.into_iter().map(row).collect()
}

/// Searches for these patterns, each under its number as its name.
fn with(mut job: SweepJobBuilder, given: &[Given]) -> SweepJobBuilder {
    for (number, pattern) in given.iter().enumerate() {
        job = match pattern {
            Given::String(string) => job.string(number.to_string(), *string),
            Given::Regex(regex) => job.regex(number.to_string(), *regex),
        };
    }
    job
}

fn run(job: SweepJob, chunk: usize, file: &std::path::Path) -> (String, Arc<SweepJob>) {
    let mill = Mill::builder()
        .workers(2)
        .chunk_bytes(chunk)
        .build()
        .unwrap();
    let job = Arc::new(job);
    let mut rows = Vec::new();
    let files = Tree::new([PathBuf::from(file)]).walk().unwrap();
    let report = mill
        .run(files, Arc::clone(&job), &mut rows, &Control::default())
        .unwrap();
    assert_eq!(report.failures, 0);
    (String::from_utf8(rows).unwrap(), job)
}

#[test]
fn random_patterns_are_found_as_each_alone_however_files_are_cut() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_SWEEP_SEED"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for round in 0..18 {
        let length = match round % 6 {
            0 => rng.usize(..20),
            1 => 4096 * rng.usize(..4),
            _ => rng.usize(..60_000),
        };
        let text = text(&mut rng, length);
        std::fs::write(&file, &text).unwrap();
        let mut given = Vec::new();
        for _ in 0..rng.usize(1..8) {
            given.push(match rng.bool() {
                true => Given::String(STRINGS[rng.usize(..STRINGS.len())]),
                false => Given::Regex(REGEXES[rng.usize(..REGEXES.len())]),
            });
        }
        let boundary = boundary(&mut rng);
        let crlf = rng.bool();
        let job = |report| {
            let job = SweepJob::builder().report(report).max_match(1 << 20);
            let job = with(job, &given).boundary(boundary).crlf(crlf);
            job.build().unwrap()
        };
        let expected = expected(&given, &text, boundary, crlf);
        for chunk in [4096, 8192, 1 << 16, 1 << 20] {
            let (rows, done) = run(job(SweepReport::Matches), chunk, &file);
            let found: Vec<(usize, usize, usize)> = rows
                .lines()
                .map(|row| {
                    let mut fields = row.split(':').map(|field| field.parse().unwrap());
                    let mut field = || fields.next().unwrap();
                    (field(), field(), field())
                })
                .collect();
            assert!(done.take_errors().is_empty());
            let differs = found.iter().zip(&expected).position(|(a, b)| a != b);
            assert!(
                found == expected,
                "{given:?} {boundary:?} {crlf} in {length} bytes, chunks of {chunk}: {} matches, not {}; {differs:?}: {:?}, not {:?}",
                found.len(),
                expected.len(),
                differs.map(|at| found[at]),
                differs.map(|at| expected[at]),
            );
            let (count, done) = run(job(SweepReport::Count), chunk, &file);
            let number = |text: &str| text.trim().parse().unwrap_or(0_usize);
            assert_eq!(number(&count), expected.len());
            assert_eq!(done.found(), !expected.is_empty());
            let (paths, done) = run(job(SweepReport::Paths), chunk, &file);
            assert_eq!(done.found(), !expected.is_empty(), "{given:?} {chunk}");
            assert_eq!(paths.is_empty(), expected.is_empty());
        }
    }
}

#[test]
fn an_empty_match_is_found_where_only_a_match_of_the_chunk_alone_ends() {
    // The chunk from 4,096 on begins within the match of the file, and finds one of its own, which ends behind it.
    let (pattern, matched, own) = ("abc|bcd|", b"abcd", 4099);
    let mut bytes = vec![b'z'; 4095];
    bytes.extend(matched);
    bytes.resize(4300, b'z');
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, &bytes).unwrap();
    let given = [Given::Regex(pattern)];
    let rows: String = expected(&given, &bytes, None, false)
        .iter()
        .map(|(start, length, name)| format!("{start}:{length}:{name}\n"))
        .collect();
    assert!(rows.contains(&format!("\n{own}:0:0\n")));
    for chunk in [4096, 8192] {
        let job = with(SweepJob::builder(), &given).build().unwrap();
        assert_eq!(run(job, chunk, &file).0, rows, "chunks of {chunk}");
    }
}

#[test]
fn a_match_of_a_mebibyte_is_found_and_a_longer_one_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    for (length, whole) in [((1 << 20) - 6, true), (1 << 20, true), (3 << 20, false)] {
        let mut text = b"..begin".to_vec();
        text.resize(length - 4, b'x');
        text.extend(b"end.begin end;begin ");
        std::fs::write(&file, &text).unwrap();
        for chunk in [4096, 1 << 20] {
            let job = SweepJob::builder().regex("r", "begin[^;.]*end").build();
            let (rows, job) = run(job.unwrap(), chunk, &file);
            let errors = job.take_errors();
            if whole {
                let first = length - 3;
                assert_eq!(rows, format!("2:{first}:r\n{}:9:r\n", length));
                assert!(errors.is_empty(), "{errors:?}");
            } else {
                assert_eq!(rows, "");
                let [error] = errors.as_slice() else {
                    panic!("{errors:?}");
                };
                assert_eq!((error.offset, error.pattern.as_str()), (2, "r"));
                assert_eq!(error.path, file);
            }
        }
    }
}

#[test]
fn what_cannot_be_searched_for_is_refused_with_its_place() {
    let error = SweepJob::builder()
        .string("s", "x")
        .regex("r", "a(b")
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.contains("pattern 2, line 1, column 2"), "{error}");
    for job in [
        SweepJob::builder().string("s", ""),
        SweepJob::builder().string("s", vec![b'x'; 4097]),
        SweepJob::builder().regex("r", r"\w{900}{900}"),
        SweepJob::builder().regex("r", r"\w{90}").memory(1000),
    ] {
        assert!(job.build().is_err());
    }
    let job = SweepJob::builder()
        .string("s", "x")
        .regex("r", "ab+c")
        .build();
    let report = job.unwrap().engine_report();
    assert!(
        report.contains("1 strings") && report.contains("1 by their literals"),
        "{report}"
    );
    assert_eq!(SweepJob::builder().build().unwrap().record_words(), 0);
}
