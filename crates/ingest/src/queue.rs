//! Reads in flight on one ring: what [`ChunkReader`](crate::reader::ChunkReader) and
//! [`AsyncUringStream`](crate::stream::AsyncUringStream) have in common. What a read is asked for with is an
//! [`Operation`]: a [`ReadOp`] of a file, or the NVMe commands of [`NvmeOp`](crate::nvme::NvmeOp).
//!
//! A [`ReadQueue`] owns a ring and a table of reads. From [`ReadQueue::submit`] until its [`Finished`] is taken, a
//! read's *payload* belongs to the table: whatever the payload owns (the buffer, the file) lives as long as the kernel
//! may use it. Invariants:
//!
//! - a read has at most one entry in the ring at a time, whose `user_data` is its index in the table, so a completion
//!   finds its read in whatever order completions come;
//! - entries go `pending` (not yet in the submission queue) -> `pushed` (in it, not yet taken by the kernel) -> in the
//!   kernel -> reaped, and the kernel takes them in order;
//! - a short read goes back to `pending` with what it lacks, until it is complete or a read returns 0;
//! - a table that is dropped cancels what the kernel has and waits for it.

mod op;

use crate::setup::{self, Entered, SetupFlags};
use gristmill_protocol::PipelineError;
use io_uring::squeue::EntryMarker as _;
use io_uring::{cqueue, opcode, IoUring};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use op::NO_OFFSET;
pub(crate) use op::{Operation, ReadOp, Verdict};

/// `user_data` of entries that cancel others; no read has it.
const CANCEL: u64 = u64::MAX;
/// Times in a row that the kernel may refuse to take an entry before the ring is given up.
const MAX_STALLS: u32 = 200;
/// Pause between two attempts to hand over entries that the kernel has no room for.
const STALL_PAUSE: Duration = Duration::from_millis(10);
/// Time after which a dropped queue asks again for the end of what is still in flight.
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

/// The error of one read too many.
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
    /// A read returned 0: the file ends here.
    pub(crate) end: bool,
    /// An errno; of an NVMe command that the device failed, its status, negated.
    pub(crate) error: Option<i32>,
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
    /// Reads in the kernel's hands, itself included, summed over reads as the kernel took them.
    pub(crate) depth_sum: u64,
    pub(crate) depth_max: u32,
    pub(crate) enters: u64,
}

/// How a queue that is dropped treats reads that will not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// Wait as long as it takes: the memory is borrowed and goes away afterwards.
    WaitForAll,
    /// After this long, leak the payloads of what is left: they own their memory, so leaking them is safe.
    LeakAfter(Duration),
}

pub(crate) struct ReadQueue<P, O: Operation = ReadOp> {
    ring: IoUring<O::Submission, O::Completion>,
    flags: SetupFlags,
    table: Vec<Option<Flight<P, O>>>,
    free: Vec<u32>,
    pending: VecDeque<u32>,
    pushed: VecDeque<u32>,
    in_kernel: u32,
    /// `pending` holds continuations, which are submitted without being asked for.
    continuing: bool,
    finished: VecDeque<Finished<P, O>>,
    reaped: Vec<(u64, i32)>,
    broken: Option<i32>,
    farewell: Farewell,
    counters: QueueCounters,
}

impl<P, O: Operation> ReadQueue<P, O> {
    /// A queue of at most `depth` reads, which must be used by the thread that made (or enabled) the ring.
    pub(crate) fn new(
        ring: IoUring<O::Submission, O::Completion>,
        flags: SetupFlags,
        depth: u32,
        farewell: Farewell,
    ) -> Self {
        let depth = depth.clamp(1, ring.params().sq_entries());
        let capacity = depth as usize;
        ReadQueue {
            ring,
            flags,
            table: (0..depth).map(|_| None).collect(),
            free: (0..depth).rev().collect(),
            pending: VecDeque::with_capacity(capacity),
            pushed: VecDeque::with_capacity(capacity),
            in_kernel: 0,
            continuing: false,
            finished: VecDeque::with_capacity(capacity),
            reaped: Vec::with_capacity(capacity),
            broken: None,
            farewell,
            counters: QueueCounters::default(),
        }
    }

