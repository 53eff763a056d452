//! What the engines share that ask a disk for whole blocks: reads in flight, and reads behind the end of their file, for
//! which no disk is asked.

use super::{Landed, Read, CHANGED};
use crate::lifeline::Ring;
use crate::queue::{Farewell, Operation, ReadOp, ReadQueue};
use gristmill_protocol::PipelineError;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a dropped reader waits for a device that does not answer; after that the chunks in flight are leaked.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct BlockReads<P, O: Operation = ReadOp> {
    /// The payload owns what is read into, and what is read.
    pub queue: ReadQueue<P, O>,
    ended: VecDeque<Landed>,
}

impl<P, O: Operation> BlockReads<P, O> {
    pub fn new(ring: Ring<O::Submission, O::Completion>, depth: u32) -> Self {
        BlockReads {
            queue: ReadQueue::new(ring, depth, Farewell::LeakAfter(PATIENCE)),
            ended: VecDeque::new(),
        }
    }

    /// Lands a read behind the end of its file: with no bytes, or, where the file has changed, with that error.
    pub fn end(&mut self, read: Read, changed: bool) {
        self.ended.push_back(Landed {
            tag: read.tag,
            buffer: read.buffer,
            bytes: 0,
            end: !changed,
            error: changed.then_some(CHANGED),
            unanswered: false,
        });
    }

    /// The next read that was behind an end.
    pub fn poll_ended(&mut self) -> Option<Landed> {
        self.ended.pop_front()
    }

    /// Flushes, and waits until a read is over, where none is already, or until `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        if !self.ended.is_empty() {
            return self.queue.flush();
        }
        self.queue.wait(timeout)
    }

    /// Reads submitted and not polled yet, of both kinds.
    pub fn inflight(&self) -> u32 {
        self.queue.inflight() + u32::try_from(self.ended.len()).unwrap_or(u32::MAX)
    }
}
