//! Where the bytes of a file lie on its disk, and why NVMe commands may not read them there: the file's half of admission
//! (`admit/commands.rs`).
//!
//! A file system owns its files' blocks and may move them. So a [`FileMap`] is valid for one moment only. It is looked
//! up before a read and checked again afterwards ([`FileMap::is_unchanged`]); the bytes that were read are valid only
//! if nothing changed in between. The file must stay open meanwhile, so that its blocks are not given to another file.

use super::fiemap::{
    clipped, extents, is_realtime, places, FileExtent, EXTENT_LAST, EXTENT_MERGED, REFUSED,
};
use super::namespace::{device_name, generic_of, LbaRange, SECTOR_BYTES};
use crate::error::ReadError;
use crate::path::ReadPath;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file system may give all changes within this time the same timestamp. This is twice the tick of the slowest
/// kernels.
const TICK: Duration = Duration::from_millis(20);
/// `FS_IOC_GETFLAGS`, and the flag of files whose data go through the journal.
const GETFLAGS: libc::Ioctl = 0x8008_6601;
const JOURNAL_DATA: libc::c_long = 0x4000;

/// The NVMe disk on which a file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskPlace {
    /// The generic character device of the disk's namespace, as in `ng0n1`.
    pub generic: String,
    /// Where the file system's partition begins on the disk, in bytes.
    pub start: u64,
}

impl DiskPlace {
    /// The disk that holds the file system of `file`.
    ///
    /// # Errors
    /// [`ReadError::Source`] if the file system is not on a whole NVMe disk or on a partition of one.
    pub fn of(file: &File) -> Result<Self, ReadError> {
        let device = file
            .metadata()
            .map_err(|error| refused(&error.to_string()))?
            .dev();
        Self::from_sysfs(Path::new("/sys"), device)
    }

    fn from_sysfs(root: &Path, device: libc::dev_t) -> Result<Self, ReadError> {
        let devices = root.join("dev/block");
        let Some(name) = device_name(&devices, device) else {
            return Err(refused("its file system is not on a block device"));
        };
        if let Some(generic) = generic_of(&name) {
            return Ok(DiskPlace { generic, start: 0 });
        }
        // A partition's directory is inside its disk's directory.
        let number = format!("{}:{}", libc::major(device), libc::minor(device));
        let partition = std::fs::canonicalize(devices.join(number)).ok();
        let found = partition.and_then(|path| {
            let start = std::fs::read_to_string(path.join("start")).ok()?;
            let disk = path.parent()?.file_name()?.to_str()?;
            Some(DiskPlace {
                generic: generic_of(disk)?,
                start: start
                    .trim()
                    .parse::<u64>()
                    .ok()?
                    .checked_mul(SECTOR_BYTES)?,
            })
        });
        found.ok_or_else(|| {
            refused(&format!(
                "its file system is on {name}, which is not an NVMe disk"
            ))
        })
    }
}

/// Why a file system with this device number has no disk that can read its files by itself; `None` if it has one.
pub(crate) fn why_no_disk(device: libc::dev_t) -> Option<String> {
    let devices = Path::new("/sys/dev/block");
    let Some(name) = device_name(devices, device) else {
        return Some("its file system is not on a block device".into());
    };
    let number = format!("{}:{}", libc::major(device), libc::minor(device));
    let place = std::fs::canonicalize(devices.join(number)).ok()?;
    // Whether a device is made of other devices. A partition's directory is inside its disk's directory.
    let made_of = |place: &Path| {
        let parts = std::fs::read_dir(place.join("slaves"));
        parts.is_ok_and(|mut parts| parts.next().is_some())
    };
    let stacked = made_of(&place) || place.parent().is_some_and(made_of);
    stacked.then(|| format!("its file system is on {name}, which is made of other devices"))
}

/// The attributes by which a change of a file is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Waits until a further change would get another timestamp than the last change.
    fn settle(&self) {
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        // A timestamp in the future gives no age.
        if let Ok(age) = changed.elapsed() {
            std::thread::sleep(TICK.saturating_sub(age));
        }
    }
}

/// The location of a part of a file, as it was at the time of the lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMap {
    identity: Identity,
    offset: u64,
    bytes: u64,
    extents: Vec<FileExtent>,
}