    pub(crate) fn ring(&self) -> &IoUring<O::Submission, O::Completion> {
        &self.ring
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

    /// Reads submitted whose [`Finished`] was not taken yet.
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

    /// The payloads of reads that are not over.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &P> {
        self.table.iter().flatten().map(|flight| &flight.payload)
    }

    /// Whether [`ReadQueue::submit`] would take a read now.
    ///
    /// # Errors
    /// `QueueFull` where the table is full, the ring's error where it is broken.
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
    /// The payload, and what [`ReadQueue::room`] says.
    ///
    /// # Safety
    /// The memory that `op` reads into must be valid for writes, and nobody else may touch it, until the
    /// read's [`Finished`] was taken or the queue's drop has returned; under [`Farewell::LeakAfter`] it must stay
    /// valid for as long as the payload is not dropped, even if it never is. `op`'s file must stay open as long.
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
        // `room` saw fewer reads than entries, so there is a free one; a free index is in range.
        if let Some(index) = self.free.pop() {
            if let Some(entry) = self.table.get_mut(index as usize) {
                *entry = Some(flight);
                self.pending.push_back(index);
            }
        }
        Ok(())
    }

    /// Hands everything queued to the kernel, which does at once what it can (reads of cached pages).
    ///
    /// # Errors
    /// Where the ring fails for good; every read that the kernel did not take then finishes with that errno.
    pub(crate) fn flush(&mut self) -> Result<(), PipelineError> {
        let mut stalls = 0;
        loop {
            self.push_pending();
            if self.pushed.is_empty() {
                self.continuing = false;
                return Ok(());
            }
            match self.enter(true, 0, None) {
                Entered::Took(taken) if taken > 0 => {
                    self.took(taken);
                    stalls = 0;
                }
                Entered::Failed(errno) => return Err(self.fail(errno)),
                Entered::Interrupted => {}
                Entered::Took(_) | Entered::TimedOut | Entered::Busy => {
                    stalls += 1;
                    if stalls > MAX_STALLS {
                        return Err(self.fail(libc::EBUSY));
                    }
                    self.reap();
                    if self.in_kernel > 0 {
                        self.enter(false, 1, Some(STALL_PAUSE));
                        self.reap();
                    } else {
                        std::thread::sleep(STALL_PAUSE);
                    }
                }
            }
        }
    }

    /// The next read that is over. Never waits for one; enters the kernel only to continue short reads and to let it
    /// deliver completions that it has announced.
    pub(crate) fn poll(&mut self) -> Option<Finished<P, O>> {
        if let Some(finished) = self.finished.pop_front() {
            return Some(finished);
        }
        self.reap();
        if self.finished.is_empty() && self.in_kernel > 0 && self.announced() {
            self.enter(false, 0, None);
            self.reap();
        }
        while self.finished.is_empty() && self.continuing {
            if self.flush().is_err() {
                break; // The reads concerned have finished, with its errno.
            }
            self.reap();
        }
        self.finished.pop_front()
    }

    /// Flushes, and waits until a read is over, none is left, a signal arrives, or `timeout` has passed.
    ///
    /// # Errors
    /// Where the ring fails for good.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        let started = Instant::now();
        loop {
            self.reap();
            if !self.finished.is_empty() {
                return Ok(());
            }
            if !self.pending.is_empty() || !self.pushed.is_empty() {
                self.flush()?;
                continue;
            }
            let left = timeout.saturating_sub(started.elapsed());
            if self.in_kernel == 0 || left.is_zero() {
                return Ok(());
            }
            match self.enter(false, 1, Some(left)) {
                Entered::Failed(errno) => return Err(self.fail(errno)),
                Entered::Interrupted => return Ok(()),
                Entered::Took(_) | Entered::TimedOut | Entered::Busy => {}
            }
        }
    }

    fn enter(&mut self, submit: bool, want: u32, timeout: Option<Duration>) -> Entered {
        self.counters.enters += 1;
        setup::enter(&mut self.ring, submit, want, timeout)
    }

    /// Whether the kernel has said that entering it would bring completions.
    fn announced(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Moves pending reads into the submission queue, as far as it has room.
    fn push_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut queue = self.ring.submission();
        while let Some(&index) = self.pending.front() {
            if let Some(Some(flight)) = self.table.get(index as usize) {
                let mut entry = flight.op.entry(flight.done, flight.polling);
                entry.set_user_data(u64::from(index));
                // SAFETY: the entry is a poll, or a read into that part of `op`'s memory that lies behind `done`, which
                // `submit`'s caller keeps valid and untouched until this read is over; the table keeps the read, and
                // with it the payload, until its completion was reaped (`complete`) or `drop` has seen to it.
                if unsafe { queue.push(&entry) }.is_err() {
                    break;
                }
                self.pushed.push_back(index);
            }
            self.pending.pop_front();
        }
    }

    /// Counts the `taken` oldest pushed entries as in the kernel's hands.
    fn took(&mut self, taken: u32) {
        for _ in 0..taken {
            let Some(index) = self.pushed.pop_front() else {
                break; // What is left are cancellations.
            };
            if let Some(Some(flight)) = self.table.get_mut(index as usize) {
                flight.in_kernel = true;
                self.in_kernel += 1;
                if !flight.polling {
                    self.counters.reads += 1;
                    self.counters.depth_sum += u64::from(self.in_kernel);
                    self.counters.depth_max = self.counters.depth_max.max(self.in_kernel);
                }
            }
        }
    }

    /// Takes what the completion queue holds.
    fn reap(&mut self) {
        if self.in_kernel == 0 {
            return;
        }
        let mut reaped = std::mem::take(&mut self.reaped);
        reaped.extend(
            self.ring
                .completion()
                .map(Into::into)
                .map(|entry: cqueue::Entry| (entry.user_data(), entry.result())),
        );
        for (user_data, result) in reaped.drain(..) {
            // Cancellations have completions too, whose number is no index.
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
        let was_poll = std::mem::replace(&mut flight.polling, false);
        if was_poll && result >= 0 {
            return self.again(index);
        }
        match flight.op.judge(flight.done, result) {
            Verdict::End => self.finish(index, true, None),
            Verdict::Again => self.again(index),
            Verdict::Failed(error) => self.finish(index, false, Some(error)),
            Verdict::Landed { bytes, whole } => {
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
            Verdict::Passing { errno, polling } => {
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
            });
        }
    }

    /// Gives the ring up for submissions: what the kernel did not take finishes with `errno`.
    fn fail(&mut self, errno: i32) -> PipelineError {
        self.broken = Some(errno);
        self.continuing = false;
        while let Some(index) = self.pushed.pop_front().or_else(|| self.pending.pop_front()) {
            self.finish(index, false, Some(errno));
        }
        setup::refused("io_uring_enter", errno)
    }

    /// Queues a cancellation for each read in the kernel, as far as the submission queue has room.
    fn cancel_all(&mut self) {
        let mut queue = self.ring.submission();
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
    /// Cancels what the kernel has and waits for it, so that no byte lands in memory, and no file is in use, after
    /// that. A read that is being done (not merely waited for) cannot be cancelled; it ends when the device answers.
    fn drop(&mut self) {
        let started = Instant::now();
        let mut asked: Option<Instant> = None;
        loop {
            self.reap();
            if self.in_kernel == 0 {
                return;
            }
            if matches!(self.farewell, Farewell::LeakAfter(limit) if started.elapsed() > limit) {
                break;
            }
            // After `fail`, entries that belong to no read may lie in the submission queue: they stay there.
            let submit = self.broken.is_none();
            if submit && asked.is_none_or(|at| at.elapsed() >= CANCEL_AGAIN) {
                self.cancel_all();
                asked = Some(Instant::now());
            }
            match self.enter(submit, 1, Some(CANCEL_AGAIN)) {
                Entered::Took(taken) => self.took(taken),
                Entered::Failed(_) => std::thread::sleep(STALL_PAUSE),
                Entered::Interrupted | Entered::TimedOut | Entered::Busy => {}
            }
        }
        std::mem::forget(std::mem::take(&mut self.table));
    }
}

#[cfg(test)]
mod tests;
