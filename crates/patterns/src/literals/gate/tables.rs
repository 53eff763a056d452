//! What a gate looks up: for each place in a needle, which of eight sets have a byte there.

/// The most bytes of a needle.
pub(super) const PLACES: usize = 8;

/// Bytes that one round of the vector unit looks at.
pub(super) const ROUND: usize = 256;

/// Words of bits that one round tells.
pub const ROUND_WORDS: usize = ROUND / 64;

/// Bytes of text that a round needs.
pub(super) const BLOCK: usize = ROUND + PLACES - 1;

/// Bytes of a needle, at least, where its string has so many.
pub(super) const LEAST: usize = 3;

/// The furthest that a needle begins in its string.
pub const FURTHEST: usize = 47;

/// For each place in a needle, which of eight sets have a byte there: a bit for each set.
#[derive(Clone)]
pub(super) struct Sets {
    pub of_bytes: Box<[[u8; 256]; PLACES]>,
    /// Those that have all bytes there.
    pub of_all: [u8; PLACES],
}

impl Sets {
    pub fn new(of_bytes: Box<[[u8; 256]; PLACES]>) -> Self {
        let all = |sets: &[u8; 256]| sets.iter().fold(u8::MAX, |all, sets| all & sets);
        Self {
            of_all: of_bytes.each_ref().map(all),
            of_bytes,
        }
    }

    /// Whether the needle that begins at this place of a string is in a set.
    pub fn have(&self, pattern: &[u8], at: usize) -> bool {
        let mut left = u8::MAX;
        for (place, (of_bytes, of_all)) in self.of_bytes.iter().zip(self.of_all).enumerate() {
            left &= match pattern.get(at + place) {
                Some(byte) => of_bytes[usize::from(*byte)],
                None => of_all,
            };
        }
        left != 0
    }
}

/// Where a needle may begin in a string.
pub(super) fn starts(pattern: &[u8]) -> std::ops::RangeInclusive<usize> {
    0..=pattern.len().saturating_sub(LEAST).min(FURTHEST)
}

/// What is looked up.
pub(super) struct Tables {
    pub sets: Sets,
    /// The sets by six bits of a byte, in which letters of either case are alike, and so are a byte and that with its
    /// highest bit changed: a set may have bytes that no needle of it has.
    pub sixths: [[u8; 64]; PLACES],
    /// The places that are looked at first.
    pub first: usize,
}

impl Tables {
    pub fn new(sets: Sets, first: usize) -> Self {
        let mut sixths = [[0; 64]; PLACES];
        for (place, sets) in sets.of_bytes.iter().enumerate() {
            for (byte, sets) in (0..=u8::MAX).zip(sets) {
                sixths[place][sixth(byte)] |= sets;
            }
        }
        Self {
            sets,
            sixths,
            first,
        }
    }
}

/// The bits of a byte by which it is looked up in 64.
pub(super) fn sixth(byte: u8) -> usize {
    usize::from((byte & 31) | (byte >> 1 & 32))
}

/// The most places that are looked at first.
pub(super) const MOST_FIRST: usize = 4;
