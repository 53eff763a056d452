//! The host's side of LOAD_MISS: a thread that serves the requests of a kernel's slots.
//!
//! Everything that the device sends is a number: a handle in the loop's tables ([`IoTables`]), an offset or a count. It
//! is checked against the tables before anything is done. It is never used as a file descriptor or an address, and a
//! length is never trusted. The tenant of a request is that of the slot that the host published (see
//! [`gristmill_ring::live`]).
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
//! The thread has its own [`ChunkReader`](crate::reader::ChunkReader), which does many READs at once. Requests that would block the thread are done
//! on other threads (`io_loop/threads.rs`), a few for each file: WRITEs, READs of files on FUSE (which io_uring must
//! not read), and all READs if io_uring is refused, also where that happens while the loop runs. So a file system that does not answer delays only the requests for
//! its own files.
//!
//! READs and WRITEs end in any order, but requests for one destination are served one after the other. A FENCE ends
//! when all requests that were published before it have ended. A READ that reaches the end of the file or of the source
//! reports how many bytes landed. A cancelled WRITE may already have written bytes to the file.

mod done;
mod server;
mod tables;
mod threads;

pub use done::{IoLoopStats, StoppedIo};
pub use tables::{IoSource, IoTables};

use crate::path::ReadPathChoice;
use gristmill_protocol::PipelineError;
use gristmill_ring::{lock, IoQueue};
use server::serve;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long [`MegakernelIoLoop::stop`] waits for a device that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A thread that serves the device's IO requests, by io_uring or, if that is refused, by positioned reads on more
/// threads. Dropping this stops the thread.
pub struct MegakernelIoLoop {
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<IoLoopStats>>,
    /// `None` once the loop was stopped.
    thread: Option<(JoinHandle<()>, Receiver<StoppedIo>)>,
}

impl MegakernelIoLoop {
    /// Starts to serve a queue with these tables, which cannot be changed any more.
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

    /// What the loop has done so far. A request is counted before the device learns that it has ended.
    pub fn stats(&self) -> IoLoopStats {
        lock(&self.stats).clone()
    }

    /// Stops serving: cancels the reads in flight, waits until no byte lands any more, and fails their requests with
    /// ECANCELED. This takes some milliseconds. A `pread` or `pwrite` cannot be cancelled. If it has not ended by then,
    /// because its file system does not answer, it is left behind ([`StoppedIo::left_behind`]) and delays nothing else.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] if io_uring's reads or NVMe commands are cancelled and a device does not answer
    /// within two seconds. The thread then ends by itself when the device answers, or after ten seconds. Until then it
    /// keeps all memory that bytes may land in.
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
        // The thread has already sent its result, so this takes no time.
        let joined = thread.join();
        Some(joined.map_err(|_| panicked()).and(result))
    }
}

impl Drop for MegakernelIoLoop {
    fn drop(&mut self) {
        // `drop` cannot return errors; `stop` does.
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
