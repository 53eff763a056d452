//! Keywords and stop words: case-insensitive words, and whether a regex by itself guarantees that one of them is
//! present.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::noncontiguous::NFA;
use aho_corasick::{AhoCorasick, Anchored, BuildError};
use regex_syntax::hir::{Class, Hir, HirKind};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Words, in either case.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    /// In lower case.
    words: Vec<String>,
    /// Made when it is first needed; `None` within if that fails, which takes more than 2 GiB of words.
    search: OnceLock<Option<AhoCorasick>>,
}

impl Words {
    /// Prepares words. None of them is empty.
    pub fn new<W: AsRef<str>>(words: &[W]) -> Self {
        let words = words.iter().map(|word| word.as_ref().to_lowercase());
        Self::stored(words.collect())
    }

    /// Takes words in lower case, none of them empty.
    pub fn stored(words: Vec<String>) -> Self {
        Self {
            words,
            search: OnceLock::new(),
        }
    }

    /// The words, in lower case.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether one of the words is part of `text`.
    pub fn are_in(&self, text: &[u8]) -> bool {
        let search = self.search.get_or_init(|| search(&self.words).ok());
        let Some(search) = search else { return false };
        if search.is_match(text) {
            return true;
        }
        // The Kelvin sign is a `K`, so words of ASCII stand in other text, too.
        if text.is_ascii() {
            return false;
        }
        let lower = String::from_utf8_lossy(text).to_lowercase();
        search.is_match(&lower)
    }
}

fn search(words: &[String]) -> Result<AhoCorasick, BuildError> {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words)
}

/// The number of steps after which [`implied`] gives up.
const STEPS: usize = 4_000_000;

/// Whether each match of a regex holds one of `words`. A "no" may be wrong, a "yes" is not.
///
/// The automaton that looks for the words is run over all that the regex can match at once: it is in a set of states, and
/// a state in which a word has been seen is left out. Where no state remains, each match holds a word.
///
/// `\u{17F}` and the Kelvin sign, which `(?i)` takes for `s` and `k`, are passed over where the letter itself may stand.
pub(crate) fn implied(hir: &Hir, words: &Words) -> bool {
    let ascii: Vec<&String> = words.words.iter().filter(|word| word.is_ascii()).collect();
    let search = NFA::builder().ascii_case_insensitive(true).build(ascii);
    let Ok(search) = search else {
        return false;
    };
    let Ok(start) = search.start_state(Anchored::No) else {
        return false;
    };
    let mut walk = Walk {
        search,
        start,
        steps: 0,
    };
    let states = walk.over(hir, &BTreeSet::from([start]));
    states.is_some_and(|states| states.is_empty())
}

type States = BTreeSet<StateID>;

struct Walk {
    search: NFA,
    start: StateID,
    steps: usize,
}

