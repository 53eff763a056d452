//! Tables in which the bytes of a text are looked up.

use super::bytes::ByteSet;

/// Classes that are looked up together.
pub(super) const TOGETHER: usize = 8;

/// Eight classes or fewer.
#[derive(Debug, Clone)]
pub(super) struct ClassTable {
    /// For each byte a bit for each class.
    pub bytes: Box<[u8; 256]>,
    /// For each class, by the lower half of a byte: a bit for each upper half, those below 8 and the others.
    pub halves: [[[u8; 16]; 2]; TOGETHER],
    pub count: usize,
}

impl ClassTable {
    /// Prepares [`TOGETHER`] classes or fewer.
    pub fn new(sets: &[ByteSet]) -> Self {
        let mut bytes = Box::new([0; 256]);
        let mut halves = [[[0; 16]; 2]; TOGETHER];
        for byte in 0..=u8::MAX {
            let (lower, upper) = (usize::from(byte & 15), usize::from(byte >> 4));
            for (class, _) in sets.iter().enumerate().filter(|(_, set)| set.has(byte)) {
                bytes[usize::from(byte)] |= 1 << class;
                halves[class][upper / 8][lower] |= 1 << (upper % 8);
            }
        }
        Self {
            bytes,
            halves,
            count: sets.len(),
        }
    }
}

/// Positions of a text that are looked at for each byte of a gram, eight grams or sets of them at once.
pub(super) const GRAM: usize = 4;

/// Sets of grams that are looked for at once.
pub(super) const SETS: usize = 8;

/// For each place in a gram, which of eight sets of grams have a byte there.
#[derive(Debug, Clone)]
pub(super) struct Grams {
    /// A bit for each set.
    pub bytes: Box<[[u8; 256]; GRAM]>,
    /// The same, by the lower and the upper half of a byte: a set may have bytes that no gram of it has.
    pub halves: [[[u8; 16]; 2]; GRAM],
}

impl Grams {
    /// Prepares grams, each with the number of its set, below 8.
    pub fn new(grams: impl Iterator<Item = ([ByteSet; GRAM], u8)>) -> Self {
        let mut bytes = Box::new([[0; 256]; GRAM]);
        let mut halves = [[[0; 16]; 2]; GRAM];
        for (gram, set) in grams {
            let bit = 1_u8.checked_shl(set.into()).unwrap_or(0);
            for (place, of_place) in gram.iter().enumerate() {
                for byte in 0..=u8::MAX {
                    if of_place.has(byte) {
                        bytes[place][usize::from(byte)] |= bit;
                        halves[place][0][usize::from(byte & 15)] |= bit;
                        halves[place][1][usize::from(byte >> 4)] |= bit;
                    }
                }
            }
        }
        Self { bytes, halves }
    }

    /// Bytes of memory that it takes beside itself.
    pub fn memory(&self) -> usize {
        size_of_val(&*self.bytes)
    }

    /// The sets of which a gram begins with `text`. Behind its end zeros follow.
    pub fn sets_at(&self, text: &[u8]) -> u8 {
        let byte = |place: usize| usize::from(text.get(place).copied().unwrap_or(0));
        (0..GRAM).fold(u8::MAX, |sets, place| sets & self.bytes[place][byte(place)])
    }
}
