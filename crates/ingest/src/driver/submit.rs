//! The driver's submissions: reads of files, of parts of files, and of blocks of namespaces.

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
    /// A read of an empty file lands at once.
    ///
    /// # Errors
    /// [`PipelineError::Read`] if the file cannot be opened, is not a regular file, lies on a FUSE file system
    /// ([`is_on_fuse`]) or does not report its size; and the errors of [`NvmeGpuIngestDriver::submit_file_range`].
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
            return Err(unfit("it is not a regular file"));
        }
        if is_on_fuse(&file) {
            return Err(unfit(
                "it is on a FUSE file system, where a ring may read bytes twice; read it by positioned reads",
            ));
        }
        let size = metadata.len();
        // Files in /proc, and some others, report a size of 0 although they have bytes.
        if size == 0
            && self.path != ReadPath::PeerRead
            && matches!(file.read_at(&mut [0], 0), Ok(1..))
        {
            return Err(unfit("its size is unknown"));
        }
        let len = self.fits(size)?;
        self.submit_file_range(&Arc::new(file), 0, len, slot, slot)
    }

    /// Queues a read of `len` bytes of a file from `offset` on into a slot, with a tag of the caller's choice. If the
    /// file, as it is now, ends earlier, the read has fewer bytes. The driver keeps the file open until the read has
    /// ended.
    ///
    /// By passthrough and into peer memory, `offset` must be a multiple of the disk's block size, and the slot must
    /// have room for whole blocks; for reads into peer memory the file must have been opened with O_DIRECT. A
    /// registered read of a file on FUSE is done by `pread` during a poll, which [`NvmeGpuIngestDriver::stats`]
    /// reports.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for more bytes than a slot has, and for a slot that does not exist or is not free;
    /// [`PipelineError::InvalidArgument`] for a file that was opened with the wrong flags, and for a slot without room
    /// for whole blocks; [`PipelineError::Backend`], with the reason, if the driver's path cannot read the file (see
    /// [`FileMap::read`](crate::nvme::FileMap::read)), or if its bytes do not arrive in this memory.
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
            // The engine reports this itself.
            _ => 0,
        };
        let reading = Reading { tag, bytes, direct };
        if bytes == 0 {
            self.begin(slot, reading)?;
            self.settle(slot, Ok(0), 0);
            return Ok(());
        }
        let source = ReadSource::Shared(Arc::clone(file) as SharedFile);
        // SAFETY: the source is shared, and `submit` itself makes sure that nobody else uses the slot.
        unsafe { self.submit(source, offset, target, slot, reading) }
    }

    /// Queues a read of `blocks` logical blocks of a namespace from `starting_lba` on into a slot, whose tag is its
    /// number. A read that exceeds the limit of one command is split into several commands, which are submitted one
    /// after the other.
    ///
    /// # Errors
    /// [`PipelineError::NvmePassthroughDisabled`] on a driver for another path; [`PipelineError::InvalidArgument`] if
    /// the namespace's number or block size is not the given one, if it does not have these blocks, and for 0 blocks;
    /// [`PipelineError::QueueFull`] for more bytes than a slot has, and for a slot that does not exist or is not free;
    /// [`PipelineError::Backend`] if `nvme_fd` is not such a device, or if bytes do not arrive in this memory.
    ///
    /// # Safety
    /// Until the read has ended, or the driver is dropped, `nvme_fd`, a generic character device (`/dev/ng0n1`), must
    /// stay open, and its namespace must not be reformatted. The driver must not be leaked with reads in flight, unless
    /// the memory stays valid, too.
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

    /// As [`NvmeGpuIngestDriver::submit_native_nvme_read`], with a tag of the caller's choice, and from a device that
    /// the driver keeps open until the read has ended. The namespace must not be reformatted before then.
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
        // SAFETY: the source is shared. The maker of the buffer has promised that the driver is not leaked with reads
        // in flight while its memory goes away, or the buffer itself keeps the memory.
        unsafe { self.submit_lbas(source, None, starting_lba, blocks, slot, tag) }
    }

    /// Queues a read of blocks. With `asked`, the namespace must have this number and this block size.
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
                fix: "use the id and the block size that NvmeNamespace reports for this descriptor",
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

    /// Queues a read into an admitted slot, and counts it.
    ///
    /// # Safety
    /// A [`ReadSource::Open`] must stay open until the read has ended. The driver must not be leaked with reads in
    /// flight while its memory goes away; the maker of the buffer has already promised this, unless the buffer keeps
    /// the memory.
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

    /// Records a read that needs no engine.
    fn begin(&mut self, slot: u32, reading: Reading) -> Result<(), PipelineError> {
        self.counts.count_submitted(reading.bytes)?;
        if let Some(state) = self.slots.get_mut(slot as usize) {
            *state = Slot::Reading(reading);
        }
        Ok(())
    }

    /// The offset of a slot in the buffer, if a read may be submitted for the slot.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] if the slot does not exist, or if a read or the device owns it.
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

    /// Returns `bytes`, if that many fit in a slot.
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
