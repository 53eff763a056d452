//! The objects that a URL names, as entries.

use super::entry::{Entry, Item};
use gristmill_ingest::object::{is_url, path_of_url, Listed, Listing, Names, Stores};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a name leads to.
pub(crate) enum Named {
    /// A path of this machine.
    Path(PathBuf),
    /// Objects of a store.
    Remote(Remote),
    /// Nothing, and why.
    Refused(Item),
}

impl Named {
    /// What `name` leads to, if these stores read URLs.
    pub fn of(name: PathBuf, stores: Option<&dyn Stores>, names: Names) -> Self {
        let Some(stores) = stores else {
            return Self::Path(name);
        };
        match path_of_url(&name) {
            Some(Ok(path)) => return Self::Path(path),
            Some(Err(reason)) => return Self::refused(reason),
            None if !is_url(&name) => return Self::Path(name),
            None => {}
        }
        match stores.open(&name, names) {
            Ok(listing) => Self::Remote(Remote(listing)),
            Err(reason) => Self::refused(reason),
        }
    }

    /// The reason names the URL, so far as it holds no secret.
    fn refused(reason: String) -> Self {
        Self::Refused(Item::Error { path: None, reason })
    }
}

/// A listing of objects.
pub(crate) struct Remote(Box<dyn Listing>);

impl Remote {
    /// The next item; `None` at the end. `passes` is asked whether an object that was found below a prefix is read, by its
    /// name below that and its size.
    pub fn next_item(&mut self, passes: impl Fn(&Path, Option<u64>) -> bool) -> Option<Item> {
        loop {
            let (name, object, below) = match self.0.next() {
                Listed::End => return None,
                Listed::Later => return Some(Item::Later),
                Listed::Failed { name, reason } => {
                    let path = Some(name);
                    return Some(Item::Error { path, reason });
                }
                Listed::Object {
                    name,
                    object,
                    below,
                } => (name, object, below),
            };
            if let Some(below) = below {
                use std::os::unix::ffi::OsStrExt;
                let rest = name.as_os_str().as_bytes().get(below..).unwrap_or_default();
                let rest = Path::new(std::ffi::OsStr::from_bytes(rest));
                if !passes(rest, object.0.size()) {
                    continue;
                }
            }
            return Some(Item::Entry(Entry::object(name, object, below.is_none())));
        }
    }

    /// The object that was named outright; a prefix is none.
    pub fn one(mut self) -> Entry {
        match self.0.next() {
            Listed::Object { name, object, .. } => Entry::object(name, object, true),
            _ => Entry::named("<a prefix, not an object>"),
        }
    }

    /// Waits for the next item.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        self.0.wait(timeout)
    }
}
