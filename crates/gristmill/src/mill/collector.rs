//! Completions become rows, in file order, under one lock. Any worker that finds completions collects them.
//!
//! Chunks finish in any order. The collector keeps, for each file, the number of the chunk that is due. A chunk that
//! comes early waits with its buffer: the chunk before it is in flight already, so the wait is short, and it holds no
//! buffer that a reader needs to make progress.

use super::counters::{count, Counters};
use super::flight::{Finished, Flights};
use super::halo::Landing;
use super::output::OutputQueue;
use super::parts::Parts;
use super::piece::{FileKind, Piece};
use super::row_order::RowOrder;
use super::status::Status;
use crate::error::{FileError, FileErrorKind};
use crate::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk, Records};
use crate::source::{Entry, Origin};
use gristmill_protocol::{completion, fault, slot, stream, PipelineError};
use gristmill_ring::lock;
use gristmill_ring::Completions;
use std::collections::{BTreeMap, HashMap};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// A chunk that has come to the collector.
enum Arrival {
    /// The chunk's slot has run.
    Ran(Finished),
    /// No slot was published for it: it landed nothing, or could not be published.
    Bare { piece: Piece, landing: Landing },
}

impl Arrival {
    fn piece(&self) -> &Piece {
        match self {
            Arrival::Ran(finished) => &finished.part.piece,
            Arrival::Bare { piece, .. } => piece,
        }
    }
}

/// The state of a file whose chunks are being collected.
struct FileProgress<F> {
    entry: Arc<Entry>,
    /// What the job remembers of it; `None` once the job has panicked.
    memory: Option<F>,
    /// The number of the chunk that is due.
    due: u64,
    /// Where the chunk that is due was last resumed, or 0 if it was not.
    resumed: u32,
    /// Chunks whose turn has not come, by number.
    early: BTreeMap<u64, Arrival>,
    /// Bytes handed to the job.
    bytes: u64,
}

impl<F> FileProgress<F> {
    /// The end of a file that was left early.
    fn skipped(&self) -> Step {
        Step::End(FileEnd::Skipped { bytes: self.bytes })
    }
}

/// What the collector's lock guards.
struct Collected<F> {
    /// Present once the kernel runs.
    completions: Option<Completions>,
    /// Open files, keyed by sequence number.
    files: HashMap<u64, FileProgress<F>>,
    rows: RowOrder,
    /// Whether the run has ended, so that later arrivals are dropped.
    over: bool,
}

/// The collector of one run.
pub(super) struct Collector<J: Job> {
    job: Arc<J>,
    geometry: Geometry,
    flights: Arc<Flights<J>>,
    output: Arc<OutputQueue>,
    counters: Arc<Counters>,
    status: Arc<Status>,
    ended: AtomicBool,
    collected: Mutex<Collected<J::File>>,
}

/// What follows a chunk.
enum Step {
    /// It was published again, for its next part.
    Again,
    /// The next chunk of the file.
    Next,
    /// The file's end.
    End(FileEnd),
}

impl Step {
    fn failed(offset: u64, error: impl Into<FileErrorKind>) -> Self {
        Step::End(FileEnd::Failed {
            offset,
            error: error.into(),
        })
    }
}

