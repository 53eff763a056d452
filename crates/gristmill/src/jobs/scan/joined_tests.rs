//! Regexes over lines that are cut into chunks anywhere: the real engine over each chunk, and the host's half.

use super::error::ScanErrorKind;
use super::*;
use crate::jobs::{Flow, Job, LandedChunk, Records};
use crate::source::{Entry, FileFacts, Origin};
use fastrand::Rng;
use gristmill_megakernel::StreamSlot;
use gristmill_patterns::{LineMatcher, LineSettings};
use gristmill_ring::RecordMemory;
use std::path::Path;
use std::sync::Arc;

/// Feeds a file to a job in chunks of the sizes that `next_size` gives.
fn feed(job: &ScanJob, entry: Entry, bytes: &[u8], mut next_size: impl FnMut() -> usize) -> String {
    let entry = Arc::new(entry);
    let stream_job = job.stream_job().unwrap();
    let memory = RecordMemory::new(1, 1 << 12).unwrap();
    let mut file = job.open(&entry, &FileFacts::default());
    let (mut rows, mut offset, mut skipped) = (Vec::new(), 0, false);
    while offset < bytes.len() && !skipped {
        let end = bytes.len().min(offset + next_size());
        let chunk = &bytes[offset..end];
        let slot = StreamSlot {
            mode: job.mode(&entry, offset as u64),
            offset: offset as u64,
            ..StreamSlot::default()
        };
        let mut writer = memory.writer(0).unwrap();
        let outcome = stream_job.run(chunk, &slot, &mut writer).unwrap();
        let landed = LandedChunk {
            offset: offset as u64,
            bytes: chunk,
            results: outcome.results,
            records: Records::Area {
                memory: &memory,
                area: 0,
                len: outcome.records,
            },
            first_part: true,
            last_part: true,
            stream: false,
            decoded: false,
        };
        skipped = job.chunk(&mut file, &landed, &mut rows) != Flow::Continue;
        offset = end;
    }
    super::tests::close(job, file, offset, skipped, &mut rows);
    String::from_utf8_lossy(&rows).into_owned()
}

fn entry(origin: Origin) -> Entry {
    Entry {
        path: "f".into(),
        explicit: true,
        origin,
        root: None,
        part: None,
        sequence: 0,
    }
}

#[test]
fn a_line_is_searched_as_a_whole_wherever_it_is_cut() {
    let mut random = Rng::with_seed(gristmill_testing::seed("JOINED_SEED"));
    let regexes = [
        "^ab.*cd$", r"\bab\b", "a.{5}b", "^$", "x*", r"[^a]\z", "(?i)k", r"^\w+$", "bc",
    ];
    for _ in 0..2_000 {
        let pieces = ["ab", "cd", "a", "b", "\u{212A}", "é", " ", "\n"];
        let text: String = (0..random.usize(..50))
            .map(|_| pieces[random.usize(..8)])
            .collect();
        let regex = regexes[random.usize(..regexes.len())];
        let alone = LineMatcher::build(&[regex], &LineSettings::default()).unwrap();
        let lines: Vec<&str> = text
            .split_inclusive('\n')
            .filter(|line| alone.is_match(line.as_bytes()))
            .collect();
        for report in [Report::Lines, Report::Count, Report::Paths] {
            let job = ScanJob::builder()
                .pattern(regex)
                .regex(true)
                .report(report)
                .build()
                .unwrap();
            let most = 1 + random.usize(..30);
            let rows = feed(&job, entry(Origin::File), text.as_bytes(), || {
                1 + random.usize(..most)
            });
            let mut expected = match report {
                Report::Count if !lines.is_empty() => format!("{}\n", lines.len()),
                Report::Paths if !lines.is_empty() => "f\n".to_owned(),
                Report::Lines => lines.concat(),
                _ => String::new(),
            };
            if !expected.is_empty() && !expected.ends_with('\n') {
                expected.push('\n');
            }
            assert_eq!(rows, expected, "{report:?} {regex} {text:?}");
            assert_eq!(job.found(), !lines.is_empty());
            assert!(job.take_errors().is_empty());
        }
    }
}

#[test]
fn a_line_that_cannot_be_searched_as_a_whole_is_an_error_with_its_place() {
    let long = "x".repeat(9 << 20);
    let text = format!("ab\n{long}ab\nab\n");
    for report in [Report::Lines, Report::Count, Report::Paths] {
        for (origin, most) in [(Origin::Stdin, u64::MAX), (Origin::File, 1 << 20)] {
            let job = ScanJob::builder()
                .pattern("xa?b$")
                .regex(true)
                .report(report)
                .max_line_bytes(most)
                .build()
                .unwrap();
            let rows = feed(&job, entry(origin), text.as_bytes(), || 1 << 20);
            assert_eq!(rows, "");
            let errors = job.take_errors();
            assert_eq!(errors.len(), 1, "{report:?} {errors:?}");
            assert_eq!(
                (errors[0].path.as_path(), errors[0].offset),
                (Path::new("f"), 3)
            );
            match (&errors[0].kind, most) {
                (ScanErrorKind::LineOfStreamUnsearched, u64::MAX) => {}
                (ScanErrorKind::LongLineUnsearched { bytes }, _) => {
                    assert_eq!(*bytes, long.len() as u64 + 3);
                }
                (kind, _) => panic!("{report:?}: {kind}"),
            }
        }
    }
}
