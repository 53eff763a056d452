//! Reads by NVMe passthrough.

use super::{out_of_range, AsyncUringStream, NvmeOwner};
use crate::lifeline::Ring;
use crate::nvme::{self, LbaRange, NvmeNamespace, NvmeOp, NvmeRead};
use crate::queue::{Farewell, ReadQueue};
use gristmill_protocol::PipelineError;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;

impl AsyncUringStream<'_> {
    /// Queues one NVMe Read, as [`encode_nvme_read_sqe`](crate::encode_nvme_read_sqe) encodes it, of the namespace
    /// whose generic character device `fd` is. Its address must lie in the buffer. A length of 0 bytes is filled in
    /// from the namespace's block size; a read that is larger than the queue takes at once goes in pieces. When it has
    /// landed, [`AsyncUringStream::poll`] counts it and raises the tail; an error names `user_data`.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for anything but an NVMe Read; [`PipelineError::InvalidArgument`] for another
    /// namespace than `fd`'s, a length that is not that of the blocks, or blocks that are not there;
    /// [`PipelineError::Backend`] where `fd` is no such device; [`PipelineError::QueueFull`] for a destination outside
    /// of the buffer and for as many reads in flight as the ring holds; [`PipelineError::IoUringSyscall`] where the
    /// kernel has no passthrough.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`]; and the namespace must not be formatted anew meanwhile.
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
                fix: "use the namespace id that NvmeNamespace tells for this descriptor",
            });
        }
        if ![Some(0), bytes].contains(&Some(read.data_len)) {
            return Err(PipelineError::InvalidArgument {
                what: "a command whose length is not that of its blocks",
                fix: "leave the length 0, or make it the number of blocks times the namespace's block size",
            });
        }
        let base = self.buffer.base().addr() as u64;
        let target = read.address.checked_sub(base);
        let target = target.and_then(|target| usize::try_from(target).ok());
        let range = LbaRange {
            lba: read.starting_lba,
            blocks: u64::from(read.blocks),
        };
        let target = target.ok_or_else(out_of_range)?;
        let owner = NvmeOwner::Caller(user_data);
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit_ranges(fd, &namespace, &[range], target, owner) }
    }

    /// Queues a read of blocks of a namespace, one range behind the other, into the buffer at `target`.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`].
    pub(crate) unsafe fn submit_ranges(
        &mut self,
        fd: i32,
        namespace: &NvmeNamespace,
        ranges: &[LbaRange],
        target: usize,
        owner: NvmeOwner,
    ) -> Result<(), PipelineError> {
        let bytes = ranges
            .iter()
            .try_fold(0_u64, |sum, range| sum.checked_add(range.blocks))
            .and_then(|blocks| blocks.checked_mul(u64::from(namespace.block_bytes)))
            // A read's progress is counted in 32 bits.
            .and_then(|bytes| u32::try_from(bytes).ok())
            .ok_or_else(out_of_range)?;
        let address = self.address(target, bytes as usize)?;
        let reads = nvme::plan(namespace, ranges, address.addr() as u64)?;
        let op = NvmeOp::new(fd, &reads)?;
        let queue = self.nvme_queue()?;
        // SAFETY: the pieces lie one behind the other from `address` on and are `bytes` long together, each as long as
        // its blocks are on the device (`plan`), so the device writes no byte outside of the range that `address`
        // checked: it lies in the buffer and was not carved out for another owner. The buffer is borrowed for `'a`,
        // which outlives the queue, whose drop waits for all, as the caller does not leak the stream. That nobody else
        // uses the bytes and `fd` stays open is the caller's promise.
        unsafe { queue.submit(op, owner) }.map_err(|(_, error)| error)
    }

    /// What is known of the namespace behind a generic character device; asked for once per device.
    ///
    /// # Errors
    /// As [`NvmeNamespace::of`].
    pub(crate) fn namespace(&mut self, fd: i32) -> Result<Rc<NvmeNamespace>, PipelineError> {
        let device = nvme::device_number(fd);
        if let Some((namespace, _)) = self.namespaces.get(&device) {
            return Ok(Rc::clone(namespace));
        }
        let namespace = Rc::new(NvmeNamespace::of(fd)?);
        // SAFETY: takes numbers only.
        let open = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
        if open < 0 {
            let error = std::io::Error::last_os_error();
            return Err(PipelineError::Backend(format!(
                "the disk {} cannot be kept open: {error}; raise the limit on open files (ulimit -n)",
                namespace.name
            )));
        }
        // SAFETY: the call has just made this descriptor, and nobody else owns it.
        let open = unsafe { OwnedFd::from_raw_fd(open) };
        self.namespaces
            .insert(device, (Rc::clone(&namespace), open));
        Ok(namespace)
    }

    /// The ring for commands, made at the first call.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn nvme_queue(
        &mut self,
    ) -> Result<&mut ReadQueue<NvmeOwner, NvmeOp>, PipelineError> {
        self.enabled.clone()?;
        let queue = match self.nvme.take() {
            Some(queue) => queue,
            None => {
                let depth = self.queue.capacity();
                let ring = Ring::new(nvme::build_ring(depth)?)?;
                ReadQueue::new(ring, depth, Farewell::WaitForAll)
            }
        };
        Ok(self.nvme.insert(queue))
    }
}
