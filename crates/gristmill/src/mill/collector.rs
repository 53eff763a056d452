//! Completions become rows, in file order.
//!
//! Chunks finish in any order. The collector keeps, for each file, the number of the chunk that is due; a chunk that comes
//! early waits with its buffer (its predecessor is in flight already, so the wait is short and takes no buffer that
//! anybody needs to go on). A file's rows stay together: at most one file at a time, the *writing* one, has rows out
//! before it has ended; the rows of all others are held until they end.

use super::held::HeldSlot;
use super::record::record;
use super::report::FileError;
use super::run::{Flight, Kind, Landing, Piece, Run};
use super::split::Parts;
use crate::jobs::{FileEnd, Flow, Job, LandedChunk, Records, SlotPlace};
use crate::source::{Entry, Origin};
use gristmill_protocol::{
    completion, fault, slot, stream, PipelineError, ARGS_PER_SLOT, SLOT_WORDS,
};
use gristmill_ring::{ChunkBuf, Completion, Completions, Submission};
use std::collections::{BTreeMap, HashMap};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Rows, in bytes, that a file may gather before it asks to be the one that is written as it goes.
const GATHER_BYTES: usize = 64 << 10;

const _: () = assert!(stream::ARG_RESUME < SLOT_WORDS);

/// A finished slot whose chunk is back with the host. Dropping it makes both free again.
struct Finished {
    slot: HeldSlot,
    chunk: ChunkBuf,
    parts: Parts,
    mode: u32,
    first_part: bool,
    status: u32,
    fault: u32,
    results: [u32; 8],
    records: u32,
    flags: u32,
}

/// A chunk whose turn has not come.
struct Waiting {
    piece: Piece,
    landing: Landing,
    finished: Option<Finished>,
}

struct FileState<F> {
    entry: Arc<Entry>,
    state: Option<F>,
    due: u64,
    /// Where the chunk that is due was resumed last; 0 before it was.
    resumed: u32,
    early: BTreeMap<u64, Waiting>,
    rows: Vec<u8>,
    /// How many bytes of `rows` are counted in `held`.
    counted: usize,
    bytes: u64,
}

pub(super) struct Collector<J: Job> {
    completions: Completions,
    files: HashMap<u64, FileState<J::File>>,
    /// In the source's order: the next file whose rows may go out.
    next_out: u64,
    /// Rows of files that have ended and may not go out yet, by sequence.
    ended: BTreeMap<u64, Vec<u8>>,
    /// The file that is written as it goes.
    writing: Option<u64>,
    /// Rows held, of open and of ended files, in bytes.
    held: usize,
    /// The run was ended: what still arrives is passed over.
    over: bool,
}

impl<J: Job> Collector<J> {
    pub fn new(completions: Completions) -> Self {
        Self {
            completions,
            files: HashMap::new(),
            next_out: 0,
            ended: BTreeMap::new(),
            writing: None,
            held: 0,
            over: false,
        }
    }

    /// Takes every completion that is there; whether there was one.
    pub fn drain(&mut self, run: &Run<J>) -> bool {
        let mut any = false;
        while !run.outbox.is_full() {
            let Some(done) = self.completions.next() else {
                break;
            };
            any = true;
            self.completed(run, done);
        }
        any
    }

    fn completed(&mut self, run: &Run<J>, done: Completion) {
        let flight = run
            .flights
            .get(done.token.index().get() as usize)
            .and_then(|flight| super::run::lock(flight).take());
        let Some(port) = run.port.get() else {
            return;
        };
        let Some(Flight {
            piece,
            landing,
            lent,
            parts,
            mode,
            first_part,
            args,
        }) = flight
        else {
            // Nothing was in flight there: a slot that this run did not publish.
            drop(HeldSlot::new(done.token, &port.submitter));
            return;
        };
        let chunk = lent.reclaim_completed();
        record(run, &piece, &landing, &parts, args, &chunk, &done);
        let finished = Finished {
            slot: HeldSlot::new(done.token, &port.submitter),
            chunk,
            parts,
            mode,
            first_part,
            status: done.status,
            fault: done.fault,
            results: done.results,
            records: done.records,
            flags: done.flags,
        };
        self.arrive(
            run,
            Waiting {
                piece,
                landing,
                finished: Some(finished),
            },
        );
    }

