//! How much memory a regex may take once it is compiled, told without compiling it: never less than it takes.

use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;

/// Bytes of a state of an automaton, with what it has for one way out of it.
const STATE: usize = 80;

/// Bytes of a further way out of a state.
const WAY: usize = 16;

/// Bytes that each automaton takes, however small the regex is.
const AUTOMATON: usize = 4 << 10;

/// Bytes that small DFAs and literals that are looked for take at most, which the search engine limits by itself.
const OTHERS: usize = 256 << 10;

/// How much memory a regex may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Bytes of the largest automaton.
    pub automaton: usize,
    /// Bytes of all automatons.
    pub all: usize,
    /// Bytes of what matches it in few steps, if that alone is needed: many lists are of such regexes.
    pub steps: Option<usize>,
}

impl Size {
    pub fn of(hir: &Hir) -> Self {
        let automaton = of_automaton(hir);
        Self {
            automaton,
            all: automaton.saturating_mul(8).saturating_add(OTHERS),
            steps: None,
        }
    }
}

/// Bytes that the largest of the automatons that a regex is compiled into takes at most: what `regex-automata` calls the
/// size of an NFA.
#[must_use]
pub fn of_automaton(hir: &Hir) -> usize {
    states(hir).saturating_mul(2).saturating_add(AUTOMATON)
}

/// Bytes of the states for a regex, read in either direction.
fn states(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        HirKind::Literal(literal) => literal.0.len().saturating_mul(STATE),
        HirKind::Class(Class::Bytes(class)) => STATE + class.ranges().len() * WAY,
        HirKind::Class(Class::Unicode(class)) => {
            let sequences = class.ranges().iter().map(|range| {
                let sequences = Utf8Sequences::new(range.start(), range.end());
                sequences.map(|one| one.len()).sum::<usize>()
            });
            2 * STATE + sequences.sum::<usize>() * (STATE + WAY)
        }
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2 * STATE),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            let once = states(&repetition.sub).saturating_add(2 * STATE);
            usize::try_from(times)
                .unwrap_or(usize::MAX)
                .saturating_add(1)
                .saturating_mul(once)
        }
        HirKind::Concat(subs) | HirKind::Alternation(subs) => subs
            .iter()
            .map(|sub| states(sub).saturating_add(WAY))
            .fold(2 * STATE, usize::saturating_add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexes::parsed;
    use regex_automata::nfa::thompson;

    #[test]
    fn no_automaton_takes_more_than_is_told() {
        for pattern in [
            "",
            "a",
            "abcdef",
            r"\w{40}",
            r"(?i)[a-z0-9]{1,50}ks?",
            r"(?i-u)[a-z0-9]{32}(?:x|yy|)+",
            r"(?s).*(?:(a)|(b)|\b|é|ü|[à-ö]{3,}){2,9}",
            r"[^\n]{0,200}?\pL",
            r"(?:(?:ab?){3}c*){5}",
            r"(?-u)[\x00-\xFF]{7}",
        ] {
            let hir = parsed(pattern);
            let (none, all) = (thompson::WhichCaptures::None, thompson::WhichCaptures::All);
            for (reverse, captures) in [(false, none), (true, none), (false, all)] {
                let config = thompson::Config::new().utf8(false).which_captures(captures);
                let config = config.reverse(reverse);
                let mut compiler = thompson::Compiler::new();
                let nfa = compiler
                    .configure(config.clone())
                    .build_from_hir(&hir)
                    .unwrap();
                let most = of_automaton(&hir);
                assert!(
                    nfa.memory_usage() <= most,
                    "{pattern}: {} of {most}",
                    nfa.memory_usage()
                );
                // What is allowed to be larger while it is built.
                let config = config.nfa_size_limit(Some(most));
                let built = thompson::Compiler::new()
                    .configure(config)
                    .build_from_hir(&hir);
                assert!(built.is_ok(), "{pattern}");
            }
        }
    }
}
