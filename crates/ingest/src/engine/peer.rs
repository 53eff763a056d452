//! The engine that lets disks write to the memory of another device. It uses O_DIRECT reads by io_uring, whose target
//! cannot be registered.
//!
//! Before each read, [`admit::direct`] checks that the disk itself will transfer the bytes. Reads that the file system
//! would copy are refused, with the reason.

use super::blocks::BlockReads;
use super::{Completion, Engine, ReadRequest, ReadSource};
use crate::admit::{self, DirectRead};
use crate::lifeline::Ring;
use crate::queue::{DropPolicy, ReadOp};
use crate::setup;
use crate::stats::ReadStats;
use crate::verify::VerifiedTransfers;
use gristmill_protocol::PipelineError;
use std::time::Duration;

/// No disk has smaller blocks.
const SECTOR_BYTES: u64 = 512;

/// What a read owns while it is in flight.
struct Owned<P> {
    payload: P,
    /// Keeps the file open.
    _source: ReadSource,
    /// Bytes that were asked for.
    wanted: u32,
    /// How many of these bytes the file had when the read was admitted.
    there: u32,
    by_disk: u64,
}

pub(crate) struct PeerEngine<P> {
    reads: BlockReads<P, Owned<P>>,
    verified: VerifiedTransfers,
}

impl<P> PeerEngine<P> {
    /// An engine with a ring of its own.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where the kernel refuses the ring.
    pub(crate) fn new(depth: u32, policy: DropPolicy) -> Result<Self, PipelineError> {
        let ring = Ring::new(setup::build(depth, false)?)?;
        Ok(PeerEngine {
            reads: BlockReads::new(ring, depth, policy),
            verified: VerifiedTransfers::default(),
        })
    }
}

impl<P> Engine<P> for PeerEngine<P> {
    unsafe fn submit(
        &mut self,
        request: ReadRequest<'_>,
        payload: P,
    ) -> Result<(), (P, PipelineError)> {
        if let Err(error) = self.reads.room() {
            return Err((payload, error));
        }
        // SAFETY: the caller's promise about the target.
        let admitted = unsafe { admit::direct(&request, &mut self.verified) };
        let (len, there, by_disk) = match admitted {
            Ok(DirectRead::Blocks {
                len,
                there,
                by_disk,
            }) => (len, there, by_disk),
            Ok(DirectRead::BehindTheEnd) => {
                self.reads.end(payload, false);
                return Ok(());
            }
            Err(error) => return Err((payload, error)),
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
        let owned = Owned {
            payload,
            _source: request.source,
            wanted: request.len,
            there,
            by_disk,
        };
        // SAFETY: `len` is at most the target's capacity (`admit::direct`), which the caller keeps as
        // `ReadQueue::submit` asks; the payload holds the file, or the caller keeps it open.
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
            wanted,
            there,
            by_disk,
            ..
        } = finished.payload;
        // When it was read, the file ended within a block. It has grown since then. To find the end, the queue
        // continued the read from within the block, and a direct read cannot begin there.
        let grew = finished.error == Some(libc::EINVAL)
            && !u64::from(finished.bytes).is_multiple_of(SECTOR_BYTES);
        let ended = finished.end || grew && finished.bytes < there;
        // Whole blocks were asked for, so bytes after the last wanted byte do not count, and neither do bytes by which
        // the file has grown since admission.
        let end = if there < wanted {
            ended || finished.bytes >= there
        } else {
            ended && finished.bytes <= wanted
        };
        let bytes = finished.bytes.min(there);
        Some(Completion {
            payload,
            bytes,
            by_disk: by_disk.min(u64::from(bytes)),
            end,
            error: finished.error.filter(|_| finished.bytes < there && !grew),
            command: None,
            of_file: true,
            unanswered: finished.unanswered,
        })
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
        ReadStats::from(self.reads.queue.counters())
    }

    fn broken(&self) -> Option<i32> {
        self.reads.queue.broken()
    }
}
