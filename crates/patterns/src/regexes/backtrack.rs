//! Matching a regex at one place by backtracking, without an automaton.
//!
//! Automata of regexes that count, `[a-z]{10,150}`, have thousands of states, which are slow to make and do not stay in a
//! near cache. Here a repeated class is one step: how far its characters reach is found at once, and behind them each end
//! is tried that may be followed by what follows, in the order in which the regex prefers them. So the first match that
//! is found is the one that the regex wants.
//!
//! Backtracking may take long. Who asks says how many steps it may take, and asks an automaton where these do not do.

mod program;
mod run;

use program::Program;
use regex_syntax::hir::Hir;
pub use run::Told;
use run::NOWHERE;
use std::ops::Range;

/// A regex that is matched by backtracking.
#[derive(Debug, Clone)]
pub struct Backtracker {
    program: Program,
}

impl Backtracker {
    /// Prepares a regex, and if wanted its groups. `None` if it has parts that are not known here.
    #[must_use]
    pub fn new(hir: &Hir, groups: bool) -> Option<Self> {
        let program = Program::new(hir, groups)?;
        Some(Self { program })
    }

    /// Bytes of memory that it takes at most for a regex of which there is one way to match, character by character: a short
    /// one without repetitions and alternations, which is always told. `None` for others.
    pub(super) fn of_sequence(hir: &Hir) -> Option<usize> {
        Program::of_sequence(hir)
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.program.memory()
    }

