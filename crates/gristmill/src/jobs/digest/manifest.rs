//! Rows of manifests: what a file is at a moment, in one row.

use super::algorithm::{Algorithms, Digest};
use super::chunks::Chunk;
use crate::source::Found;
use gristmill_rows::{Field, Kind, RowWriter, Schema};
use std::path::Path;

/// The name of the schema of manifests.
pub const MANIFEST: &str = "manifest";

/// The version of the schema of manifests.
pub const MANIFEST_VERSION: u32 = 1;

/// The columns of a manifest with these digests, and with or without chunks.
#[must_use]
pub fn manifest_schema(algorithms: &Algorithms, with_chunks: bool) -> Schema {
    let mut fields = vec![
        Field::new("path", Kind::Path, "The file; `-` is standard input."),
        Field::new(
            "size",
            Kind::U64,
            "Its length, as it was read; none if the file could not be read.",
        )
        .unit("bytes")
        .nullable(),
        Field::new(
            "mtime_ns",
            Kind::I64,
            "When its bytes were last changed, as the open file reported before it was read; none if it is not a regular file.",
        )
        .unit("nanoseconds since 1970-01-01 UTC")
        .nullable()
        .distinct(),
        Field::new(
            "changed",
            Kind::Bool,
            "Whether its size or time changed while it was read. Then the digests may match no state that the file ever had.",
        ),
    ];
    for algorithm in algorithms.iter() {
        let about = format!(
            "Its digest by {algorithm}, in lower-case hexadecimal digits; none if the file could not be read."
        );
        let field = Field::new(algorithm.column(), Kind::Text, about);
        fields.push(field.nullable().distinct());
    }
    if with_chunks {
        let about = "Where each of its chunks begins, with `--chunks`; chunks follow each other without gaps.";
        fields.push(
            Field::new("chunk_offsets", Kind::U64s, about)
                .unit("bytes")
                .nullable(),
        );
        let about = "The length of each of its chunks.";
        fields.push(
            Field::new("chunk_lengths", Kind::U64s, about)
                .unit("bytes")
                .nullable(),
        );
        let about = "The BLAKE3 of each of its chunks, in hexadecimal digits.";
        fields.push(Field::new("chunk_hashes", Kind::Texts, about).nullable());
    }
    let number = |name, about| Field::new(name, Kind::U64, about).nullable();
    fields.extend([
        number(
            "device",
            "The number of the device that it is on; none if it is not a regular file.",
        ),
        number(
            "inode",
            "The number of its inode there: names with the same device and inode are one file.",
        )
        .distinct(),
        Field::new(
            "error",
            Kind::Text,
            "Why the file could not be read, or the directory could not be listed.",
        )
        .nullable(),
    ]);
    Schema::new(
        MANIFEST,
        MANIFEST_VERSION,
        "A file, and what it was when it was read: `digest --manifest`. It has a column for each algorithm.",
        fields,
    )
}

/// What a row says of a file.
pub(super) struct Row<'a> {
    pub path: &'a Path,
    /// Its length as read, and its digests, one for each algorithm; none if it could not be read.
    pub read: Option<(u64, &'a [Digest])>,
    pub found: Option<Found>,
    pub changed: bool,
    /// Its chunks, if there are chunks in the manifest.
    pub chunks: Option<&'a [Chunk]>,
    pub error: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// The row of a file that was not read.
    pub fn unread(path: &'a Path, found: Option<Found>, error: &'a str) -> Self {
        Self {
            path,
            read: None,
            found,
            changed: false,
            chunks: None,
            error: Some(error),
        }
    }

    /// Appends the row to those of a manifest.
    pub fn write(&self, algorithms: &Algorithms, with_chunks: bool, rows: &mut Vec<u8>) {
        let row = RowWriter::row(rows).bytes(self.path.as_os_str().as_encoded_bytes());
        let found = self.found;
        let row = match self.read {
            Some((size, _)) => row.u64(size),
            None => row.null(),
        };
        let mut row = match found {
            Some(found) => row.i64(found.modified_ns),
            None => row.null(),
        }
        .bool(self.changed);
        let digests = self.read.map_or(&[][..], |(_, digests)| digests);
        for number in 0..algorithms.len() {
            row = match digests.get(number) {
                Some(digest) => row.bytes(digest.to_string().as_bytes()),
                None => row.null(),
            };
        }
        if with_chunks {
            row = match self.chunks {
                None => row.null().null().null(),
                Some(chunks) => {
                    let mut end = 0;
                    let offsets: Vec<u64> = (chunks.iter())
                        .map(|chunk| {
                            end += chunk.length;
                            end - chunk.length
                        })
                        .collect();
                    let digests: Vec<String> = (chunks.iter())
                        .map(|chunk| Digest::new(&chunk.digest).to_string())
                        .collect();
                    row.u64s(offsets.into_iter())
                        .u64s(chunks.iter().map(|chunk| chunk.length))
                        .texts(digests.iter().map(String::as_bytes))
                }
            };
        }
        let row = match found {
            Some(found) => row.u64(found.id.device()).u64(found.id.inode()),
            None => row.null().null(),
        };
        match self.error {
            Some(error) => row.bytes(error.as_bytes()),
            None => row.null(),
        }
        .end();
    }
}

/// Appends the row of a path that could not be read to those of a manifest.
pub fn write_unread(
    path: &Path,
    error: &str,
    algorithms: &Algorithms,
    with_chunks: bool,
    rows: &mut Vec<u8>,
) {
    let row = Row::unread(path, None, error);
    row.write(algorithms, with_chunks, rows);
}
