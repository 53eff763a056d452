//! Jobs over files that the self-test makes: on the back end, and beside it on one thread of the processor.

use super::texts::Text;
use crate::replay;
use fastrand::Rng;
use gristmill::jobs::digest::DigestJob;
use gristmill::jobs::scan::ScanJob;
use gristmill::jobs::sweep::SweepJob;
use gristmill::megakernel::backend::{self, BackendName, SelectedBackend};
use gristmill::megakernel::RingLogReader;
use gristmill::mill::{Control, Mill, Task};
use gristmill::replay::{Replay, ReplayReport};
use gristmill::source::Tree;
use gristmill_conformance::{within_limit, Verdict, LIMIT};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc, Mutex, MutexGuard, PoisonError};
use tempfile::TempDir;

/// The sizes of chunks on the back end. A text has a plant at each multiple of the first.
pub const CHUNKS: [usize; 2] = [4096, 64 << 10];

/// The size of chunks that hold a file.
pub const WHOLE: usize = 1 << 20;

/// The outcome of a case: what it ran, or why it stopped.
pub type Checked = Result<String, Verdict>;

/// Makes a message the reason of a failure.
pub fn failed(what: impl ToString) -> Verdict {
    Verdict::Failed(what.to_string())
}

/// A job of a run.
pub enum Asked {
    Scan(Arc<ScanJob>),
    Sweep(Arc<SweepJob>),
    Digest(Arc<DigestJob>),
}

/// What a run left.
struct Ran {
    /// The rows of each job.
    rows: Vec<Vec<u8>>,
    /// Of each job of which a device did a part: who did what.
    divided: Vec<Option<String>>,
}

/// What cases run on.
pub struct World<'a> {
    pub backend: &'a SelectedBackend,
    pub seed: u64,
}

impl World<'_> {
    /// A case's own stream of random numbers; `salt` keeps the streams of different cases apart.
    pub fn numbers(&self, salt: u64) -> Rng {
        Rng::with_seed(self.seed ^ (0x100 + salt) << 48)
    }

    /// A folder with these texts as files.
    fn folder(texts: &[Text]) -> Result<TempDir, Verdict> {
        let refused = |error: std::io::Error| {
            Verdict::Skipped(format!(
                "no files could be made in {}: {error}; name another folder in TMPDIR",
                std::env::temp_dir().display()
            ))
        };
        let folder = tempfile::tempdir().map_err(refused)?;
        for (number, text) in texts.iter().enumerate() {
            let path = folder.path().join(format!("file-{number}"));
            std::fs::write(path, &text.bytes).map_err(refused)?;
        }
        Ok(folder)
    }

    fn run(&self, chunk: usize, log: Option<Log>) -> Run {
        Run {
            backend: self.backend.clone(),
            workers: 2,
            chunk,
            log,
        }
    }

    /// Records a run of jobs over texts on the back end, and runs its slots again, on one thread and on the back end: each
    /// leaves what it left.
    pub fn replays(&self, texts: &[Text], jobs: Vec<Asked>) -> Checked {
        let folder = Self::folder(texts)?;
        let log = Log::default();
        self.run(CHUNKS[1], Some(log.clone()))
            .over(folder.path(), jobs)?;
        let mut told = String::new();
        for backend in [cpu()?, self.backend.clone()] {
            let (stop, log) = (Arc::<AtomicBool>::default(), log.clone());
            let stopped = Arc::clone(&stop);
            let name = backend.backend.name();
            let report = limited(&stop, move || {
                let log = log.bytes().clone();
                let mut log = RingLogReader::new(log.as_slice()).map_err(failed)?;
                let replay = Replay::new(&*backend.backend).workers(2).stop_at(&stopped);
                replay.run(&mut log).map_err(failed)
            })?;
            if let Some((slot, difference)) = &report.first {
                let (count, slots) = (report.differing, report.slots);
                let first = replay::told(slot, difference);
                let what =
                    format!("{count} of {slots} slots left other results; the first: {first}");
                return Err(failed(format!("on {name}, {what}")));
            }
            if !report.is_same() {
                let ReplayReport { lost, damage, .. } = report;
                let what = format!("on {name}, {lost} slots could not run again ({damage:?})");
                return Err(failed(what));
            }
            told = format!("{} slots over {} bytes", report.slots, report.bytes);
        }
        Ok(told)
    }

    /// Runs jobs over texts on the back end, in chunks of each of these sizes, and compares their rows with those of one
    /// thread, whose chunks hold whole files. Each job has at least `least` rows. `divided` says of each job whether a
    /// device does a part of it at most, and the host the rest.
    pub fn agree(
        &self,
        texts: &[Text],
        chunks: &[usize],
        least: usize,
        divided: &[bool],
        jobs: impl Fn() -> Result<Vec<Asked>, String>,
    ) -> Checked {
        let folder = Self::folder(texts)?;
        let jobs = || jobs().map_err(failed);
        let one = Run {
            backend: cpu()?,
            workers: 1,
            chunk: WHOLE,
            log: None,
        };
        let expected = one.over(folder.path(), jobs()?)?.rows;
        let mut counts = Vec::new();
        for rows in &expected {
            let count = rows.iter().filter(|byte| **byte == b'\n').count();
            if count < least {
                let what = format!("one thread has {count} rows, and {least} matches were planted");
                return Err(failed(what));
            }
            counts.push(count.to_string());
        }
        let mut told = format!("{} rows", counts.join(" and "));
        let on_device = self.backend.backend.device().is_some();
        let mut parts = None;
        for chunk in chunks {
            let ran = self.run(*chunk, None).over(folder.path(), jobs()?)?;
            for (number, (got, part)) in ran.rows.iter().zip(&ran.divided).enumerate() {
                let which = match ran.rows.len() {
                    1 => format!("in chunks of {chunk} bytes"),
                    _ => format!("job {} in chunks of {chunk} bytes", number + 1),
                };
                if let Some(what) = difference(got, &expected[number], folder.path()) {
                    return Err(failed(format!("{which}: {what}")));
                }
                if part.is_some() != (on_device && divided[number]) {
                    let what = match part {
                        Some(part) => format!("a part of it was done elsewhere: {part}"),
                        None => "the device did no part of it".to_owned(),
                    };
                    return Err(failed(format!("{which}: {what}")));
                }
            }
            parts = ran.divided.into_iter().flatten().next();
        }
        if let Some(part) = parts {
            told += &format!(": {part}");
        }
        Ok(told)
    }
}

