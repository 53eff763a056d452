//! Sets of byte strings.

use aho_corasick::AhoCorasick;
use std::ops::Range;

/// Why a set could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The pattern with this number is empty: it would occur everywhere.
    Empty(u32),
    /// More patterns, or more bytes of them, than a set can hold.
    TooMany,
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty(number) => {
                write!(f, "pattern {number} is empty, so it would occur everywhere")
            }
            Self::TooMany => f.write_str("the set has more patterns than 32-bit numbers can name"),
        }
    }
}

impl std::error::Error for BuildError {}

/// A set of byte strings, prepared for finding all their occurrences.
pub struct Literals {
    automaton: AhoCorasick,
}

impl Literals {
    /// Prepares a set. `fold` makes ASCII letters match in either case.
    ///
    /// # Errors
    /// [`BuildError::Empty`] for an empty pattern, [`BuildError::TooMany`] for a set that is too large.
    pub fn build<P: AsRef<[u8]>>(patterns: &[P], fold: bool) -> Result<Self, BuildError> {
        if let Some(empty) = patterns
            .iter()
            .position(|pattern| pattern.as_ref().is_empty())
        {
            return Err(u32::try_from(empty).map_or(BuildError::TooMany, BuildError::Empty));
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(fold)
            .build(patterns)
            .map_err(|_| BuildError::TooMany)?;
        Ok(Self { automaton })
    }

    /// Calls `found` with start and number of every occurrence in `text` whose first byte lies in `starts`: overlapping
    /// ones too, in no particular order. `text` ends after the last byte that an occurrence may have.
    pub fn find(&self, text: &[u8], starts: Range<usize>, mut found: impl FnMut(usize, u32)) {
        for occurrence in self.automaton.find_overlapping_iter(text) {
            if starts.contains(&occurrence.start()) {
                found(occurrence.start(), occurrence.pattern().as_u32());
            }
        }
    }
}

impl std::fmt::Debug for Literals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Literals({} patterns)", self.automaton.patterns_len())
    }
}
