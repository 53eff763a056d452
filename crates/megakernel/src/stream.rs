//! Stream opcodes: the operations of a worker on the bytes of a landed chunk.
//!
//! Each opcode is a file in this folder, and in `StreamJob` a variant with its arms in `opcode` and `run`. Two other places
//! know each: the log, which names it (`log/records.rs`), and the device's image of it (`backend/device/job.rs`). The parts
//! of SCAN are `engine`, `automaton`, `occurrences`, `mode`, `regex`, `runs`, `sampled` and `together`; `slot` is
//! what an opcode sees. A user's own opcode is a [`StreamOpcode`] in a
//! [`StreamJob::Custom`], with a number of the user range.

pub(crate) mod automaton;
mod crc32c;
mod engine;
#[cfg(test)]
mod engines_tests;
mod histogram;
mod lines;
mod mode;
mod occurrences;
mod regex;
mod runs;
mod sampled;
mod scan;
mod slot;
pub mod subtrees;
mod together;

pub use mode::ScanMode;
pub use scan::{ScanSet, DEFAULT_TABLE_BYTES, MAX_PATTERNS, MAX_TABLE_BYTES};

pub use slot::{Cancel, StreamSlot};

use crate::KernelError;
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{fault, opcode};
use gristmill_ring::{Outcome, RecordWriter};
use std::sync::Arc;

/// An opcode over a chunk's bytes.
///
/// # On a device
///
/// An opcode of a user's is host code, which no device runs. But a device may do a *part* of it, and the host the rest:
/// then the device runs the job that [`device_part`](Self::device_part) names, over the same chunk, with the arguments
/// that [`part_args`](Self::part_args) makes of the slot's. Once that slot has completed, and while the chunk is still
/// lent, [`finish`](Self::finish) runs on the host, and must leave what [`run`](Self::run) would have left.
pub trait StreamOpcode: Send + Sync {
    /// Runs over `bytes`, the chunk's own bytes; `slot` shows what lies around them. Results go into the returned
    /// outcome and into `records`, which is empty at first.
    ///
    /// # Errors
    /// A reason from [`fault`], with which the slot completes as FAULT.
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32>;

    /// The built-in job that a device runs in place of this opcode, if the host can do the rest. It is asked for before a
    /// kernel is launched on a device. Default: none.
    ///
    /// # Errors
    /// [`KernelError`] where a device could do a part of other opcodes of this kind, but not of this one.
    fn device_part(&self) -> Result<Option<StreamJob>, KernelError> {
        Ok(None)
    }

    /// The arguments of the device's part in a slot that has `args` for this opcode. Chunk, job and offset stay as they
    /// are; own bytes may reach as far as the bytes that the slot lets this opcode see. Default: the same.
    fn part_args(&self, args: StreamArgs) -> StreamArgs {
        args
    }

    /// Does the rest of the opcode after a device has done its part, which has left `part`, and in the slot's area what
    /// [`RecordWriter::left`] reads until it is written over. What a device writes is not to be trusted. Default: all of
    /// the opcode.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn finish(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        part: &Outcome,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let _ = part;
        self.run(bytes, slot, records)
    }

    /// Who has done what, for reports: in words, after a run in which a device has done its part.
    fn explain_parts(&self) -> String {
        String::new()
    }
}

/// A stream opcode with the data that it needs, registered with the kernel at launch. Slots name it by its index.
#[derive(Clone)]
pub enum StreamJob {
    /// SCAN for a set of patterns.
    Scan(Arc<ScanSet>),
    /// HISTOGRAM.
    Histogram,
    /// LINES.
    Lines,
    /// CRC32C.
    Crc32c,
    /// BLAKE3.
    Blake3,
    /// A user's own opcode, with its number.
    Custom(u32, Arc<dyn StreamOpcode>),
}

impl StreamJob {
    /// The opcode that slots of this job carry.
    pub fn opcode(&self) -> u32 {
        match self {
            StreamJob::Scan(_) => opcode::SCAN,
            StreamJob::Histogram => opcode::HISTOGRAM,
            StreamJob::Lines => opcode::LINES,
            StreamJob::Crc32c => opcode::CRC32C,
            StreamJob::Blake3 => opcode::BLAKE3,
            StreamJob::Custom(opcode, _) => *opcode,
        }
    }

    /// The opcode of which a device does a part at most: a user's, and the search for lines that match regexes. `None` of
    /// those that a device runs as a whole.
    pub fn divisible(&self) -> Option<Arc<dyn StreamOpcode>> {
        match self {
            StreamJob::Custom(_, opcode) => Some(Arc::clone(opcode)),
            StreamJob::Scan(set) if set.line_settings().is_some() => Some(Arc::clone(set) as _),
            _ => None,
        }
    }

    /// Runs the opcode on the CPU over `bytes`, a chunk's own bytes; `records` must be empty.
    ///
    /// # Errors
    /// A reason from [`fault`]: [`fault::CANCELLED`] if the slot was cancelled meanwhile.
    pub fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let result = match self {
            StreamJob::Scan(set) => set.run(bytes, slot, records),
            StreamJob::Histogram => histogram::Histogram.run(bytes, slot, records),
            StreamJob::Lines => lines::Lines.run(bytes, slot, records),
            StreamJob::Crc32c => crc32c::Crc32c.run(bytes, slot, records),
            StreamJob::Blake3 => subtrees::Blake3.run(bytes, slot, records),
            StreamJob::Custom(_, custom) => custom.run(bytes, slot, records),
        };
        // A cancelled opcode ended early, and its results are incomplete.
        if slot.cancel.is_cancelled() {
            return Err(fault::CANCELLED);
        }
        result
    }
}

impl std::fmt::Debug for StreamJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamJob({:#x})", self.opcode())
    }
}
