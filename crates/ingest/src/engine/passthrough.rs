//! The engine that reads past the file system, by NVMe commands. They read the blocks that hold a file's bytes, or
//! blocks of a namespace.
//!
//! [`CommandSources`] decides what it may read. A read of a file fails if, afterwards, the file or the location of its
//! blocks is not the same as when the read was admitted.

use super::blocks::{Admitted, BlockEngine, BlockSource};
use super::{Completion, ReadRequest, CHANGED};
use crate::admit::{CommandPart, CommandRead, CommandSources, DeviceRange};
use crate::error::ReadError;
use crate::lifeline::Ring;
use crate::nvme::{self, NvmeNamespace, NvmeOp};
use crate::queue::{DropPolicy, Finished, QueueCounters};
use crate::stats::ReadStats;
use gristmill_protocol::PipelineError;
use std::os::fd::RawFd;

/// Reads by commands.
pub(crate) type PassthroughEngine<P> = BlockEngine<P, CommandSources>;

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
        Ok(Self::over(ring, depth, policy, CommandSources::new(range)))
    }
}

/// What is remembered of a read in flight.
pub(crate) struct Commanded {
    /// Keeps the source open.
    part: CommandPart,
    /// Bytes that were asked for.
    wanted: u32,
}

// SAFETY: the commands write from the start of the target on, at most its capacity (`CommandSources::admit`), each as
// many bytes as its blocks have on the device (`plan`). `CommandPart` keeps the device's descriptor open.
unsafe impl BlockSource for CommandSources {
    type Op = NvmeOp;
    type Part = Commanded;

    unsafe fn admit(
        &mut self,
        request: ReadRequest<'_>,
    ) -> Result<Admitted<NvmeOp, Commanded>, PipelineError> {
        let wanted = request.len;
        // SAFETY: the caller's promise about the target.
        Ok(match unsafe { CommandSources::admit(self, &request) }? {
            CommandRead::BehindTheEnd { changed } => Admitted::BehindTheEnd { changed },
            CommandRead::Blocks { op, part } => Admitted::Blocks {
                op,
                part: Commanded { part, wanted },
            },
        })
    }

    fn complete<P>(payload: P, part: Commanded, over: Finished<(), NvmeOp>) -> Completion<P> {
        let Commanded { part, wanted } = part;
        if !part.is_unchanged() {
            // It is not certain that these bytes are the file's.
            return Completion {
                unanswered: over.unanswered,
                ..Completion::failed(payload, CHANGED)
            };
        }
        // Whole blocks were read, so bytes after the part's last byte do not count.
        let there = u32::try_from(part.bytes).unwrap_or(u32::MAX);
        let bytes = there.min(over.bytes);
        Completion {
            payload,
            bytes,
            by_disk: u64::from(bytes),
            end: there < wanted && over.error.is_none(),
            error: over.error,
            command: over.error.map(|_| over.op.place()),
            of_file: part.is_of_file(),
            unanswered: over.unanswered,
        }
    }

    fn stats(counters: QueueCounters) -> ReadStats {
        ReadStats::of_commands(counters)
    }

    fn namespace(&mut self, fd: RawFd) -> Result<&NvmeNamespace, ReadError> {
        CommandSources::namespace(self, fd)
    }
}
