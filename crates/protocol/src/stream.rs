//! Arguments and results of the stream opcodes, which run over the bytes of one chunk.
//!
//! A chunk has *own bytes*: `len` of them, from `start` on in the chunk's buffer. Offsets in results and records are
//! relative to the first own byte. Around them may lie a *halo*: [`ARG_BEFORE`] bytes in front of them and
//! [`ARG_AFTER`] bytes behind, of the same file, which are other chunks' own. The opcodes below do not look at it; a
//! user's own may. A *job* is what the opcode works with (for SCAN a set of patterns), registered with the kernel before.
//!
//! # SCAN
//!
//! A chunk cuts lines, so lines are of three kinds: the *head*, up to and with the first newline; the *tail*, behind
//! the last newline; and the *interior* ones between, which are complete. What SCAN reports:
//!
//! | result | what |
//! |---|---|
//! | [`RESULT_MATCHES`] | matching interior lines of this part; with [`MODE_ALL`] occurrences; with [`MODE_ANY`] 1 if there is any match in the chunk |
//! | [`RESULT_NEWLINES`] | newlines in the chunk, if [`WANT_NEWLINES`] |
//! | [`RESULT_FIRST_NEWLINE`], [`RESULT_LAST_NEWLINE`] | their offsets, or [`NONE`]; not with [`MODE_ALL`] |
//! | [`RESULT_EDGES`] | [`HEAD_MATCH`]: a match lies wholly before the first newline; [`TAIL_MATCH`]: wholly behind the last. In a chunk without newlines both say: a match lies anywhere. Not with [`MODE_ALL`] |
//! | [`RESULT_FIRST_NUL`] | offset of the first NUL if [`WANT_NUL`], or [`NONE`] |
//! | [`RESULT_RESUME`] | where to go on, if the completion says overflow |
//! | [`RESULT_FIRST_MATCH`] | start of the first match, or [`NONE`]; not with [`MODE_ALL`] |
//!
//! Records are pairs of words: with [`MODE_LINES`] an interior matching line's start and end (its newline included),
//! in order; with [`MODE_ALL`] an occurrence's start and its pattern's number, overlapping ones too, ordered by end and
//! then pattern. When the slot's area is full, the flag OVERFLOW is set: the host publishes the chunk again with
//! [`ARG_RESUME`] as the result says, and gets the next part. The results that are not of a part describe the whole
//! chunk in every part.
//!
//! # The others
//!
//! HISTOGRAM leaves [`HISTOGRAM_WORDS`] counts in the slot's area, one for each byte value. LINES counts newlines in
//! [`RESULT_COUNT`]. CRC32C leaves the checksum of the own bytes in [`RESULT_CRC`].

use crate::slot::ARGS_PER_SLOT;
use crate::words::{join, split};

/// Argument: the chunk's index.
pub const ARG_CHUNK: usize = 0;
/// Argument: where the own bytes begin in the chunk.
pub const ARG_START: usize = 1;
/// Argument: how many own bytes there are.
pub const ARG_LEN: usize = 2;
/// Argument: the job's number.
pub const ARG_JOB: usize = 3;
/// Argument: mode and flags.
pub const ARG_MODE: usize = 4;
/// Argument: the low half of the first own byte's offset in the file.
pub const ARG_OFFSET_LO: usize = 5;
/// Argument: the high half of it.
pub const ARG_OFFSET_HI: usize = 6;
/// Argument: where to go on after an overflow; 0 at first.
pub const ARG_RESUME: usize = 7;
/// Argument: how many bytes of the same file follow the own bytes in the chunk's buffer and may be looked at.
pub const ARG_AFTER: usize = 8;
/// Argument: how many of the bytes in front of the own ones are of the same file and may be looked at. At most
/// [`ARG_START`].
pub const ARG_BEFORE: usize = 9;

