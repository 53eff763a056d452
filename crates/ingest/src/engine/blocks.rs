//! The engine that reads whole blocks from a disk. What it may read, and which of a read's blocks count, a
//! [`BlockSource`] says: [`super::passthrough`] for NVMe commands, [`super::peer`] for direct reads into peer memory.

use super::{Completion, Engine, ReadRequest, CHANGED};
use crate::error::ReadError;
use crate::lifeline::Ring;
use crate::nvme::NvmeNamespace;
use crate::queue::{DropPolicy, Finished, Operation, QueueCounters, ReadQueue};
use crate::stats::ReadStats;
use gristmill_protocol::PipelineError;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::time::Duration;

/// One way to read blocks.
///
/// # Safety
/// The operation of an admitted read writes only to the first `capacity` bytes of the request's target. The file that
/// it reads stays open for as long as its [`BlockSource::Part`] exists, or it is the descriptor of the request's
/// [`ReadSource::Open`](super::ReadSource::Open).
pub(crate) unsafe trait BlockSource {
    /// What the queue submits.
    type Op: Operation;
    /// What is remembered of a read while it is in flight.
    type Part;

    /// Admits a read.
    ///
    /// # Errors
    /// The reason why this source cannot be read into this target.
    ///
    /// # Safety
    /// The request's target must be valid for reads and writes of its capacity, and nobody else may use it meanwhile.
    unsafe fn admit(
        &mut self,
        request: ReadRequest<'_>,
    ) -> Result<Admitted<Self::Op, Self::Part>, PipelineError>;

    /// The completion of a read that is over, without the bytes of its blocks that were not asked for.
    fn complete<P>(payload: P, part: Self::Part, over: Finished<(), Self::Op>) -> Completion<P>;

    /// The engine's statistics, from what its queue counted.
    fn stats(counters: QueueCounters) -> ReadStats {
        ReadStats::from(counters)
    }

    /// As [`Engine::namespace`].
    ///
    /// # Errors
    /// As [`Engine::namespace`].
    fn namespace(&mut self, _fd: RawFd) -> Result<&NvmeNamespace, ReadError> {
        Err(super::no_raw_devices())
    }
}

/// A read that a source admitted.
pub(crate) enum Admitted<O, T> {
    /// It begins at or after the file's end, so no disk is asked; `changed` if the file has changed.
    BehindTheEnd { changed: bool },
    /// `op` reads whole blocks.
    Blocks { op: O, part: T },
}

pub(crate) struct BlockEngine<P, S: BlockSource> {
    queue: ReadQueue<(P, S::Part), S::Op>,
    /// Reads for which no disk was asked.
    ended: VecDeque<Completion<P>>,
    source: S,
}

impl<P, S: BlockSource> BlockEngine<P, S> {
    pub(super) fn over(
        ring: Ring<<S::Op as Operation>::Submission, <S::Op as Operation>::Completion>,
        depth: u32,
        policy: DropPolicy,
        source: S,
    ) -> Self {
        BlockEngine {
            queue: ReadQueue::new(ring, depth, policy),
            ended: VecDeque::new(),
            source,
        }
    }
}

impl<P, S: BlockSource> Engine<P> for BlockEngine<P, S> {
    unsafe fn submit(
        &mut self,
        request: ReadRequest<'_>,
        payload: P,
    ) -> Result<(), (P, PipelineError)> {
        let room = if self.inflight() >= self.queue.capacity() {
            Err(crate::queue::full())
        } else {
            self.queue.room()
        };
        if let Err(error) = room {
            return Err((payload, error));
        }
        // SAFETY: the caller's promise about the target.
        let (op, part) = match unsafe { self.source.admit(request) } {
            Ok(Admitted::Blocks { op, part }) => (op, part),
            Ok(Admitted::BehindTheEnd { changed }) => {
                let mut ended = Completion::failed(payload, CHANGED);
                if !changed {
                    (ended.end, ended.error) = (true, None);
                }
                self.ended.push_back(ended);
                return Ok(());
            }
            Err(error) => return Err((payload, error)),
        };
        // SAFETY: `op` writes only to the target's capacity, and its file stays open with `part` or by the caller's
        // promise (`BlockSource`); the caller keeps the target as `ReadQueue::submit` asks. `part` lies beside the
        // payload, so it exists for as long.
        let submitted = unsafe { self.queue.submit(op, (payload, part)) };
        submitted.map_err(|((payload, _), error)| (payload, error))
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        self.queue.flush()
    }

    fn poll(&mut self) -> Option<Completion<P>> {
        if let Some(ended) = self.ended.pop_front() {
            return Some(ended);
        }
        let Finished {
            payload: (payload, part),
            op,
            bytes,
            end,
            error,
            unanswered,
        } = self.queue.poll()?;
        let over = Finished {
            payload: (),
            op,
            bytes,
            end,
            error,
            unanswered,
        };
        Some(S::complete(payload, part, over))
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        if !self.ended.is_empty() {
            return self.queue.flush();
        }
        self.queue.wait(timeout)
    }

    fn has_completed(&self) -> bool {
        !self.ended.is_empty() || self.queue.has_finished()
    }

    fn inflight(&self) -> u32 {
        self.queue.inflight() + u32::try_from(self.ended.len()).unwrap_or(u32::MAX)
    }

    fn capacity(&self) -> u32 {
        self.queue.capacity()
    }

    fn stats(&self) -> ReadStats {
        S::stats(self.queue.counters())
    }

    fn broken(&self) -> Option<i32> {
        self.queue.broken()
    }

    fn namespace(&mut self, fd: RawFd) -> Result<&NvmeNamespace, ReadError> {
        self.source.namespace(fd)
    }
}
