//! Walks of an automaton through a text from a place.

use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::{Anchored, Input};

/// Whether a match begins at `start`, and how many bytes were read to know that. `None` where the DFA cannot tell.
pub(super) fn begins(
    dfa: &DFA,
    cache: &mut dfa::Cache,
    text: &[u8],
    start: usize,
) -> Option<(bool, usize)> {
    let input = Input::new(text).range(start..).anchored(Anchored::Yes);
    let mut state = dfa.start_state_forward(cache, &input).ok()?;
    for (at, byte) in text.iter().enumerate().skip(start) {
        state = dfa.next_state(cache, state, *byte).ok()?;
        if state.is_tagged() {
            if state.is_match() {
                return Some((true, at - start));
            } else if state.is_dead() {
                return Some((false, at - start));
            } else if state.is_quit() {
                return None;
            }
        }
    }
    state = dfa.next_eoi_state(cache, state).ok()?;
    Some((state.is_match(), text.len() - start))
}

/// Where the match that begins at `start` ends, if there is one, and how many bytes were read for that. `None` where
/// the DFA cannot tell.
pub(super) fn try_at(
    dfa: &DFA,
    cache: &mut dfa::Cache,
    text: &[u8],
    start: usize,
) -> Option<(Option<usize>, usize)> {
    let input = Input::new(text).range(start..).anchored(Anchored::Yes);
    let mut state = dfa.start_state_forward(cache, &input).ok()?;
    let mut end = None;
    for (at, byte) in text.iter().enumerate().skip(start) {
        state = dfa.next_state(cache, state, *byte).ok()?;
        if state.is_tagged() {
            if state.is_match() {
                // A DFA tells of a match one byte later.
                end = Some(at);
            } else if state.is_dead() {
                return Some((end, at + 1 - start));
            } else if state.is_quit() {
                return None;
            }
        }
    }
    state = dfa.next_eoi_state(cache, state).ok()?;
    if state.is_match() {
        end = Some(text.len());
    }
    Some((end, text.len() - start))
}
