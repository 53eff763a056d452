//! A blocked Bloom filter whose block is one 64-bit word: a key sets two bits of one word.
//!
//! F. Putze, P. Sanders, J. Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007.

use crate::saved::{Section, SetError, Table};

/// A set of keys that may also say yes to a few others.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    words: Table<u64>,
    /// How far a hash is shifted, so that its highest bits choose the word and the next twelve the bits.
    shift: u32,
}

/// The number of words that stay in a nearer cache: 512 KiB.
const NEAR: usize = 1 << 16;

/// The bits of a hash below those that choose the word.
const BITS: u32 = 12;

impl Filter {
    /// The number of words for `keys` keys, within bounds: at 16 bits each or more, or half of that if they would not
    /// stay in a nearer cache.
    pub fn words_for(keys: usize) -> usize {
        let words = (keys / 4).next_power_of_two();
        if words > NEAR { words / 2 } else { words }.clamp(64, 1 << 22)
    }

    /// An empty filter of so many words, a power of two.
    pub fn new(words: usize) -> Self {
        Self {
            words: vec![0; words].into(),
            shift: 64 - BITS - words.trailing_zeros(),
        }
    }

    /// Takes a filter of so many words from a section of a set.
    ///
    /// # Errors
    /// If it has another number of words.
    pub fn load(section: &Section, words: usize) -> Result<Self, SetError> {
        let table = Table::of(section)?;
        if table.len() != words {
            let what = format!("{} words, where {words} are needed", table.len());
            return Err(section.damaged(0, what));
        }
        Ok(Self {
            words: table,
            shift: 64 - BITS - words.trailing_zeros(),
        })
    }

    /// The filter's words and its shift, for a loop that asks for many keys.
    #[inline(always)]
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            words: &self.words,
            shift: self.shift,
        }
    }

    /// The number of words of a filter with this shift.
    #[inline(always)]
    pub fn words_of(shift: u32) -> usize {
        1 << (64 - BITS - shift)
    }

    /// The word's index, which is below [`Filter::words_of`], and which two of its bits are those of a hash.
    #[inline(always)]
    pub fn place(hash: u64, shift: u32) -> (usize, [u64; 2]) {
        let rest = hash >> shift;
        ((rest >> BITS) as usize, [rest & 63, rest >> 6 & 63])
    }

    pub fn insert(&mut self, hash: u64) {
        let (word, bits) = Self::place(hash, self.shift);
        let bits = bits.map(|bit| 1 << bit);
        if let Table::Own(words) = &mut self.words {
            words[word] |= bits[0] | bits[1];
        }
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&self.words[..])
    }
}

/// What a loop needs of a filter.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub words: &'a [u64],
    pub shift: u32,
}

impl Parts<'_> {
    #[inline(always)]
    pub fn may_hold(&self, hash: u64) -> bool {
        let (word, [one, other]) = Filter::place(hash, self.shift);
        let word = self.words.get(word).copied().unwrap_or(0);
        word >> one & word >> other & 1 > 0
    }
}