impl Walk {
    /// The states in which the search may be behind what `hir` matches. None if that takes too long to find out.
    fn over(&mut self, hir: &Hir, from: &States) -> Option<States> {
        if from.is_empty() {
            return Some(States::new());
        }
        Some(match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => from.clone(),
            HirKind::Literal(literal) => {
                let mut states = from.clone();
                for byte in &*literal.0 {
                    states = self.bytes(&states, &[*byte])?;
                }
                states
            }
            HirKind::Class(class) => self.class(class, from)?,
            HirKind::Capture(capture) => self.over(&capture.sub, from)?,
            HirKind::Concat(parts) => {
                let mut states = from.clone();
                for part in parts {
                    states = self.over(part, &states)?;
                }
                states
            }
            HirKind::Alternation(branches) => {
                let mut states = States::new();
                for branch in branches {
                    states.extend(self.over(branch, from)?);
                }
                states
            }
            HirKind::Repetition(repetition) => {
                let mut states = from.clone();
                for _ in 0..repetition.min {
                    let next = self.over(&repetition.sub, &states)?;
                    if next == states {
                        break;
                    }
                    states = next;
                }
                let most = repetition.max.unwrap_or(u32::MAX);
                for _ in repetition.min..most {
                    let mut next = self.over(&repetition.sub, &states)?;
                    next.extend(&states);
                    if next == states {
                        break;
                    }
                    states = next;
                }
                states
            }
        })
    }

    fn bytes(&mut self, from: &States, bytes: &[u8]) -> Option<States> {
        let mut states = States::new();
        for &state in from {
            self.steps += bytes.len();
            for &byte in bytes {
                let next = self.search.next_state(Anchored::No, state, byte);
                if !self.search.is_match(next) {
                    states.insert(next);
                }
            }
        }
        (self.steps < STEPS).then_some(states)
    }

    fn class(&mut self, class: &Class, from: &States) -> Option<States> {
        let mut ascii = Vec::new();
        let mut others = false;
        match class {
            Class::Unicode(class) => {
                let holds = |letter| {
                    let mut ranges = class.ranges().iter();
                    ranges.any(|range| (range.start()..=range.end()).contains(&letter))
                };
                for range in class.ranges() {
                    let end = range.end().min('\x7F');
                    ascii.extend((range.start()..=end).map(|letter| letter as u8));
                    others |= match (range.start(), range.end()) {
                        (_, end) if end.is_ascii() => false,
                        ('\u{212A}', '\u{212A}') => !holds('k'),
                        ('\u{17F}', '\u{17F}') => !holds('s'),
                        _ => true,
                    };
                }
            }
            Class::Bytes(class) => {
                for range in class.ranges() {
                    ascii.extend(range.start()..=range.end().min(0x7F));
                    others |= !range.end().is_ascii();
                }
            }
        }
        let mut states = self.bytes(from, &ascii)?;
        if others {
            // No word that is looked for here goes on with such a byte.
            states.insert(self.start);
        }
        Some(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn implied_by(go: &str, words: &[&str]) -> bool {
        let (_, meaning) = crate::go::parsed(go).unwrap();
        implied(&meaning, &Words::new(words))
    }

    #[test]
    fn what_each_match_holds_is_seen() {
        for (go, words) in [
            ("xkeyx", &["key"][..]),
            ("(?i)my_KEY[a-z]+", &["key"]),
            ("(?:ghu|ghs)_[0-9a-z]{36}", &["ghu_", "ghs_"]),
            ("linked[_-]?in", &["linkedin", "linked_in", "linked-in"]),
            ("(ab){2}", &["baba", "abab"]),
            ("a(?:b|c)+d", &["ab", "ac"]),
            (r"\bxox[pe](?:-[0-9]{10,13}){3}", &["xoxp-", "xoxe-"]),
            ("kéy", &["k"]),
            ("(?i)passw(?:or)?d", &["passwd", "password"]),
        ] {
            assert!(implied_by(go, words), "{go} {words:?}");
        }
        for (go, words) in [
            ("pat[a-z]{14}", &["airtable"][..]),
            ("hooks.slack.com", &["hooks.slack.com"]),
            ("(?:key)?x", &["key"]),
            ("key|x", &["key"]),
            ("k.y", &["key"]),
            ("(?:a{1000}){1000}", &["b"]),
            ("kéy", &["kéy"]),
            ("", &["a"]),
        ] {
            assert!(!implied_by(go, words), "{go} {words:?}");
        }
    }

    #[test]
    fn words_are_found_in_either_case() {
        let words = Words::new(&["Key", "ÉCOLE", "gmail.com"]);
        for text in [
            "a KEY b",
            "keys",
            "L'école",
            "x École",
            "\u{212A}EY é",
            "GMAIL.com",
        ] {
            assert!(words.are_in(text.as_bytes()), "{text}");
        }
        for text in ["", "k-e-y", "ecole", "gmail_com"] {
            assert!(!words.are_in(text.as_bytes()), "{text}");
        }
        assert!(words.are_in(b"\xFFkey"));
        let ascii = Words::new(&["key"]);
        assert!(ascii.are_in("\u{212A}ey".as_bytes()));
    }
}