    /// The number of groups, without that of the whole match; 0 if they are not wanted.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.program.groups
    }

    /// Places of groups, for [`groups_at`](Self::groups_at).
    #[must_use]
    pub fn slots(&self) -> Vec<usize> {
        vec![NOWHERE; 2 * self.program.groups]
    }

    /// A group of the match that was found with these slots, from 1 on; none if it takes no part in the match.
    #[must_use]
    pub fn group(slots: &[usize], group: usize) -> Option<Range<usize>> {
        let slots = slots.get(2 * group.checked_sub(1)?..2 * group)?;
        (!slots.contains(&NOWHERE)).then(|| slots[0]..slots[1])
    }

    /// Tells of a match that begins at `start`, in no more than `steps` steps; those that it takes are subtracted.
    ///
    /// # Panics
    /// If `start` lies behind the text.
    #[must_use]
    pub fn at(&self, text: &[u8], start: usize, steps: &mut usize) -> Told {
        self.groups_at(text, start, steps, &mut [])
    }

    /// The same as [`at`](Self::at), and where the match's groups are.
    ///
    /// # Panics
    /// As [`at`](Self::at).
    #[must_use]
    pub fn groups_at(
        &self,
        text: &[u8],
        start: usize,
        steps: &mut usize,
        slots: &mut [usize],
    ) -> Told {
        assert!(start <= text.len(), "a place in the text");
        run::run(&self.program, text, start, steps, slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexes::parsed;
    use regex_automata::meta;
    use regex_automata::{Anchored, Input};

    #[test]
    fn what_is_told_is_what_the_regex_finds() {
        let patterns = [
            r"(?i)[\w.-]{0,5}?(?:key|secret)(?:[ \t\w.-]{0,4})[\s'\x22]{0,3}(?:=|>|:{1,3}=|\|\||:)[`'\x22\s=]{0,5}([a-z0-9]{4,9})(?:['\x22\s;]|\\[nr]|$)",
            r"(?i)[\w.-]{0,5}?(?:key|secret)(?-u:\b)[ =]*?([a-z\xE9]{2,})(a|b)??k",
            r"(?-u:\b)(k(?:e|ey){0,3}[a-z]{1,4}?|(s)ecret(?:=[0-9]{2}){2})(?-u:\b)",
            r"(a|ab)(c|bcd)(d*)$",
            r"(?m)^[a-c]{2,}(?:=|==)+?x?",
            r"(?s-u)(.{2,3})([\x80-\xFF]{1,2}|=)\xE9?",
            r"[a-z&&[^k]]{2,3}(?:(k)|(e){2})",
            r"(?:(a)|b){1,3}(?:c|)",
            r"\b(?:k(ey?)?|\xE9)[ =]{0,2}\b{end-half}",
            r"(?mR)^(?:[a-k]{1,4}|\b{start-half}s)[ ';]?$",
            r"\b{start}[a-z]{1,3}\b{end}|(?-u:\b{start-half}[=' ]\b{end-half})|\B[a-z]",
        ];
        let seed = gristmill_testing::seed("GRISTMILL_BACKTRACK_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut told = 0;
        for pattern in patterns {
            let hir = parsed(pattern);
            let config = meta::Config::new().utf8_empty(false);
            let regex = meta::Builder::new().configure(config).build_from_hir(&hir);
            let regex = regex.unwrap();
            let one = Backtracker::new(&hir, true);
            if pattern.contains("+?") {
                assert!(one.is_none(), "{pattern}");
                continue;
            }
            let one = one.unwrap();
            let pieces: [&[u8]; 24] = [
                b"key",
                b"secret",
                b"=",
                b"==",
                b"12",
                b"abc",
                b"k",
                b"s",
                b"e",
                b"a",
                b"b",
                b"cd",
                b" ",
                b"'",
                b"\n",
                b";",
                b"\\n",
                b"||",
                b":",
                b"\xC5\xBF",
                b"\xE2\x84\xAA",
                b"\xC3",
                b"\xE9",
                b"\xC3\xA9",
            ];
            for _ in 0..3000 {
                let mut text = Vec::new();
                for _ in 0..random.usize(..14) {
                    text.extend(*random.choice(&pieces).unwrap());
                }
                let start = random.usize(..=text.len());
                let mut captures = regex.create_captures();
                let input = Input::new(&text).range(start..).anchored(Anchored::Yes);
                regex.search_captures(&input, &mut captures);
                let expected = captures.get_match().map(|found| found.end());
                let mut slots = one.slots();
                let mut steps = 5000;
                match one.groups_at(&text, start, &mut steps, &mut slots) {
                    Told::Match { end, .. } => {
                        assert_eq!(Some(end), expected, "{pattern} {start} {text:?}");
                        for group in 1..captures.group_len() {
                            let range = captures.get_group(group).map(|span| span.range());
                            let known = Backtracker::group(&slots, group);
                            assert_eq!(known, range, "{pattern} {group} {start} {text:?}");
                        }
                        told += 1;
                    }
                    Told::Nothing { .. } => {
                        assert_eq!(expected, None, "{pattern} {start} {text:?}")
                    }
                    Told::Unknown => panic!("{pattern} {text:?}"),
                }
                // What is not at the text's end stays, whatever follows.
                let mut more = text.clone();
                more.extend(*random.choice(&pieces).unwrap());
                let first = one.at(&text, start, &mut 5000);
                let second = one.at(&more, start, &mut 5000);
                match (first, second) {
                    (Told::Match { end, at_end: false }, Told::Match { end: other, .. }) => {
                        assert_eq!(end, other);
                    }
                    (Told::Match { at_end: false, .. }, _)
                    | (Told::Nothing { at_end: false }, Told::Match { .. }) => {
                        panic!("{pattern} {start} {text:?} {more:?}")
                    }
                    _ => {}
                }
            }
        }
        assert!(told > 100);
    }

    #[test]
    fn steps_are_bounded() {
        let hir = parsed("a{0,90}a{0,90}a{0,90}a{0,90}b[0-9]");
        let one = Backtracker::new(&hir, false).unwrap();
        let text = [&[b'a'; 500][..], b"bx"].concat();
        let mut steps = 1000;
        assert_eq!(one.at(&text, 200, &mut steps), Told::Unknown);
        assert_eq!(steps, 0);
    }
}
