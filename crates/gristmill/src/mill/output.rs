//! Rows and errors on their way to the caller of a run: the workers queue them, and the thread in `Mill::run` writes
//! them.

use super::status::Status;
use super::task::Jobs;
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

/// Rows of each job, and errors, that wait to be written.
#[derive(Debug)]
pub(super) struct OutputQueue {
    queued: Mutex<Queued>,
    arrived: Condvar,
    /// Bytes of rows that were handed in and are not written yet.
    unwritten: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queued {
    /// By the jobs' numbers.
    rows: Vec<QueuedRows>,
    /// Bytes of all of them.
    bytes: usize,
    errors: Vec<FileError>,
    /// The number of errors so far that are failures.
    failures: u64,
    /// Whether no more will come.
    finished: bool,
}

#[derive(Debug, Default)]
struct QueuedRows {
    rows: Vec<u8>,
    /// Whether the output has failed, so that rows are dropped.
    closed: bool,
}

impl OutputQueue {
    /// An empty queue for this many jobs.
    pub fn new(jobs: usize) -> Self {
        let queued = Queued {
            rows: (0..jobs).map(|_| QueuedRows::default()).collect(),
            ..Queued::default()
        };
        Self {
            queued: Mutex::new(queued),
            arrived: Condvar::new(),
            unwritten: AtomicUsize::new(0),
        }
    }

    /// Appends rows of a job. `urgent` rows are written at once, others when enough have gathered or a short time has
    /// passed.
    pub fn rows(&self, job: usize, rows: &mut Vec<u8>, urgent: bool) {
        if rows.is_empty() {
            return;
        }
        let mut queued = lock(&self.queued);
        let Some(of_job) = queued.rows.get_mut(job).filter(|rows| !rows.closed) else {
            rows.clear();
            return;
        };
        let bytes = rows.len();
        if of_job.rows.is_empty() {
            std::mem::swap(&mut of_job.rows, rows);
        } else {
            of_job.rows.append(rows);
        }
        queued.bytes += bytes;
        self.unwritten.fetch_add(bytes, Ordering::Relaxed);
        if urgent || queued.bytes >= WORTH_BYTES {
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
        queued.bytes >= FULL_BYTES || queued.errors.len() >= FULL_ERRORS
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

    /// Notes that a job's output has failed: its further rows are dropped.
    fn close(&self, job: usize) {
        let mut queued = lock(&self.queued);
        let Some(of_job) = queued.rows.get_mut(job) else {
            return;
        };
        of_job.closed = true;
        let bytes = std::mem::take(&mut of_job.rows).len();
        queued.bytes -= bytes;
        self.unwritten.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes the rows and errors that have come, waiting for at most [`LINGER`] if they are few. Returns the errors,
    /// and whether no more will come. Each job's rows are swapped into its place in `rows`, which must be empty.
    fn take(&self, rows: &mut [Vec<u8>]) -> (Vec<FileError>, bool) {
        let mut queued = lock(&self.queued);
        if queued.bytes < WORTH_BYTES && queued.errors.is_empty() && !queued.finished {
            let waited = self.arrived.wait_timeout(queued, LINGER);
            queued = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        for (rows, of_job) in rows.iter_mut().zip(&mut queued.rows) {
            std::mem::swap(&mut of_job.rows, rows);
        }
        queued.bytes = 0;
        (std::mem::take(&mut queued.errors), queued.finished)
    }

    /// Writes each job's rows to its output and reports errors until the run is over, or until the kernel has failed.
    /// The caller's thread does this; it also cancels the kernel's work when the caller wants the run to end. A job
    /// whose output fails wants no more; when no job does, the run ends.
    pub fn write_to(
        &self,
        outputs: &mut [&mut dyn Write],
        jobs: &Jobs,
        kernel: &Kernel,
        status: &Status,
    ) -> Vec<Written> {
        let control = &status.control;
        let mut written: Vec<Written> = outputs.iter().map(|_| Written::default()).collect();
        let mut rows: Vec<Vec<u8>> = outputs.iter().map(|_| Vec::new()).collect();
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
            let mut any = !errors.is_empty();
            for (job, rows) in rows.iter_mut().enumerate() {
                if rows.is_empty() {
                    continue;
                }
                any = true;
                if !written[job].write(rows, outputs[job]) {
                    self.close(job);
                    if jobs.stop(job) {
                        control.stop();
                    }
                }
                self.written(rows);
            }
            if any {
                // The queue has room for more.
                status.wake();
            }
            if finished {
                return written;
            }
        }
    }
}

/// How writing a job's rows went.
pub(super) struct Written {
    /// Bytes that were written.
    pub bytes: u64,
    /// Time that the output took.
    pub time: Duration,
    /// The first error, after which no more was written.
    pub result: io::Result<()>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            bytes: 0,
            time: Duration::ZERO,
            result: Ok(()),
        }
    }
}

impl Written {
    /// Writes rows, unless writing has failed before. Returns whether it has not failed now.
    fn write(&mut self, rows: &[u8], output: &mut dyn Write) -> bool {
        if self.result.is_err() {
            return true;
        }
        let began = Instant::now();
        self.result = output.write_all(rows).and_then(|()| output.flush());
        self.time += began.elapsed();
        if self.result.is_ok() {
            self.bytes += rows.len() as u64;
        }
        self.result.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_until_they_are_written_or_not_wanted_and_leave_no_large_buffer_behind() {
        let queue = OutputQueue::new(2);
        let mut rows = [Vec::new(), Vec::new()];
        queue.rows(0, &mut vec![b'x'; 3 * FULL_BYTES], false);
        assert!(queue.is_full());
        queue.take(&mut rows);
        assert!(!queue.is_full());
        queue.rows(0, &mut vec![b'y'; 10], false);
        queue.rows(1, &mut vec![b'y'; 5], false);
        assert_eq!(queue.unwritten(), 3 * FULL_BYTES + 15);
        queue.written(&mut rows[0]);
        assert!(rows[0].is_empty() && rows[0].capacity() <= FULL_BYTES);
        assert_eq!(queue.unwritten(), 15);
        queue.close(0);
        queue.rows(0, &mut vec![b'z'; 10], false);
        // The rows of the other job still come.
        assert_eq!(queue.unwritten(), 5);
        queue.take(&mut rows);
        assert_eq!(rows, [vec![], vec![b'y'; 5]]);
    }
}
