//! Lists of named patterns: each line is a name, a tab and a regex in Rust's syntax.
//!
//! Lines end with LF or CR LF. Empty lines and lines that begin with `#` are skipped. Several lines may have the same
//! name.

use crate::error::RuleError;
use crate::go;
use crate::rule::Rule;
use std::path::Path;

/// Reads a list, which is the file with the number `file`.
pub(crate) fn read(path: &Path, text: &[u8], file: u32) -> Result<Vec<Rule>, RuleError> {
    let mut rules = Vec::new();
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = |offset, reason: String| RuleError::in_line(path, line, number, offset, reason);
        let valid = std::str::from_utf8(line).map_err(|error| {
            let reason = "not UTF-8; write such a byte as (?-u:\\xFF), with its number";
            wrong(error.valid_up_to(), reason.into())
        })?;
        let Some((name, pattern)) = valid.split_once('\t') else {
            let reason = "no tab; a line is a name, a tab and a regex (gitleaks' rules are read from files whose name \
                          ends with .toml)";
            return Err(wrong(0, reason.into()));
        };
        if name.trim().is_empty() {
            return Err(wrong(0, "no name before the tab".into()));
        }
        let begin = name.len() + 1;
        if pattern.is_empty() {
            return Err(wrong(begin, "no regex behind the tab".into()));
        }
        go::check(pattern).map_err(|error| wrong(begin + error.offset, error.reason))?;
        rules.push(Rule {
            id: name.trim().into(),
            pattern: Some(pattern.into()),
            file,
            line: u32::try_from(number).unwrap_or(u32::MAX),
            details: None,
        });
    }
    Ok(rules)
}
