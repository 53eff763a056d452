//! Admission of reads by NVMe commands: of files whose blocks are known and may not change, and of namespaces.

use super::system;
use crate::engine::{ReadRequest, ReadSource};
use crate::error::ReadError;
use crate::fs::open_without_waiting;
use crate::nvme::{self, DiskPlace, FileMap, LbaRange, NvmeNamespace};
use crate::verify::{self, Origin, VerifiedTransfers};
use gristmill_protocol::PipelineError;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Weak};

/// How many files' blocks are remembered. The blocks of a forgotten file are looked up again.
const REMEMBERED: usize = 32;

/// A range of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRange {
    /// Where it begins on the device.
    pub start: u64,
    /// Its length.
    pub bytes: u64,
}

/// An open generic character device of a disk, and its geometry. While it is open, no other device gets its number.
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
    /// If the part belongs to a file: where its bytes lay when it was admitted.
    map: Option<FileMap>,
    /// Bytes of the part.
    pub(crate) bytes: u64,
}

impl CommandPart {
    /// Whether this is a part of a file, rather than of a namespace.
    pub(crate) fn is_of_file(&self) -> bool {
        self.map.is_some()
    }

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
    /// It begins at or after the source's end, so no disk is asked; `changed` if the file has changed.
    BehindTheEnd { changed: bool },
    /// `op` reads whole blocks into the target, which has room for them.
    Blocks { op: nvme::NvmeOp, part: CommandPart },
}

/// The sources of reads by commands: open disks, and files whose blocks are known.
#[derive(Default)]
pub(crate) struct CommandSources {
    /// Newest first. A weak reference does not keep its file open, but it prevents the address from being reused.
    known: VecDeque<(Weak<dyn AsFd + Send + Sync>, Arc<KnownSource>)>,
    disks: Vec<Arc<Disk>>,
    verified: VerifiedTransfers,
    /// The range of each namespace that readers see; `None` for the whole namespace.
    range: Option<DeviceRange>,
}

impl CommandSources {
    /// Makes the sources. Of a namespace, readers see only `range`.
    pub(crate) fn new(range: Option<DeviceRange>) -> Self {
        CommandSources {
            range,
            ..CommandSources::default()
        }
    }

    /// The namespace of an open generic character device. It is queried once, and the device is kept open.
    ///
    /// # Errors
    /// As [`NvmeNamespace::of`], and [`ReadError::Disk`] if the device cannot be kept open.
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
        // SAFETY: the caller's descriptor is open, as `NvmeNamespace::of` has just used it, and is borrowed for this
        // call.
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

    /// What is known of a request's source. If the file will be read as a whole, the first read looks up all of its
    /// blocks; otherwise a read looks up only the blocks that it needs.
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
            // Sources that are no longer read are forgotten, which closes them.
            self.known.retain(|(file, _)| file.strong_count() > 0);
            self.known.truncate(REMEMBERED - 1);
            self.known
                .push_front((Arc::downgrade(file), Arc::clone(&known)));
        }
        Ok(known)
    }

    /// A namespace as a source. If it is a reader's, the source is the range that the reader sees.
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
    /// [`ReadError`] with the reason if commands cannot read the source; [`PipelineError::InvalidArgument`] for blocks
    /// that do not exist, and for a target without room for whole blocks; and the errors of the transfer check.
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
        let lba = ranges.first().map_or(0, |range| range.lba);
        let (peer, what) = (
            request.target.peer,
            format!("NVMe passthrough from {}", namespace.name),
        );
        let origin = match &known.place {
            Place::Device(_) => Origin::Namespace(known.disk.number),
            Place::File { file, .. } => {
                Origin::FileSystem(file.metadata().map_err(system("its file system"))?.dev())
            }
        };
        let ordinary = || match &known.place {
            Place::Device(_) => verify::read_block(fd, namespace, lba),
            Place::File { file, .. } => {
                let len = usize::try_from(bytes.min(block)).unwrap_or(0);
                verify::read_cached(file, offset, len)
            }
        };
        // SAFETY: the caller's promise; the target has room for a block, as was seen above.
        let transfer = || unsafe { verify::read_by_command(fd, namespace, lba, target) };
        // SAFETY: as above; `ordinary` returns a block at most.
        unsafe {
            self.verified
                .verify(origin, peer, &what, target, ordinary, transfer)
        }?;
        let op = nvme::NvmeOp::new(fd, &reads)?;
        let part = CommandPart { known, map, bytes };
        Ok(CommandRead::Blocks { op, part })
    }
}
