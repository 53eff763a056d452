//! Searching on the host, where the device's results are not enough.
//!
//! The device says which lines match. The host searches only where that is not enough: a few bytes around each chunk
//! boundary, the lines whose matches must be shown one by one (`-o`, colours, JSON), and chunks whose NULs count as
//! line ends. Where regexes are searched for, every line that spans chunks is searched here as a whole. A match is what
//! an alternation of the patterns finds: the leftmost one, and among those that begin at the same byte the one whose
//! pattern was given first.

use super::fold;
use aho_corasick::{AhoCorasick, BuildError, Input, MatchKind};
use gristmill_megakernel::ScanSet;
use gristmill_patterns::LineMatcher;
use memchr::{memchr, memmem, memrchr};
use std::sync::Arc;

enum Search {
    One(Box<memmem::Finder<'static>>),
    Many(AhoCorasick),
    /// The set of the device, which is prepared already: so many patterns take long to prepare twice.
    Shared(Arc<ScanSet>),
    /// The set of regexes, which gives each thread its matcher.
    Regex(Arc<ScanSet>),
}

/// A line whose matches were replaced.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// The line with its end.
    pub text: Vec<u8>,
    /// Start and end, in the text, of what stands in the place of each match.
    pub places: Vec<(usize, usize)>,
}

impl Replaced {
    /// What stands in the place of a match, counted from 0.
    pub fn nth(&self, index: usize) -> Option<&[u8]> {
        let &(start, end) = self.places.get(index)?;
        self.text.get(start..end)
    }
}

/// Finds leftmost-first matches of a set of patterns.
pub(super) struct Matcher {
    /// The patterns before the first empty one. An alternation never finds those after it.
    search: Option<Search>,
    /// Whether a pattern is empty. It matches wherever no earlier pattern does.
    empty: bool,
    /// Whether the two letters outside ASCII that are a `k` and an `s` match as such.
    letters: bool,
}

