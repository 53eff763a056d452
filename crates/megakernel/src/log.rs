//! Ring logs: the slots that were published to a kernel and their results, so that another kernel can run them again.
//!
//! [`RingLog`] writes a log, with one record for each finished slot; [`RingLogReader`] reads it back. Both work over
//! plain streams and keep only one record in memory. A log is append-only. It can be cut at any byte, and everything
//! before the cut can still be read.
//!
//! # Format
//!
//! Numbers are little-endian. A log consists of the 8 bytes `GRISTLOG`, a version (u32, 2), and records:
//!
//! | field | bytes |
//! |---|---|
//! | tag | 4 |
//! | length of the payload | u32 |
//! | payload | as long as the length says |
//! | checksum | u32 |
//!
//! The checksum is the CRC-32C of everything in the log up to this point, except other checksums. So a record that was
//! changed, removed or moved is noticed at that record. Records come in this order:
//!
//! | tag | how many | payload |
//! |---|---|---|
//! | `KRNL` | 1 | words of a record area, bytes of a chunk buffer, jobs, programs (u32 each), name of the back end |
//! | `JOB ` | jobs | opcode; for SCAN also kind (0 strings in lines, 1 strings, 2 regexes in lines), for strings case (1 either), for regexes flags (u32), size limit and DFA size limit (u64 each), then patterns (u32), and each pattern as length (u32) and bytes |
//! | `PROG` | programs | opcode (u32) that the program was bound to, its container |
//! | `SLOT` | slots | see below |
//! | `END ` | 1 | slots (u64) |
//!
//! The flags of regexes: case in bits 0 and 1 (0 as written, 1 either, 2 smart), what a match lies between in bits 2 and
//! 3 (0 anything, 1 word boundaries, 2 a line's ends), and a bit each: 4 fixed strings, 5 Unicode, 6 CR LF ends lines, 7
//! NULs may match, 8 a chunk's lines from a NUL on are left out.
//!
//! A log without `END ` was cut. Nothing may follow `END `. A slot's payload is:
//!
//! | field | bytes |
//! |---|---|
//! | the slot's 16 words, as they were published | 64 |
//! | its number in its ring | u32 |
//! | bytes of the chunk that it could see, and their CRC-32C | u32, u32 |
//! | status, fault, 8 results, records, flags | 12 u32 |
//! | number of result words in its record area, and these words | u32, u32 each |
//! | where the bytes are: 0 in a file, 1 here | u32 |
//! | in a file: the offset of the first of them (u64), the file's size (u64) and the path; here: the bytes | the rest |
//!
//! So a slot takes 160 bytes, plus its path, plus four bytes for each result word in its record area. The bytes
//! themselves are added if they cannot be read again. A slot's words and the jobs determine which bytes it can see and
//! how many words of its area count: see [`LoggedKernel::visible`] and [`LoggedKernel::area_words`].

mod kernel;
mod read;
mod records;
mod write;

pub use kernel::LoggedKernel;
pub use read::RingLogReader;
pub use write::RingLog;

use gristmill_protocol::slot::SlotImage;
use std::borrow::Cow;
use std::path::Path;

/// The first bytes of a log.
pub const MAGIC: [u8; 8] = *b"GRISTLOG";
/// The version of logs that this crate writes and reads.
pub const VERSION: u32 = 2;

/// The largest chunk buffer that a log may have, in bytes.
pub const MAX_CHUNK_BYTES: u32 = 128 << 20;
/// The largest record area of a slot that a log may have, in words.
pub const MAX_RECORD_WORDS: u32 = 1 << 24;
/// The largest number of jobs, and of programs.
pub const MAX_JOBS: u32 = 64;
/// The largest total size of a job's patterns, in bytes, counting four bytes for the length of each.
pub const MAX_PATTERN_BYTES: u32 = 256 << 20;
/// The longest path, in bytes.
pub const MAX_PATH_BYTES: u32 = 1 << 16;
/// The longest name of a back end, in bytes.
pub const MAX_NAME_BYTES: u32 = 64;

const KERNEL: [u8; 4] = *b"KRNL";
const JOB: [u8; 4] = *b"JOB ";
const PROGRAM: [u8; 4] = *b"PROG";
const SLOT: [u8; 4] = *b"SLOT";
const END: [u8; 4] = *b"END ";

/// Markers that say where a slot's bytes are.
const IN_FILE: u32 = 0;
const KEPT: u32 = 1;

/// The length and the CRC-32C of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// The number of bytes.
    pub len: u32,
    /// The CRC-32C of the bytes.
    pub crc: u32,
}

impl Digest {
    /// The digest of `bytes`, which must be shorter than 4 GiB.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            crc: crc32c::crc32c(bytes),
        }
    }
}

/// The location of a slot's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedBytes<'a> {
    /// The bytes are in a file, from this byte offset on.
    File {
        /// The path of the file.
        path: Cow<'a, Path>,
        /// The offset of the first of the bytes in the file.
        offset: u64,
        /// The size of the file after the slot had run, in bytes, as the file system reports it: 0 for a device.
        size: u64,
    },
    /// The bytes are in the log itself.
    Kept(Cow<'a, [u8]>),
}

/// The result of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedResult<'a> {
    /// The status: DONE or FAULT.
    pub status: u32,
    /// The fault word.
    pub fault: u32,
    /// The result words.
    pub results: [u32; 8],
    /// The number of records in the slot's record area.
    pub records: u32,
    /// The completion's flags.
    pub flags: u32,
    /// The words of the slot's record area that are results.
    pub area: Cow<'a, [u32]>,
}

/// A word in which two results differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The name of the word: `status`, `fault`, `result`, `records`, `flags` or `area`.
    pub word: &'static str,
    /// The word's index among the words of this name, counted from 0.
    pub index: usize,
    /// Its value in the first result.
    pub left: u32,
    /// Its value in the second result.
    pub right: u32,
}

impl LoggedResult<'_> {
    /// The first word that differs from `other`'s. If the areas have different lengths, an earlier word differs too and
    /// explains why.
    pub fn difference(&self, other: &LoggedResult<'_>) -> Option<Difference> {
        let heads = [("status", 0), ("fault", 0), ("records", 0), ("flags", 0)];
        let heads = heads.into_iter().zip(self.head()).zip(other.head());
        let results = (0..).map(|index| ("result", index));
        let results = results.zip(self.results).zip(other.results);
        let area = (0..).map(|index| ("area", index));
        let area = area.zip(self.area.iter().copied());
        let area = area.zip(other.area.iter().copied());
        heads
            .chain(results)
            .chain(area)
            .find(|((_, left), right)| left != right)
            .map(|(((word, index), left), right)| Difference {
                word,
                index,
                left,
                right,
            })
    }

    fn head(&self) -> [u32; 4] {
        [self.status, self.fault, self.records, self.flags]
    }
}

/// A finished slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedSlot<'a> {
    /// The slot's words as they were published.
    pub words: SlotImage,
    /// The slot's number in its ring.
    pub index: u32,
    /// The location of the bytes that the slot could see.
    pub bytes: LoggedBytes<'a>,
    /// The digest of those bytes.
    pub digest: Digest,
    /// Its result.
    pub result: LoggedResult<'a>,
}
