//! Directories on the way of a walk, and the names in them.

use super::rules::Layer;
use crate::source::entry::Item;
use crate::source::file_id::FileId;
use rustix::fs::{statat, AtFlags, Dir, FileType};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// A directory on the way.
pub(super) struct Level {
    /// The directory's path as entries show it, and its path below the directory that was named.
    pub path: PathBuf,
    pub relative: PathBuf,
    pub listing: Listing,
    pub layer: Layer,
    pub id: FileId,
}

/// The names in a directory.
pub(super) enum Listing {
    Open(Dir),
    /// The remaining names, read into memory, the next one last.
    Rest(Vec<Found>),
}

/// A name in a directory.
pub(super) struct Found {
    pub name: OsString,
    pub kind: FileType,
    pub inode: u64,
}

impl Level {
    /// Whether the directory is open.
    pub fn is_open(&self) -> bool {
        matches!(self.listing, Listing::Open(_))
    }

    /// Reads the remaining names into memory, and closes the directory.
    pub fn read_rest(&mut self, told: &mut VecDeque<Item>) {
        let mut rest = Vec::new();
        while let Some(found) = self.next(told) {
            rest.push(found);
        }
        rest.reverse();
        self.listing = Listing::Rest(rest);
    }

    /// The next name in it. Errors of listing are added to `told`.
    pub fn next(&mut self, told: &mut VecDeque<Item>) -> Option<Found> {
        let directory = match &mut self.listing {
            Listing::Rest(rest) => return rest.pop(),
            Listing::Open(directory) => directory,
        };
        loop {
            let entry = match directory.read()? {
                Ok(entry) => entry,
                Err(error) => {
                    told.push_back(failed(self.path.clone(), error));
                    return None;
                }
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let (mut kind, mut inode) = (entry.file_type(), entry.ino());
            if kind == FileType::Unknown {
                let asked = directory
                    .fd()
                    .and_then(|at| statat(at, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW));
                match asked {
                    Ok(found) => {
                        kind = FileType::from_raw_mode(found.st_mode);
                        inode = found.st_ino;
                    }
                    Err(error) => {
                        told.push_back(failed(self.path.join(OsStr::from_bytes(name)), error));
                        continue;
                    }
                }
            }
            return Some(Found {
                name: OsString::from_vec(name.to_vec()),
                kind,
                inode,
            });
        }
    }
}

/// A path that cannot be walked, as an item.
pub(super) fn failed(path: PathBuf, error: impl Into<io::Error>) -> Item {
    Item::Error {
        path: Some(path),
        reason: error.into().to_string(),
    }
}
