//! Flags about compiled sets.

use super::super::rules::args::LINES;
use std::path::PathBuf;

/// The flags that say how patterns are read: a set says that itself.
pub const READING: [&str; 6] = [
    "case_sensitive",
    "fixed_strings",
    "ignore_case",
    "no_fixed_strings",
    "regex_size_limit",
    "unicode",
];

/// Flags about compiled sets.
#[derive(Debug, Clone, clap::Args)]
pub struct SetArgs {
    /// Search with a set that `gristmill compile` has written, instead of patterns.
    ///
    /// The result is that of --all with the patterns of the set, or of --rules with its rules. Flags that say how
    /// patterns are read, or how lines are searched and shown, are refused. Loading a set takes a small fraction of the
    /// time needed to compile it, and validates it: docs/set.md describes how.
    #[arg(long, value_name = "FILE", conflicts_with_all = LINES, conflicts_with_all = READING)]
    pub set: Vec<PathBuf>,
}

impl SetArgs {
    /// Whether a set is given.
    pub fn is_given(&self) -> bool {
        !self.set.is_empty()
    }
}
