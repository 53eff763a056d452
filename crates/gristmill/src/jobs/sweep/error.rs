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
    /// The longest match that is allowed, in bytes.
    pub max_match: u64,
}

impl std::fmt::Display for SweepError {
    /// `PATH: offset N: reason`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, offset, max) = (self.path.display(), self.offset, self.max_match);
        write!(
            f,
            "{path}: offset {offset}: `{}` is not searched for from here on, as a match that begins here is longer than \
             {max} bytes; allow longer matches, or bound the regex",
            self.pattern
        )
    }
}

impl std::error::Error for SweepError {}
