//! Where the bytes of a file lie on its disk, and when that may not be used.
//!
//! A file system owns its files' blocks and may move them. So a [`FileMap`] is a statement about a moment: it is asked
//! for before a read, and once more after it ([`FileMap::is_unchanged`]); what was read counts only if nothing happened
//! in between. The file must stay open meanwhile, so that its blocks are not given to another.

use super::namespace::{device_name, generic_of, SECTOR_BYTES};
use gristmill_protocol::PipelineError;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file system may stamp all changes within this time alike: the tick of the slowest kernels, twice.
const TICK: Duration = Duration::from_millis(20);
/// `FS_IOC_FIEMAP`.
const FIEMAP: libc::Ioctl = 0xC020_660B;
/// Write what is dirty first.
const FIEMAP_FLAG_SYNC: u32 = 1;
const EXTENT_LAST: u32 = 0x1;
/// The file system put several extents together to answer.
const EXTENT_MERGED: u32 = 0x1000;
/// Extent flags that forbid reading the disk past the file system, and what each says.
const REFUSED: [(u32, &str); 9] = [
    (0x2, "its place is not known"),
    (0x4, "it is not allocated yet"),
    (0x80, "it is encrypted"),
    (0x8, "it is encoded (compressed or encrypted)"),
    (0x200, "its data lie within metadata (inline)"),
    (0x400, "its data share a block with others (tail)"),
    (0x100, "it is not aligned to blocks"),
    (
        UNWRITTEN,
        "it is allocated and unwritten: it reads as zeros",
    ),
    (0x2000, "it is shared with other files"),
];
/// Flags of extents whose bytes no disk can bring to their place alone: the file system makes them from others.
const MADE: u32 = 0x80 | 0x8 | 0x200 | 0x400;
/// Flag of extents that are allocated and were never written: no disk is asked for them.
const UNWRITTEN: u32 = 0x800;
/// Extents that one call asks for.
const BATCH: usize = 64;
/// 64-bit words of the request's head, and of each extent.
const HEAD_WORDS: usize = 4;
const EXTENT_WORDS: usize = 7;

/// `FS_IOC_GETFLAGS`, and the flag of files whose data go through the journal.
const GETFLAGS: libc::Ioctl = 0x8008_6601;
const JOURNAL_DATA: libc::c_long = 0x4000;
/// `FS_IOC_FSGETXATTR`, and the flag of files on a second device of XFS.
const FSGETXATTR: libc::Ioctl = 0x801C_581F;
const XATTR_WORDS: usize = 7;
const REALTIME: u32 = 1;

/// A stretch of a file and where it lies, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileExtent {
    /// Offset in the file.
    pub logical: u64,
    /// Offset in the file system's device.
    pub physical: u64,
    /// Length.
    pub bytes: u64,
    /// FIEMAP's flags.
    pub flags: u32,
}

/// Logical blocks of a namespace, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LbaRange {
    /// The first.
    pub lba: u64,
    /// How many.
    pub blocks: u64,
}

/// The NVMe disk that a file lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskPlace {
    /// The generic character device of the disk's namespace, as in `ng0n1`.
    pub generic: String,
    /// Where the file system's partition begins on the disk, in bytes.
    pub start: u64,
}

impl DiskPlace {
    /// Where the file system of `file` lies.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where that is not a whole NVMe disk or a partition of one.
    pub fn of(file: &File) -> Result<Self, PipelineError> {
        let device = file
            .metadata()
            .map_err(|error| refused(&error.to_string()))?
            .dev();
        Self::from_sysfs(Path::new("/sys"), device)
    }

    fn from_sysfs(root: &Path, device: libc::dev_t) -> Result<Self, PipelineError> {
        let devices = root.join("dev/block");
        let Some(name) = device_name(&devices, device) else {
            return Err(refused("its file system is not on a block device"));
        };
        if let Some(generic) = generic_of(&name) {
            return Ok(DiskPlace { generic, start: 0 });
        }
        // A partition's directory lies in its disk's.
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
                "its file system lies on {name}, which is no NVMe disk"
            ))
        })
    }
}

/// Why a file system with this device number has no disk that reads its files alone; `None` where it has one.
pub(crate) fn why_no_disk(device: libc::dev_t) -> Option<String> {
    let devices = Path::new("/sys/dev/block");
    let Some(name) = device_name(devices, device) else {
        return Some("its file system is not on a block device".into());
    };
    let number = format!("{}:{}", libc::major(device), libc::minor(device));
    let place = std::fs::canonicalize(devices.join(number)).ok()?;
    // What a device is made of; a partition's directory lies in its disk's.
    let made_of = |place: &Path| {
        let parts = std::fs::read_dir(place.join("slaves"));
        parts.is_ok_and(|mut parts| parts.next().is_some())
    };
    let stacked = made_of(&place) || place.parent().is_some_and(made_of);
    stacked.then(|| format!("its file system lies on {name}, which is made of other devices"))
}

