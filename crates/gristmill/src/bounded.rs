//! Reading files whole, within a bound: what a file says of its size, and what it is, is looked at on the descriptor.

use rustix::fs::{fcntl_getfl, fcntl_setfl, fstat, fstatfs, FileType, OFlags, Stat};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file system of pipes without a name (`PIPEFS_MAGIC`).
const PIPE_FS: rustix::fs::FsWord = 0x5049_5045;

/// Reads up to `most` bytes; what has more is refused.
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

/// Opens what must be a regular file, without waiting for anybody.
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

/// Opens a regular file, or a pipe without a name, as a shell hands in a command's output. A FIFO would be waited for.
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
        // Its bytes are waited for: it has a writer, or its end.
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    } else {
        must_be_regular(&file)?;
    }
    Ok(file)
}

/// Refuses an open file that is no regular file.
///
/// # Errors
/// One that names the file's kind, and the system's error.
pub fn must_be_regular(file: &File) -> io::Result<()> {
    let kind = kind_of(&fstat(file)?);
    if kind == FileType::RegularFile {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it is {}, and no regular file",
        name_of(kind)
    )))
}

/// What a file is, with an article.
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

/// What an open file is.
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
