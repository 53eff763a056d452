//! Ring logs: the slots that were published to a kernel and their results, so that another kernel can run them again.
//!
//! [`RingLog`] writes one, a record for each finished slot; [`RingLogReader`] reads it back. Both work over plain streams
//! and keep one record in memory. A log is append-only and can be cut at any byte: what lies before the cut is whole.
//!
//! # Format
//!
//! Numbers are little-endian. A log is the 8 bytes `GRISTLOG`, a version (u32, 2), and records:
//!
//! | field | bytes |
//! |---|---|
//! | tag | 4 |
//! | length of the payload | u32 |
//! | payload | as long as the length says |
//! | checksum | u32 |
//!
//! The checksum is the CRC-32C of everything in the log up to here, other checksums left out: so a record that was
//! changed, taken out or moved is noticed at that record. Records come in this order:
//!
//! | tag | how many | payload |
//! |---|---|---|
//! | `KRNL` | 1 | words of a record area, bytes of a chunk buffer, jobs, programs (u32 each), name of the back end |
//! | `JOB ` | jobs | opcode; for SCAN also mode (0 lines, 1 all), case (1 either), patterns (u32 each), and each pattern as length (u32) and bytes |
//! | `PROG` | programs | opcode (u32) that the program was bound to, its container |
//! | `SLOT` | slots | see below |
//! | `END ` | 1 | slots (u64) |
//!
//! A log without `END ` was cut. Nothing follows it. A slot is:
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
//! So a slot takes 160 bytes, its path, and four bytes for each result word of its record area; bytes that cannot be read
//! again come on top. What a slot can see, and how many words count, follows from its words and the jobs:
//! [`LoggedKernel::visible`] and [`LoggedKernel::area_words`].

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
/// The version that is written and read.
pub const VERSION: u32 = 2;

/// Bytes of a chunk buffer at most, in a log.
pub const MAX_CHUNK_BYTES: u32 = 128 << 20;
/// Words of a slot's record area at most, in a log.
pub const MAX_RECORD_WORDS: u32 = 1 << 24;
/// Jobs, and programs, at most.
pub const MAX_JOBS: u32 = 64;
/// Bytes of all patterns of a job at most, with four for the length of each.
pub const MAX_PATTERN_BYTES: u32 = 256 << 20;
/// Bytes of a path at most.
pub const MAX_PATH_BYTES: u32 = 1 << 16;
/// Bytes of a back end's name at most.
pub const MAX_NAME_BYTES: u32 = 64;

const KERNEL: [u8; 4] = *b"KRNL";
const JOB: [u8; 4] = *b"JOB ";
const PROGRAM: [u8; 4] = *b"PROG";
const SLOT: [u8; 4] = *b"SLOT";
const END: [u8; 4] = *b"END ";

/// Markers of where a slot's bytes are.
const IN_FILE: u32 = 0;
const KEPT: u32 = 1;

/// Length and CRC-32C of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// How many bytes.
    pub len: u32,
    /// Their CRC-32C.
    pub crc: u32,
}

impl Digest {
    /// The digest of `bytes`, of which there are less than 4 GiB.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            crc: crc32c::crc32c(bytes),
        }
    }
}

/// Where a slot's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedBytes<'a> {
    /// In a file, from this byte offset on.
    File {
        /// The file.
        path: Cow<'a, Path>,
        /// Where the first of the bytes lies in it.
        offset: u64,
        /// The size that the file had when the slot had run, in bytes, as the file system tells it: 0 for a device.
        size: u64,
    },
    /// In the log itself.
    Kept(Cow<'a, [u8]>),
}

/// The result of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedResult<'a> {
    /// DONE or FAULT.
    pub status: u32,
    /// The fault word.
    pub fault: u32,
    /// The result words.
    pub results: [u32; 8],
    /// Records in its area.
    pub records: u32,
    /// The completion's flags.
    pub flags: u32,
    /// The words of its record area that are results.
    pub area: Cow<'a, [u32]>,
}

/// A word in which two results differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The word: `status`, `fault`, `result`, `records`, `flags` or `area`.
    pub word: &'static str,
    /// Its number among those of this name, from 0.
    pub index: usize,
    /// What it is in the first result.
    pub left: u32,
    /// What it is in the second.
    pub right: u32,
}

impl LoggedResult<'_> {
    /// The first word that differs from `other`'s. Where the areas have different lengths a word before says why.
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
    /// Its words as they were published.
    pub words: SlotImage,
    /// Its number in its ring.
    pub index: u32,
    /// Where the bytes are that it could see.
    pub bytes: LoggedBytes<'a>,
    /// Their digest.
    pub digest: Digest,
    /// Its result.
    pub result: LoggedResult<'a>,
}
