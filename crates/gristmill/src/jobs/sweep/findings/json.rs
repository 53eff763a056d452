//! Findings as JSON Lines: records of type `finding`, laid out as those of `scan --json`.
//!
//! `docs/rules.md` lists the fields. Their order and meaning stay.

use super::finding::{redacted, sha256, Shown};
use super::style::Style;
use crate::jobs::scan::json::{data, number, string};

/// Appends a finding.
pub(super) fn finding(style: &Style, shown: &Shown<'_>, rows: &mut Vec<u8>) {
    rows.extend_from_slice(b"{\"type\":\"finding\",\"data\":{\"path\":");
    data(rows, shown.path_bytes());
    rows.extend_from_slice(b",\"rule\":");
    string(rows, shown.rule.id());
    rows.extend_from_slice(b",\"description\":");
    string(rows, shown.rule.description());
    rows.extend_from_slice(b",\"tags\":");
    strings(rows, shown.rule.tags());
    rows.extend_from_slice(b",\"fingerprint\":");
    string(rows, &shown.fingerprint());
    if let Some(found) = &shown.found {
        number(rows, ",\"absolute_offset\":", found.offset);
        number(rows, ",\"length\":", found.text.len() as u64);
        number(rows, ",\"line_number\":", found.start.line);
        number(rows, ",\"column\":", found.start.column);
        number(rows, ",\"end_line_number\":", found.end.line);
        number(rows, ",\"end_column\":", found.end.column);
        let secret = found.secret();
        let offset = found.offset + found.secret_range.start as u64;
        number(rows, ",\"secret_offset\":", offset);
        number(rows, ",\"secret_length\":", secret.len() as u64);
        rows.extend_from_slice(b",\"secret_redacted\":");
        string(rows, &redacted(secret));
        rows.extend_from_slice(b",\"secret_sha256\":");
        string(rows, &sha256(secret));
        rows.extend_from_slice(b",\"entropy\":");
        entropy(rows, found.entropy);
        if style.show_secrets {
            rows.extend_from_slice(b",\"match\":");
            data(rows, found.text);
            rows.extend_from_slice(b",\"secret\":");
            data(rows, secret);
        }
    }
    rows.extend_from_slice(b"}}\n");
}

/// Appends an array of strings.
pub(super) fn strings(rows: &mut Vec<u8>, texts: &[String]) {
    rows.push(b'[');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            rows.push(b',');
        }
        string(rows, text);
    }
    rows.push(b']');
}

/// Appends an entropy, with three digits behind the point.
pub(super) fn entropy(rows: &mut Vec<u8>, bits: f64) {
    rows.extend_from_slice(format!("{bits:.3}").as_bytes());
}
