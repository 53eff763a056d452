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
    /// Search for what a set holds that `gristmill compile` has written, instead of patterns.
    ///
    /// The answer is that of --all with the patterns of the set, or that of --rules with its rules. What says how patterns
    /// are read, or how lines are searched and shown, is refused. A set is loaded in a small part of the time that it takes
    /// to compile it, and it is checked: docs/set.md says how.
    #[arg(long, value_name = "FILE", conflicts_with_all = LINES, conflicts_with_all = READING)]
    pub set: Vec<PathBuf>,
}

impl SetArgs {
    /// Whether a set is given.
    pub fn is_given(&self) -> bool {
        !self.set.is_empty()
    }
}
