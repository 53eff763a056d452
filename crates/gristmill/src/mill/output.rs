//! Rows and errors on their way to the caller of a run: the workers queue them, and the thread in `Mill::run` writes
//! them.

use super::status::Status;
use crate::error::{FileError, FileErrorKind};
use gristmill_megakernel::Kernel;
use gristmill_ring::lock;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of rows that may wait to be written before the workers stop handing in more.
const FULL_BYTES: usize = 4 << 20;

/// The number of errors that may wait to be reported before the workers stop handing in more.
const FULL_ERRORS: usize = 1024;

/// Bytes of rows for which the writer is woken.
const WORTH_BYTES: usize = 64 << 10;

/// How long rows may wait while they are fewer than [`WORTH_BYTES`].
const LINGER: Duration = Duration::from_millis(20);

/// Rows and errors that wait to be written.
#[derive(Debug, Default)]
pub(super) struct OutputQueue {
    queued: Mutex<Queued>,
    arrived: Condvar,
    /// Bytes of rows that were handed in and are not written yet.
    unwritten: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queued {
    rows: Vec<u8>,
    errors: Vec<FileError>,
    /// The number of errors so far that are failures.
    failures: u64,
    /// Whether no more will come.
    finished: bool,
    /// Whether the output has failed, so that rows are dropped.
    closed: bool,
}

impl OutputQueue {
    /// Appends rows. `urgent` rows are written at once, others when enough have gathered or a short time has passed.
    pub fn rows(&self, rows: &mut Vec<u8>, urgent: bool) {
        if rows.is_empty() {
            return;
        }
        let mut queued = lock(&self.queued);
        if queued.closed {
            rows.clear();
            return;
        }
        self.unwritten.fetch_add(rows.len(), Ordering::Relaxed);
        if queued.rows.is_empty() {
            std::mem::swap(&mut queued.rows, rows);
        } else {
            queued.rows.append(rows);
        }
        if urgent || queued.rows.len() >= WORTH_BYTES {
            self.arrived.notify_one();
        }
    }

    /// Appends an error, and counts it as a failure unless it is a notice.
    pub fn error(&self, error: FileError) {
        let mut queued = lock(&self.queued);
        queued.failures += u64::from(!error.is_notice());
        queued.errors.push(error);
        drop(queued);
        self.arrived.notify_one();
    }

    /// Failures so far.
    pub fn failures(&self) -> u64 {
        lock(&self.queued).failures
    }

    /// Whether the waiting rows or errors have reached their bound, so that no more should be handed in. A worker that
    /// checks this before each file or chunk exceeds the bound by at most a batch of files.
    pub fn is_full(&self) -> bool {
        let queued = lock(&self.queued);
        queued.rows.len() >= FULL_BYTES || queued.errors.len() >= FULL_ERRORS
    }

    /// Bytes of rows that were handed in and are not written yet.
    pub fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Notes that taken rows have been written or dropped: clears the buffer, and frees it if it is large.
    fn written(&self, rows: &mut Vec<u8>) {
        self.unwritten.fetch_sub(rows.len(), Ordering::Relaxed);
        rows.clear();
        rows.shrink_to(FULL_BYTES);
    }

    /// Notes that no more will come.
    pub fn finish(&self) {
        lock(&self.queued).finished = true;
        self.arrived.notify_one();
    }

    /// Notes that the output has failed: further rows are dropped.
    fn close(&self) {
        let mut queued = lock(&self.queued);
        queued.closed = true;
        let rows = std::mem::take(&mut queued.rows);
        self.unwritten.fetch_sub(rows.len(), Ordering::Relaxed);
    }

    /// Takes the rows and errors that have come, waiting for at most [`LINGER`] if they are few. Returns the errors,
    /// and whether no more will come. The rows are swapped into `rows`, which must be empty.
    fn take(&self, rows: &mut Vec<u8>) -> (Vec<FileError>, bool) {
        let mut queued = lock(&self.queued);
        if queued.rows.len() < WORTH_BYTES && queued.errors.is_empty() && !queued.finished {
            let waited = self.arrived.wait_timeout(queued, LINGER);
            queued = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut queued.rows, rows);
        (std::mem::take(&mut queued.errors), queued.finished)
    }

    /// Writes rows to `output` and reports errors until the run is over, or until the kernel has failed. The caller's
    /// thread does this; it also cancels the kernel's work when the caller wants the run to end.
    pub fn write_to(&self, output: &mut dyn Write, kernel: &Kernel, status: &Status) -> Written {
        let control = &status.control;
        let mut written = Written {
            bytes: 0,
            time: Duration::ZERO,
            result: Ok(()),
        };
        let mut rows = Vec::new();
        loop {
            if let Some(error) = kernel.failure() {
                if status.break_off() {
                    self.error(FileError::new(None, FileErrorKind::KernelFailed(error)));
                    status.wake();
                }
            }
            if control.stopped() {
                kernel.cancel();
            }
            let (errors, finished) = self.take(&mut rows);
            for error in &errors {
                control.report(error);
            }
            if !rows.is_empty() && written.result.is_ok() {
                let began = Instant::now();
                written.result = output.write_all(&rows).and_then(|()| output.flush());
                written.time += began.elapsed();
                if written.result.is_ok() {
                    written.bytes += rows.len() as u64;
                } else {
                    self.close();
                    control.stop();
                }
            }
            if !rows.is_empty() || !errors.is_empty() {
                self.written(&mut rows);
                // The queue has room for more.
                status.wake();
            }
            if finished {
                return written;
            }
        }
    }
}

/// How writing the rows went.
pub(super) struct Written {
    /// Bytes that were written.
    pub bytes: u64,
    /// Time that the output took.
    pub time: Duration,
    /// The first error, after which no more was written.
    pub result: io::Result<()>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_until_they_are_written_or_not_wanted_and_leave_no_large_buffer_behind() {
        let queue = OutputQueue::default();
        let mut rows = Vec::new();
        queue.rows(&mut vec![b'x'; 3 * FULL_BYTES], false);
        queue.take(&mut rows);
        queue.rows(&mut vec![b'y'; 10], false);
        assert_eq!(queue.unwritten(), 3 * FULL_BYTES + 10);
        queue.written(&mut rows);
        assert!(rows.is_empty() && rows.capacity() <= FULL_BYTES);
        assert_eq!(queue.unwritten(), 10);
        queue.close();
        queue.rows(&mut vec![b'z'; 10], false);
        assert_eq!(queue.unwritten(), 0);
    }
}
