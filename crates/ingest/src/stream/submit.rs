//! The stream's submissions, as users of the design know them.

use super::{out_of_range, AsyncUringStream, Iovec, Owner, ReadContext, StreamRead};
use crate::engine::ReadSource;
use crate::nvme::{LbaRange, NvmeRead};
use crate::path::ReadPath;
use gristmill_protocol::PipelineError;

impl AsyncUringStream<'_> {
    /// Queues a read of `len` bytes at `offset` of `fd` into the buffer at `chunk_idx * len`. The first of `iovs` is
    /// set to the target; nothing refers to it afterwards.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for empty `iovs`, for a target out of range, or if as many reads are in flight as
    /// the ring holds; [`PipelineError::InvalidArgument`] for a length of 0.
    ///
    /// # Safety
    /// Until the read has ended (or the stream is dropped, which waits for it), `fd` must stay open on the same file,
    /// nobody may use the target's bytes, and the stream must not be leaked.
    pub unsafe fn submit_read_to_gpu(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        chunk_idx: usize,
        iovs: &mut [Iovec],
    ) -> Result<(), PipelineError> {
        let target = chunk_target(chunk_idx, len)?;
        let user_data = u64::try_from(chunk_idx).unwrap_or(u64::MAX);
        // SAFETY: the caller's promises are the same.
        unsafe {
            self.submit_read_to_gpu_at_with_user_data(fd, offset, len, target, user_data, iovs)
        }
    }

    /// As [`AsyncUringStream::submit_read_to_gpu`], into the buffer at `target_offset`.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn submit_read_to_gpu_at(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        target_offset: u64,
        iovs: &mut [Iovec],
    ) -> Result<(), PipelineError> {
        // SAFETY: the caller's promises are the same.
        unsafe {
            self.submit_read_to_gpu_at_with_user_data(
                fd,
                offset,
                len,
                target_offset,
                target_offset,
                iovs,
            )
        }
    }

    /// As [`AsyncUringStream::submit_read_to_gpu_at`], with a number of the caller's choice, with which
    /// [`AsyncUringStream::poll_completions_into`] reports the read.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn submit_read_to_gpu_at_with_user_data(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        target_offset: u64,
        user_data: u64,
        iovs: &mut [Iovec],
    ) -> Result<(), PipelineError> {
        let Some(first) = iovs.first_mut() else {
            return Err(PipelineError::QueueFull {
                queue: "iovecs",
                fix: "pass room for at least one iovec",
            });
        };
        let target = usize::try_from(target_offset).map_err(|_| out_of_range())?;
        let context = ReadContext {
            fd,
            file_offset: offset,
            owner: Owner::Caller(user_data),
        };
        // SAFETY: the caller's promises are the same.
        let address = unsafe { self.submit_open(context, len, target, None) }?;
        *first = Iovec {
            iov_base: address.cast(),
            iov_len: len as usize,
        };
        Ok(())
    }

    /// Queues a `READ_FIXED` of `len` bytes at `offset` of `fd` into the buffer at `chunk_idx * len`. The target must
    /// lie in the registered buffer `buf_index`: the stream's buffer is registered in pieces of 1 GiB, numbered from 0,
    /// so a buffer of at most 1 GiB has only number 0.
    ///
    /// # Errors
    /// As [`AsyncUringStream::submit_read_to_gpu`]; also [`PipelineError::QueueFull`] if the target is not inside that
    /// registered buffer, and [`PipelineError::IoUringSyscall`] if the kernel refused to register the buffer.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`].
    pub unsafe fn submit_read_fixed(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        chunk_idx: usize,
        buf_index: u16,
    ) -> Result<(), PipelineError> {
        let target = chunk_target(chunk_idx, len)?;
        let user_data = u64::try_from(chunk_idx).unwrap_or(u64::MAX);
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit_read_fixed_at(fd, offset, len, target, buf_index, user_data) }
    }

    /// As [`AsyncUringStream::submit_read_fixed`], into the buffer at `target_offset`, with a number of the caller's
    /// choice, with which [`AsyncUringStream::poll_completions_into`] reports the read.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn submit_read_fixed_at(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        target_offset: u64,
        buf_index: u16,
        user_data: u64,
    ) -> Result<(), PipelineError> {
        let target = usize::try_from(target_offset).map_err(|_| out_of_range())?;
        let context = ReadContext {
            fd,
            file_offset: offset,
            owner: Owner::Caller(user_data),
        };
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit_open(context, len, target, Some(buf_index)) }.map(drop)
    }

    /// Queues one NVMe Read, in the encoding of [`encode_nvme_read_sqe`](crate::encode_nvme_read_sqe), of the namespace
    /// whose generic character device is `fd`. Its address must lie in the buffer. If its length in bytes is 0, it is
    /// filled in from the namespace's block size. A read that exceeds the limit of one command is split. When the read
    /// has landed, [`AsyncUringStream::poll`] counts it and raises the tail; an error names `user_data`.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for anything but an NVMe Read; [`PipelineError::InvalidArgument`] for a namespace
    /// other than `fd`'s, for a length that does not match the blocks, or for blocks that do not exist;
    /// [`PipelineError::Backend`] if `fd` is not such a device; [`PipelineError::QueueFull`] for a destination outside
    /// of the buffer, or if as many reads are in flight as the ring holds; [`PipelineError::IoUringSyscall`] if the
    /// kernel has no passthrough.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`]; and the namespace must not be reformatted meanwhile.
    pub unsafe fn submit_nvme_passthrough(
        &mut self,
        fd: i32,
        user_data: u64,
        command: &[u8],
    ) -> Result<(), PipelineError> {
        let read = NvmeRead::decode(command)?;
        let namespace = self.namespace(fd)?;
        let bytes = read.blocks.checked_mul(namespace.block_bytes);
        if read.namespace_id != namespace.id {
            return Err(PipelineError::InvalidArgument {
                what: "a command for another namespace than the device's",
                fix: "use the namespace id that NvmeNamespace reports for this descriptor",
            });
        }
        if ![Some(0), bytes].contains(&Some(read.data_len)) {
            return Err(PipelineError::InvalidArgument {
                what: "a command whose length is not that of its blocks",
                fix: "leave the length 0, or make it the number of blocks times the namespace's block size",
            });
        }
        namespace.check(LbaRange {
            lba: read.starting_lba,
            blocks: u64::from(read.blocks),
        })?;
        let offset = read.starting_lba * u64::from(namespace.block_bytes);
        let base = self.buffer.base().addr() as u64;
        let target = read.address.checked_sub(base);
        let target = target.and_then(|target| usize::try_from(target).ok());
        let (Some(target), Some(len)) = (target, bytes) else {
            return Err(out_of_range());
        };
        let read = StreamRead {
            source: ReadSource::Open(fd),
            offset,
            len,
            fill: true,
            target,
            capacity: len as usize,
            context: ReadContext {
                fd,
                file_offset: offset,
                owner: Owner::Caller(user_data),
            },
        };
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit(ReadPath::GpuDirectNvmePassthrough, read, None) }.map(drop)
    }
}

fn chunk_target(chunk_idx: usize, len: u32) -> Result<u64, PipelineError> {
    u64::try_from(chunk_idx)
        .ok()
        .and_then(|chunk| chunk.checked_mul(u64::from(len)))
        .ok_or_else(out_of_range)
}
