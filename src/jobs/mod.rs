//! Jobs: what is asked of every file, and how a chunk's results become rows.
//!
//! A job has two halves. The *device's* half is a stream opcode that a worker runs over each chunk as it lands, in any
//! order ([`Job::stream_job`], [`Job::opcode`], [`Job::mode`]). The *host's* half sees the chunks of a file in file
//! order, with their results and while their bytes are still in place, and appends rows ([`Job::open`], [`Job::chunk`],
//! [`Job::close`]). The mill calls the host's half from whichever thread has results to hand in, one call at a time.
//!
//! A new job is a new file here and one line in the list below.

pub mod digest;
pub mod names;
pub mod scan;
pub mod stats;

use crate::source::Entry;
use gristmill_megakernel::StreamJob;
use gristmill_protocol::PipelineError;
use gristmill_ring::RecordMemory;
use std::sync::Arc;

/// What is asked of every file.
pub trait Job: Send + Sync {
    /// What the job remembers of one file while it is read.
    type File: Send;

    /// The job as the kernel needs it.
    fn stream_job(&self) -> StreamJob;

    /// The stream opcode of every slot of this job.
    fn opcode(&self) -> u32;

    /// The slot's mode and flags (`ARG_MODE`) for the chunk at byte `offset` of the file.
    fn mode(&self, _entry: &Entry, _offset: u64) -> u32 {
        0
    }

    /// A file begins. Its chunks follow, then [`Job::close`].
    fn open(&self, entry: &Arc<Entry>) -> Self::File;

    /// The next chunk of the file, in file order. After an overflow of its records a chunk comes in several parts.
    ///
    /// The end of the file is not known here: a file that ends at a chunk's end has no further, empty chunk.
    fn chunk(&self, file: &mut Self::File, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow;

    /// The file has ended, in whatever way; its last rows.
    fn close(&self, file: Self::File, end: &FileEnd, rows: &mut Vec<u8>) -> Flow;
}

/// Whether more is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// This file is answered: no more of its chunks are needed. [`Job::close`] follows, with [`FileEnd::Skipped`].
    SkipFile,
    /// The whole run is answered. Files that are open are closed with [`FileEnd::Skipped`], their rows kept.
    Stop,
}

/// How a file ended.
#[derive(Debug, Clone)]
pub enum FileEnd {
    /// Read to its end.
    Complete {
        /// Its length in bytes, as read.
        bytes: u64,
    },
    /// Left early, because the job said so or the run was stopped.
    Skipped {
        /// Bytes that the job has seen, from the start.
        bytes: u64,
    },
    /// Reading failed. All bytes before `offset` were handed to the job.
    Failed {
        /// Where it failed, in bytes from the start.
        offset: u64,
        /// Why.
        error: PipelineError,
    },
}

/// A chunk that the kernel has finished with.
#[derive(Debug, Clone, Copy)]
pub struct LandedChunk<'a> {
    /// Position of the first byte in the file.
    pub offset: u64,
    /// The chunk's own bytes.
    pub bytes: &'a [u8],
    /// Result words of the slot.
    pub results: [u32; 8],
    /// Records of the slot, of this part.
    pub records: Records<'a>,
    /// Whether this is the chunk's first part.
    pub first_part: bool,
    /// Whether this is the chunk's last part.
    pub last_part: bool,
}

/// The records of a finished slot.
#[derive(Debug, Clone, Copy)]
pub enum Records<'a> {
    /// In the record area of a slot.
    Area {
        /// All areas.
        memory: &'a RecordMemory,
        /// The slot's.
        area: u32,
        /// How many.
        len: u32,
    },
    /// In a list, for replays and tests.
    List(&'a [(u32, u32)]),
}

impl Records<'_> {
    /// Number of records.
    pub fn len(&self) -> u32 {
        match self {
            Records::Area { len, .. } => *len,
            Records::List(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Record `index`; zeros out of range.
    #[inline]
    pub fn get(&self, index: u32) -> (u32, u32) {
        match self {
            Records::Area { memory, area, .. } => memory.get(*area, index),
            Records::List(list) => list.get(index as usize).copied().unwrap_or_default(),
        }
    }

    /// Word `index` of the record area, for opcodes whose result is an array; zero out of range.
    #[inline]
    pub fn word(&self, index: usize) -> u32 {
        match self {
            Records::Area { memory, area, .. } => memory.word(*area, index),
            Records::List(list) => list.get(index / 2).map_or(0, |pair| {
                if index.is_multiple_of(2) {
                    pair.0
                } else {
                    pair.1
                }
            }),
        }
    }
}