    /// A chunk without a slot: it landed nothing, or could not be published.
    pub fn hand_in(&mut self, run: &Run<J>, piece: Piece, landing: Landing) {
        self.arrive(
            run,
            Waiting {
                piece,
                landing,
                finished: None,
            },
        );
    }

    fn arrive(&mut self, run: &Run<J>, waiting: Waiting) {
        let file = &waiting.piece.file;
        let sequence = file.entry.sequence;
        let number = waiting.piece.number;
        if !self.files.contains_key(&sequence) {
            if self.over || file.finished.load(Ordering::Relaxed) {
                return;
            }
            run.files.fetch_add(1, Ordering::Relaxed);
            let state = guarded(|| run.job.open(&file.entry));
            let panicked = state.is_none();
            self.files.insert(
                sequence,
                FileState {
                    entry: Arc::clone(&file.entry),
                    state,
                    due: 0,
                    resumed: 0,
                    early: BTreeMap::new(),
                    rows: Vec::new(),
                    counted: 0,
                    bytes: 0,
                },
            );
            if panicked {
                file.finished.store(true, Ordering::Relaxed);
                return self.close(run, sequence, job_panicked(0));
            }
        }
        let Some(state) = self.files.get_mut(&sequence) else {
            return;
        };
        if number != state.due {
            state.early.insert(number, waiting);
            return;
        }
        let mut next = Some(waiting);
        while let Some(waiting) = next.take() {
            let open_file = Arc::clone(&waiting.piece.file);
            match Self::process(run, state, waiting) {
                Step::Again => return self.spill(run, sequence),
                Step::Next => next = state.early.remove(&state.due),
                Step::End(end) => {
                    open_file.finished.store(true, Ordering::Relaxed);
                    return self.close(run, sequence, end);
                }
            }
        }
        self.spill(run, sequence);
    }

