//! Shares: the files of a run, divided among processes or machines.
//!
//! [`plan`] lists files and their sizes, and cuts large ones into [parts](FilePart). Each [`Share`] is then a run of its
//! own, of a [`ShareSource`]: it depends on no other, may be repeated, and its rows with those of all others are those of
//! one run over all files.

use super::entry::{Entry, FilePart, Item, Origin, Source};
use super::remote::Named;
use gristmill_ingest::object::{is_url, Names, Stores};
use std::collections::VecDeque;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Parts of files begin at multiples of this, so that direct reads may.
const BLOCK: u64 = 4096;

/// The most parts of a file. Its size is what the file system says, which for a file without data may be any: parts are larger
/// where there would be more of them.
pub const MAX_PARTS: u64 = 65_536;

/// How files are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutting {
    /// The bytes of a share: small files are put together until they have as many. At least 4,096. Of a file that would be
    /// cut into more than [`MAX_PARTS`] parts they are larger.
    pub share_bytes: u64,
    /// The most files of a share.
    pub most_files: usize,
    /// Whether files with more bytes are cut into parts; else such a file is a share. All jobs of the runs must
    /// [take parts](crate::jobs::Job::takes_parts).
    pub cut: bool,
}

impl Default for Cutting {
    /// 256 MiB or 10,000 files; nothing is cut.
    fn default() -> Self {
        Self {
            share_bytes: 256 << 20,
            most_files: 10_000,
            cut: false,
        }
    }
}

/// What one process does of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Share {
    /// The files, and parts of files, in the order in which they were listed.
    pub parts: Vec<SharePart>,
}

impl Share {
    /// The bytes of all its files and parts, as they were when it was planned.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let parts = self.parts.iter().map(SharePart::bytes);
        parts.fold(0, u64::saturating_add)
    }
}

/// A file of a share, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharePart {
    /// The file, or the URL of an object, with its user, password and query, which may be secrets and which no row shows;
    /// for a failure what it is about, if that is known.
    pub path: PathBuf,
    /// Its size when it was listed, in bytes.
    pub size: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub modified: i64,
    /// The part that is wanted; `None` for all of it.
    pub part: Option<FilePart>,
    /// Why it could not be listed. The share's run tells it.
    pub failed: Option<String>,
}

impl SharePart {
    /// Its bytes, as they were when it was listed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.part {
            Some(part) => part.end.saturating_sub(part.begin),
            None => self.size,
        }
    }

    fn failed(path: PathBuf, reason: String) -> Self {
        Self {
            path,
            size: 0,
            modified: 0,
            part: None,
            failed: Some(reason),
        }
    }
}

/// When a file was last changed, in nanoseconds since 1970.
fn modified(found: &Metadata) -> i64 {
    let seconds = found.mtime().saturating_mul(1_000_000_000);
    seconds.saturating_add(found.mtime_nsec())
}

/// Divides the files of a source. What cannot be listed is part of a share, whose run tells it. Returns the shares, and
/// what is to be told that is no failure.
pub fn plan(source: &mut dyn Source, cutting: &Cutting) -> (Vec<Share>, Vec<String>) {
    let mut planning = Planning {
        cutting: Cutting {
            share_bytes: cutting.share_bytes.max(BLOCK),
            ..*cutting
        },
        shares: Vec::new(),
        open: Share::default(),
        bytes: 0,
    };
    let mut notices = Vec::new();
    while let Some(item) = source.next_item() {
        match item {
            Item::Entry(entry) => planning.take(entry),
            Item::Error { path, reason } => {
                planning.put(SharePart::failed(path.unwrap_or_default(), reason));
            }
            Item::Starved { path, reason } => {
                let _told = source.give_up();
                planning.put(SharePart::failed(path, reason));
            }
            Item::Later => {
                source.wait(std::time::Duration::from_millis(50));
            }
            Item::Notice(text) => notices.push(text),
        }
    }
    planning.end_share();
    (planning.shares, notices)
}

struct Planning {
    cutting: Cutting,
    shares: Vec<Share>,
    /// The share to which small files are added.
    open: Share,
    bytes: u64,
}

impl Planning {
    fn take(&mut self, entry: Entry) {
        let path = entry.path;
        if entry.origin == Origin::Stdin {
            let why = "standard input belongs to one process, and is not divided; name files";
            return self.put(SharePart::failed(path, why.to_owned()));
        }
        if let Origin::Object(object) = &entry.origin {
            // Only files are read in parts.
            return self.put(SharePart {
                path: object.0.whole_url().unwrap_or(path),
                size: object.0.size().unwrap_or(0),
                modified: 0,
                part: None,
                failed: None,
            });
        }
        let found = match std::fs::metadata(&path) {
            Ok(found) if found.is_file() || found.is_dir() => found,
            Ok(_) => {
                let why = "it is no regular file, which every process could read; name files";
                return self.put(SharePart::failed(path, why.to_owned()));
            }
            Err(error) => return self.put(SharePart::failed(path, error.to_string())),
        };
        let (size, modified) = (found.len(), modified(&found));
        let whole = SharePart {
            path,
            size,
            modified,
            part: None,
            failed: None,
        };
        if size <= self.cutting.share_bytes || !self.cutting.cut {
            return self.put(whole);
        }
        for (begin, end) in cut(size, self.cutting.share_bytes) {
            self.shares.push(Share {
                parts: vec![SharePart {
                    part: Some(FilePart {
                        begin,
                        end,
                        size,
                        modified,
                    }),
                    ..whole.clone()
                }],
            });
        }
    }

