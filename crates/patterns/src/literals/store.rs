//! The bytes of all patterns, one after the other.

use super::error::BuildError;
use crate::compare::stands_at;
use crate::saved::{Section, SetError, Table};
use std::ops::Range;

/// Texts, each with a number. They are looked at through [`Store`].
pub(crate) struct Stored {
    bytes: Table<u8>,
    /// Where each pattern ends in `bytes`.
    ends: Table<u32>,
    fold: bool,
}

/// A view of patterns.
#[derive(Clone, Copy)]
pub(crate) struct Store<'a> {
    bytes: &'a [u8],
    ends: &'a [u32],
    fold: bool,
}

/// Whether no number is less than the one before. All are looked at, several at once.
pub(super) fn is_ascending(numbers: &[u32]) -> bool {
    let behind = numbers.get(1..).unwrap_or_default();
    let pairs = numbers.iter().zip(behind);
    pairs.fold(true, |all, (one, next)| all & (one <= next))
}

impl Stored {
    /// Copies the patterns; where case is folded, in lower case.
    pub fn new<P: AsRef<[u8]>>(patterns: &[P], fold: bool) -> Result<Self, BuildError> {
        if let Some(empty) = patterns.iter().position(|one| one.as_ref().is_empty()) {
            let number = u32::try_from(empty).map_err(|_| BuildError::TooMany)?;
            return Err(BuildError::Empty(number));
        }
        let mut stored = Self::texts(patterns).ok_or(BuildError::TooMany)?;
        stored.fold = fold;
        if let (Table::Own(bytes), true) = (&mut stored.bytes, fold) {
            bytes.make_ascii_lowercase();
        }
        Ok(stored)
    }

    /// Copies texts, which may be empty. `None` if there are more, or more bytes of them, than 32-bit numbers can name.
    pub fn texts<P: AsRef<[u8]>>(texts: &[P]) -> Option<Self> {
        u32::try_from(texts.len()).ok()?;
        let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.as_ref().len()).sum());
        let mut ends = Vec::with_capacity(texts.len());
        for text in texts {
            bytes.extend_from_slice(text.as_ref());
            ends.push(u32::try_from(bytes.len()).ok()?);
        }
        Some(Self {
            bytes: bytes.into(),
            ends: ends.into(),
            fold: false,
        })
    }

    /// Takes texts from two sections of a set: their bytes, and where each ends.
    ///
    /// # Errors
    /// If they do not end one behind the other, the last where the bytes do.
    pub fn load(bytes: &Section, ends: &Section, fold: bool) -> Result<Self, SetError> {
        let (stored, wrong) = (
            Self {
                bytes: Table::of(bytes)?,
                ends: Table::of(ends)?,
                fold,
            },
            |at: usize, what: &str| Err(ends.damaged(4 * at, what)),
        );
        let view = stored.view();
        if !is_ascending(view.ends) {
            let at = view.ends.windows(2).position(|pair| pair[0] > pair[1]);
            let at = at.map_or(0, |at| at + 1);
            return wrong(at, "a text ends before it begins");
        }
        if view.ends.last().map_or(0, |end| *end as usize) != view.bytes.len() {
            let last = view.ends.len().saturating_sub(1);
            return wrong(last, "the last text does not end where the bytes do");
        }
        Ok(stored)
    }

    #[inline]
    pub fn view(&self) -> Store<'_> {
        Store {
            bytes: &self.bytes,
            ends: &self.ends,
            fold: self.fold,
        }
    }
}

impl<'a> Store<'a> {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether ASCII letters match in either case.
    pub fn folds(&self) -> bool {
        self.fold
    }

    /// The bytes of a pattern; none for a number that no pattern has.
    #[inline]
    pub fn pattern(&self, number: u32) -> &'a [u8] {
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
        stands_at(text, start, &self.bytes[range], self.fold)
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(self.ends)
    }

    /// Bytes of the shortest pattern and of the longest.
    pub fn lengths(&self) -> (usize, usize) {
        let Some(first) = self.ends.first() else {
            return (0, 0);
        };
        let behind = self.ends.get(1..).unwrap_or_default();
        let lens = self.ends.iter().zip(behind);
        let (least, most) = lens.fold((*first, *first), |(least, most), (from, until)| {
            let len = until.wrapping_sub(*from);
            (least.min(len), most.max(len))
        });
        (least as usize, most as usize)
    }

    /// The bytes of all patterns, and where each ends, as a set stores them.
    pub fn sections(&self) -> (&'a [u8], Vec<u8>) {
        (self.bytes, bytemuck::cast_slice(self.ends).to_vec())
    }
}
