//! Files that a command writes. They are created, or replace a file that the command itself wrote earlier, but never an
//! input: at once ([`open`]), or when they are whole ([`create`]).
//!
//! An existing file is examined through its open descriptor before any of its bytes are discarded.

use gristmill::bounded;
use gristmill::source::FileId;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

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
    let created = OpenOptions::new().write(true).create_new(true).open(path);
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map_err(words),
    }
    if let Some(stream) = stream(path)? {
        return Ok(stream);
    }
    let mut file = examine(path)?;
    if let Some(name) = input(FileId::of(&file).map_err(words)?) {
        return Err(format!(
            "it would be overwritten, and is {name}, which is read"
        ));
    }
    must_be_own(&mut file, replaces)?;
    file.seek(SeekFrom::Start(0)).map_err(words)?;
    file.set_len(0).map_err(words)?;
    Ok(file)
}

fn words(error: io::Error) -> String {
    error.to_string()
}

/// Opens a FIFO or a device; `None` if the path leads to something else. Writing to these overwrites nothing.
fn stream(path: &Path) -> Result<Option<File>, String> {
    let kind = std::fs::metadata(path).map_err(words)?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return Ok(None);
    }
    // Opening a FIFO waits for a reader.
    let file = OpenOptions::new().write(true).open(path).map_err(words)?;
    let kind = file.metadata().map_err(words)?.file_type();
    if kind.is_fifo() || kind.is_char_device() {
        Ok(Some(file))
    } else {
        Err("it was replaced while it was opened".into())
    }
}

/// Opens a file that is there, if it is regular and can be written.
fn examine(path: &Path) -> Result<File, String> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(words)?;
    bounded::must_be_regular(&file).map_err(words)?;
    Ok(file)
}

/// Checks that a file may be replaced.
fn must_be_own(file: &mut File, replaces: Replaces) -> Result<(), String> {
    if let Replaces::Own { magic, name } = replaces {
        let mut head = Vec::new();
        let most = magic.len() as u64;
        file.take(most).read_to_end(&mut head).map_err(words)?;
        if !head.is_empty() && head != magic {
            return Err(format!(
                "it exists and is not {name}, so it is not overwritten"
            ));
        }
    }
    Ok(())
}

/// The most bytes of a file's name that its temporary name begins with: a name has 255 at most.
const NAME_BYTES: usize = 200;

/// An output that is open.
#[derive(Debug)]
pub enum Created {
    /// A FIFO or a device.
    Stream(File),
    /// A file.
    New(NewFile),
}

/// A file that is written under a temporary name in its directory. Without a further call it is removed.
#[derive(Debug)]
pub struct NewFile {
    temporary: NamedTempFile,
    path: PathBuf,
    /// This file, and the one that it will replace, if there is one.
    files: Vec<FileId>,
}

/// Begins an output that takes its name when it is whole. A symbolic link stays, and what it leads to is replaced.
///
/// # Errors
/// A message, without the path, that says why the file cannot or must not be written.
pub fn create(path: &Path, replaces: Replaces) -> Result<Created, String> {
    let mut files = Vec::new();
    let mut path = path.to_owned();
    let mut permissions = None;
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(words(error)),
        Ok(found) => {
            if found.is_symlink() {
                path = std::fs::canonicalize(&path).map_err(words)?;
            }
            if let Some(stream) = stream(&path)? {
                return Ok(Created::Stream(stream));
            }
            let mut old = examine(&path)?;
            must_be_own(&mut old, replaces)?;
            permissions = Some(old.metadata().map_err(words)?.permissions());
            files.push(FileId::of(&old).map_err(words)?);
        }
    }
    let Some(name) = path.file_name() else {
        return Err("it is no name of a file".into());
    };
    let name = &name.as_bytes()[..name.len().min(NAME_BYTES)];
    let prefix = OsString::from_vec([b".", name, b"."].concat());
    let temporary = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".partial")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory(&path))
        .map_err(words)?;
    if let Some(permissions) = permissions {
        temporary
            .as_file()
            .set_permissions(permissions)
            .map_err(words)?;
    }
    files.push(FileId::of(temporary.as_file()).map_err(words)?);
    Ok(Created::New(NewFile {
        temporary,
        path,
        files,
    }))
}

/// The directory of a file.
fn directory(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}

impl NewFile {
    /// A handle to write the file by.
    ///
    /// # Errors
    /// The system's.
    pub fn file(&self) -> io::Result<File> {
        self.temporary.as_file().try_clone()
    }

    /// The files that must not be read: this one, and the one that it replaces.
    pub fn files(&self) -> &[FileId] {
        &self.files
    }

    /// The file is whole: brings it to the disk, and then gives it its name.
    ///
    /// # Errors
    /// The system's. Then the file is removed, and what had the name still has it.
    pub fn take_name(self) -> io::Result<()> {
        self.temporary.as_file().sync_all()?;
        let named = match self.files.len() {
            // Nothing had the name when the run began, and what has it now is not replaced.
            1 => self.temporary.persist_noclobber(&self.path),
            _ => self.temporary.persist(&self.path),
        };
        named.map_err(|error| error.error)?;
        // Some file systems cannot do this with a directory; the file itself is on the disk.
        let _ = File::open(directory(&self.path)).and_then(|directory| directory.sync_all());
        Ok(())
    }

    /// Keeps the file under its temporary name. Returns that.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(self) -> io::Result<PathBuf> {
        let (file, path) = self.temporary.keep().map_err(|error| error.error)?;
        file.sync_all()?;
        Ok(path)
    }
}
