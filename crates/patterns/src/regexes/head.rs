//! Regexes that begin with any few characters of a class, as few as possible, and go on with a literal: `[\w.-]{0,50}?key...`,
//! as those do that look for a name around a word. Such a regex has many states, since what goes on from a literal can begin
//! anywhere among these characters. So its matches are found the other way round: what begins with a literal is tried there
//! first, and only where it matches, it is found how far before it the characters reach.
//!
//! Of the literals at which the rest matches, the first gives the leftmost match: the characters before a later one that
//! reach further back would reach over the first one, too. And of the matches that begin there, the regex wants the one
//! with the fewest characters, which is that of the first literal.

use super::characters::Characters;
use regex_syntax::hir::{Hir, HirKind};

/// The characters before a literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    class: Characters,
    most: u32,
}

impl Head {
    /// Those before the literals, if a regex's first part is of this kind.
    pub fn new(first: &Hir, literals: &[Vec<u8>]) -> Option<Self> {
        let HirKind::Repetition(repetition) = first.kind() else {
            return None;
        };
        let HirKind::Class(class) = repetition.sub.kind() else {
            return None;
        };
        // A literal begins where a character does, so the characters before a later one end at this one.
        let whole = |literal: &Vec<u8>| {
            literal
                .first()
                .is_some_and(|byte| !(0x80..0xC0).contains(byte))
        };
        let is_head = repetition.min == 0 && !repetition.greedy && literals.iter().all(whole);
        Some(Self {
            class: Characters::new(class),
            most: repetition.max.filter(|_| is_head)?,
        })
    }

    /// The first place, from `from` on, from which the characters reach to `place`.
    pub fn reach(&self, text: &[u8], from: usize, place: usize) -> usize {
        self.class.reach_back(self.most, text, from, place)
    }
}
