//! Which places of a text can be part of any of the strings: a look at eight bytes of each, for 32 or 64 places at once.
//!
//! In each string a *needle* of up to eight bytes is chosen (`needles`), and the needles are divided among eight sets.
//! For each place in a needle, a table has for each byte a bit for each set: it is there if a needle of the set has this
//! byte at this place, or is shorter. A text is looked up at the places behind each other, and where a bit is left in what all have in
//! common, a needle may begin. So it is with Teddy of Hyperscan, as the crate `aho-corasick` describes it; here a place
//! more is looked at only where the first ones have left something, and a set's needles need not be few, but only rare
//! in what they have in common: all hashes, say, are letters from a to f and digits.
//!
//! AVX2 looks up halves of bytes, and first those that tell most (`nibbles`).
//!
//! Around each place that is left, the classes look for their windows as they do elsewhere.

mod needles;
// Nothing else has such tables.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod nibbles;
mod tables;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86;

use super::store::Store;
use crate::saved::{FieldReader, FieldWriter, SetError};
use crate::unit::{Level, Unit};
use nibbles::Nibbles;
use tables::{sixth, starts, Sets, Tables, BLOCK, MOST_FIRST, PLACES, ROUND};
pub(super) use tables::{FURTHEST, ROUND_WORDS};

/// Cycles for a byte of text that is looked up, as measured.
#[cfg(target_arch = "x86_64")]
const LOOK_AVX512: f32 = 0.1;

/// The most cycles for a byte with which looking up is worth it on a processor with AVX2.
#[cfg(target_arch = "x86_64")]
const MOST_AVX2: f32 = 1.0;

/// How tables are looked up. [`Gate::of`] makes the one of a vector unit, and only of one that the processor has.
enum Way {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Box<Nibbles>),
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Tells where strings may stand.
pub(super) struct Gate {
    tables: Tables,
    way: Way,
    /// Cycles for a byte of ordinary text, where this processor has a vector unit whose tables leave little.
    cycles: Option<f32>,
    /// The furthest that a needle begins in its string.
    furthest: usize,
}

/// Where the windows of a class begin, seen from a needle: at least and at most so many bytes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Around {
    pub least: i8,
    pub most: i8,
}

impl Gate {
    /// Chooses needles for strings. `None` if too many places of ordinary text look like one of them.
    pub fn new(store: &Store<'_>) -> Option<Self> {
        let (sets, first) = needles::choose(store)?;
        let mut gate = Self::of(sets, first, Unit::chosen());
        let numbers = (0..).take(store.len());
        let needles = numbers.map(|number| gate.needle(store.pattern(number)));
        gate.furthest = needles.max().unwrap_or(0);
        Some(gate)
    }

