//! Reads in flight on one ring. All engines that have a ring use this queue. A read is an [`Operation`]: a [`ReadOp`]
//! of a file, or the NVMe commands of [`NvmeOp`](crate::nvme::NvmeOp). The module `enter` brings
//! reads to the kernel, and `close` handles the end of a queue.
//!
//! A [`ReadQueue`] owns a ring and a table of reads. From [`ReadQueue::submit`] until its [`Finished`] is taken, a
//! read's *payload* belongs to the table: whatever the payload owns (the buffer, the file) lives as long as the kernel
//! may use it. Invariants:
//!
//! - a read has at most one entry in the ring at a time, whose `user_data` is the read's index in the table, so a
//!   completion finds its read in whatever order completions arrive;
//! - entries go `pending` (not yet in the submission queue) -> `pushed` (in it, not yet taken by the kernel) -> in the
//!   kernel -> reaped, and the kernel takes them in order;
//! - a short read goes back to `pending` for the bytes that it still lacks, until it is complete or a read returns 0;
//! - a table that is dropped cancels the reads that the kernel has, and waits for them.
//!
//! No read is ever lost, whatever `io_uring_enter` answers:
//!
//! - EAGAIN, EBUSY and ENOMEM are temporary, so the call is repeated. If the kernel has reads, it is repeated later,
//!   because completing reads frees resources; if it has none, after a pause of [`STALL_PAUSE`]. The queue fails only
//!   after [`MAX_STALLS`] refusals in a row during which the kernel neither takes nor completes anything nor answers a
//!   wait;
//! - any other errno is a failure at once, and a failure is permanent. Reads that the kernel has not taken finish with
//!   the errno, reads that it has completed finish with their results, and the ring is closed, which makes the kernel
//!   cancel the others. Those also finish with the errno, but only after the ring's [`Lifeline`] has hung up: from then
//!   on nothing is written to their memory.

mod close;
mod enter;
mod op;

use crate::lifeline::{Lifeline, Ring};
use crate::setup::{self, Entered, SetupFlags};
use gristmill_protocol::PipelineError;
use io_uring::{cqueue, IoUring};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use op::NO_OFFSET;
pub(crate) use op::{Operation, ReadOp, Retry};

/// The number of refusals in a row, at least [`STALL_PAUSE`] apart, after which the ring is given up.
const MAX_STALLS: u32 = 200;
/// The pause between two attempts to submit entries for which the kernel has no room, while it has no read of this
/// queue.
const STALL_PAUSE: Duration = Duration::from_millis(10);

/// The error for a read that does not fit in the queue.
pub(crate) fn full() -> PipelineError {
    PipelineError::QueueFull {
        queue: "reads in flight",
        fix: "take landed reads with poll() first, or ask for a greater depth",
    }
}

/// A read that is over.
#[derive(Debug)]
pub(crate) struct Finished<P, O = ReadOp> {
    pub(crate) payload: P,
    pub(crate) op: O,
    /// Bytes that landed, from the target's start.
    pub(crate) bytes: u32,
    /// Whether a read returned 0: the file ends here.
    pub(crate) end: bool,
    /// An errno, or the negated status of an NVMe command that the device failed.
    pub(crate) error: Option<i32>,
    /// The kernel had this read when the ring failed, and its result never became known.
    pub(crate) unanswered: bool,
}

struct Flight<P, O> {
    op: O,
    payload: P,
    done: u32,
    /// Retries since the last byte landed.
    retries: u32,
    /// The next or current entry is a poll for readability, after an EAGAIN; the read follows it.
    polling: bool,
    in_kernel: bool,
}

/// What a queue did so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueueCounters {
    /// Read entries that the kernel took, continuations included.
    pub(crate) reads: u64,
    pub(crate) bytes_fixed: u64,
    pub(crate) bytes_plain: u64,
    pub(crate) short_reads: u64,
    pub(crate) retries: u64,
    /// For each read, the number of reads that the kernel had when it took this one (included), summed over all reads.
    pub(crate) depth_sum: u64,
    pub(crate) depth_max: u32,
    pub(crate) enters: u64,
}

