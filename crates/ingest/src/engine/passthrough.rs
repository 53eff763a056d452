//! The engine that reads past the file system, by NVMe commands. They read the blocks that hold a file's bytes, or
//! blocks of a namespace.
//!
//! [`CommandSources`] decides what it may read. A read of a file fails if, afterwards, the file or the location of its
//! blocks is not the same as when the read was admitted.

use super::blocks::BlockReads;
use super::{Completion, Engine, ReadRequest, CHANGED};
use crate::admit::{CommandPart, CommandRead, CommandSources, DeviceRange};
use crate::error::ReadError;
use crate::lifeline::Ring;
use crate::nvme::{self, NvmeNamespace, NvmeOp};
use crate::queue::DropPolicy;
use crate::stats::ReadStats;
use gristmill_protocol::PipelineError;
use std::os::fd::RawFd;
use std::time::Duration;

/// What a read owns while it is in flight. `part` keeps its source open.
struct Owned<P> {
    payload: P,
    part: CommandPart,
    /// Bytes that were asked for.
    wanted: u32,
}

pub(crate) struct PassthroughEngine<P> {
    reads: BlockReads<P, Owned<P>, NvmeOp>,
    sources: CommandSources,
}

impl<P> PassthroughEngine<P> {
    /// An engine with a ring of its own. Readers see `range` of each namespace, or all of it.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where the kernel has no ring for commands.
    pub(crate) fn new(
        depth: u32,
        policy: DropPolicy,
        range: Option<DeviceRange>,
    ) -> Result<Self, PipelineError> {
        let ring = Ring::new(nvme::build_ring(depth)?)?;
        Ok(PassthroughEngine {
            reads: BlockReads::new(ring, depth, policy),
            sources: CommandSources::new(range),
        })
    }
}

impl<P> Engine<P> for PassthroughEngine<P> {
    unsafe fn submit(
        &mut self,
        request: ReadRequest<'_>,
        payload: P,
    ) -> Result<(), (P, PipelineError)> {
        if let Err(error) = self.reads.room() {
            return Err((payload, error));
        }
        // SAFETY: the caller's promise about the target.
        let (op, part) = match unsafe { self.sources.admit(&request) } {
            Ok(CommandRead::Blocks { op, part }) => (op, part),
            Ok(CommandRead::BehindTheEnd { changed }) => {
                self.reads.end(payload, changed);
                return Ok(());
            }
            Err(error) => return Err((payload, error)),
        };
        let owned = Owned {
            payload,
            part,
            wanted: request.len,
        };
        // SAFETY: the commands write from the start of the target on, at most its capacity (`CommandSources::admit`),
        // each as many bytes as its blocks have on the device (`plan`), and the caller keeps the target as
        // `ReadQueue::submit` asks. `part` keeps the device's descriptor open.
        let submitted = unsafe { self.reads.queue.submit(op, owned) };
        submitted.map_err(|(owned, error)| (owned.payload, error))
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        self.reads.queue.flush()
    }

    fn poll(&mut self) -> Option<Completion<P>> {
        if let Some(ended) = self.reads.poll_ended() {
            return Some(ended);
        }
        let finished = self.reads.queue.poll()?;
        let Owned {
            payload,
            part,
            wanted,
        } = finished.payload;
        // Whole blocks were read, so bytes after the part's last byte do not count.
        let there = u32::try_from(part.bytes).unwrap_or(u32::MAX);
        let bytes = there.min(finished.bytes);
        let mut completion = Completion {
            payload,
            bytes,
            by_disk: u64::from(bytes),
            end: there < wanted && finished.error.is_none(),
            error: finished.error,
            command: finished.error.map(|_| finished.op.place()),
            of_file: part.is_of_file(),
            unanswered: finished.unanswered,
        };
        if !part.is_unchanged() {
            // It is not certain that these bytes are the file's.
            completion = Completion {
                unanswered: completion.unanswered,
                ..Completion::failed(completion.payload, CHANGED)
            };
        }
        Some(completion)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.reads.wait(timeout)
    }

    fn has_completed(&self) -> bool {
        self.reads.has_completed()
    }

    fn inflight(&self) -> u32 {
        self.reads.inflight()
    }

    fn capacity(&self) -> u32 {
        self.reads.queue.capacity()
    }

    fn stats(&self) -> ReadStats {
        ReadStats::of_commands(self.reads.queue.counters())
    }

    fn broken(&self) -> Option<i32> {
        self.reads.queue.broken()
    }

    fn namespace(&mut self, fd: RawFd) -> Result<&NvmeNamespace, ReadError> {
        self.sources.namespace(fd)
    }
}
