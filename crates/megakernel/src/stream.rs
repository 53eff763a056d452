//! Stream opcodes: what a worker does with the bytes of a landed chunk.
//!
//! Each is a file here, and in `StreamJob` a variant with its arms in `opcode` and `run`. Where a log names one
//! (`log/records.rs`) and where a device gets its image (`backend/device/job.rs`) are its other two places. The parts of
//! SCAN are `engine`, `automaton`, `runs` and `together`. A user's own opcode is a [`StreamOpcode`] in a
//! [`StreamJob::Custom`], under a number of the user range.

pub(crate) mod automaton;
mod crc32c;
mod engine;
mod histogram;
mod lines;
mod runs;
mod scan;
mod together;

pub use scan::{ScanMode, ScanSet, DEFAULT_TABLE_BYTES, MAX_PATTERNS, MAX_TABLE_BYTES};

use gristmill_protocol::{fault, opcode};
use gristmill_ring::{Outcome, RecordWriter};
use std::sync::Arc;

/// Bytes that an opcode may look at before it asks again whether it was cancelled.
const LOOK_BYTES: usize = 1 << 20;

/// Whether a slot was cancelled, which opcodes that take long ask as they run.
#[derive(Clone, Copy, Default)]
pub struct Cancel<'a>(Option<&'a dyn Fn() -> bool>);

impl<'a> Cancel<'a> {
    /// A slot that is cancelled once `asked` returns true.
    pub fn new(asked: &'a dyn Fn() -> bool) -> Self {
        Self(Some(asked))
    }

    /// Whether the slot was cancelled. Then its opcode ends at once, and its results are void, as the slot completes as a
    /// fault. Once this is true it stays true.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_some_and(|asked| asked())
    }
}

impl std::fmt::Debug for Cancel<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cancel({})", self.is_cancelled())
    }
}

/// A chunk's place and surroundings, and the mode it is asked about in.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamSlot<'a> {
    /// Mode and flags (`ARG_MODE`).
    pub mode: u32,
    /// Position of the chunk's first own byte in its file.
    pub offset: u64,
    /// Where to go on after an overflow; 0 at first.
    pub resume: u32,
    /// The own bytes with the bytes of the same file around them, as many as the slot says may be looked at.
    pub around: &'a [u8],
    /// Where the own bytes begin in `around`.
    pub before: usize,
    /// Whether the slot was cancelled. An opcode that takes long asks every few milliseconds.
    pub cancel: Cancel<'a>,
}

impl<'a> StreamSlot<'a> {
    /// The own bytes in parts, up to where the slot is cancelled.
    fn parts<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> + use<'a, 'b> {
        let cancel = self.cancel;
        bytes
            .chunks(LOOK_BYTES)
            .take_while(move |_| !cancel.is_cancelled())
    }
}

/// An opcode over a chunk's bytes.
pub trait StreamOpcode: Send + Sync {
    /// Runs over `bytes`, the chunk's own bytes; `slot` shows what lies around them. Results go into the outcome and into
    /// `records`, which is empty.
    ///
    /// # Errors
    /// A reason of [`fault`]: the slot completes as FAULT.
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32>;
}

/// A stream opcode with what it needs, registered with the kernel when it is launched. Slots name it by its index.
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
    /// An opcode of the user's, under its number.
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
            StreamJob::Custom(opcode, _) => *opcode,
        }
    }

    /// Runs the opcode on the CPU over `bytes`, a chunk's own bytes; `records` is empty.
    ///
    /// # Errors
    /// A reason of [`fault`]: [`fault::CANCELLED`] where the slot was cancelled meanwhile.
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
            StreamJob::Custom(_, custom) => custom.run(bytes, slot, records),
        };
        // An opcode that was cancelled has ended early, with whatever it had then.
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

/// A position within a chunk as a result word. Chunks are at most 1 GiB, so it fits; a broken promise is a fault.
pub(crate) fn word(position: usize) -> Result<u32, u32> {
    u32::try_from(position).map_err(|_| fault::INDEX_OUT_OF_RANGE)
}
