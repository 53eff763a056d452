//! Code shared by the engines that read whole blocks from a disk. It handles reads in flight, and reads that begin at
//! or after the end of their file, for which no disk is asked.

use super::{Completion, CHANGED};
use crate::lifeline::Ring;
use crate::queue::{DropPolicy, Operation, ReadOp, ReadQueue};
use gristmill_protocol::PipelineError;
use std::collections::VecDeque;
use std::time::Duration;

pub(super) struct BlockReads<P, Q, O: Operation = ReadOp> {
    pub queue: ReadQueue<Q, O>,
    ended: VecDeque<Completion<P>>,
}

impl<P, Q, O: Operation> BlockReads<P, Q, O> {
    pub fn new(ring: Ring<O::Submission, O::Completion>, depth: u32, policy: DropPolicy) -> Self {
        BlockReads {
            queue: ReadQueue::new(ring, depth, policy),
            ended: VecDeque::new(),
        }
    }

    /// Whether another read may be submitted.
    ///
    /// # Errors
    /// As [`ReadQueue::room`].
    pub fn room(&self) -> Result<(), PipelineError> {
        if self.inflight() >= self.queue.capacity() {
            return Err(crate::queue::full());
        }
        self.queue.room()
    }

    /// Completes a read that begins at or after the end of its file: with no bytes, or with the error [`CHANGED`] if
    /// the file has changed.
    pub fn end(&mut self, payload: P, changed: bool) {
        let mut ended = Completion::failed(payload, CHANGED);
        if !changed {
            (ended.end, ended.error) = (true, None);
        }
        self.ended.push_back(ended);
    }

    /// The next read of those that [`BlockReads::end`] completed.
    pub fn poll_ended(&mut self) -> Option<Completion<P>> {
        self.ended.pop_front()
    }

    /// Flushes, and waits until a read has ended (unless one already has), or until `timeout` has passed.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        if !self.ended.is_empty() {
            return self.queue.flush();
        }
        self.queue.wait(timeout)
    }

    /// Whether a read has ended that was not taken yet.
    pub fn has_completed(&self) -> bool {
        !self.ended.is_empty() || self.queue.has_finished()
    }

    /// Reads submitted and not taken yet, of both kinds.
    pub fn inflight(&self) -> u32 {
        self.queue.inflight() + u32::try_from(self.ended.len()).unwrap_or(u32::MAX)
    }
}
