//! How often short runs of bytes stand in ordinary text: an estimate, by which the parts of patterns are chosen that a
//! filter looks for.
//!
//! The model is a chain of bytes in 32 classes. Its numbers were counted in 40 MB of source code and its documentation,
//! in letters that were folded to lower case where a class stands for one letter.

/// Upper-case letters, digits, space, control characters, punctuation, and bytes outside ASCII follow the 26 letters.
const CLASSES: usize = 32;

/// The class of a byte.
fn class(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => usize::from(byte - b'a'),
        b'A'..=b'Z' => 26,
        b'0'..=b'9' => 27,
        b' ' => 28,
        0..=31 | 127 => 29,
        33..=126 => 30,
        _ => 31,
    }
}

/// The information in `bytes`, in bits: they stand at one in about 2 to this power places of a text.
pub(super) fn bits(bytes: &[u8]) -> f32 {
    let mut quarters = 0_u32;
    let mut row = 0;
    for &byte in bytes {
        let class = class(byte);
        quarters += u32::from(QUARTER_BITS[row][class]);
        row = class + 1;
    }
    quarters as f32 / 4.0
}

/// How often `bytes` stand in ordinary text, by position.
pub(super) fn rate(bytes: &[u8]) -> f32 {
    (-bits(bytes)).exp2()
}

/// The rates of many runs of one text, each at the cost of a subtraction.
pub(super) struct Rates {
    /// Quarters of bits of each byte by itself, and the sum of those of each byte after the one before it.
    alone: [u8; MOST_BYTES],
    after: [u32; MOST_BYTES + 1],
}

/// The most bytes of a text of which rates are told.
pub(super) const MOST_BYTES: usize = 96;

impl Rates {
    /// Looks at the first [`MOST_BYTES`] of a text.
    pub fn of(text: &[u8]) -> Self {
        let mut rates = Self {
            alone: [0; MOST_BYTES],
            after: [0; MOST_BYTES + 1],
        };
        let (mut row, mut sum) = (0, 0);
        for (at, byte) in text.iter().take(MOST_BYTES).enumerate() {
            let class = class(*byte);
            rates.alone[at] = QUARTER_BITS[0][class];
            sum += u32::from(QUARTER_BITS[row][class]);
            rates.after[at + 1] = sum;
            row = class + 1;
        }
        rates
    }

    /// How often the run of `len` bytes at `at` stands in ordinary text, by position.
    #[inline]
    pub fn rate(&self, at: usize, len: usize) -> f32 {
        use std::f32::consts::FRAC_1_SQRT_2;
        const QUARTERS: [f32; 4] = [1.0, 0.840_896_4, FRAC_1_SQRT_2, 0.594_603_56];
        let quarters = u32::from(self.alone[at]) + self.after[at + len] - self.after[at + 1];
        let halvings = (quarters / 4).min(120);
        QUARTERS[(quarters % 4) as usize] * f32::from_bits((127 - halvings) << 23)
    }
}

/// Kinds of bytes: letters of either case, digits, space, control characters, punctuation, and bytes outside ASCII.
const KINDS: usize = 7;

/// The kind of a class.
fn kind(class: usize) -> usize {
    class.saturating_sub(25)
}

/// A model for sets of bytes, with few states: a byte's kind depends on that of the byte before. Within a kind, bytes are
/// between as frequent as in the other model and all alike, as they are in names and in keys.
pub(super) struct Kinds {
    first: [f32; KINDS],
    next: [[f32; KINDS]; KINDS],
    /// For each byte its kind, and its share among the bytes of that kind.
    bytes: [(usize, f32); 256],
}