/// The processor's threads.
fn cpu() -> Result<SelectedBackend, Verdict> {
    backend::open(BackendName::Cpu, None).map_err(failed)
}

/// Where and how jobs run.
struct Run {
    backend: SelectedBackend,
    workers: usize,
    chunk: usize,
    /// Where the run is recorded, if it is.
    log: Option<Log>,
}

/// A ring log in memory. Clones are handles to the same.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Ends what does not end by itself.
fn limited<T: Send + 'static>(
    stop: &Arc<AtomicBool>,
    work: impl FnOnce() -> Result<T, Verdict> + Send + 'static,
) -> Result<T, Verdict> {
    within_limit(work).unwrap_or_else(|| {
        stop.store(true, Ordering::Relaxed);
        let seconds = LIMIT.as_secs();
        let what = format!("a run over small files did not end within {seconds} s, or panicked");
        Err(failed(what))
    })
}

impl Run {
    /// Runs jobs over the files of a folder.
    fn over(self, folder: &Path, jobs: Vec<Asked>) -> Result<Ran, Verdict> {
        let (stop, folder) = (Arc::default(), folder.to_owned());
        let control = Control::with_stop(Arc::clone(&stop));
        limited(&stop, move || self.now(folder, jobs, control))
    }

    fn now(self, folder: PathBuf, jobs: Vec<Asked>, control: Control) -> Result<Ran, Verdict> {
        let mill = Mill::builder()
            .backend(self.backend)
            .workers(self.workers)
            .chunk_bytes(self.chunk)
            .ordered(true)
            .build()
            .map_err(failed)?;
        let files = Tree::new([folder]).sorted(true).walk().map_err(failed)?;
        let mut rows = vec![Vec::new(); jobs.len()];
        let tasks = jobs.into_iter().zip(&mut rows);
        let tasks = tasks.map(|(job, rows)| match job {
            Asked::Scan(job) => Task::new(job, rows),
            Asked::Sweep(job) => Task::new(job, rows),
            Asked::Digest(job) => Task::new(job, rows),
        });
        let control = match self.log {
            Some(log) => control.record(log),
            None => control,
        };
        let (errors, first) = mpsc::channel();
        let control = control.on_error(move |error| {
            let _ = errors.send(error.to_string());
        });
        let report = mill.run_all(files, tasks.collect(), &control);
        let report = report.map_err(failed)?;
        if let Ok(first) = first.try_recv() {
            let count = report.failures;
            return Err(failed(format!("{count} files failed; the first: {first}")));
        }
        report.record.map_err(failed)?;
        let divided = report.jobs.into_iter().map(|job| job.divided).collect();
        Ok(Ran { rows, divided })
    }
}

/// What differs in rows of the back end and of one thread; `None` if nothing does. Paths are shown without the folder.
fn difference(got: &[u8], expected: &[u8], folder: &Path) -> Option<String> {
    if got == expected {
        return None;
    }
    let shown = |row: &[u8]| {
        let row = String::from_utf8_lossy(row).replace(&format!("{}/", folder.display()), "");
        let short: String = row.chars().take(200).collect();
        format!("{short:?}")
    };
    let lines = |rows: &[u8]| rows.iter().filter(|byte| **byte == b'\n').count();
    let counted = format!("{} rows instead of {}", lines(got), lines(expected));
    let mut rows = got.split_inclusive(|byte| *byte == b'\n');
    let mut others = expected.split_inclusive(|byte| *byte == b'\n');
    let mut number = 0;
    loop {
        number += 1;
        let told = match (rows.next(), others.next()) {
            (Some(row), Some(other)) if row == other => continue,
            (Some(row), Some(other)) => format!("got {}, expected {}", shown(row), shown(other)),
            (Some(row), None) => format!("got {}, expected no more", shown(row)),
            (None, Some(other)) => format!("got no more, expected {}", shown(other)),
            (None, None) => return Some(counted),
        };
        return Some(format!(
            "{counted}; the first that differs is row {number}: {told}"
        ));
    }
}
