//! Files that may have the same content, because they have the same size.

use crate::source::{Entry, FileId, Found, Item, Origin, Source};
use rustix::fs::{lstat, stat};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// How many files are looked at before the run may see whether it is to stop.
const AT_ONCE: usize = 1000;

/// A source of those files of another source whose size a second file there has, too; hard links are one file. Only these
/// need to be read, as all others have no duplicate. It gives nothing until the other source has ended, and keeps the
/// entries meanwhile: some 150 bytes for each, and its path.
pub struct SameSizes<S> {
    source: S,
    /// The first file of each size, and whether there is another.
    sizes: HashMap<u64, (FileId, bool)>,
    entries: Vec<(Entry, u64)>,
    /// The entries that are to be read, once all are known.
    kept: Option<std::vec::IntoIter<(Entry, u64)>>,
}

impl<S: Source> SameSizes<S> {
    /// The files of `source` that may have duplicates.
    pub fn new(source: S) -> Self {
        Self {
            source,
            sizes: HashMap::new(),
            entries: Vec::new(),
            kept: None,
        }
    }

    /// Keeps an entry. What is no regular file is a failure.
    fn look(&mut self, entry: Entry) -> Option<Item> {
        let refused = |reason: String, entry: Entry| {
            let path = Some(entry.path);
            Some(Item::Error { path, reason })
        };
        let found = match entry.origin {
            Origin::Stdin => {
                let why = "standard input has no duplicates; name files or directories";
                return refused(why.into(), entry);
            }
            Origin::Object(_) => {
                let why = "it is an object of a store, whose duplicates are not looked for; compare digests of it";
                return refused(why.into(), entry);
            }
            Origin::File => lstat(&entry.path),
            Origin::Special => stat(&entry.path),
        };
        match found.map(|found| Found::new(&found)) {
            Err(error) => refused(std::io::Error::from(error).to_string(), entry),
            Ok(None) => refused("it is no regular file".into(), entry),
            Ok(Some(found)) => {
                let (first, several) = (self.sizes).entry(found.size).or_insert((found.id, false));
                *several |= *first != found.id;
                self.entries.push((entry, found.size));
                None
            }
        }
    }
}

impl<S: Source> Source for SameSizes<S> {
    fn next_item(&mut self) -> Option<Item> {
        if let Some(kept) = &mut self.kept {
            return kept.next().map(|(entry, _)| Item::Entry(entry));
        }
        for _ in 0..AT_ONCE {
            match self.source.next_item() {
                Some(Item::Entry(entry)) => {
                    if let Some(item) = self.look(entry) {
                        return Some(item);
                    }
                }
                Some(other) => return Some(other),
                None => {
                    let mut entries = std::mem::take(&mut self.entries);
                    entries.retain(|(_, size)| self.sizes.get(size).is_some_and(|of| of.1));
                    self.sizes.clear();
                    self.kept = Some(entries.into_iter());
                    return self.next_item();
                }
            }
        }
        Some(Item::Later)
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        self.source.wait(timeout)
    }

    fn give_up(&mut self) -> Option<Item> {
        self.source.give_up()
    }

    fn written(&mut self, file: FileId) -> Option<PathBuf> {
        self.source.written(file)
    }
}
