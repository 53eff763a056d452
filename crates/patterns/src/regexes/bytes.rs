//! Sets of bytes.

use regex_syntax::hir::ClassUnicode;
use regex_syntax::utf8::Utf8Sequences;

/// Ranges of characters up to which their bytes are told one by one.
const FEW_RANGES: usize = 16;

/// How often a byte stands at a place of source text, about.
pub(super) const fn byte_rate(byte: u8) -> f64 {
    match byte {
        b' ' | b'\n' => 0.12,
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 0.05,
        b'a'..=b'z' => 0.02,
        b'A'..=b'Z' | b'0'..=b'9' => 0.008,
        b'_' | b'.' | b',' | b'"' | b'(' | b')' | b'/' | b'-' | b'=' | b':' | 0 => 0.015,
        0x21..=0x7e => 0.004,
        _ => 0.003,
    }
}

/// How often each byte stands at a place of source text, about.
const RATES: [f64; 256] = {
    let mut rates = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        rates[byte] = byte_rate(byte as u8);
        byte += 1;
    }
    rates
};

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(super) struct ByteSet([u64; 4]);

impl From<[u64; 4]> for ByteSet {
    /// A bit for each byte, the lowest of the first word for 0.
    fn from(words: [u64; 4]) -> Self {
        Self(words)
    }
}

impl ByteSet {
    /// A bit for each byte, as [`from`](Self::from) takes them.
    pub fn words(&self) -> [u64; 4] {
        self.0
    }

    /// All bytes.
    pub fn all() -> Self {
        Self([u64::MAX; 4])
    }

    pub fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub fn add_range(&mut self, first: u8, last: u8) {
        for (word, from) in self.0.iter_mut().zip((0_u32..).step_by(64)) {
            let below = |end: u32| match end.saturating_sub(from) {
                64.. => u64::MAX,
                some => (1 << some) - 1,
            };
            let end = u32::from(last) + 1;
            *word |= below(end) & !below(u32::from(first).min(end));
        }
    }

    /// All bytes of these characters, or more of those that are not ASCII.
    pub fn of_characters(class: &ClassUnicode) -> Self {
        let mut set = Self::default();
        let few = class.ranges().len() <= FEW_RANGES;
        for range in class.ranges() {
            let (first, last) = (u32::from(range.start()), u32::from(range.end()));
            if let Ok(first) = u8::try_from(first) {
                if first < 0x80 {
                    set.add_range(
                        first,
                        u8::try_from(last).map_or(0x7F, |last| last.min(0x7F)),
                    );
                }
            }
            if last >= 0x80 {
                if first <= 0x80 && last == u32::from(char::MAX) {
                    // All of UTF-8's, as of a dot.
                    set.add_range(0x80, 0xBF);
                    set.add_range(0xC2, 0xF4);
                } else if few {
                    for sequence in Utf8Sequences::new(range.start().max('\u{80}'), range.end()) {
                        let bytes = sequence.as_slice().iter();
                        bytes.for_each(|range| set.add_range(range.start, range.end));
                    }
                } else {
                    set.add_range(0x80, 0xFF);
                }
            }
        }
        set
    }

    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 > 0
    }

    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The number of bytes.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub fn is_within(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(one, other)| one & !other == 0)
    }

    pub fn meets(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .any(|(one, other)| one & other > 0)
    }

    /// How often one of the bytes stands at a place of source text, about.
    pub fn rate(&self) -> f64 {
        let mut rate = 0.0;
        for (number, word) in self.0.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                rate += RATES[64 * number + word.trailing_zeros() as usize];
                word &= word - 1;
            }
        }
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_syntax::hir::ClassUnicodeRange;

    #[test]
    fn a_range_has_all_bytes_from_its_first_to_its_last() {
        for first in 0..=u8::MAX {
            for last in 0..=u8::MAX {
                let (mut set, mut expected) = (ByteSet::default(), ByteSet::default());
                set.add_range(first, last);
                (first..=last).for_each(|byte| expected.add(byte));
                assert_eq!(set, expected, "{first} {last}");
            }
        }
    }

    #[test]
    fn characters_have_the_bytes_of_their_encodings() {
        for (first, last) in [
            (0, 0x10FFFF),
            (0x7F, 0x10FFFF),
            (0x80, 0x10FFFF),
            (0x81, 0x10FFFF),
            (0, 0x10FFFE),
            (0x40, 0x7FF),
            (0x900, 0xFFFF),
        ] {
            let ends = [first, last].map(|one| char::from_u32(one).unwrap());
            let class = ClassUnicode::new([ClassUnicodeRange::new(ends[0], ends[1])]);
            let mut expected = ByteSet::default();
            for character in ends[0]..=ends[1] {
                let mut bytes = [0; 4];
                let bytes = character.encode_utf8(&mut bytes).bytes();
                bytes.for_each(|byte| expected.add(byte));
            }
            assert_eq!(ByteSet::of_characters(&class), expected, "{ends:?}");
        }
    }
}
