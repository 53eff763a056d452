//! Files as the sources of a driver's reads.

use super::{NvmeGpuIngestDriver, Reading, Source};
use crate::canary;
use crate::direct::{self, DIRECT_BYTES};
use crate::nvme::{DirectRange, DiskPlace, FileMap};
use crate::open::open_without_waiting;
use crate::reader::is_on_fuse;
use crate::stream::{Note, Owner};
use crate::telemetry::NativeReadPath;
use gristmill_protocol::PipelineError;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
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
            NativeReadPath::PeerRead => libc::O_DIRECT,
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
            && self.path != NativeReadPath::PeerRead
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
    /// have room for whole blocks; for reads into peer memory the file must have been opened with O_DIRECT. By registered
    /// reads, the file must not lie on a FUSE file system, which is not checked here: see [`is_on_fuse`].
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for more bytes than a slot has and for a slot that is not there or not free;
    /// [`PipelineError::InvalidArgument`] for a file that was opened in the wrong way; [`PipelineError::Backend`] where
    /// the file cannot be read by the driver's path, with the reason (see [`FileMap::read`]), or where its bytes do not
    /// arrive in this memory.
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
        let metadata = file
            .metadata()
            .map_err(|error| refused(file, offset, &error))?;
        let left = metadata.len().saturating_sub(offset);
        let bytes = match u32::try_from(left) {
            Ok(left) if metadata.is_file() => len.min(left),
            _ => len,
        };
        let reading = Reading {
            tag,
            bytes,
            direct: match self.path {
                // Commands are for blocks that the disk has.
                NativeReadPath::GpuDirectNvmePassthrough => u64::MAX,
                _ => direct::brought_by_disk(file, offset, u64::from(bytes)),
            },
            file: Some(Arc::clone(file)),
            map: None,
        };
        if bytes == 0 {
            let telemetry = self.telemetry.with_submitted(self.path, 0)?;
            self.begin(slot, reading, telemetry);
            self.settle(slot, Ok(0));
            return Ok(());
        }
        match self.path {
            NativeReadPath::GpuDirectNvmePassthrough => {
                self.submit_mapped(file, offset, target, slot, reading)
            }
            NativeReadPath::PeerRead => {
                let direct = u64::from(bytes).next_multiple_of(DIRECT_BYTES);
                let direct = self.fits(direct)?;
                direct::require(file)?;
                let source = Source::FileSystem(metadata.dev());
                self.prove_direct(file, source, offset, u64::from(bytes), target)?;
                self.submit_read(file, offset, direct, target, slot, reading)
            }
            NativeReadPath::RegisteredMappedRead | NativeReadPath::PositionedRead => {
                self.submit_read(file, offset, bytes, target, slot, reading)
            }
        }
    }

    /// Queues a read by the file system, and counts it.
    fn submit_read(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: u32,
        target: usize,
        slot: u32,
        reading: Reading,
    ) -> Result<(), PipelineError> {
        let telemetry = self.telemetry.with_submitted(self.path, reading.bytes)?;
        let fd = file.as_raw_fd();
        let note = Note::new(fd, offset, Owner::Slot(slot));
        let fixed = self.stream.registered_index(target, len as usize);
        // SAFETY: `begin` keeps the file open in the slot's state until the read is over, and the stream is dropped
        // before that state. `admit` saw that neither the device nor another read has the slot, and `len` bytes fit
        // into it. That the driver is not leaked with reads in flight while its memory goes away, whoever made the
        // buffer has promised, or the buffer keeps the memory.
        unsafe { self.stream.submit_note(note, len, target, fixed) }?;
        self.begin(slot, reading, telemetry);
        Ok(())
    }

    /// Queues a read of a file's blocks by commands.
    fn submit_mapped(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        target: usize,
        slot: u32,
        mut reading: Reading,
    ) -> Result<(), PipelineError> {
        let map = FileMap::read(file, offset, u64::from(reading.bytes))?;
        let place = DiskPlace::of(file)?;
        let disk = self.disk(&place.generic)?;
        let namespace = self.stream.namespace(disk.as_raw_fd())?;
        let ranges = map.lba_ranges(place.start, namespace.block_bytes)?;
        let block = u64::from(namespace.block_bytes);
        self.fits(map.bytes().next_multiple_of(block))?;
        // The file was cut since its size was asked for, if anything differs.
        reading.bytes = u32::try_from(map.bytes()).unwrap_or(reading.bytes);
        let Some(first) = ranges.first() else {
            return Err(changed(file, slot));
        };
        let fd = disk.as_raw_fd();
        let device = file
            .metadata()
            .map_err(|error| refused(file, offset, &error))?
            .dev();
        let len = usize::try_from(map.bytes().min(block)).unwrap_or(0);
        let ordinary = || canary::read_cached(file, offset, len);
        self.prove_command(
            Source::FileSystem(device),
            fd,
            &namespace,
            first.lba,
            target,
            ordinary,
        )?;
        reading.map = Some(map);
        // SAFETY: `disks` keeps the device open for as long as the driver lives, and the stream is dropped before it.
        // `admit` saw that neither the device nor another read has the slot, and whole blocks fit into it. That the
        // driver is not leaked with reads in flight while its memory goes away, whoever made the buffer has promised,
        // or the buffer keeps the memory.
        unsafe { self.submit_command(fd, &namespace, &ranges, target, slot, reading) }
    }

    /// Sees that the disk itself brings these bytes, and once for each file system that it brings any to this buffer.
    fn prove_direct(
        &mut self,
        file: &Arc<File>,
        source: Source,
        offset: u64,
        bytes: u64,
        target: usize,
    ) -> Result<(), PipelineError> {
        let refused = |why: &str| Err(failed(file, offset, &direct::refusal(why)));
        if !self.canaries.contains_key(&source) {
            if let Some(why) = direct::why_file_system_copies(file) {
                return refused(&why);
            }
        }
        let at = match direct::range(file, offset, bytes) {
            DirectRange::Refused(why) => return refused(why),
            // Zeros that the disk does not have prove nothing.
            DirectRange::Zeros => return self.canaries.get(&source).cloned().unwrap_or(Ok(())),
            DirectRange::OnDisk(at) => at,
        };
        let len = usize::try_from(DIRECT_BYTES).unwrap_or(0);
        let address = self.stream.address(target, len)?;
        let transfer = || {
            // SAFETY: `address` checked that so many bytes lie in the buffer, and the slot is the driver's alone.
            unsafe { direct::read_block(file, at, address) }
                .map_err(|reason| failed(file, at, &reason))
        };
        let ordinary = || canary::read_cached(file, at, len);
        let what = format!("O_DIRECT reading of {}", name_of(file).display());
        self.prove(source, &what, target, len, ordinary, transfer)
    }

    /// The generic character device of this name, opened once.
    fn disk(&mut self, name: &str) -> Result<Arc<File>, PipelineError> {
        if let Some(disk) = self.disks.get(name) {
            return Ok(Arc::clone(disk));
        }
        let opened = open_without_waiting(&Path::new("/dev").join(name), 0).map_err(|error| {
            PipelineError::Backend(format!(
                "/dev/{name} cannot be opened: {error}; run as a user who may read it, or use registered mapped reads"
            ))
        })?;
        let disk = Arc::new(opened);
        self.disks.insert(name.to_owned(), Arc::clone(&disk));
        Ok(disk)
    }
}

/// What is said of a file that changed while it was read.
pub(super) fn changed(file: &File, slot: u32) -> PipelineError {
    let reason = format!("slot {slot}: the file changed while it was read past the file system");
    failed(file, 0, &reason)
}

fn failed(file: &File, offset: u64, reason: &str) -> PipelineError {
    PipelineError::Read {
        path: name_of(file).display().to_string(),
        offset,
        errno: None,
        reason: reason.to_owned(),
    }
}

/// What is said of a file that the system refuses to tell about.
fn refused(file: &File, offset: u64, error: &std::io::Error) -> PipelineError {
    PipelineError::Read {
        path: name_of(file).display().to_string(),
        offset,
        errno: error.raw_os_error(),
        reason: error.to_string(),
    }
}

fn name_of(file: &File) -> PathBuf {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::read_link(&link).unwrap_or_else(|_| link.into())
}
