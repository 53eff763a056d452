//! Files that a command writes. They are created, or replace a file that the command itself wrote earlier, but never an
//! input.
//!
//! An existing file is examined through its open descriptor before any of its bytes are discarded.

use gristmill::bounded;
use gristmill::source::FileId;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
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
    bounded::must_be_regular(&file).map_err(words)?;
    if let Some(name) = input(FileId::of(&file).map_err(words)?) {
        return Err(format!(
            "it would be written over, and is {name}, which is read"
        ));
    }
    if let Replaces::Own { magic, name } = replaces {
        let mut head = Vec::new();
        let most = magic.len() as u64;
        (&mut file)
            .take(most)
            .read_to_end(&mut head)
            .map_err(words)?;
        if !head.is_empty() && head != magic {
            return Err(format!(
                "it is there already, and is not {name}, so that it is not written over"
            ));
        }
        file.seek(SeekFrom::Start(0)).map_err(words)?;
    }
    file.set_len(0).map_err(words)?;
    Ok(file)
}
