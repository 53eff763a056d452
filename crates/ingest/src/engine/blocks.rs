//! What the engines share that ask a disk for whole blocks: reads in flight, and reads behind the end of their file,
//! for which no disk is asked.

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

    /// Completes a read behind the end of its file: with no bytes, or, where the file has changed, with that error.
    pub fn end(&mut self, payload: P, changed: bool) {
        let mut ended = Completion::failed(payload, CHANGED);
        if !changed {
            (ended.end, ended.error) = (true, None);
        }
        self.ended.push_back(ended);
    }

    /// The next read that was behind an end.
    pub fn poll_ended(&mut self) -> Option<Completion<P>> {
        self.ended.pop_front()
    }

    /// Flushes, and waits until a read is over, where none is already, or until `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        if !self.ended.is_empty() {
            return self.queue.flush();
        }
        self.queue.wait(timeout)
    }

    /// Whether a read is over that was not taken.
    pub fn has_completed(&self) -> bool {
        !self.ended.is_empty() || self.queue.has_finished()
    }

    /// Reads submitted and not taken yet, of both kinds.
    pub fn inflight(&self) -> u32 {
        self.queue.inflight() + u32::try_from(self.ended.len()).unwrap_or(u32::MAX)
    }
}
