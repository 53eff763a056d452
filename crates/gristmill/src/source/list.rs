//! Files whose names come from a list.

use super::entry::{Ended, Entry, Item, Source};
use super::file_id::FileId;
use super::remote::{Named, Remote};
use gristmill_ingest::object::{Names, Stores};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The longest name that a list may hold, in bytes: no Linux path is longer than 4,096.
pub(crate) const MAX_NAME_BYTES: usize = 1 << 16;

/// The most empty names in a row, which are passed over: only an endless device has more.
const MAX_EMPTY_NAMES: usize = 1 << 20;

/// A list that may be written while it is read. A read does not wait for bytes that have not come yet, but fails with
/// [`io::ErrorKind::WouldBlock`].
#[derive(Debug, Clone)]
pub struct LiveList(Arc<File>);

impl LiveList {
    /// The list in a file: a pipe, a terminal, a regular file.
    pub fn new(file: File) -> Self {
        Self(Arc::new(file))
    }

    /// Waits until a read would return something, or for `timeout`. Returns whether a read would.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).ok();
        let mut asked = [PollFd::new(&*self.0, PollFlags::IN)];
        // If polling fails, the read will say why.
        poll(&mut asked, timeout.as_ref())
            .map_or_else(|error| error != rustix::io::Errno::INTR, |ready| ready > 0)
    }

    /// A reader of the rest of a regular file that does not move the list's own position; `None` for files that can be
    /// read only once.
    fn ahead(&self) -> Option<Ahead> {
        let is_file = self.0.metadata().is_ok_and(|found| found.is_file());
        let at = (&*self.0).stream_position().ok().filter(|_| is_file)?;
        Some(Ahead {
            file: Arc::clone(&self.0),
            at,
        })
    }
}

/// A file that is read by position, from `at` on.
struct Ahead {
    file: Arc<File>,
    at: u64,
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_at(into, self.at)?;
        self.at += bytes as u64;
        Ok(bytes)
    }
}

impl Read for LiveList {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.wait(Duration::ZERO) {
            (&*self.0).read(into)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

/// Whether an error says that a list's next bytes have not come yet.
pub(crate) fn is_early(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Names from a list, one per line or, with [`FileList::nul`], each ended by a NUL. Names are bytes; empty names are
/// passed over, and `-` is standard input.
pub struct FileList {
    reader: Box<dyn BufRead + Send>,
    terminator: u8,
    failed: bool,
    /// The part of the next name that has been read so far.
    begun: Vec<u8>,
    /// The list to wait for when the reader has nothing yet.
    awaited: Option<LiveList>,
    /// The number of empty names in a row so far.
    empty: usize,
    /// The stores of URLs, if names may be URLs, and what a URL is giving.
    stores: Option<Arc<dyn Stores>>,
    remote: Option<Remote>,
}

impl FileList {
    /// Names from `reader`, one per line.
    pub fn new(reader: impl BufRead + Send + 'static) -> Self {
        Self {
            reader: Box::new(reader),
            terminator: b'\n',
            failed: false,
            begun: Vec::new(),
            awaited: None,
            empty: 0,
            stores: None,
            remote: None,
        }
    }

    /// Names from a list that may be written while it is read. Each name is used as soon as it has come.
    pub fn live(list: LiveList) -> Self {
        Self {
            awaited: Some(list.clone()),
            ..Self::new(io::BufReader::new(list))
        }
    }

    /// Whether names end with a NUL rather than a newline.
    #[must_use]
    pub fn nul(mut self, yes: bool) -> Self {
        self.terminator = if yes { 0 } else { b'\n' };
        self
    }

    /// Lets names be URLs of objects, which these stores read. One that ends with `/` is all objects below it, and any
    /// other one object. `file://` URLs are the paths that they name. Default: URLs are paths.
    #[must_use]
    pub fn objects(mut self, stores: Arc<dyn Stores>) -> Self {
        self.stores = Some(stores);
        self
    }

    /// The next name; `Ok(None)` at the end.
    fn name(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let name = self.next_name()?;
        match &name {
            Some(name) if name.is_empty() => self.empty += 1,
            _ => self.empty = 0,
        }
        if self.empty > MAX_EMPTY_NAMES {
            return Err(std::io::Error::other(format!(
                "more than {MAX_EMPTY_NAMES} empty names in a row; name a list of files"
            )));
        }
        Ok(name)
    }

    fn next_name(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let name = &mut self.begun;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok((!name.is_empty()).then(|| std::mem::take(name)));
            }
            let end = memchr::memchr(self.terminator, buffer);
            let taken = end.unwrap_or(buffer.len());
            if name.len() + taken > MAX_NAME_BYTES {
                return Err(std::io::Error::other(format!(
                    "a name of more than {MAX_NAME_BYTES} bytes; check the list's separator"
                )));
            }
            name.extend_from_slice(&buffer[..taken]);
            self.reader.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(Some(std::mem::take(name)));
            }
        }
    }
}