/// How a dropped queue treats reads that do not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropPolicy {
    /// Wait as long as it takes, because the memory is borrowed and goes away afterwards.
    WaitForAll,
    /// After this time, leak the payloads of the remaining reads. They own their memory, so leaking them is safe.
    LeakAfter(Duration),
}

/// The refusals since the kernel last made progress for this queue.
#[derive(Default)]
struct Stalls {
    count: u32,
    last: Option<Instant>,
}

impl Stalls {
    /// Counts a refusal, unless the last one was less than [`STALL_PAUSE`] ago. Returns whether there were too many.
    fn refused(&mut self) -> bool {
        if self.last.is_none_or(|last| last.elapsed() >= STALL_PAUSE) {
            self.count += 1;
            self.last = Some(Instant::now());
        }
        self.count > MAX_STALLS
    }
}

pub(crate) struct ReadQueue<P, O: Operation = ReadOp> {
    /// `None` once it has failed.
    ring: Option<IoUring<O::Submission, O::Completion>>,
    lifeline: Lifeline,
    flags: SetupFlags,
    table: Vec<Option<Flight<P, O>>>,
    free: Vec<u32>,
    pending: VecDeque<u32>,
    pushed: VecDeque<u32>,
    in_kernel: u32,
    /// Whether `pending` holds continuations, which are submitted without a flush by the user.
    continuing: bool,
    finished: VecDeque<Finished<P, O>>,
    reaped: Vec<(u64, i32)>,
    /// The errno of a ring that has failed.
    broken: Option<i32>,
    /// Whether the ring has failed in a place where no error could be returned; the next flush or wait returns it.
    untold: bool,
    stalls: Stalls,
    policy: DropPolicy,
    counters: QueueCounters,
}

impl<P, O: Operation> ReadQueue<P, O> {
    /// A queue of at most `depth` reads, which must be used by the thread that made (or enabled) the ring.
    pub(crate) fn new(
        ring: Ring<O::Submission, O::Completion>,
        depth: u32,
        policy: DropPolicy,
    ) -> Self {
        let depth = depth.clamp(1, ring.io.params().sq_entries());
        let capacity = depth as usize;
        ReadQueue {
            ring: Some(ring.io),
            lifeline: ring.lifeline,
            flags: ring.flags,
            table: (0..depth).map(|_| None).collect(),
            free: (0..depth).rev().collect(),
            pending: VecDeque::with_capacity(capacity),
            pushed: VecDeque::with_capacity(capacity),
            in_kernel: 0,
            continuing: false,
            finished: VecDeque::with_capacity(capacity),
            reaped: Vec::with_capacity(capacity),
            broken: None,
            untold: false,
            stalls: Stalls::default(),
            policy,
            counters: QueueCounters::default(),
        }
    }

    /// The ring; `None` once it has failed.
    pub(crate) fn ring(&self) -> Option<&IoUring<O::Submission, O::Completion>> {
        self.ring.as_ref()
    }

    pub(crate) fn flags(&self) -> SetupFlags {
        self.flags
    }

    pub(crate) fn counters(&self) -> QueueCounters {
        self.counters
    }

