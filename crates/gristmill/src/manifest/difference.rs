//! A difference between two manifests, and how rows show it.

use super::table::FileRow;
use crate::jobs::digest::{Algorithm, Digest};
use crate::jobs::names as shown;
use gristmill_rows::{Field, Kind, RowWriter, Schema};
use serde_json::{json, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What has become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It is in the new manifest alone.
    Added,
    /// It is in the old one alone.
    Removed,
    /// Its content is another.
    Changed,
    /// The same content has another name. Files of no bytes are not told apart, and never moved.
    Moved,
    /// Its content is another, though its size and time are the same, as where a disk has lost bits.
    Rot,
    /// It could not be read on one side, or the directory that it lies in could not be listed, so that nothing is known.
    Unread,
}

impl Change {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Moved => "moved",
            Self::Rot => "rot",
            Self::Unread => "unread",
        }
    }
}

/// A difference between two manifests.
#[derive(Debug, Clone, Copy)]
pub struct Difference<'m> {
    /// What has become of the file.
    pub change: Change,
    /// The name in the new manifest, or in the old one if it is in that alone. Without the prefixes that
    /// [`Names`](super::Names) leaves out.
    pub name: &'m [u8],
    /// The name before a move.
    pub old_name: Option<&'m [u8]>,
    /// What the old manifest says of it.
    pub old: Option<FileRow<'m>>,
    /// What the new manifest says of it.
    pub new: Option<FileRow<'m>>,
    /// Its digests in the old manifest and the new one.
    pub(super) digests: [Option<Digest>; 2],
    /// How these were made.
    pub(super) algorithm: Algorithm,
}

impl Difference<'_> {
    /// Why nothing is known of it, where a manifest says so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        let of = |file: &Option<FileRow<'_>>| file.is_some_and(|file| file.size.is_none());
        match (self.change, of(&self.new)) {
            (Change::Unread, true) => self.new?.error,
            (Change::Unread, false) if of(&self.old) => self.old?.error,
            (Change::Unread, false) => Some("the directory could not be read"),
            _ => None,
        }
    }

    /// A record of JSON, of the type `difference`.
    #[must_use]
    pub fn json(&self) -> String {
        let path = |name: &[u8]| shown::json(Path::new(OsStr::from_bytes(name)));
        let file = |file: Option<FileRow<'_>>, digest: Option<Digest>| match file {
            None => Value::Null,
            Some(file) => json!({
                "path": path(file.path),
                "size": file.size,
                "mtime_ns": file.modified_ns,
                "digest": digest.map(|digest| digest.to_string()),
            }),
        };
        let [old, new] = self.digests;
        let record = json!({
            "type": "difference",
            "change": self.change.name(),
            "path": path(self.name),
            "old_path": self.old_name.map(path),
            "algorithm": self.algorithm.name(),
            "old": file(self.old, old),
            "new": file(self.new, new),
            "reason": self.reason(),
        });
        record.to_string()
    }

    /// Appends a row to those of a table of the schema [`difference_schema`].
    pub fn write_row(&self, rows: &mut Vec<u8>) {
        fn or_null<'r, T>(
            row: RowWriter<'r>,
            value: Option<T>,
            add: impl FnOnce(RowWriter<'r>, T) -> RowWriter<'r>,
        ) -> RowWriter<'r> {
            match value {
                Some(value) => add(row, value),
                None => row.null(),
            }
        }
        let row = RowWriter::row(rows).bytes(self.name);
        let row = row.bytes(self.change.name().as_bytes());
        let mut row = or_null(row, self.old_name, |row, name| row.bytes(name));
        for file in [self.old, self.new] {
            row = or_null(row, file.and_then(|file| file.size), RowWriter::u64);
        }
        for file in [self.old, self.new] {
            row = or_null(row, file.and_then(|file| file.modified_ns), RowWriter::i64);
        }
        row = row.bytes(self.algorithm.name().as_bytes());
        for digest in self.digests {
            row = or_null(row, digest, |row, digest| {
                row.bytes(digest.to_string().as_bytes())
            });
        }
        or_null(row, self.reason(), |row, reason| {
            row.bytes(reason.as_bytes())
        })
        .end();
    }
}

/// The columns of a table of differences.
#[must_use]
pub fn difference_schema() -> Schema {
    let text = |name, about| Field::new(name, Kind::Text, about);
    let number = |name, kind, about| Field::new(name, kind, about).nullable();
    let since = "nanoseconds since 1970-01-01 UTC";
    Schema::new(
        "difference",
        1,
        "A file that differs between two manifests: `diff`.",
        [
            Field::new(
                "path",
                Kind::Path,
                "Its name in the new manifest, or in the old one if it is in that alone.",
            ),
            text(
                "change",
                "`added`, `removed`, `changed`, `moved`, `rot` or `unread`.",
            ),
            Field::new("old_path", Kind::Path, "Its name before a move.").nullable(),
            number("old_size", Kind::U64, "Its size in the old manifest.").unit("bytes"),
            number("new_size", Kind::U64, "Its size in the new one.").unit("bytes"),
            number(
                "old_mtime_ns",
                Kind::I64,
                "When it was last changed, in the old manifest.",
            )
            .unit(since),
            number(
                "new_mtime_ns",
                Kind::I64,
                "When it was last changed, in the new one.",
            )
            .unit(since),
            text(
                "algorithm",
                "How the digests were made: the first that both manifests have.",
            ),
            text("old_digest", "Its digest in the old manifest.").nullable(),
            text("new_digest", "Its digest in the new one.").nullable(),
            text("reason", "Why nothing is known of it.").nullable(),
        ],
    )
}
