//! Flags about rules.

use std::path::PathBuf;

/// The flags of `scan` that mean nothing where whole files are searched, as bytes: they say how lines are searched and
/// shown.
pub const LINES: [&str; 40] = [
    "after_context",
    "before_context",
    "binary",
    "byte_offset",
    "column",
    "context",
    "context_separator",
    "count_matches",
    "crlf",
    "dfa_size_limit",
    "field_context_separator",
    "field_match_separator",
    "files",
    "files_without_match",
    "heading",
    "include_zero",
    "invert_match",
    "line_number",
    "line_regexp",
    "max_columns",
    "max_columns_preview",
    "max_count",
    "max_line",
    "max_multiline",
    "multiline",
    "multiline_dotall",
    "no_context_separator",
    "no_line_number",
    "no_unicode",
    "only_matching",
    "passthru",
    "record",
    "replace",
    "smart_case",
    "table_size",
    "text",
    "trim",
    "type_list",
    "vimgrep",
    "word_regexp",
];

/// The flags that are for patterns, and mean nothing with rules.
const PATTERNS: [&str; 4] = ["all", "context_bytes", "no_filename", "with_filename"];

/// Flags about rules.
#[derive(Debug, Clone, clap::Args)]
pub struct RuleArgs {
    /// Show what the rules in this file find: a gitleaks file if its name ends with .toml, otherwise a list with a
    /// name, a tab and a regex on each line. May be given several times, and with -e and -f, whose patterns then are
    /// rules named after the pattern.
    ///
    /// Whole files are searched, as bytes. The exit code is 0 with findings, 1 without, and 2 after an error. Secrets
    /// are redacted. docs/rules.md describes rule files and findings.
    #[arg(long, value_name = "FILE", conflicts_with_all = LINES, conflicts_with_all = PATTERNS)]
    pub rules: Vec<PathBuf>,

    /// Show secrets in full.
    #[arg(long, requires = "judged")]
    pub show_secrets: bool,

    /// Print findings as a SARIF 2.1.0 log, which also lists the files that could not be searched. With --json they are
    /// JSON Lines.
    #[arg(
        long,
        requires = "judged",
        conflicts_with = "quiet",
        overrides_with_all = ["count", "files_with_matches", "json"]
    )]
    pub sarif: bool,
}

impl RuleArgs {
    /// The flag that says how findings are shown, if one is given.
    pub fn shown(&self) -> Option<&'static str> {
        match (self.show_secrets, self.sarif) {
            (true, _) => Some("--show-secrets"),
            (_, true) => Some("--sarif"),
            _ => None,
        }
    }

    /// Whether rule files are given.
    pub fn are_given(&self) -> bool {
        !self.rules.is_empty()
    }
}

#[cfg(test)]
mod tests;
