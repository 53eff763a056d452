//! What a driver can be asked to read: files, parts of files, and blocks of namespaces.

use super::{NvmeGpuIngestDriver, Reading, Slot};
use crate::admit;
use crate::engine::{ReadSource, SharedFile};
use crate::fs::{is_on_fuse, name_of, open_without_waiting};
use crate::nvme::LbaRange;
use crate::path::ReadPath;
use crate::stream::{Owner, ReadContext, StreamRead};
use gristmill_protocol::PipelineError;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

impl NvmeGpuIngestDriver<'_> {
    /// Queues a read of a whole file, which must fit into the slot, by the driver's path. Its tag is the slot's number.
    /// A file without bytes lands at once.
    ///
    /// # Errors
    /// [`PipelineError::Read`] where the file cannot be opened, is no regular file, lies on a FUSE file system
    /// ([`is_on_fuse`]) or does not tell its size, and [`NvmeGpuIngestDriver::submit_file_range`]'s.
    pub fn submit_file(&mut self, path: &Path, slot: u32) -> Result<(), PipelineError> {
        self.admit(slot)?;
        let failed = |errno: Option<i32>, reason: String| PipelineError::Read {
            path: path.display().to_string(),
            offset: 0,
            errno,
            reason,
        };
        let refused = |error: std::io::Error| failed(error.raw_os_error(), error.to_string());
        let unfit = |reason: &str| failed(None, reason.to_owned());
        let flags = match self.path {
            ReadPath::PeerRead => libc::O_DIRECT,
            _ => 0,
        };
        let file = open_without_waiting(path, flags).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        if !metadata.is_file() {
            return Err(unfit("it is no regular file"));
        }
        if is_on_fuse(&file) {
            return Err(unfit(
                "it lies on a FUSE file system, of which a ring may read bytes twice; read it by positioned reads",
            ));
        }
        let size = metadata.len();
        // Files of /proc and the like say 0 and have bytes.
        if size == 0
            && self.path != ReadPath::PeerRead
            && matches!(file.read_at(&mut [0], 0), Ok(1..))
        {
            return Err(unfit("it does not tell its size"));
        }
        let len = self.fits(size)?;
        self.submit_file_range(&Arc::new(file), 0, len, slot, slot)
    }

    /// Queues a read of `len` bytes of a file from `offset` on into a slot, with a tag of the caller's; fewer where the
    /// file ends, as it is now. The driver keeps the file open until the read is over.
    ///
    /// By passthrough and into peer memory, `offset` must be a multiple of the disk's block size, and the slot must
    /// have room for whole blocks; for reads into peer memory the file must have been opened with O_DIRECT. A
    /// registered read of a file on FUSE is done by `pread` when it is polled for, as [`NvmeGpuIngestDriver::stats`]
    /// tells.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for more bytes than a slot has and for a slot that is not there or not free;
    /// [`PipelineError::InvalidArgument`] for a file that was opened in the wrong way, and for a slot without room for
    /// whole blocks; [`PipelineError::Backend`] where the file cannot be read by the driver's path, with the reason
    /// (see [`FileMap::read`](crate::nvme::FileMap::read)), or where its bytes do not arrive in this memory.
    pub fn submit_file_range(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: u32,
        slot: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        let target = self.admit(slot)?;
        self.fits(u64::from(len))?;
        let metadata = file.metadata().map_err(|error| PipelineError::Read {
            path: name_of(file.as_raw_fd()),
            offset,
            errno: error.raw_os_error(),
            reason: error.to_string(),
        })?;
        let left = metadata.len().saturating_sub(offset);
        let bytes = match u32::try_from(left) {
            Ok(left) if metadata.is_file() => len.min(left),
            _ => len,
        };
        let direct = match self.path {
            ReadPath::RegisteredMappedRead => {
                admit::brought_by_disk(file, offset, u64::from(bytes))
            }
            // The engine tells.
            _ => 0,
        };
        let reading = Reading { tag, bytes, direct };
        if bytes == 0 {
            self.begin(slot, reading)?;
            self.settle(slot, Ok(0), 0);
            return Ok(());
        }
        let source = ReadSource::Shared(Arc::clone(file) as SharedFile);
        // SAFETY: the source is shared, and what nobody else uses of the slot is `submit`'s to see.
        unsafe { self.submit(source, offset, target, slot, reading) }
    }

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
        let source = ReadSource::Open(nvme_fd);
        let asked = Some((namespace_id, bytes_per_block));
        // SAFETY: the caller keeps `nvme_fd` open and does not leak the driver.
        unsafe { self.submit_lbas(source, asked, starting_lba, blocks, slot, slot) }
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
        let source = ReadSource::Shared(Arc::clone(device) as SharedFile);
        // SAFETY: the source is shared. That the driver is not leaked with reads in flight while its memory goes away,
        // the buffer's maker has promised, or the buffer keeps the memory.
        unsafe { self.submit_lbas(source, None, starting_lba, blocks, slot, tag) }
    }

    /// Queues a read of blocks, of the namespace with this number and these blocks where that is `asked` for.
    ///
    /// # Safety
    /// As [`NvmeGpuIngestDriver::submit_native_nvme_read`]; a shared source needs no promise.
    unsafe fn submit_lbas(
        &mut self,
        source: ReadSource,
        asked: Option<(u32, u32)>,
        lba: u64,
        blocks: u32,
        slot: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        if self.path != ReadPath::GpuDirectNvmePassthrough {
            return Err(PipelineError::NvmePassthroughDisabled);
        }
        let target = self.admit(slot)?;
        let namespace = self.stream.namespace(source.fd())?;
        if asked.is_some_and(|asked| asked != (namespace.id, namespace.block_bytes)) {
            return Err(PipelineError::InvalidArgument {
                what: "a read of another namespace, or of other blocks, than the device has",
                fix: "use the id and the block size that NvmeNamespace tells for this descriptor",
            });
        }
        let block = u64::from(namespace.block_bytes);
        let bytes = self.fits(u64::from(blocks) * block)?;
        namespace.check(LbaRange {
            lba,
            blocks: u64::from(blocks),
        })?;
        let direct = 0;
        let reading = Reading { tag, bytes, direct };
        // SAFETY: the caller's promises are the same. The namespace has the blocks, so the product fits.
        unsafe { self.submit(source, lba * block, target, slot, reading) }
    }

    /// Queues a read into a slot that was admitted, and counts it.
    ///
    /// # Safety
    /// An open source must stay open until the read is over. The driver must not be leaked with reads in flight while
    /// its memory goes away, which the maker of the buffer has promised already, unless the buffer keeps the memory.
    unsafe fn submit(
        &mut self,
        source: ReadSource,
        offset: u64,
        target: usize,
        slot: u32,
        reading: Reading,
    ) -> Result<(), PipelineError> {
        let mut counts = self.counts.clone();
        counts.count_submitted(reading.bytes)?;
        let read = StreamRead {
            context: ReadContext {
                fd: source.fd(),
                file_offset: offset,
                owner: Owner::Slot(slot),
            },
            source,
            offset,
            len: reading.bytes,
            fill: true,
            target,
            capacity: self.slot_bytes,
        };
        // SAFETY: the caller's promises. `admit` saw that neither the device nor another read has the slot, and its
        // bytes lie from `target` on.
        unsafe { self.stream.submit(self.path, read, None) }?;
        self.counts = counts;
        if let Some(state) = self.slots.get_mut(slot as usize) {
            *state = Slot::Reading(reading);
        }
        Ok(())
    }

    /// Notes a read that needs no engine.
    fn begin(&mut self, slot: u32, reading: Reading) -> Result<(), PipelineError> {
        self.counts.count_submitted(reading.bytes)?;
        if let Some(state) = self.slots.get_mut(slot as usize) {
            *state = Slot::Reading(reading);
        }
        Ok(())
    }

    /// Where a slot begins in the buffer, if a read may be submitted for it.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where it is not there, a read has it, or the device.
    fn admit(&self, slot: u32) -> Result<usize, PipelineError> {
        let refused = |fix| Err(PipelineError::QueueFull { queue: "slot", fix });
        match self.slots.get(slot as usize) {
            None => return refused("use a slot below slot_count()"),
            Some(Slot::Idle) => {}
            Some(_) => return refused("poll until the read of this slot is published"),
        }
        if !self.queue.is_recycled(slot) {
            return refused(
                "the device owns this slot: wait until it has recycled it, or use another",
            );
        }
        Ok(slot as usize * self.slot_bytes)
    }

    /// `bytes`, if a slot has room for as many.
    fn fits(&self, bytes: u64) -> Result<u32, PipelineError> {
        u32::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes as usize <= self.slot_bytes)
            .ok_or(PipelineError::QueueFull {
                queue: "slot",
                fix: "read at most slot_bytes() at once (in whole blocks, past the page cache), or map larger slots",
            })
    }
}
