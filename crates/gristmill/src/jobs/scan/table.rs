//! Lines as rows of a table, whose columns have the names of JSON's fields.

use super::line::Line;
use gristmill_rows::{Field, Kind, RowWriter, Schema};

/// The columns of a table of lines.
#[must_use]
pub fn line_schema() -> Schema {
    let places = |name, about| Field::new(name, Kind::U64s, about).unit("bytes");
    Schema::new(
        "line",
        1,
        "A line with a match, or with `-v` without one: `scan`.",
        [
            Field::new("path", Kind::Path, "The file."),
            Field::new(
                "type",
                Kind::Text,
                "`match`, or `context` for a context line.",
            ),
            Field::new("line_number", Kind::U64, "The number of the line, from 1.").distinct(),
            Field::new(
                "absolute_offset",
                Kind::U64,
                "Where the line begins in the file.",
            )
            .distinct()
            .unit("bytes"),
            Field::new(
                "lines",
                Kind::Text,
                "The line, with the newline that it ends with.",
            )
            .distinct(),
            Field::new(
                "lines_bytes",
                Kind::Bytes,
                "The same as bytes, where it is not UTF-8.",
            )
            .nullable()
            .distinct(),
            places(
                "match_starts",
                "Where each of its matches begins, from the beginning of the line.",
            ),
            places("match_ends", "Where each of them ends."),
        ],
    )
}

/// Appends the row of a line with these matches.
pub(super) fn line(rows: &mut Vec<u8>, path: &[u8], line: Line<'_>, matches: &[(usize, usize)]) {
    let kind: &[u8] = if line.context { b"context" } else { b"match" };
    let row = RowWriter::row(rows)
        .bytes(path)
        .bytes(kind)
        .u64(line.number)
        .u64(line.offset)
        .bytes(line.bytes);
    let row = match std::str::from_utf8(line.bytes) {
        Ok(_) => row.null(),
        Err(_) => row.bytes(line.bytes),
    };
    row.u64s(matches.iter().map(|found| found.0 as u64))
        .u64s(matches.iter().map(|found| found.1 as u64))
        .end();
}
