//! Opening a path whose kind nobody knows yet.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a path for reading, without waiting for anything: of a FIFO, for a writer; of a terminal, for a carrier. Nor does
/// a terminal become this process's. `flags` are further ones, such as `O_DIRECT`; with `O_NOFOLLOW`, a path that ends in
/// a symbolic link is refused.
///
/// What it is must be asked of the file that is returned and never of the path, which may name another file by then. Reads
/// wait for bytes as ever.
///
/// # Errors
/// The system's.
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
