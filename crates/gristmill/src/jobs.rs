//! Jobs: what is computed for every file, and how a chunk's results become rows.
//!
//! A job has two halves. The *device's* half is a stream opcode that a worker runs over each chunk as it lands, in any
//! order ([`Job::stream_job`], [`Job::opcode`], [`Job::mode`]). The *host's* half sees the chunks of a file in file
//! order, with their results and while their bytes are still in place, and appends rows ([`Job::open`], [`Job::chunk`],
//! [`Job::close`]). The mill calls the host's half from whichever thread has results to hand in, one call at a time.
//!
//! Several jobs may run over the same files, which are then read once: [`Mill::run_all`](crate::mill::Mill::run_all).
//! Each job is called as in a run of its own. "The run" below then means its part of the run.
//!
//! A new job is a new file here and one line in the list below.

pub mod digest;
pub mod names;
pub mod run;
pub mod scan;
pub mod stats;
pub mod sweep;

use crate::error::FileErrorKind;
use crate::source::{Entry, FileFacts};
use gristmill_megakernel::{Kernel, StreamJob};
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{PipelineError, ARGS_PER_SLOT};
use gristmill_ring::RecordMemory;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The default chunk size, in bytes, of a job that does not choose another. It is large enough that a read costs little
/// compared with its copying, and small enough that a chunk is scanned while it is still in cache and that its records
/// fit into the area of a slot.
pub const DEFAULT_CHUNK_BYTES: usize = 512 * 1024;

/// Chunk size that suits jobs whose slots leave no records, in bytes. It was measured: CRC-32C digests and counts of matching
/// lines of a warm file take 5 to 15 percent less time than with [`DEFAULT_CHUNK_BYTES`].
pub const LARGE_CHUNK_BYTES: usize = 1024 * 1024;

/// The work that is done for every file.
///
/// # A file's life
///
/// [`open`](Job::open) when the file's first read has ended, [`chunk`](Job::chunk) for each part of each chunk in file
/// order, [`close`](Job::close) once. An empty file has no chunk. In particular:
///
/// - A file that **could not be opened** has no life here: only [`refused`](Job::refused) is called for it, neither
///   `open` nor `close`. It is reported to [`Control::on_error`](crate::mill::Control::on_error) and counted in
///   [`RunReport::failures`](crate::mill::RunReport::failures), and so is an entry of a list or a directory that cannot
///   be read. So a job that counts files in `close` counts those that were opened.
/// - A file whose **reading fails** later is closed with [`FileEnd::Failed`]. A file that is left early is closed with
///   [`FileEnd::Skipped`], when the job has said so or the run was stopped. Rows that are about the whole file belong
///   in `close`, once `end` says that it was read to its end.
/// - Where the job's own code **panics**, the file fails and `close` is not called for it; the run goes on.
///
/// Several files are alive at the same time. State that files share lies in the job, behind a lock.
///
/// # Overflow, and resuming
///
/// A slot's area for records has a size ([`record_words`](Job::record_words), or more). An opcode with more records
/// than fit completes with the flag OVERFLOW, and the chunk comes in several parts, each with a call of `chunk`:
/// [`first_part`](LandedChunk::first_part) is true in the first, [`last_part`](LandedChunk::last_part) in the last. The
/// job's [`Geometry::split`] decides what the parts are:
///
/// - `false`, **resumed**: the opcode has left in result word
///   [`RESULT_RESUME`](gristmill_protocol::stream::RESULT_RESUME) where it stopped, and the slot is published again
///   with this word as [`SlotPlace::resume`]. `bytes` and `offset` are those of the whole chunk in every part, and
///   `records` continue where those of the previous part ended. Results that are about the whole chunk are in *every*
///   part: count them where `first_part` is true. A custom [`StreamOpcode`](gristmill_megakernel::StreamOpcode) that
///   may overflow must begin at `StreamSlot::resume`, and get further in each part; otherwise its file fails.
/// - `true`, **split**: the results of the attempt that overflowed are discarded. The chunk is halved, at a multiple of
///   [`Geometry::align`], until its halves fit, and each half is a part with its own `bytes`, `offset` and results: add
///   them up. If the records of a single block of `align` bytes do not fit, the file fails.
///
/// After a [`Flow::SkipFile`] or [`Flow::Stop`] the parts that are still to come are not run.
pub trait Job: Send + Sync {
    /// What the job remembers of one file while it is read.
    type File: Send;

