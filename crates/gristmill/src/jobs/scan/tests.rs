//! The job against `rg`, without a kernel: chunks are cut anywhere and searched by the plainest code that does what the
//! device promises.

mod device;

use super::*;
use crate::jobs::{FileEnd, Job, LandedChunk, Records};
use crate::source::{Entry, FileFacts, Origin};
use device::{feed, Device};
use fastrand::Rng;
use gristmill_protocol::stream::NONE;
use gristmill_testing::ripgrep;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Ends a file of which `offset` bytes were fed to a job.
pub(super) fn close(
    job: &ScanJob,
    file: ScanFile,
    offset: usize,
    skipped: bool,
    rows: &mut Vec<u8>,
) {
    let bytes = offset as u64;
    let end = if skipped {
        FileEnd::Skipped { bytes }
    } else {
        FileEnd::Complete { bytes }
    };
    job.close(file, &end, rows);
}

/// A small file, in which every byte matters.
fn small_file(random: &mut Rng) -> Vec<u8> {
    let length = random.usize(..120);
    let with_nul = random.usize(..3) == 0;
    let mut file = Vec::new();
    if random.usize(..10) == 0 {
        file.extend_from_slice(b"\xEF\xBB\xBF");
    }
    for _ in 0..length {
        file.push(match random.usize(..12) {
            0 | 1 => b'\n',
            2 => b'\r',
            3 => 0xff,
            4 => b'A',
            5 if with_nul && random.usize(..4) == 0 => 0,
            6..=8 => b'a',
            9 | 10 => b'b',
            _ => b'c',
        });
    }
    file
}

/// A file as large as several of ripgrep's buffers, sometimes with lines longer than a buffer and sometimes with a NUL.
fn large_file(random: &mut Rng) -> Vec<u8> {
    let length = 60_000 + random.usize(..400_000);
    let usual = [20, 200, 3000][random.usize(..3)];
    let mut file = Vec::new();
    while file.len() < length {
        let line = if random.usize(..2000) == 0 {
            random.usize(..250_000)
        } else {
            random.usize(..usual)
        };
        for _ in 0..line {
            file.push(b'x' + random.usize(..3) as u8);
        }
        if random.usize(..if usual > 1000 { 3 } else { 30 }) == 0 {
            file.extend_from_slice(b"abc");
        }
        file.push(b'\n');
    }
    if random.bool() {
        file.pop();
    }
    for _ in 0..[0, 0, 1, 1, 2][random.usize(..5)] {
        let at = random.usize(..file.len());
        file[at] = 0;
    }
    if random.usize(..12) == 0 {
        file.splice(0..0, *b"\xEF\xBB\xBF");
    }
    file
}

fn patterns(random: &mut Rng, large: bool) -> Vec<Vec<u8>> {
    let some: &[&str] = if large {
        &["abc", "bc", "xyzxy", "abca", "zzzzzzzz", ""]
    } else {
        &[
            "a", "b", "aa", "ab", "ba", "abc", "aab", "A", "ca", "bab", "a\r", "aaaa", "",
        ]
    };
    (0..1 + random.usize(..3))
        .map(|_| {
            let mut pick = some[random.usize(..some.len())];
            while pick.is_empty() && random.usize(..4) != 0 {
                pick = some[random.usize(..some.len())];
            }
            pick.as_bytes().to_vec()
        })
        .collect()
}

/// How a file is passed to the search.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Walked,
    Named,
    Mapped,
    Stdin,
}

/// What rg prints and its exit code.
fn rg(arguments: &[String], way: Way, directory: &Path) -> (Vec<u8>, i32) {
    let mut command = Command::new(ripgrep::program().unwrap());
    command
        .args(["--no-config", "-F", "-j1"])
        .args(arguments)
        .stdin(Stdio::null());
    match way {
        Way::Walked => command.arg(directory.join("d")),
        Way::Named => command.arg("--no-mmap").arg(directory.join("d/f")),
        Way::Mapped => command.arg(directory.join("d/f")),
        Way::Stdin => command
            .arg("-")
            .stdin(std::fs::File::open(directory.join("d/f")).unwrap()),
    };
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.stdout, output.status.code().unwrap())
}

