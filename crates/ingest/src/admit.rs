//! Admission: whether a source may be read by a path into a memory, and if not, why.
//!
//! [`Capabilities`](crate::path::Capabilities) says what each path can do, and [`request`] checks a read against them.
//! The two paths on which a disk writes to the target by itself need further checks. [`direct`] admits O_DIRECT reads
//! into peer memory. It refuses files that the kernel would copy even though they were opened with O_DIRECT, because
//! their file system computes their bytes from other data or has no disk. [`CommandSources`] (`commands`) admits reads
//! by NVMe commands, for which a file's blocks must be known and must not change. Both run the transfer check
//! ([`crate::verify`]) before the first read from each origin.

mod commands;

pub use commands::DeviceRange;
pub(crate) use commands::{CommandPart, CommandRead, CommandSources};

use crate::engine::{ReadRequest, ReadSource};
use crate::error::ReadError;
use crate::fs::{is_direct, is_on_fuse};
use crate::nvme::{self, DirectRange};
use crate::path::{Capabilities, ReadPath};
use crate::queue::NO_OFFSET;
use crate::verify::{self, Origin, VerifiedTransfers};
use gristmill_protocol::PipelineError;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

/// The granularity to which direct reads are rounded up. No disk has larger blocks.
pub(crate) const DIRECT_BYTES: u64 = 4096;

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
            "read into it by O_DIRECT (peer), NVMe commands (passthrough) or a copy by the CPU (positioned), or use \
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
/// [`ReadError::Source`] for a stream where the path needs offsets; [`PipelineError::InvalidArgument`] for memory that
/// the path does not read into.
pub(crate) fn request(path: ReadPath, request: &ReadRequest<'_>) -> Result<(), PipelineError> {
    let capabilities = path.capabilities();
    if request.offset == NO_OFFSET && !capabilities.has(Capabilities::STREAMS) {
        let why = "a stream has no location on a disk".into();
        return Err(ReadError::Source { path, why }.into());
    }
    if request.target.peer.is_none() {
        memory(path, false)?;
    }
    Ok(())
}

/// Why an O_DIRECT read of `bytes` bytes of a file, from `offset` on, into peer memory would not be done by the disk
/// alone. `None` if it would be, as far as the file system tells. The file need not be open with O_DIRECT.
pub fn why_copied(file: &File, offset: u64, bytes: u64) -> Option<String> {
    why_file_system_copies(file).or_else(|| match direct_range(file, offset, bytes) {
        DirectRange::Refused(why) => Some(why.to_owned()),
        DirectRange::Zeros | DirectRange::OnDisk { .. } => None,
    })
}

/// [`why_copied`] of every file of this file's file system.
fn why_file_system_copies(file: &File) -> Option<String> {
    if is_on_fuse(file) {
        return Some("it is on a FUSE file system, whose server copies it".into());
    }
    match file.metadata() {
        Ok(metadata) => nvme::why_no_disk(metadata.dev()),
        Err(error) => Some(error.to_string()),
    }
}

/// How many of the `bytes` bytes of a file from `offset` on a read transfers without a copy by the kernel, as far as is
/// known. If the file is open with O_DIRECT and its file system supports that for it, these are the bytes that the disk
/// has; otherwise there are none.
pub(crate) fn brought_by_disk(file: &File, offset: u64, bytes: u64) -> u64 {
    if !is_direct(file) || why_file_system_copies(file).is_some() {
        return 0;
    }
    match direct_range(file, offset, bytes) {
        DirectRange::OnDisk { bytes, .. } => bytes,
        DirectRange::Refused(_) | DirectRange::Zeros => 0,
    }
}

/// How direct reads transfer a range of a file.
fn direct_range(file: &File, offset: u64, bytes: u64) -> DirectRange {
    match nvme::direct_range(file, offset, bytes) {
        DirectRange::Zeros | DirectRange::OnDisk { .. } if goes_through_the_page_cache(file) => {
            DirectRange::Refused("its file system reads it through the page cache")
        }
        range => range,
    }
}

/// Whether the file system reports that it does not support direct reads of this file. An example is a file on ext4
/// whose data are journalled: it can be opened with O_DIRECT, but is read through the page cache. `false` before Linux
/// 6.1, which does not report this.
fn goes_through_the_page_cache(file: &File) -> bool {
    // SAFETY: all-zero bytes are a valid `statx`, a structure of numbers.
    let mut told: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is an empty string, which AT_EMPTY_PATH allows, and `told` has room for the one structure that
    // is written.
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
    /// It begins at or after the file's end, so no disk is asked.
    BehindTheEnd,
    /// The read must ask for `len` bytes, in whole blocks.
    Blocks {
        /// At most the target's capacity.
        len: u32,
        /// The number of requested bytes that the file had at the time of admission.
        there: u32,
        /// How many of these the disk has. The others are zeros that were never written, or the file system does not
        /// tell.
        by_disk: u64,
    },
}

/// Admits a read of a file that is open with O_DIRECT into peer memory, if the disk alone can transfer its bytes there.
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
        return refused("it is not a regular file");
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
        // These zeros are not read from a disk, so they prove nothing.
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

impl ReadSource {
    /// Duplicates the source's descriptor.
    ///
    /// # Errors
    /// [`ReadError::System`] if the system refuses.
    fn duplicate(&self) -> Result<std::os::fd::OwnedFd, ReadError> {
        let duplicate = match self {
            ReadSource::Shared(file) => file.as_fd().try_clone_to_owned(),
            // SAFETY: the maker of the source keeps the descriptor open (`ReadSource::Open`).
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
