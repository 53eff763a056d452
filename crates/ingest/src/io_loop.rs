//! The host's side of LOAD_MISS: a thread that reads what a kernel's slots ask for.
//!
//! Whatever arrives from the device is a number: a handle in the loop's tables ([`IoTables`]), an offset or a count,
//! and is checked against the table before anything is done. It is never a file descriptor, an address or a length to
//! be believed. Whose request it is comes from the slot that the host published (see [`gristmill_ring::live`]).
//!
//! | error number | for |
//! |---|---|
//! | EBADF | a handle that is in no table |
//! | EACCES | a handle of other tenants, a WRITE to a source that is not for writing |
//! | EINVAL | an offset or a count out of range, an unknown operation, a request of no slot |
//! | EBUSY | a destination that a worker is reading |
//! | ECANCELED | a request that was in flight when the loop was stopped, or that is made while none serves the queue |
//! | EAGAIN | a READ or WRITE for which the system gave no thread |
//! | EOPNOTSUPP | a file that the loop's path cannot read |
//! | EIO | what a disk answers to a command, a file that changed while it was read past its file system |
//! | any | what the file system answers |
//!
//! # Order
//!
//! READs go to a [`ChunkReader`](crate::reader::ChunkReader) of the thread's own, many at once. What that could not do without blocking the thread
//! is done on other threads (`io_loop/threads.rs`), a few for each file: WRITEs, READs of files on FUSE (which io_uring
//! must not read), and all READs where io_uring is refused. So a file system that does not answer holds up the requests
//! of its files, and no others.
//!
//! READs and WRITEs end in any order, but requests for one destination are served one after the other. A FENCE ends
//! when all have ended that were published before it. A READ that meets the file's or the source's end tells how many
//! bytes landed. Of a WRITE that was cancelled, bytes may have reached the file.

mod server;
mod tables;
mod threads;

pub use tables::{IoSource, IoTables};

use crate::path::ReadPathChoice;
use crate::reader::ReadStats;
use gristmill_protocol::io::IoRequest;
use gristmill_protocol::PipelineError;
use gristmill_ring::{lock, ChunkBuf, IoQueue};
use server::serve;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long [`MegakernelIoLoop::stop`] waits for a device that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a loop did so far. Of each request exactly one count says how it ended.
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
    /// Requests that the tables refused: nothing was asked of a file.
    pub refused: u64,
    /// READs and WRITEs that a file failed.
    pub failed: u64,
    /// Requests that were in flight when the loop was stopped.
    pub cancelled: u64,
    /// How READs are done: the name of the reader's path.
    pub path: &'static str,
    /// Why io_uring was not taken; `None` where it was, or was not asked for.
    pub why: Option<String>,
    /// What READs asked of the kernel, and bytes by path.
    pub reader: ReadStats,
}

impl IoLoopStats {
    /// Requests that have ended, one way or the other.
    pub fn ended(&self) -> u64 {
        self.reads + self.writes + self.fences + self.refused + self.failed + self.cancelled
    }
}

/// What a stopped loop leaves.
#[derive(Debug)]
pub struct StoppedIo {
    /// The queue: requests that nobody has claimed wait in it, for another loop.
    pub queue: IoQueue,
    /// The chunks of all destinations, but for those of reads that were in flight and those that a worker is reading:
    /// these are retired.
    pub chunks: Vec<ChunkBuf>,
    /// READs and WRITEs whose file had not answered. They ended with ECANCELED, but each is still being done, by a
    /// thread that keeps its file and its chunk until the file answers, and then ends: a READ may still change that
    /// chunk, which nobody else has, and a WRITE the file. Linux ends no process before such a thread of it ends.
    pub left_behind: Vec<IoRequest>,
    /// What the loop did.
    pub stats: IoLoopStats,
}

/// A thread that serves the device's IO requests, by io_uring or, where that is refused, by positioned reads on more
/// threads. Dropping it stops it.
pub struct MegakernelIoLoop {
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<IoLoopStats>>,
    /// `None` once the loop was stopped.
    thread: Option<(JoinHandle<()>, Receiver<StoppedIo>)>,
}

impl MegakernelIoLoop {
    /// Starts serving a queue from tables, which are fixed from here on.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where `path` demands io_uring and it is refused; [`PipelineError::Backend`]
    /// where the system gives no thread. The queue and the chunks are lost.
    pub fn start(
        queue: IoQueue,
        tables: IoTables,
        path: ReadPathChoice,
    ) -> Result<Self, PipelineError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(Mutex::new(IoLoopStats::default()));
        let (ready, started) = mpsc::channel();
        let (leaves, left) = mpsc::channel();
        let (stops, counts) = (Arc::clone(&stop), Arc::clone(&stats));
        let body = move || serve(queue, tables, path, counts, &stops, &ready, &leaves);
        let thread = std::thread::Builder::new()
            .name("gristmill-io".into())
            .spawn(body)
            .map_err(|error| {
                PipelineError::Backend(format!(
                    "no thread for the IO loop: {error}; raise the limit on processes (ulimit -u)"
                ))
            })?;
        started.recv().unwrap_or_else(|_| Err(panicked()))?;
        Ok(Self {
            stop,
            stats,
            thread: Some((thread, left)),
        })
    }

    /// What was done so far. A request is counted before the device learns that it has ended.
    pub fn stats(&self) -> IoLoopStats {
        lock(&self.stats).clone()
    }

    /// Stops serving: cancels the reads in flight, waits until no byte lands any more, and fails their requests with
    /// ECANCELED. This takes some milliseconds. A `pread` or `pwrite` cannot be cancelled: one that is not over by
    /// then, because its file system does not answer, is left behind ([`StoppedIo::left_behind`]) and holds nothing
    /// else up.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where a device does not answer within two seconds to the cancelling of io_uring's
    /// reads or of NVMe commands. The thread then ends by itself, when the device answers or ten seconds have passed,
    /// and keeps until then all memory that bytes may land in.
    pub fn stop(mut self) -> Result<StoppedIo, PipelineError> {
        self.finish().unwrap_or_else(|| Err(panicked()))
    }

    /// Stops the thread; `None` if that was done before.
    fn finish(&mut self) -> Option<Result<StoppedIo, PipelineError>> {
        let (thread, left) = self.thread.take()?;
        self.stop.store(true, Ordering::Release);
        let result = match left.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => {
                return Some(Err(PipelineError::Backend(
                    "the IO loop waits for a device that does not answer; check what its files are stored on".into(),
                )));
            }
            Err(RecvTimeoutError::Disconnected) => Err(panicked()),
            Ok(stopped) => Ok(stopped),
        };
        // The thread has said all it had to say: this takes no time.
        let joined = thread.join();
        Some(joined.map_err(|_| panicked()).and(result))
    }
}

impl Drop for MegakernelIoLoop {
    fn drop(&mut self) {
        // Errors have nowhere to go here: `stop` returns them.
        drop(self.finish());
    }
}

impl std::fmt::Debug for MegakernelIoLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MegakernelIoLoop")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

fn panicked() -> PipelineError {
    PipelineError::Backend("the IO loop's thread has panicked; please report this".into())
}
