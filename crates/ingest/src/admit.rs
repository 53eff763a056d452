//! Admission: may this source be read by this path into this memory, and why not.
//!
//! What any path can do is in [`Capabilities`](crate::path::Capabilities), and [`request`] holds a read against them. The
//! two paths on which a disk writes to its target by itself need more. [`direct`] admits O_DIRECT reads into peer memory:
//! some files that were opened with O_DIRECT are read by a copy all the same, as their file system makes their bytes from
//! others or has no disk. [`CommandSources`] admits reads by NVMe commands, for which a file's blocks must be known and may
//! not change. Both make the transfer check ([`crate::verify`]) before the first read from each origin.

use crate::engine::{ReadRequest, ReadSource};
use crate::error::ReadError;
use crate::fs::{is_direct, is_on_fuse, open_without_waiting};
use crate::nvme::{self, DirectRange, DiskPlace, FileMap, LbaRange, NvmeNamespace};
use crate::path::{Capabilities, ReadPath};
use crate::queue::NO_OFFSET;
use crate::verify::{self, Origin, VerifiedTransfers};
use gristmill_protocol::PipelineError;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Weak};

/// What direct reads are rounded up to: no disk has larger blocks.
pub(crate) const DIRECT_BYTES: u64 = 4096;
/// Files whose blocks are remembered. One that was forgotten is asked again.
const REMEMBERED: usize = 32;

/// Whether reads by a path may go into memory of the host or, if `peer`, of another device.
///
/// # Errors
/// [`PipelineError::InvalidArgument`] where they may not.
pub fn memory(path: ReadPath, peer: bool) -> Result<(), PipelineError> {
    let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
    let capabilities = path.capabilities();
    if peer && !capabilities.has(Capabilities::PEER_MEMORY) {
        return invalid(
            "registered reads into peer memory, which cannot be registered",
            "read into it by O_DIRECT (peer), NVMe commands (passthrough) or a copy by the processor (positioned), or use \
             host memory",
        );
    }
    if !peer && !capabilities.has(Capabilities::HOST_MEMORY) {
        return invalid(
            "host memory for reads into peer memory",
            "read into memory of a device that publishes it (PeerMemory), or by another path",
        );
    }
    Ok(())
}

/// Whether a path can take this read at all.
///
/// # Errors
/// [`ReadError::Source`] for a stream where the path needs offsets; [`PipelineError::InvalidArgument`] for memory that the
/// path does not read into.
pub(crate) fn request(path: ReadPath, request: &ReadRequest<'_>) -> Result<(), PipelineError> {
    let capabilities = path.capabilities();
    if request.offset == NO_OFFSET && !capabilities.has(Capabilities::STREAMS) {
        let why = "a stream has no place on a disk".into();
        return Err(ReadError::Source { path, why }.into());
    }
    if request.target.peer.is_none() {
        memory(path, false)?;
    }
    Ok(())
}

/// Why a disk alone would not bring `bytes` bytes of a file, from `offset` on, into peer memory by O_DIRECT; `None` where it
/// would, as far as the file system tells. The file need not be open with O_DIRECT.
pub fn why_copied(file: &File, offset: u64, bytes: u64) -> Option<String> {
    why_file_system_copies(file).or_else(|| match direct_range(file, offset, bytes) {
        DirectRange::Refused(why) => Some(why.to_owned()),
        DirectRange::Zeros | DirectRange::OnDisk { .. } => None,
    })
}

/// [`why_copied`] of every file of this file's file system.
fn why_file_system_copies(file: &File) -> Option<String> {
    if is_on_fuse(file) {
        return Some("it lies on a FUSE file system, whose server copies it".into());
    }
    match file.metadata() {
        Ok(metadata) => nvme::why_no_disk(metadata.dev()),
        Err(error) => Some(error.to_string()),
    }
}

/// How many of `bytes` bytes of a file from `offset` on a read brings without a copy by the kernel, as far as is known: those
/// that the disk has, where the file is open with O_DIRECT and its file system reads it so.
pub(crate) fn brought_by_disk(file: &File, offset: u64, bytes: u64) -> u64 {
    if !is_direct(file) || why_file_system_copies(file).is_some() {
        return 0;
    }
    match direct_range(file, offset, bytes) {
        DirectRange::OnDisk { bytes, .. } => bytes,
        DirectRange::Refused(_) | DirectRange::Zeros => 0,
    }
}

