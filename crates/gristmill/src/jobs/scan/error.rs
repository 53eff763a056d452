//! Failures on the host while a file is scanned.

use gristmill_patterns::PatternError;
use gristmill_protocol::PipelineError;
use std::io;
use std::path::PathBuf;

/// Why a scan cannot be prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanBuildError {
    /// A pattern is refused.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The patterns would take more memory than they may: `needed` is an estimate, made before anything is built.
    #[error(
        "these patterns would take up to {needed} bytes of memory, and may take {allowed}; give fewer, or allow more"
    )]
    Memory {
        /// Bytes that they would take.
        needed: usize,
        /// Bytes that they may take.
        allowed: usize,
    },
    /// A setting is refused, or the kernel refuses the patterns.
    #[error(transparent)]
    Other(#[from] PipelineError),
}

impl From<ScanBuildError> for PipelineError {
    fn from(error: ScanBuildError) -> Self {
        match error {
            ScanBuildError::Other(error) => error,
            error => PipelineError::Backend(error.to_string()),
        }
    }
}

/// A line, or a search, that failed on the host. A line that matched counts, but has no row.
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

/// Why a matching line has no row, or a line is not searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanErrorKind {
    /// The line is longer than the limit.
    #[error("a matching line of {bytes} bytes is not printed; allow longer lines, or ask for a count, paths or all occurrences")]
    LongLine {
        /// Its length in bytes.
        bytes: u64,
    },
    /// A row with the whole line for each match would take too much memory.
    #[error(
        "a matching line is not printed once for each of its {matches} matches, which would be {bytes} bytes; allow longer \
         lines, or show columns without a row for each match"
    )]
    ManyRows {
        /// The number of matches.
        matches: u64,
        /// The length of all rows together, in bytes.
        bytes: u64,
    },
    /// The line would be too long once its matches are replaced.
    #[error(
        "a line is not printed, as it is longer than {bytes} bytes once its matches are replaced; allow longer lines, or \
         print the lines as they are"
    )]
    LongReplacement {
        /// The most bytes that are printed of a line.
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
    /// A line that would be shown because of where it stands is longer than the limit.
    #[error("a context line of {bytes} bytes is not printed; allow longer lines, or ask for fewer context lines")]
    LongContext {
        /// Its length in bytes.
        bytes: u64,
    },
    /// Such a line was too long to keep and cannot be read again.
    #[error(
        "a context line is too long to be printed from a stream; ask for fewer context lines, or store the \
         stream in a file"
    )]
    ContextOfStream,
    /// Such a line was too long to keep, and reading it again failed.
    #[error("a context line could not be read again to print it: {0}")]
    ContextLost(io::Error),
    /// More lines were to be shown before a match than are kept.
    #[error("only {lines} lines before this match are printed; ask for fewer, or print all lines")]
    ContextForgotten {
        /// How many are printed.
        lines: usize,
    },
    /// A file that must be in memory as a whole is larger than the limit.
    #[error(
        "a file of {bytes} bytes is not searched for matches that span lines; allow larger files, or search line by line"
    )]
    FileTooLarge {
        /// Its length in bytes.
        bytes: u64,
    },
    /// What must be in memory as a whole cannot be read again, and found no room when it was read.
    #[error(
        "a stream, with other files that are in memory, is longer than {most} bytes, and not searched for matches that \
         span lines; allow larger files, or store the stream in a file"
    )]
    StreamTooLarge {
        /// The most bytes that are in memory.
        most: u64,
    },
    /// A file that must be in memory as a whole found no room when it was read, and reading it again failed.
    #[error("the file could not be read again to search it for matches that span lines: {0}")]
    FileLost(io::Error),
    /// A file that is in memory as a whole has more rows than the limit.
    #[error(
        "the rows of the file are longer than {most} bytes, and not printed; allow larger files"
    )]
    ManyRowsOfFile {
        /// The most bytes of rows.
        most: u64,
    },
    /// A file that is in memory as a whole could not be searched.
    #[error("the file could not be searched for matches that span lines: {0}")]
    FileUnsearched(io::Error),
    /// The line spans chunks and is longer than the limit, so that it was not searched for a regex.
    #[error("a line of {bytes} bytes is not searched for a regex; allow longer lines, or search for fixed strings")]
    LongLineUnsearched {
        /// Its length in bytes.
        bytes: u64,
    },
    /// The line was too long to keep and cannot be read again, so that it was not searched for a regex.
    #[error(
        "a line is too long to be searched for a regex in a stream; search for fixed strings, or store the stream in a file"
    )]
    LineOfStreamUnsearched,
    /// The line was too long to keep, and reading it again to search it for a regex failed.
    #[error(
        "a line could not be read again to search it for a regex: {0}; search for fixed strings"
    )]
    LineUnsearched(io::Error),
    /// The patterns cannot be searched for on the host.
    #[error("cannot search at chunk boundaries: {0}; give fewer or shorter patterns")]
    Unsearchable(aho_corasick::BuildError),
}

impl ScanErrorKind {
    /// The same error of a line that was to be shown because of where it stands.
    pub(super) fn of_context(self) -> Self {
        match self {
            Self::LongLine { bytes } => Self::LongContext { bytes },
            Self::LineOfStream => Self::ContextOfStream,
            Self::LineLost(error) => Self::ContextLost(error),
            other => other,
        }
    }

    /// The error of a line that was to be searched as a whole, rather than shown.
    pub(super) fn unsearched(self) -> Self {
        match self {
            Self::LongLine { bytes } => Self::LongLineUnsearched { bytes },
            Self::LineOfStream => Self::LineOfStreamUnsearched,
            Self::LineLost(error) => Self::LineUnsearched(error),
            other => other,
        }
    }
}
