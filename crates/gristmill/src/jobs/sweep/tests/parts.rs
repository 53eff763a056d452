//! The matches of all parts of a file are those of the file.

use super::{boundary, expected, text, with, Given, REGEXES, STRINGS};
use crate::jobs::stats::{StatsJob, StatsRows};
use crate::jobs::sweep::{Boundary, SweepJob};
use crate::mill::{Control, Mill};
use crate::source::{FilePart, Share, SharePart, ShareSource};
use fastrand::Rng;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Regexes whose matches depend on each other, over runs of one letter.
const CHAINS: &[&str] = &[
    "aa",
    "a.{0,50}b",
    "(?s)a.{1,4000}b",
    "a{3}|aaaaab",
    "(?:aa)+b?",
    "a[^b]*",
];

fn job(given: &[Given], boundary: Option<Boundary>, context: Option<u64>) -> SweepJob {
    let job = SweepJob::builder().context_bytes(context).json(true);
    with(job, given).boundary(boundary).build().unwrap()
}

/// The rows of a part, or of the whole file, and the failures.
fn rows(job: SweepJob, chunk: usize, part: SharePart) -> (Vec<String>, Vec<String>) {
    let mill = Mill::builder()
        .workers(2)
        // Past the page cache, where the file system can.
        .direct(chunk == 8192)
        .chunk_bytes(chunk)
        .build()
        .unwrap();
    let failed = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&failed);
    let control = Control::default().on_error(move |error| {
        told.lock().unwrap().push(error.to_string());
    });
    let mut rows = Vec::new();
    let source = ShareSource::new(Share { parts: vec![part] });
    mill.run(source, Arc::new(job), &mut rows, &control)
        .unwrap();
    let rows = String::from_utf8(rows).unwrap();
    let failed = failed.lock().unwrap().clone();
    (rows.lines().map(str::to_owned).collect(), failed)
}

fn whole(path: &Path, size: usize) -> SharePart {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::metadata(path).unwrap();
    SharePart {
        path: path.to_owned(),
        size: size as u64,
        modified: found.mtime() * 1_000_000_000 + found.mtime_nsec(),
        part: None,
        failed: None,
    }
}

fn part(whole: &SharePart, begin: usize, end: usize) -> SharePart {
    SharePart {
        part: Some(FilePart {
            begin: begin as u64,
            end: end as u64,
            size: whole.size,
            modified: whole.modified,
        }),
        ..whole.clone()
    }
}

#[test]
fn the_rows_of_all_parts_are_those_of_the_file() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_PARTS_SEED"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    for round in 0..30 {
        let given: Vec<Given> = (0..rng.usize(1..6))
            .map(|_| match rng.usize(..3) {
                0 => Given::String(STRINGS[rng.usize(..STRINGS.len())]),
                1 => Given::Regex(CHAINS[rng.usize(..CHAINS.len())]),
                _ => Given::Regex(REGEXES[rng.usize(..REGEXES.len())]),
            })
            .collect();
        let length = *rng.choice(&[0, 1, 5000, 30_000]).unwrap();
        let length = rng.usize(..=length);
        let bytes = match rng.usize(..4) {
            0 => vec![b'a'; length],
            1 => (0..length)
                .map(|_| if rng.u8(..30) == 0 { b'b' } else { b'a' })
                .collect(),
            _ => text(&mut rng, length),
        };
        std::fs::write(&path, &bytes).unwrap();
        let whole = whole(&path, length);
        let context = match length {
            ..2000 => rng.choice(&[Some(20), Some(4096)]).copied().unwrap(),
            _ => rng.choice(&[None, Some(0), Some(20)]).copied().unwrap(),
        };
        let boundary = boundary(&mut rng);
        let chunk = *rng.choice(&[4096, 8192, 65_536]).unwrap();
        let (all, failed) = rows(job(&given, boundary, context), chunk, whole.clone());
        assert!(failed.is_empty());
        assert_eq!(all.len(), expected(&given, &bytes, boundary, false).len());
        let mut cuts: Vec<usize> = (0..rng.usize(..5)).map(|_| rng.usize(..=length)).collect();
        cuts.extend([0, length]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut of_parts = Vec::new();
        for pair in cuts.windows(2) {
            let one = part(&whole, pair[0], pair[1]);
            let chunk = *rng.choice(&[4096, 8192, 65_536]).unwrap();
            let (rows, failed) = rows(job(&given, boundary, context), chunk, one);
            assert!(failed.is_empty(), "{failed:?}");
            of_parts.extend(rows);
        }
        if length == 0 {
            continue;
        }
        let (mut all, mut of_parts) = (all, of_parts);
        all.sort_unstable();
        of_parts.sort_unstable();
        assert!(
            all == of_parts,
            "round {round}: {given:?} {boundary:?} in {length} bytes, cut at {cuts:?}: {} rows, and {} of parts",
            all.len(),
            of_parts.len()
        );
    }
}

#[test]
fn a_part_of_a_file_that_has_changed_or_of_a_job_of_whole_files_fails() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, vec![b'a'; 10_000]).unwrap();
    let found = whole(&path, 10_000);
    let given = [Given::String(b"aa")];
    let (rows_there, failed) = rows(job(&given, None, None), 4096, part(&found, 5000, 10_000));
    assert_eq!((rows_there.len(), failed.len()), (4999, 0));

    let mut longer = part(&found, 5000, 9000);
    longer.part.as_mut().unwrap().size = 9000;
    let (none, failed) = rows(job(&given, None, None), 4096, longer);
    assert!(
        none.is_empty() && failed[0].contains("9000 bytes when it was cut"),
        "{failed:?}"
    );

    let mut changed = part(&found, 5000, 10_000);
    changed.part.as_mut().unwrap().modified -= 1;
    let (none, failed) = rows(job(&given, None, None), 4096, changed);
    assert!(
        none.is_empty() && failed[0].contains("was changed"),
        "{failed:?}"
    );

    // A share may come from anywhere.
    let most = usize::MAX;
    for (begin, end) in [(6000, 5000), (5000, 10_001), (10_001, 10_001), (most, most)] {
        let given = [Given::Regex("a")];
        let outside = part(&found, begin, end);
        let (none, failed) = rows(job(&given, None, None), 4096, outside);
        assert!(
            none.is_empty() && failed[0].contains("no part of a file of 10000 bytes"),
            "{failed:?}"
        );
    }

    let mill = Mill::builder().workers(1).build().unwrap();
    let mut rows = Vec::new();
    let parts = vec![part(&found, 0, 5000)];
    let source = ShareSource::new(Share { parts });
    let job = Arc::new(StatsJob::new(StatsRows::Text));
    let report = mill
        .run(source, job, &mut rows, &Control::default())
        .unwrap();
    assert_eq!((report.failures, rows.len()), (1, 0));
}
