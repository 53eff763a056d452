//! What the file system says of an open file, when it was opened and later.

use super::file_id::FileId;
use rustix::fs::{fstat, FileType, Stat};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What the file system says of a regular file, as it is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its size in bytes.
    pub size: u64,
    /// When its bytes were last changed, in nanoseconds since 1970-01-01 00:00:00 UTC.
    pub modified_ns: i64,
    /// Its device and inode.
    pub id: FileId,
}

impl Found {
    /// What a `stat` has found, if it was a regular file with a time that 64 bits of nanoseconds hold: those from the
    /// years 1677 to 2262.
    pub(crate) fn new(found: &Stat) -> Option<Self> {
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return None;
        }
        let nanoseconds = i64::try_from(found.st_mtime_nsec).ok()?;
        Some(Self {
            size: u64::try_from(found.st_size).ok()?,
            modified_ns: i64::checked_mul(found.st_mtime, 1_000_000_000)?
                .checked_add(nanoseconds)?,
            id: FileId::new(found),
        })
    }
}

/// An open file, of which a job may ask what the file system says of it.
#[derive(Debug, Clone, Default)]
pub struct FileFacts {
    found: Option<Found>,
    file: Option<Arc<OwnedFd>>,
}

impl FileFacts {
    pub(crate) fn new(found: Option<Found>, file: Arc<OwnedFd>) -> Self {
        Self {
            found,
            file: Some(file),
        }
    }

    /// What was found when the file was opened; `None` of what is not a regular file.
    #[must_use]
    pub fn found(&self) -> Option<Found> {
        self.found
    }

    /// What is found now; `None` of what is not a regular file.
    #[must_use]
    pub fn now(&self) -> Option<Found> {
        let found = fstat(self.file.as_ref()?).ok()?;
        Found::new(&found)
    }
}
