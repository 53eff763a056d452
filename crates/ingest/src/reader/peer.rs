//! The engine that lets disks write to chunks in the memory of another device: O_DIRECT reads by io_uring, whose target
//! cannot be registered.
//!
//! Before each read it is seen that the disk itself will bring these bytes (`crate::direct`); what the file system would
//! copy is refused, with the reason. The first read of bytes on the disk, from each file system into each memory, is a
//! canary's: a block is compared with what an ordinary read brings. It is not counted.

use super::blocks::BlockReads;
use super::{Engine, Landed, Read, ReaderStats};
use crate::canary::{self, Canaries, Canary};
use crate::direct::{self, DIRECT_BYTES};
use crate::lifeline::Ring;
use crate::nvme::DirectRange;
use crate::queue::{full, ReadOp, NO_OFFSET};
use crate::setup;
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

/// No disk has smaller blocks.
const SECTOR_BYTES: u64 = 512;

pub(super) struct PeerEngine {
    /// Each owns its chunk and its file.
    reads: BlockReads<Read>,
    canaries: Canaries,
}

impl PeerEngine {
    pub(super) fn new(depth: u32) -> Result<Self, PipelineError> {
        let ring = Ring::new(setup::build(depth, false)?)?;
        Ok(PeerEngine {
            reads: BlockReads::new(ring, depth),
            canaries: Canaries::default(),
        })
    }

    /// How many bytes to ask the disk for, in whole blocks, if it alone brings what is read; 0 behind the file's end.
    fn admit(&mut self, read: &mut Read) -> Result<u32, PipelineError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        let refused = |why: &str| Err(PipelineError::Backend(why.to_owned()));
        let memory = Arc::clone(read.buffer.memory());
        let Some(peer) = memory.peer() else {
            return invalid(
                "a chunk of host memory, for reads into peer memory",
                "make the chunks by PeerMemory::chunks, or use another read path",
            );
        };
        if read.offset == NO_OFFSET {
            return refused(
                "a stream cannot be read into peer memory by a disk; use positioned reads",
            );
        }
        let len = u64::from(read.len).next_multiple_of(DIRECT_BYTES);
        if !read.offset.is_multiple_of(DIRECT_BYTES) || len > read.buffer.capacity() as u64 {
            return invalid(
                "a direct read that does not begin at a multiple of 4,096, or whose chunk has no room for whole blocks",
                "use offsets and chunks that are multiples of 4,096 bytes",
            );
        }
        let words = |error: std::io::Error| PipelineError::Backend(error.to_string());
        let file = File::from(read.file.try_clone().map_err(words)?);
        let metadata = file.metadata().map_err(words)?;
        if !metadata.is_file() {
            return refused("it is no regular file; use positioned reads");
        }
        direct::require(&file)?;
        let file_system = metadata.dev();
        let outcome = self.canaries.outcome(file_system, Some(peer)).cloned();
        if let Some(outcome) = &outcome {
            outcome.clone()?;
        } else if let Some(why) = direct::why_file_system_copies(&file) {
            return refused(&direct::refusal(&why));
        }
        if read.offset >= metadata.len() {
            return Ok(0);
        }
        let there = len.min(metadata.len() - read.offset);
        match direct::range(&file, read.offset, there) {
            DirectRange::Refused(why) => return refused(&direct::refusal(why)),
            // No disk is asked for zeros, so they prove nothing.
            DirectRange::Zeros => {}
            DirectRange::OnDisk(at) if outcome.is_none() => {
                let ended = watch(&file, at, &mut read.buffer, peer)?;
                self.canaries.keep(file_system, Some(peer), ended)?;
            }
            DirectRange::OnDisk(_) => {}
        }
        Ok(u32::try_from(len).unwrap_or(u32::MAX))
    }
}

/// Reads the block at `at` of a file to the start of a chunk, and compares it. The chunk has room for a block.
fn watch(file: &File, at: u64, buffer: &mut ChunkBuf, peer: &str) -> Result<Canary, PipelineError> {
    let what = format!("O_DIRECT reading into {}", canary::memory_name(Some(peer)));
    let target = buffer.as_mut_ptr();
    let block = usize::try_from(DIRECT_BYTES).unwrap_or(0);
    let ordinary = || canary::read_cached(file, at, block);
    let transfer = || {
        // SAFETY: the chunk has room for a block (`PeerEngine::admit`), and is borrowed by this function alone.
        let read = unsafe { direct::read_block(file, at, target) };
        read.map_err(PipelineError::Backend)
    };
    // SAFETY: as above; `ordinary` returns a block at most.
    unsafe { canary::watch(&what, target, ordinary, transfer) }
}

impl Engine for PeerEngine {
    fn submit(&mut self, mut read: Read) -> Result<(), (ChunkBuf, PipelineError)> {
        if self.inflight() >= self.capacity() {
            return Err((read.buffer, full()));
        }
        let len = match self.admit(&mut read) {
            Ok(len) => len,
            Err(error) => return Err((read.buffer, error)),
        };
        if len == 0 {
            self.reads.end(read, false);
            return Ok(());
        }
        let op = ReadOp {
            fd: read.file.as_raw_fd(),
            fixed_file: false,
            address: read.buffer.as_mut_ptr(),
            len,
            offset: read.offset,
            fixed_buffer: None,
            take_short: false,
            known_end: None,
            probing: false,
        };
        // SAFETY: the address is the start of the chunk, whose capacity is at least `len` (`admit`), and the payload holds
        // both the chunk's only `ChunkBuf` (so nobody else touches the bytes, and the arena stays mapped even if the
        // payload is leaked) and the file.
        unsafe { self.reads.queue.submit(op, read) }.map_err(|(read, error)| (read.buffer, error))
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        self.reads.queue.flush()
    }

    fn poll(&mut self) -> Option<Landed> {
        if let Some(landed) = self.reads.poll_ended() {
            return Some(landed);
        }
        let finished = self.reads.queue.poll()?;
        let read = finished.payload;
        let wanted = read.len;
        // Whole blocks were asked for: what lies behind the last byte wanted does not count.
        let beyond = finished.bytes > wanted;
        // The file ended within a block when it was read. It has grown since, and the queue's going on from there, to see
        // the end, is no direct read.
        let grew = finished.error == Some(libc::EINVAL)
            && !u64::from(finished.bytes).is_multiple_of(SECTOR_BYTES);
        Some(Landed {
            tag: read.tag,
            buffer: read.buffer,
            bytes: finished.bytes.min(wanted) as usize,
            end: (finished.end || grew && finished.bytes < wanted) && !beyond,
            error: finished.error.filter(|_| finished.bytes < wanted && !grew),
            unanswered: finished.unanswered,
        })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.reads.wait(timeout)
    }

    fn inflight(&self) -> u32 {
        self.reads.inflight()
    }

    fn capacity(&self) -> u32 {
        self.reads.queue.capacity()
    }

    fn stats(&self) -> ReaderStats {
        ReaderStats::from(self.reads.queue.counters())
    }

    fn streaming(&self, _file: &Arc<OwnedFd>) -> bool {
        false
    }
}
