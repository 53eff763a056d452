//! The files of a walk in another order than that of the walk: all are listed before the first is given.

use crate::source::entry::{Entry, Item, Source};
use crate::source::file_id::FileId;
use std::cmp::Ordering;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// The number of entries after which the mill is asked whether the run is to end.
const BATCH: usize = 4096;

/// By which property of files they are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// By path.
    Path,
    /// By the time of the last change of their bytes.
    Modified,
    /// By the time of the last access.
    Accessed,
    /// By the time of their creation, where the file system tells it.
    Created,
}

impl SortKey {
    /// The time of an entry; `None` where it cannot be asked, and for standard input.
    fn time(self, entry: &Entry) -> Option<SystemTime> {
        let found = std::fs::metadata(&entry.path).ok()?;
        match self {
            SortKey::Path => None,
            SortKey::Modified => found.modified().ok(),
            SortKey::Accessed => found.accessed().ok(),
            SortKey::Created => found.created().ok(),
        }
    }
}

/// The entries of another source, sorted.
pub(super) struct Sorted<S> {
    source: S,
    key: SortKey,
    reverse: bool,
    /// Those that have been listed so far; once all have been, they are sorted, the next one last.
    entries: Vec<(Option<SystemTime>, Entry)>,
    listed: bool,
}

impl<S: Source> Sorted<S> {
    pub fn new(source: S, key: SortKey, reverse: bool) -> Self {
        Self {
            source,
            key,
            reverse,
            entries: Vec::new(),
            listed: false,
        }
    }

    fn sort(&mut self) {
        let reverse = self.reverse;
        let directed = |order: Ordering| if reverse { order.reverse() } else { order };
        if self.key == SortKey::Path {
            self.entries
                .sort_by(|(_, a), (_, b)| directed(a.path.cmp(&b.path)));
        } else {
            // Files without a time come last, or first in the reversed order.
            self.entries.sort_by(|(a, _), (b, _)| {
                let order = match (a, b) {
                    (Some(a), Some(b)) => a.cmp(b),
                    (a, b) => a.is_none().cmp(&b.is_none()),
                };
                directed(order)
            });
        }
        self.entries.reverse();
    }
}

impl<S: Source> Source for Sorted<S> {
    fn next_item(&mut self) -> Option<Item> {
        for _ in 0..BATCH {
            if self.listed {
                return self.entries.pop().map(|(_, entry)| Item::Entry(entry));
            }
            match self.source.next_item() {
                Some(Item::Entry(entry)) => {
                    self.entries.push((self.key.time(&entry), entry));
                }
                None => {
                    self.listed = true;
                    self.sort();
                }
                other => return other,
            }
        }
        Some(Item::Later)
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        self.source.wait(timeout)
    }

    fn is_remote(&self) -> bool {
        self.source.is_remote()
    }

    fn only_file(&self) -> Option<u64> {
        self.source.only_file()
    }

    fn give_up(&mut self) -> Option<Item> {
        self.source.give_up()
    }

    fn written(&mut self, file: FileId) -> Option<PathBuf> {
        self.source.written(file)
    }
}