    /// The chunk that is due.
    fn process(run: &Run<J>, file: &mut FileState<J::File>, waiting: Waiting) -> Step {
        let Waiting {
            piece,
            landing,
            finished,
        } = waiting;
        let mut flow = Flow::Continue;
        if let Some(finished) = finished {
            let chunk_offset = piece.offset;
            if finished.status != slot::DONE && fault::reason(finished.fault) == fault::CANCELLED {
                // The run was ended meanwhile: not done, and nothing is wrong with the file.
                drop(finished);
                return Step::End(FileEnd::Skipped { bytes: file.bytes });
            }
            if finished.status != slot::DONE {
                let error = match run.job.fault(finished.fault) {
                    Some(reason) => PipelineError::Backend(reason),
                    None => PipelineError::Fault {
                        slot: finished.slot.index(),
                        tenant: 0,
                        opcode: run.job.opcode(),
                        reason: fault::name(finished.fault & 0xFFFF),
                    },
                };
                let offset = chunk_offset + finished.parts.current().start as u64;
                drop(finished);
                return Step::End(FileEnd::Failed { offset, error });
            }
            let overflowed = finished.flags & completion::FLAG_OVERFLOW != 0;
            let splits = run.config.layout.geometry.split;
            if overflowed && splits {
                let align = run.config.layout.geometry.align;
                let Some(parts) = finished.parts.halved(chunk_offset, align) else {
                    let block = finished.parts.current();
                    drop(finished);
                    return Step::End(FileEnd::Failed {
                        offset: chunk_offset + block.start as u64,
                        error: PipelineError::Backend(format!(
                            "more records than the program declares in one block of {} bytes; declare more, or a \
                             smaller align",
                            block.len()
                        )),
                    });
                };
                let first_part = finished.first_part;
                return again(run, piece, landing, finished, parts, first_part, 0);
            }
            let area = finished.slot.index();
            let answer = match (file.state.as_mut(), run.port.get()) {
                (Some(state), Some(port)) => {
                    let part = finished.parts.current();
                    let landed = LandedChunk {
                        offset: chunk_offset + part.start as u64,
                        bytes: finished
                            .chunk
                            .as_slice()
                            .get(landing.start + part.start..landing.start + part.end)
                            .unwrap_or(&[]),
                        results: finished.results,
                        records: Records::Area {
                            memory: &port.records,
                            area,
                            len: finished.records,
                        },
                        first_part: finished.first_part,
                        last_part: !overflowed && finished.parts.is_last(),
                        stream: piece.file.kind == Kind::Stream,
                    };
                    guarded(|| run.job.chunk(state, &landed, &mut file.rows))
                }
                _ => None,
            };
            let Some(answer) = answer else {
                // What the job remembers of this file may be half done: it is not asked again.
                file.state = None;
                let offset = chunk_offset + finished.parts.current().start as u64;
                drop(finished);
                return Step::End(job_panicked(offset));
            };
            flow = answer;
            if overflowed && flow == Flow::Continue {
                let (parts, resume) = (
                    finished.parts.clone(),
                    finished.results[stream::RESULT_RESUME],
                );
                if resume <= std::mem::replace(&mut file.resumed, resume) {
                    // Else this would go on for ever.
                    let offset = chunk_offset + parts.current().start as u64;
                    drop(finished);
                    return Step::End(FileEnd::Failed {
                        offset,
                        error: PipelineError::Backend(
                            "the kernel goes on where it has been before; please report this"
                                .into(),
                        ),
                    });
                }
                return again(run, piece, landing, finished, parts, false, resume);
            }
            // The part's own bytes, of which the job has now seen all that it wants.
            let bytes = finished.parts.current().len() as u64;
            file.bytes += bytes;
            run.bytes.fetch_add(bytes, Ordering::Relaxed);
            run.control
                .progress
                .bytes
                .fetch_add(bytes, Ordering::Relaxed);
            if let (Some(parts), Flow::Continue) = (finished.parts.next(), flow) {
                return again(run, piece, landing, finished, parts, false, 0);
            }
            drop(finished);
            run.chunks.fetch_add(1, Ordering::Relaxed);
        }
        file.due += 1;
        file.resumed = 0;
        match flow {
            Flow::SkipFile => return Step::End(FileEnd::Skipped { bytes: file.bytes }),
            Flow::Stop => {
                run.answered.store(true, Ordering::Relaxed);
                return Step::End(FileEnd::Skipped { bytes: file.bytes });
            }
            Flow::Continue => {}
        }
        let read_error = |offset: u64, reason: String| PipelineError::Read {
            path: file.entry.path.display().to_string(),
            offset,
            errno: None,
            reason,
        };
        let reached = piece.offset + landing.bytes as u64;
        if let Some(reason) = landing.error {
            return Step::End(FileEnd::Failed {
                offset: reached,
                error: read_error(reached, reason),
            });
        }
        if landing.end {
            let size = piece.file.size.load(Ordering::Relaxed);
            if piece.file.kind == Kind::Positioned && reached < size {
                return Step::End(FileEnd::Failed {
                    offset: reached,
                    error: read_error(
                        reached,
                        format!("the file shrank while it was read: it had {size} bytes"),
                    ),
                });
            }
            return Step::End(FileEnd::Complete { bytes: reached });
        }
        if run.stopping() {
            return Step::End(FileEnd::Skipped { bytes: file.bytes });
        }
        Step::Next
    }

