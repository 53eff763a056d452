//! How much of what has been read of a text is still undecided: from which place on a match may begin that needs bytes
//! which are not there yet.

use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::nfa::thompson::{
    self, Builder, DenseTransitions, State, Transition, WhichCaptures, NFA,
};
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, Look};

/// The most bytes behind a match that a look-around asks for: a character of UTF-8.
pub(super) const LOOK: usize = 4;

/// Bytes that the automaton may take in each thread, once it is needed: its first states are large.
const CACHE: usize = 8 << 20;

/// Tells where the matches of one regex may begin of which the text at hand is only a part.
#[derive(Debug)]
pub(super) struct Open {
    /// Reads backwards. It matches whatever a match may begin with, all of it included.
    dfa: DFA,
    /// For each byte, whether a match may contain it.
    bytes: Box<[bool; 256]>,
    /// Bytes before the end at which a match may have ended whose look-around needs more: fewer than a character has.
    slack: usize,
}

impl Open {
    /// Derives it from a regex.
    ///
    /// # Errors
    /// If it takes more than about `limit` bytes.
    pub fn new(hir: &Hir, limit: usize) -> Result<Self, String> {
        let config = thompson::Config::new()
            .reverse(true)
            .utf8(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(limit));
        let backwards = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(hir)
            .map_err(|error| error.to_string())?;
        let nfa = from_anywhere(&backwards, limit.saturating_mul(2))
            .map_err(|error| error.to_string())?;
        let config = dfa::Config::new()
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE)
            .skip_cache_capacity_check(true);
        let dfa = dfa::Builder::new()
            .configure(config)
            .build_from_nfa(nfa)
            .map_err(|error| error.to_string())?;
        let characters = hir.properties().look_set().iter().any(|look| {
            let (ascii, lines) = (
                [
                    Look::WordAscii,
                    Look::WordAsciiNegate,
                    Look::WordStartAscii,
                    Look::WordEndAscii,
                    Look::WordStartHalfAscii,
                    Look::WordEndHalfAscii,
                ],
                [
                    Look::Start,
                    Look::End,
                    Look::StartLF,
                    Look::EndLF,
                    Look::StartCRLF,
                    Look::EndCRLF,
                ],
            );
            !ascii.contains(&look) && !lines.contains(&look)
        });
        let slack = if characters { LOOK - 1 } else { 0 };
        let bytes = Box::new(bytes(&backwards));
        Ok(Self { dfa, bytes, slack })
    }

    /// Bytes of memory that it takes, without what searches add.
    pub fn memory_usage(&self) -> usize {
        self.dfa.memory_usage()
    }

    /// The memory for [`from`](Self::from).
    pub fn cache(&self) -> dfa::Cache {
        self.dfa.create_cache()
    }

    /// Whether no match reaches from before `from` to the end of the text, as it would hold a byte that none holds.
    pub fn is_cut_off(&self, text: &[u8], from: usize) -> bool {
        let end = text.len().saturating_sub(LOOK);
        let behind = text.get(from..end).unwrap_or_default();
        behind.iter().any(|byte| !self.bytes[usize::from(*byte)])
    }

    /// The first place from `at` on where a match may begin that the bytes behind `text` decide; the end of the text if
    /// they decide nothing.
    pub fn from(&self, cache: &mut dfa::Cache, text: &[u8], at: usize) -> usize {
        let least = text.len().saturating_sub(self.slack).max(at);
        (least..=text.len())
            .map(|end| {
                let input = Input::new(text).range(at..end).anchored(Anchored::Yes);
                match self.dfa.try_search_rev(cache, &input) {
                    // The longest match: the earliest place.
                    Ok(Some(found)) => found.offset(),
                    Ok(None) => end,
                    // It cannot be told, so nothing is certain.
                    Err(_) => at,
                }
            })
            .min()
            .unwrap_or(at)
    }

    /// The first place at which a match may begin that goes on behind `text`, or ends with it; the text's end if there is
    /// none. `None` if bytes before the text decide: if none are, it is `whole`.
    pub fn reach(&self, cache: &mut dfa::Cache, text: &[u8], whole: bool) -> Reach {
        let unknown = |read| Reach { first: None, read };
        let input = Input::new(text).anchored(Anchored::Yes);
        let Ok(mut state) = self.dfa.start_state_reverse(cache, &input) else {
            return unknown(0);
        };
        let mut first = text.len();
        for (at, byte) in text.iter().enumerate().rev() {
            let read = text.len() - at;
            match self.dfa.next_state(cache, state, *byte) {
                Ok(next) => state = next,
                Err(_) => return unknown(read),
            }
            if state.is_match() {
                // The automaton tells it a byte later.
                first = at + 1;
            } else if state.is_dead() {
                return Reach {
                    first: Some(first),
                    read,
                };
            } else if state.is_quit() {
                return unknown(read);
            }
        }
        let read = text.len();
        match self.dfa.next_eoi_state(cache, state) {
            Ok(end) if whole => Reach {
                first: Some(if end.is_match() { 0 } else { first }),
                read,
            },
            _ => unknown(read),
        }
    }
}

/// Where what reaches over a place, or ends there, begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// The first place at which it may begin, or the place itself; `None` if bytes before the text decide.
    pub first: Option<usize>,
    /// Bytes that were looked at.
    pub read: usize,
}

