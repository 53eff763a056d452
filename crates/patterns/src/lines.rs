//! Lines with a match, as ripgrep finds them.
//!
//! Several patterns form one regex, their alternation: among matches that begin at the same place, that of the first
//! pattern is used. A line is searched without its line end, and `^` and `$` match at its ends. `grep-regex`, ripgrep's
//! own, compiles the regex such that no match contains a line end, and finds literals that a matching line must
//! contain; so many lines are searched at once, and only lines with such a literal one by one.

mod error;
mod plain;
mod settings;

pub(crate) use error::shown;
pub use error::{PatternError, Place};
pub use plain::PlainStrings;
pub use settings::{Boundary, Case, LineSettings, DEFAULT_DFA_SIZE_LIMIT, DEFAULT_SIZE_LIMIT};

use grep_matcher::{Captures, LineMatchKind, Match, Matcher, NoError};
use grep_regex::{RegexCaptures, RegexMatcher, RegexMatcherBuilder};
use memchr::{memchr, memrchr};
use std::collections::HashSet;
use std::ops::Range;

/// How deep groups may be nested, so that parsing has a stack.
const NEST_LIMIT: u32 = 250;

/// Finds lines that match, and the matches in them.
///
/// A clone shares the compiled regex and has memory of its own to search with: threads that search at the same time
/// should have a clone each.
#[derive(Debug, Clone)]
pub struct LineMatcher {
    regex: RegexMatcher,
    /// Whether each line must be searched by itself.
    by_line: bool,
    crlf: bool,
}

impl LineMatcher {
    /// Compiles the alternation of the patterns.
    ///
    /// # Errors
    /// [`PatternError`] for a pattern that is not UTF-8 or does not parse, that must match a line end (or a NUL, unless
    /// [`LineSettings::text`]), and for patterns that take more memory than [`LineSettings::size_limit`].
    pub fn build<P: AsRef<[u8]>>(
        patterns: &[P],
        settings: &LineSettings,
    ) -> Result<Self, PatternError> {
        Self::compile(patterns, settings, &Self::builder(settings))
    }

    /// Compiles the alternation of the patterns, whose matches may hold line ends: `.` does so if `dot_matches_newline`.
    /// `None` if none of their matches does and they do not tell where lines end, so that they can be searched for line by
    /// line, as [`build`](Self::build) compiles them.
    ///
    /// Only [`regex`](Self::regex) of the matcher is of use: it is given a whole text.
    ///
    /// # Errors
    /// As [`build`](Self::build), but for patterns that must match a line end.
    pub fn build_across_lines<P: AsRef<[u8]>>(
        patterns: &[P],
        settings: &LineSettings,
        dot_matches_newline: bool,
    ) -> Result<Option<Self>, PatternError> {
        let mut builder = Self::builder(settings);
        builder
            .dot_matches_new_line(dot_matches_newline)
            .line_terminator(None);
        let matcher = Self::compile(patterns, settings, &builder)?;
        Ok(matcher.by_line.then_some(matcher))
    }

    fn compile<P: AsRef<[u8]>>(
        patterns: &[P],
        settings: &LineSettings,
        builder: &RegexMatcherBuilder,
    ) -> Result<Self, PatternError> {
        let texts = patterns
            .iter()
            .enumerate()
            .map(|(number, pattern)| {
                let pattern = pattern.as_ref();
                std::str::from_utf8(pattern).map_err(|_| PatternError::not_utf8(number, pattern))
            })
            .collect::<Result<Vec<&str>, _>>()?;
        // A pattern that is given twice is one, also where it names a group.
        let mut seen = HashSet::new();
        let different: Vec<&str> = texts
            .iter()
            .copied()
            .filter(|text| seen.insert(*text))
            .collect();
        let regex = builder
            .build_many(&different)
            .map_err(|error| PatternError::of_set(&texts, settings, &error))?;
        // As in ripgrep: where the regex could match a line end after all, or tells where its haystack ends, it is not
        // given more than one line.
        let one_line = regex.line_terminator().is_some()
            || regex
                .non_matching_bytes()
                .is_some_and(|bytes| bytes.contains(b'\n'));
        Ok(Self {
            regex,
            by_line: !one_line,
            crlf: settings.crlf,
        })
    }

    fn builder(settings: &LineSettings) -> RegexMatcherBuilder {
        let mut builder = RegexMatcherBuilder::new();
        builder
            .multi_line(true)
            .dot_matches_new_line(false)
            .octal(false)
            .nest_limit(NEST_LIMIT)
            .unicode(settings.unicode)
            .fixed_strings(settings.fixed_strings)
            .case_insensitive(settings.case == Case::Insensitive)
            .case_smart(settings.case == Case::Smart)
            .whole_line(settings.boundary == Some(Boundary::Line))
            .word(settings.boundary == Some(Boundary::Word))
            .line_terminator(Some(b'\n'))
            .size_limit(settings.size_limit)
            .dfa_size_limit(settings.dfa_size_limit)
            .ban_byte((!settings.text).then_some(0));
        if settings.crlf {
            builder.crlf(true);
        }
        builder
    }

    /// The compiled regex, for what is not offered here, such as groups. It is to be given one line at a time, without
    /// its end: see [`text`](Self::text).
    pub fn regex(&self) -> &RegexMatcher {
        &self.regex
    }

