//! Findings as lines: `PATH:LINE:COLUMN: RULE: SECRET`, which editors and terminals open at the place.

use super::finding::{redacted, Shown};
use super::style::Style;
use crate::jobs::scan::json::number;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// ripgrep's colours of paths, line numbers and matches.
const PATH: &str = "\x1b[35m";
const LINE: &str = "\x1b[32m";
const MATCH: &str = "\x1b[1m\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// Appends a finding.
pub(super) fn finding(style: &Style, shown: &Shown<'_>, rows: &mut Vec<u8>) {
    path_and_end(style, shown.path, b":", rows);
    if let Some(found) = &shown.found {
        let between = if style.color { (LINE, PLAIN) } else { ("", "") };
        number(rows, between.0, found.start.line);
        number(
            rows,
            &format!("{}:{}", between.1, between.0),
            found.start.column,
        );
        rows.extend_from_slice(between.1.as_bytes());
        rows.push(b':');
    }
    rows.push(b' ');
    escaped(shown.rule.id().as_bytes(), rows);
    if let Some(found) = &shown.found {
        rows.extend_from_slice(b": ");
        let secret = found.secret();
        colored(style, MATCH, rows, |rows| {
            if style.show_secrets {
                escaped(secret, rows);
            } else {
                escaped(redacted(secret).as_bytes(), rows);
            }
        });
        if !style.show_secrets {
            number(rows, " (", secret.len() as u64);
            rows.extend_from_slice(b" bytes)");
        }
    }
    rows.push(b'\n');
}

/// Appends a file's path, and how many findings it has.
pub(super) fn count(style: &Style, path: &Path, count: u64, rows: &mut Vec<u8>) {
    path_and_end(style, path, b":", rows);
    number(rows, "", count);
    rows.push(b'\n');
}

/// Appends the path of a file that has findings.
pub(super) fn path(style: &Style, path: &Path, rows: &mut Vec<u8>) {
    path_and_end(style, path, b"\n", rows);
}

fn path_and_end(style: &Style, path: &Path, end: &[u8], rows: &mut Vec<u8>) {
    let path = path.as_os_str().as_bytes();
    colored(style, PATH, rows, |rows| {
        if style.null {
            rows.extend_from_slice(path);
        } else {
            escaped(path, rows);
        }
    });
    rows.extend_from_slice(if style.null { b"\0" } else { end });
}

fn colored(style: &Style, color: &str, rows: &mut Vec<u8>, text: impl FnOnce(&mut Vec<u8>)) {
    if style.color {
        rows.extend_from_slice(color.as_bytes());
        text(rows);
        rows.extend_from_slice(PLAIN.as_bytes());
    } else {
        text(rows);
    }
}

/// Appends a text without what would end the line or move a terminal's cursor. Bytes that are not UTF-8 stay, but for those
/// that a terminal may take for control characters.
fn escaped(text: &[u8], rows: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                rows.extend(character.escape_default().map(|escape| escape as u8));
            } else {
                rows.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        for byte in chunk.invalid() {
            match byte {
                0x80..=0x9F => rows.extend(std::ascii::escape_default(*byte)),
                byte => rows.push(*byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_escaped() {
        for (text, shown) in [
            (&b"a b\\"[..], &b"a b\\"[..]),
            (b"\x1b[2J\r\n\t\x7f", b"\\u{1b}[2J\\r\\n\\t\\u{7f}"),
            ("é\u{9b}2J".as_bytes(), "é\\u{9b}2J".as_bytes()),
            (b"\x9b2J\xff", b"\\x9b2J\xff"),
        ] {
            let mut rows = Vec::new();
            escaped(text, &mut rows);
            assert_eq!(rows, shown);
        }
    }
}
