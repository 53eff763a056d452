//! Which literals look alike by a few of their bytes, so that they are looked for together.

use super::bytes::ByteSet;
use super::required::rate;
use super::tables::{GRAM, SETS};
use crate::joining::join;

/// Bytes that follow each other, each one of a set.
pub(super) type Gram = [ByteSet; GRAM];

/// The first bytes of a literal, in lower case if ASCII letters stand for either; behind its end any byte.
pub(super) fn gram(bytes: &[u8], fold: bool) -> Gram {
    std::array::from_fn(|place| match bytes.get(place) {
        Some(byte) => {
            let mut set = ByteSet::default();
            set.add(*byte);
            if fold {
                set.add(byte.to_ascii_uppercase());
            }
            set
        }
        None => ByteSet::all(),
    })
}

/// Where the bytes of a literal begin that are the rarest for their number; at its start if there are fewer.
pub(super) fn rarest(bytes: &[u8], fold: bool) -> usize {
    let rates = bytes.windows(GRAM).map(|gram| rate(gram, fold));
    let places = rates.enumerate();
    let rarest = places.min_by(|(_, one), (_, other)| one.total_cmp(other));
    rarest.map_or(0, |(at, _)| at)
}

/// The set of each of these grams, below [`SETS`]. `None` if more than `most` of all places look like one of them, about.
pub(super) fn sets(all: impl Iterator<Item = Gram>, most: f64) -> Option<Vec<u8>> {
    let all: Vec<Gram> = all.collect();
    let (sets, looks) = divided(&all);
    let small = sets.into_iter().map(|set| u8::try_from(set).ok());
    small.collect::<Option<_>>().filter(|_| looks <= most)
}

/// Divides grams into sets of those that are alike: the set of each, and how often something looks like one of them at a
/// place, about.
fn divided(grams: &[Gram]) -> (Vec<usize>, f64) {
    // One for each, until there are few enough: then those become one that together look like least.
    let mut known: Vec<(Gram, f64)> = Vec::new();
    let mut sets: Vec<usize> = Vec::with_capacity(grams.len());
    for gram in grams {
        let set = known.iter().position(|(other, _)| other == gram);
        sets.push(set.unwrap_or(known.len()));
        if set.is_none() {
            known.push((*gram, looks(gram)));
        }
    }
    let unite = |one: &(Gram, f64), other: &(Gram, f64)| {
        let gram = union(&one.0, &other.0);
        (gram, looks(&gram))
    };
    let apart =
        |one: &(Gram, f64), other: &(Gram, f64)| looks(&union(&one.0, &other.0)) - one.1 - other.1;
    join(&mut known, SETS, unite, apart, |one, other, moved| {
        for set in &mut sets {
            *set = if *set == other { one } else { *set };
            *set = if *set == moved { other } else { *set };
        }
    });
    (sets, known.iter().map(|(_, looks)| looks).sum())
}

fn union(one: &Gram, other: &Gram) -> Gram {
    std::array::from_fn(|place| one[place].union(&other[place]))
}

/// How often bytes look like a gram of these at a place, about.
fn looks(gram: &Gram) -> f64 {
    gram.iter().map(|set| set.rate().min(1.0)).product()
}
