//! Regexes that begin with any few characters of a class, as few as possible, and go on with a literal: `[\w.-]{0,50}?key...`,
//! as those do that look for a name around a word. Such a regex has many states, since what goes on from a literal can begin
//! anywhere among these characters. So its matches are found the other way round: what begins with a literal is tried there
//! first, and only where it matches, it is found how far before it the characters reach.
//!
//! Of the literals at which the rest matches, the first gives the leftmost match: the characters before a later one that
//! reach further back would reach over the first one, too. And of the matches that begin there, the regex wants the one
//! with the fewest characters, which is that of the first literal.

use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::MatchKind;
use regex_syntax::hir::{Hir, HirKind};

/// The characters before a literal, if a regex's first part is of this kind.
pub(super) fn head(first: &Hir, literals: &[Vec<u8>]) -> Option<Hir> {
    let HirKind::Repetition(repetition) = first.kind() else {
        return None;
    };
    let is_class = matches!(repetition.sub.kind(), HirKind::Class(_));
    // A literal begins where a character does, so the characters before a later one end at this one.
    let whole = |literal: &Vec<u8>| {
        literal
            .first()
            .is_some_and(|byte| !(0x80..0xC0).contains(byte))
    };
    let is_head = repetition.min == 0
        && repetition.max.is_some()
        && !repetition.greedy
        && is_class
        && literals.iter().all(whole);
    is_head.then(|| first.clone())
}

/// The automaton that reads such characters backwards.
pub(super) fn backwards(head: &Hir, limit: usize, cache: usize) -> Option<Box<DFA>> {
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .reverse(true)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(limit)),
        )
        .build_from_hir(head)
        .ok()?;
    let dfa = dfa::Builder::new()
        .configure(
            dfa::Config::new()
                .match_kind(MatchKind::All)
                .cache_capacity(cache),
        )
        .build_from_nfa(nfa);
    dfa.ok().map(Box::new)
}
