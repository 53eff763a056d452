//! Files that a command writes. They are created, or replace a file that the command itself wrote earlier, but never an
//! input.
//!
//! An existing file is examined through its open descriptor before any of its bytes are discarded.

use gristmill::bounded;
use gristmill::source::FileId;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Which files an output may replace.
#[derive(Debug, Clone, Copy)]
pub enum Replaces {
    /// Only files of its own kind, and empty ones.
    Own {
        /// The first bytes of a file of this kind.
        magic: &'static [u8],
        /// The name of the kind, with an article.
        name: &'static str,
    },
    /// Any file that the command does not read.
    Any,
}

/// Opens an output, and empties it if it is a regular file. `input` returns the name by which the command reads a file,
/// if it does.
///
/// # Errors
/// A message, without the path, that says why the file cannot or must not be written.
pub fn open(
    path: &Path,
    replaces: Replaces,
    input: impl FnOnce(FileId) -> Option<String>,
) -> Result<File, String> {
    let words = |error: io::Error| error.to_string();
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map_err(words),
    }
    let kind = std::fs::metadata(path).map_err(words)?.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        // Writing to a FIFO or a device overwrites nothing. Opening a FIFO waits for a reader.
        let file = OpenOptions::new().write(true).open(path).map_err(words)?;
        let kind = file.metadata().map_err(words)?.file_type();
        return if kind.is_fifo() || kind.is_char_device() {
            Ok(file)
        } else {
            Err("it was replaced while it was opened".into())
        };
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(words)?;
    must_be_replaceable(&mut file, replaces, input)?;
    file.seek(SeekFrom::Start(0)).map_err(words)?;
    file.set_len(0).map_err(words)?;
    Ok(file)
}

/// Writes a whole file, which is there with all its bytes or not at all: under a name of its own first, in the same
/// directory. What is no regular file is written as [`open`] opens it.
///
/// # Errors
/// As [`open`], and one for a write that failed.
pub fn write_whole(
    path: &Path,
    bytes: &[u8],
    replaces: Replaces,
    input: impl FnOnce(FileId) -> Option<String>,
) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let (target, permissions) = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(words(error)),
        Ok(there) if there.is_file() => {
            let mut file = bounded::open_regular(path).map_err(words)?;
            must_be_replaceable(&mut file, replaces, input)?;
            // The file that a link leads to is replaced, and not the link.
            let target = path.canonicalize().map_err(words)?;
            (target, Some(there.permissions()))
        }
        Ok(_) => {
            let mut file = open(path, replaces, input)?;
            return file.write_all(bytes).map_err(words);
        }
    };
    let name = target.file_name().ok_or("it names no file")?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.new", std::process::id()));
    let new = target.with_file_name(hidden);
    let write = || -> io::Result<()> {
        let mut file = File::create_new(&new)?;
        file.write_all(bytes)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.sync_all()?;
        std::fs::rename(&new, &target)
    };
    write().map_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            // What failed to be written is of no use; if it cannot be removed, the first error says enough.
            let _ = std::fs::remove_file(&new);
        }
        words(error)
    })
}

/// Makes sure that an open file may be replaced.
fn must_be_replaceable(
    file: &mut File,
    replaces: Replaces,
    input: impl FnOnce(FileId) -> Option<String>,
) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    bounded::must_be_regular(file).map_err(words)?;
    if let Some(name) = input(FileId::of(&*file).map_err(words)?) {
        return Err(format!(
            "it would be written over, and is {name}, which is read"
        ));
    }
    let Replaces::Own { magic, name } = replaces else {
        return Ok(());
    };
    let mut head = Vec::new();
    let most = magic.len() as u64;
    file.take(most).read_to_end(&mut head).map_err(words)?;
    if !head.is_empty() && head != magic {
        return Err(format!(
            "it is there already, and is not {name}, so that it is not written over"
        ));
    }
    Ok(())
}