impl Source for FileList {
    fn next_item(&mut self) -> Option<Item> {
        while !self.failed {
            if let Some(remote) = &mut self.remote {
                match remote.next_item(|_, _| true) {
                    Some(item) => return Some(item),
                    None => self.remote = None,
                }
            }
            match self.name() {
                Ok(None) => return None,
                Ok(Some(name)) if name.is_empty() => continue,
                Ok(Some(name)) => {
                    let name = PathBuf::from(OsString::from_vec(name));
                    match Named::of(name, self.stores.as_deref(), Names::Objects) {
                        Named::Path(path) => return Some(Item::Entry(Entry::listed(path))),
                        Named::Remote(remote) => self.remote = Some(remote),
                        Named::Refused(item) => return Some(item),
                    }
                }
                Err(error) if is_early(&error) => return Some(Item::Later),
                Err(error) if Ended::is_said_by(&error) => self.failed = true,
                Err(error) => {
                    self.failed = true;
                    return Some(Item::Error {
                        path: None,
                        reason: format!("cannot read the list of files: {error}"),
                    });
                }
            }
        }
        None
    }

    /// Looks for the file among the listed ones, if the list can be read twice, as a pipe cannot.
    fn written(&mut self, file: FileId) -> Option<PathBuf> {
        let ahead = self.awaited.as_ref().and_then(LiveList::ahead)?;
        let mut names = Self::new(io::BufReader::new(ahead)).nul(self.terminator == 0);
        while let Ok(Some(name)) = names.name() {
            let path = PathBuf::from(OsString::from_vec(name));
            if rustix::fs::stat(&path).is_ok_and(|found| FileId::new(&found) == file) {
                return Some(path);
            }
        }
        None
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        match &mut self.remote {
            Some(remote) => remote.wait(timeout),
            None => self.awaited.as_ref().is_none_or(|list| list.wait(timeout)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(bytes: &'static [u8], nul: bool) -> Vec<PathBuf> {
        let mut list = FileList::new(bytes).nul(nul);
        std::iter::from_fn(|| list.next_item())
            .map(|item| match item {
                Item::Entry(entry) => entry.path,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn names_end_at_the_separator_and_empty_ones_are_passed_over() {
        assert_eq!(
            paths(b"a\n\nb c\nlast", false),
            ["a", "b c", "last"].map(PathBuf::from)
        );
        assert_eq!(paths(b"a\nb\0c\0", true), ["a\nb", "c"].map(PathBuf::from));
    }

    #[test]
    fn names_are_given_as_they_come() {
        use std::io::Write;
        let (reader, mut writer) = io::pipe().unwrap();
        let mut list = FileList::live(LiveList::new(File::from(std::os::fd::OwnedFd::from(
            reader,
        ))));
        let mut next = move || match list.next_item() {
            Some(Item::Entry(entry)) => Some(entry.path),
            Some(Item::Later) => {
                assert!(!list.wait(Duration::ZERO));
                None
            }
            other => panic!("{other:?}"),
        };
        writer.write_all(b"first\nsec").unwrap();
        assert_eq!(next(), Some("first".into()));
        assert_eq!(next(), None);
        writer.write_all(b"ond\nlast").unwrap();
        assert_eq!(next(), Some("second".into()));
        assert_eq!(next(), None);
        drop(writer);
        assert_eq!(next(), Some("last".into()));
    }

    #[test]
    fn a_list_without_separators_is_refused_within_bounds() {
        let mut list = FileList::new(std::io::BufReader::new(std::io::repeat(b'x')));
        assert!(matches!(list.next_item(), Some(Item::Error { .. })));
        assert!(list.next_item().is_none());
    }

    #[test]
    fn a_list_of_separators_without_end_is_refused() {
        for (byte, nul) in [(0, true), (b'\n', false)] {
            let mut list = FileList::new(std::io::BufReader::new(std::io::repeat(byte))).nul(nul);
            assert!(matches!(list.next_item(), Some(Item::Error { .. })));
            assert!(list.next_item().is_none());
        }
    }
}
