//! A slot that has run: what it left, and what it holds.

use super::held::{HeldChunk, HeldSlot};
use super::piece::ChunkPart;
use gristmill_protocol::ARGS_PER_SLOT;

/// A slot that has run, and its chunk, over which those of other jobs may be running still. Dropping it frees the slot,
/// and the chunk, if it was the last.
pub(super) struct Finished {
    pub part: ChunkPart,
    pub slot: HeldSlot,
    pub chunk: HeldChunk,
    /// The job's opcode and argument words.
    pub opcode: u32,
    pub args: [u32; ARGS_PER_SLOT],
    pub status: u32,
    pub fault: u32,
    pub results: [u32; 8],
    pub records: u32,
    pub flags: u32,
    /// Whether only a device's part of the job's opcode has run, and the host must do the rest.
    pub unfinished: bool,
}