/// Removes the lines and fields that depend on the clock.
fn timeless(rows: &[u8]) -> String {
    let mut text = String::new();
    for line in String::from_utf8_lossy(rows).split_inclusive('\n') {
        if line.contains(" seconds") {
            continue;
        }
        match serde_json::from_str::<serde_json::Value>(line) {
            Ok(mut value) if value["type"] == "end" || value["type"] == "summary" => {
                value["data"]["stats"]["elapsed"] = serde_json::Value::Null;
                value["data"]["elapsed_total"] = serde_json::Value::Null;
                text.push_str(&format!("{value}\n"));
            }
            _ => text.push_str(line),
        }
    }
    text
}

/// One comparison with rg on a random file, way and set of flags.
fn compare(seed: u64, large: bool, directory: &Path) {
    let mut random = Rng::with_seed(seed);
    let file = if large {
        large_file(&mut random)
    } else {
        small_file(&mut random)
    };
    let path = directory.join("d/f");
    std::fs::write(&path, &file).unwrap();
    let patterns = patterns(&mut random, large);
    let way = [Way::Walked, Way::Named, Way::Mapped, Way::Stdin][random.usize(..4)];
    let mut arguments = Vec::new();
    let mut flag = |yes: bool, text: &str| {
        if yes {
            arguments.push(text.to_string());
        }
        yes
    };
    let report = [
        Report::Lines,
        Report::Lines,
        Report::Matches,
        Report::Count,
        Report::CountMatches,
        Report::Paths,
        Report::PathsWithout,
        Report::Quiet,
    ][random.usize(..8)];
    flag(
        matches!(report, Report::Matches | Report::CountMatches),
        "-o",
    );
    flag(matches!(report, Report::Count | Report::CountMatches), "-c");
    flag(report == Report::Paths, "-l");
    flag(report == Report::PathsWithout, "--files-without-match");
    flag(report == Report::Quiet, "-q");
    let may_be_json = !report.is_summary() || report == Report::Quiet;
    let json = flag(may_be_json && random.usize(..4) == 0, "--json");
    let totals = flag(random.usize(..4) == 0, "--stats");
    let numbers = flag(random.bool(), "-n");
    let offsets = flag(random.bool() && !json, "-b");
    let color = random.usize(..3) == 0;
    flag(
        true,
        if color {
            "--color=always"
        } else {
            "--color=never"
        },
    );
    let insensitive = flag(random.usize(..3) == 0, "-i");
    let text = flag(random.usize(..5) == 0, "-a");
    let null = flag(random.usize(..6) == 0, "-0");
    let heading = flag(random.usize(..6) == 0, "--heading");
    let with_path = flag(random.usize(..3) == 0, "-H") || way == Way::Walked;
    let limit = (random.usize(..5) == 0).then(|| 1 + random.u64(..3));
    if let Some(limit) = limit {
        flag(true, &format!("-m{limit}"));
    }
    // How far ripgrep goes on after the last line without a match, its totals and what a NUL undoes depend on its reads.
    let may_invert = limit.is_none() && !totals && !json;
    let invert = flag(may_invert && random.usize(..3) == 0, "-v");
    let zero = flag(random.usize(..4) == 0, "--include-zero");
    let columns = flag(random.usize(..5) == 0, "--column");
    let numbers = numbers || (columns && !report.is_summary() && !json);
    let trim = flag(random.usize(..5) == 0, "--trim");
    let most = (random.usize(..4) == 0).then(|| 1 + random.u64(..12));
    if let Some(most) = most {
        flag(true, &format!("-M{most}"));
    }
    let preview = flag(random.bool(), "--max-columns-preview");
    for pattern in &patterns {
        flag(true, "-e");
        flag(true, std::str::from_utf8(pattern).unwrap());
    }
    let (expected, code) = rg(&arguments, way, directory);

    let job = ScanJob::builder()
        .patterns(patterns)
        .report(report)
        .case_insensitive(insensitive)
        .json(json)
        .totals(totals || (json && report == Report::Quiet))
        .line_numbers(numbers || (json && !arguments.contains(&"-N".to_string())))
        .byte_offsets(offsets)
        .color(color)
        .text(text)
        .null(null)
        .invert(invert)
        .include_zero(zero)
        .columns(columns)
        .trim(trim)
        .max_columns(most)
        .max_columns_preview(preview)
        .heading(heading)
        .sequential(true)
        .with_path(with_path)
        .limit(limit)
        .mapped(way == Way::Mapped)
        .build()
        .unwrap();
    let entry = Entry {
        path: if way == Way::Stdin {
            "<stdin>".into()
        } else {
            path.clone()
        },
        explicit: way != Way::Walked,
        origin: if way == Way::Stdin {
            Origin::Stdin
        } else {
            Origin::File
        },
        root: None,
        part: None,
        sequence: 0,
    };
    let size = if large {
        [4096, 65_536, 100_000, 262_144][random.usize(..4)]
    } else {
        [5, 16, 64, 1000][random.usize(..4)]
    };
    let records = [1, 3, 1000][random.usize(..3)];
    let rows = feed(&job, entry, &file, records, || 3 + random.usize(..size));
    let mut output = Vec::new();
    if heading {
        Separated::new(&mut output, "").write_all(&rows).unwrap();
    } else {
        output = rows;
    }
    let elapsed = std::time::Duration::ZERO;
    if json {
        job.totals().write_json(&mut output, elapsed).unwrap();
    } else if totals {
        job.totals().write_text(&mut output, elapsed).unwrap();
    }
    let errors = job.take_errors();
    assert!(errors.is_empty(), "{errors:?}");
    let found = if job.found() { 0 } else { 1 };
    let (got, want) = (timeless(&output), timeless(&expected));
    if got != want || found != code {
        let kept = std::env::temp_dir().join(format!("gristmill-scan-failing-{seed}"));
        std::fs::copy(&path, &kept).unwrap();
        let cut = |text: &str| text.chars().take(1500).collect::<String>();
        let differs = got.lines().zip(want.lines()).position(|(a, b)| a != b);
        panic!(
            "seed {seed} large {large}: rg {arguments:?} {way:?}, chunks below {size}, file in {kept:?}\n\
             got {} bytes, code {found}, wanted {} bytes, code {code}, first different row {differs:?}\n\
             --- got\n{}\n--- wanted\n{}",
            got.len(),
            want.len(),
            cut(got.lines().nth(differs.unwrap_or(0)).unwrap_or("")),
            cut(want.lines().nth(differs.unwrap_or(0)).unwrap_or("")),
        );
    }
}