    /// Adds a whole file to the share that is not full yet.
    fn put(&mut self, part: SharePart) {
        let bytes = part.bytes();
        let Cutting {
            share_bytes,
            most_files,
            ..
        } = self.cutting;
        if self.bytes.saturating_add(bytes) > share_bytes || self.open.parts.len() >= most_files {
            self.end_share();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.open.parts.push(part);
    }

    fn end_share(&mut self) {
        self.bytes = 0;
        let share = std::mem::take(&mut self.open);
        if !share.parts.is_empty() {
            self.shares.push(share);
        }
    }
}

/// Where parts of about the same size begin and end, of no more than `most` bytes and some, or [`MAX_PARTS`] of them.
fn cut(size: u64, most: u64) -> impl Iterator<Item = (u64, u64)> {
    let wanted = size.div_ceil(most).min(MAX_PARTS);
    let each = size.div_ceil(wanted).next_multiple_of(BLOCK);
    let count = size.div_ceil(each);
    (0..count).map(move |number| (number * each, ((number + 1) * each).min(size)))
}

/// The files of a share, as a source.
#[derive(Debug)]
pub struct ShareSource {
    left: VecDeque<SharePart>,
    stores: Option<Arc<dyn Stores>>,
}

impl ShareSource {
    /// A source of these files and parts.
    #[must_use]
    pub fn new(share: Share) -> Self {
        Self {
            left: share.parts.into(),
            stores: None,
        }
    }

    /// Fetches what URLs name from these stores. Without them a URL is the path of a file.
    #[must_use]
    pub fn objects(mut self, stores: Arc<dyn Stores>) -> Self {
        self.stores = Some(stores);
        self
    }
}

impl Source for ShareSource {
    fn is_remote(&self) -> bool {
        self.stores.is_some() && self.left.iter().any(|part| is_url(&part.path))
    }

    fn next_item(&mut self) -> Option<Item> {
        let one = self.left.pop_front()?;
        if let Some(reason) = one.failed {
            let path = Some(one.path).filter(|path| !path.as_os_str().is_empty());
            return Some(Item::Error { path, reason });
        }
        if is_url(&one.path) {
            match Named::of(one.path.clone(), self.stores.as_deref(), Names::Objects) {
                Named::Remote(object) => return Some(Item::Entry(object.one())),
                Named::Refused(why) => return Some(why),
                Named::Path(_) => {}
            }
        }
        Some(Item::Entry(Entry {
            origin: Origin::File,
            part: one.part,
            ..Entry::named(one.path)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;

    #[test]
    fn parts_cover_a_file_once() {
        for (size, most) in [
            (1, 4096),
            (4097, 4096),
            (1 << 30, 300 << 20),
            (12_345_678, 8192),
        ] {
            let mut at = 0;
            for (begin, end) in cut(size, most) {
                assert_eq!(begin, at);
                assert!(end > at && end - at <= most.next_multiple_of(BLOCK));
                at = end;
            }
            assert_eq!(at, size);
        }
    }

    #[test]
    fn no_size_makes_more_parts_than_are_allowed() {
        for (size, most) in [
            (i64::MAX as u64, 256 << 20),
            (1 << 40, 4096),
            (7 << 60, 4096),
        ] {
            assert!(cut(size, most).take(65_537).count() <= 65_536);
            let mut at = 0;
            for (begin, end) in cut(size, most) {
                assert!(begin == at && begin % BLOCK == 0 && end > at);
                at = end;
            }
            assert_eq!(at, size);
        }
        // Those that a file has without the bound stay as they are.
        assert_eq!(cut(65_536 * 4096, 4096).count(), 65_536);
    }

    #[test]
    fn the_bytes_of_a_share_are_told_for_any_sizes() {
        let huge = SharePart {
            size: u64::MAX,
            ..SharePart::failed(PathBuf::from("huge"), String::new())
        };
        let parts = vec![huge.clone(), huge];
        assert_eq!(Share { parts }.bytes(), u64::MAX);
    }

    #[test]
    fn small_files_share_and_large_ones_are_cut() {
        let directory = tempfile::tempdir().unwrap();
        for (name, size) in [("a", 3000), ("b", 1000), ("c", 20_000), ("d", 10)] {
            std::fs::write(directory.path().join(name), vec![b'x'; size]).unwrap();
        }
        let gone = directory.path().join("gone");
        let divided = |cut| {
            let tree = Tree::new([directory.path().to_owned(), gone.clone()]).sorted(true);
            let cutting = Cutting {
                share_bytes: 8192,
                cut,
                ..Cutting::default()
            };
            let (shares, notices) = plan(&mut tree.walk().unwrap(), &cutting);
            assert!(notices.is_empty());
            shares
        };
        let shown = |shares: &[Share]| -> Vec<Vec<(String, u64)>> {
            let each = |part: &SharePart| {
                let name = part.path.file_name().unwrap_or_default().to_string_lossy();
                (name.into_owned(), part.bytes())
            };
            let parts = |share: &Share| share.parts.iter().map(each).collect();
            shares.iter().map(parts).collect()
        };
        let of = |name: &str, bytes| (name.to_owned(), bytes);
        assert_eq!(
            shown(&divided(true)),
            [
                vec![of("c", 8192)],
                vec![of("c", 8192)],
                vec![of("c", 3616)],
                vec![of("a", 3000), of("b", 1000), of("d", 10), of("gone", 0)],
            ]
        );
        let whole = shown(&divided(false));
        assert_eq!(whole[1], [of("c", 20_000)]);
        let last = divided(true).pop().unwrap();
        let items: Vec<Item> = {
            let mut source = ShareSource::new(last);
            std::iter::from_fn(move || source.next_item()).collect()
        };
        assert!(matches!(&items[3], Item::Error { path: Some(path), .. } if *path == gone));
    }
}
