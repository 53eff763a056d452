//! What rules find in a text that is in memory, by one regex after the other.

use gristmill_rules::{Matched, RuleSet};
use std::path::Path;

/// The most bytes of a line that count on each side of a match.
const LINE_BYTES: usize = 4096;

/// Rules with their regexes.
pub struct Reference {
    rules: RuleSet,
    regexes: Vec<Option<regex::bytes::Regex>>,
}

/// A finding: what its row shows, in the order of rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub path: String,
    /// Where the match ends, newlines at its end included.
    pub end: usize,
    pub number: usize,
    pub rule: String,
    pub offset: usize,
    pub text: Vec<u8>,
    pub secret_offset: usize,
    pub secret: Vec<u8>,
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
}

impl Reference {
    pub fn new(files: &[&Path]) -> Self {
        let mut rules = RuleSet::default();
        for file in files {
            rules.read(file).unwrap_or_else(|error| panic!("{error}"));
        }
        let regexes = rules.rules().iter().map(|rule| {
            let mut builder = regex::bytes::RegexBuilder::new(rule.pattern()?);
            Some(builder.size_limit(64 << 20).build().unwrap())
        });
        Self {
            regexes: regexes.collect(),
            rules,
        }
    }

    pub fn patterns(&self) -> impl Iterator<Item = (&str, &str)> {
        let rules = self.rules.rules().iter();
        rules.filter_map(|rule| Some((rule.id(), rule.pattern()?)))
    }

    /// The findings in a file, in the order of rows.
    pub fn find(&self, path: &str, text: &[u8]) -> Vec<Row> {
        let at_path = self.rules.at_path(path.as_bytes());
        let lower = String::from_utf8_lossy(text).to_lowercase();
        let mut rows = Vec::new();
        for (number, (rule, regex)) in self.rules.rules().iter().zip(&self.regexes).enumerate() {
            let Some(regex) = regex else { continue };
            for found in regex.find_iter(text) {
                let begin = line_begin(text, found.start());
                let begin = begin.max(found.start().saturating_sub(LINE_BYTES));
                let rest = memchr::memchr(b'\n', &text[found.end()..]);
                let rest = rest.unwrap_or(text.len() - found.end());
                let matched = Matched {
                    rule: u32::try_from(number).unwrap(),
                    text: found.as_bytes(),
                    line: &text[begin..found.end() + rest.min(LINE_BYTES)],
                };
                let Some(finding) = self.rules.judge(&at_path, &matched) else {
                    continue;
                };
                let is_there = |word: &String| lower.contains(word.as_str());
                if finding.needs_keyword && !rule.keywords_of_file().iter().any(is_there) {
                    continue;
                }
                let within = |range: &std::ops::Range<usize>| {
                    found.start() + range.start..found.start() + range.end
                };
                let (shown, secret) = (within(&finding.matched), within(&finding.secret));
                let place = |at: usize| {
                    let newlines = memchr::memchr_iter(b'\n', &text[..at]).count();
                    (newlines + 1, at - line_begin(text, at) + 1)
                };
                let ((line, column), (end_line, end_column)) =
                    (place(shown.start), place(shown.end));
                rows.push(Row {
                    path: path.to_owned(),
                    end: found.end(),
                    number,
                    rule: rule.id().to_owned(),
                    offset: shown.start,
                    text: text[shown].to_vec(),
                    secret_offset: secret.start,
                    secret: text[secret].to_vec(),
                    line,
                    column,
                    end_line,
                    end_column,
                });
            }
        }
        rows.sort();
        rows
    }
}

fn line_begin(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &text[..at]).map_or(0, |newline| newline + 1)
}
