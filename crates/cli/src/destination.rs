//! The name and the identity of what a run writes to: for messages, and so that it is not read as input.

use gristmill::source::FileId;
use std::io;

/// Where a run's rows go, as the run has to know it.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// Whether it is a file that takes its name when it is whole.
    pub is_file: bool,
    /// The files that are written or replaced, which are not read.
    pub written: Vec<FileId>,
}

impl Default for Destination {
    /// Standard output.
    fn default() -> Self {
        Self {
            name: "standard output".into(),
            is_file: false,
            written: Vec::new(),
        }
    }
}

impl Destination {
    /// Says that it could not be written.
    pub fn lost(&self, error: &io::Error) -> String {
        let what = match self.is_file {
            true => "it was not written",
            false => "what was not written is lost",
        };
        format!("{}: {error}; {what}", self.name)
    }
}
