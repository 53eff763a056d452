//! Jobs, trees of files, and runs over them.

use gristmill::jobs::digest::{Algorithm, Algorithms, DigestJob, DigestRows};
use gristmill::jobs::run::RunJob;
use gristmill::jobs::scan::ScanJob;
use gristmill::jobs::stats::{StatsJob, StatsRows};
use gristmill::jobs::sweep::SweepJob;
use gristmill::jobs::Job;
use gristmill::mill::{Control, Mill, MillBuilder, RunReport, Task};
use gristmill::program::Program;
use gristmill::source::{FileList, Source};
use gristmill_testing::noise;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A program that looks one byte back, and has more records than fit for most chunks.
pub const PAIRS: &str = "
.name    pairs
.before  1
.after   3
.records 64
.acc     lines sum
.reg     at   = r1
.reg     byte = r2
.reg     t    = r3
.reg     one  = r4
    mov   one, 1
    each  at, 1
      ld8   byte, at
      eq    t, byte, '\\n'
      if    t
        ld8   byte, at, -1
        acc   lines, one
        emit  at, byte
      end
    end
";

/// A program whose chunks begin at multiples of 64, and that counts zeros.
pub const ZEROS: &str = "
.name    zeros
.align   64
.acc     zeros sum
.reg     at   = r1
.reg     byte = r2
.reg     t    = r3
    each  at, 1
      ld8   byte, at
      eq    t, byte, 0
      acc   zeros, t
    end
";

pub fn program(text: &str) -> RunJob {
    let program = Program::from_source("test.vasm", text).unwrap();
    RunJob::builder(program).build().unwrap()
}

/// A job of any type, to be run once.
pub trait Once {
    fn task<'a>(&self, rows: &'a mut dyn Write) -> Task<'a>;
}

struct Of<J>(Arc<J>);

impl<J: Job + 'static> Once for Of<J> {
    fn task<'a>(&self, rows: &'a mut dyn Write) -> Task<'a> {
        Task::new(Arc::clone(&self.0), rows)
    }
}

pub fn once<J: Job + 'static>(job: J) -> Box<dyn Once> {
    Box::new(Of(Arc::new(job)))
}

/// The jobs of which subsets are run, by number.
pub const JOBS: usize = 8;

/// The job with this number, new.
pub fn job(number: usize) -> Box<dyn Once> {
    let digest = |algorithms: &[Algorithm], rows| {
        let algorithms: Algorithms = algorithms.iter().copied().collect();
        DigestJob::new(algorithms, rows)
    };
    match number {
        0 => {
            let patterns = ["needle", "eedle", "e"].map(|pattern| pattern.as_bytes().to_vec());
            let job = ScanJob::builder().patterns(patterns).all(true);
            once(job.with_path(true).build().unwrap())
        }
        1 => {
            let job = SweepJob::builder().string("name", "needle");
            let job = job
                .regex("word", "n[a-z]{3,9}e")
                .regex("long", "(?s)<[^>]*>");
            once(job.with_path(true).build().unwrap())
        }
        2 => once(digest(
            &[Algorithm::Blake3, Algorithm::Sha256],
            DigestRows::Tagged,
        )),
        3 => once(StatsJob::new(StatsRows::Text)),
        4 => once(program(PAIRS)),
        5 => once(program(ZEROS)),
        6 => once(digest(&[Algorithm::Crc32c], DigestRows::Text)),
        _ => once(digest(&[Algorithm::Blake3], DigestRows::Json)),
    }
}

/// What a run gave: each job's rows, and the failures.
#[derive(Debug)]
pub struct Given {
    pub rows: Vec<Vec<u8>>,
    pub failures: Vec<String>,
    pub report: RunReport,
}

/// Runs jobs over a source.
pub fn run(mill: &Mill, source: impl Source + 'static, jobs: &[Box<dyn Once>]) -> Given {
    let mut rows: Vec<Vec<u8>> = jobs.iter().map(|_| Vec::new()).collect();
    let failures = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&failures);
    let control = Control::default().on_error(move |error| {
        told.lock().unwrap().push(error.to_string());
    });
    let tasks = jobs.iter().zip(&mut rows);
    let tasks = tasks.map(|(job, rows)| job.task(rows)).collect();
    let report = mill.run_all(source, tasks, &control).unwrap();
    let failures = std::mem::take(&mut *failures.lock().unwrap());
    Given {
        rows,
        failures,
        report,
    }
}

/// A mill for these tests.
pub fn mill(workers: usize, chunk_bytes: usize) -> MillBuilder {
    Mill::builder()
        .workers(workers)
        .chunk_bytes(chunk_bytes)
        .ordered(true)
}

/// Lines in which needles lie across the borders of chunks, and a match that is longer than a chunk.
pub fn text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut number = 0_u64;
    while text.len() < bytes {
        text.extend(format!("line {number} of nothing\n").as_bytes());
        number += 1;
        let at = text.len() % 4096;
        if (4000..4090).contains(&at) {
            text.resize(text.len() + 4096 - at - 3, b'.');
            text.extend(b"needle");
        }
        if number == 500 {
            text.push(b'<');
            text.resize(text.len() + 30_000, b'-');
            text.push(b'>');
        }
    }
    text.truncate(bytes);
    text
}

/// The files of a tree, by name.
pub fn tree(scratch: &Path) -> Vec<PathBuf> {
    let mut files: Vec<(String, Vec<u8>)> = vec![
        ("empty".into(), Vec::new()),
        ("a-byte".into(), b"e".to_vec()),
        ("text".into(), text(300_000)),
        ("whole-chunks".into(), text(2 * 65_536)),
        ("a-page".into(), text(4096)),
        ("noise".into(), noise(1, 150_007)),
        ("zeros".into(), vec![0; 70_000]),
        ("empty-too".into(), Vec::new()),
    ];
    for number in 0..30 {
        files.push((format!("small-{number}"), text(number * 97 + 1)));
    }
    let path = |(name, bytes): (String, Vec<u8>)| {
        let path = scratch.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    files.into_iter().map(path).collect()
}

/// A source of these files.
pub fn list(paths: &[PathBuf]) -> FileList {
    let names: Vec<&[u8]> = (paths.iter())
        .map(|path| path.as_os_str().as_encoded_bytes())
        .collect();
    FileList::new(Cursor::new(names.join(&b"\n"[..])))
}
