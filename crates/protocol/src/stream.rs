//! Arguments and results of the stream opcodes, which run over the bytes of one chunk.
//!
//! A chunk has *own bytes*: `len` of them, from `start` on in the chunk's buffer. Offsets in results and records are
//! relative to the first own byte. They may be surrounded by a *halo*: [`ARG_BEFORE`] bytes in front of them and
//! [`ARG_AFTER`] bytes behind them, which are of the same file and are own bytes of other chunks. The opcodes below do
//! not read the halo; a user's opcode may. A *job* is the data that the opcode works with (for SCAN a set of patterns);
//! it must be registered with the kernel beforehand.
//!
//! # SCAN
//!
//! Lines can cross the borders of a chunk, so a chunk has three kinds of lines: the *head*, up to and including the
//! first newline; the *tail*, after the last newline; and the *interior* lines between them, which are complete. SCAN
//! reports:
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
//! Records are pairs of words. With [`MODE_LINES`], a record is the start and the end of a matching interior line,
//! newline included; the records are in order. With [`MODE_ALL`], a record is the start of an occurrence and its
//! pattern's number; overlapping occurrences are included, and the records are ordered by end and then by pattern. When
//! the slot's area is full, the flag OVERFLOW is set: the host then publishes the chunk again with [`ARG_RESUME`] set
//! to [`RESULT_RESUME`], and gets the next part. Results that are not marked as those of a part describe the whole
//! chunk, in every part.
//!
//! # The others
//!
//! HISTOGRAM leaves [`HISTOGRAM_WORDS`] counts in the slot's area, one for each byte value. LINES counts newlines in
//! [`RESULT_COUNT`]. CRC32C leaves the checksum of the own bytes in [`RESULT_CRC`].
//!
//! # BLAKE3
//!
//! The leaves of a file's tree are [`BLAKE3_LEAF_BYTES`] each (the BLAKE3 paper, section 2.1); [`ARG_OFFSET_LO`] and its
//! other half must be a multiple of that. A *part* is a value of [`BLAKE3_VALUE_WORDS`] words. BLAKE3 leaves the parts
//! of the own bytes in the slot's area, one behind the other, and in [`RESULT_PARTS`] how many there are:
//!
//! 1. If the own bytes begin the file and either do not end at a multiple of a leaf or are one leaf, the first part is the
//!    root of a file of these bytes alone, and [`RESULT_ROOT`] is 1. If they do not end at a multiple of a leaf, it is the
//!    only part, since the file ends there.
//! 2. Then come the chaining values of subtrees, from the left to the right. The next subtree is the largest power of two
//!    of leaves that lies at a multiple of its own size and within the rest of the own bytes. It is half of that where it
//!    would be all bytes from the file's beginning to the last own byte, and more than a leaf: that could be the whole
//!    file, whose root is made in another way than the node of a subtree. If the own bytes do not end at a multiple of a
//!    leaf and the rest of them is no larger than what can begin there, the rest is the last subtree.
//!
//! The host joins parts. With [`WITHOUT_TREE`] there are none. An area that is too small is a fault.

use crate::completion::RESULTS;
use crate::ARGS_PER_SLOT;

layout! {
    /// The arguments of a stream opcode.
    pub struct StreamArgs: [u32; ARGS_PER_SLOT],
    /// Words of a stream opcode's arguments.
    ARGS {
        /// The chunk's index.
        chunk: u32 at ARG_CHUNK = 0;
        /// Where the own bytes begin in the chunk's buffer.
        start: u32 at ARG_START = 1;
        /// How many own bytes there are.
        len: u32 at ARG_LEN = 2;
        /// The job's number.
        job: u32 at ARG_JOB = 3;
        /// The mode, and flags.
        mode: u32 at ARG_MODE = 4;
        /// The first own byte's offset in the file.
        offset: u64 at ARG_OFFSET_LO = 5, ARG_OFFSET_HI = 6;
        /// Where to go on after an overflow; 0 at first.
        resume: u32 at ARG_RESUME = 7;
        /// How many bytes of the same file follow the own bytes in the chunk's buffer and may be looked at.
        after: u32 at ARG_AFTER = 8;
        /// How many of the bytes in front of the own ones are of the same file and may be looked at; at most `start`.
        before: u32 at ARG_BEFORE = 9;
    }
}

