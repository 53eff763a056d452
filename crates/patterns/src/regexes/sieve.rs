//! A few literals, looked for in short parts of a text.
//!
//! Where there is a vector unit, it tells first at which places one of the literals may begin, by their first bytes.

use super::bits::fill_grams;
use super::likeness::{gram, grams};
use super::tables::Grams;
use crate::unit::Unit;
use std::collections::BTreeMap;

/// Bytes of a literal that are looked up.
const GRAM: usize = 3;

/// Bits of a hash.
const BITS: u32 = 14;

/// The fewest bytes of a literal: of shorter ones too many bytes that may follow would be looked up.
pub(super) const SHORTEST: usize = 2;

/// Literals, found by their first bytes.
#[derive(Debug)]
pub(super) struct Sieve {
    /// For each hash a bit, set if a literal has it: few bytes, as most places are asked no more.
    known: Box<[u64; 1 << (BITS - 6)]>,
    /// For each hash the entry after which those with it come, from 1; 0 if there are none.
    heads: Box<[u32; 1 << BITS]>,
    /// A hash and a literal.
    entries: Vec<(u32, u32)>,
    literals: Vec<Literal>,
    /// What tells where literals may begin, if that is faster.
    grams: Option<Grams>,
    unit: Unit,
}

/// The share of places at which something may look like a literal, at most, if the vector unit is to tell where.
const MOST_RATE: f64 = 0.1;

/// Words of bits that the vector unit fills at once.
const WORDS: usize = 4;

#[derive(Debug)]
struct Literal {
    bytes: Vec<u8>,
    fold: bool,
    /// The rules that want it.
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
    /// Prepares literals, each with whether ASCII letters of it stand for either case, and the rule that wants it. None
    /// is shorter than [`SHORTEST`].
    pub fn new<'a>(literals: impl Iterator<Item = (&'a [u8], bool, usize)>, unit: Unit) -> Self {
        let mut rules: BTreeMap<(Vec<u8>, bool), Vec<usize>> = BTreeMap::new();
        for (bytes, fold, rule) in literals {
            let bytes = if fold {
                bytes.to_ascii_lowercase()
            } else {
                bytes.to_vec()
            };
            rules.entry((bytes, fold)).or_default().push(rule);
        }
        let literals: Vec<Literal> = rules
            .into_iter()
            .map(|((bytes, fold), rules)| Literal { bytes, fold, rules })
            .collect();
        let mut entries = Vec::new();
        for (number, literal) in (0..).zip(&literals) {
            // All that may follow a literal that is too short; letters in either case are alike.
            let known = literal.bytes.len().min(GRAM);
            let unknown = 1_u32 << (8 * (GRAM - known));
            let word = load(&literal.bytes[..known]);
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
        let first = |one: &Literal| gram(&one.bytes, one.fold);
        let by_grams = || grams(literals.iter().map(first), MOST_RATE);
        let grams = (unit != Unit::PORTABLE).then(by_grams).flatten();
        Self {
            known,
            heads,
            entries,
            grams: grams.map(|(grams, _)| grams),
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

    /// Calls `found` with the rule and the place of each literal that begins in `from..until`, in ascending order of
    /// places.
    pub fn find(
        &self,
        text: &[u8],
        from: usize,
        until: usize,
        mut found: impl FnMut(usize, usize),
    ) {
        match &self.grams {
            Some(grams) => self.find_by_grams(grams, text, (from, until), &mut found),
            None => self.find_by_bytes(text, from, until, &mut found),
        }
    }

    fn find_by_grams(
        &self,
        grams: &Grams,
        text: &[u8],
        (from, until): (usize, usize),
        found: &mut impl FnMut(usize, usize),
    ) {
        let until = until.min(text.len());
        for from in (from..until).step_by(64 * WORDS) {
            let mut words = [0; WORDS];
            let words = &mut words[..(until - from).div_ceil(64).min(WORDS)];
            fill_grams(self.unit, grams, &text[from..], words);
            for (number, mut word) in words.iter().copied().enumerate() {
                while word != 0 {
                    let at = from + 64 * number + word.trailing_zeros() as usize;
                    word &= word - 1;
                    if at >= until {
                        return;
                    }
                    let hash = hash(load(&text[at..]));
                    if self.is_known(hash) {
                        self.candidate(text, at, hash, found);
                    }
                }
            }
        }
    }

    fn is_known(&self, hash: u32) -> bool {
        self.known[(hash >> 6) as usize] >> (hash & 63) & 1 > 0
    }

    fn find_by_bytes(
        &self,
        text: &[u8],
        from: usize,
        until: usize,
        found: &mut impl FnMut(usize, usize),
    ) {
        let mut at = from;
        // Where four bytes can be loaded at once.
        let plain = until.min((text.len() + 1).saturating_sub(size_of::<u32>()));
        let windows = text.get(at..).unwrap_or_default().windows(size_of::<u32>());
        for window in windows.take(plain.saturating_sub(from)) {
            let hash = hash(load(window));
            if self.is_known(hash) {
                self.candidate(text, at, hash, found);
            }
            at += 1;
        }
        for at in at..until.min(text.len()) {
            self.candidate(text, at, hash(load(&text[at..])), found);
        }
    }

    fn candidate(&self, text: &[u8], at: usize, hash: u32, found: &mut impl FnMut(usize, usize)) {
        let Some(first) = self.heads[hash as usize].checked_sub(1) else {
            return;
        };
        let entries = self.entries[first as usize..].iter();
        for (_, number) in entries.take_while(|(other, _)| *other == hash) {
            let literal = &self.literals[*number as usize];
            let stands =
                text.get(at..at + literal.bytes.len())
                    .is_some_and(|here| match literal.fold {
                        true => here.eq_ignore_ascii_case(&literal.bytes),
                        false => here == literal.bytes,
                    });
            if stands {
                literal.rules.iter().for_each(|rule| found(*rule, at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_literal_wherever_it_begins() {
        let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GRISTMILL_SIEVE_SEED"));
        for _ in 0..200 {
            let letter = |random: &mut fastrand::Rng| *random.choice(b"abAB-").unwrap();
            let literals: Vec<(Vec<u8>, bool)> = (0..random.usize(1..9))
                .map(|_| {
                    let length = random.usize(SHORTEST..6);
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
            let until = random.usize(from..=text.len() + 2);
            let sieve = literals.iter().enumerate();
            let sieve = sieve.map(|(rule, (bytes, fold))| (&bytes[..], *fold, rule));
            let mut expected = Vec::new();
            for at in from..until.min(text.len()) {
                for (rule, (bytes, fold)) in literals.iter().enumerate() {
                    let here = &text[at..text.len().min(at + bytes.len())];
                    if here == bytes || *fold && here.eq_ignore_ascii_case(bytes) {
                        expected.push((at, rule));
                    }
                }
            }
            for unit in Unit::all() {
                let sieve = Sieve::new(sieve.clone(), unit);
                let mut found = Vec::new();
                sieve.find(&text, from, until, |rule, at| found.push((at, rule)));
                assert!(found.is_sorted_by_key(|(at, _)| *at));
                found.sort_unstable();
                assert_eq!(found, expected, "{unit:?}");
            }
        }
    }
}
