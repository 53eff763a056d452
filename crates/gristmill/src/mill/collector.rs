//! Completions become rows, in file order, under one lock. Any worker that finds completions collects them.
//!
//! Chunks finish in any order. The collector keeps, for each file and job, the number of the chunk that is due
//! ([`Half`]). A chunk that comes early waits with its buffer: the chunk before it is in flight already, so the wait is
//! short, and it holds no buffer that a reader needs to make progress.
//!
//! Each job ends a file for itself. When all have, the file is done. What failed for all of them is told once.

use super::counters::{count, Counters};
use super::flight::{Flights, Published};
use super::half::{job_panicked, Arrival, Half, Showing, Whose};
use super::halo::Landing;
use super::output::OutputQueue;
use super::piece::{OpenFile, Piece};
use super::row_order::RowOrder;
use super::status::Status;
use super::task::{guarded, Jobs};
use crate::error::{FileError, FileErrorKind};
use crate::jobs::FileEnd;
use crate::source::{Entry, Origin};
use gristmill_ring::lock;
use gristmill_ring::Completions;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// The state of a file whose chunks are being collected.
struct FileProgress {
    file: Arc<OpenFile>,
    /// What each job knows of it, by number; `None` of a job that has done with it.
    halves: Vec<Option<Half>>,
    /// The most bytes that a job was shown.
    bytes: u64,
    /// The most chunks that a job was shown.
    chunks: u64,
    /// Whether its failure was told.
    told: bool,
}

impl FileProgress {
    /// How many chunks every job that takes them in order has seen: more than there are, where there is no such job.
    fn seen(&self, jobs: &Jobs) -> u64 {
        let halves = self.halves.iter().zip(jobs.iter());
        let in_order = halves.filter(|(_, running)| running.geometry.in_order);
        let due = in_order.filter_map(|(half, _)| half.as_ref().map(|half| half.due));
        due.min().unwrap_or(u64::MAX)
    }
}

/// What the collector keeps, behind its lock.
struct Collected {
    completions: Option<Completions>,
    files: HashMap<u64, FileProgress>,
    /// By the jobs' numbers.
    rows: Vec<RowOrder>,
    /// The jobs, as bits by number, that have stopped and left all files.
    left: u64,
    /// Whether the run has ended, so that later arrivals are dropped.
    over: bool,
}

/// The collector of one run.
pub(super) struct Collector {
    jobs: Arc<Jobs>,
    flights: Arc<Flights>,
    output: Arc<OutputQueue>,
    counters: Arc<Counters>,
    status: Arc<Status>,
    ended: AtomicBool,
    collected: Mutex<Collected>,
}

impl Collector {
    pub fn new(
        jobs: Arc<Jobs>,
        flights: Arc<Flights>,
        rows: Vec<RowOrder>,
        output: Arc<OutputQueue>,
        counters: Arc<Counters>,
        status: Arc<Status>,
    ) -> Self {
        Self {
            jobs,
            flights,
            output,
            counters,
            status,
            ended: AtomicBool::new(false),
            collected: Mutex::new(Collected {
                completions: None,
                files: HashMap::new(),
                rows,
                left: 0,
                over: false,
            }),
        }
    }

    /// Attaches the queue from which completions are taken.
    pub fn attach(&self, completions: Completions) {
        lock(&self.collected).completions = Some(completions);
    }

    /// Turns completions into rows. Returns whether it found one. If another worker is collecting already, a `patient`
    /// call waits for its turn: a worker that is about to sleep must wait, or a completion might be missed.
    pub fn collect(&self, patient: bool) -> bool {
        let collected = if patient {
            lock(&self.collected)
        } else {
            match self.collected.try_lock() {
                Ok(collected) => collected,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            }
        };
        self.drain(collected).1
    }

