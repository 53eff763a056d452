//! One job's half of a file that is being read: its chunks are put in order and shown to the job, and where its records
//! overflow the chunk is published again for it. What other jobs do with the file does not matter here.

use super::counters::count;
use super::finished::Finished;
use super::flight::Flights;
use super::halo::Landing;
use super::kind::FileKind;
use super::parts::Parts;
use super::piece::Piece;
use super::status::Status;
use super::task::{guarded, AnyFile, Running};
use crate::error::FileErrorKind;
use crate::jobs::{FileEnd, Flow, LandedChunk, Records};
use gristmill_protocol::{completion, fault, slot, stream, PipelineError};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// A chunk that has come to the collector, for one job.
pub(super) enum Arrival {
    /// The chunk's slot has run.
    Ran(Finished),
    /// No slot was published for it: it landed nothing, or could not be published.
    Bare {
        piece: Piece,
        landing: Landing,
        /// Whose error the landing's is, if it has one.
        whose: Whose,
    },
}

impl Arrival {
    pub fn piece(&self) -> &Piece {
        match self {
            Arrival::Ran(finished) => &finished.part.piece,
            Arrival::Bare { piece, .. } => piece,
        }
    }
}

/// Whom a failure concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// All jobs: the file could not be read.
    File,
    /// One job.
    Job,
}

/// What follows a chunk.
pub(super) enum Step {
    /// It was published again, for its next part.
    Again,
    /// The next chunk of the file.
    Next,
    /// The file's end for this job.
    End(FileEnd, Whose),
}

impl Step {
    fn failed(offset: u64, error: impl Into<FileErrorKind>, whose: Whose) -> Self {
        let error = error.into();
        Step::End(FileEnd::Failed { offset, error }, whose)
    }
}

/// What one job knows of a file whose chunks are being collected.
pub(super) struct Half {
    /// What the job remembers of it; `None` once the job has panicked.
    memory: Option<Box<dyn AnyFile>>,
    /// The number of the chunk that is due.
    pub due: u64,
    /// Where the chunk that is due was last resumed, or 0 if it was not.
    resumed: u32,
    /// Chunks whose turn has not come, by number.
    early: BTreeMap<u64, Arrival>,
    /// Bytes handed to the job.
    pub bytes: u64,
    /// Chunks handed to the job.
    pub chunks: u64,
}

impl Half {
    /// The half of a job that has begun a file.
    pub fn new(memory: Option<Box<dyn AnyFile>>) -> Self {
        Self {
            memory,
            due: 0,
            resumed: 0,
            early: BTreeMap::new(),
            bytes: 0,
            chunks: 0,
        }
    }

    /// Whether the job panicked when it began the file.
    pub fn has_panicked(&self) -> bool {
        self.memory.is_none()
    }

    /// The end of a file that was left early.
    fn skipped(&self) -> Step {
        let bytes = self.bytes;
        Step::End(FileEnd::Skipped { bytes }, Whose::File)
    }

    /// Takes a chunk, which waits until its turn comes; then it and those that have waited for it are processed. Returns
    /// the file's end, if it has come.
    pub fn take(
        &mut self,
        of: &Showing<'_>,
        rows: &mut Vec<u8>,
        arrival: Arrival,
    ) -> Option<(FileEnd, Whose)> {
        let number = arrival.piece().number;
        if number != self.due {
            self.early.insert(number, arrival);
            return None;
        }
        let mut next = Some(arrival);
        while let Some(arrival) = next.take() {
            match self.step(of, rows, arrival) {
                Step::Again => return None,
                Step::Next => next = self.early.remove(&self.due),
                Step::End(end, whose) => return Some((end, whose)),
            }
        }
        None
    }

    /// Processes the chunk that is due.
    fn step(&mut self, of: &Showing<'_>, rows: &mut Vec<u8>, arrival: Arrival) -> Step {
        let (piece, landing, flow, whose) = match arrival {
            Arrival::Bare {
                piece,
                landing,
                whose,
            } => (piece, landing, Flow::Continue, whose),
            Arrival::Ran(finished) => match self.show(of, rows, finished) {
                Ok((piece, landing, flow)) => (piece, landing, flow, Whose::File),
                Err(step) => return step,
            },
        };
        self.due += 1;
        self.resumed = 0;
        match flow {
            Flow::SkipFile => return self.skipped(),
            Flow::Stop => {
                of.stop();
                return self.skipped();
            }
            Flow::Continue => {}
        }
        let reached = piece.offset + landing.bytes as u64;
        if let Some(error) = landing.error {
            return Step::failed(reached, error, whose);
        }
        if landing.end {
            let size = piece.file.size.load(Ordering::Relaxed);
            if piece.file.kind() == FileKind::Positioned && reached < size {
                return Step::failed(reached, FileErrorKind::Shrank { size }, Whose::File);
            }
            return Step::End(FileEnd::Complete { bytes: reached }, Whose::File);
        }
        if of.status.stopping() || of.running.is_stopped() {
            return self.skipped();
        }
        Step::Next
    }

