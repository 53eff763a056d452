//! Files whose names come from a list.

use super::{stdin_entry, Ended, Entry, Item, Origin, Source};
use std::ffi::OsString;
use std::io::BufRead;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Longest name that a list may hold, in bytes: no Linux path is longer than 4,096.
const MAX_NAME_BYTES: usize = 1 << 16;

/// Most empty names in a row, which are passed over: nothing but an endless device has more.
const MAX_EMPTY_NAMES: usize = 1 << 20;

/// Names from a list, one a line or, with [`FileList::nul`], each ended by a NUL. Names are bytes; empty ones are passed
/// over, `-` is standard input.
pub struct FileList {
    reader: Box<dyn BufRead + Send>,
    terminator: u8,
    failed: bool,
    /// Empty names in a row, up to here.
    empty: usize,
}

impl FileList {
    /// Names from `reader`, one a line.
    pub fn new(reader: impl BufRead + Send + 'static) -> Self {
        Self {
            reader: Box::new(reader),
            terminator: b'\n',
            failed: false,
            empty: 0,
        }
    }

    /// Whether names end with a NUL rather than a newline.
    #[must_use]
    pub fn nul(mut self, yes: bool) -> Self {
        self.terminator = if yes { 0 } else { b'\n' };
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
        let mut name = Vec::new();
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok((!name.is_empty()).then_some(name));
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
                return Ok(Some(name));
            }
        }
    }
}

impl Source for FileList {
    fn next_item(&mut self) -> Option<Item> {
        while !self.failed {
            match self.name() {
                Ok(None) => return None,
                Ok(Some(name)) if name.is_empty() => continue,
                Ok(Some(name)) if name == b"-" => return Some(Item::Entry(stdin_entry())),
                Ok(Some(name)) => {
                    return Some(Item::Entry(Entry {
                        path: PathBuf::from(OsString::from_vec(name)),
                        explicit: true,
                        origin: Origin::Special,
                        root: None,
                        sequence: 0,
                    }))
                }
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