    /// Reads that fit in the table at once.
    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.table.len()).unwrap_or(u32::MAX)
    }

    /// Submitted reads whose [`Finished`] was not taken yet.
    pub(crate) fn inflight(&self) -> u32 {
        let active = self.table.len() - self.free.len() + self.finished.len();
        u32::try_from(active).unwrap_or(u32::MAX)
    }

    /// The errno for which the ring was given up.
    pub(crate) fn broken(&self) -> Option<i32> {
        self.broken
    }

    /// Whether [`ReadQueue::poll`] would return a read at once.
    pub(crate) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// The reads that have not ended, each with its payload.
    pub(crate) fn reads(&self) -> impl Iterator<Item = (&O, &P)> {
        let flights = self.table.iter().flatten();
        flights.map(|flight| (&flight.op, &flight.payload))
    }

    /// The payloads of reads that have not ended.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &P> {
        self.reads().map(|(_, payload)| payload)
    }

    /// Whether [`ReadQueue::submit`] would take a read now.
    ///
    /// # Errors
    /// `QueueFull` if the table is full; the ring's error if it is broken.
    pub(crate) fn room(&self) -> Result<(), PipelineError> {
        if let Some(errno) = self.broken {
            return Err(setup::refused("io_uring_enter", errno));
        }
        if self.inflight() >= self.capacity() {
            return Err(full());
        }
        Ok(())
    }

    /// Queues a read; nothing reaches the kernel before [`ReadQueue::flush`].
    ///
    /// # Errors
    /// The payload, and the error of [`ReadQueue::room`].
    ///
    /// # Safety
    /// The memory that `op` reads into must be valid for writes, and nobody else may touch it, until the read's
    /// [`Finished`] was taken or the queue's drop has returned; under [`DropPolicy::LeakAfter`] it must stay valid
    /// until the payload is dropped, even if that never happens. `op`'s file must stay open for the same time.
    pub(crate) unsafe fn submit(&mut self, op: O, payload: P) -> Result<(), (P, PipelineError)> {
        if let Err(error) = self.room() {
            return Err((payload, error));
        }
        let flight = Flight {
            op,
            payload,
            done: 0,
            retries: 0,
            polling: false,
            in_kernel: false,
        };
        // `room` has checked that there are fewer reads than entries, so one is free. A free index is in range.
        if let Some(index) = self.free.pop() {
            if let Some(entry) = self.table.get_mut(index as usize) {
                *entry = Some(flight);
                self.pending.push_back(index);
            }
        }
        Ok(())
    }

    /// Submits all queued reads to the kernel, which completes some of them at once (reads of cached pages). If the
    /// kernel has other reads of this queue and no room for these, they stay queued; [`ReadQueue::wait`] and the next
    /// flush try again.
    ///
    /// # Errors
    /// An error, once, if the ring fails permanently. Every read then finishes, most of them with that errno (see the
    /// module).
    pub(crate) fn flush(&mut self) -> Result<(), PipelineError> {
        self.tell()?;
        loop {
            self.push_pending();
            if self.pushed.is_empty() {
                self.continuing = false;
                return Ok(());
            }
            let before = self.pushed.len();
            let errno = match self.enter(true, 0, None) {
                Entered::Failed(errno) => return Err(self.fail(errno)),
                _ if self.pushed.len() < before => continue,
                Entered::Busy(errno) => errno,
                Entered::Interrupted => libc::EINTR,
                Entered::Took(_) | Entered::TimedOut => libc::EBUSY,
            };
            self.reap();
            if self.in_kernel > 0 {
                return Ok(());
            }
            if self.stalls.refused() {
                return Err(self.fail(errno));
            }
            std::thread::sleep(STALL_PAUSE);
        }
    }

    /// The next read that has ended. Never waits for one. Enters the kernel only to continue short reads, and to let it
    /// deliver completions that it has announced.
    pub(crate) fn poll(&mut self) -> Option<Finished<P, O>> {
        if let Some(finished) = self.finished.pop_front() {
            return Some(finished);
        }
        self.reap();
        if self.finished.is_empty() && self.in_kernel > 0 && self.announced() {
            match self.enter(false, 0, None) {
                Entered::Failed(errno) => self.fail_untold(errno),
                Entered::Busy(errno) if self.stalls.refused() => self.fail_untold(errno),
                _ => self.reap(),
            }
        }
        while self.finished.is_empty() && self.continuing {
            if self.flush().is_err() {
                self.untold = true;
                break;
            }
            if !self.pushed.is_empty() {
                break; // There is no room now.
            }
            self.reap();
        }
        if self.finished.is_empty() && self.in_kernel > 0 && self.ring.is_none() {
            self.see_the_end(Duration::ZERO);
        }
        self.finished.pop_front()
    }

    /// Flushes, and waits until a read is over, none is left, a signal arrives, or `timeout` has passed.
    ///
    /// # Errors
    /// An error, once, if the ring fails permanently. Later calls wait for the reads that have not come back yet.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        let started = Instant::now();
        self.tell()?;
        loop {
            self.reap();
            if !self.finished.is_empty() {
                return Ok(());
            }
            let left = timeout.saturating_sub(started.elapsed());
            if self.ring.is_none() {
                if self.in_kernel > 0 {
                    self.see_the_end(left);
                }
                return Ok(());
            }
            if !self.pending.is_empty() || !self.pushed.is_empty() {
                self.flush()?;
                if !self.finished.is_empty() {
                    return Ok(());
                }
            }
            if self.in_kernel == 0 || left.is_zero() {
                return Ok(());
            }
            let waits_for_room = !self.pushed.is_empty();
            let step = if waits_for_room {
                left.min(STALL_PAUSE)
            } else {
                left
            };
            match self.enter(false, 1, Some(step)) {
                Entered::Failed(errno) => return Err(self.fail(errno)),
                Entered::Interrupted => return Ok(()),
                Entered::Busy(errno) => {
                    if self.stalls.refused() {
                        return Err(self.fail(errno));
                    }
                    std::thread::sleep(STALL_PAUSE.min(left));
                }
                // The kernel accepts calls, so this is no stall: the device is slow.
                Entered::Took(_) | Entered::TimedOut => self.stalls = Stalls::default(),
            }
        }
    }

    /// Takes all entries of the completion queue.
    fn reap(&mut self) {
        if self.in_kernel == 0 {
            return;
        }
        let Some(ring) = &mut self.ring else {
            return;
        };
        let mut reaped = std::mem::take(&mut self.reaped);
        reaped.extend(
            ring.completion()
                .map(Into::into)
                .map(|entry: cqueue::Entry| (entry.user_data(), entry.result())),
        );
        for (user_data, result) in reaped.drain(..) {
            // Cancellations have completions, too; their `user_data` is not an index.
            if let Ok(index) = u32::try_from(user_data) {
                self.complete(index, result);
            }
        }
        self.reaped = reaped;
    }

    fn complete(&mut self, index: u32, result: i32) {
        let Some(Some(flight)) = self.table.get_mut(index as usize) else {
            return;
        };
        if !std::mem::replace(&mut flight.in_kernel, false) {
            return;
        }
        self.in_kernel -= 1;
        self.stalls = Stalls::default();
        let was_poll = std::mem::replace(&mut flight.polling, false);
        if was_poll && result >= 0 {
            return self.again(index);
        }
        match flight.op.on_completion(flight.done, result) {
            Retry::End => self.finish(index, true, None),
            Retry::Again => self.again(index),
            Retry::Failed(error) => self.finish(index, false, Some(error)),
            Retry::Landed { bytes, whole } => {
                flight.done += bytes;
                flight.retries = 0;
                if flight.op.is_fixed() {
                    self.counters.bytes_fixed += u64::from(bytes);
                } else {
                    self.counters.bytes_plain += u64::from(bytes);
                }
                if whole {
                    self.finish(index, false, None);
                } else {
                    self.counters.short_reads += 1;
                    self.again(index);
                }
            }
            Retry::Passing { errno, polling } => {
                flight.retries += 1;
                if flight.retries > O::MAX_RETRIES {
                    self.finish(index, false, Some(errno));
                } else {
                    flight.polling = polling;
                    self.counters.retries += 1;
                    self.again(index);
                }
            }
        }
    }

    fn again(&mut self, index: u32) {
        match self.broken {
            None => {
                self.pending.push_back(index);
                self.continuing = true;
            }
            Some(errno) => self.finish(index, false, Some(errno)),
        }
    }

    fn finish(&mut self, index: u32, end: bool, error: Option<i32>) {
        if let Some(flight) = self.table.get_mut(index as usize).and_then(Option::take) {
            self.free.push(index);
            self.finished.push_back(Finished {
                payload: flight.payload,
                op: flight.op,
                bytes: flight.done,
                end,
                error,
                unanswered: flight.in_kernel,
            });
        }
    }
}

#[cfg(test)]
mod tests;
