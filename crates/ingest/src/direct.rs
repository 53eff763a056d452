//! O_DIRECT reads into peer memory: whether the disk itself would bring a file's bytes there, and the first such read.
//!
//! Opened with O_DIRECT, some files are read by a copy all the same: the file system makes their bytes from others, or has
//! no disk. A path that is named for what the disk does refuses them, with the reason.

use crate::nvme::{self, DirectRange};
use crate::reader::is_on_fuse;
use gristmill_protocol::PipelineError;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// What direct reads are rounded up to: no disk has larger blocks.
pub(crate) const DIRECT_BYTES: u64 = 4096;

/// Why a disk alone would not bring `bytes` bytes of a file, from `offset` on, into peer memory by O_DIRECT; `None` where it
/// would, as far as the file system tells. The file need not be open with O_DIRECT.
pub fn why_copied(file: &File, offset: u64, bytes: u64) -> Option<String> {
    let by_file_system = why_file_system_copies(file);
    by_file_system.or_else(|| match range(file, offset, bytes) {
        DirectRange::Refused(why) => Some(why.to_owned()),
        DirectRange::Zeros | DirectRange::OnDisk(_) => None,
    })
}

/// [`why_copied`] of every file of this file's file system.
pub(crate) fn why_file_system_copies(file: &File) -> Option<String> {
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
    if require(file).is_err() || why_copied(file, offset, bytes).is_some() {
        return 0;
    }
    nvme::bytes_on_disk(file, offset, bytes).unwrap_or(0)
}

/// What a file that is refused is told of with.
pub(crate) fn refusal(why: &str) -> String {
    format!("the disk alone would not bring it into peer memory: {why}; read it into host memory")
}

/// How direct reads bring a range of a file.
pub(crate) fn range(file: &File, offset: u64, bytes: u64) -> DirectRange {
    match nvme::direct_range(file, offset, bytes) {
        DirectRange::Zeros | DirectRange::OnDisk(_) if goes_through_the_page_cache(file) => {
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

/// Whether a file was opened with O_DIRECT.
///
/// # Errors
/// [`PipelineError::InvalidArgument`] where it was not.
pub(crate) fn require(file: &File) -> Result<(), PipelineError> {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags >= 0 && flags & libc::O_DIRECT != 0 {
        return Ok(());
    }
    Err(PipelineError::InvalidArgument {
        what: "a file that was opened without O_DIRECT, for reads into peer memory",
        fix: "open it with O_DIRECT, so that the disk itself writes to that memory",
    })
}

/// Reads [`DIRECT_BYTES`] bytes of a file, or fewer where it ends, to `address`: a canary's transfer.
///
/// # Errors
/// Why that failed.
///
/// # Safety
/// `address` must be valid for writes of as many bytes, and nobody else may use them meanwhile.
pub(crate) unsafe fn read_block(file: &File, offset: u64, address: *mut u8) -> Result<(), String> {
    let position = libc::off_t::try_from(offset).unwrap_or(libc::off_t::MAX);
    let len = usize::try_from(DIRECT_BYTES).unwrap_or(0);
    // SAFETY: the caller's promise.
    let count = unsafe { libc::pread(file.as_raw_fd(), address.cast(), len, position) };
    if count >= 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    // What the kernel says where it sees no way from one device to the other.
    let way = match error.raw_os_error() {
        Some(libc::EINVAL | libc::EREMOTEIO) => {
            "; put the disk and the memory behind one PCIe switch"
        }
        Some(libc::EFAULT) => crate::peer::NO_PAGES,
        _ => "",
    };
    Err(format!("read into peer memory: {error}{way}"))
}
