//! SCAN by a filter over sampled q-grams ([`Literals`]), for many patterns.
//!
//! The filter finds occurrences in no particular order, so a text is searched in pieces, and what a piece holds is put in
//! order before it is told.

use super::mode::ScanMode;
use super::slot::{Cancel, LOOK_BYTES};
use super::together::{most_begun, most_ends};
use crate::KernelError;
use gristmill_patterns::Literals;
use gristmill_protocol::PipelineError;

/// The most starts of a piece. A bit for each is kept.
const PIECE: usize = 16 << 10;

/// The most occurrences that a search keeps until they are in order, at eight bytes each.
const MOST_KEPT: usize = 1 << 21;

/// The most bytes of patterns that may begin at one byte.
const MOST_BEGIN: usize = 64 << 10;

/// The most bytes that the starts of occurrences are looked for in before those are put in order.
pub(super) const LARGEST_PIECE: usize = 16 << 10;

/// A set of patterns, none of them empty.
pub(super) struct Sampled {
    literals: Literals,
    /// In a set for all occurrences, the most that can end at one byte.
    most_ends: Option<usize>,
}

impl Sampled {
    /// Prepares a set; `None` if so many patterns hold each other that a search would take too much memory or time.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] for patterns of more than 4 GiB.
    pub fn build(
        patterns: &[&[u8]],
        fold: bool,
        mode: ScanMode,
    ) -> Result<Option<Self>, PipelineError> {
        let longest = patterns.iter().map(|pattern| pattern.len()).max();
        let longest = longest.unwrap_or(0);
        if most_begun(patterns.iter().copied(), fold) > MOST_BEGIN.max(2 * longest) {
            return Ok(None);
        }
        let most_ends = (mode == ScanMode::All).then(|| most_ends(patterns.iter().copied(), fold));
        let kept = most_ends
            .unwrap_or(0)
            .saturating_mul(longest + LARGEST_PIECE);
        if kept > MOST_KEPT {
            return Ok(None);
        }
        let literals = Literals::build(patterns, fold)
            .map_err(|error| KernelError::Patterns(error.to_string()))?;
        Ok(Some(Self {
            literals,
            most_ends,
        }))
    }

    /// The filter.
    pub fn literals(&self) -> &Literals {
        &self.literals
    }

    /// The most patterns that can end at one byte, in a set for all occurrences.
    pub fn most_ends(&self) -> Option<usize> {
        self.most_ends
    }
}

/// A search for the starts of occurrences, in order.
pub(super) struct Starts<'a> {
    set: &'a Sampled,
    bytes: &'a [u8],
    /// The piece that was searched: where it begins and ends, and a bit for each byte at which an occurrence begins.
    from: usize,
    until: usize,
    begins: Box<[u64; PIECE / 64]>,
    cancel: Cancel<'a>,
    look: usize,
}

impl<'a> Starts<'a> {
    /// Begins a search at `at`.
    pub fn new(set: &'a Sampled, bytes: &'a [u8], at: usize, cancel: Cancel<'a>) -> Self {
        Self {
            set,
            bytes,
            from: at,
            until: at,
            begins: Box::new([0; PIECE / 64]),
            cancel,
            look: at.saturating_add(LOOK_BYTES),
        }
    }

    /// The first start at `at` or later. `at` never decreases.
    pub fn next_from(&mut self, mut at: usize) -> Option<usize> {
        while at < self.bytes.len() {
            if let Some(start) = self.in_piece(at) {
                return Some(start);
            }
            at = at.max(self.until);
            if at >= self.look {
                if self.cancel.is_cancelled() {
                    return None;
                }
                self.look = at.saturating_add(LOOK_BYTES);
            }
            let (from, until) = (at, self.bytes.len().min(at + PIECE));
            let begins = &mut self.begins;
            begins.fill(0);
            self.set.literals.find(self.bytes, from..until, |start, _| {
                if let Some(word) = begins.get_mut((start - from) / 64) {
                    *word |= 1 << ((start - from) % 64);
                }
            });
            (self.from, self.until) = (from, until);
        }
        None
    }

    /// The first start in the piece that was searched.
    fn in_piece(&self, at: usize) -> Option<usize> {
        if at >= self.until {
            return None;
        }
        let (first, bit) = ((at - self.from) / 64, (at - self.from) % 64);
        let mut word = self.begins.get(first)? & (u64::MAX << bit);
        let mut index = first;
        while word == 0 {
            index += 1;
            word = *self.begins.get(index)?;
        }
        Some(self.from + 64 * index + word.trailing_zeros() as usize)
    }
}