impl<J: Job> Collector<J> {
    pub fn new(
        job: Arc<J>,
        geometry: Geometry,
        flights: Arc<Flights<J>>,
        rows: RowOrder,
        output: Arc<OutputQueue>,
        counters: Arc<Counters>,
        status: Arc<Status>,
    ) -> Self {
        Self {
            job,
            geometry,
            flights,
            output,
            counters,
            status,
            ended: AtomicBool::new(false),
            collected: Mutex::new(Collected {
                completions: None,
                files: HashMap::new(),
                rows,
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
        let mut collected = if patient {
            lock(&self.collected)
        } else {
            match self.collected.try_lock() {
                Ok(collected) => collected,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            }
        };
        self.drain(&mut collected)
    }

    /// Takes all pending completions. Returns whether it found one.
    fn drain(&self, collected: &mut Collected<J::File>) -> bool {
        let mut any = false;
        while !self.output.is_full() {
            let completions = collected.completions.as_mut();
            let Some(done) = completions.and_then(Completions::next) else {
                break;
            };
            any = true;
            if let Some(finished) = self.flights.land(done) {
                self.arrive(collected, Arrival::Ran(finished));
            }
        }
        any
    }

    /// Hands in a chunk that no slot was published for: an end, an error.
    pub fn hand_in(&self, piece: Piece, landing: Landing) {
        self.arrive(&mut lock(&self.collected), Arrival::Bare { piece, landing });
    }

    fn arrive(&self, collected: &mut Collected<J::File>, arrival: Arrival) {
        let file = &arrival.piece().file;
        let sequence = file.entry.sequence;
        let number = arrival.piece().number;
        if !collected.files.contains_key(&sequence) {
            if collected.over || file.finished.load(Ordering::Relaxed) {
                return;
            }
            count(&self.counters.files);
            let memory = guarded(|| self.job.open(&file.entry));
            let panicked = memory.is_none();
            let progress = FileProgress {
                entry: Arc::clone(&file.entry),
                memory,
                due: 0,
                resumed: 0,
                early: BTreeMap::new(),
                bytes: 0,
            };
            collected.files.insert(sequence, progress);
            let prompt = file.entry.origin != Origin::File;
            collected.rows.begin(sequence, prompt);
            if panicked {
                file.finished.store(true, Ordering::Relaxed);
                return self.close(collected, sequence, job_panicked(0));
            }
        }
        let Collected { files, rows, .. } = collected;
        let Some(progress) = files.get_mut(&sequence) else {
            return;
        };
        if number != progress.due {
            progress.early.insert(number, arrival);
            return;
        }
        let file_rows = rows.rows(sequence);
        let mut next = Some(arrival);
        while let Some(arrival) = next.take() {
            let open_file = Arc::clone(&arrival.piece().file);
            match self.step(progress, file_rows, arrival) {
                Step::Again => break,
                Step::Next => next = progress.early.remove(&progress.due),
                Step::End(end) => {
                    open_file.finished.store(true, Ordering::Relaxed);
                    return self.close(collected, sequence, end);
                }
            }
        }
        rows.spill(sequence);
    }

    /// Processes the chunk that is due.
    fn step(&self, file: &mut FileProgress<J::File>, rows: &mut Vec<u8>, arrival: Arrival) -> Step {
        let (piece, landing, flow) = match arrival {
            Arrival::Bare { piece, landing } => (piece, landing, Flow::Continue),
            Arrival::Ran(finished) => match self.show(file, rows, finished) {
                Ok(shown) => shown,
                Err(step) => return step,
            },
        };
        file.due += 1;
        file.resumed = 0;
        if self.geometry.in_order && !landing.end {
            piece.file.seen.store(file.due, Ordering::Relaxed);
            // Feeders may wait for that: see `Intake::next_piece`.
            self.status.wake();
        }
        match flow {
            Flow::SkipFile => return file.skipped(),
            Flow::Stop => {
                self.status.answer();
                return file.skipped();
            }
            Flow::Continue => {}
        }
        let reached = piece.offset + landing.bytes as u64;
        if let Some(error) = landing.error {
            return Step::failed(reached, error);
        }
        if landing.end {
            let size = piece.file.size.load(Ordering::Relaxed);
            if piece.file.kind() == FileKind::Positioned && reached < size {
                return Step::failed(reached, FileErrorKind::Shrank { size });
            }
            return Step::End(FileEnd::Complete { bytes: reached });
        }
        if self.status.stopping() {
            return file.skipped();
        }
        Step::Next
    }

    /// Shows a part of a chunk that has run to the job. Once no other part of the chunk follows, returns the chunk and
    /// what the job wants next; until then, and where the file ends, the step to take.
    fn show(
        &self,
        file: &mut FileProgress<J::File>,
        rows: &mut Vec<u8>,
        finished: Finished,
    ) -> Result<(Piece, Landing, Flow), Step> {
        let part = &finished.part;
        let offset = part.offset();
        if finished.status != slot::DONE {
            if fault::reason(finished.fault) == fault::CANCELLED {
                // The run was ended in the meantime: the chunk was not processed, but the file is not at fault.
                return Err(file.skipped());
            }
            let error = match self.job.fault(finished.fault) {
                Some(reason) => FileErrorKind::Fault { reason },
                None => FileErrorKind::Pipeline(PipelineError::Fault {
                    slot: finished.slot.index(),
                    tenant: 0,
                    opcode: self.job.opcode(),
                    reason: fault::name(finished.fault & 0xFFFF),
                }),
            };
            return Err(Step::failed(offset, error));
        }
        let own = part.parts.current();
        let overflowed = finished.flags & completion::FLAG_OVERFLOW != 0;
        if overflowed && self.geometry.split {
            let align = self.geometry.align;
            return Err(match part.parts.halved(part.piece.offset, align) {
                Some(parts) => {
                    let first = part.first;
                    self.again(finished, parts, first, 0)
                }
                None => {
                    let block_bytes = own.len();
                    Step::failed(offset, FileErrorKind::TooManyRecords { block_bytes })
                }
            });
        }
        let answer = file.memory.as_mut().zip(self.flights.records());
        let answer = answer.and_then(|(memory, records)| {
            let start = part.landing.start;
            let bytes = finished.chunk.as_slice();
            let landed = LandedChunk {
                offset,
                bytes: bytes
                    .get(start + own.start..start + own.end)
                    .unwrap_or_default(),
                results: finished.results,
                records: Records::Area {
                    memory: records,
                    area: finished.slot.index(),
                    len: finished.records,
                },
                first_part: part.first,
                last_part: !overflowed && part.parts.is_last(),
                stream: part.piece.file.raw == FileKind::Stream,
                decoded: part.piece.file.converter.get().is_some(),
            };
            guarded(|| self.job.chunk(memory, &landed, rows))
        });
        let Some(flow) = answer else {
            // The job's state for this file may be inconsistent, so the job is not called for it again.
            file.memory = None;
            return Err(Step::End(job_panicked(offset)));
        };
        if overflowed && flow == Flow::Continue {
            let resume = finished.results[stream::RESULT_RESUME];
            if resume <= std::mem::replace(&mut file.resumed, resume) {
                // Without this check, the opcode could be resumed for ever.
                return Err(Step::failed(offset, FileErrorKind::ResumedInPlace));
            }
            let parts = part.parts.clone();
            return Err(self.again(finished, parts, false, resume));
        }
        // The job has now seen all of the part's own bytes.
        let bytes = own.len() as u64;
        file.bytes += bytes;
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        let progress = self.status.control.progress();
        progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let (Some(parts), Flow::Continue) = (part.parts.next(), flow) {
            return Err(self.again(finished, parts, false, 0));
        }
        count(&self.counters.chunks);
        let part = finished.part;
        Ok((part.piece, part.landing, flow))
    }

    /// Publishes a chunk once more, for these parts of it.
    fn again(&self, finished: Finished, parts: Parts, first: bool, resume: u32) -> Step {
        let offset = finished.part.piece.offset + parts.current().start as u64;
        match self.flights.republish(finished, parts, first, resume) {
            Ok(()) => Step::Again,
            Err(error) => Step::failed(offset, error),
        }
    }

    /// Closes a file: takes its last rows and its error, and lets out the rows that may now be written.
    fn close(&self, collected: &mut Collected<J::File>, sequence: u64, mut end: FileEnd) {
        let Some(mut file) = collected.files.remove(&sequence) else {
            return;
        };
        file.early.clear();
        let mut rows = collected.rows.end(sequence);
        if let Some(memory) = file.memory.take() {
            let certain = rows.len();
            match guarded(|| self.job.close(memory, &end, &mut rows)) {
                Some(Flow::Stop) => self.status.answer(),
                Some(Flow::Continue | Flow::SkipFile) => {}
                None => {
                    rows.truncate(certain);
                    if !matches!(end, FileEnd::Failed { .. }) {
                        end = job_panicked(file.bytes);
                    }
                }
            }
        }
        if let FileEnd::Failed { offset, error } = end {
            self.output.error(FileError {
                path: Some(file.entry.path.clone()),
                offset: Some(offset),
                kind: error,
            });
        }
        collected.rows.settle(sequence, rows);
        count(&self.status.control.progress().files);
        self.status.closed();
    }

    /// Handles an entry that could not be opened.
    pub fn refuse(&self, entry: &Entry, error: FileErrorKind) {
        let mut collected = lock(&self.collected);
        let mut rows = Vec::new();
        if guarded(|| self.job.refused(entry, &mut rows)).is_none() {
            rows.clear();
        }
        let path = Some(entry.path.clone());
        self.output.error(FileError::new(path, error));
        self.settle(&mut collected, entry, rows);
    }

    /// Passes over an entry that is a file which the run writes.
    pub fn pass_over(&self, entry: &Entry) {
        self.settle(&mut lock(&self.collected), entry, Vec::new());
    }

    /// Settles an entry whose file was never open.
    fn settle(&self, collected: &mut Collected<J::File>, entry: &Entry, rows: Vec<u8>) {
        collected.rows.settle(entry.sequence, rows);
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
        let collected: &mut MutexGuard<'_, Collected<J::File>> = &mut lock(&self.collected);
        self.drain(collected);
        collected.over = true;
        let mut open: Vec<u64> = collected.files.keys().copied().collect();
        open.sort_unstable();
        for sequence in open {
            let bytes = collected.files.get(&sequence).map_or(0, |file| file.bytes);
            let end = if self.status.is_broken() {
                FileEnd::Failed {
                    offset: bytes,
                    error: FileErrorKind::Unfinished,
                }
            } else {
                FileEnd::Skipped { bytes }
            };
            self.close(collected, sequence, end);
        }
        collected.rows.finish();
        self.output.finish();
        self.status.wake();
    }
}

/// Calls the job's own code. `None` if it panics: then its file fails, and the run goes on.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// The end of a file whose job panicked at byte `offset`.
fn job_panicked(offset: u64) -> FileEnd {
    FileEnd::Failed {
        offset,
        error: FileErrorKind::JobPanicked,
    }
}
