//! Blocks of namespaces as the sources of a driver's reads.

use super::{NvmeGpuIngestDriver, Reading, Source};
use crate::canary;
use crate::nvme::{self, LbaRange, NvmeNamespace};
use crate::telemetry::NativeReadPath;
use gristmill_protocol::PipelineError;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

impl NvmeGpuIngestDriver<'_> {
    /// Queues a read of `blocks` logical blocks of a namespace from `starting_lba` on into a slot, whose tag is its
    /// number. A read that is larger than the queue takes at once goes in pieces, one after the other.
    ///
    /// # Errors
    /// [`PipelineError::NvmePassthroughDisabled`] on a driver for another path; [`PipelineError::InvalidArgument`]
    /// where the namespace is another one, has other blocks or not these, and for no blocks;
    /// [`PipelineError::QueueFull`] for more bytes than a slot has and for a slot that is not there or not free;
    /// [`PipelineError::Backend`] where `nvme_fd` is no such device, and where bytes do not arrive in this memory.
    ///
    /// # Safety
    /// Until the read is over, or the driver is dropped: `nvme_fd`, a generic character device (`/dev/ng0n1`), must
    /// stay open, and its namespace must not be formatted anew. The driver must not be leaked with reads in flight,
    /// unless the memory stays, too.
    pub unsafe fn submit_native_nvme_read(
        &mut self,
        nvme_fd: i32,
        namespace_id: u32,
        starting_lba: u64,
        blocks: u32,
        bytes_per_block: u32,
        slot: u32,
    ) -> Result<(), PipelineError> {
        self.may_pass_commands(slot)?;
        let namespace = self.stream.namespace(nvme_fd)?;
        if (namespace_id, bytes_per_block) != (namespace.id, namespace.block_bytes) {
            return Err(PipelineError::InvalidArgument {
                what: "a read of another namespace, or of other blocks, than the device has",
                fix: "use the id and the block size that NvmeNamespace tells for this descriptor",
            });
        }
        let reading = Reading {
            tag: slot,
            bytes: self.fits(u64::from(blocks) * u64::from(bytes_per_block))?,
            direct: u64::MAX,
            file: None,
            map: None,
        };
        // SAFETY: the caller keeps `nvme_fd` open and does not leak the driver.
        unsafe { self.submit_lbas(nvme_fd, &namespace, starting_lba, blocks, slot, reading) }
    }

    /// As [`NvmeGpuIngestDriver::submit_native_nvme_read`], with a tag of the caller's, of a device that the driver
    /// keeps open until the read is over. The namespace must not be formatted anew meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn submit_blocks(
        &mut self,
        device: &Arc<File>,
        starting_lba: u64,
        blocks: u32,
        slot: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        self.may_pass_commands(slot)?;
        let fd = device.as_raw_fd();
        let namespace = self.stream.namespace(fd)?;
        let reading = Reading {
            tag,
            bytes: self.fits(u64::from(blocks) * u64::from(namespace.block_bytes))?,
            direct: u64::MAX,
            file: Some(Arc::clone(device)),
            map: None,
        };
        // SAFETY: the slot's state keeps the device open until the read is over, and the stream is dropped before that
        // state. That the driver is not leaked with reads in flight while its memory goes away, whoever made the buffer
        // has promised, or the buffer keeps the memory.
        unsafe { self.submit_lbas(fd, &namespace, starting_lba, blocks, slot, reading) }
    }

    /// Whether commands may be submitted for this slot.
    fn may_pass_commands(&self, slot: u32) -> Result<(), PipelineError> {
        if self.path != NativeReadPath::GpuDirectNvmePassthrough {
            return Err(PipelineError::NvmePassthroughDisabled);
        }
        self.admit(slot).map(|_| ())
    }

    /// Queues a read of blocks, after the canary of their namespace.
    ///
    /// # Safety
    /// As [`NvmeGpuIngestDriver::submit_native_nvme_read`].
    unsafe fn submit_lbas(
        &mut self,
        fd: i32,
        namespace: &NvmeNamespace,
        lba: u64,
        blocks: u32,
        slot: u32,
        reading: Reading,
    ) -> Result<(), PipelineError> {
        let target = self.admit(slot)?;
        let range = LbaRange {
            lba,
            blocks: u64::from(blocks),
        };
        // Before the canary, which reads the first block alone.
        let address = self.stream.address(target, 1)?.addr() as u64;
        nvme::plan(namespace, &[range], address)?;
        let source = Source::Namespace(nvme::device_number(fd));
        let ordinary = || canary::read_block(fd, namespace, lba);
        self.prove_command(source, fd, namespace, lba, target, ordinary)?;
        // SAFETY: the caller's promises are the same; `admit` saw that neither the device nor another read has the
        // slot.
        unsafe { self.submit_command(fd, namespace, &[range], target, slot, reading) }
    }
}