/// How direct reads bring a range of a file.
fn direct_range(file: &File, offset: u64, bytes: u64) -> DirectRange {
    match nvme::direct_range(file, offset, bytes) {
        DirectRange::Zeros | DirectRange::OnDisk { .. } if goes_through_the_page_cache(file) => {
            DirectRange::Refused("its file system reads it through the page cache")
        }
        range => range,
    }
}

/// Whether the file system says that it has no direct reads of this file, as ext4 of one whose data are journalled: it
/// opens it with O_DIRECT, and reads it through the page cache. `false` before Linux 6.1, which does not tell.
fn goes_through_the_page_cache(file: &File) -> bool {
    // SAFETY: all-zero bytes are a valid `statx`, a structure of numbers.
    let mut told: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is an empty string, which AT_EMPTY_PATH allows, and `told` has room for the one structure that is
    // written.
    let result = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            &mut told,
        )
    };
    result == 0 && told.stx_mask & libc::STATX_DIOALIGN != 0 && told.stx_dio_offset_align == 0
}

/// A direct read that was admitted.
pub(crate) enum DirectRead {
    /// It begins behind the file's end, so no disk is asked.
    BehindTheEnd,
    /// `len` bytes are to be asked for, in whole blocks.
    Blocks {
        /// At most the target's capacity.
        len: u32,
        /// Bytes that were asked for and that the file had when it was asked.
        there: u32,
        /// Of these, the bytes that the disk has.
        /// The others are zeros that nobody wrote, or the file system does not tell.
        by_disk: u64,
    },
}

/// Admits a read of a file that is open with O_DIRECT into peer memory, if the disk alone brings its bytes there.
///
/// # Errors
/// [`PipelineError::InvalidArgument`] for a file without O_DIRECT, an offset or a target that is not in whole blocks;
/// [`ReadError::Source`] with the reason where the file system copies the bytes; those of the transfer check.
///
/// # Safety
/// The request's target must be valid for reads and writes of its capacity, and nobody else may use it meanwhile.
pub(crate) unsafe fn direct(
    request: &ReadRequest<'_>,
    verified: &mut VerifiedTransfers,
) -> Result<DirectRead, PipelineError> {
    let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
    let refused = |why: &str| {
        let (path, why) = (ReadPath::PeerRead, why.to_owned());
        Err(ReadError::Source { path, why }.into())
    };
    let (offset, peer) = (request.offset, request.target.peer);
    let len = u64::from(request.len).next_multiple_of(DIRECT_BYTES);
    if !offset.is_multiple_of(DIRECT_BYTES) || len > request.target.capacity as u64 {
        return invalid(
            "a direct read that does not begin at a multiple of 4,096, or whose target has no room for whole blocks",
            "use offsets and chunks that are multiples of 4,096 bytes",
        );
    }
    let file = File::from(request.source.duplicate()?);
    let metadata = file.metadata().map_err(system("its kind"))?;
    if !metadata.is_file() {
        return refused("it is no regular file");
    }
    if !is_direct(&file) {
        return invalid(
            "a file that was opened without O_DIRECT, for reads into peer memory",
            "open it with O_DIRECT, so that the disk itself writes to that memory",
        );
    }
    let origin = Origin::FileSystem(metadata.dev());
    let outcome = verified.outcome(origin, peer).cloned();
    if let Some(outcome) = &outcome {
        outcome.clone()?;
    } else if let Some(why) = why_file_system_copies(&file) {
        return refused(&why);
    }
    if offset >= metadata.len() {
        return Ok(DirectRead::BehindTheEnd);
    }
    let there = u64::from(request.len).min(metadata.len() - offset);
    let by_disk = match direct_range(&file, offset, len.min(metadata.len() - offset)) {
        DirectRange::Refused(why) => return refused(why),
        // No disk is asked for zeros, so they prove nothing.
        DirectRange::Zeros => 0,
        DirectRange::OnDisk { first, bytes } => {
            let block = usize::try_from(DIRECT_BYTES).unwrap_or(0);
            let target = request.target.address;
            let ordinary = || verify::read_cached(&file, first, block);
            let transfer = || {
                // SAFETY: the caller's promise: the target has room for a block, as was seen above.
                unsafe { verify::read_direct(&file, first, block, target) }
                    .map_err(PipelineError::from)
            };
            let what = "O_DIRECT reading";
            // SAFETY: as above; `ordinary` returns a block at most.
            unsafe { verified.verify(origin, peer, what, target, ordinary, transfer) }?;
            bytes
        }
    };
    let narrow = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
    Ok(DirectRead::Blocks {
        len: narrow(there.next_multiple_of(DIRECT_BYTES)),
        there: narrow(there),
        by_disk,
    })
}

