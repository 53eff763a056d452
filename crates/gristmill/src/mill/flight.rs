//! The chunks in flight: each is lent to the kernel once, with a slot for each job that was published for it.
//!
//! The ring has a slot for every chunk and job, so a chunk that has landed never waits for one. The slots of a chunk hold
//! it together, and the last that is done with it gives it back to its reader ([`HeldChunk`]).

use super::finished::Finished;
use super::halo::{Landing, Layout};
use super::held::{HeldChunk, HeldSlot};
use super::kind::FileKind;
use super::parts::Parts;
use super::piece::{ChunkPart, Piece};
use super::record::Recorder;
use super::status::Status;
use super::task::Jobs;
use crate::divided;
use crate::error::FileErrorKind;
use crate::jobs::SlotPlace;
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{fault, slot, PipelineError, ARGS_PER_SLOT};
use gristmill_ring::lock;
use gristmill_ring::{
    ChunkBuf, Completion, LentChunk, Outcome, RecordMemory, Submission, Submitter,
};
use std::sync::{Arc, Mutex, OnceLock};

/// A published slot, and the chunk that it runs over.
#[derive(Debug)]
struct Flight {
    part: ChunkPart,
    /// Keeps the chunk lent until the slot has completed.
    lent: Arc<LentChunk>,
    /// The job's opcode and argument words: those that were published, unless a device runs a part of the opcode.
    opcode: u32,
    args: [u32; ARGS_PER_SLOT],
}

/// What became of a chunk that was to be published.
#[derive(Default)]
pub(super) struct Published {
    /// The jobs, by number, that see no byte of it.
    pub bare: Vec<(usize, Landing)>,
    /// The jobs, by number, whose slot could not be published, and why.
    pub refused: Vec<(usize, FileErrorKind)>,
    /// Whether some job needs the chunk that follows.
    pub goes_on: bool,
}

/// The handles of the kernel that a run uses, available once it is launched.
pub(super) struct KernelEnds {
    pub submitter: Submitter,
    pub records: RecordMemory,
    /// The recorder of finished slots, if they are recorded; `None` inside once the log has ended.
    pub recorder: Option<Mutex<Option<Recorder>>>,
}

/// All slots of a run that are in flight.
pub(super) struct Flights {
    jobs: Arc<Jobs>,
    layout: Layout,
    status: Arc<Status>,
    /// Indexed by slot.
    flights: Vec<Mutex<Option<Flight>>>,
    kernel: OnceLock<KernelEnds>,
}

