//! The bytes of all patterns, one after the other.

use super::BuildError;
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Store {
    bytes: Vec<u8>,
    /// Where each pattern ends in `bytes`.
    ends: Vec<u32>,
    fold: bool,
}

impl Store {
    /// Copies the patterns; where case is folded, in lower case.
    pub fn new<P: AsRef<[u8]>>(patterns: &[P], fold: bool) -> Result<Self, BuildError> {
        if u32::try_from(patterns.len()).is_err() {
            return Err(BuildError::TooMany);
        }
        let mut store = Self {
            bytes: Vec::with_capacity(patterns.iter().map(|pattern| pattern.as_ref().len()).sum()),
            ends: Vec::with_capacity(patterns.len()),
            fold,
        };
        for (number, pattern) in (0..).zip(patterns) {
            if pattern.as_ref().is_empty() {
                return Err(BuildError::Empty(number));
            }
            store.bytes.extend_from_slice(pattern.as_ref());
            let end = u32::try_from(store.bytes.len()).map_err(|_| BuildError::TooMany)?;
            store.ends.push(end);
        }
        if fold {
            store.bytes.make_ascii_lowercase();
        }
        Ok(store)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of a pattern; none for a number that no pattern has.
    #[inline]
    pub fn pattern(&self, number: u32) -> &[u8] {
        &self.bytes[self.range(number)]
    }

    /// Where the bytes of a pattern lie.
    #[inline]
    pub fn range(&self, number: u32) -> Range<usize> {
        let number = number as usize;
        let start = match number {
            0 => 0,
            _ => self.ends.get(number - 1).copied().unwrap_or(0),
        };
        let end = self.ends.get(number).copied().unwrap_or(start);
        start as usize..end as usize
    }

    /// Whether pattern `number` stands in `text` at `start`.
    #[inline]
    pub fn stands_at(&self, text: &[u8], start: usize, number: u32) -> bool {
        self.is_at(text, start, self.range(number))
    }

    /// Whether the pattern whose bytes lie in `range` stands in `text` at `start`.
    #[inline]
    pub fn is_at(&self, text: &[u8], start: usize, range: Range<usize>) -> bool {
        let pattern = &self.bytes[range];
        let Some(here) = text.get(start..start + pattern.len()) else {
            return false;
        };
        if self.fold {
            here.eq_ignore_ascii_case(pattern)
        } else {
            here == pattern
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&self.ends[..])
    }
}
