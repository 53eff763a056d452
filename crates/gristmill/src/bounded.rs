//! Reading whole files within a bound. A file's kind and size are taken from its open descriptor.

use rustix::fs::{fcntl_getfl, fcntl_setfl, fstat, fstatfs, FileType, OFlags, Stat};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file system of anonymous pipes (`PIPEFS_MAGIC`).
const PIPE_FS: rustix::fs::FsWord = 0x5049_5045;

/// Reads the whole input; an input of more than `most` bytes is refused.
///
/// # Errors
/// The reader's error, and one for an input that is longer.
pub fn read(input: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
    }
    Ok(bytes)
}

/// Opens a file, which must be regular, without waiting for another process.
///
/// # Errors
/// The system's error; for a file of another kind, one that names the kind.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        // Opening a FIFO would wait for its writer.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    must_be_regular(&file)?;
    Ok(file)
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open_regular`] and [`read`].
pub fn read_regular(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    read(open_regular(path)?, most)
}

/// Opens a regular file, or an anonymous pipe, as a shell passes a command's output. A FIFO is refused, since opening
/// it would wait for a writer.
///
/// # Errors
/// As [`open_regular`].
pub fn open_program(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let anonymous = kind_of(&fstat(&file)?) == FileType::Fifo && fstatfs(&file)?.f_type == PIPE_FS;
    if anonymous {
        // Reads may block: the pipe either has a writer or is at its end.
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    } else {
        must_be_regular(&file)?;
    }
    Ok(file)
}

/// Refuses an open file that is not a regular file.
///
/// # Errors
/// An error that names the file's kind, or the system's error.
pub fn must_be_regular(file: &File) -> io::Result<()> {
    let kind = kind_of(&fstat(file)?);
    if kind == FileType::RegularFile {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it is {}, not a regular file",
        name_of(kind)
    )))
}

/// The name of a file's kind, with an article.
pub(crate) fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "of an unknown kind",
    }
}

/// The kind of an open file.
pub(crate) fn kind_of(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_its_bound_is_refused() {
        assert_eq!(read(&b"abc"[..], 3).unwrap(), b"abc");
        assert!(read(&b"abcd"[..], 3).is_err());
        assert!(read(io::repeat(0), 1 << 16).is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_its_kind() {
        for (path, kind) in [("/dev/zero", "character device"), ("/", "directory")] {
            let error = read_regular(Path::new(path), 10).unwrap_err();
            assert!(error.to_string().contains(kind), "{error}");
        }
    }
}
