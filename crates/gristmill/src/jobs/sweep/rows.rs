//! Rows for matches: path, byte offset, length and the pattern's name.

use crate::jobs::names;
use serde_json::{json, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const PATH: &[u8] = b"\x1b[0m\x1b[35m";
const MATCH: &[u8] = b"\x1b[0m\x1b[1m\x1b[31m";
const RESET: &[u8] = b"\x1b[0m";

/// How rows are composed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OccurrenceRows {
    /// Whether rows name their file.
    pub path: bool,
    /// ANSI escapes.
    pub color: bool,
    /// Paths end with a NUL rather than `:` or a newline.
    pub null: bool,
    /// Records of JSON Lines rather than text.
    pub json: bool,
}

/// A match, as a row shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occurrence<'a> {
    pub path: &'a [u8],
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The pattern's number.
    pub index: u32,
    /// The pattern's name.
    pub name: &'a [u8],
}

impl OccurrenceRows {
    /// Appends the row of a match.
    pub fn occurrence(&self, rows: &mut Vec<u8>, found: &Occurrence<'_>) {
        if self.json {
            let record = json!({
                "type": "occurrence",
                "data": {
                    "path": names::json(Path::new(OsStr::from_bytes(found.path))),
                    "absolute_offset": found.offset,
                    "length": found.length,
                    "pattern_index": found.index,
                    "pattern": text_or_bytes(found.name),
                },
            });
            rows.extend_from_slice(record.to_string().as_bytes());
            rows.push(b'\n');
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
        rows.extend_from_slice(count.to_string().as_bytes());
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
        rows.extend_from_slice(number.to_string().as_bytes());
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

/// Bytes in JSON, as ripgrep has them: text if they are UTF-8, else base64.
fn text_or_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "bytes": names::base64(bytes) }),
    }
}
