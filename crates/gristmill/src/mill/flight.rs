//! The chunks in flight: each is lent to the kernel, with the slot that was published for it.
//!
//! The ring has a slot for every chunk, so a chunk that has landed never waits for one.

use super::halo::Landing;
use super::held::HeldSlot;
use super::parts::Parts;
use super::piece::{ChunkPart, FileKind, Piece};
use super::record::Recorder;
use super::status::Status;
use crate::error::FileErrorKind;
use crate::jobs::{Geometry, Job, SlotPlace};
use gristmill_protocol::{PipelineError, ARGS_PER_SLOT};
use gristmill_ring::lock;
use gristmill_ring::{ChunkBuf, Completion, LentChunk, RecordMemory, Submission, Submitter};
use std::sync::{Arc, Mutex, OnceLock};

/// A published slot, and the chunk that it runs over.
#[derive(Debug)]
struct Flight {
    part: ChunkPart,
    lent: LentChunk,
    /// The argument words that were published.
    args: [u32; ARGS_PER_SLOT],
}

/// A slot that has run, and its chunk, which the host has back. Dropping it frees both.
pub(super) struct Finished {
    pub part: ChunkPart,
    pub slot: HeldSlot,
    pub chunk: ChunkBuf,
    pub status: u32,
    pub fault: u32,
    pub results: [u32; 8],
    pub records: u32,
    pub flags: u32,
}

/// The handles of the kernel that a run uses, available once it is launched.
pub(super) struct KernelEnds {
    pub submitter: Submitter,
    pub records: RecordMemory,
    /// The recorder of finished slots, if they are recorded; `None` inside once the log has ended.
    pub recorder: Option<Mutex<Option<Recorder>>>,
}

/// All slots of a run that are in flight.
pub(super) struct Flights<J: Job> {
    job: Arc<J>,
    geometry: Geometry,
    status: Arc<Status>,
    /// Indexed by slot.
    flights: Vec<Mutex<Option<Flight>>>,
    kernel: OnceLock<KernelEnds>,
}

impl<J: Job> Flights<J> {
    pub fn new(job: Arc<J>, geometry: Geometry, status: Arc<Status>, slots: u32) -> Self {
        Self {
            job,
            geometry,
            status,
            flights: (0..slots).map(|_| Mutex::new(None)).collect(),
            kernel: OnceLock::new(),
        }
    }

    /// Joins the run to its kernel. The feeders idle until then.
    pub fn attach(&self, kernel: KernelEnds) {
        let _already = self.kernel.set(kernel);
    }

    /// Whether the run was joined to its kernel.
    pub fn is_attached(&self) -> bool {
        self.kernel.get().is_some()
    }

    /// The record areas of the slots.
    pub fn records(&self) -> Option<&RecordMemory> {
        self.kernel.get().map(|kernel| &kernel.records)
    }

    /// Publishes a chunk that has landed. If that fails, slot and chunk are freed.
    ///
    /// # Errors
    /// The reason why the chunk's file fails.
    pub fn publish(
        &self,
        piece: &Piece,
        landing: Landing,
        buffer: ChunkBuf,
    ) -> Result<(), FileErrorKind> {
        let slot = self.kernel.get().and_then(|kernel| {
            let token = kernel.submitter.try_acquire()?;
            Some(HeldSlot::new(token, &kernel.submitter))
        });
        // The ring has a slot for every chunk, so this would be a bug of the mill, which the file's failure shows.
        let slot = slot.ok_or_else(|| {
            let reason = "no slot was free for a landed chunk; please report this";
            PipelineError::Backend(reason.into())
        })?;
        let part = ChunkPart {
            piece: piece.clone(),
            parts: Parts::whole(landing.bytes),
            landing,
            mode: self.job.mode(&piece.file.entry, piece.offset),
            first: true,
        };
        Ok(self.lend(slot, part, buffer, 0)?)
    }

    /// Publishes a chunk that has run again, for these parts of it, from byte `resume` of the first part on. `first`
    /// says whether the job has not been shown any of the chunk yet. If publishing fails, slot and chunk are freed.
    ///
    /// # Errors
    /// The reason why the chunk's file fails.
    pub fn republish(
        &self,
        finished: Finished,
        parts: Parts,
        first: bool,
        resume: u32,
    ) -> Result<(), PipelineError> {
        let Finished {
            part, slot, chunk, ..
        } = finished;
        let part = ChunkPart {
            parts,
            first,
            ..part
        };
        self.lend(slot, part, chunk, resume)
    }

    /// Lends a chunk to the kernel and publishes its slot.
    fn lend(
        &self,
        slot: HeldSlot,
        part: ChunkPart,
        chunk: ChunkBuf,
        resume: u32,
    ) -> Result<(), PipelineError> {
        let (landing, own) = (&part.landing, part.parts.current());
        // Chunks are at most 1 GiB.
        let word = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        // The bytes of the chunk's other parts surround this one.
        let start = landing.start + own.start;
        let behind = landing.bytes.saturating_sub(own.end) + landing.after;
        let args = self.job.args(&SlotPlace {
            chunk: chunk.index(),
            start: word(start),
            len: word(own.len()),
            before: word(start.min(self.geometry.before)),
            after: word(behind.min(self.geometry.after)),
            offset: part.offset(),
            mode: part.mode,
            resume,
            stream: part.piece.file.kind() == FileKind::Stream,
        })?;
        let place = self.flights.get(slot.index() as usize).ok_or_else(|| {
            PipelineError::Backend("a slot outside the ring; please report this".into())
        })?;
        *lock(place) = Some(Flight {
            part,
            lent: chunk.lend(),
            args,
        });
        let published = slot.publish(&Submission::new(self.job.opcode(), &args));
        if published.is_err() {
            lock(place).take();
        }
        published
    }

    /// Takes back the chunk of a completed slot, and records the slot if the run has a log. Returns `None` for a slot
    /// that was not in flight, which is freed.
    pub fn land(&self, done: Completion) -> Option<Finished> {
        let kernel = self.kernel.get()?;
        let place = self.flights.get(done.token.index().get() as usize);
        let flight = place.and_then(|place| lock(place).take());
        let Some(Flight { part, lent, args }) = flight else {
            drop(HeldSlot::new(done.token, &kernel.submitter));
            return None;
        };
        let chunk = lent.reclaim_completed();
        if let Some(recorder) = &kernel.recorder {
            let submission = Submission::new(self.job.opcode(), &args);
            let recorded = lock(recorder).as_mut().is_none_or(|recorder| {
                recorder.slot(&part, submission, &chunk, &done, &kernel.records)
            });
            if !recorded {
                self.status.control.stop();
            }
        }
        Some(Finished {
            part,
            slot: HeldSlot::new(done.token, &kernel.submitter),
            chunk,
            status: done.status,
            fault: done.fault,
            results: done.results,
            records: done.records,
            flags: done.flags,
        })
    }

    /// Ends the log, if the run has one. Slots that finish later are not recorded.
    ///
    /// # Errors
    /// The reason why the log is incomplete.
    pub fn end_record(&self) -> Result<(), PipelineError> {
        let recorder = self
            .kernel
            .get()
            .and_then(|kernel| kernel.recorder.as_ref());
        match recorder.and_then(|recorder| lock(recorder).take()) {
            Some(recorder) => recorder.finish(),
            None => Ok(()),
        }
    }
}