    /// A line without its end.
    pub fn text<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        match line.strip_suffix(b"\n") {
            None => line,
            Some(text) if self.crlf => text.strip_suffix(b"\r").unwrap_or(text),
            Some(text) => text,
        }
    }

    /// Whether a line holds a match. The line has its end, if there is one.
    ///
    /// As in ripgrep, an empty match may lie within the line's end, where CR LF is one, and [`each`](Self::each) does not
    /// find it.
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.find_line(line, 0).is_some()
    }

    fn text_matches(&self, line: &[u8]) -> bool {
        found(self.regex.shortest_match(self.text(line))).is_some()
    }

    /// Whether each line must be searched by itself, as ripgrep then does, too: the regex could match a line end, or knows
    /// where its text ends.
    pub fn is_by_line(&self) -> bool {
        self.by_line
    }

    /// The first match in a text, which may be of several lines.
    pub fn find(&self, text: &[u8]) -> Option<Range<usize>> {
        found(self.regex.find(text)).map(|found| found.start()..found.end())
    }

    /// The first match in a line that begins at `at` or later. The line may have its end.
    pub fn find_at(&self, line: &[u8], at: usize) -> Option<Range<usize>> {
        let text = self.text(line);
        if at > text.len() {
            return None;
        }
        found(self.regex.find_at(text, at)).map(|found| found.start()..found.end())
    }

    /// Calls `each` with start and end of each match in a line, until it returns false. Matches do not overlap; an empty
    /// one counts, except right after another match and at the end of a line that has no line end.
    pub fn each(&self, line: &[u8], mut each: impl FnMut(usize, usize) -> bool) {
        // `NoError` has no values.
        let _: Result<(), NoError> = self.regex.find_iter(self.text(line), |found| {
            found.start() < line.len() && each(found.start(), found.end())
        });
    }

    /// Appends a line to `text` in which each match that [`each`](Self::each) finds is replaced. `$1` and `$name` in the
    /// replacement stand for groups, `$0` for the match, `$$` for a dollar sign. Calls `each` with start and end, in
    /// `text`, of what stands in the place of a match; where it returns false, the rest of the line is left out.
    pub fn replace(
        &self,
        line: &[u8],
        replacement: &[u8],
        text: &mut Vec<u8>,
        mut each: impl FnMut(usize, usize) -> bool,
    ) {
        let haystack = self.text(line);
        let (mut at, mut goes_on) = (0, true);
        let mut one = |groups: &RegexCaptures| {
            let Some(found) = groups.get(0).filter(|found| found.start() < line.len()) else {
                return false;
            };
            text.extend_from_slice(haystack.get(at..found.start()).unwrap_or_default());
            let from = text.len();
            let by_name = |name: &str| self.regex.capture_index(name);
            groups.interpolate(by_name, haystack, replacement, text);
            goes_on = each(from, text.len());
            at = found.end();
            goes_on
        };
        // `NoError` has no values.
        if let Ok(mut groups) = self.regex.new_captures() {
            let _: Result<(), NoError> =
                self.regex
                    .captures_iter_at(haystack, 0, &mut groups, |groups| one(groups));
        }
        if goes_on {
            text.extend_from_slice(line.get(at..).unwrap_or_default());
        }
    }

    /// The first line of `lines` that begins at `at` or later and holds a match, with its end. A line begins at `at`.
    /// Where `lines` does not end with a line end, its last line is what is there.
    pub fn find_line(&self, lines: &[u8], at: usize) -> Option<Range<usize>> {
        if self.by_line {
            return self.find_line_alone(lines, at);
        }
        let mut at = at;
        while at < lines.len() {
            let rest = lines.get(at..)?;
            let (confirmed, place) = match found(self.regex.find_candidate_line(rest))? {
                LineMatchKind::Confirmed(place) => (true, at + place),
                LineMatchKind::Candidate(place) => (false, at + place),
            };
            let start = lines
                .get(at..place)
                .and_then(|before| memrchr(b'\n', before))
                .map_or(at, |newline| at + newline + 1);
            let end = lines
                .get(place..)
                .and_then(|after| memchr(b'\n', after))
                .map_or(lines.len(), |newline| place + newline + 1);
            if start == lines.len() {
                // An empty match after the last line end is in no line.
                return None;
            }
            if confirmed
                || lines
                    .get(start..end)
                    .is_some_and(|line| self.text_matches(line))
            {
                return Some(start..end);
            }
            at = end;
        }
        None
    }

    fn find_line_alone(&self, lines: &[u8], mut at: usize) -> Option<Range<usize>> {
        while at < lines.len() {
            let rest = lines.get(at..)?;
            let end = memchr(b'\n', rest).map_or(lines.len(), |newline| at + newline + 1);
            if lines
                .get(at..end)
                .is_some_and(|line| self.text_matches(line))
            {
                return Some(at..end);
            }
            at = end;
        }
        None
    }
}

/// The only group of a pattern that has none of its own.
struct Whole(Match);

impl Captures for Whole {
    fn len(&self) -> usize {
        1
    }

    fn get(&self, group: usize) -> Option<Match> {
        (group == 0).then_some(self.0)
    }
}

/// Appends a replacement to `text` in which `$0` (or `${0}`) stands for `found` and `$$` for a dollar sign. Other groups
/// are empty: this is for patterns that have none.
pub fn expand(replacement: &[u8], found: &[u8], text: &mut Vec<u8>) {
    Whole(Match::new(0, found.len())).interpolate(|_| None, found, replacement, text);
}

/// What was found. `NoError` has no values.
fn found<T>(result: Result<Option<T>, NoError>) -> Option<T> {
    result.ok().flatten()
}
