//! The engine that lets disks write to the memory of another device. It uses O_DIRECT reads by io_uring, whose target
//! cannot be registered.
//!
//! Before each read, [`admit::direct`] checks that the disk itself will transfer the bytes. Reads that the file system
//! would copy are refused, with the reason.

use super::blocks::{Admitted, BlockEngine, BlockSource};
use super::{Completion, ReadRequest, ReadSource};
use crate::admit::{self, DirectRead};
use crate::lifeline::Ring;
use crate::queue::{DropPolicy, Finished, ReadOp};
use crate::setup;
use crate::verify::VerifiedTransfers;
use gristmill_protocol::PipelineError;

/// No disk has smaller blocks.
const SECTOR_BYTES: u64 = 512;

/// Direct reads into peer memory.
pub(crate) type PeerEngine<P> = BlockEngine<P, DirectSources>;

/// The files that direct reads may read.
#[derive(Default)]
pub(crate) struct DirectSources {
    verified: VerifiedTransfers,
}

impl<P> PeerEngine<P> {
    /// An engine with a ring of its own.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where the kernel refuses the ring.
    pub(crate) fn new(depth: u32, policy: DropPolicy) -> Result<Self, PipelineError> {
        let ring = Ring::new(setup::build(depth, false)?)?;
        Ok(Self::over(ring, depth, policy, DirectSources::default()))
    }
}

/// What is remembered of a read in flight.
pub(crate) struct Directed {
    /// Keeps the file open.
    _source: ReadSource,
    /// Bytes that were asked for.
    wanted: u32,
    /// How many of these bytes the file had when the read was admitted.
    there: u32,
    by_disk: u64,
}

// SAFETY: the operation writes `len` bytes from the start of the target on, which is at most its capacity
// (`admit::direct`). `Directed` keeps a shared file open.
unsafe impl BlockSource for DirectSources {
    type Op = ReadOp;
    type Part = Directed;

    unsafe fn admit(
        &mut self,
        request: ReadRequest<'_>,
    ) -> Result<Admitted<ReadOp, Directed>, PipelineError> {
        // SAFETY: the caller's promise about the target.
        let admitted = unsafe { admit::direct(&request, &mut self.verified) }?;
        let DirectRead::Blocks {
            len,
            there,
            by_disk,
        } = admitted
        else {
            return Ok(Admitted::BehindTheEnd { changed: false });
        };
        let op = ReadOp {
            fd: request.source.fd(),
            fixed_file: false,
            address: request.target.address,
            len,
            offset: request.offset,
            fixed_buffer: None,
            take_short: false,
            known_end: None,
            probing: false,
        };
        let part = Directed {
            _source: request.source,
            wanted: request.len,
            there,
            by_disk,
        };
        Ok(Admitted::Blocks { op, part })
    }

    fn complete<P>(payload: P, part: Directed, over: Finished<(), ReadOp>) -> Completion<P> {
        let Directed {
            wanted,
            there,
            by_disk,
            ..
        } = part;
        // When it was read, the file ended within a block. It has grown since then. To find the end, the queue
        // continued the read from within the block, and a direct read cannot begin there.
        let grew =
            over.error == Some(libc::EINVAL) && !u64::from(over.bytes).is_multiple_of(SECTOR_BYTES);
        let ended = over.end || grew && over.bytes < there;
        // Whole blocks were asked for, so bytes after the last wanted byte do not count, and neither do bytes by which
        // the file has grown since admission.
        let end = if there < wanted {
            ended || over.bytes >= there
        } else {
            ended && over.bytes <= wanted
        };
        let bytes = over.bytes.min(there);
        Completion {
            payload,
            bytes,
            by_disk: by_disk.min(u64::from(bytes)),
            end,
            error: over.error.filter(|_| over.bytes < there && !grew),
            command: None,
            of_file: true,
            unanswered: over.unanswered,
        }
    }
}