numbers! {
    /// Modes and flags of [`StreamArgs::mode`], and the offset that is none.
    pub MODES {
        /// The part of [`ARG_MODE`] that is the mode; the rest is flags.
        MODE_MASK: u32 = 0xFF;
        /// Is there any match?
        MODE_ANY: u32 = 0;
        /// How many lines match?
        MODE_COUNT_LINES: u32 = 1;
        /// Which lines match?
        MODE_LINES: u32 = 2;
        /// Which pattern occurs where?
        MODE_ALL: u32 = 3;
        /// Flag: count newlines.
        WANT_NEWLINES: u32 = 0x100;
        /// Flag: find the first NUL.
        WANT_NUL: u32 = 0x200;
        /// Flag of BLAKE3: leave nothing, as for a stream, whose chunks need not begin at a leaf.
        WITHOUT_TREE: u32 = 0x8000_0000;
        /// Stands for "no offset".
        NONE: u32 = u32::MAX;
    }
}

/// The same arguments for another chunk.
#[must_use]
pub const fn with_chunk(mut args: [u32; ARGS_PER_SLOT], chunk: u32) -> [u32; ARGS_PER_SLOT] {
    args[ARG_CHUNK] = chunk;
    args
}

layout! {
    /// The results of SCAN: see the [module](self).
    pub struct ScanResults: [u32; RESULTS],
    /// Words of SCAN's results.
    SCAN_RESULTS {
        /// How many matches, by the mode's meaning.
        matches: u32 at RESULT_MATCHES = 0;
        /// Newlines in the chunk.
        newlines: u32 at RESULT_NEWLINES = 1;
        /// Offset of the first newline.
        first_newline: u32 at RESULT_FIRST_NEWLINE = 2;
        /// Offset of the last newline.
        last_newline: u32 at RESULT_LAST_NEWLINE = 3;
        /// [`HEAD_MATCH`] and [`TAIL_MATCH`].
        edges: u32 at RESULT_EDGES = 4;
        /// Offset of the first NUL.
        first_nul: u32 at RESULT_FIRST_NUL = 5;
        /// Where to go on after an overflow.
        resume: u32 at RESULT_RESUME = 6;
        /// Start of the first match.
        first_match: u32 at RESULT_FIRST_MATCH = 7;
    }
}

numbers! {
    /// Bits of [`ScanResults::edges`].
    pub EDGES {
        /// A match lies in the head.
        HEAD_MATCH: u32 = 1;
        /// A match lies in the tail.
        TAIL_MATCH: u32 = 2;
    }
}

layout! {
    /// The result of LINES.
    pub struct LinesResults: [u32; RESULTS],
    /// Words of LINES' results.
    LINES_RESULTS {
        /// Newlines in the chunk.
        count: u32 at RESULT_COUNT = 0;
    }
}

layout! {
    /// The result of CRC32C.
    pub struct CrcResults: [u32; RESULTS],
    /// Words of CRC32C's results.
    CRC_RESULTS {
        /// The checksum.
        crc: u32 at RESULT_CRC = 0;
    }
}

layout! {
    /// The results of BLAKE3.
    pub struct Blake3Results: [u32; RESULTS],
    /// Words of BLAKE3's results.
    BLAKE3_RESULTS {
        /// How many parts are in the slot's area.
        parts: u32 at RESULT_PARTS = 1;
        /// 1 if the first part is a root.
        root: u32 at RESULT_ROOT = 2;
    }
}

numbers! {
    /// What BLAKE3 works with.
    pub BLAKE3 {
        /// Bytes of a leaf.
        BLAKE3_LEAF_BYTES: u32 = 1024;
        /// Words of a part.
        BLAKE3_VALUE_WORDS: u32 = 8;
    }
}

numbers! {
    /// What HISTOGRAM leaves.
    pub HISTOGRAM {
        /// Words of the slot's area that HISTOGRAM fills, one for each byte value.
        HISTOGRAM_WORDS: u32 = 256;
        /// What HISTOGRAM reports as its number of records: pairs of words.
        HISTOGRAM_RECORDS: u32 = HISTOGRAM_WORDS / 2;
        /// Words in a record of any stream opcode.
        RECORD_WORDS: usize = 2;
    }
}
