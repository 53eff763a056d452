//! What could not be searched.

use std::path::PathBuf;

/// A pattern that is not searched for in the rest of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepError {
    /// The file.
    pub path: PathBuf,
    /// The offset in the file, in bytes, from which on the pattern is not searched for.
    pub offset: u64,
    /// The pattern's name.
    pub pattern: String,
    /// Why.
    pub kind: SweepErrorKind,
}

/// Why a pattern is not searched for in the rest of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SweepErrorKind {
    /// The match that begins there is too long.
    #[error(
        "a match that begins here is longer than {max_match} bytes; allow longer matches, or bound the regex"
    )]
    LongMatch {
        /// The longest match that is allowed, in bytes.
        max_match: u64,
    },
    /// More bytes than the longest match may have do not tell whether one begins there, and the regex is too large to be
    /// followed further.
    #[error(
        "it cannot be told whether a match that begins here is longer than {max_match} bytes, for a regex as large as this; \
         allow longer matches, or bound the regex"
    )]
    UnknownLength {
        /// The longest match that is allowed, in bytes.
        max_match: u64,
    },
    /// More bytes than the longest match may have do not tell whether one begins there, and following them further takes too
    /// many steps.
    #[error(
        "it takes too many steps to tell whether a match that begins here is longer than {max_match} bytes; allow longer \
         matches, or bound the regex"
    )]
    ManySteps {
        /// The longest match that is allowed, in bytes.
        max_match: u64,
    },
}

impl std::fmt::Display for SweepError {
    /// `PATH: offset N: reason`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, offset) = (self.path.display(), self.offset);
        let (pattern, kind) = (&self.pattern, self.kind);
        write!(
            f,
            "{path}: offset {offset}: `{pattern}` is not searched for from here on, as {kind}"
        )
    }
}

impl std::error::Error for SweepError {}
