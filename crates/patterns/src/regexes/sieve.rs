//! Literals, looked for in some blocks of a text.
//!
//! A literal is found by those of its bytes that are rarest. Where there is a vector unit, it tells first at which places one
//! literal's may be; elsewhere, and behind it, a hash does.

use super::bits::fill_grams;
use super::likeness::{gram, rarest, sets, Gram};
use super::tables::Grams;
use super::words::{first_clear, first_set, WORD};
use crate::compare::stands_at;
use crate::unit::Unit;
use std::collections::BTreeMap;

/// Bytes of a literal that are looked up.
const GRAM: usize = 3;

/// Bits of a hash.
const BITS: u32 = 14;

/// The fewest bytes of a literal: of shorter ones too many bytes that may follow would be looked up.
pub(super) const SHORTEST: usize = 2;

/// Literals, found by a few of their bytes.
#[derive(Debug)]
pub(super) struct Sieve {
    /// For each hash a bit, set if a literal has it: few bytes, as most places are asked no more.
    known: Box<[u64; 1 << (BITS - 6)]>,
    /// For each hash the entry after which those with it come, from 1; 0 if there are none.
    heads: Box<[u32; 1 << BITS]>,
    /// A hash and a literal.
    entries: Vec<(u32, u32)>,
    literals: Vec<Literal>,
    /// What tells where literals may be, if that is faster.
    grams: Option<Grams>,
    /// The most bytes before those by which a literal is found.
    furthest: usize,
    unit: Unit,
}

/// The share of places at which something may look like a literal, at most, if the vector unit is to tell where.
const MOST_RATE: f64 = 0.1;

/// A literal.
#[derive(Debug)]
pub(super) struct Literal {
    bytes: Vec<u8>,
    fold: bool,
    /// Where the bytes are by which it is found.
    at: usize,
    /// Who wants it.
    rules: Vec<usize>,
}

/// The case of letters does not count.
const FOLD: u32 = 0x0020_2020;

fn hash(word: u32) -> u32 {
    let word = (word & ((1 << (8 * GRAM)) - 1)) | FOLD;
    word.wrapping_mul(0x9E37_79B1) >> (32 - BITS)
}

/// The first bytes of a text, zeros behind its end.
fn load(text: &[u8]) -> u32 {
    match text.first_chunk() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => text
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte)),
    }
}

impl Sieve {
    /// Bytes that one takes, at least.
    pub const LEAST: usize = size_of::<Self>() + (4 << BITS) + (1 << (BITS - 3));

