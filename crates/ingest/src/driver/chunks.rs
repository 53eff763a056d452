//! A kernel's chunks as a driver's slots: what lands is where the kernel's slots look for it, and nothing is copied.
//!
//! A [`ChunkBuf`] is the right to a chunk's bytes, and there is one for each chunk. The driver holds those of its slots while
//! it may read into them. [`NvmeGpuIngestDriver::lend`] gives one away as a [`LentChunk`], by which the kernel sees the chunk;
//! [`NvmeGpuIngestDriver::take_back`] brings it home.

use super::{check_path, Layout, NvmeGpuIngestDriver, Slot};
use crate::memory::mapped::GpuMappedBuffer;
use crate::path::ReadPath;
use crate::stream::{AsyncUringStream, IoUringState};
use gristmill_protocol::{MegakernelIoQueue, PipelineError};
use gristmill_ring::{ChunkBuf, ChunkMemory, LentChunk};
use std::sync::atomic::AtomicU32;
use std::sync::Arc;

/// The chunks that a driver's slots are.
#[derive(Debug)]
pub(super) struct Chunks {
    memory: Arc<ChunkMemory>,
    /// By slot; `None` for one that is lent.
    home: Vec<Option<ChunkBuf>>,
}

impl<'a> NvmeGpuIngestDriver<'a> {
    /// A driver whose slots are the chunks of a kernel, slot n being chunk n, and whose reads go by `path`. `chunks` are
    /// the first 1 to 64 of an arena, in order: as [`ChunkMemory::map`], a back end's `chunk_memory`, or
    /// [`PeerMemory::chunks`](crate::PeerMemory::chunks) returns them. The driver makes its own IO queue, with as many slots.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for no chunks, for more than 64, and for others than these;
    /// [`PipelineError::InvalidArgument`] for a path that does not lead into this memory; and those of a driver's path, as
    /// [`NvmeGpuIngestDriver::new`], [`NvmeGpuIngestDriver::new_gpudirect`] and [`NvmeGpuIngestDriver::new_peer_read`] have
    /// them.
    pub fn over_chunks(
        ring: IoUringState,
        mut chunks: Vec<ChunkBuf>,
        path: ReadPath,
        tail: &'a AtomicU32,
    ) -> Result<Self, PipelineError> {
        let refused = || PipelineError::QueueFull {
            queue: "chunks",
            fix: "hand in the first 1 to 64 chunks of one arena, in order",
        };
        let first = chunks.first_mut().ok_or_else(refused)?;
        let (memory, base) = (Arc::clone(first.memory()), first.as_mut_ptr());
        let in_order = (0..).zip(&chunks).all(|(index, chunk): (u32, _)| {
            chunk.index() == index && Arc::ptr_eq(chunk.memory(), &memory)
        });
        if !in_order {
            return Err(refused());
        }
        check_path(path, memory.peer().is_some())?;
        let queue = MegakernelIoQueue::new(u32::try_from(chunks.len()).unwrap_or(u32::MAX))?;
        let layout = Layout {
            count: chunks.len(),
            bytes: memory.chunk_bytes(),
            stride: memory.stride(),
        };
        let mapping: Arc<ChunkMemory> = Arc::clone(&memory);
        let (bytes, peer) = (layout.count * layout.stride, memory.peer().is_some());
        // SAFETY: the arena's chunks lie `stride` apart from the first on, and `chunks` are its first ones, so that many
        // bytes are part of its memory, which is readable and writable for as long as the buffer holds the arena. References to a
        // chunk's bytes are made by whoever has its `ChunkBuf`, or a loan of it: that is the driver, which makes none, or
        // the chunk is away (`lend`), and then the driver neither submits reads into it nor looks at it (`at_home`).
        let buffer = unsafe { GpuMappedBuffer::from_mapping(mapping, base, bytes, peer) };
        let stream = AsyncUringStream::new(ring, buffer, tail);
        let mut driver = Self::over(stream, layout, queue, path)?;
        driver.chunks = Some(Chunks {
            memory,
            home: chunks.into_iter().map(Some).collect(),
        });
        Ok(driver)
    }

    /// Gives a slot's chunk to the kernel, after [`CompletedIngest`](super::CompletedIngest) has told of the slot: from now
    /// on slots of the kernel's ring may name it, by [`LentChunk::index`], which is the slot's number.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] where nothing is published in the slot, the chunk is lent already, or the slots
    /// are no chunks.
    pub fn lend(&mut self, slot: u32) -> Result<LentChunk, PipelineError> {
        let idle = matches!(self.slots.get(slot as usize), Some(Slot::Idle));
        let published = idle && self.queue.landing(slot).is_some();
        let place = self.chunks.as_mut().filter(|_| published);
        let chunk = place
            .and_then(|chunks| chunks.home.get_mut(slot as usize))
            .and_then(Option::take);
        chunk
            .map(ChunkBuf::lend)
            .ok_or(PipelineError::InvalidArgument {
            what: "a slot without a chunk to lend",
            fix: "make the driver by over_chunks, and lend the chunk of each CompletedIngest once",
        })
    }

    /// Takes a chunk back that was lent and reclaimed ([`LentChunk::reclaim`]). Reads may be submitted for its slot again
    /// once the device has recycled the queue's slot, too ([`io::recycle`](gristmill_protocol::io::recycle)).
    ///
    /// # Errors
    /// The chunk, with [`PipelineError::InvalidArgument`], where it is not one of this driver's that is away.
    pub fn take_back(&mut self, chunk: ChunkBuf) -> Result<(), (ChunkBuf, PipelineError)> {
        let chunks = self.chunks.as_mut();
        let place = chunks
            .filter(|chunks| Arc::ptr_eq(&chunks.memory, chunk.memory()))
            .and_then(|chunks| chunks.home.get_mut(chunk.index() as usize));
        match place {
            Some(place @ None) => {
                *place = Some(chunk);
                Ok(())
            }
            _ => {
                let error = PipelineError::InvalidArgument {
                    what: "a chunk that this driver has not lent",
                    fix: "hand a chunk back to the driver that it came from",
                };
                Err((chunk, error))
            }
        }
    }

    /// Whether the driver has the right to the slot's bytes: where slots are chunks, these may be away.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where the chunk is.
    pub(super) fn at_home(&self, slot: u32) -> Result<(), PipelineError> {
        let away = self
            .chunks
            .as_ref()
            .is_some_and(|chunks| !matches!(chunks.home.get(slot as usize), Some(Some(_))));
        if away {
            return Err(PipelineError::QueueFull {
                queue: "slot",
                fix: "its chunk is lent: reclaim it and take it back first",
            });
        }
        Ok(())
    }
}