impl Kinds {
    pub fn new() -> Self {
        let chance = |row: usize, class: usize| (-f32::from(QUARTER_BITS[row][class]) / 4.0).exp2();
        let mut sizes = [0.0; CLASSES];
        (0..=u8::MAX).for_each(|byte| sizes[class(byte)] += 1.0);
        let (mut first, mut counts) = ([0.0; KINDS], [0.0; KINDS]);
        for class in 0..CLASSES {
            counts[kind(class)] += sizes[class];
            first[kind(class)] += sizes[class] * chance(0, class);
        }
        let mut next = [[0.0; KINDS]; KINDS];
        for before in 0..CLASSES {
            let share = sizes[before] * chance(0, before) / first[kind(before)];
            for after in 0..CLASSES {
                next[kind(before)][kind(after)] += share * sizes[after] * chance(before + 1, after);
            }
        }
        for row in &mut next {
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|chance| *chance /= sum);
        }
        let mut bytes = [(0, 0.0); 256];
        for byte in 0..=u8::MAX {
            let kind = kind(class(byte));
            let even = 1.0 / counts[kind];
            let share = chance(0, class(byte)) / first[kind];
            bytes[usize::from(byte)] = (kind, (share + even) / 2.0);
        }
        Self { first, next, bytes }
    }

    /// How often bytes of these sets stand one behind the other in ordinary text, by position.
    pub fn rate(&self, sets: &[Chosen]) -> f32 {
        let mut reached = [0.0; KINDS];
        for (place, set) in sets.iter().enumerate() {
            let before = reached;
            for (kind, reached) in reached.iter_mut().enumerate() {
                let come: f32 = match place {
                    0 => self.first[kind],
                    _ => (0..KINDS)
                        .map(|from| before[from] * self.next[from][kind])
                        .sum(),
                };
                *reached = come * set.shares[kind].min(1.0);
            }
        }
        reached.iter().sum()
    }
}

/// The bytes of a text of words by their upper halves, with a bit for each lower half: lower-case letters, the end of a
/// line and the space.
const WORDS: [(usize, u16); 4] = [(0, 1 << 10), (2, 1), (6, 0xfffe), (7, 0x07ff)];

/// How many these are.
const WORDS_LEN: f32 = 28.0;

/// A set of bytes, and which share of the bytes of each kind it has.
#[derive(Clone, Copy, Default)]
pub(super) struct Chosen {
    bytes: [u64; 4],
    shares: [f32; KINDS],
}

impl Chosen {
    pub fn add(&mut self, kinds: &Kinds, byte: u8) {
        let (word, bit) = (usize::from(byte >> 6), 1 << (byte & 63));
        if self.bytes[word] & bit == 0 {
            self.bytes[word] |= bit;
            let (kind, share) = kinds.bytes[usize::from(byte)];
            self.shares[kind] += share;
        }
    }

    pub fn has(&self, byte: u8) -> bool {
        self.bytes[usize::from(byte >> 6)] >> (byte & 63) & 1 > 0
    }

    /// All bytes.
    pub fn all() -> Self {
        Self {
            bytes: [u64::MAX; 4],
            shares: [1.0; KINDS],
        }
    }

    pub fn is_all(&self) -> bool {
        self.bytes == [u64::MAX; 4]
    }

    pub fn len(&self) -> u32 {
        self.bytes.iter().map(|word| word.count_ones()).sum()
    }

    /// Those with this upper half, with a bit for each lower half.
    fn row(&self, upper: usize) -> u16 {
        (self.bytes[upper / 4] >> (16 * (upper % 4))) as u16
    }

    /// The share of these bytes in a text of nothing but words, whose letters are all as frequent.
    pub fn even(&self) -> f32 {
        let found = WORDS
            .iter()
            .map(|(upper, lower)| (self.row(*upper) & lower).count_ones());
        found.sum::<u32>() as f32 / WORDS_LEN
    }

    /// The same of all bytes whose lower half is that of one of these, and whose upper half is that of one.
    pub fn even_by_halves(&self) -> f32 {
        let of_rows = |rows: u64| (rows | rows >> 16 | rows >> 32 | rows >> 48) as u16;
        let lower = self.bytes.iter().fold(0, |all, rows| all | of_rows(*rows));
        let found = WORDS
            .iter()
            .filter(|(upper, _)| self.row(*upper) != 0)
            .map(|(_, has)| (lower & has).count_ones());
        found.sum::<u32>() as f32 / WORDS_LEN
    }

    pub fn union(&self, kinds: &Kinds, other: &Self) -> Self {
        if other.is_all() {
            return *other;
        }
        let mut union = *self;
        for (number, word) in (0..).zip(other.bytes) {
            let mut more = word & !self.bytes[usize::from(number)];
            while more != 0 {
                union.add(kinds, number << 6 | more.trailing_zeros() as u8);
                more &= more - 1;
            }
        }
        union
    }
}

