//! Rows and errors on their way from the workers to the caller of a run, who writes them.

use super::FileError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Rows, in bytes, that wait to be written before the workers stop handing in more.
const FULL_BYTES: usize = 4 << 20;

/// Errors that wait to be told before the workers stop handing in more.
const FULL_ERRORS: usize = 1024;

/// Rows, in bytes, that are worth waking the writer for.
const WORTH_BYTES: usize = 64 << 10;

/// How long rows may wait while fewer than that.
const LINGER: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub(super) struct Post {
    pub rows: Vec<u8>,
    pub errors: Vec<FileError>,
    pub finished: bool,
    pub closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    post: Mutex<Post>,
    arrived: Condvar,
    /// Bytes of rows that were handed in and are not written yet.
    unwritten: AtomicUsize,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Post> {
        gristmill_ring::lock(&self.post)
    }

    /// Appends rows; `urgent` rows are written at once, others when enough have come together or a moment has passed.
    pub fn rows(&self, rows: &mut Vec<u8>, urgent: bool) {
        if rows.is_empty() {
            return;
        }
        let mut post = self.lock();
        if post.closed {
            rows.clear();
            return;
        }
        self.unwritten.fetch_add(rows.len(), Ordering::Relaxed);
        if post.rows.is_empty() {
            std::mem::swap(&mut post.rows, rows);
        } else {
            post.rows.append(rows);
        }
        if urgent || post.rows.len() >= WORTH_BYTES {
            self.arrived.notify_one();
        }
    }

    pub fn error(&self, error: FileError) {
        self.lock().errors.push(error);
        self.arrived.notify_one();
    }

    /// Whether so much waits to be written or told that no more should be handed in: a worker that sees this before each
    /// file or chunk leaves at most a batch of files behind it.
    pub fn is_full(&self) -> bool {
        let post = self.lock();
        post.rows.len() >= FULL_BYTES || post.errors.len() >= FULL_ERRORS
    }

    /// Bytes of rows that were handed in and are not written yet.
    pub fn unwritten(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Rows that were taken have been written, or are not wanted: empties them, and gives back what many of them have left.
    pub fn written(&self, rows: &mut Vec<u8>) {
        self.unwritten.fetch_sub(rows.len(), Ordering::Relaxed);
        rows.clear();
        rows.shrink_to(FULL_BYTES);
    }

    /// No more will come.
    pub fn finish(&self) {
        self.lock().finished = true;
        self.arrived.notify_one();
    }

    /// Rows are not wanted any more: the output failed.
    pub fn close(&self) {
        let mut post = self.lock();
        post.closed = true;
        let rows = std::mem::take(&mut post.rows);
        self.unwritten.fetch_sub(rows.len(), Ordering::Relaxed);
    }

    /// What there is, after a wait of at most [`LINGER`] where there is little. The rows are swapped into `rows`, which
    /// must be empty.
    pub fn take(&self, rows: &mut Vec<u8>) -> (Vec<FileError>, bool) {
        let mut post = self.lock();
        if post.rows.len() < WORTH_BYTES && post.errors.is_empty() && !post.finished {
            post = self
                .arrived
                .wait_timeout(post, LINGER)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
        std::mem::swap(&mut post.rows, rows);
        (std::mem::take(&mut post.errors), post.finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_until_they_are_written_or_not_wanted_and_leave_no_large_buffer_behind() {
        let outbox = Outbox::default();
        let mut rows = Vec::new();
        outbox.rows(&mut vec![b'x'; 3 * FULL_BYTES], false);
        outbox.take(&mut rows);
        outbox.rows(&mut vec![b'y'; 10], false);
        assert_eq!(outbox.unwritten(), 3 * FULL_BYTES + 10);
        outbox.written(&mut rows);
        assert!(rows.is_empty() && rows.capacity() <= FULL_BYTES);
        assert_eq!(outbox.unwritten(), 10);
        outbox.close();
        outbox.rows(&mut vec![b'z'; 10], false);
        assert_eq!(outbox.unwritten(), 0);
    }
}