impl Flights {
    pub fn new(jobs: Arc<Jobs>, layout: Layout, status: Arc<Status>, slots: u32) -> Self {
        Self {
            jobs,
            layout,
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

    /// Publishes a chunk that has landed for each job that needs it. Where that fails for a job, the slot is freed, and
    /// the others are not affected.
    pub fn publish(&self, piece: &Piece, landing: &Landing, buffer: ChunkBuf) -> Published {
        let mut published = Published::default();
        let chunk = HeldChunk::new(Arc::new(buffer.lend()));
        for (number, running) in self.jobs.iter().enumerate() {
            // Where the file has begun for a job, its end is still collected, even if the job has stopped.
            let unknown = piece.number == 0 && running.is_stopped();
            if unknown || piece.file.is_done_for(number) {
                continue;
            }
            let seen = self.layout.of_job(landing, &running.geometry);
            let goes_on = !seen.end && seen.error.is_none();
            if seen.bytes == 0 {
                published.bare.push((number, seen));
            } else if let Err(error) = self.publish_for(number, piece, seen, &chunk) {
                published.refused.push((number, error));
                continue;
            }
            published.goes_on |= goes_on;
        }
        published
    }

    /// Publishes a chunk for one job.
    fn publish_for(
        &self,
        job: usize,
        piece: &Piece,
        landing: Landing,
        chunk: &HeldChunk,
    ) -> Result<(), FileErrorKind> {
        let slot = self.kernel.get().and_then(|kernel| {
            let token = kernel.submitter.try_acquire()?;
            Some(HeldSlot::new(token, &kernel.submitter))
        });
        // The ring has a slot for every chunk and job, so this would be a bug of the mill, which the file's failure shows.
        let slot = slot.ok_or_else(|| {
            let reason = "no slot was free for a landed chunk; please report this";
            PipelineError::Backend(reason.into())
        })?;
        let running = self.jobs.get(job);
        let part = ChunkPart {
            job,
            piece: piece.clone(),
            parts: Parts::whole(landing.bytes),
            landing,
            mode: running.job.mode(&piece.file.entry, piece.offset),
            first: true,
        };
        Ok(self.send(slot, part, chunk, 0)?)
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
        self.send(slot, part, &chunk, resume)
    }

    /// Publishes a slot over a chunk.
    fn send(
        &self,
        slot: HeldSlot,
        part: ChunkPart,
        chunk: &HeldChunk,
        resume: u32,
    ) -> Result<(), PipelineError> {
        let (landing, own) = (&part.landing, part.parts.current());
        let running = self.jobs.get(part.job);
        // Chunks are at most 1 GiB.
        let word = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        // The bytes of the chunk's other parts surround this one.
        let start = landing.start + own.start;
        let behind = landing.bytes.saturating_sub(own.end) + landing.after;
        let outside = |what| PipelineError::Backend(format!("{what}; please report this"));
        let lent = chunk
            .claim()
            .ok_or_else(|| outside("a chunk that was given back"))?;
        let args = running.job.args(&SlotPlace {
            chunk: lent.index(),
            start: word(start),
            len: word(own.len()),
            before: word(start.min(running.geometry.before)),
            after: word(behind.min(running.geometry.after)),
            offset: part.offset(),
            mode: part.mode,
            resume,
            stream: part.piece.file.kind() == FileKind::Stream,
            job: running.number,
        })?;
        let published = match &running.divided {
            Some(divided) => divided.part_args(StreamArgs::decode(&args)).encode(),
            None => args,
        };
        let published = Submission::new(running.kernel_opcode(), &published);
        let place = self.flights.get(slot.index() as usize);
        let place = place.ok_or_else(|| outside("a slot outside the ring"))?;
        *lock(place) = Some(Flight {
            part,
            lent,
            opcode: running.job.opcode(),
            args,
        });
        let published = slot.publish(&published);
        if published.is_err() {
            lock(place).take();
        }
        published
    }

    /// Takes up a completed slot with its chunk. Returns `None` for a slot that was not in flight, which is freed.
    pub fn land(&self, done: Completion) -> Option<Finished> {
        let kernel = self.kernel.get()?;
        let place = self.flights.get(done.token.index().get() as usize);
        let flight = place.and_then(|place| lock(place).take());
        let Some(Flight {
            part,
            lent,
            opcode,
            args,
        }) = flight
        else {
            drop(HeldSlot::new(done.token, &kernel.submitter));
            return None;
        };
        let divided = self.jobs.get(part.job).divided.is_some();
        Some(Finished {
            part,
            slot: HeldSlot::new(done.token, &kernel.submitter),
            chunk: HeldChunk::new(lent),
            opcode,
            args,
            status: done.status,
            fault: done.fault,
            results: done.results,
            records: done.records,
            flags: done.flags,
            unfinished: divided && done.status == slot::DONE,
        })
    }

    /// Records a slot that has finished, if the run has a log.
    pub fn record(&self, finished: &Finished) {
        let Some(kernel) = self.kernel.get() else {
            return;
        };
        if let Some(recorder) = &kernel.recorder {
            let recorded = lock(recorder)
                .as_mut()
                .is_none_or(|recorder| recorder.slot(finished, &kernel.records));
            if !recorded {
                self.status.control.stop();
            }
        }
    }

    /// Does the rest of an opcode of which a device has done a part. This takes time, so that it is done while nothing is
    /// locked.
    pub fn finish(&self, finished: Finished) -> Finished {
        let divided = self.jobs.get(finished.part.job).divided.as_ref();
        let (Some(divided), Some(kernel)) = (divided, self.kernel.get()) else {
            return finished;
        };
        let part = Outcome {
            fault: finished.fault,
            results: finished.results,
            records: finished.records,
            flags: finished.flags,
        };
        let writer = kernel.records.writer(finished.slot.index());
        let outcome = match writer {
            Some(mut records) => divided.finish(
                &StreamArgs::decode(&finished.args),
                &part,
                finished.chunk.as_slice(),
                &mut records,
                &|| self.status.stopping(),
            ),
            None => Outcome::fault(fault::INDEX_OUT_OF_RANGE),
        };
        Finished {
            status: divided::status(&outcome),
            fault: outcome.fault,
            results: outcome.results,
            records: outcome.records,
            flags: outcome.flags,
            unfinished: false,
            ..finished
        }
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
