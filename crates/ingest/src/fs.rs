//! Operations on files before they are read: opening them without waiting, and finding out what a descriptor is.

use crate::setup::errno_of;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a path for reading without waiting for anything, such as the writer of a FIFO, or a terminal's carrier. A
/// terminal does not become this process's controlling terminal. `flags` are additional flags, such as `O_DIRECT`; with
/// `O_NOFOLLOW`, a path that ends in a symbolic link is refused.
///
/// To find out what the file is, use the returned file and never the path, which may name another file by then. Reads
/// of the file wait for bytes as usual.
///
/// # Errors
/// The system's error.
pub fn open_without_waiting(path: &Path, flags: i32) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags)
        .open(path)?;
    let fd = file.as_raw_fd();
    // SAFETY: takes numbers only, and `file` keeps the descriptor open.
    let status = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(fd, libc::F_SETFL, status & !libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// Whether a file lies on a FUSE file system, where a ring's short read may repeat bytes. Also true if the file system
/// cannot be queried.
pub fn is_on_fuse(file: &impl AsFd) -> bool {
    file_system_type(file.as_fd().as_raw_fd())
        .is_none_or(|file_system| file_system == libc::FUSE_SUPER_MAGIC)
}

/// The type of a descriptor's file system, as in statfs(2); `None` if it cannot be queried.
pub(crate) fn file_system_type(fd: RawFd) -> Option<libc::__fsword_t> {
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `stat` has room for the structure that is written, and lives through the call.
    let result = unsafe { libc::fstatfs(fd, stat.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it has filled the structure, which is made of integers.
    Some(unsafe { stat.assume_init() }.f_type)
}

/// Whether a descriptor has no offsets, such as that of a socket, a pipe or a terminal.
pub(crate) fn is_stream(fd: RawFd) -> bool {
    // SAFETY: takes numbers only; a descriptor that is not open is refused.
    let at = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    at < 0 && errno_of(&io::Error::last_os_error()) == libc::ESPIPE
}

/// Whether a file was opened with O_DIRECT.
pub(crate) fn is_direct(file: &File) -> bool {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_DIRECT != 0
}

/// The name of an open file in messages: its path, or the descriptor if the path is unknown.
pub(crate) fn name_of(fd: RawFd) -> String {
    std::fs::read_link(format!("/proc/self/fd/{fd}"))
        .map_or_else(|_| format!("fd {fd}"), |path| path.display().to_string())
}