/// What tells whether a file has changed.
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

    /// Waits until a further change would be stamped with another time than the last one was.
    fn settle(&self) {
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
        // A time in the future says nothing.
        if let Ok(age) = changed.elapsed() {
            std::thread::sleep(TICK.saturating_sub(age));
        }
    }
}

/// Where a part of a file lay when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMap {
    identity: Identity,
    offset: u64,
    bytes: u64,
    extents: Vec<FileExtent>,
}

impl FileMap {
    /// Writes what is dirty of `file`, and asks where its bytes from `offset` on lie: `bytes` of them, or fewer where
    /// the file ends. Waits for up to 20 ms where the file has just been changed, so that every later change shows.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the file system is none whose answer can be used (it must be ext4 or XFS, the
    /// data not journalled and not on a second device), or where any part of the range may not be read past it: holes,
    /// and extents that are inline, encoded, unwritten, not allocated yet or shared.
    pub fn read(file: &File, offset: u64, bytes: u64) -> Result<Self, PipelineError> {
        let failed = |error: io::Error| refused(&error.to_string());
        let identity = Identity::of(file).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(refused("it is no regular file"));
        }
        trusted(file)?;
        // Changes until now are written below, and read; those after it show.
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

    /// Where the part that is mapped begins in the file, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the part that is mapped: what was asked for, or less where the file ends.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The extents that hold the part, in order.
    pub fn extents(&self) -> &[FileExtent] {
        &self.extents
    }

    /// What is known of a part of the part: of `bytes` bytes from `offset` on, or fewer where the part ends.
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

    /// Whether the file is as it was, and its bytes where they were. Asked after a read, `true` says that what was read
    /// are the file's bytes.
    pub fn is_unchanged(&self, file: &File) -> bool {
        let (offset, bytes) = (self.offset, self.bytes);
        let places = |extents: &[FileExtent]| places(extents, offset, bytes);
        // The places first, the times last: a change in between shows in them.
        extents(file, offset, bytes).is_ok_and(|now| places(&now) == places(&self.extents))
            && Identity::of(file).is_ok_and(|identity| identity == self.identity)
    }