    /// Closes a file: its last rows, its error, and what may go out now.
    fn close(&mut self, run: &Run<J>, sequence: u64, mut end: FileEnd) {
        let Some(mut file) = self.files.remove(&sequence) else {
            return;
        };
        file.early.clear();
        if let Some(state) = file.state.take() {
            let certain = file.rows.len();
            match guarded(|| run.job.close(state, &end, &mut file.rows)) {
                Some(Flow::Stop) => run.answered.store(true, Ordering::Relaxed),
                Some(Flow::Continue | Flow::SkipFile) => {}
                None => {
                    file.rows.truncate(certain);
                    if !matches!(end, FileEnd::Failed { .. }) {
                        end = job_panicked(file.bytes);
                    }
                }
            }
        }
        if let FileEnd::Failed { offset, error } = end {
            run.fail(FileError {
                path: Some(file.entry.path.clone()),
                offset: Some(offset),
                reason: match error {
                    PipelineError::Read { reason, .. } => reason,
                    other => other.to_string(),
                },
                notice: false,
            });
        }
        self.held -= file.counted;
        self.settle(run, sequence, file.rows);
        run.control.progress.files.fetch_add(1, Ordering::Relaxed);
        self.one_less(run);
    }

    /// An entry that could not be opened.
    pub fn refuse(&mut self, run: &Run<J>, entry: &Entry, error: FileError) {
        let mut rows = Vec::new();
        if guarded(|| run.job.refused(entry, &mut rows)).is_none() {
            rows.clear();
        }
        run.fail(error);
        self.settle(run, entry.sequence, rows);
        self.one_less(run);
    }

    /// An entry that is no input.
    pub fn pass_over(&mut self, run: &Run<J>, entry: &Entry) {
        self.settle(run, entry.sequence, Vec::new());
        self.one_less(run);
    }

    fn one_less(&mut self, run: &Run<J>) {
        run.held_rows.store(self.held, Ordering::Relaxed);
        if run.open_files.fetch_sub(1, Ordering::AcqRel) == 1 {
            run.wake();
        }
    }

    /// The rows of a file that has ended: out, or held until they may go.
    fn settle(&mut self, run: &Run<J>, sequence: u64, mut rows: Vec<u8>) {
        let was_writing = self.writing == Some(sequence);
        if was_writing || (self.writing.is_none() && !run.config.ordered) {
            run.outbox.rows(&mut rows, false);
        } else if run.config.ordered || !rows.is_empty() {
            self.held += rows.len();
            self.ended.insert(sequence, rows);
        }
        if run.config.ordered {
            if was_writing {
                self.next_out = sequence + 1;
                self.set_writing(run, None);
            }
            if self.writing.is_none() {
                while let Some(mut rows) = self.ended.remove(&self.next_out) {
                    self.held -= rows.len();
                    run.outbox.rows(&mut rows, false);
                    self.next_out += 1;
                }
                // The file that is due is written as it goes, so that it cannot be held up by what others hold.
                self.set_writing(run, Some(self.next_out));
                self.spill(run, self.next_out);
            }
        } else if was_writing {
            self.set_writing(run, None);
            for (_, mut rows) in std::mem::take(&mut self.ended) {
                self.held -= rows.len();
                run.outbox.rows(&mut rows, false);
            }
            let gathered = self
                .files
                .iter()
                .filter(|(_, file)| file.rows.len() >= GATHER_BYTES)
                .map(|(sequence, _)| *sequence)
                .min();
            if let Some(sequence) = gathered {
                self.spill(run, sequence);
            }
        }
    }