    /// Each literal once, of some with whether ASCII letters of it stand for either case, and the number of who wants it.
    /// None is shorter than [`SHORTEST`].
    pub fn literals<'a>(literals: impl Iterator<Item = (&'a [u8], bool, usize)>) -> Vec<Literal> {
        let mut rules: BTreeMap<(Vec<u8>, bool), Vec<usize>> = BTreeMap::new();
        for (bytes, fold, rule) in literals {
            let bytes = if fold {
                bytes.to_ascii_lowercase()
            } else {
                bytes.to_vec()
            };
            rules.entry((bytes, fold)).or_default().push(rule);
        }
        let literals = rules.into_iter();
        let literals = literals.map(|((bytes, fold), rules)| Literal {
            at: rarest(&bytes, fold),
            bytes,
            fold,
            rules,
        });
        literals.collect()
    }

    /// The set of each literal, if a vector unit is to tell where they may be.
    pub fn divide(literals: &[Literal]) -> Option<Vec<u8>> {
        sets(literals.iter().map(Literal::gram), MOST_RATE)
    }

    /// Prepares [literals](Self::literals), which are [divided](Self::divide) so.
    pub fn new(literals: Vec<Literal>, sets: Option<&[u8]>, unit: Unit) -> Self {
        let mut entries = Vec::new();
        for (number, literal) in (0..).zip(&literals) {
            // All that may follow a literal that is too short; letters in either case are alike.
            let bytes = literal.found_by();
            let known = bytes.len().min(GRAM);
            let unknown = 1_u32 << (8 * (GRAM - known));
            let word = load(&bytes[..known]);
            let mut hashes: Vec<u32> = (0..unknown)
                .map(|rest| hash(word | rest << (8 * known)))
                .collect();
            hashes.sort_unstable();
            hashes.dedup();
            entries.extend(hashes.into_iter().map(|hash| (hash, number)));
        }
        entries.sort_unstable();
        let mut heads = Box::new([0; 1 << BITS]);
        let mut known = Box::new([0; 1 << (BITS - 6)]);
        for ((hash, _), next) in entries.iter().zip(1..) {
            known[(*hash >> 6) as usize] |= 1 << (hash & 63);
            let head: &mut u32 = &mut heads[*hash as usize];
            *head = if *head == 0 { next } else { *head };
        }
        let grams = literals.iter().map(Literal::gram);
        let by_grams = |sets: &[u8]| Grams::new(grams.zip(sets.iter().copied()));
        Self {
            known,
            heads,
            entries,
            grams: sets.filter(|_| unit != Unit::PORTABLE).map(by_grams),
            furthest: literals.iter().map(|one| one.at).max().unwrap_or(0),
            literals,
            unit,
        }
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        let literals = self.literals.iter();
        size_of_val(&*self.known)
            + size_of_val(&*self.heads)
            + size_of_val(&self.entries[..])
            + self.grams.as_ref().map_or(0, Grams::memory)
            + literals
                .map(|one| size_of::<Literal>() + one.bytes.len() + size_of_val(&one.rules[..]))
                .sum::<usize>()
    }

    /// The most bytes from a literal's start to those by which it is found.
    pub fn furthest(&self) -> usize {
        self.furthest
    }

    /// Calls `found` with the number of who wants it and the place of each literal whose bytes by which it is found begin in
    /// one of the wanted blocks: those of 64 bytes from `from` on whose bits are set.
    pub fn find(
        &self,
        words: &mut Vec<u64>,
        text: &[u8],
        (from, blocks): (usize, &[u64]),
        mut found: impl FnMut(usize, usize),
    ) {
        let mut end = 0;
        while let Some(start) = first_set(blocks, end) {
            end = first_clear(blocks, start).unwrap_or(blocks.len() * WORD);
            let from = from + start * WORD;
            let Some(here) = text.get(from..).filter(|here| !here.is_empty()) else {
                return;
            };
            words.resize(end - start, 0);
            match &self.grams {
                Some(grams) => fill_grams(self.unit, grams, here, words),
                None => self.fill_by_hashes(here, words),
            }
            for (number, mut word) in words.iter().copied().enumerate() {
                while word != 0 {
                    let at = from + WORD * number + word.trailing_zeros() as usize;
                    word &= word - 1;
                    let hash = hash(load(text.get(at..).unwrap_or_default()));
                    if self.is_known(hash) {
                        self.candidate(text, at, hash, &mut found);
                    }
                }
            }
        }
    }

    fn is_known(&self, hash: u32) -> bool {
        self.known[(hash >> 6) as usize] >> (hash & 63) & 1 > 0
    }

    fn fill_by_hashes(&self, text: &[u8], words: &mut [u64]) {
        for (number, word) in words.iter_mut().enumerate() {
            let block = text.get(WORD * number..).unwrap_or_default();
            let known = |at: usize| self.is_known(hash(load(&block[at..])));
            let all = 0..block.len().min(WORD);
            *word = all.fold(0, |word, at| word | u64::from(known(at)) << at);
        }
    }

    fn candidate(&self, text: &[u8], at: usize, hash: u32, found: &mut impl FnMut(usize, usize)) {
        let Some(first) = self.heads[hash as usize].checked_sub(1) else {
            return;
        };
        let entries = self.entries[first as usize..].iter();
        for (_, number) in entries.take_while(|(other, _)| *other == hash) {
            let literal = &self.literals[*number as usize];
            let Some(start) = at.checked_sub(literal.at) else {
                continue;
            };
            if stands_at(text, start, &literal.bytes, literal.fold) {
                literal.rules.iter().for_each(|rule| found(*rule, start));
            }
        }
    }
}

impl Literal {
    fn gram(&self) -> Gram {
        gram(self.found_by(), self.fold)
    }

    /// Its bytes from those on by which it is found.
    fn found_by(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_literal_wherever_it_is() {
        let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GRISTMILL_SIEVE_SEED"));
        for _ in 0..200 {
            let letter = |random: &mut fastrand::Rng| *random.choice(b"abAB-").unwrap();
            let literals: Vec<(Vec<u8>, bool)> = (0..random.usize(1..9))
                .map(|_| {
                    let length = random.usize(SHORTEST..9);
                    (
                        (0..length).map(|_| letter(&mut random)).collect(),
                        random.bool(),
                    )
                })
                .collect();
            let text: Vec<u8> = (0..random.usize(..200))
                .map(|_| letter(&mut random))
                .collect();
            let from = random.usize(..=text.len());
            let blocks = random.u64(..32);
            let sieve = literals.iter().enumerate();
            let sieve = sieve.map(|(rule, (bytes, fold))| (&bytes[..], *fold, rule));
            let mut expected = Vec::new();
            for at in 0..text.len() {
                for (rule, (bytes, fold)) in literals.iter().enumerate() {
                    let here = &text[at..text.len().min(at + bytes.len())];
                    let found_at = at + rarest(bytes, *fold);
                    let block = found_at.checked_sub(from).map(|at| at / WORD);
                    let wanted = block.is_some_and(|block| blocks >> block & 1 > 0);
                    if wanted && (here == bytes || *fold && here.eq_ignore_ascii_case(bytes)) {
                        expected.push((at, rule));
                    }
                }
            }
            expected.sort_unstable();
            for unit in Unit::all() {
                let literals = Sieve::literals(sieve.clone());
                let sets = Sieve::divide(&literals);
                let sieve = Sieve::new(literals, sets.as_deref(), unit);
                let mut found = Vec::new();
                let blocks = (from, &[blocks][..]);
                sieve.find(&mut Vec::new(), &text, blocks, |rule, at| {
                    found.push((at, rule))
                });
                found.sort_unstable();
                assert_eq!(found, expected, "{unit:?}");
            }
        }
    }
}
