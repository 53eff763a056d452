//! Rows for matches, in lines of text, as JSON, or of a table: path, byte offset, length and the pattern's name.

use crate::jobs::scan::colored::{MATCH, PATH, RESET};
use crate::jobs::scan::decimal::decimal;
use crate::jobs::scan::json;
use gristmill_rows::{Field, Kind, RowWriter, Schema};

/// How rows are composed.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::jobs) struct OccurrenceRows {
    /// Whether rows name their file.
    pub path: bool,
    /// ANSI escapes.
    pub color: bool,
    /// Paths end with a NUL rather than `:` or a newline.
    pub null: bool,
    /// Records of JSON Lines rather than text.
    pub json: bool,
    /// Rows of a table, whose columns are [`occurrence_schema`]'s.
    pub table: bool,
}

/// The columns of a table of matches.
#[must_use]
pub fn occurrence_schema() -> Schema {
    let bytes = |name, about| {
        let field = Field::new(name, Kind::Bytes, about);
        field.nullable().distinct().unit("bytes")
    };
    Schema::new(
        "occurrence",
        1,
        "A match of a pattern: `scan --all`.",
        [
            Field::new("path", Kind::Path, "The file."),
            Field::new(
                "absolute_offset",
                Kind::U64,
                "Where the match begins in the file.",
            )
            .distinct()
            .unit("bytes"),
            Field::new("length", Kind::U64, "The length of the match.").unit("bytes"),
            Field::new(
                "pattern_index",
                Kind::U64,
                "The pattern's number, from 0, in the order in which patterns were given.",
            ),
            Field::new("pattern", Kind::Text, "The pattern."),
            bytes(
                "before",
                "The bytes of the file before the match, with `--context-bytes`.",
            ),
            bytes("match", "The bytes of the match, with `--context-bytes`."),
            bytes(
                "after",
                "The bytes of the file behind the match, with `--context-bytes`.",
            ),
        ],
    )
}

/// A match, as a row shows it.
#[derive(Debug, Clone, Copy)]
pub(in crate::jobs) struct Occurrence<'a> {
    pub path: &'a [u8],
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The pattern's number.
    pub index: u32,
    /// The pattern's name.
    pub name: &'a [u8],
    /// The bytes before the match, those of the match and those behind it, if they are shown.
    pub around: Option<[&'a [u8]; 3]>,
}

impl OccurrenceRows {
    /// Appends the row of a match. `piece` is the length of `rows` before the first of the rows that are made at one time
    /// of one file: of a table, these have their path in common.
    pub fn occurrence(&self, rows: &mut Vec<u8>, piece: usize, found: &Occurrence<'_>) {
        if self.table {
            if rows.len() == piece {
                RowWriter::common(rows).bytes(found.path).end();
            }
            let row = RowWriter::rest(rows)
                .u64(found.offset)
                .u64(found.length)
                .u64(found.index.into())
                .bytes(found.name);
            match found.around {
                Some([before, text, after]) => row.bytes(before).bytes(text).bytes(after),
                None => row.null().null().null(),
            }
            .end();
            return;
        }
        if self.json {
            rows.extend_from_slice(b"{\"type\":\"occurrence\",\"data\":{\"path\":");
            json::data(rows, found.path);
            json::number(rows, ",\"absolute_offset\":", found.offset);
            json::number(rows, ",\"length\":", found.length);
            json::number(rows, ",\"pattern_index\":", u64::from(found.index));
            rows.extend_from_slice(b",\"pattern\":");
            json::data(rows, found.name);
            if let Some(around) = found.around {
                for (name, bytes) in [",\"before\":", ",\"match\":", ",\"after\":"]
                    .iter()
                    .zip(around)
                {
                    rows.extend_from_slice(name.as_bytes());
                    json::data(rows, bytes);
                }
            }
            rows.extend_from_slice(b"}}\n");
            return;
        }
        if self.path {
            self.path_field(rows, found.path, b":");
        }
        self.number(rows, found.offset);
        self.number(rows, found.length);
        self.colored(rows, MATCH, found.name);
        rows.push(b'\n');
    }

    /// Appends the row of a file with a number of matches.
    pub fn count(&self, rows: &mut Vec<u8>, path: &[u8], count: u64) {
        if self.path {
            self.path_field(rows, path, b":");
        }
        decimal(rows, count);
        rows.push(b'\n');
    }

    /// Appends a path as a row of its own.
    pub fn path_line(&self, rows: &mut Vec<u8>, path: &[u8]) {
        self.path_field(rows, path, b"\n");
    }

    fn path_field(&self, rows: &mut Vec<u8>, path: &[u8], separator: &[u8]) {
        self.colored(rows, PATH, path);
        rows.extend_from_slice(if self.null { b"\0" } else { separator });
    }

    fn number(&self, rows: &mut Vec<u8>, number: u64) {
        if self.color {
            rows.extend_from_slice(RESET);
        }
        decimal(rows, number);
        if self.color {
            rows.extend_from_slice(RESET);
        }
        rows.push(b':');
    }

    fn colored(&self, rows: &mut Vec<u8>, color: &[u8], text: &[u8]) {
        if self.color {
            rows.extend_from_slice(color);
        }
        rows.extend_from_slice(text);
        if self.color {
            rows.extend_from_slice(RESET);
        }
    }
}
