//! Sets of bytes.

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

impl ByteSet {
    /// All bytes.
    pub fn all() -> Self {
        Self([u64::MAX; 4])
    }

    pub fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub fn add_range(&mut self, first: u8, last: u8) {
        (first..=last).for_each(|byte| self.add(byte));
    }

    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 > 0
    }

    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
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
