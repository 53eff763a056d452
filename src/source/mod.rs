//! Sources: where the files come from.
//!
//! A source is pulled, a few entries at a time, by whichever reader is out of work; it never looks into a file and asks
//! the file system for nothing beyond what listing a directory tells. [`Tree`] walks directories as ripgrep does (crate
//! `ignore`), [`FileList`] reads names from a list, [`Stdin`] is standard input as one file.

mod list;
mod tree;

pub use list::FileList;
pub use tree::Tree;

use std::path::PathBuf;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, as rows show it.
    pub path: PathBuf,
    /// Whether the user named it, rather than a walk having found it.
    pub explicit: bool,
    /// What to open.
    pub origin: Origin,
    /// Its place in the source's order: how many entries the source has given before it.
    pub sequence: u64,
}

/// What an entry opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The path, which a directory listing called a regular file, or whose kind is not known.
    File,
    /// The path, which may be anything that can be read: a FIFO, a device.
    Special,
    /// Standard input.
    Stdin,
}

/// What a source has next.
#[derive(Debug)]
pub enum Item {
    /// A file. Its `sequence` is set by the mill.
    Entry(Entry),
    /// Something that could not be listed, and why. The run goes on and its outcome says that something failed.
    Error {
        /// The path, where one is known.
        path: Option<PathBuf>,
        /// Why, and what to do.
        reason: String,
    },
    /// Something to tell the user that is no failure, such as a bad pattern in an ignore file.
    Notice(String),
}

/// Where the files of a run come from.
pub trait Source: Send {
    /// The next file, or problem; `None` at the end.
    fn next_item(&mut self) -> Option<Item>;
}

impl Source for Box<dyn Source> {
    fn next_item(&mut self) -> Option<Item> {
        (**self).next_item()
    }
}

/// Standard input, as one file.
#[derive(Debug, Default)]
pub struct Stdin {
    given: bool,
}

impl Stdin {
    /// Standard input, shown as `<stdin>`.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The path that standard input is shown as.
pub const STDIN_NAME: &str = "<stdin>";

pub(crate) fn stdin_entry() -> Entry {
    Entry {
        path: PathBuf::from(STDIN_NAME),
        explicit: true,
        origin: Origin::Stdin,
        sequence: 0,
    }
}

impl Source for Stdin {
    fn next_item(&mut self) -> Option<Item> {
        if std::mem::replace(&mut self.given, true) {
            None
        } else {
            Some(Item::Entry(stdin_entry()))
        }
    }
}