    /// Takes all pending completions. Returns whether it found one. While the host does the rest of an opcode of which a
    /// device has done a part, the lock is free, so that several workers do that at a time.
    fn drain<'a>(
        &'a self,
        mut collected: MutexGuard<'a, Collected>,
    ) -> (MutexGuard<'a, Collected>, bool) {
        let mut any = false;
        while !self.output.is_full() {
            let completions = collected.completions.as_mut();
            let Some(done) = completions.and_then(Completions::next) else {
                break;
            };
            any = true;
            let Some(mut finished) = self.flights.land(done) else {
                continue;
            };
            if finished.unfinished {
                drop(collected);
                finished = self.flights.finish(finished);
                collected = lock(&self.collected);
            }
            self.flights.record(&finished);
            let job = finished.part.job;
            self.arrive(&mut collected, job, Arrival::Ran(finished));
        }
        (collected, any)
    }

    /// Hands in a chunk that no slot was published for, of any job: an end, an error.
    pub fn hand_in(&self, piece: &Piece, landing: &Landing) {
        let collected = &mut lock(&self.collected);
        for job in 0..self.jobs.len() {
            self.bare(collected, job, piece, landing.clone(), Whose::File);
        }
    }

    /// Hands in a chunk for those jobs that have no slot of it.
    pub fn hand_in_rest(&self, piece: &Piece, published: Published) {
        if published.bare.is_empty() && published.refused.is_empty() {
            return;
        }
        let collected = &mut lock(&self.collected);
        for (job, landing) in published.bare {
            self.bare(collected, job, piece, landing, Whose::File);
        }
        for (job, error) in published.refused {
            self.bare(collected, job, piece, Landing::failed(error), Whose::Job);
        }
    }

    fn bare(
        &self,
        collected: &mut Collected,
        job: usize,
        piece: &Piece,
        landing: Landing,
        whose: Whose,
    ) {
        let piece = piece.clone();
        let arrival = Arrival::Bare {
            piece,
            landing,
            whose,
        };
        self.arrive(collected, job, arrival);
    }

    fn arrive(&self, collected: &mut Collected, job: usize, arrival: Arrival) {
        let file = &arrival.piece().file;
        let sequence = file.entry.sequence;
        if !collected.files.contains_key(&sequence) {
            if collected.over || file.finished.load(Ordering::Relaxed) {
                return;
            }
            self.begin(collected, &Arc::clone(file));
        }
        let Collected { files, rows, .. } = collected;
        let Some(progress) = files.get_mut(&sequence) else {
            return;
        };
        let Some(half) = &mut progress.halves[job] else {
            return;
        };
        let order = &mut rows[job];
        let due = half.due;
        let end = self.showing(job, |showing| {
            half.take(showing, order.rows(sequence), arrival)
        });
        let (bytes, chunks, moved) = (half.bytes, half.chunks, half.due > due);
        self.count(progress, bytes, chunks);
        match end {
            Some((end, whose)) => self.close(collected, sequence, job, end, whose),
            None => {
                if moved && self.jobs.get(job).geometry.in_order {
                    self.tell_seen(progress);
                }
                order.spill(sequence);
            }
        }
    }

    /// Calls `show` with what a job's half needs of the run.
    fn showing<T>(&self, job: usize, show: impl FnOnce(&Showing<'_>) -> T) -> T {
        show(&Showing {
            running: self.jobs.get(job),
            flights: &self.flights,
            status: &self.status,
            stop: &|| {
                if self.jobs.stop(job) {
                    self.status.answer();
                }
            },
        })
    }

    /// Begins a file, for all jobs that have not stopped.
    fn begin(&self, collected: &mut Collected, file: &Arc<OpenFile>) {
        count(&self.counters.files);
        let entry = &file.entry;
        let prompt = !matches!(entry.origin, Origin::File | Origin::Object(_));
        let mut panicked = Vec::new();
        let mut halves = Vec::with_capacity(self.jobs.len());
        for (number, running) in self.jobs.iter().enumerate() {
            if running.is_stopped() && self.jobs.len() > 1 {
                file.done_for(number);
                collected.rows[number].settle(entry.sequence, Vec::new());
                halves.push(None);
                continue;
            }
            let half = Half::new(guarded(|| {
                Arc::clone(&running.job).open(entry, &file.facts)
            }));
            if half.has_panicked() {
                panicked.push(number);
            }
            halves.push(Some(half));
            collected.rows[number].begin(entry.sequence, prompt);
        }
        let progress = FileProgress {
            file: Arc::clone(file),
            halves,
            bytes: 0,
            chunks: 0,
            told: false,
        };
        if self.jobs.geometry.in_order {
            self.tell_seen(&progress);
        }
        collected.files.insert(entry.sequence, progress);
        for job in panicked {
            let end = job_panicked(0);
            self.close(collected, entry.sequence, job, end, Whose::Job);
        }
    }

    /// Tells feeders, which may wait for that, how many chunks were seen: see `Intake::next_piece`.
    fn tell_seen(&self, progress: &FileProgress) {
        let seen = progress.seen(&self.jobs);
        if progress.file.seen.swap(seen, Ordering::Relaxed) != seen {
            self.status.wake();
        }
    }

    /// Counts what a job was shown of a file, so far as no other was shown it before.
    fn count(&self, progress: &mut FileProgress, bytes: u64, chunks: u64) {
        let more = bytes.saturating_sub(progress.bytes);
        progress.bytes += more;
        self.counters.bytes.fetch_add(more, Ordering::Relaxed);
        let shown = self.status.control.progress();
        shown.bytes.fetch_add(more, Ordering::Relaxed);
        let more = chunks.saturating_sub(progress.chunks);
        progress.chunks += more;
        self.counters.chunks.fetch_add(more, Ordering::Relaxed);
    }

    /// Ends a file for a job: takes its last rows and its error, and lets out the rows that may now be written. If no
    /// other job needs the file, it is done.
    fn close(
        &self,
        collected: &mut Collected,
        sequence: u64,
        job: usize,
        end: FileEnd,
        whose: Whose,
    ) {
        let Collected { files, rows, .. } = collected;
        let Some(progress) = files.get_mut(&sequence) else {
            return;
        };
        let Some(half) = progress.halves[job].take() else {
            return;
        };
        progress.file.done_for(job);
        let mut last = rows[job].end(sequence);
        let (end, whose) = self.showing(job, |showing| half.close(showing, end, whose, &mut last));
        if let FileEnd::Failed { offset, error } = end {
            let of_file = whose == Whose::File;
            if !of_file || !std::mem::replace(&mut progress.told, true) {
                self.output.error(FileError {
                    path: Some(progress.file.entry.path.clone()),
                    offset: Some(offset),
                    job: self.jobs.error_name(job).filter(|_| !of_file),
                    kind: error,
                });
            }
        }
        rows[job].settle(sequence, last);
        if progress.halves.iter().all(Option::is_none) {
            progress.file.finished.store(true, Ordering::Relaxed);
            files.remove(&sequence);
            count(&self.status.control.progress().files);
            self.status.closed();
        } else if self.jobs.geometry.in_order {
            self.tell_seen(progress);
        }
        let has_left = collected.left >> job & 1 != 0;
        if !has_left && self.jobs.get(job).is_stopped() && !self.status.stopping() {
            collected.left |= 1 << job;
            self.leave(collected, job);
        }
    }

    /// Ends all files for a job that has stopped while others go on.
    fn leave(&self, collected: &mut Collected, job: usize) {
        let open = collected.files.iter();
        let open = open.filter_map(|(sequence, file)| {
            let half = file.halves[job].as_ref()?;
            Some((*sequence, half.bytes))
        });
        let mut open: Vec<(u64, u64)> = open.collect();
        open.sort_unstable();
        for (sequence, bytes) in open {
            let end = FileEnd::Skipped { bytes };
            self.close(collected, sequence, job, end, Whose::File);
        }
    }

    /// Handles an entry that could not be opened.
    pub fn refuse(&self, entry: &Entry, error: FileErrorKind) {
        let mut collected = lock(&self.collected);
        let refused: Vec<Vec<u8>> = (self.jobs.iter())
            .map(|running| {
                let mut rows = Vec::new();
                let asked = self.jobs.len() == 1 || !running.is_stopped();
                if asked && guarded(|| running.job.refused(entry, &error, &mut rows)).is_none() {
                    rows.clear();
                }
                rows
            })
            .collect();
        let path = Some(entry.path.clone());
        self.output.error(FileError::new(path, error));
        self.settle(&mut collected, entry, refused);
    }

    /// Passes over an entry that is a file which the run writes.
    pub fn pass_over(&self, entry: &Entry) {
        let none = self.jobs.iter().map(|_| Vec::new()).collect();
        self.settle(&mut lock(&self.collected), entry, none);
    }

    /// Settles an entry whose file was never open.
    fn settle(&self, collected: &mut Collected, entry: &Entry, rows: Vec<Vec<u8>>) {
        for (order, rows) in collected.rows.iter_mut().zip(rows) {
            order.settle(entry.sequence, rows);
        }
        self.status.closed();
    }

    /// Whether [`Collector::end`] was called.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Closes the files that are still open after a stop, once, and tells the writer that no more rows will come.
    pub fn end(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let (mut collected, _any) = self.drain(lock(&self.collected));
        let collected = &mut *collected;
        collected.over = true;
        let mut open: Vec<u64> = collected.files.keys().copied().collect();
        open.sort_unstable();
        for sequence in open {
            for job in 0..self.jobs.len() {
                let file = collected.files.get(&sequence);
                let half = file.and_then(|file| file.halves[job].as_ref());
                let bytes = half.map_or(0, |half| half.bytes);
                let end = if self.status.is_broken() {
                    FileEnd::Failed {
                        offset: bytes,
                        error: FileErrorKind::Unfinished,
                    }
                } else {
                    FileEnd::Skipped { bytes }
                };
                self.close(collected, sequence, job, end, Whose::File);
            }
        }
        for rows in &mut collected.rows {
            rows.finish();
        }
        self.output.finish();
        self.status.wake();
    }
}
