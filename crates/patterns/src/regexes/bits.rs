//! Which bytes of a text belong to which classes: a bit for each byte and class.
//!
//! Classes are looked up together, eight at a time: a table gives for each byte a bit for each class. With AVX-512 64
//! bytes are looked up by two instructions; with AVX2 a class is two tables of 16 bytes, asked by halves of the bytes, and
//! one where these are ASCII, so that each class takes some time, and those that are rarely needed have a turn of their
//! own; elsewhere bytes are looked up one by one.

use super::bytes::ByteSet;
use super::tables::{ClassTable, Grams, GRAM, TOGETHER};
use super::words;
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::unit::{Level, Unit};

/// Classes, prepared for being looked up, in one turn or in several: those that are rarely needed come later.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    tables: Vec<Table>,
    /// The turn of each class.
    turns: Vec<usize>,
    unit: Unit,
}

/// Classes that are looked up together.
#[derive(Debug, Clone)]
struct Table {
    turn: usize,
    /// The number of the first.
    first: usize,
    classes: ClassTable,
}

impl Classes {
    /// Whether each class takes longer, so that it is better to look some up only where they are needed.
    pub fn in_turns(unit: Unit) -> bool {
        match unit.level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => true,
            _ => false,
        }
    }

    /// Prepares classes, each with its turn, in the order of these. Where all are looked up at once, or nearly, there is one
    /// turn alone.
    pub fn new(sets: &[(ByteSet, usize)], unit: Unit) -> Self {
        let apart = Self::in_turns(unit);
        let turn = |(_, turn): &(ByteSet, usize)| if apart { *turn } else { 0 };
        let mut tables: Vec<Table> = Vec::new();
        let mut first = 0;
        for of_turn in sets.chunk_by(|one, other| turn(one) == turn(other)) {
            for together in of_turn.chunks(TOGETHER) {
                let sets: Vec<ByteSet> = together.iter().map(|(set, _)| *set).collect();
                tables.push(Table {
                    turn: turn(&together[0]),
                    first,
                    classes: ClassTable::new(&sets),
                });
                first += together.len();
            }
        }
        Self {
            tables,
            turns: sets.iter().map(turn).collect(),
            unit,
        }
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// The turn in which a class is looked up.
    pub fn turn(&self, class: usize) -> usize {
        self.turns.get(class).copied().unwrap_or(0)
    }

    /// The vector unit that they use.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Bytes of memory that they take.
    pub fn memory(&self) -> usize {
        self.tables.len() * (256 + size_of::<Table>()) + size_of_val(&self.turns[..])
    }

    /// Fills `words`, of which there are `per_class` for each class, one class behind the other, for the classes of a turn. Of the second word of a class, and
    /// the following ones, bit `i` of word `j` tells of the byte `from + 64 (j - 1) + i` of `text`; the first tells of the
    /// 64 bytes before `from`, or of none if `from` is less. Bytes that `text` has not are in no class.
    pub fn fill(&self, turn: usize, text: &[u8], from: usize, per_class: usize, words: &mut [u64]) {
        let skipped = usize::from(from < 64);
        let text = &text[if skipped > 0 { from } else { from - 64 }..];
        let count = per_class - skipped;
        let blocks = count.min(text.len() / 64);
        let (whole, rest) = text[..text.len().min(64 * count)].split_at(64 * blocks);
        for table in self.tables.iter().filter(|table| table.turn == turn) {
            let first = table.first * per_class;
            let table = &table.classes;
            let words = &mut words[first..first + table.count * per_class];
            self.blocks(table, whole, per_class, words, skipped);
            let behind = skipped + blocks;
            for words in words.chunks_exact_mut(per_class) {
                words[..skipped].fill(0);
                words[behind..].fill(0);
            }
            if !rest.is_empty() {
                let mut padded = [0; 64];
                padded[..rest.len()].copy_from_slice(rest);
                self.blocks(table, &padded, per_class, words, behind);
                for words in words.chunks_exact_mut(per_class) {
                    words[behind] &= (1 << rest.len()) - 1;
                }
            }
        }
    }

    fn blocks(
        &self,
        table: &ClassTable,
        text: &[u8],
        per_class: usize,
        words: &mut [u64],
        at: usize,
    ) {
        match self.unit.level() {
            Level::Portable => portable(table, text, per_class, words, at),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `Unit::all` makes a unit of this level, and only where the processor has it.
            Level::Avx2 => unsafe { x86::avx2(table, text, per_class, words, at) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { x86::avx512(table, text, per_class, words, at) },
        }
    }
}

/// Fills `words` with a bit for each byte of `text`, set if one of the grams may begin there. `text` goes on for `GRAM - 1`
/// bytes behind those.
pub(super) fn fill_grams(unit: Unit, grams: &Grams, text: &[u8], words: &mut [u64]) {
    let whole = words.len().min((text.len() + 1).saturating_sub(GRAM) / 64);
    let (words, rest) = words.split_at_mut(whole);
    gram_blocks(unit, grams, text, words);
    for (number, word) in rest.iter_mut().enumerate() {
        let mut padded = [0; 64 + GRAM - 1];
        let left = text.get(64 * (whole + number)..).unwrap_or_default();
        let left = &left[..left.len().min(padded.len())];
        padded[..left.len()].copy_from_slice(left);
        gram_blocks(unit, grams, &padded, std::slice::from_mut(word));
    }
}

fn gram_blocks(unit: Unit, grams: &Grams, text: &[u8], words: &mut [u64]) {
    match unit.level() {
        Level::Portable => {
            for (number, word) in words.iter_mut().enumerate() {
                let sets = |at: usize| grams.sets_at(&text[64 * number + at..]);
                *word = (0..64).fold(0, |word, at| word | u64::from(sets(at) != 0) << at);
            }
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only `Unit::all` makes a unit of this level, and only where the processor has it.
        Level::Avx2 => unsafe { x86::grams_avx2(grams, text, words) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { x86::grams_avx512(grams, text, words) },
    }
}

/// Leaves of the bits of `words` those behind which the one `by` places on is set, too: 1 to 63. Behind the last word
/// none is.
pub(super) fn shrink(unit: Unit, words: &mut [u64], by: usize) {
    match unit.level() {
        Level::Portable => words::shrink(words, by),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only `Unit::all` makes a unit of this level, and only where the processor has it.
        Level::Avx2 => unsafe { x86::shrink_avx2(words, by) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { x86::shrink_avx512(words, by) },
    }
}

/// Makes of `words` what [`shrink`] leaves of them, in `to`, which has as many.
pub(super) fn shrunk(unit: Unit, words: &[u64], by: usize, to: &mut [u64]) {
    match unit.level() {
        Level::Portable => words::shrunk(words, by, to),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only `Unit::all` makes a unit of this level, and only where the processor has it.
        Level::Avx2 => unsafe { x86::shrunk_avx2(words, by, to) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { x86::shrunk_avx512(words, by, to) },
    }
}

/// Leaves in `kept`, of as many `words`, the bits before which one of `leads` lies, 1 to `reach` places away, with nothing but bits of
/// `between` between them, and perhaps some of which it lies a little further. Both of these have one word more, the first, which lies before the others.
pub(super) fn keep_led(
    unit: Unit,
    words: &[u64],
    leads: (&[u64], &[u64]),
    reach: usize,
    kept: &mut [u64],
) {
    match unit.level() {
        Level::Portable => words::keep_led(words, leads, reach, kept),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only `Unit::all` makes a unit of this level, and only where the processor has it.
        Level::Avx2 => unsafe { x86::keep_led_avx2(words, leads, reach, kept) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { x86::keep_led_avx512(words, leads, reach, kept) },
    }
}

/// Fills `found` with a bit for each of `words`, set if it is not zero. Whether there are such words.
pub(super) fn not_zero(unit: Unit, words: &[u64], found: &mut Vec<u64>) -> bool {
    found.resize(words.len().div_ceil(64), 0);
    match unit.level() {
        Level::Portable => words::not_zero(words, found),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only `Unit::all` makes a unit of this level, and only where the processor has it.
        Level::Avx2 => unsafe { x86::not_zero_avx2(words, found) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe { x86::not_zero_avx512(words, found) },
    }
}

/// Looks up blocks of 64 bytes, one byte after the other. Their words begin with word `at` of each class.
fn portable(table: &ClassTable, text: &[u8], per_class: usize, words: &mut [u64], at: usize) {
    for (number, block) in text.chunks_exact(64).enumerate() {
        let mut found = [0_u64; TOGETHER];
        for (eighth, bytes) in block.chunks_exact(8).enumerate() {
            let looked_up: [u8; 8] =
                std::array::from_fn(|byte| table.bytes[usize::from(bytes[byte])]);
            // Eight bytes of eight bits, transposed: byte `k` holds the bits of class `k`.
            let mut x = u64::from_le_bytes(looked_up);
            for (shift, mask) in [
                (7, 0x00AA_00AA_00AA_00AA),
                (14, 0x0000_CCCC_0000_CCCC),
                (28, 0x0000_0000_F0F0_F0F0),
            ] {
                let moved = (x ^ (x >> shift)) & mask;
                x ^= moved ^ (moved << shift);
            }
            for (class, byte) in x.to_le_bytes().into_iter().enumerate() {
                found[class] |= u64::from(byte) << (8 * eighth);
            }
        }
        for (class, word) in found.into_iter().take(table.count).enumerate() {
            words[class * per_class + at + number] = word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_units_tell_the_same() {
        let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GRISTMILL_BITS_SEED"));
        for _ in 0..200 {
            let sets: Vec<ByteSet> = (0..random.usize(1..20))
                .map(|_| {
                    let mut set = ByteSet::default();
                    (0..random.usize(..300)).for_each(|_| set.add(random.u8(..)));
                    set
                })
                .collect();
            let mut turns: Vec<usize> = sets.iter().map(|_| random.usize(..3)).collect();
            turns.sort_unstable();
            let last = if random.bool() { 0x7F } else { 0xFF };
            let length = random.usize(..700);
            let text: Vec<u8> = (0..length).map(|_| random.u8(..=last)).collect();
            let per_class = random.usize(1..12);
            let from = random.usize(..=text.len());
            for unit in Unit::all() {
                let turns = sets.iter().zip(&turns);
                let turns: Vec<_> = turns.map(|(set, turn)| (*set, *turn)).collect();
                let classes = Classes::new(&turns, unit);
                let mut words = vec![u64::MAX; sets.len() * per_class];
                for turn in 0..3 {
                    classes.fill(turn, &text, from, per_class, &mut words);
                }
                for (class, set) in sets.iter().enumerate() {
                    for at in 0..64 * per_class {
                        let word = words[class * per_class + at / 64];
                        let place = (from + at)
                            .checked_sub(64)
                            .filter(|_| from >= 64 || at >= 64);
                        let byte = place.and_then(|place| text.get(place));
                        let expected = byte.is_some_and(|byte| set.has(*byte));
                        assert_eq!(word >> (at % 64) & 1 > 0, expected, "{unit:?} {class} {at}");
                    }
                }
            }
        }
    }
}
