//! Findings as a SARIF 2.1.0 log (OASIS, "Static Analysis Results Interchange Format"): one document with one run.
//!
//! The rules come first, then a result for each finding as it comes, and last how the run ended. Each result is written
//! with the comma before it; [`SarifWriter`] leaves out the first.

mod uri;

use super::finding::{redacted, sha256, without_dot, Shown};
use super::json::{entropy, strings};
use super::style::Style;
use crate::jobs::names;
use crate::jobs::scan::json::{number, string};
use gristmill_rules::RuleSet;
use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The schema that logs say they follow.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What a log says of a file that was not searched, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The file, if one is meant.
    pub path: Option<PathBuf>,
    /// What happened.
    pub text: String,
    /// Whether it is a failure.
    pub error: bool,
}

/// For each rule, its place in the list of rules, which has each id once.
pub(super) fn rule_indices(rules: &RuleSet) -> Vec<u32> {
    let mut places: HashMap<&str, u32> = HashMap::new();
    let indices = rules.rules().iter().map(|rule| {
        let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
        *places.entry(rule.id()).or_insert(next)
    });
    indices.collect()
}

/// Appends a result, of the rule with this place in the list of rules.
pub(super) fn result(style: &Style, index: u32, shown: &Shown<'_>, rows: &mut Vec<u8>) {
    rows.extend_from_slice(b",\n{\"ruleId\":");
    string(rows, shown.rule.id());
    number(rows, ",\"ruleIndex\":", u64::from(index));
    rows.extend_from_slice(b",\"message\":{\"text\":");
    let message = match &shown.found {
        Some(found) => format!("{}: {}", shown.rule.id(), redacted(found.secret())),
        None => format!("{}: found by the path", shown.rule.id()),
    };
    string(rows, &message);
    rows.extend_from_slice(
        b"},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":",
    );
    string(rows, &uri::of(without_dot(shown.path_bytes())));
    rows.push(b'}');
    let Some(found) = &shown.found else {
        rows.extend_from_slice(b"}}]}");
        return;
    };
    number(rows, ",\"region\":{\"startLine\":", found.start.line);
    if let Some((start, end)) = found.characters {
        number(rows, ",\"startColumn\":", start);
        number(rows, ",\"endLine\":", found.end.line);
        number(rows, ",\"endColumn\":", end);
    } else {
        number(rows, ",\"endLine\":", found.end.line);
    }
    number(rows, ",\"byteOffset\":", found.offset);
    number(rows, ",\"byteLength\":", found.text.len() as u64);
    if style.show_secrets {
        rows.extend_from_slice(b",\"snippet\":{");
        match std::str::from_utf8(found.text) {
            Ok(text) => {
                rows.extend_from_slice(b"\"text\":");
                string(rows, text);
            }
            Err(_) => {
                rows.extend_from_slice(b"\"binary\":");
                string(rows, &names::base64(found.text));
            }
        }
        rows.push(b'}');
    }
    rows.extend_from_slice(b"}}}],\"partialFingerprints\":{\"secretSha256/v1\":");
    string(rows, &sha256(found.secret()));
    rows.extend_from_slice(b"},\"properties\":{\"entropy\":");
    entropy(rows, found.entropy);
    rows.extend_from_slice(b",\"fingerprint\":");
    string(rows, &shown.fingerprint());
    rows.extend_from_slice(b"}}");
}

/// A writer for the results of a run, which makes a whole log of them.
#[derive(Debug)]
pub struct SarifWriter<W> {
    output: W,
    /// What stands before the results, until it is written.
    head: Vec<u8>,
    /// Whether a result was written.
    results: bool,
}

impl<W: Write> SarifWriter<W> {
    /// Writes to `output`. A log is whole once [`sarif_tail`](super::sarif_tail) was written behind the results.
    #[must_use]
    pub fn new(output: W, rules: &RuleSet) -> Self {
        let mut head = Vec::from(b"{\"$schema\":");
        string(&mut head, SCHEMA);
        head.extend_from_slice(
            b",\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"gristmill\"",
        );
        head.extend_from_slice(b",\"version\":");
        string(&mut head, env!("CARGO_PKG_VERSION"));
        head.extend_from_slice(b",\"informationUri\":");
        string(&mut head, env!("CARGO_PKG_REPOSITORY"));
        head.extend_from_slice(b",\"rules\":[");
        let mut first = 0;
        for (rule, index) in rules.rules().iter().zip(rule_indices(rules)) {
            // The first rule with an id stands for all.
            if index < first {
                continue;
            }
            head.extend_from_slice(if first == 0 { b"\n" } else { b",\n" });
            first += 1;
            head.extend_from_slice(b"{\"id\":");
            string(&mut head, rule.id());
            if !rule.description().is_empty() {
                head.extend_from_slice(b",\"shortDescription\":{\"text\":");
                string(&mut head, rule.description());
                head.push(b'}');
            }
            if !rule.tags().is_empty() {
                head.extend_from_slice(b",\"properties\":{\"tags\":");
                let mut tags = rule.tags().to_vec();
                tags.sort_unstable();
                // A tag is there once, says the schema.
                tags.dedup();
                strings(&mut head, &tags);
                head.push(b'}');
            }
            head.push(b'}');
        }
        head.extend_from_slice(b"]}},\"columnKind\":\"unicodeCodePoints\",\"results\":[");
        Self {
            output,
            head,
            results: false,
        }
    }
}

/// What stands behind the results: how the run ended, with its exit code, and what is to be said about files.
///
/// A log is whole only with this behind the last result.
#[must_use]
pub fn tail(successful: bool, exit_code: u8, notices: &[Notice]) -> Vec<u8> {
    let mut tail = Vec::from(b"],\"invocations\":[{\"executionSuccessful\":");
    tail.extend_from_slice(if successful { b"true" } else { b"false" });
    number(&mut tail, ",\"exitCode\":", u64::from(exit_code));
    tail.extend_from_slice(b",\"toolExecutionNotifications\":[");
    for (index, notice) in notices.iter().enumerate() {
        tail.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        tail.extend_from_slice(b"{\"level\":");
        string(&mut tail, if notice.error { "error" } else { "note" });
        tail.extend_from_slice(b",\"message\":{\"text\":");
        string(&mut tail, &notice.text);
        tail.push(b'}');
        if let Some(path) = &notice.path {
            tail.extend_from_slice(
                b",\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":",
            );
            string(
                &mut tail,
                &uri::of(without_dot(path.as_os_str().as_bytes())),
            );
            tail.extend_from_slice(b"}}}]");
        }
        tail.push(b'}');
    }
    tail.extend_from_slice(b"]}]}]}\n");
    tail
}

impl<W> SarifWriter<W> {
    /// The output. What stands before the results was written with the first rows, or with the tail.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.output
    }
}

impl<W: Write> Write for SarifWriter<W> {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        if !self.head.is_empty() {
            // Where that fails, the run ends with the error.
            self.output.write_all(&std::mem::take(&mut self.head))?;
        }
        if self.results || rows.is_empty() {
            return self.output.write(rows);
        }
        // Results begin with a comma.
        let first = usize::from(rows[0] == b',');
        if first == rows.len() {
            self.results = true;
            return Ok(first);
        }
        let written = self.output.write(&rows[first..])?;
        if written == 0 {
            return Ok(0);
        }
        self.results = true;
        Ok(first + written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
