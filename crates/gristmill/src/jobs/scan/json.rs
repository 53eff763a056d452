//! The JSON Lines that ripgrep prints with `--json`, and one type of record that ripgrep does not have.
//!
//! `begin`, `match`, `context`, `end` and `summary` have ripgrep's fields in ripgrep's order. With `--all` each
//! occurrence is a record of type `occurrence`, and there are no `begin` and `end` records. Bytes that are UTF-8 are
//! `{"text": ...}`, others `{"bytes": ...}` in base64.

use super::decimal::decimal;
use super::line::Line;
use super::totals::ScanTotals;
use crate::jobs::names;
use std::io::{self, Write};
use std::time::Duration;

/// A JSON string. Escapes are those of serde_json, which ripgrep uses too.
pub(in crate::jobs) fn string(rows: &mut Vec<u8>, text: &str) {
    // A Vec takes any bytes, and a string always has a JSON form: this cannot fail.
    let _ = serde_json::to_writer(&mut *rows, text);
}

/// Writes bytes as text if they are UTF-8, and in base64 if not.
pub(in crate::jobs) fn data(rows: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            rows.extend_from_slice(b"{\"text\":");
            string(rows, text);
        }
        Err(_) => {
            rows.extend_from_slice(b"{\"bytes\":\"");
            rows.extend_from_slice(names::base64(bytes).as_bytes());
            rows.push(b'"');
        }
    }
    rows.push(b'}');
}

/// Appends `name`, which holds all that stands between two values, and a number.
pub(in crate::jobs) fn number(rows: &mut Vec<u8>, name: &str, value: u64) {
    rows.extend_from_slice(name.as_bytes());
    decimal(rows, value);
}

/// `begin`: the first match of a file follows.
pub(super) fn begin(rows: &mut Vec<u8>, path: &[u8]) {
    rows.extend_from_slice(b"{\"type\":\"begin\",\"data\":{\"path\":");
    data(rows, path);
    rows.extend_from_slice(b"}}\n");
}

/// What stands in a line: start and end of a match, and what replaces it, if something does.
pub(super) type Submatch<'a> = dyn FnMut((usize, usize), Option<&[u8]>) + 'a;

/// `match` or `context`: a line, with the matches for which `each` calls its argument. `line_number` is optional.
pub(super) fn line(
    rows: &mut Vec<u8>,
    path: &[u8],
    line: Line<'_>,
    line_number: Option<u64>,
    each: impl FnOnce(&mut Submatch<'_>),
) {
    rows.extend_from_slice(if line.context {
        b"{\"type\":\"context\",\"data\":{\"path\":"
    } else {
        b"{\"type\":\"match\",\"data\":{\"path\":"
    });
    data(rows, path);
    rows.extend_from_slice(b",\"lines\":");
    data(rows, line.bytes);
    match line_number {
        Some(value) => number(rows, ",\"line_number\":", value),
        None => rows.extend_from_slice(b",\"line_number\":null"),
    }
    number(rows, ",\"absolute_offset\":", line.offset);
    rows.extend_from_slice(b",\"submatches\":[");
    let mut first = true;
    each(&mut |(start, end), replacement| {
        if !std::mem::replace(&mut first, false) {
            rows.push(b',');
        }
        rows.extend_from_slice(b"{\"match\":");
        data(rows, &line.bytes[start..end]);
        if let Some(replacement) = replacement {
            rows.extend_from_slice(b",\"replacement\":");
            data(rows, replacement);
        }
        number(rows, ",\"start\":", start as u64);
        number(rows, ",\"end\":", end as u64);
        rows.push(b'}');
    });
    rows.extend_from_slice(b"]}}\n");
}

/// `end`: the end of a file whose matches were printed.
pub(super) fn end(rows: &mut Vec<u8>, path: &[u8], nul: Option<u64>, totals: &ScanTotals) {
    rows.extend_from_slice(b"{\"type\":\"end\",\"data\":{\"path\":");
    data(rows, path);
    match nul {
        Some(offset) => number(rows, ",\"binary_offset\":", offset),
        None => rows.extend_from_slice(b",\"binary_offset\":null"),
    }
    let time = totals.elapsed;
    rows.extend_from_slice(b",\"stats\":{\"elapsed\":{");
    number(rows, "\"secs\":", time.as_secs());
    number(rows, ",\"nanos\":", u64::from(time.subsec_nanos()));
    rows.extend_from_slice(format!(",\"human\":\"{:.6}s\"}}", time.as_secs_f64()).as_bytes());
    number(rows, ",\"searches\":", totals.searches);
    number(
        rows,
        ",\"searches_with_match\":",
        totals.searches_with_match,
    );
    number(rows, ",\"bytes_searched\":", totals.bytes_searched);
    number(rows, ",\"bytes_printed\":", totals.bytes_printed);
    number(rows, ",\"matched_lines\":", totals.matched_lines);
    number(rows, ",\"matches\":", totals.matches);
    rows.extend_from_slice(b"}}}\n");
}

impl ScanTotals {
    /// Writes the totals as the `summary` record of ripgrep's `--json`.
    ///
    /// # Errors
    /// The error of `output`.
    pub fn write_json(&self, output: &mut dyn Write, elapsed: Duration) -> io::Result<()> {
        let duration = |time: Duration| {
            format!(
                "{{\"human\":\"{:.6}s\",\"nanos\":{},\"secs\":{}}}",
                time.as_secs_f64(),
                time.subsec_nanos(),
                time.as_secs()
            )
        };
        writeln!(
            output,
            "{{\"data\":{{\"elapsed_total\":{},\"stats\":{{\"bytes_printed\":{},\"bytes_searched\":{},\"elapsed\":{},\
             \"matched_lines\":{},\"matches\":{},\"searches\":{},\"searches_with_match\":{}}}}},\"type\":\"summary\"}}",
            duration(elapsed),
            self.bytes_printed,
            self.bytes_searched,
            duration(self.elapsed),
            self.matched_lines,
            self.matches,
            self.searches,
            self.searches_with_match,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_base64() {
        for (bytes, text) in [
            (&b"\xff"[..], "/w=="),
            (b"\xff\xfe", "//4="),
            (b"\xff\xfe\x00", "//4A"),
            (b"\xffabc", "/2FiYw=="),
        ] {
            let mut rows = Vec::new();
            data(&mut rows, bytes);
            assert_eq!(rows, format!("{{\"bytes\":\"{text}\"}}").as_bytes());
        }
    }

    #[test]
    fn every_record_is_json() {
        let mut rows = Vec::new();
        let totals = ScanTotals::default();
        begin(&mut rows, b"a\"b");
        let text = Line {
            bytes: b"x\x01y\n",
            offset: 7,
            number: 0,
            context: false,
            replaced: None,
        };
        line(&mut rows, b"p", text, None, |found| {
            found((0, 1), Some(b"new"));
            found((2, 3), None);
        });
        end(&mut rows, b"\xff", Some(3), &totals);
        totals
            .write_json(&mut rows, Duration::from_millis(1500))
            .unwrap();
        let text = String::from_utf8(rows).unwrap();
        let records: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(records.len(), 4);
        let submatches = &records[1]["data"]["submatches"];
        assert_eq!(submatches[0]["replacement"]["text"], "new");
        assert_eq!(submatches[1]["match"]["text"], "y");
        assert_eq!(records[3]["data"]["elapsed_total"]["human"], "1.500000s");
    }
}