    /// Shows a part of a chunk that has run to the job. Once no other part of the chunk follows, returns the chunk and
    /// what the job wants next; until then, and where the file ends, the step to take.
    fn show(
        &mut self,
        of: &Showing<'_>,
        rows: &mut Vec<u8>,
        finished: Finished,
    ) -> Result<(Piece, Landing, Flow), Step> {
        let part = &finished.part;
        let offset = part.offset();
        let failed = |error| Step::failed(offset, error, Whose::Job);
        if finished.status != slot::DONE {
            if fault::reason(finished.fault) == fault::CANCELLED {
                // The run was ended in the meantime: the chunk was not processed, but the file is not at fault.
                return Err(self.skipped());
            }
            let error = match of.running.job.fault(finished.fault) {
                Some(reason) => FileErrorKind::Fault { reason },
                None => FileErrorKind::Pipeline(PipelineError::Fault {
                    slot: finished.slot.index(),
                    tenant: 0,
                    opcode: of.running.job.opcode(),
                    reason: fault::name(finished.fault & 0xFFFF),
                }),
            };
            return Err(failed(error));
        }
        let own = part.parts.current();
        let overflowed = finished.flags & completion::FLAG_OVERFLOW != 0;
        if overflowed && of.running.geometry.split {
            let align = of.running.geometry.align;
            return Err(match part.parts.halved(part.piece.offset, align) {
                Some(parts) => {
                    let first = part.first;
                    of.again(finished, parts, first, 0)
                }
                None => {
                    let block_bytes = own.len();
                    failed(FileErrorKind::TooManyRecords { block_bytes })
                }
            });
        }
        let answer = self.memory.as_mut().zip(of.flights.records());
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
                stream: part.piece.file.is_stream(),
                decoded: part.piece.file.converter.get().is_some(),
            };
            guarded(|| memory.chunk(&landed, rows))
        });
        let Some(flow) = answer else {
            // The job's state for this file may be inconsistent, so the job is not called for it again.
            self.memory = None;
            return Err(failed(FileErrorKind::JobPanicked));
        };
        if overflowed && flow == Flow::Continue {
            let resume = finished.results[stream::RESULT_RESUME];
            if resume <= std::mem::replace(&mut self.resumed, resume) {
                // Without this check, the opcode could be resumed for ever.
                return Err(failed(FileErrorKind::ResumedInPlace));
            }
            let parts = part.parts.clone();
            return Err(of.again(finished, parts, false, resume));
        }
        // The job has now seen all of the part's own bytes.
        let bytes = own.len() as u64;
        self.bytes += bytes;
        of.running.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let (Some(parts), Flow::Continue) = (part.parts.next(), flow) {
            return Err(of.again(finished, parts, false, 0));
        }
        self.chunks += 1;
        count(&of.running.chunks);
        let part = finished.part;
        Ok((part.piece, part.landing, flow))
    }

    /// Ends the job's file: appends its last rows. Returns the end as it is told, and whose failure it is; a job that
    /// panics fails the file for itself.
    pub fn close(
        mut self,
        of: &Showing<'_>,
        end: FileEnd,
        whose: Whose,
        rows: &mut Vec<u8>,
    ) -> (FileEnd, Whose) {
        // The chunks that wait go back.
        self.early.clear();
        let Some(memory) = self.memory.take() else {
            return (end, whose);
        };
        let certain = rows.len();
        match guarded(|| memory.close(&end, rows)) {
            Some(Flow::Stop) => of.stop(),
            Some(Flow::Continue | Flow::SkipFile) => {}
            None => {
                rows.truncate(certain);
                if !matches!(end, FileEnd::Failed { .. }) {
                    return (job_panicked(self.bytes), Whose::Job);
                }
            }
        }
        (end, whose)
    }
}

/// What a half needs of the run.
pub(super) struct Showing<'a> {
    pub running: &'a Running,
    pub flights: &'a Flights,
    pub status: &'a Status,
    /// Notes that the job wants no more.
    pub stop: &'a dyn Fn(),
}

impl Showing<'_> {
    fn stop(&self) {
        (self.stop)();
    }

    /// Publishes a chunk once more, for these parts of it.
    fn again(&self, finished: Finished, parts: Parts, first: bool, resume: u32) -> Step {
        let offset = finished.part.piece.offset + parts.current().start as u64;
        match self.flights.republish(finished, parts, first, resume) {
            Ok(()) => Step::Again,
            Err(error) => Step::failed(offset, error, Whose::Job),
        }
    }
}

/// The end of a file whose job panicked at byte `offset`.
pub(super) fn job_panicked(offset: u64) -> FileEnd {
    FileEnd::Failed {
        offset,
        error: FileErrorKind::JobPanicked,
    }
}
