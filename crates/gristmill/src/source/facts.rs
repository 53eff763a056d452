//! What the file system says of an open file, when it was opened and later.

use super::file_id::FileId;
use rustix::fs::{fcntl_getfl, fstat, FileType, OFlags, Stat};
use rustix::io::{pread, Errno};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
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

/// A run that may be ended early.
pub(crate) trait Ending: fmt::Debug + Send + Sync {
    /// Whether no more is wanted of it.
    fn is_ending(&self) -> bool;
}

/// An open file, of which a job may ask what the file system says of it; and whether the run that reads it is ending.
#[derive(Debug, Clone, Default)]
pub struct FileFacts {
    found: Option<Found>,
    file: Option<Arc<OwnedFd>>,
    run: Option<Arc<dyn Ending>>,
}

impl FileFacts {
    pub(crate) fn new(found: Option<Found>, file: Arc<OwnedFd>) -> Self {
        Self {
            found,
            file: Some(file),
            run: None,
        }
    }

    /// Those of a file that a run reads.
    pub(crate) fn of_run(self, run: Arc<dyn Ending>) -> Self {
        Self {
            run: Some(run),
            ..self
        }
    }

    /// Whether the run is ending, so that no more is wanted of the file. A job that works for long over what it was shown may
    /// ask now and then, and leave the rest.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.is_ending())
    }

    /// Reads bytes of the file at this offset, from the descriptor that it was opened with: what has taken its name since
    /// then is not opened.
    ///
    /// # Errors
    /// The system's error; one if the file has fewer bytes, or is no file.
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let file = self.file.as_deref().ok_or(io::ErrorKind::Unsupported)?;
        let through_cache = through_cache(file)?;
        let there = read_at(through_cache.as_ref().unwrap_or(file), bytes, offset)?;
        match there == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
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

/// The same file, opened without O_DIRECT if it has that: reads past the page cache must be aligned. The descriptor's own flags
/// stay as they are, as others read by it. The link of /proc leads to the open file, whatever its name is by now.
pub(crate) fn through_cache(file: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    if !fcntl_getfl(file)?.contains(OFlags::DIRECT) {
        return Ok(None);
    }
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok(Some(again.into()))
}

/// Reads bytes of a file at this offset. Returns how many there are.
pub(crate) fn read_at(file: &OwnedFd, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut there = 0;
    while there < bytes.len() {
        match pread(file, &mut bytes[there..], offset + there as u64) {
            Ok(0) => break,
            Ok(count) => there += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(there)
}
