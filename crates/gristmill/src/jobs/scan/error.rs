//! Failures on the host while a file is scanned.

use std::io;
use std::path::PathBuf;

/// A matching line, or a search, that failed on the host. The line counts, but has no row.
#[derive(Debug)]
pub struct ScanError {
    /// The file.
    pub path: PathBuf,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// What happened.
    pub kind: ScanErrorKind,
}

impl std::fmt::Display for ScanError {
    /// `PATH: offset N: reason`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, offset) = (self.path.display(), self.offset);
        write!(f, "{path}: offset {offset}: {}", self.kind)
    }
}

/// Why a matching line has no row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanErrorKind {
    /// The line is longer than the limit.
    #[error("a matching line of {bytes} bytes is not printed; allow longer lines, or ask for a count, paths or all occurrences")]
    LongLine {
        /// Its length in bytes.
        bytes: u64,
    },
    /// The line was too long to keep and cannot be read again.
    #[error(
        "a matching line is too long to be printed from a stream; ask for a count, paths or all occurrences, or store the \
         stream in a file"
    )]
    LineOfStream,
    /// The line was too long to keep, and reading it again failed.
    #[error("a matching line could not be read again to print it: {0}; ask for a count, paths or all occurrences")]
    LineLost(io::Error),
    /// The patterns cannot be searched for on the host.
    #[error("cannot search at chunk boundaries: {0}; give fewer or shorter patterns")]
    Unsearchable(aho_corasick::BuildError),
}