/// A range of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRange {
    /// Where it begins on the device.
    pub start: u64,
    /// Its length.
    pub bytes: u64,
}

/// A disk's generic character device, open, and its geometry. While it is open no other device gets its number.
struct Disk {
    device: File,
    number: u64,
    namespace: NvmeNamespace,
}

/// What is known of a source of commands.
struct KnownSource {
    disk: Arc<Disk>,
    /// Bytes that it has.
    bytes: u64,
    place: Place,
}

/// Where a source's bytes lie.
enum Place {
    /// On the device from this byte on.
    Device(u64),
    /// In the blocks of a file, whose file system begins `start` bytes into the device.
    File {
        file: File,
        map: FileMap,
        start: u64,
    },
}

/// A part of a source that is read by commands. It keeps open what they read from.
pub(crate) struct CommandPart {
    known: Arc<KnownSource>,
    /// Where the part's bytes lay when it was admitted, where it is a file's.
    map: Option<FileMap>,
    /// Bytes of the part.
    pub(crate) bytes: u64,
}

impl CommandPart {
    /// Whether the file is as it was when the part was admitted. A device's blocks have no such state.
    pub(crate) fn is_unchanged(&self) -> bool {
        match (&self.known.place, &self.map) {
            (Place::File { file, .. }, Some(map)) => map.is_unchanged(file),
            _ => true,
        }
    }
}

/// A read by commands that was admitted.
pub(crate) enum CommandRead {
    /// It begins behind the source's end, so no disk is asked; `changed` if the file is not as it was.
    BehindTheEnd { changed: bool },
    /// `op` reads whole blocks into the target, which has room for them.
    Blocks { op: nvme::NvmeOp, part: CommandPart },
}

/// Files and namespaces that are read by commands: disks that are open, and files whose blocks are known.
#[derive(Default)]
pub(crate) struct CommandSources {
    /// Newest first. Weak references keep no file open, and keep an address from being used again.
    known: VecDeque<(Weak<dyn AsFd + Send + Sync>, Arc<KnownSource>)>,
    disks: Vec<Arc<Disk>>,
    verified: VerifiedTransfers,
    /// The part of each namespace that readers see; all of it where there is none.
    range: Option<DeviceRange>,
}

impl CommandSources {
    /// Sources of which readers see, where they are namespaces, this range alone.
    pub(crate) fn new(range: Option<DeviceRange>) -> Self {
        CommandSources {
            range,
            ..CommandSources::default()
        }
    }

    /// The namespace of an open generic character device; asked for once, and kept open.
    ///
    /// # Errors
    /// As [`NvmeNamespace::of`], and [`ReadError::Disk`] where it cannot be kept open.
    pub(crate) fn namespace(&mut self, fd: RawFd) -> Result<&NvmeNamespace, ReadError> {
        let at = self.disk_of(fd)?;
        // `disk_of` has found or added it.
        let disk = self.disks.get(at);
        disk.map(|disk| &disk.namespace)
            .ok_or_else(|| ReadError::NotANamespace {
                why: "it is gone".into(),
            })
    }

    /// Index of the disk that a descriptor is open on.
    fn disk_of(&mut self, fd: RawFd) -> Result<usize, ReadError> {
        let number = nvme::device_number(fd);
        if let Some(at) = self.disks.iter().position(|disk| disk.number == number) {
            return Ok(at);
        }
        let namespace = NvmeNamespace::of(fd)?;
        // SAFETY: the caller's descriptor is open, as `NvmeNamespace::of` has just used it, and is borrowed for this call.
        let device = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
        let device = device.map_err(|error| ReadError::Disk {
            disk: namespace.name.clone(),
            error: error.to_string(),
        })?;
        self.disks.push(Arc::new(Disk {
            device: File::from(device),
            number,
            namespace,
        }));
        Ok(self.disks.len() - 1)
    }