    fn of(sets: Sets, first: usize, unit: Unit) -> Self {
        let tables = Tables::new(sets, first);
        let (way, cycles) = match unit.level() {
            Level::Portable => (Way::Portable, None),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                let nibbles = Box::new(Nibbles::new(&tables.sets));
                let cycles = Some(nibbles.cycles).filter(|cycles| *cycles <= MOST_AVX2);
                (Way::Avx2(nibbles), cycles)
            }
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => {
                let sets = |place: usize, byte| tables.sixths[place][sixth(byte)];
                (Way::Avx512, needles::cycles(LOOK_AVX512, sets))
            }
        };
        Self {
            tables,
            way,
            cycles,
            furthest: 0,
        }
    }

    /// Whether to look for needles first is faster on this processor.
    pub fn is_fast(&self) -> bool {
        self.cycles.is_some()
    }

    /// Cycles for a byte of ordinary text, where it is fast: by estimate.
    pub fn cycles(&self) -> Option<f32> {
        self.cycles
    }

    /// The name of the vector unit.
    pub fn unit(&self) -> &'static str {
        let level = match &self.way {
            Way::Portable => Level::Portable,
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(_) => Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Way::Avx512 => Level::Avx512,
        };
        level.name()
    }

    /// Where the needle of a string begins: the first that is in a set.
    pub fn needle(&self, pattern: &[u8]) -> usize {
        let mut starts = starts(pattern);
        let found = starts.find(|at| self.tables.sets.have(pattern, *at));
        found.unwrap_or(0)
    }

    /// The furthest that a needle begins in its string.
    pub fn furthest(&self) -> usize {
        self.furthest
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.tables.sets.of_bytes)
    }

    /// Fills `words`, as many as some rounds tell, with a bit for each byte of `text`, set where a needle may begin.
    pub fn fill(&self, text: &[u8], words: &mut [u64]) {
        let whole = match text.len().checked_sub(PLACES - 1) {
            Some(len) => (len / ROUND * ROUND_WORDS).min(words.len()),
            None => 0,
        };
        let (words, rest) = words.split_at_mut(whole);
        self.rounds(text, words);
        for (number, words) in rest.chunks_mut(ROUND_WORDS).enumerate() {
            let mut padded = [0; BLOCK];
            let left = text.get(64 * whole + ROUND * number..).unwrap_or_default();
            let left = &left[..left.len().min(BLOCK)];
            padded[..left.len()].copy_from_slice(left);
            self.rounds(&padded, words);
            for (number, word) in words.iter_mut().enumerate() {
                let here = left.len().saturating_sub(64 * number);
                *word &= if here < 64 { (1 << here) - 1 } else { u64::MAX };
            }
        }
    }

    fn rounds(&self, text: &[u8], words: &mut [u64]) {
        match &self.way {
            Way::Portable => self.portable(text, words),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `Gate::of` makes this way, for a unit of this level, which only `Unit::all` makes, and only where the
            // processor has it.
            Way::Avx2(nibbles) => unsafe { x86::avx2(nibbles, text, words) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Way::Avx512 => unsafe { x86::avx512(&self.tables, text, words) },
        }
    }

    fn portable(&self, text: &[u8], words: &mut [u64]) {
        for (number, word) in words.iter_mut().enumerate() {
            let here = |at: usize| self.tables.sets.have(text, 64 * number + at);
            *word = (0..64).fold(0, |word, at| word | u64::from(here(at)) << at);
        }
    }

    /// Adds the gate to the fields of a set.
    pub fn save(&self, fields: &mut FieldWriter) {
        // Both are less than 48.
        fields.u8(self.tables.first as u8);
        fields.u8(self.furthest as u8);
        let sets = self.tables.sets.of_bytes.iter().flatten();
        sets.for_each(|sets| fields.u8(*sets));
    }

    /// Takes a gate from the fields of a set.
    ///
    /// # Errors
    /// If no gate has such numbers.
    pub fn load(fields: &mut FieldReader<'_>) -> Result<Self, SetError> {
        let [first, furthest] = [fields.u8()?, fields.u8()?].map(usize::from);
        if !(1..=MOST_FIRST).contains(&first) || furthest > FURTHEST {
            return Err(fields.damaged(2, "a gate that no set has"));
        }
        let mut of_bytes = Box::new([[0; 256]; PLACES]);
        for sets in of_bytes.iter_mut().flatten() {
            *sets = fields.u8()?;
        }
        let mut gate = Self::of(Sets::new(of_bytes), first, Unit::chosen());
        gate.furthest = furthest;
        Ok(gate)
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::Stored;
    use super::*;

    #[test]
    fn all_units_leave_each_place_at_which_a_needle_begins() {
        let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GATE_SEED"));
        for _ in 0..200 {
            let alphabet: &[u8] = match random.u8(..3) {
                0 => b"0123456789abcdef",
                1 => b"abcdefghijklmnopqrstuvwxyz.",
                _ => b"\0\x7f\x80\xff\n[{@`aA",
            };
            let mut bytes = |len: usize| -> Vec<u8> {
                (0..len)
                    .map(|_| *random.choice(alphabet).unwrap())
                    .collect()
            };
            let patterns: Vec<Vec<u8>> = (0..8).map(|len| bytes(2 + 3 * len)).collect();
            let text = bytes(1_000);
            let fold = random.bool();
            let stored = Stored::new(&patterns, fold).unwrap();
            let store = stored.view();
            let Some(chosen) = Gate::new(&store) else {
                continue;
            };
            for first in 1..=MOST_FIRST {
                let from = random.usize(..=text.len());
                let text = &text[from..];
                let mut told: Vec<Vec<u64>> = Vec::new();
                for unit in Unit::all() {
                    let mut gate = Gate::of(chosen.tables.sets.clone(), first, unit);
                    gate.furthest = chosen.furthest;
                    let mut words = vec![u64::MAX; 20];
                    gate.fill(text, &mut words);
                    let left = |at: usize| words[at / 64] >> (at % 64) & 1 > 0;
                    assert!((text.len()..1_280).all(|at| !left(at)), "{unit:?}");
                    for number in (0..).take(store.len()) {
                        let needle = gate.needle(store.pattern(number));
                        assert!(needle <= gate.furthest());
                        for start in (0..text.len()).filter(|at| store.stands_at(text, *at, number))
                        {
                            assert!(left(start + needle), "{unit:?}, {number} at {start}");
                        }
                    }
                    told.push(words);
                }
                // A unit may leave more than the tables say, and never less.
                for words in &told[1..] {
                    assert!(words
                        .iter()
                        .zip(&told[0])
                        .all(|(more, exact)| exact & !more == 0));
                }
            }
        }
    }
}
