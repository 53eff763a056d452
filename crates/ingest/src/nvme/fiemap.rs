//! The kernel's answers about a file's extents (`FS_IOC_FIEMAP`), and what they mean for a read past the page cache.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// `FS_IOC_FIEMAP`.
const FIEMAP: libc::Ioctl = 0xC020_660B;
/// Flag: write dirty pages first.
const FIEMAP_FLAG_SYNC: u32 = 1;
pub(super) const EXTENT_LAST: u32 = 0x1;
/// Flag: the file system merged several extents into one for its answer.
pub(super) const EXTENT_MERGED: u32 = 0x1000;
/// Extent flags that forbid reading the disk past the file system, each with its meaning.
pub(super) const REFUSED: [(u32, &str); 9] = [
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
/// Flags of extents whose bytes the disk alone cannot deliver, because the file system computes them from other data.
const MADE: u32 = 0x80 | 0x8 | 0x200 | 0x400;
/// Flag of extents that are allocated but were never written. They are not read from the disk.
const UNWRITTEN: u32 = 0x800;
/// Extents that one call asks for.
const BATCH: usize = 64;
/// 64-bit words of the request's head, and of each extent.
const HEAD_WORDS: usize = 4;
const EXTENT_WORDS: usize = 7;

/// `FS_IOC_FSGETXATTR`, and the flag of files on a second device of XFS.
const FSGETXATTR: libc::Ioctl = 0x801C_581F;
const XATTR_WORDS: usize = 7;
const REALTIME: u32 = 1;

/// A contiguous range of a file and its location, in bytes.
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

/// Whether a file lies on a second device of XFS; `None` if its file system does not tell.
pub(super) fn is_realtime(file: &File) -> Option<bool> {
    let mut attributes = [0_u32; XATTR_WORDS];
    // SAFETY: FS_IOC_FSGETXATTR writes a `struct fsxattr`, 28 bytes, which `attributes` has.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FSGETXATTR, attributes.as_mut_ptr()) };
    (result == 0).then_some(attributes[0] & REALTIME != 0)
}

/// How a read past the page cache would transfer a range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirectRange {
    /// The disk alone cannot deliver the range, for this reason. Usually the file system computes the bytes from other
    /// data.
    Refused(&'static str),
    /// All bytes are zeros that are not on the disk: the range is a hole, or was never written.
    Zeros,
    /// The disk has bytes of the range; the file system may not tell which ones.
    OnDisk {
        /// The offset in the file of the first of these bytes, or of the range if the file system does not tell.
        first: u64,
        /// How many of the range's bytes the disk has, as far as the file system tells. The others are zeros that were
        /// never written.
        bytes: u64,
    },
}

/// How a read past the page cache would bring `bytes` bytes of a file from `offset` on.
pub(crate) fn direct_range(file: &File, offset: u64, bytes: u64) -> DirectRange {
    if is_realtime(file) == Some(true) {
        // The checks of the file system's first device do not apply to the second one.
        return DirectRange::Refused("it is on the realtime device of XFS");
    }
    let Ok(extents) = extents(file, offset, bytes) else {
        return DirectRange::OnDisk {
            first: offset,
            bytes: 0,
        };
    };
    if let Some(made) = extents.iter().find(|extent| extent.flags & MADE != 0) {
        let why =
            |(flag, why): &(u32, &'static str)| (made.flags & MADE & flag != 0).then_some(*why);
        let why = REFUSED.iter().find_map(why);
        return DirectRange::Refused(why.unwrap_or("it is made of other bytes"));
    }
    let written = extents
        .iter()
        .filter(|extent| extent.flags & UNWRITTEN == 0)
        .filter_map(|extent| clipped(extent, offset, bytes));
    let (mut first, mut sum) = (None, 0);
    for extent in written {
        first.get_or_insert(extent.logical);
        sum += extent.bytes;
    }
    first.map_or(DirectRange::Zeros, |first| DirectRange::OnDisk {
        first,
        bytes: sum,
    })
}

/// Writes dirty pages, and returns the extents that overlap a range.
pub(super) fn extents(file: &File, offset: u64, bytes: u64) -> io::Result<Vec<FileExtent>> {
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

/// The part of an extent that lies in a range.
pub(super) fn clipped(extent: &FileExtent, offset: u64, bytes: u64) -> Option<FileExtent> {
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

/// The location of a range's bytes, in a normal form that does not depend on how the file system splits its answers.
pub(super) fn places(extents: &[FileExtent], offset: u64, bytes: u64) -> Vec<FileExtent> {
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

/// The answer of one call.
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
