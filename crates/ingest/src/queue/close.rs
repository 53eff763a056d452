//! How a queue of reads ends: when its ring has failed, or when it is dropped with reads in flight.

use super::{DropPolicy, Operation, ReadQueue, STALL_PAUSE};
use crate::lifeline::Seen;
use crate::setup::{self, Entered};
use gristmill_protocol::PipelineError;
use io_uring::opcode;
use std::time::{Duration, Instant};

/// `user_data` of entries that cancel others. No read has this value.
pub(super) const CANCEL: u64 = u64::MAX;
/// The interval after which a dropped queue again cancels the reads that are still in flight.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

impl<P, O: Operation> ReadQueue<P, O> {
    /// Gives up the ring and closes it. Reads that the kernel did not take finish with `errno`, and reads that it has
    /// completed finish with their results. The other reads finish when the kernel has released the ring.
    pub(super) fn fail(&mut self, errno: i32) -> PipelineError {
        self.broken = Some(errno);
        self.continuing = false;
        self.reap();
        // The drop unmaps the queues and closes the descriptor, which makes the kernel cancel the reads that it can.
        self.ring = None;
        while let Some(index) = self.pushed.pop_front().or_else(|| self.pending.pop_front()) {
            self.finish(index, false, Some(errno));
        }
        if self.in_kernel > 0 {
            self.see_the_end(Duration::ZERO);
        }
        setup::refused("io_uring_enter", errno)
    }

    pub(super) fn fail_untold(&mut self, errno: i32) {
        self.fail(errno);
        self.untold = true;
    }

    /// Returns a failure that `poll` has found, once.
    pub(super) fn tell(&mut self) -> Result<(), PipelineError> {
        match self.broken {
            Some(errno) if std::mem::take(&mut self.untold) => {
                Err(setup::refused("io_uring_enter", errno))
            }
            _ => Ok(()),
        }
    }

    /// After a failure: waits until the kernel has released the ring, for at most `timeout`, and then finishes every
    /// read that the kernel had.
    pub(super) fn see_the_end(&mut self, timeout: Duration) {
        if self.lifeline.wait(timeout) != Seen::Gone {
            return;
        }
        let errno = self.broken.unwrap_or(libc::EBADF);
        self.in_kernel = 0;
        for index in 0..self.capacity() {
            self.finish(index, false, Some(errno));
        }
    }

    /// Queues a cancellation for each read in the kernel, as far as the submission queue has room.
    fn cancel_all(&mut self) {
        let Some(ring) = &mut self.ring else {
            return;
        };
        let mut queue = ring.submission();
        for (index, flight) in (0u64..).zip(&self.table) {
            if flight.as_ref().is_some_and(|flight| flight.in_kernel) {
                let cancel = opcode::AsyncCancel::new(index).build().user_data(CANCEL);
                let entry = O::Submission::from(cancel);
                // SAFETY: a cancellation names its target by number and refers to no memory.
                if unsafe { queue.push(&entry) }.is_err() {
                    break;
                }
            }
        }
    }
}

impl<P, O: Operation> Drop for ReadQueue<P, O> {
    /// Cancels the reads that the kernel has, and waits for them, so that afterwards no byte lands in memory and no
    /// file is in use. A read that a device is carrying out cannot be cancelled; it ends when the device answers.
    fn drop(&mut self) {
        let started = Instant::now();
        let mut asked: Option<Instant> = None;
        loop {
            self.reap();
            if self.in_kernel == 0 {
                return;
            }
            let left = match self.policy {
                DropPolicy::WaitForAll => CANCEL_AGAIN,
                DropPolicy::LeakAfter(limit) if started.elapsed() > limit => break,
                DropPolicy::LeakAfter(limit) => {
                    CANCEL_AGAIN.min(limit.saturating_sub(started.elapsed()))
                }
            };
            if self.ring.is_none() {
                self.see_the_end(left);
                continue;
            }
            if asked.is_none_or(|at| at.elapsed() >= CANCEL_AGAIN) {
                self.cancel_all();
                asked = Some(Instant::now());
            }
            match self.enter(true, 1, Some(CANCEL_AGAIN)) {
                Entered::Failed(errno) => drop(self.fail(errno)),
                Entered::Busy(errno) => {
                    if self.stalls.refused() {
                        drop(self.fail(errno));
                    } else {
                        std::thread::sleep(STALL_PAUSE);
                    }
                }
                Entered::Interrupted | Entered::Took(_) | Entered::TimedOut => {}
            }
        }
        // The remaining reads are leaked. They own their memory and their files, which therefore stay mapped and open
        // for ever.
        std::mem::forget(std::mem::take(&mut self.table));
    }
}
