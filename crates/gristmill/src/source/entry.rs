//! The items that a source gives: entries to read, and errors for those that cannot be listed.

use super::below::Root;
use super::file_id::FileId;
use gristmill_ingest::object::ObjectRef;
use std::path::PathBuf;
use std::time::Duration;

/// The path that standard input is shown as.
pub const STDIN_NAME: &str = "<stdin>";

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, as rows show it.
    pub path: PathBuf,
    /// Whether the user named the file, rather than a walk having found it.
    pub explicit: bool,
    /// What to open.
    pub origin: Origin,
    /// The directory below which a walk that follows no links has found the file, which is opened below it and through
    /// no link. `None` for files that were named, or found by following links.
    pub root: Option<Root>,
    /// The part of the file whose rows are wanted; `None` for all of it. The jobs of the run must
    /// [take parts](crate::jobs::Job::takes_parts).
    pub part: Option<FilePart>,
    /// Its place in the source's order: how many entries the source has given before it.
    pub sequence: u64,
}

/// A part of a regular file: the rows that begin in it, as a run over the whole file gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilePart {
    /// Its first byte.
    pub begin: u64,
    /// The byte behind its last. The last part of a file ends at the file's size, and has what begins there, too.
    pub end: u64,
    /// The size of the file that was cut, in bytes. A file that has another size by now fails.
    pub size: u64,
    /// When the file that was cut had last been changed, in nanoseconds since 1970. A file that was changed since then
    /// fails: its parts would be those of different files.
    pub modified: i64,
}

impl FilePart {
    /// Whether a row that begins at a byte belongs to the part.
    #[must_use]
    pub fn has(&self, at: u64) -> bool {
        at >= self.begin && !self.is_before(at)
    }

    /// Whether the part ends before a byte, or with it.
    #[must_use]
    pub fn is_before(&self, at: u64) -> bool {
        at >= self.end && self.end < self.size
    }
}

impl Entry {
    /// A path that the user named, whatever kind of file it is.
    pub fn named(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            explicit: true,
            origin: Origin::Special,
            root: None,
            part: None,
            sequence: 0,
        }
    }

    /// Standard input, shown as [`STDIN_NAME`].
    pub fn stdin() -> Self {
        Self {
            origin: Origin::Stdin,
            ..Self::named(STDIN_NAME)
        }
    }

    /// An object of a store. `explicit` says whether the user named it, rather than a prefix.
    pub fn object(url: impl Into<PathBuf>, object: ObjectRef, explicit: bool) -> Self {
        Self {
            explicit,
            origin: Origin::Object(object),
            ..Self::named(url)
        }
    }

    /// An entry of a list: a path, or `-` for standard input.
    pub fn listed(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        if path.as_os_str() == "-" {
            Self::stdin()
        } else {
            Self::named(path)
        }
    }
}

/// What an entry opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The path, which a directory listing called a regular file. If it is of another kind when it is opened, it is
    /// refused.
    File,
    /// The path, which may be anything that can be read: a FIFO, a device.
    Special,
    /// Standard input.
    Stdin,
    /// An object of a store, which is fetched by requests. The path is its URL.
    Object(ObjectRef),
}

/// The next item of a source.
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
    /// A directory could not be opened because descriptors or memory ran out. The next call tries it again; a caller
    /// that holds nothing it could free calls [`Source::give_up`] instead.
    Starved {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// Nothing yet: ask again later, or [wait](Source::wait) for it.
    Later,
    /// A message to the user that is not a failure, such as a bad pattern in an ignore file.
    Notice(String),
}

/// Where the files of a run come from.
pub trait Source: Send {
    /// The next file, or problem; `None` at the end.
    fn next_item(&mut self) -> Option<Item>;

    /// After an [`Item::Later`]: waits until another call may bring more, or for `timeout`, or until a signal comes.
    /// Returns whether more may have come.
    fn wait(&mut self, _timeout: Duration) -> bool {
        true
    }

    /// Called before the first item: the size of the only file, if the source knows that it has one regular file and
    /// nothing else. The size may have changed by the time the file is read.
    fn only_file(&self) -> Option<u64> {
        None
    }

    /// Called before the first item: whether most of the entries will be objects, which are fetched over a network. Then
    /// more of them are in flight at a time.
    fn is_remote(&self) -> bool {
        false
    }

    /// Gives up the directory of the last [`Item::Starved`], and returns its failure.
    fn give_up(&mut self) -> Option<Item> {
        None
    }

    /// Called before the first item with a file that the run writes, which a walk passes over. If the user named that
    /// file outright, returns the path by which they did.
    fn written(&mut self, _file: FileId) -> Option<PathBuf> {
        None
    }
}

impl Source for Box<dyn Source> {
    fn next_item(&mut self) -> Option<Item> {
        (**self).next_item()
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        (**self).wait(timeout)
    }

    fn only_file(&self) -> Option<u64> {
        (**self).only_file()
    }

    fn is_remote(&self) -> bool {
        (**self).is_remote()
    }

    fn give_up(&mut self) -> Option<Item> {
        (**self).give_up()
    }

    fn written(&mut self, file: FileId) -> Option<PathBuf> {
        (**self).written(file)
    }
}

/// The error with which a list's reader says that the run is to end. The list then ends without a failure.
#[derive(Debug, Clone, Copy)]
pub struct Ended;

impl std::error::Error for Ended {}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ended by a signal")
    }
}

impl Ended {
    /// Whether `error` is this error.
    pub fn is_said_by(error: &std::io::Error) -> bool {
        error.get_ref().is_some_and(|error| error.is::<Self>())
    }
}