/// The part of [`ARG_MODE`] that is the mode; the rest is flags.
pub const MODE_MASK: u32 = 0xFF;
/// Is there any match?
pub const MODE_ANY: u32 = 0;
/// How many lines match?
pub const MODE_COUNT_LINES: u32 = 1;
/// Which lines match?
pub const MODE_LINES: u32 = 2;
/// Which pattern occurs where?
pub const MODE_ALL: u32 = 3;
/// Flag: count newlines.
pub const WANT_NEWLINES: u32 = 0x100;
/// Flag: find the first NUL.
pub const WANT_NUL: u32 = 0x200;

/// An offset that is none.
pub const NONE: u32 = u32::MAX;

/// Result of SCAN: how many matches, by the mode's meaning.
pub const RESULT_MATCHES: usize = 0;
/// Result of SCAN: newlines in the chunk.
pub const RESULT_NEWLINES: usize = 1;
/// Result of SCAN: offset of the first newline.
pub const RESULT_FIRST_NEWLINE: usize = 2;
/// Result of SCAN: offset of the last newline.
pub const RESULT_LAST_NEWLINE: usize = 3;
/// Result of SCAN: [`HEAD_MATCH`] and [`TAIL_MATCH`].
pub const RESULT_EDGES: usize = 4;
/// Result of SCAN: offset of the first NUL.
pub const RESULT_FIRST_NUL: usize = 5;
/// Result of SCAN: where to go on after an overflow.
pub const RESULT_RESUME: usize = 6;
/// Result of SCAN: start of the first match.
pub const RESULT_FIRST_MATCH: usize = 7;
/// Bit of [`RESULT_EDGES`]: a match lies in the head.
pub const HEAD_MATCH: u32 = 1;
/// Bit of [`RESULT_EDGES`]: a match lies in the tail.
pub const TAIL_MATCH: u32 = 2;

/// Result of LINES: newlines in the chunk.
pub const RESULT_COUNT: usize = 0;
/// Result of CRC32C: the checksum.
pub const RESULT_CRC: usize = 0;

/// Words of the slot's area that HISTOGRAM fills, one for each byte value.
pub const HISTOGRAM_WORDS: u32 = 256;
/// What HISTOGRAM reports as its number of records: pairs of words.
pub const HISTOGRAM_RECORDS: u32 = HISTOGRAM_WORDS / 2;

/// The arguments of a stream opcode, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StreamArgs {
    /// The chunk's index.
    pub chunk: u32,
    /// Where the own bytes begin in the chunk.
    pub start: u32,
    /// How many own bytes there are.
    pub len: u32,
    /// The job's number.
    pub job: u32,
    /// Mode and flags.
    pub mode: u32,
    /// The first own byte's offset in the file.
    pub offset: u64,
    /// Where to go on after an overflow; 0 at first.
    pub resume: u32,
    /// Bytes of the same file behind the own ones.
    pub after: u32,
    /// Bytes of the same file in front of the own ones.
    pub before: u32,
}

impl StreamArgs {
    /// The slot's argument words.
    #[must_use]
    pub const fn to_args(&self) -> [u32; ARGS_PER_SLOT] {
        let (low, high) = split(self.offset);
        let mut args = [0; ARGS_PER_SLOT];
        args[ARG_CHUNK] = self.chunk;
        args[ARG_START] = self.start;
        args[ARG_LEN] = self.len;
        args[ARG_JOB] = self.job;
        args[ARG_MODE] = self.mode;
        args[ARG_OFFSET_LO] = low;
        args[ARG_OFFSET_HI] = high;
        args[ARG_RESUME] = self.resume;
        args[ARG_AFTER] = self.after;
        args[ARG_BEFORE] = self.before;
        args
    }

    /// The arguments in a slot's words.
    #[must_use]
    pub const fn from_args(args: &[u32; ARGS_PER_SLOT]) -> Self {
        Self {
            chunk: args[ARG_CHUNK],
            start: args[ARG_START],
            len: args[ARG_LEN],
            job: args[ARG_JOB],
            mode: args[ARG_MODE],
            offset: join(args[ARG_OFFSET_LO], args[ARG_OFFSET_HI]),
            resume: args[ARG_RESUME],
            after: args[ARG_AFTER],
            before: args[ARG_BEFORE],
        }
    }
}