/// The same automaton, begun in any of its states and without look-arounds.
fn from_anywhere(nfa: &NFA, limit: usize) -> Result<NFA, Box<thompson::BuildError>> {
    let mut builder = Builder::new();
    builder.set_size_limit(Some(limit))?;
    builder.set_reverse(true);
    builder.start_pattern()?;
    // One new state for each, so that they have the same numbers.
    for state in nfa.states() {
        match state {
            State::ByteRange { trans } => builder.add_range(*trans)?,
            State::Sparse(sparse) => builder.add_sparse(sparse.transitions.to_vec())?,
            State::Dense(dense) => builder.add_sparse(transitions(dense).collect())?,
            State::Look { next, .. } | State::Capture { next, .. } => {
                builder.add_union(vec![*next])?
            }
            State::Union { alternates } => builder.add_union(alternates.to_vec())?,
            State::BinaryUnion { alt1, alt2 } => builder.add_union(vec![*alt1, *alt2])?,
            State::Fail => builder.add_fail()?,
            State::Match { .. } => builder.add_match()?,
        };
    }
    let start = builder.add_union(reachable(nfa))?;
    builder.finish_pattern(start)?;
    Ok(builder.build(start, start)?)
}

/// For each byte, whether a match may contain it.
fn bytes(nfa: &NFA) -> [bool; 256] {
    let mut bytes = [false; 256];
    let mut take = |one: &Transition| {
        for byte in one.start..=one.end {
            bytes[usize::from(byte)] = true;
        }
    };
    for id in reachable(nfa) {
        match nfa.state(id) {
            State::ByteRange { trans } => take(trans),
            State::Sparse(sparse) => sparse.transitions.iter().for_each(&mut take),
            State::Dense(dense) => transitions(dense).for_each(|one| take(&one)),
            _ => {}
        }
    }
    bytes
}

/// The transitions of a state that has one for each byte.
fn transitions(dense: &DenseTransitions) -> impl Iterator<Item = Transition> + '_ {
    (0..=u8::MAX).filter_map(|byte| {
        let next = dense.matches_byte(byte)?;
        Some(Transition {
            start: byte,
            end: byte,
            next,
        })
    })
}

/// The states that the anchored start leads to: the others pass over what is before a match.
fn reachable(nfa: &NFA) -> Vec<StateID> {
    let mut seen = vec![false; nfa.states().len()];
    let mut left = vec![nfa.start_anchored()];
    let mut all = Vec::new();
    while let Some(id) = left.pop() {
        if std::mem::replace(&mut seen[id.as_usize()], true) {
            continue;
        }
        all.push(id);
        match nfa.state(id) {
            State::ByteRange { trans } => left.push(trans.next),
            State::Sparse(sparse) => left.extend(sparse.transitions.iter().map(|one| one.next)),
            State::Dense(dense) => {
                left.extend(transitions(dense).map(|one| one.next));
            }
            State::Look { next, .. } | State::Capture { next, .. } => left.push(*next),
            State::Union { alternates } => left.extend_from_slice(alternates),
            State::BinaryUnion { alt1, alt2 } => left.extend([*alt1, *alt2]),
            State::Fail | State::Match { .. } => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexes::parsed;

    fn from(pattern: &str, text: &[u8]) -> usize {
        let hir = parsed(pattern);
        let open = Open::new(&hir, 1 << 20).unwrap();
        let mut cache = open.cache();
        open.from(&mut cache, text, 0)
    }

    #[test]
    fn a_byte_that_no_match_holds_cuts_it_off() {
        let hir = parsed("key[a-z ]+=");
        let open = Open::new(&hir, 1 << 20).unwrap();
        assert!(open.is_cut_off(b"key (    ", 3));
        assert!(!open.is_cut_off(b"key (    ", 5));
        assert!(!open.is_cut_off(b"key     (", 3));
        assert!(!open.is_cut_off(b"key abc      ", 3));
    }

    #[test]
    fn what_reaches_over_an_end_begins_where_the_bytes_before_it_say() {
        for (pattern, text, first, of_whole) in [
            ("abc", "xxab", Some(2), Some(2)),
            ("abc", "xxabc", Some(2), Some(2)),
            ("abc", "xxabcx", Some(6), Some(6)),
            ("abc", "ab", None, Some(0)),
            ("[a-z]+", "ab cde", Some(3), Some(3)),
            ("a.*b", "xaxxbxx\nx", Some(9), Some(9)),
            ("(?s)a.*b", "xxx", None, Some(3)),
            ("(?s)a.*b", "xax", None, Some(1)),
            ("", "ab", Some(2), Some(2)),
        ] {
            let hir = parsed(pattern);
            let open = Open::new(&hir, 1 << 20).unwrap();
            let mut cache = open.cache();
            for (whole, expected) in [(false, first), (true, of_whole)] {
                let reach = open.reach(&mut cache, text.as_bytes(), whole);
                assert_eq!(reach.first, expected, "{pattern} in {text}, {whole}");
            }
        }
    }

    #[test]
    fn what_may_still_match_is_open() {
        for (pattern, text, expected) in [
            ("abc", "xxab", 2),
            ("abc", "xxabc", 2),
            ("abc", "xxabcx", 6),
            ("abc", "xxabca", 5),
            ("[a-z]+", "ab cde", 3),
            ("[a-z]+;", "ab cde", 3),
            ("(?s)a.*b", "xaxxbxx", 1),
            ("a.*b", "xaxxbxx\nx", 9),
            ("x[^\"]{0,3}\"", "x123 x12", 5),
            ("x[^\"]{0,3}\"", "x12345", 6),
            // The look-around is not looked at, but for the bytes that it needs.
            (r"a\b", "xxxxa", 2),
            (r"(?-u:a\b)", "xa\u{e9}", 4),
            (r"ab$", "ab", 0),
            (r"", "ab", 2),
        ] {
            assert_eq!(
                from(pattern, text.as_bytes()),
                expected,
                "{pattern} in {text}"
            );
        }
        // Half of a character.
        assert_eq!(from("a\u{e9}", b"xa\xC3"), 1);
        assert_eq!(from(r"a\b", b"xxa\xC3"), 1);
    }
}