    /// The stream opcode as the kernel needs it when it is launched, if the job runs one.
    fn stream_job(&self) -> Option<StreamJob>;

    /// The opcode of every slot of this job.
    fn opcode(&self) -> u32;

    /// Called once, when the kernel runs and before anything is read.
    ///
    /// # Errors
    /// [`PipelineError`] where the job cannot run on this kernel: the run ends with it.
    fn prepare(&self, _kernel: &Kernel) -> Result<(), PipelineError> {
        Ok(())
    }

    /// The chunk size in bytes that suits this job, used if the mill's settings do not give one: a multiple of 4,096
    /// from 4 KiB to 64 MiB.
    fn chunk_bytes(&self) -> usize {
        DEFAULT_CHUNK_BYTES
    }

    /// How files are cut for this job.
    fn geometry(&self) -> Geometry {
        Geometry::default()
    }

    /// The smallest record area of a slot, in words, that the job needs.
    fn record_words(&self) -> u32 {
        0
    }

    /// The argument words of a slot: those of a stream opcode, unless the job says otherwise.
    ///
    /// # Errors
    /// [`PipelineError`] where the arguments cannot name this place: the file fails with it.
    fn args(&self, place: &SlotPlace) -> Result<[u32; ARGS_PER_SLOT], PipelineError> {
        Ok(stream_args(place).encode())
    }

    /// What a slot's FAULT word means, if the job can say more than its reason code does.
    fn fault(&self, _word: u32) -> Option<String> {
        None
    }

    /// The slot's mode and flags (`ARG_MODE`) for the chunk at byte `offset` of the file.
    fn mode(&self, _entry: &Entry, _offset: u64) -> u32 {
        0
    }

    /// Whether the job gives the rows of a [part](Entry::part) of a file, such that those of all parts together are those
    /// of the whole file. A job that does not fails such entries.
    fn takes_parts(&self) -> bool {
        false
    }

    /// From which byte on a file must be read, at the latest, for the rows that begin at `begin` or behind it. Called for a
    /// part of a file, before anything of it is read, of jobs that [take parts](Self::takes_parts). The chunks that the
    /// job is shown begin at this byte or before it, and the file is read on behind the part until the job says
    /// [`Flow::SkipFile`].
    ///
    /// # Errors
    /// Those of reading the file.
    fn part_from(&self, _file: &OwnedFd, begin: u64) -> std::io::Result<u64> {
        Ok(begin)
    }

    /// A file begins: it was opened, and its first read has ended, with or without an error. `facts` tells what the file
    /// system says of it. Its chunks follow, then [`Job::close`].
    fn open(&self, entry: &Arc<Entry>, facts: &FileFacts) -> Self::File;

    /// The next chunk of the file, in file order. After an overflow of its records a chunk comes in several parts: see
    /// "Overflow, and resuming" above.
    ///
    /// The end of the file is not known here: a file that ends at a chunk's end has no further, empty chunk.
    fn chunk(&self, file: &mut Self::File, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow;

    /// A file could not be opened. The user is told why, and neither [`Job::open`] nor [`Job::close`] is called for it.
    /// A job that has rows for such files appends them here.
    fn refused(&self, _entry: &Entry, _why: &FileErrorKind, _rows: &mut Vec<u8>) {}

    /// The file has ended, as `end` says: appends its last rows. Not called for a file that could not be opened.
    fn close(&self, file: Self::File, end: &FileEnd, rows: &mut Vec<u8>) -> Flow;
}

/// The arguments of a stream opcode for this place.
fn stream_args(place: &SlotPlace) -> StreamArgs {
    StreamArgs {
        chunk: place.chunk,
        start: place.start,
        len: place.len,
        job: place.job,
        mode: place.mode,
        offset: place.offset,
        resume: place.resume,
        after: place.after,
        before: place.before,
    }
}

/// The most bytes before and behind a chunk's own that a [`Geometry`] can ask for.
pub const MAX_HALO: usize = 4096;

/// How files are cut into chunks for a job. Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// How many bytes of the same file stand before a chunk's own bytes in its buffer, if the file has them: at most
    /// [`MAX_HALO`].
    pub before: usize,
    /// How many bytes of the same file stand behind them: at most [`MAX_HALO`].
    pub after: usize,
    /// Chunks begin at multiples of this in the file: a power of two. Those of files that are read by position, which
    /// are all but streams, begin at multiples of 4,096 anyway.
    pub align: usize,
    /// The largest chunk: a multiple of `align`. Chunks have the size that the mill is configured for, but are no
    /// larger than this, and are rounded down to a multiple of `align`, though never below `align` itself.
    pub max_chunk: usize,
    /// Whether a chunk whose records overflow is split and its parts are run, rather than the chunk being resumed.
    pub split: bool,
    /// Whether the opcode works on a file's chunks one after the other. Then only a few chunks of a file are read ahead
    /// (as many as reads may be in flight), so that others have buffers, too, and workers find chunks of several files.
    /// The order is the opcode's own matter: the mill runs chunks in any order.
    pub in_order: bool,
}

