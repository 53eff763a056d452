//! Files that a command writes: created, or in the place of what the command itself wrote earlier, never over its input.
//!
//! What is there is looked at on the descriptor, before a byte of it is given up.

use gristmill::bounded;
use gristmill::source::FileId;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// What an output may take the place of.
#[derive(Debug, Clone, Copy)]
pub enum Replaces {
    /// What begins so, which is called so: its own kind, and an empty file.
    Own {
        /// The first bytes.
        magic: &'static [u8],
        /// The kind, with an article.
        name: &'static str,
    },
    /// Any file that is not read.
    Any,
}

/// Opens an output, and empties it where it is a file. `input` says whether a file is read by the command, by which name.
///
/// # Errors
/// Why the file cannot be written, or must not be: in words, without its path.
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
        // Nothing is lost by writing there. A FIFO is waited for until there is a reader.
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
