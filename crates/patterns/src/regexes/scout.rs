//! A few literals in all of a text.
//!
//! Of each literal the four bytes are looked for that are rarest, those of up to eight sets of literals at once. Sets are
//! of literals whose four bytes are alike, so that few other bytes look like one of them.

use super::bits::fill_grams;
use super::gates::Place;
use super::likeness::{gram, rarest, sets, Gram};
use super::tables::{Grams, SETS};
use crate::compare::stands_at;
use crate::unit::Unit;

/// The most literals.
pub(super) const MOST: usize = 256;

/// The share of a text's places at which something may look like a literal, at most.
const MOST_RATE: f64 = 0.03;

/// A literal, whether ASCII letters of it stand for either case, and the rule that wants it.
pub(super) type Wanted<'a> = (&'a [u8], bool, usize);

/// A literal, and who wants it.
#[derive(Debug)]
struct Literal {
    bytes: Vec<u8>,
    fold: bool,
    /// Where the four bytes are that are looked for.
    at: usize,
    rule: usize,
}

/// Literals, prepared for being found.
#[derive(Debug)]
pub(super) struct Scout {
    grams: Grams,
    /// The literals of each set.
    sets: [Vec<Literal>; SETS],
    /// The most bytes before the four that are looked for.
    furthest: usize,
    unit: Unit,
}

impl Scout {
    /// The set of each literal, below [`SETS`]. `None` if there are no literals, or if they are too many or too common.
    pub fn divide<'a>(literals: impl Iterator<Item = Wanted<'a>>) -> Option<Vec<u8>> {
        let all: Vec<Literal> = literals.take(MOST + 1).map(Literal::new).collect();
        if all.is_empty() || all.len() > MOST {
            return None;
        }
        sets(all.iter().map(Literal::gram), MOST_RATE)
    }

    /// Prepares literals, of each of which it is known in which set it is. `None` if there is no vector unit for it.
    pub fn new<'a>(
        literals: impl Iterator<Item = Wanted<'a>>,
        of_literals: &[u8],
        unit: Unit,
    ) -> Option<Self> {
        if unit == Unit::PORTABLE {
            return None;
        }
        let all: Vec<Literal> = literals.map(Literal::new).collect();
        let grams = all.iter().map(Literal::gram);
        let grams = Grams::new(grams.zip(of_literals.iter().copied()));
        let furthest = all.iter().map(|literal| literal.at).max().unwrap_or(0);
        let mut sets: [Vec<Literal>; SETS] = Default::default();
        for (literal, set) in all.into_iter().zip(of_literals) {
            if let Some(set) = sets.get_mut(usize::from(*set)) {
                set.push(literal);
            }
        }
        Some(Self {
            grams,
            sets,
            furthest,
            unit,
        })
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        let literals = self.sets.iter().flatten();
        let literals = literals.map(|one| size_of::<Literal>() + one.bytes.len());
        literals.sum::<usize>() + size_of::<Self>() + self.grams.memory()
    }

    /// Adds the places of all literals that begin in `from..until`.
    pub fn find(
        &self,
        words: &mut Vec<u64>,
        text: &[u8],
        (from, until): (usize, usize),
        places: &mut Vec<Place>,
    ) {
        let end = text.len().min(until + self.furthest);
        words.resize((end - from).div_ceil(64), 0);
        fill_grams(self.unit, &self.grams, &text[from..], words);
        for (number, word) in words.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let at = from + 64 * number + word.trailing_zeros() as usize;
                word &= word - 1;
                let mut sets = self.grams.sets_at(text.get(at..).unwrap_or_default());
                while sets != 0 {
                    let literals = &self.sets[sets.trailing_zeros() as usize];
                    sets &= sets - 1;
                    for literal in literals {
                        let Some(start) = at.checked_sub(literal.at) else {
                            continue;
                        };
                        if (from..until).contains(&start) && literal.stands_at(text, start) {
                            places.push((literal.rule, start, start));
                        }
                    }
                }
            }
        }
    }
}

impl Literal {
    fn new((bytes, fold, rule): Wanted<'_>) -> Self {
        Self {
            at: rarest(bytes, fold),
            bytes: match fold {
                true => bytes.to_ascii_lowercase(),
                false => bytes.to_vec(),
            },
            fold,
            rule,
        }
    }

    /// The bytes that are looked for.
    fn gram(&self) -> Gram {
        gram(self.bytes.get(self.at..).unwrap_or_default(), self.fold)
    }

    fn stands_at(&self, text: &[u8], start: usize) -> bool {
        // The bytes that are rarest differ most often.
        let (wanted, known) = (self.bytes.get(self.at), text.get(start + self.at));
        if wanted.map(u8::to_ascii_lowercase) != known.map(u8::to_ascii_lowercase) {
            return false;
        }
        stands_at(text, start, &self.bytes, self.fold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_literal_with_every_unit() {
        let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GRISTMILL_SCOUT_SEED"));
        for _ in 0..300 {
            let letter = |random: &mut fastrand::Rng| *random.choice(b"zqZQ-\x00\xE9").unwrap();
            let literals: Vec<(Vec<u8>, bool)> = (0..random.usize(1..30))
                .map(|_| {
                    let length = random.usize(3..8);
                    (
                        (0..length).map(|_| letter(&mut random)).collect(),
                        random.bool(),
                    )
                })
                .collect();
            let text: Vec<u8> = (0..random.usize(..300))
                .map(|_| letter(&mut random))
                .collect();
            let from = random.usize(..=text.len());
            let until = random.usize(from..=text.len());
            let mut expected = Vec::new();
            for at in from..until {
                for (rule, (bytes, fold)) in literals.iter().enumerate() {
                    let here = &text[at..text.len().min(at + bytes.len())];
                    if here == bytes || *fold && here.eq_ignore_ascii_case(bytes) {
                        expected.push((rule, at, at));
                    }
                }
            }
            expected.sort_unstable();
            for unit in Unit::all() {
                let given = literals.iter().enumerate();
                let given = given.map(|(rule, (bytes, fold))| (&bytes[..], *fold, rule));
                let sets = Scout::divide(given.clone());
                let scout = sets.and_then(|sets| Scout::new(given, &sets, unit));
                let Some(scout) = scout else {
                    continue;
                };
                let mut found = Vec::new();
                scout.find(&mut Vec::new(), &text, (from, until), &mut found);
                found.sort_unstable();
                assert_eq!(found, expected, "{unit:?}");
            }
        }
    }
}
