//! Findings as rows of a table, whose columns have the names of JSON's fields.

use super::finding::{redacted, sha256, Shown};
use super::style::Style;
use gristmill_rows::{Field, Kind, RowWriter, Schema};

/// The columns of a table of findings.
#[must_use]
pub fn finding_schema() -> Schema {
    let field = |name, kind, about| Field::new(name, kind, about);
    let place = |name, about| field(name, Kind::U64, about).nullable();
    let bytes = |name, about| place(name, about).unit("bytes");
    let text = |name, about| field(name, Kind::Text, about).nullable();
    let shown = |name, about| field(name, Kind::Bytes, about).nullable().unit("bytes");
    Schema::new(
        "finding",
        1,
        "What a rule found: `scan --rules`. Where the path alone is the finding, there is nothing behind `fingerprint`.",
        [
            field("path", Kind::Path, "The file."),
            field("rule", Kind::Text, "The rule's id."),
            field("description", Kind::Text, "What the rule says of itself; may be empty."),
            field("tags", Kind::Texts, "The rule's tags."),
            field(
                "fingerprint",
                Kind::Text,
                "`PATH:RULE:LINE`, as gitleaks names a finding in a directory.",
            ),
            bytes(
                "absolute_offset",
                "Where the match begins in the file, without newlines at its ends.",
            )
            .distinct(),
            bytes("length", "The length of the match."),
            place("line_number", "The line on which the match begins, from 1."),
            place("column", "The byte of that line at which it begins, from 1."),
            place("end_line_number", "The line of the place behind the match, from 1."),
            place(
                "end_column",
                "The byte of that line at this place, from 1.",
            ),
            bytes("secret_offset", "Where the secret begins in the file.").distinct(),
            bytes("secret_length", "The length of the secret."),
            text("secret_redacted", "The secret's first characters, and `***`."),
            text(
                "secret_sha256",
                "The SHA-256 of the secret, in hexadecimal digits.",
            ),
            field(
                "entropy",
                Kind::F64,
                "Shannon's entropy of the secret.",
            )
            .nullable()
            .unit("bits per byte"),
            shown("match", "What was matched, with `--show-secrets`."),
            shown("secret", "The secret, with `--show-secrets`."),
        ],
    )
}

/// Appends a finding.
pub(super) fn finding(style: &Style, shown: &Shown<'_>, rows: &mut Vec<u8>) {
    let rule = shown.rule;
    let row = RowWriter::row(rows)
        .bytes(shown.path_bytes())
        .bytes(rule.id().as_bytes())
        .bytes(rule.description().as_bytes())
        .texts(rule.tags().iter().map(String::as_bytes))
        .bytes(shown.fingerprint().as_bytes());
    let Some(found) = &shown.found else {
        let none = (0..13).fold(row, |row, _| row.null());
        return none.end();
    };
    let secret = found.secret();
    let row = row
        .u64(found.offset)
        .u64(found.text.len() as u64)
        .u64(found.start.line)
        .u64(found.start.column)
        .u64(found.end.line)
        .u64(found.end.column)
        .u64(found.offset + found.secret_range.start as u64)
        .u64(secret.len() as u64)
        .bytes(redacted(secret).as_bytes())
        .bytes(sha256(secret).as_bytes())
        .f64(found.entropy);
    match style.show_secrets {
        true => row.bytes(found.text).bytes(secret),
        false => row.null().null(),
    }
    .end();
}
