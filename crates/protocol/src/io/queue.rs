//! An IO queue that owns its image.

use super::{
    encode_io_landing_into, encode_io_request_into, io_op, io_status, read_slot,
    try_encode_empty_io_queue, IoCompletion, IoRequest,
};
use crate::{slot, PipelineError};
use alloc::vec::Vec;

/// An IO queue in memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MegakernelIoQueue {
    bytes: Vec<u8>,
    slots: u32,
}

impl MegakernelIoQueue {
    /// An empty queue.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for no slots, or for more than [`IO_SLOT_COUNT`](super::IO_SLOT_COUNT).
    pub fn new(slot_count: u32) -> Result<Self, PipelineError> {
        Ok(Self {
            bytes: try_encode_empty_io_queue(slot_count)?,
            slots: slot_count,
        })
    }

    /// The image.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The image, for the functions of [`io`](super) and for what a device left.
    #[must_use]
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
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
        encode_io_landing_into(&mut self.bytes, &landing)
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
        encode_io_request_into(&mut self.bytes, &request)
    }

    /// The bytes that a slot says are there: a landing that is not recycled yet, or a request that was served. `None`
    /// for a request that is under way or has failed: see [`MegakernelIoQueue::failure`].
    #[must_use]
    pub fn completion(&self, queue_slot: u32) -> Option<IoCompletion> {
        let read = read_slot(&self.bytes, queue_slot)?;
        let there = if read.is_landing() {
            matches!(read.status, slot::PUBLISHED | slot::CLAIMED)
        } else {
            read.status == io_status::OK
        };
        there.then(|| read.completion())
    }

    /// The error number of a request that has failed.
    #[must_use]
    pub fn failure(&self, queue_slot: u32) -> Option<i32> {
        let read = read_slot(&self.bytes, queue_slot)?;
        let failed = read.status == io_status::ERROR && !read.is_landing();
        failed.then(|| i32::try_from(read.words.tag).unwrap_or(i32::MAX))
    }

    /// Whether the slot is EMPTY again, or still; false for a slot that is not there.
    #[must_use]
    pub fn is_recycled(&self, queue_slot: u32) -> bool {
        read_slot(&self.bytes, queue_slot).is_some_and(|read| read.status == slot::EMPTY)
    }
}
