//! Standard input, as one file.

use super::entry::{Entry, Item, Source};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

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

/// Standard input, as a file of its own.
///
/// # Errors
/// An error if the process was started without standard input, or has no descriptor left.
pub fn stdin() -> io::Result<File> {
    gristmill_stdio::check(gristmill_stdio::Stream::In)?;
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

impl Source for Stdin {
    fn next_item(&mut self) -> Option<Item> {
        if std::mem::replace(&mut self.given, true) {
            None
        } else {
            Some(Item::Entry(Entry::stdin()))
        }
    }
}