impl Matcher {
    /// A matcher for the patterns, in their order.
    ///
    /// # Errors
    /// The automaton's own error, where the patterns are too many for one.
    pub fn new(patterns: &[Vec<u8>], case_insensitive: bool) -> Result<Self, BuildError> {
        let empty = patterns.iter().position(Vec::is_empty);
        let search = match &patterns[..empty.unwrap_or(patterns.len())] {
            [] => None,
            [one] if !case_insensitive => {
                Some(Search::One(Box::new(memmem::Finder::new(one).into_owned())))
            }
            many => Some(Search::Many(
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostFirst)
                    .ascii_case_insensitive(case_insensitive)
                    .build(many)?,
            )),
        };
        Ok(Self {
            search,
            empty: empty.is_some(),
            letters: false,
        })
    }

    /// A matcher for the patterns of a set that has [literals](ScanSet::literals).
    pub fn shared(set: Arc<ScanSet>) -> Self {
        Self {
            search: Some(Search::Shared(set)),
            ..Self::never()
        }
    }

    /// The same matcher, for which the letters of [`fold`](super::fold) are a `k` and an `s`. No pattern is empty.
    pub fn with_letters(mut self, yes: bool) -> Self {
        self.letters = yes && !self.empty;
        self
    }

    /// A matcher for a set of regexes.
    pub fn regex(set: Arc<ScanSet>) -> Self {
        Self {
            search: Some(Search::Regex(set)),
            empty: false,
            letters: false,
        }
    }

    /// A matcher that finds nothing.
    pub fn never() -> Self {
        Self {
            search: None,
            empty: false,
            letters: false,
        }
    }

    /// The matcher of a regex, where a regex is searched for.
    pub fn line_matcher(&self) -> Option<Arc<LineMatcher>> {
        match &self.search {
            Some(Search::Regex(set)) => set.line_matcher(),
            _ => None,
        }
    }

    /// Whether lines must be searched as a whole.
    pub fn needs_lines(&self) -> bool {
        matches!(self.search, Some(Search::Regex(_)))
    }

    /// Whether the results of a device are not to be taken for these bytes, as it folds ASCII letters only.
    pub fn knows_better(&self, bytes: &[u8]) -> bool {
        self.letters && fold::next_letter(bytes).is_some()
    }

    /// The first match that begins at `at` or later, as start and end. If a pattern is empty, that is the empty match
    /// at `at`, even if a longer match begins there too. For a regex, a line begins at `at`, and what is found is the
    /// first line that matches. Where letters of [`fold`](super::fold) match, it is a part of the first line that matches.
    pub fn find_at(&self, haystack: &[u8], at: usize) -> Option<(usize, usize)> {
        if at > haystack.len() {
            None
        } else if self.empty {
            Some((at, at))
        } else if self.letters {
            self.find_with_letters(haystack, at)
        } else {
            self.search_at(haystack, at)
        }
    }

    /// A match as it is, or the first letter of a line with letters that matches, whichever comes first.
    fn find_with_letters(&self, haystack: &[u8], mut at: usize) -> Option<(usize, usize)> {
        let found = self.search_at(haystack, at);
        let upto = found.map_or(haystack.len(), |(start, _)| start);
        while let Some(next) = haystack.get(at..upto).and_then(fold::next_letter) {
            let letter = at + next;
            let start =
                memrchr(b'\n', haystack.get(at..letter)?).map_or(at, |newline| at + newline + 1);
            let end = memchr(b'\n', haystack.get(letter..)?)
                .map_or(haystack.len(), |newline| letter + newline);
            if found.is_some() && end >= upto {
                // The line matches as it is.
                break;
            }
            let replaced = fold::Replaced::new(haystack.get(start..end)?);
            if self.search_at(&replaced.text, 0).is_some() {
                return Some((letter, end));
            }
            at = end;
        }
        found
    }

    fn search_at(&self, haystack: &[u8], at: usize) -> Option<(usize, usize)> {
        match self.search.as_ref()? {
            Search::One(finder) => {
                let start = at + finder.find(haystack.get(at..)?)?;
                Some((start, start + finder.needle().len()))
            }
            Search::Many(automaton) => {
                let found = automaton.find(Input::new(haystack).range(at..))?;
                Some((found.start(), found.end()))
            }
            Search::Shared(set) => {
                let literals = set.literals()?;
                let (start, pattern) = literals.find_first(haystack, at)?;
                Some((start, start + literals.pattern_len(pattern)))
            }
            Search::Regex(set) => {
                let line = set.line_matcher()?.find_line(haystack, at)?;
                Some((line.start, line.end))
            }
        }
    }

    /// Whether there is a match. For a regex, `haystack` is a line, with its end or without.
    pub fn is_match(&self, haystack: &[u8]) -> bool {
        match self.line_matcher() {
            Some(regex) => regex.is_match(haystack),
            None => self.find_at(haystack, 0).is_some(),
        }
    }

    /// Calls `found` with start and end of each match in a line, which may end with its newline. Empty matches count,
    /// except right after another match and at the end of a line that has no newline.
    pub fn each(&self, line: &[u8], mut found: impl FnMut(usize, usize)) {
        if let Some(regex) = self.line_matcher() {
            return regex.each(line, |start, end| {
                found(start, end);
                true
            });
        }
        if self.knows_better(line) {
            let replaced = fold::Replaced::new(line);
            return self.each_as_it_is(&replaced.text, |start, end| {
                found(replaced.old(start), replaced.old(end));
            });
        }
        self.each_as_it_is(line, found);
    }

    fn each_as_it_is(&self, line: &[u8], mut found: impl FnMut(usize, usize)) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let mut at = 0;
        // The position right after a match, where an empty match does not count.
        let mut after_match = usize::MAX;
        loop {
            let next = self.search_at(text, at);
            if self.empty {
                let from = at + usize::from(at == after_match);
                let upto = next.map_or(line.len(), |(start, _)| start);
                (from..upto).for_each(|at| found(at, at));
            }
            let Some((start, end)) = next else {
                return;
            };
            found(start, end);
            (at, after_match) = (end, end);
        }
    }

    /// A line in which each match that [`each`](Self::each) finds is replaced. `$1` and `$name` in the replacement stand
    /// for groups of a regex, `$0` for the match; without a regex there are no other groups. `None` where the line becomes
    /// longer than `most`.
    pub fn replaced(&self, line: &[u8], replacement: &[u8], most: u64) -> Option<Replaced> {
        let mut new = Replaced::default();
        let fits = |end: usize| end as u64 <= most;
        if let Some(regex) = self.line_matcher() {
            let places = &mut new.places;
            regex.replace(line, replacement, &mut new.text, |start, end| {
                places.push((start, end));
                fits(end)
            });
        } else {
            let mut at = 0;
            self.each(line, |start, end| {
                if !fits(new.text.len()) {
                    return;
                }
                new.text.extend_from_slice(&line[at..start]);
                let from = new.text.len();
                gristmill_patterns::expand(replacement, &line[start..end], &mut new.text);
                new.places.push((from, new.text.len()));
                at = end;
            });
            new.text.extend_from_slice(&line[at..]);
        }
        fits(new.text.len()).then_some(new)
    }

    /// Number of matches that [`each`](Self::each) finds.
    pub fn count(&self, line: &[u8]) -> u64 {
        let mut count = 0;
        self.each(line, |_, _| count += 1);
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(patterns: &[&str], insensitive: bool, line: &str) -> Vec<(usize, usize)> {
        let patterns: Vec<Vec<u8>> = patterns.iter().map(|p| p.as_bytes().to_vec()).collect();
        let mut all = Vec::new();
        Matcher::new(&patterns, insensitive)
            .unwrap()
            .each(line.as_bytes(), |s, e| all.push((s, e)));
        all
    }

    #[test]
    fn of_matches_that_begin_together_the_first_pattern_wins() {
        assert_eq!(each(&["ab", "abc"], false, "abcab\n"), [(0, 2), (3, 5)]);
        assert_eq!(each(&["abc", "ab"], false, "abcab\n"), [(0, 3), (3, 5)]);
        assert_eq!(each(&["aa"], false, "aaaa"), [(0, 2), (2, 4)]);
        assert_eq!(each(&["aB"], true, "AbaB"), [(0, 2), (2, 4)]);
        assert_eq!(each(&[], false, "ab"), []);
    }

    #[test]
    fn two_letters_outside_ascii_are_k_and_s_in_another_case() {
        let patterns = [b"kiss".to_vec(), b"ok".to_vec()];
        let matcher = Matcher::new(&patterns, true).unwrap().with_letters(true);
        let text = "a\nO\u{212A} \u{212A}I\u{17F}S\nkiss\n".as_bytes();
        assert!(matcher.knows_better(text) && !matcher.knows_better(b"kiss"));
        assert_eq!(matcher.find_at(text, 0), Some((3, 14)));
        assert_eq!(matcher.find_at(text, 15), Some((15, 19)));
        let mut all = Vec::new();
        matcher.each(&text[2..15], |start, end| all.push((start, end)));
        assert_eq!(all, [(0, 4), (5, 12)]);
        // The last line of a chunk has no end there.
        assert_eq!(matcher.find_at("a\nO\u{212A}".as_bytes(), 0), Some((3, 6)));
        assert_eq!(
            matcher.find_at("a\nO\u{212A} ok".as_bytes(), 0),
            Some((7, 9))
        );
        assert_eq!(matcher.find_at("a\n\u{212A}".as_bytes(), 0), None);
        let matcher = Matcher::new(&patterns, true).unwrap();
        assert_eq!(matcher.find_at(text, 0), Some((15, 19)));
    }

    #[test]
    fn empty_matches_are_shown_where_ripgrep_shows_them() {
        assert_eq!(each(&[""], false, "ab\n"), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(each(&[""], false, "ab"), [(0, 0), (1, 1)]);
        assert_eq!(
            each(&["foo", ""], false, "foo b\n"),
            [(0, 3), (4, 4), (5, 5)]
        );
        assert_eq!(
            each(&["abc", "ba", "", "a"], false, "aba\n"),
            [(0, 0), (1, 3)]
        );
        assert_eq!(each(&["b", ""], false, "bb"), [(0, 1), (1, 2)]);
    }
}
