//! An IO queue that owns its image.

use crate::io::{
    encode_io_landing_into, encode_io_request_into, io_op, io_status, read_slot, refused,
    IoCompletion, IoRequest, IO_SLOT_COUNT, IO_SLOT_WORDS,
};
use crate::{slot, PipelineError};
use alloc::vec;
use alloc::vec::Vec;

/// An IO queue in memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MegakernelIoQueue {
    /// The image is stored as words, so that its bytes have the alignment that devices and casts to `u32` need.
    words: Vec<u32>,
    slots: u32,
}

impl MegakernelIoQueue {
    /// An empty queue.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for no slots, or for more than [`IO_SLOT_COUNT`](IO_SLOT_COUNT).
    pub fn new(slot_count: u32) -> Result<Self, PipelineError> {
        let words = usize::try_from(slot_count)
            .ok()
            .filter(|_| (1..=IO_SLOT_COUNT).contains(&slot_count))
            .map(|slots| slots * IO_SLOT_WORDS)
            .ok_or_else(|| refused("use 1 to 64 slots"))?;
        Ok(Self {
            words: vec![0; words],
            slots: slot_count,
        })
    }

    /// The image, aligned for `u32`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::must_cast_slice(&self.words)
    }

    /// The image for writing, aligned for `u32`. It is meant for the functions of [`io`](crate::io), and for copying in
    /// what a device wrote.
    #[must_use]
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        bytemuck::must_cast_slice_mut(&mut self.words)
    }

    /// Number of slots.
    #[must_use]
    pub fn slot_count(&self) -> u32 {
        self.slots
    }

    /// Host to device: `byte_count` bytes have landed in `mapped_slot`.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where the queue's slot is not there or not EMPTY.
    pub fn publish_slot(
        &mut self,
        queue_slot: u32,
        mapped_slot: u32,
        byte_count: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        let landing = IoCompletion {
            slot_idx: queue_slot,
            mapped_slot,
            byte_count,
            tag,
        };
        encode_io_landing_into(self.as_mut_bytes(), &landing)
    }

    /// Device to host: fetch `byte_count` bytes from the start of `src_handle` to `dst_handle`. For another offset see
    /// [`encode_io_request_into`].
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where the queue's slot is not there or not EMPTY.
    pub fn submit_dma_read(
        &mut self,
        queue_slot: u32,
        src_handle: u32,
        dst_handle: u32,
        byte_count: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        let request = IoRequest {
            slot_idx: queue_slot,
            op_type: io_op::READ,
            src_handle,
            dst_handle,
            offset: 0,
            byte_count,
            tag,
        };
        encode_io_request_into(self.as_mut_bytes(), &request)
    }

    /// The contents of a slot that is not EMPTY. For a landing, these are the bytes that have landed. For a request,
    /// these are the bytes that were requested, whether it is under way, was served or has failed (then `tag` is the
    /// error number: see [`MegakernelIoQueue::failure`]).
    #[must_use]
    pub fn completion(&self, queue_slot: u32) -> Option<IoCompletion> {
        let read = read_slot(self.as_bytes(), queue_slot)?;
        (read.status != slot::EMPTY).then(|| read.completion())
    }

    /// The landing in a slot that the device has not recycled yet.
    #[must_use]
    pub fn landing(&self, queue_slot: u32) -> Option<IoCompletion> {
        let read = read_slot(self.as_bytes(), queue_slot)?;
        let there = read.is_landing() && matches!(read.status, slot::PUBLISHED | slot::CLAIMED);
        there.then(|| read.completion())
    }

    /// The error number of a request that has failed.
    #[must_use]
    pub fn failure(&self, queue_slot: u32) -> Option<i32> {
        let read = read_slot(self.as_bytes(), queue_slot)?;
        let failed = read.status == io_status::ERROR && !read.is_landing();
        failed.then(|| i32::try_from(read.words.tag).unwrap_or(i32::MAX))
    }

    /// Whether the slot is EMPTY: recycled, or never used. False for a slot that does not exist.
    #[must_use]
    pub fn is_recycled(&self, queue_slot: u32) -> bool {
        read_slot(self.as_bytes(), queue_slot).is_some_and(|read| read.status == slot::EMPTY)
    }
}
