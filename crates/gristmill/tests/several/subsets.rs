//! Every subset of jobs, over files as they are and as they fail, by few and many workers and in small chunks.

use crate::world::{job, list, mill, run, text, tree, Given, JOBS};
use gristmill::mill::Mill;
use gristmill_testing::seed;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What each job gives alone, in chunks of its own size.
fn alone(give: &dyn Fn(&Mill, &[usize]) -> Given) -> Vec<Given> {
    let mill = Mill::builder().workers(1).ordered(true).build().unwrap();
    (0..JOBS).map(|number| give(&mill, &[number])).collect()
}

/// Compares every subset of jobs with what each gives alone.
fn compare(seed_name: &str, give: &dyn Fn(&Mill, &[usize]) -> Given) {
    let mut random = fastrand::Rng::with_seed(seed(seed_name));
    let alone = alone(give);
    for subset in 1_u32..1 << JOBS {
        let numbers: Vec<usize> = (0..JOBS).filter(|job| subset >> job & 1 != 0).collect();
        let workers = [1, 3][random.usize(..2)];
        let chunk = [4096, 8192, 20_480, 65_536][random.usize(..4)];
        let mut settings = mill(workers, chunk);
        if random.bool() {
            settings = settings.chunks(random.usize(2..5));
        }
        let given = give(&settings.build().unwrap(), &numbers);
        let about = format!("jobs {numbers:?}, {workers} workers, chunks of {chunk}");
        let mut failures = BTreeSet::new();
        for (rows, number) in given.rows.iter().zip(&numbers) {
            let expected = &alone[*number];
            assert!(*rows == expected.rows[0], "{about}: rows of {number}");
            failures.extend(expected.failures.iter().cloned());
        }
        let mut told = given.failures;
        told.sort_unstable();
        assert_eq!(told, Vec::from_iter(failures), "{about}");
        assert_eq!(given.report.failures, told.len() as u64, "{about}");
        let mut jobs = given.report.jobs.iter();
        assert!(jobs.all(|job| job.bytes == given.report.bytes), "{about}");
    }
}

fn jobs(numbers: &[usize]) -> Vec<Box<dyn crate::world::Once>> {
    numbers.iter().map(|number| job(*number)).collect()
}

#[test]
fn every_subset_gives_of_a_tree_what_each_job_gives_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tree(scratch.path());
    compare("GRISTMILL_SUBSETS_SEED", &|mill, numbers| {
        run(mill, list(&files), &jobs(numbers))
    });
}

#[test]
fn files_that_cannot_be_opened_or_read_are_told_once() {
    let scratch = tempfile::tempdir().unwrap();
    let good = scratch.path().join("good");
    std::fs::write(&good, text(50_000)).unwrap();
    // Reading the last of these fails at its first byte.
    let bad = ["missing", "good/below", "/proc/self/mem"].map(|name| scratch.path().join(name));
    let files: Vec<PathBuf> = bad.into_iter().chain([good]).collect();
    compare("GRISTMILL_REFUSED_SEED", &|mill, numbers| {
        let given = run(mill, list(&files), &jobs(numbers));
        assert_eq!(given.failures.len(), 3, "{:?}", given.failures);
        given
    });
}

/// A FIFO that gives these bytes to the next that opens it, in pieces of a few sizes.
fn fifo(path: &Path, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    let path = path.to_owned();
    std::thread::spawn(move || {
        let mut fifo = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        for (number, piece) in bytes.chunks(7001).enumerate() {
            let (one, other) = piece.split_at(piece.len().min(1 + number * 13));
            fifo.write_all(one).unwrap();
            fifo.write_all(other).unwrap();
        }
    })
}

#[test]
fn every_subset_gives_of_a_stream_what_each_job_gives_alone() {
    let bytes = text(100_001);
    compare("GRISTMILL_STREAMS_SEED", &|mill, numbers| {
        let scratch = tempfile::tempdir().unwrap();
        let name = scratch.path().join("fifo");
        let writer = fifo(&name, bytes.clone());
        let mut given = run(mill, list(std::slice::from_ref(&name)), &jobs(numbers));
        writer.join().unwrap();
        for rows in &mut given.rows {
            let text = String::from_utf8(std::mem::take(rows)).unwrap();
            // Each run has a FIFO of another name.
            *rows = text.replace(name.to_str().unwrap(), "fifo").into_bytes();
        }
        given
    });
}

#[test]
fn rows_come_whole_without_an_order_too() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tree(scratch.path());
    let numbers: Vec<usize> = (0..JOBS).collect();
    let ordered = mill(1, 8192).build().unwrap();
    let expected = run(&ordered, list(&files), &jobs(&numbers));
    let unordered = mill(3, 8192).ordered(false).build().unwrap();
    let given = run(&unordered, list(&files), &jobs(&numbers));
    let sorted = |rows: &[u8]| {
        let mut lines: Vec<Vec<u8>> = (rows.split_inclusive(|byte| *byte == b'\n'))
            .map(<[u8]>::to_vec)
            .collect();
        lines.sort_unstable();
        lines
    };
    for (number, (given, expected)) in given.rows.iter().zip(&expected.rows).enumerate() {
        assert!(sorted(given) == sorted(expected), "{number}");
    }
}