impl FileMap {
    /// Writes the dirty pages of `file` to the disk, and looks up the location of its bytes from `offset` on: `bytes`
    /// of them, or fewer if the file ends earlier. If the file has just been changed, this waits for up to 20 ms, so
    /// that every later change is detectable.
    ///
    /// # Errors
    /// [`ReadError::Source`] if the file system's answer cannot be used (it must be ext4 or XFS, with data that are not
    /// journalled and not on a second device), or if any part of the range must not be read past the file system:
    /// holes, and extents that are inline, encoded, unwritten, not allocated yet or shared.
    pub fn read(file: &File, offset: u64, bytes: u64) -> Result<Self, ReadError> {
        let failed = |error: io::Error| refused(&error.to_string());
        let identity = Identity::of(file).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(refused("it is not a regular file"));
        }
        trusted(file)?;
        // Changes made until now are written below and so will be read. Later changes are detected.
        identity.settle();
        let bytes = bytes.min(identity.size.saturating_sub(offset));
        let map = FileMap {
            extents: extents(file, offset, bytes).map_err(failed)?,
            identity,
            offset,
            bytes,
        };
        map.check()?;
        Ok(map)
    }

    /// Size of the whole file, in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.identity.size
    }

    /// The offset of the mapped part in the file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the mapped part: as many bytes as were asked for, or fewer if the file ends earlier.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The extents that hold the part, in order.
    pub fn extents(&self) -> &[FileExtent] {
        &self.extents
    }

    /// The map of a smaller part: `bytes` bytes from `offset` on, or fewer if this part ends earlier.
    pub fn part(&self, offset: u64, bytes: u64) -> FileMap {
        let end = self.offset.saturating_add(self.bytes);
        let offset = offset.clamp(self.offset, end);
        let bytes = bytes.min(end - offset);
        let holds = |extent: &&FileExtent| clipped(extent, offset, bytes).is_some();
        FileMap {
            identity: self.identity,
            offset,
            bytes,
            extents: self.extents.iter().filter(holds).copied().collect(),
        }
    }

    /// Whether neither the file nor the location of its bytes has changed. After a read, `true` means that the bytes
    /// that were read are the file's.
    pub fn is_unchanged(&self, file: &File) -> bool {
        let (offset, bytes) = (self.offset, self.bytes);
        let places = |extents: &[FileExtent]| places(extents, offset, bytes);
        // The locations are checked before the timestamps, so a change in between shows in the timestamps.
        extents(file, offset, bytes).is_ok_and(|now| places(&now) == places(&self.extents))
            && Identity::of(file).is_ok_and(|identity| identity == self.identity)
    }

    /// The blocks that hold the part, if the file system begins `start` bytes into a namespace with blocks of
    /// `block_bytes`. The last block is included as a whole, so it may contain bytes after the part's last byte; these
    /// are not the part's.
    ///
    /// # Errors
    /// [`ReadError::Source`] if the part does not begin at a block boundary.
    pub fn lba_ranges(&self, start: u64, block_bytes: u32) -> Result<Vec<LbaRange>, ReadError> {
        let block = u64::from(block_bytes.max(1));
        let mut ranges: Vec<LbaRange> = Vec::new();
        let end = self.offset.saturating_add(self.bytes);
        for extent in &self.extents {
            let from = extent.logical.max(self.offset);
            let until = extent.logical.saturating_add(extent.bytes).min(end);
            if from >= until {
                continue;
            }
            let place = extent
                .physical
                .checked_add(from - extent.logical)
                .and_then(|place| place.checked_add(start))
                .filter(|place| place.is_multiple_of(block))
                .ok_or_else(|| {
                    refused(&format!("offset {from} does not begin a block of the disk"))
                })?;
            // Only the end of the part may lie within a block.
            if until != end && !(until - from).is_multiple_of(block) {
                return Err(refused(&format!(
                    "offset {until} does not begin a block of the disk"
                )));
            }
            let (lba, blocks) = (place / block, (until - from).div_ceil(block));
            match ranges.last_mut() {
                Some(last) if last.lba + last.blocks == lba => last.blocks += blocks,
                _ => ranges.push(LbaRange { lba, blocks }),
            }
        }
        Ok(ranges)
    }

    /// Checks that the extents may be read past the file system, and that they hold every byte of the part.
    fn check(&self) -> Result<(), ReadError> {
        let mut covered = self.offset;
        let end = self.offset.saturating_add(self.bytes);
        for extent in &self.extents {
            if extent.logical > covered {
                break;
            }
            let at = extent.logical;
            if let Some((_, why)) = REFUSED.iter().find(|(flag, _)| extent.flags & flag != 0) {
                return Err(refused(&format!("the extent at offset {at}: {why}")));
            }
            let unknown = extent.flags & !(EXTENT_LAST | EXTENT_MERGED);
            if unknown != 0 {
                return Err(refused(&format!(
                    "the extent at offset {at} has flags {unknown:#x}"
                )));
            }
            covered = covered.max(extent.logical.saturating_add(extent.bytes));
        }
        if covered < end {
            return Err(refused(&format!("it has a hole at offset {covered}")));
        }
        Ok(())
    }
}

/// Refuses files for which FIEMAP does not report usable locations, and files whose newest bytes may not be on the
/// disk.
fn trusted(file: &File) -> Result<(), ReadError> {
    let Some(file_system) = crate::fs::file_system_type(file.as_raw_fd()) else {
        return Err(refused(&io::Error::last_os_error().to_string()));
    };
    if file_system == libc::EXT4_SUPER_MAGIC {
        let mut flags: libc::c_long = 0;
        // SAFETY: FS_IOC_GETFLAGS writes one `long` at most, which `flags` is.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), GETFLAGS, &mut flags) };
        if result != 0 || flags & JOURNAL_DATA != 0 || mounted_with(file, "data=journal") {
            return Err(refused("its data go through the journal of ext4 first"));
        }
        return Ok(());
    }
    if file_system == libc::XFS_SUPER_MAGIC {
        if is_realtime(file) != Some(false) {
            return Err(refused("it is on the realtime device of XFS"));
        }
        return Ok(());
    }
    Err(refused(&format!(
        "its file system (type {file_system:#x}) is neither ext4 nor XFS"
    )))
}

/// Whether a mount of the file's device has this option. Also true if that cannot be determined.
fn mounted_with(file: &File, option: &str) -> bool {
    let Ok(metadata) = file.metadata() else {
        return true;
    };
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else {
        return true;
    };
    let device = metadata.dev();
    let number = format!("{}:{}", libc::major(device), libc::minor(device));
    mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(&number))
        .filter_map(|line| line.rsplit(' ').next())
        .any(|options| options.split(',').any(|given| given == option))
}

fn refused(why: &str) -> ReadError {
    ReadError::Source {
        path: ReadPath::GpuDirectNvmePassthrough,
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
