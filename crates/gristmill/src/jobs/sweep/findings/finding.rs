//! A match with its place, and what all formats show of a finding.

use gristmill_rules::{Finding, Rule};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The most characters of a secret that are shown.
const SHOWN: usize = 4;

/// A match of a rule's regex, with its place.
#[derive(Debug, Clone)]
pub struct Match<'a> {
    /// The rule's number.
    pub rule: u32,
    /// Where the match begins, in bytes from the start of the file.
    pub offset: u64,
    /// The lines on which the match lies, without the newlines around them, or as much of them as is known.
    pub lines: &'a [u8],
    /// Where the match is in `lines`.
    pub range: Range<usize>,
    /// The number of the line on which the match begins, from 1.
    pub line: u64,
    /// The byte of that line at which it begins, from 1.
    pub column: u64,
}

impl<'a> Match<'a> {
    /// What the regex matched.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        &self.lines[self.range.clone()]
    }
}

/// A place in a text: the number of the line, and the byte in it, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub line: u64,
    pub column: u64,
}

impl Place {
    /// The place behind `text`, which begins here.
    fn behind(self, text: &[u8]) -> Self {
        match memchr::memrchr(b'\n', text) {
            None => Self {
                column: self.column + text.len() as u64,
                ..self
            },
            Some(last) => Self {
                line: self.line + memchr::memchr_iter(b'\n', text).count() as u64,
                column: (text.len() - last) as u64,
            },
        }
    }
}

/// A finding in a file's bytes.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Where the match begins in the file, without newlines at its ends.
    pub offset: u64,
    /// What was matched, without newlines at its ends.
    pub text: &'a [u8],
    /// The secret, within `text`.
    pub secret_range: Range<usize>,
    /// The entropy of the secret, in bits for each byte.
    pub entropy: f64,
    /// Where `text` begins.
    pub start: Place,
    /// The place behind `text`.
    pub end: Place,
    /// The columns of `start` and `end` in characters, if their lines are known from the beginning.
    pub characters: Option<(u64, u64)>,
}

impl<'a> Found<'a> {
    pub fn new(matched: &Match<'a>, finding: &Finding) -> Self {
        let text = &matched.text()[finding.matched.clone()];
        let begin = matched.range.start + finding.matched.start;
        let place = Place {
            line: matched.line,
            column: matched.column,
        };
        let start = place.behind(&matched.text()[..finding.matched.start]);
        let end = start.behind(text);
        let lead = usize::try_from(start.column - 1).ok();
        let line = lead.and_then(|lead| begin.checked_sub(lead));
        let characters = line.map(|line| {
            let begin = characters(&matched.lines[line..begin]);
            let within = memchr::memrchr(b'\n', text);
            match within {
                None => (begin + 1, begin + 1 + characters(text)),
                Some(last) => (begin + 1, 1 + characters(&text[last + 1..])),
            }
        });
        Self {
            offset: matched.offset + finding.matched.start as u64,
            text,
            secret_range: finding.secret.start - finding.matched.start
                ..finding.secret.end - finding.matched.start,
            entropy: finding.entropy,
            start,
            end,
            characters,
        }
    }

    pub fn secret(&self) -> &'a [u8] {
        &self.text[self.secret_range.clone()]
    }
}

/// The number of characters of a text. A byte sequence that is not UTF-8 is one, as it would be shown.
fn characters(text: &[u8]) -> u64 {
    let chunks = text.utf8_chunks();
    chunks
        .map(|chunk| chunk.valid().chars().count() as u64 + u64::from(!chunk.invalid().is_empty()))
        .sum()
}

/// A finding, with all that a row may show of it.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub path: &'a Path,
    pub rule: &'a Rule,
    /// None for a finding by the path alone.
    pub found: Option<Found<'a>>,
}

impl Shown<'_> {
    pub fn path_bytes(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }

    /// Where the match begins in the file; 0 if the path alone is the finding.
    pub fn offset(&self) -> u64 {
        self.found.as_ref().map_or(0, |found| found.offset)
    }

    /// `PATH:RULE:LINE`, as gitleaks names a finding in a directory; bytes of the path that are not UTF-8 are U+FFFD, and
    /// the line of a finding by the path alone is 0.
    pub fn fingerprint(&self) -> String {
        let line = self.found.as_ref().map_or(0, |found| found.start.line);
        let path = String::from_utf8_lossy(without_dot(self.path_bytes()));
        format!("{path}:{}:{line}", self.rule.id())
    }
}

/// A path without the `./` that it begins with: rules and gitleaks' fingerprints know paths so, whatever the user named.
pub(super) fn without_dot(path: &[u8]) -> &[u8] {
    let mut rest = path;
    while let Some(stripped) = rest.strip_prefix(b"./") {
        let slashes = stripped.iter().take_while(|byte| **byte == b'/').count();
        rest = &stripped[slashes..];
    }
    rest
}

/// The SHA-256 of a text, in hexadecimal.
pub(super) fn sha256(text: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text) {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// A secret as it may be shown: its first characters, at most four and no more than a fifth of all, and three stars.
/// Characters that would not be seen on a line are stars, too.
#[must_use]
pub fn redacted(secret: &[u8]) -> String {
    let text = String::from_utf8_lossy(secret);
    let shown = (text.chars().count() / 5).min(SHOWN);
    let visible = |character: &char| !character.is_control() && !character.is_whitespace();
    let mut redacted: String = text.chars().take(shown).take_while(visible).collect();
    redacted.push_str("***");
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_a_secret_is_shown_and_no_more_than_four_characters() {
        for (secret, shown) in [
            (&b""[..], "***"),
            (b"1234", "***"),
            (b"12345", "1***"),
            (b"123456789012345678901234567890", "1234***"),
            (b"\x1b[31mred and more of that", "***"),
            ("ééééé".as_bytes(), "é***"),
            (b"\xFFaaaaaaaaa", "\u{FFFD}a***"),
        ] {
            assert_eq!(redacted(secret), shown);
        }
    }

    #[test]
    fn paths_lose_the_dot_that_they_begin_with() {
        for (path, without) in [
            (&b"./src/a"[..], &b"src/a"[..]),
            (b".//./src", b"src"),
            (b"../a", b"../a"),
            (b".git/./a", b".git/./a"),
            (b"/./a", b"/./a"),
        ] {
            assert_eq!(without_dot(path), without);
        }
    }

    #[test]
    fn places_are_counted_over_newlines_at_the_ends() {
        let lines = "aé\n\nbé=x\ncé".as_bytes();
        let at = |range: Range<usize>, column, trimmed: Range<usize>| {
            let matched = Match {
                rule: 0,
                offset: 100,
                lines,
                range,
                line: 7,
                column,
            };
            let finding = Finding {
                matched: trimmed.clone(),
                secret: trimmed,
                entropy: 0.0,
                needs_keyword: false,
            };
            let found = Found::new(&matched, &finding);
            let (start, end) = (found.start, found.end);
            let places = (start.line, start.column, end.line, end.column);
            (found.offset, places, found.characters)
        };
        // Two newlines before `bé=x`.
        assert_eq!(at(3..11, 4, 2..7), (102, (9, 1, 9, 6), Some((1, 5))),);
        assert_eq!(at(8..9, 4, 0..1), (100, (7, 4, 7, 5), Some((3, 4))));
        // What begins on a line and ends on the next.
        assert_eq!(at(9..14, 5, 0..5), (100, (7, 5, 8, 4), Some((4, 3))));
        // The line before the match is not known.
        assert_eq!(at(0..1, 90, 0..1), (100, (7, 90, 7, 91), None));
    }
}