/// Quarters of bits: first of a class's byte anywhere, then, a row for each class, of a byte after one of that class.
#[rustfmt::skip]
const QUARTER_BITS: [[u8; CLASSES]; CLASSES + 1] = [
    [21, 25, 23, 24, 17, 25, 27, 28, 21, 46, 34, 23, 25, 20, 21, 23, 39, 20, 20, 18, 21, 32, 30, 32, 29, 38, 31, 32, 10, 25, 26, 60],
    [37, 22, 15, 20, 42, 24, 21, 45, 22, 45, 30, 13, 18, 14, 48, 20, 49, 11, 14, 10, 23, 30, 26, 31, 24, 37, 51, 41, 22, 43, 36, 85],
    [21, 37, 26, 37, 17, 38, 42, 51, 14, 29, 46, 18, 36, 46, 21, 36, 66, 28, 25, 32, 14, 44, 53, 51, 21, 56, 49, 39, 4, 53, 31, 82],
    [17, 35, 26, 36, 16, 20, 46, 16, 18, 60, 19, 20, 32, 38, 6, 33, 39, 17, 25, 14, 23, 33, 47, 42, 35, 58, 45, 41, 26, 48, 29, 94],
    [20, 36, 36, 21, 9, 32, 17, 45, 16, 46, 42, 22, 36, 37, 14, 36, 51, 22, 23, 32, 21, 35, 26, 37, 30, 65, 40, 38, 13, 32, 24, 86],
    [20, 24, 21, 18, 27, 24, 29, 43, 35, 50, 38, 16, 22, 14, 35, 25, 27, 12, 16, 16, 39, 24, 28, 21, 32, 55, 42, 43, 13, 32, 26, 92],
    [17, 40, 33, 26, 14, 18, 18, 47, 13, 68, 76, 21, 24, 13, 12, 43, 58, 20, 23, 28, 22, 52, 39, 52, 33, 68, 47, 35, 15, 36, 26, 96],
    [29, 39, 42, 44, 8, 43, 33, 24, 19, 70, 53, 24, 34, 21, 26, 40, 50, 22, 16, 28, 23, 44, 44, 57, 36, 55, 43, 46, 12, 34, 22, 98],
    [11, 37, 38, 29, 7, 43, 45, 49, 13, 58, 43, 37, 31, 38, 14, 42, 59, 21, 31, 19, 24, 42, 34, 62, 32, 49, 40, 48, 13, 35, 29, 86],
    [21, 25, 18, 17, 19, 21, 23, 50, 38, 55, 32, 19, 19, 7, 15, 26, 44, 25, 15, 12, 51, 20, 64, 30, 68, 19, 55, 35, 34, 58, 40, 100],
    [23, 47, 34, 55, 4, 35, 30, 38, 17, 55, 32, 28, 32, 33, 12, 34, 51, 42, 12, 29, 16, 45, 47, 44, 45, 47, 46, 52, 24, 49, 34, 68],
    [23, 44, 34, 34, 6, 35, 34, 29, 16, 67, 49, 33, 37, 22, 29, 35, 42, 40, 21, 25, 28, 36, 37, 61, 43, 67, 37, 46, 17, 35, 22, 91],
    [16, 36, 41, 17, 10, 14, 38, 48, 12, 67, 38, 15, 41, 36, 13, 26, 66, 39, 21, 18, 20, 37, 34, 50, 22, 61, 41, 43, 18, 37, 28, 90],
    [12, 25, 38, 30, 10, 43, 41, 45, 18, 68, 41, 29, 23, 35, 14, 13, 38, 38, 17, 24, 12, 42, 43, 55, 21, 76, 41, 44, 20, 43, 28, 88],
    [20, 40, 21, 13, 14, 23, 14, 44, 22, 57, 24, 25, 35, 28, 20, 28, 47, 37, 10, 12, 24, 29, 29, 53, 28, 51, 43, 44, 14, 38, 29, 84],
    [31, 30, 18, 19, 31, 22, 24, 48, 26, 33, 25, 21, 17, 7, 21, 18, 68, 11, 23, 20, 18, 27, 18, 34, 45, 46, 47, 53, 19, 41, 34, 96],
    [15, 39, 32, 34, 12, 27, 38, 31, 23, 69, 41, 16, 41, 42, 20, 23, 58, 15, 23, 16, 6, 36, 40, 49, 20, 68, 43, 52, 27, 44, 31, 102],
    [46, 36, 30, 29, 26, 58, 34, 58, 42, 62, 62, 44, 39, 32, 36, 41, 45, 32, 30, 49, 4, 51, 41, 62, 62, 58, 42, 50, 21, 47, 21, 86],
    [12, 37, 25, 25, 10, 32, 18, 46, 15, 63, 31, 32, 24, 20, 15, 39, 54, 19, 20, 18, 19, 31, 38, 39, 23, 61, 42, 43, 17, 37, 27, 87],
    [22, 42, 25, 38, 11, 39, 24, 22, 16, 52, 32, 30, 30, 35, 24, 21, 44, 31, 19, 8, 18, 39, 39, 48, 20, 33, 45, 47, 14, 32, 26, 90],
    [17, 40, 26, 29, 12, 31, 48, 15, 16, 71, 56, 31, 34, 45, 19, 28, 66, 14, 24, 21, 22, 43, 38, 36, 17, 58, 42, 49, 9, 37, 26, 89],
    [29, 8, 21, 30, 19, 26, 21, 62, 23, 66, 60, 16, 22, 16, 35, 21, 66, 17, 16, 13, 38, 59, 62, 25, 69, 56, 60, 24, 36, 58, 43, 88],
    [9, 45, 31, 37, 4, 32, 37, 47, 13, 61, 54, 33, 25, 44, 19, 36, 61, 38, 35, 34, 49, 51, 54, 36, 50, 61, 44, 33, 26, 47, 31, 93],
    [14, 42, 36, 32, 18, 33, 40, 16, 7, 57, 52, 32, 40, 20, 20, 34, 46, 15, 12, 31, 48, 50, 30, 54, 51, 51, 38, 58, 21, 41, 27, 95],
    [19, 27, 23, 27, 19, 26, 45, 24, 23, 60, 63, 39, 40, 47, 37, 14, 46, 45, 38, 12, 36, 40, 42, 37, 35, 50, 33, 20, 14, 41, 27, 85],
    [37, 32, 39, 46, 27, 45, 42, 36, 30, 68, 62, 26, 29, 20, 25, 10, 72, 39, 12, 18, 53, 52, 36, 59, 51, 46, 38, 51, 13, 31, 21, 88],
    [21, 41, 31, 34, 1, 34, 45, 46, 24, 63, 49, 39, 40, 41, 26, 32, 51, 38, 34, 36, 34, 41, 48, 51, 24, 34, 38, 45, 27, 53, 38, 74],
    [24, 43, 37, 35, 22, 40, 50, 31, 27, 78, 38, 29, 38, 28, 23, 31, 38, 26, 35, 29, 30, 42, 46, 37, 34, 57, 21, 39, 23, 47, 27, 93],
    [32, 32, 32, 32, 32, 32, 54, 55, 28, 71, 49, 58, 48, 60, 44, 54, 65, 51, 53, 51, 23, 62, 68, 19, 82, 71, 42, 17, 14, 35, 23, 92],
    [24, 29, 19, 29, 30, 23, 37, 34, 25, 47, 43, 28, 29, 31, 29, 25, 37, 29, 23, 21, 23, 33, 27, 45, 44, 51, 34, 33, 4, 67, 27, 75],
    [39, 43, 39, 42, 40, 32, 52, 51, 26, 74, 54, 36, 36, 44, 48, 10, 63, 43, 36, 42, 28, 43, 29, 71, 65, 60, 39, 58, 4, 20, 27, 80],
    [26, 27, 22, 25, 28, 25, 35, 34, 24, 45, 36, 27, 22, 27, 31, 27, 45, 27, 22, 23, 26, 32, 31, 40, 50, 37, 31, 36, 9, 16, 23, 57],
    [49, 45, 59, 53, 53, 53, 56, 54, 65, 65, 65, 50, 54, 50, 52, 59, 65, 50, 47, 42, 45, 45, 56, 59, 65, 59, 54, 44, 28, 44, 23, 26],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_runs_have_more_bits() {
        assert!(bits(b"ther") < bits(b"qxzj"));
        assert!(bits(b"the") < bits(b"the "));
        assert_eq!(bits(b""), 0.0);
    }

    #[test]
    fn rates_are_those_of_each_run_alone() {
        let text = "The quick brown fox, 42 \u{e9}".repeat(4);
        let rates = Rates::of(text.as_bytes());
        for at in 0..MOST_BYTES - 8 {
            for len in 1..=8 {
                let expected = rate(&text.as_bytes()[at..at + len]);
                assert!((rates.rate(at, len) / expected - 1.0).abs() < 1e-4);
            }
        }
    }
}
