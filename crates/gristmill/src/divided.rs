//! Opcodes that are divided between a device and the host.
//!
//! A run on a device and its replay do the same: the device is given its part, with arguments that the opcode derives
//! from those of the slot; when that slot has completed, the host does the rest over the same chunk. The results are
//! then those of the opcode run as a whole.

use gristmill_megakernel::stream::{Cancel, StreamOpcode};
use gristmill_megakernel::{KernelError, ScanMode, StreamJob, StreamSlot};
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{fault, slot};
use gristmill_ring::{Outcome, RecordWriter};
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

/// An opcode of which a device runs a part.
#[derive(Clone)]
pub(crate) struct Divided {
    /// The job as a whole.
    whole: StreamJob,
    opcode: Arc<dyn StreamOpcode>,
    /// What the device runs.
    pub part: StreamJob,
}

impl fmt::Debug for Divided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Divided({:?}, {:?})", self.whole, self.part)
    }
}

/// Words of the record areas on a device where a slot leaves candidates: a chunk that has more than fit is searched again
/// by the host.
const CANDIDATE_WORDS: u32 = 1 << 16;

/// The status of a slot that has ended so.
pub(crate) fn status(outcome: &Outcome) -> u32 {
    match outcome.fault {
        fault::NONE => slot::DONE,
        _ => slot::FAULT,
    }
}

impl Divided {
    /// Divides a job between a device and the host; `None` of a job that a device runs as a whole, or not at all.
    ///
    /// # Errors
    /// [`KernelError`] where a device can do a part of other jobs of this kind, but not of this one.
    pub fn new(job: &StreamJob) -> Result<Option<Self>, KernelError> {
        let Some(opcode) = job.divisible() else {
            return Ok(None);
        };
        let part = opcode.device_part()?;
        Ok(part.map(|part| Self {
            whole: job.clone(),
            opcode,
            part,
        }))
    }

    /// The job as a whole.
    pub fn whole(&self) -> &StreamJob {
        &self.whole
    }

    /// The arguments of the device's part in a slot that has `args` for the whole.
    pub fn part_args(&self, args: StreamArgs) -> StreamArgs {
        self.opcode.part_args(args)
    }

    /// Words of the record area that the device's part needs.
    pub fn record_words(&self) -> u32 {
        match &self.part {
            StreamJob::Scan(set) if set.mode() == ScanMode::All => {
                let together = u32::try_from(2 * set.most_together()).unwrap_or(u32::MAX);
                together.max(CANDIDATE_WORDS)
            }
            _ => 0,
        }
    }

    /// Who has done what, for reports.
    pub fn explain(&self) -> String {
        self.opcode.explain_parts()
    }

    /// Does the rest, over the bytes of a chunk's buffer, where the device's part has left `part` and records. `args` are
    /// those of the whole. A panic of the opcode's code is a fault of the slot, as it is on a worker.
    pub fn finish(
        &self,
        args: &StreamArgs,
        part: &Outcome,
        chunk: &[u8],
        records: &mut RecordWriter<'_>,
        cancelled: &dyn Fn() -> bool,
    ) -> Outcome {
        let rest = || {
            let out_of_range = fault::INDEX_OUT_OF_RANGE;
            let start = args.start as usize;
            let before = args.before as usize;
            let from = start.checked_sub(before).ok_or(out_of_range)?;
            let until = start + args.len as usize + args.after as usize;
            let around = chunk.get(from..until).ok_or(out_of_range)?;
            let own = before..before + args.len as usize;
            let own = around.get(own).ok_or(out_of_range)?;
            let slot = StreamSlot {
                mode: args.mode,
                offset: args.offset,
                resume: args.resume,
                around,
                before,
                cancel: Cancel::new(cancelled),
            };
            let outcome = self.opcode.finish(own, &slot, part, records)?;
            // A rest that was cancelled ended early, and its results are incomplete.
            match slot.cancel.is_cancelled() {
                true => Err(fault::CANCELLED),
                false => Ok(outcome),
            }
        };
        let rest = catch_unwind(AssertUnwindSafe(rest));
        rest.unwrap_or(Err(fault::WORKER_PANICKED))
            .unwrap_or_else(Outcome::fault)
    }
}