    /// The blocks that hold the part, where the file system begins `start` bytes into a namespace with blocks of
    /// `block_bytes`. The last block is whole: what lies in it behind the part's last byte is not the file's.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the part does not begin with a block.
    pub fn lba_ranges(&self, start: u64, block_bytes: u32) -> Result<Vec<LbaRange>, PipelineError> {
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
            // Only the part's end may lie within a block.
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

    /// Whether the extents may be read past the file system, and hold every byte of the part.
    fn check(&self) -> Result<(), PipelineError> {
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

/// Refuses files whose places FIEMAP does not tell, or where a disk may not have the newest bytes.
fn trusted(file: &File) -> Result<(), PipelineError> {
    // SAFETY: all-zero bytes are a valid `statfs`, a structure of numbers.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is a valid place for the one structure that fstatfs writes.
    if unsafe { libc::fstatfs(file.as_raw_fd(), &mut stat) } != 0 {
        return Err(refused(&io::Error::last_os_error().to_string()));
    }
    if stat.f_type == libc::EXT4_SUPER_MAGIC {
        let mut flags: libc::c_long = 0;
        // SAFETY: FS_IOC_GETFLAGS writes one `long` at most, which `flags` is.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), GETFLAGS, &mut flags) };
        if result != 0 || flags & JOURNAL_DATA != 0 || mounted_with(file, "data=journal") {
            return Err(refused("its data go through the journal of ext4 first"));
        }
        return Ok(());
    }
    if stat.f_type == libc::XFS_SUPER_MAGIC {
        if is_realtime(file) != Some(false) {
            return Err(refused("it lies on the realtime device of XFS"));
        }
        return Ok(());
    }
    Err(refused(&format!(
        "its file system (type {:#x}) is neither ext4 nor XFS",
        stat.f_type
    )))
}

/// Whether a file lies on a second device of XFS, where its file system tells.
fn is_realtime(file: &File) -> Option<bool> {
    let mut attributes = [0_u32; XATTR_WORDS];
    // SAFETY: FS_IOC_FSGETXATTR writes a `struct fsxattr`, 28 bytes, which `attributes` has.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FSGETXATTR, attributes.as_mut_ptr()) };
    (result == 0).then_some(attributes[0] & REALTIME != 0)
}

/// Whether a mount of the file's device has this option; true also where that cannot be told.
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

/// How a read past the page cache brings a range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirectRange {
    /// Not as the disk's bytes alone, for this reason: as a rule, the file system makes them from others.
    Refused(&'static str),
    /// All of them are zeros that the disk does not have: the range is a hole, or was never written.
    Zeros,
    /// The disk has bytes of it, the first of them at this offset of the file; or the file system does not tell.
    OnDisk(u64),
}

/// How a read past the page cache would bring `bytes` bytes of a file from `offset` on.
pub(crate) fn direct_range(file: &File, offset: u64, bytes: u64) -> DirectRange {
    if is_realtime(file) == Some(true) {
        // What was seen of the file system's first device says nothing of the second.
        return DirectRange::Refused("it lies on the realtime device of XFS");
    }
    let Ok(extents) = extents(file, offset, bytes) else {
        return DirectRange::OnDisk(offset);
    };
    if let Some(made) = extents.iter().find(|extent| extent.flags & MADE != 0) {
        let why =
            |(flag, why): &(u32, &'static str)| (made.flags & MADE & flag != 0).then_some(*why);
        let why = REFUSED.iter().find_map(why);
        return DirectRange::Refused(why.unwrap_or("it is made of other bytes"));
    }
    let mut written = extents
        .iter()
        .filter(|extent| extent.flags & UNWRITTEN == 0);
    let first = written.find_map(|extent| clipped(extent, offset, bytes));
    first.map_or(DirectRange::Zeros, |extent| {
        DirectRange::OnDisk(extent.logical)
    })
}

/// How many of `bytes` bytes of a file from `offset` on the disk has; the others are zeros that nobody wrote. `None` where
/// the file system does not tell, or makes some of them from others.
pub(crate) fn bytes_on_disk(file: &File, offset: u64, bytes: u64) -> Option<u64> {
    let extents = extents(file, offset, bytes).ok()?;
    if extents.iter().any(|extent| extent.flags & MADE != 0) {
        return None;
    }
    let written = extents
        .iter()
        .filter(|extent| extent.flags & UNWRITTEN == 0);
    let clipped = written.filter_map(|extent| clipped(extent, offset, bytes));
    Some(clipped.map(|extent| extent.bytes).sum())
}

/// The extents that overlap a range, after what is dirty was written.
fn extents(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<FileExtent>> {
    let end = offset.saturating_add(bytes);
    let mut found: Vec<FileExtent> = Vec::new();
    let mut from = offset;
    while from < end {
        let batch = extents_of(file.as_raw_fd(), from, end - from)?;
        let Some(last) = batch.last().copied() else {
            break;
        };
        found.extend(batch);
        let next = last.logical.saturating_add(last.bytes);
        if last.flags & EXTENT_LAST != 0 || next <= from {
            break;
        }
        from = next;
    }
    Ok(found)
}

/// The bytes of an extent that lie in a range.
fn clipped(extent: &FileExtent, offset: u64, bytes: u64) -> Option<FileExtent> {
    let from = extent.logical.max(offset);
    let end = extent.logical.saturating_add(extent.bytes);
    let until = end.min(offset.saturating_add(bytes));
    (from < until).then(|| FileExtent {
        logical: from,
        physical: extent.physical.wrapping_add(from - extent.logical),
        bytes: until - from,
        flags: extent.flags & !(EXTENT_LAST | EXTENT_MERGED),
    })
}

/// Where the bytes of a range lie, said in one way, however a file system cuts its answers.
fn places(extents: &[FileExtent], offset: u64, bytes: u64) -> Vec<FileExtent> {
    let mut places: Vec<FileExtent> = Vec::new();
    for extent in extents
        .iter()
        .filter_map(|extent| clipped(extent, offset, bytes))
    {
        match places.last_mut() {
            Some(last)
                if last.logical + last.bytes == extent.logical
                    && last.physical.checked_add(last.bytes) == Some(extent.physical)
                    && last.flags == extent.flags =>
            {
                last.bytes += extent.bytes;
            }
            _ => places.push(extent),
        }
    }
    places
}

/// One call's answer.
fn extents_of(fd: RawFd, offset: u64, bytes: u64) -> io::Result<Vec<FileExtent>> {
    // `struct fiemap`: start, length, flags and number of extents found, room for extents; then the extents.
    let mut words = vec![0_u64; HEAD_WORDS + BATCH * EXTENT_WORDS];
    words[0] = offset;
    words[1] = bytes;
    words[2] = u64::from(FIEMAP_FLAG_SYNC);
    words[3] = BATCH as u64;
    // SAFETY: the kernel reads the head, which says that there is room for BATCH extents behind it, and writes no more.
    if unsafe { libc::ioctl(fd, FIEMAP, words.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (_, count) = gristmill_protocol::words::split(words[2]);
    let extents = words[HEAD_WORDS..].chunks_exact(EXTENT_WORDS);
    Ok(extents
        .take(count as usize)
        .map(|extent| FileExtent {
            logical: extent[0],
            physical: extent[1],
            bytes: extent[2],
            flags: gristmill_protocol::words::split(extent[5]).0,
        })
        .collect())
}

fn refused(why: &str) -> PipelineError {
    PipelineError::Backend(format!(
        "the file cannot be read by NVMe passthrough: {why}; read it by registered mapped reads"
    ))
}

#[cfg(test)]
mod tests;