    /// The disk with this name.
    fn disk_named(&mut self, name: &str) -> Result<Arc<Disk>, ReadError> {
        let named = |disk: &&Arc<Disk>| disk.namespace.name == name;
        if let Some(disk) = self.disks.iter().find(named) {
            return Ok(Arc::clone(disk));
        }
        let device = open_without_waiting(&Path::new("/dev").join(name), 0);
        let device = device.map_err(|error| ReadError::Disk {
            disk: name.to_owned(),
            error: error.to_string(),
        })?;
        let disk = Arc::new(Disk {
            number: nvme::device_number(device.as_raw_fd()),
            namespace: NvmeNamespace::of(device.as_raw_fd())?,
            device,
        });
        self.disks.push(Arc::clone(&disk));
        Ok(disk)
    }

    /// What is known of a request's source. Of a file that is read as a whole, everything is asked at its first read; of
    /// another one, what this read needs.
    fn source(&mut self, request: &ReadRequest<'_>) -> Result<Arc<KnownSource>, PipelineError> {
        let shared = match &request.source {
            ReadSource::Shared(file) if request.whole_file => Some(file),
            _ => None,
        };
        if let Some(file) = shared {
            let same =
                |(known, _): &&(Weak<_>, _)| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(file));
            if let Some((_, known)) = self.known.iter().find(same) {
                return Ok(Arc::clone(known));
            }
        }
        let known = Arc::new(if nvme::device_number(request.source.fd()) != 0 {
            self.device(request.source.fd(), shared.is_some())?
        } else {
            self.file(request)?
        });
        if let Some(file) = shared {
            // What is read no more is forgotten, and so closed.
            self.known.retain(|(file, _)| file.strong_count() > 0);
            self.known.truncate(REMEMBERED - 1);
            self.known
                .push_front((Arc::downgrade(file), Arc::clone(&known)));
        }
        Ok(known)
    }

    /// A namespace as a source; of a reader, the range that it sees.
    fn device(&mut self, fd: RawFd, of_reader: bool) -> Result<KnownSource, ReadError> {
        let at = self.disk_of(fd)?;
        let disk = Arc::clone(&self.disks[at]);
        let block = u64::from(disk.namespace.block_bytes);
        let capacity = disk.namespace.blocks.saturating_mul(block);
        let range = self.range.filter(|_| of_reader).unwrap_or(DeviceRange {
            start: 0,
            bytes: capacity,
        });
        let refused = |why| ReadError::Range {
            disk: disk.namespace.name.clone(),
            why,
        };
        if !range.start.is_multiple_of(block) || !range.bytes.is_multiple_of(block) {
            return Err(refused(format!(
                "is not in whole blocks; begin and end at multiples of {block}"
            )));
        }
        match range.start.checked_add(range.bytes) {
            Some(end) if end <= capacity => {}
            _ => {
                return Err(refused(format!(
                    "ends behind the namespace, which has {capacity} bytes; end inside it"
                )))
            }
        }
        Ok(KnownSource {
            place: Place::Device(range.start),
            bytes: range.bytes,
            disk,
        })
    }

    /// A file as a source.
    fn file(&mut self, request: &ReadRequest<'_>) -> Result<KnownSource, PipelineError> {
        let file = File::from(request.source.duplicate()?);
        let map = if request.whole_file {
            let size = file.metadata().map_err(system("its size"))?.len();
            FileMap::read(&file, 0, size)?
        } else {
            FileMap::read(&file, request.offset, u64::from(request.len))?
        };
        let place = DiskPlace::of(&file)?;
        Ok(KnownSource {
            disk: self.disk_named(&place.generic)?,
            bytes: map.offset() + map.bytes(),
            place: Place::File {
                file,
                map,
                start: place.start,
            },
        })
    }

    /// Admits a read, and makes its commands.
    ///
    /// # Errors
    /// [`ReadError`] with the reason where commands cannot read the source; [`PipelineError::InvalidArgument`] for blocks
    /// that are not there, and for a target without room for whole blocks; those of the transfer check.
    ///
    /// # Safety
    /// The request's target must be valid for reads and writes of its capacity, and nobody else may use it meanwhile.
    pub(crate) unsafe fn admit(
        &mut self,
        request: &ReadRequest<'_>,
    ) -> Result<CommandRead, PipelineError> {
        let known = self.source(request)?;
        let (offset, len) = (request.offset, u64::from(request.len));
        if offset >= known.bytes {
            let changed = match &known.place {
                Place::Device(_) => false,
                Place::File { file, map, .. } => !map.part(offset, 0).is_unchanged(file),
            };
            return Ok(CommandRead::BehindTheEnd { changed });
        }
        let namespace = &known.disk.namespace;
        let block = u64::from(namespace.block_bytes);
        let (map, bytes, ranges) = match &known.place {
            Place::Device(start) => {
                let bytes = len.min(known.bytes - offset);
                let at = start + offset;
                if !at.is_multiple_of(block) {
                    return Err(PipelineError::InvalidArgument {
                        what: "a read of a namespace that does not begin with a block",
                        fix: "begin at a multiple of the namespace's block size",
                    });
                }
                let range = LbaRange {
                    lba: at / block,
                    blocks: bytes.div_ceil(block),
                };
                (None, bytes, vec![range])
            }
            Place::File { map, start, .. } => {
                let part = map.part(offset, len);
                let (bytes, ranges) = (
                    part.bytes(),
                    part.lba_ranges(*start, namespace.block_bytes)?,
                );
                (Some(part), bytes, ranges)
            }
        };
        let blocks: u64 = ranges.iter().map(|range| range.blocks).sum();
        if blocks.saturating_mul(block) > request.target.capacity as u64 {
            return Err(PipelineError::InvalidArgument {
                what: "a target without room for the whole last block",
                fix: "use chunks that are multiples of the disk's blocks",
            });
        }
        let target = request.target.address;
        let reads = nvme::plan(namespace, &ranges, target.addr() as u64)?;
        let fd = known.disk.device.as_raw_fd();
        if let Some(LbaRange { lba, .. }) = ranges.first().copied() {
            let peer = request.target.peer;
            let what = format!("NVMe passthrough from {}", namespace.name);
            // SAFETY: the caller's promise; the target has room for a block, as was seen above.
            let transfer = || unsafe { verify::read_by_command(fd, namespace, lba, target) };
            match &known.place {
                Place::Device(_) => {
                    let origin = Origin::Namespace(known.disk.number);
                    let ordinary = || verify::read_block(fd, namespace, lba);
                    // SAFETY: as above; `ordinary` returns a block.
                    unsafe {
                        self.verified
                            .verify(origin, peer, &what, target, ordinary, transfer)
                    }?;
                }
                Place::File { file, .. } => {
                    let metadata = file.metadata().map_err(system("its file system"))?;
                    let origin = Origin::FileSystem(metadata.dev());
                    let len = usize::try_from(bytes.min(block)).unwrap_or(0);
                    let ordinary = || verify::read_cached(file, offset, len);
                    // SAFETY: as above; `ordinary` returns a block at most.
                    unsafe {
                        self.verified
                            .verify(origin, peer, &what, target, ordinary, transfer)
                    }?;
                }
            }
        }
        let op = nvme::NvmeOp::new(fd, &reads)?;
        let part = CommandPart { known, map, bytes };
        Ok(CommandRead::Blocks { op, part })
    }
}

impl ReadSource {
    /// A descriptor of its own for the source.
    ///
    /// # Errors
    /// [`ReadError::System`] where there is none.
    fn duplicate(&self) -> Result<std::os::fd::OwnedFd, ReadError> {
        let duplicate = match self {
            ReadSource::Shared(file) => file.as_fd().try_clone_to_owned(),
            // SAFETY: who made the source keeps the descriptor open (`ReadSource::Open`).
            ReadSource::Open(fd) => unsafe { BorrowedFd::borrow_raw(*fd) }.try_clone_to_owned(),
        };
        duplicate.map_err(|error| ReadError::System {
            what: "a second descriptor of the file",
            error: format!("{error}; raise the limit on open files (ulimit -n)"),
        })
    }
}

fn system(what: &'static str) -> impl Fn(std::io::Error) -> ReadError {
    move |error| ReadError::System {
        what,
        error: error.to_string(),
    }
}
