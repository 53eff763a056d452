//! What a loop has done, and what remains of one that was stopped.

use crate::reader::ReadStats;
use gristmill_protocol::io::IoRequest;
use gristmill_ring::{ChunkBuf, IoQueue};

/// What a loop has done so far. Each request that has ended is in exactly one of the counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IoLoopStats {
    /// READs that were served.
    pub reads: u64,
    /// Bytes that these landed.
    pub bytes_read: u64,
    /// WRITEs that were served.
    pub writes: u64,
    /// Bytes that these wrote.
    pub bytes_written: u64,
    /// FENCEs that ended.
    pub fences: u64,
    /// Requests that the tables refused, before any file was accessed.
    pub refused: u64,
    /// READs and WRITEs that failed at their file.
    pub failed: u64,
    /// Requests that were in flight when the loop was stopped.
    pub cancelled: u64,
    /// How READs are done: the name of the reader's path.
    pub path: &'static str,
    /// Why io_uring is not used, or no longer; `None` if it is used, or was not asked for.
    pub why: Option<String>,
    /// The system calls of READs, and bytes by path.
    pub reader: ReadStats,
}

impl IoLoopStats {
    /// Requests that have ended, one way or the other.
    pub fn ended(&self) -> u64 {
        self.reads + self.writes + self.fences + self.refused + self.failed + self.cancelled
    }
}

/// What remains of a stopped loop.
#[derive(Debug)]
pub struct StoppedIo {
    /// The queue. Requests that nobody has claimed wait in it for another loop.
    pub queue: IoQueue,
    /// The chunks of all destinations, except those of reads that were in flight and those that a worker is reading.
    /// These are retired.
    pub chunks: Vec<ChunkBuf>,
    /// READs and WRITEs whose file had not answered. They ended with ECANCELED, but each is still being carried out by
    /// a thread, which keeps the file and the chunk until the file answers, and then ends. Until then, a READ may still
    /// change its chunk, which nobody else has, and a WRITE may still change its file. Linux does not end a process
    /// before such threads of it have ended.
    pub left_behind: Vec<IoRequest>,
    /// What the loop did.
    pub stats: IoLoopStats,
}