    fn set_writing(&mut self, run: &Run<J>, sequence: Option<u64>) {
        self.writing = sequence;
        run.writing
            .store(sequence.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Lets an open file's rows out, if it is the one that may; counts them as held otherwise.
    fn spill(&mut self, run: &Run<J>, sequence: u64) {
        if run.config.ordered && self.writing.is_none() {
            self.set_writing(run, Some(self.next_out));
        }
        let prompt = self.files.get(&sequence).is_some_and(|file| {
            // Rows of a pipe or a terminal are wanted as they come.
            !file.rows.is_empty() && file.entry.origin != Origin::File
        });
        let gathered = self
            .files
            .get(&sequence)
            .is_some_and(|file| file.rows.len() >= GATHER_BYTES);
        if self.writing.is_none() && (prompt || gathered) {
            self.set_writing(run, Some(sequence));
        }
        if let Some(file) = self.files.get_mut(&sequence) {
            if self.writing == Some(sequence) {
                run.outbox.rows(&mut file.rows, prompt);
            }
            self.held = self.held - file.counted + file.rows.len();
            file.counted = file.rows.len();
        }
        run.held_rows.store(self.held, Ordering::Relaxed);
    }

    /// Closes whatever is open, at the end of a run that was stopped, and takes nothing more.
    pub fn finish(&mut self, run: &Run<J>) {
        self.drain(run);
        self.over = true;
        let mut open: Vec<u64> = self.files.keys().copied().collect();
        open.sort_unstable();
        for sequence in open {
            let bytes = self.files.get(&sequence).map_or(0, |file| file.bytes);
            let end = if run.broken.load(Ordering::Acquire) {
                FileEnd::Failed {
                    offset: bytes,
                    error: PipelineError::Backend(
                        "not read further, as the kernel had failed; run again for it alone".into(),
                    ),
                }
            } else {
                FileEnd::Skipped { bytes }
            };
            self.close(run, sequence, end);
        }
        for (_, mut rows) in std::mem::take(&mut self.ended) {
            run.outbox.rows(&mut rows, false);
        }
    }
}

enum Step {
    /// The chunk was published again, for its next part.
    Again,
    Next,
    End(FileEnd),
}

/// Calls the job's own code. `None` if it panics: then its file fails, and the run goes on.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// The end of a file whose job panicked at byte `offset`.
fn job_panicked(offset: u64) -> FileEnd {
    FileEnd::Failed {
        offset,
        error: PipelineError::Backend(
            "the job panicked; its message says where, please report it to the job's author".into(),
        ),
    }
}

/// Publishes a chunk that has run once more, for another part of it.
fn again<J: Job>(
    run: &Run<J>,
    piece: Piece,
    landing: Landing,
    finished: Finished,
    parts: Parts,
    first_part: bool,
    resume: u32,
) -> Step {
    let offset = piece.offset + parts.current().start as u64;
    let flight = Flight {
        piece,
        landing,
        lent: finished.chunk.lend(),
        parts,
        mode: finished.mode,
        first_part,
        args: [0; ARGS_PER_SLOT],
    };
    match publish(run, finished.slot, flight, resume) {
        Ok(()) => Step::Again,
        Err(error) => Step::End(FileEnd::Failed { offset, error }),
    }
}

/// Publishes one chunk's slot. Where that fails, slot and chunk are free again.
pub(super) fn publish<J: Job>(
    run: &Run<J>,
    slot: HeldSlot,
    mut flight: Flight,
    resume: u32,
) -> Result<(), PipelineError> {
    let (landing, part) = (&flight.landing, flight.parts.current());
    // Chunks have at most 1 GiB.
    let word = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    // The bytes of the chunk's other parts are surroundings of this one.
    let geometry = run.config.layout.geometry;
    let start = landing.start + part.start;
    let behind = landing.bytes.saturating_sub(part.end) + landing.after;
    let args = run.job.args(&SlotPlace {
        chunk: flight.lent.index(),
        start: word(start),
        len: word(part.len()),
        before: word(start.min(geometry.before)),
        after: word(behind.min(geometry.after)),
        offset: flight.piece.offset + part.start as u64,
        mode: flight.mode,
        resume,
    })?;
    flight.args = args;
    let Some(place) = run.flights.get(slot.index() as usize) else {
        return Err(PipelineError::Backend(
            "a slot outside the ring; please report this".into(),
        ));
    };
    *super::run::lock(place) = Some(flight);
    let published = slot.publish(&Submission::new(run.job.opcode(), &args));
    if published.is_err() {
        super::run::lock(place).take();
    }
    published
}