impl Default for Geometry {
    /// Chunks of any size, at any offset, without surrounding bytes.
    fn default() -> Self {
        Self {
            before: 0,
            after: 0,
            align: 1,
            max_chunk: usize::MAX,
            split: false,
            in_order: false,
        }
    }
}

impl Geometry {
    /// Checks that files can be cut with this geometry.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] where a number is out of range.
    pub fn check(&self) -> Result<(), PipelineError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        if self.before > MAX_HALO || self.after > MAX_HALO {
            return invalid(
                "a job that looks at more than 4,096 bytes before or after a chunk",
                "ask for at most 4,096 bytes on each side",
            );
        }
        if !self.align.is_power_of_two() {
            return invalid(
                "a job whose chunks begin at multiples of a number that is not a power of two",
                "use an align such as 1 or 4096",
            );
        }
        if self.max_chunk < self.align {
            return invalid(
                "a job whose largest chunk is smaller than its align",
                "let max_chunk be a multiple of align",
            );
        }
        Ok(())
    }

    /// Whether a chunk's own bytes are all that it needs.
    pub(crate) fn is_plain(&self) -> bool {
        self.before == 0 && self.after == 0 && self.align == 1
    }

    /// How files are cut for jobs with these geometries together: each sees at least what it asks for. Whether chunks are
    /// split is each job's own matter.
    pub(crate) fn of_all(geometries: impl IntoIterator<Item = Geometry>) -> Geometry {
        let joined = geometries.into_iter().reduce(|a, b| Geometry {
            before: a.before.max(b.before),
            after: a.after.max(b.after),
            // The larger of two powers of two is a multiple of the other.
            align: a.align.max(b.align),
            max_chunk: a.max_chunk.min(b.max_chunk),
            split: a.split || b.split,
            in_order: a.in_order || b.in_order,
        });
        joined.unwrap_or_default()
    }
}

/// Where a slot's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotPlace {
    /// The chunk's index.
    pub chunk: u32,
    /// Where the chunk's own bytes begin in its buffer. The bytes before them belong to the same file.
    pub start: u32,
    /// The number of own bytes.
    pub len: u32,
    /// Bytes of the same file in front of them in the buffer, no more than the job's geometry asks for.
    pub before: u32,
    /// Bytes of the same file behind them in the buffer, no more than the job's geometry asks for.
    pub after: u32,
    /// Position of the first own byte in the file.
    pub offset: u64,
    /// The value that [`Job::mode`] returned.
    pub mode: u32,
    /// Where the opcode resumes after an overflow; 0 in the first part.
    pub resume: u32,
    /// Whether the file is a stream: see [`LandedChunk::stream`].
    pub stream: bool,
    /// The number of the job's stream opcode among those of the kernel's jobs, by which a slot names it.
    pub job: u32,
}

/// Whether the job wants more chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Continue with the next chunk.
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
        error: FileErrorKind,
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
    /// Whether the file is a stream (a pipe, a terminal). A chunk of a stream is what one read brought, and the next
    /// bytes may not have been written yet, so rows that are certain should be made now.
    pub stream: bool,
    /// Whether these are not the bytes of the file but what they were decoded to ([`Decode`](crate::decode::Decode)).
    pub decoded: bool,
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