fn compare_all(seeds: std::ops::Range<u64>, large: bool) {
    if let Err(reason) = ripgrep::program() {
        gristmill_testing::skipped(reason);
        return;
    }
    let name = format!("gristmill-scan-{}-{large}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(directory.join("d")).unwrap();
    for seed in seeds {
        compare(seed, large, &directory);
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The usual seeds, or those of the environment for a long test: `GRISTMILL_SCAN_SEEDS=1000..5000`.
fn seeds(usual: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("GRISTMILL_SCAN_SEEDS") else {
        return usual;
    };
    let (from, to) = text.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn small_files_are_answered_as_ripgrep_answers_them() {
    compare_all(seeds(0..400), false);
}

#[test]
fn large_files_are_answered_as_ripgrep_answers_them() {
    compare_all(seeds(0..60), true);
}

fn entry() -> Entry {
    Entry {
        path: Path::new(std::ffi::OsStr::from_bytes(b"p")).to_path_buf(),
        explicit: true,
        origin: Origin::File,
        root: None,
        part: None,
        sequence: 0,
    }
}

#[test]
fn all_occurrences_are_found_once_and_in_order_however_the_file_is_cut() {
    for seed in 1..300 {
        let mut random = Rng::with_seed(seed);
        let file = small_file(&mut random);
        let patterns: Vec<Vec<u8>> = ["aa", "a", "aab\n", "\nb", "ba", "aaaaaa", "c\na"]
            .iter()
            .take(1 + random.usize(..7))
            .map(|p| p.as_bytes().to_vec())
            .collect();
        let insensitive = random.usize(..3) == 0;
        let device = Device {
            patterns: &patterns,
            insensitive,
            records: 1,
        };
        let mut expected = Vec::new();
        for (start, _, pattern) in device.occurrences(&file) {
            let pattern = &patterns[pattern as usize];
            expected.extend_from_slice(format!("p:{start}:{}:", pattern.len()).as_bytes());
            expected.extend_from_slice(pattern);
            expected.push(b'\n');
        }
        let count = device.occurrences(&file).len();
        for report in [Report::Lines, Report::Count, Report::Quiet] {
            let job = ScanJob::builder()
                .patterns(patterns.clone())
                .case_insensitive(insensitive)
                .with_path(true)
                .report(report)
                .all(true)
                .build()
                .unwrap();
            let rows = feed(&job, entry(), &file, 3, || 1 + random.usize(..9));
            assert_eq!(job.found(), count > 0, "seed {seed}");
            match report {
                Report::Lines => assert_eq!(rows, expected, "seed {seed}"),
                Report::Count if count > 0 => {
                    assert_eq!(rows, format!("p:{count}\n").as_bytes(), "seed {seed}");
                }
                _ => assert!(rows.is_empty(), "seed {seed}"),
            }
        }
    }
}

#[test]
fn a_line_too_long_to_keep_is_read_again() {
    let mut file = b"first\n".to_vec();
    file.resize(file.len() + 2 * carry::CARRY_BYTES, b'x');
    file.extend_from_slice(b"needle\nlast needle");
    let mut again = tempfile::tempfile().unwrap();
    again.write_all(&file).unwrap();
    let facts = FileFacts::new(None, Arc::new(again.into()));
    let job = |binary| {
        ScanJob::builder()
            .pattern("needle")
            .text(binary)
            .max_line_bytes(1 << 30)
            .build()
            .unwrap()
    };
    let size = || 1 << 20;
    let in_file = Entry {
        explicit: false,
        ..entry()
    };
    // Brute force is too slow for this many bytes, so the device is told where to look.
    let feed_long = |job: &ScanJob, entry: Entry| {
        let entry = Arc::new(entry);
        let mut state = job.open(&entry, &facts);
        let mut rows = Vec::new();
        let mut offset = 0;
        for chunk in file.chunks(size()) {
            let first = memchr::memchr(b'\n', chunk);
            let last = memchr::memrchr(b'\n', chunk);
            let word = |position: Option<usize>| position.map_or(NONE, |at| at as u32);
            let finder = memchr::memmem::Finder::new("needle");
            let head = finder
                .find(&chunk[..first.unwrap_or(chunk.len())])
                .is_some();
            let tail = finder.find(&chunk[last.map_or(0, |at| at + 1)..]).is_some();
            let matches = u32::from(head) | u32::from(tail) << 1;
            let landed = LandedChunk {
                offset,
                bytes: chunk,
                results: [0, 0, word(first), word(last), matches, NONE, 0, NONE],
                records: Records::List(&[]),
                first_part: true,
                stream: false,
                decoded: false,
                last_part: true,
            };
            job.chunk(&mut state, &landed, &mut rows);
            offset += chunk.len() as u64;
        }
        job.close(state, &FileEnd::Complete { bytes: offset }, &mut rows);
        rows
    };
    let walked = job(false);
    let mut expected = file[6..].to_vec();
    expected.push(b'\n');
    assert!(feed_long(&walked, in_file) == expected);
    assert!(walked.take_errors().is_empty());
    let streamed = job(true);
    let stdin = Entry {
        origin: Origin::Stdin,
        ..entry()
    };
    assert_eq!(feed_long(&streamed, stdin), b"last needle\n");
    let errors = streamed.take_errors();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].offset, 6);
    assert!(streamed.found());
}

#[test]
fn a_newline_in_a_pattern_is_refused() {
    let build = |all| ScanJob::builder().pattern("a\nb").all(all).build();
    assert!(build(false).is_err());
    assert!(build(true).is_ok());
    assert!(ScanJob::builder().pattern("").all(true).build().is_err());
}
