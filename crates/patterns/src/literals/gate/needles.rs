//! Which bytes of the strings are looked for, and in which of the eight sets.
//!
//! What many strings share is best: then one needle stands for all of them. So the first needles are those around runs of
//! bytes that many of a sample have, then the rarest ones of strings without such. Of these the two that become least
//! frequent together are joined until eight are left, and each of the other strings is added where it changes least.

use super::super::rarity::{Chosen, Kinds, Rates};
use super::super::store::Store;
use super::tables::{starts, Sets, FURTHEST, LEAST, MOST_FIRST, PLACES};
use crate::joining::join;
use std::collections::HashMap;

/// Cycles for a place of text that the tables leave which are looked up first, and for one that all leave.
const LEFT_FIRST: f32 = 8.0;
const LEFT_ALL: f32 = 80.0;

/// The most cycles for a position of ordinary text that both may take.
const MOST_COST: f32 = 0.4;

/// The same of what a vector unit leaves, whose tables have more bytes than the needles: with more, looking them up is not
/// worth it.
const MOST_LOOKED_UP: f32 = 0.1;

/// Sets of needles, a bit of a byte for each.
const MOST_SETS: usize = 8;

/// Strings that are looked at first.
const SAMPLE: usize = 512;

/// Needles that are joined.
const MOST_JOINED: usize = 64;

/// Bytes of runs that strings share, in the order in which they are looked for, and one over the share of the sample that
/// must have one: among many hashes each short run stands in some by chance.
const SHARED: [(usize, usize); 2] = [(4, 64), (LEAST, 32)];

/// How many of the sample must share a run of bytes at least.
const FEWEST: usize = 3;

/// The share of a text's places that the tables that are looked up first may leave.
const LEFT: f32 = 0.25 / 64.0;

/// For each place, the bytes that stand there.
type Needle = [Chosen; PLACES];

/// Which patterns of a sample have a run of bytes, and where.
type Standing = Vec<(usize, usize)>;

/// How needles are judged.
struct Chooser<'a> {
    store: &'a Store<'a>,
    kinds: Kinds,
    /// Whether there are so many strings that sets, to which most are added one by one, come to have much of what words
    /// have.
    are_many: bool,
}

/// A set of needles, and what it costs.
type Costly = (Needle, Cost);

/// Cycles for a position of text that are due to a needle.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Of ordinary text.
    ordinary: f32,
    /// Of a text of words, by the halves of its bytes: some vector units look no further.
    even: f32,
}

impl Cost {
    /// What is compared.
    fn sum(self) -> f32 {
        self.ordinary + self.even
    }
}

/// Chooses needles: the bytes that stand at their places in which sets, and how many places are looked at first. `None`
/// if needles would be too frequent.
pub(super) fn choose(store: &Store<'_>) -> Option<(Sets, usize)> {
    let chooser = Chooser {
        store,
        kinds: Kinds::new(),
        are_many: store.len() > SAMPLE,
    };
    let mut all = chooser.first()?;
    let mut sets = Sets::new(Box::new([[0; 256]; PLACES]));
    let enter = |sets: &mut Sets, number: usize, needle: &Needle| {
        for (place, chosen) in needle.iter().enumerate() {
            for byte in (0..=u8::MAX).filter(|byte| chosen.has(*byte)) {
                sets.of_bytes[place][usize::from(byte)] |= 1 << number;
            }
            sets.of_all[place] |= u8::from(chosen.is_all()) << number;
        }
    };
    for (number, (needle, _)) in all.iter().enumerate() {
        enter(&mut sets, number, needle);
    }
    for number in (0..).take(store.len()) {
        let pattern = store.pattern(number);
        if !starts(pattern).any(|at| sets.have(pattern, at)) {
            let Some(changed) = chooser.add(&mut all, pattern) else {
                continue;
            };
            if chooser.is_too_much(&all) {
                return None;
            }
            enter(&mut sets, changed, &all[changed].0);
        }
    }
    (!all.is_empty()).then(|| (sets, chooser.looked_at_first(&all)))
}

/// Cycles for a position of ordinary text that are due to a needle.
fn cost(kinds: &Kinds, needle: &Needle) -> f32 {
    LEFT_FIRST * kinds.rate(&needle[..MOST_FIRST]) + LEFT_ALL * kinds.rate(needle)
}

/// Cycles for a position of ordinary text, of which looking sets up takes `look`, and the rest is due to what they leave;
/// `None` where that is too much. `sets` tells which sets have a byte at a place.
pub(super) fn cycles(look: f32, sets: impl Fn(usize, u8) -> u8) -> Option<f32> {
    let kinds = Kinds::new();
    let costs = (0..MOST_SETS).map(|number| {
        let mut needle = Needle::default();
        for (place, chosen) in needle.iter_mut().enumerate() {
            let bytes = (0..=u8::MAX).filter(|byte| sets(place, *byte) >> number & 1 > 0);
            bytes.for_each(|byte| chosen.add(&kinds, byte));
        }
        cost(&kinds, &needle)
    });
    let left = costs.sum::<f32>();
    (left <= MOST_LOOKED_UP).then_some(look + left)
}

impl Chooser<'_> {
    fn cost(&self, needle: &Needle) -> Cost {
        if !self.are_many {
            return Cost {
                ordinary: cost(&self.kinds, needle),
                even: 0.0,
            };
        }
        let even = needle.each_ref().map(Chosen::even_by_halves);
        let first: f32 = even[..MOST_FIRST].iter().product();
        let all: f32 = even.iter().product();
        Cost {
            ordinary: cost(&self.kinds, needle),
            even: LEFT_FIRST * first + LEFT_ALL * all,
        }
    }

    /// Whether so much of ordinary text is left that it is better to look for all else at once.
    fn is_too_much(&self, all: &[Costly]) -> bool {
        all.iter().map(|(_, cost)| cost.ordinary).sum::<f32>() > MOST_COST
    }

    /// The place of a pattern where the rarest needle begins.
    fn rarest(&self, pattern: &[u8]) -> usize {
        let rates = Rates::of(pattern);
        let rate = |at: usize| {
            let len = (pattern.len() - at).min(PLACES);
            LEFT_FIRST * rates.rate(at, len.min(MOST_FIRST)) + LEFT_ALL * rates.rate(at, len)
        };
        let all = starts(pattern).map(|at| (rate(at), at));
        let best = all.min_by(|one, other| one.0.total_cmp(&other.0));
        best.map_or(0, |(_, at)| at)
    }

    /// Makes the needle at this place of a pattern part of another.
    fn join(&self, needle: &mut Needle, pattern: &[u8], at: usize) {
        for (number, place) in needle.iter_mut().enumerate() {
            match pattern.get(at + number) {
                Some(byte) => {
                    place.add(&self.kinds, *byte);
                    if self.store.folds() {
                        place.add(&self.kinds, byte.to_ascii_uppercase());
                    }
                }
                None => *place = Chosen::all(),
            }
        }
    }

    fn united(&self, one: &Needle, other: &Needle) -> Needle {
        std::array::from_fn(|place| one[place].union(&self.kinds, &other[place]))
    }

    /// The sets that a sample needs, each with its cost. `None` if that is too much.
    fn first(&self) -> Option<Vec<Costly>> {
        let step = (self.store.len() / SAMPLE).max(1);
        let numbers = (0..).take(self.store.len()).step_by(step);
        let sample: Vec<&[u8]> = numbers.map(|number| self.store.pattern(number)).collect();
        let (mut needles, held) = self.shared(&sample);
        let rest = sample.iter().zip(held).filter(|(_, held)| !held);
        let rest: Vec<&[u8]> = rest.map(|(pattern, _)| *pattern).collect();
        let room = MOST_JOINED.saturating_sub(needles.len());
        let step = rest.len().div_ceil(room.max(1)).max(1);
        for pattern in rest.into_iter().step_by(step) {
            let mut needle = Needle::default();
            self.join(&mut needle, pattern, self.rarest(pattern));
            needles.push(needle);
        }
        let joined = self.joined(needles);
        (!self.is_too_much(&joined)).then_some(joined)
    }

    /// Needles around what patterns share, and which patterns have one of them.
    fn shared(&self, sample: &[&[u8]]) -> (Vec<Needle>, Vec<bool>) {
        let (mut needles, mut held) = (Vec::new(), vec![false; sample.len()]);
        for (bytes, part) in SHARED {
            let fewest = FEWEST.max(sample.len() / part);
            self.share(sample, (bytes, fewest), &mut needles, &mut held);
        }
        (needles, held)
    }

    /// Adds needles around runs of so many bytes, each shared by so many of the sample or more.
    fn share(
        &self,
        sample: &[&[u8]],
        (bytes, fewest): (usize, usize),
        needles: &mut Vec<Needle>,
        held: &mut [bool],
    ) {
        // For each run of bytes the patterns that have it, and where.
        let mut runs: HashMap<&[u8], Standing> = HashMap::new();
        for (number, pattern) in sample
            .iter()
            .enumerate()
            .filter(|(number, _)| !held[*number])
        {
            let places = pattern.windows(bytes).take(FURTHEST + 1);
            for (at, run) in places.enumerate() {
                let places = runs.entry(run).or_default();
                if places.last().is_none_or(|last| last.0 != number) {
                    places.push((number, at));
                }
            }
        }
        let runs = runs
            .into_iter()
            .filter(|(_, places)| places.len() >= fewest);
        let mut runs: Vec<(&[u8], Standing)> = runs.collect();
        // The same needles for the same patterns.
        runs.sort_unstable_by(|one, other| {
            other.1.len().cmp(&one.1.len()).then(one.0.cmp(other.0))
        });
        while needles.len() < MOST_JOINED {
            let left =
                |places: &[(usize, usize)]| places.iter().filter(|place| !held[place.0]).count();
            // Runs come by how many patterns have them, of which some are held already.
            let mut best: Option<(usize, usize)> = None;
            for (number, (_, places)) in runs.iter().enumerate() {
                if best.is_some_and(|best| best.0 >= places.len()) {
                    break;
                }
                let left = left(places);
                if left >= fewest && best.is_none_or(|best| left > best.0) {
                    best = Some((left, number));
                }
            }
            let Some((_, number)) = best else {
                break;
            };
            let places = std::mem::take(&mut runs[number].1);
            let Some((needle, lead)) = self.around(sample, held, &places) else {
                continue;
            };
            for (number, at) in places {
                held[number] |= Self::fits(sample[number], at, lead);
            }
            needles.push(needle);
        }
    }

    /// Whether a needle may begin `lead` bytes before this place of a pattern.
    fn fits(pattern: &[u8], at: usize, lead: usize) -> bool {
        at.checked_sub(lead)
            .is_some_and(|from| starts(pattern).contains(&from))
    }

    /// The rarest needle around a run that patterns share, and how far it begins before the run.
    fn around(
        &self,
        sample: &[&[u8]],
        held: &[bool],
        places: &[(usize, usize)],
    ) -> Option<(Needle, usize)> {
        let left = || places.iter().filter(|(number, _)| !held[*number]);
        let mut best: Option<(f32, Needle, usize)> = None;
        for lead in 0..=PLACES - LEAST {
            let mut needle = Needle::default();
            let mut fit = 0;
            for (number, at) in left().filter(|(number, at)| Self::fits(sample[*number], *at, lead))
            {
                self.join(&mut needle, sample[*number], at - lead);
                fit += 1;
            }
            // A few patterns may not reach so far.
            if 2 * fit < left().count().max(2) {
                continue;
            }
            let cost = self.cost(&needle).sum();
            if best.is_none_or(|best| cost < best.0) {
                best = Some((cost, needle, lead));
            }
        }
        best.map(|(_, needle, lead)| (needle, lead))
    }

    /// Joins needles until no more than [`MOST_SETS`] are left.
    fn joined(&self, needles: Vec<Needle>) -> Vec<Costly> {
        let mut sets: Vec<Costly> = needles
            .into_iter()
            .map(|needle| (needle, self.cost(&needle)))
            .collect();
        let unite = |one: &Costly, other: &Costly| {
            let needle = self.united(&one.0, &other.0);
            (needle, self.cost(&needle))
        };
        let more = |one: &Costly, other: &Costly| {
            f64::from(unite(one, other).1.sum() - one.1.sum() - other.1.sum())
        };
        join(&mut sets, MOST_SETS, unite, more, |_, _, _| {});
        sets
    }

    /// Adds a pattern to the set that then costs least more, and tells which that is.
    fn add(&self, sets: &mut Vec<Costly>, pattern: &[u8]) -> Option<usize> {
        let mut best: Option<(f32, usize, Costly)> = None;
        let mut consider = |number: usize, (needle, before): &Costly, at: usize| {
            let mut needle = *needle;
            self.join(&mut needle, pattern, at);
            let cost = self.cost(&needle);
            let more = cost.sum() - before.sum();
            if best.as_ref().is_none_or(|best| more < best.0) {
                best = Some((more, number, (needle, cost)));
            }
        };
        for (number, set) in sets.iter().enumerate() {
            // Where most bytes are there already.
            let had = |at: usize| {
                let places = set.0.iter().zip(&pattern[at..]);
                places.filter(|(chosen, byte)| chosen.has(**byte)).count()
            };
            let mut starts: Vec<(usize, usize)> = starts(pattern).map(|at| (had(at), at)).collect();
            starts.sort_unstable_by(|one, other| other.cmp(one));
            for (_, at) in starts.into_iter().take(TRIED) {
                consider(number, set, at);
            }
        }
        if sets.len() < MOST_SETS {
            let none = (Needle::default(), Cost::default());
            consider(sets.len(), &none, self.rarest(pattern));
        }
        let (_, number, set) = best?;
        if number < sets.len() {
            sets[number] = set;
        } else {
            sets.push(set);
        }
        Some(number)
    }

    /// How many places are looked at first, so that the others seldom are.
    fn looked_at_first(&self, sets: &[Costly]) -> usize {
        let left = |first: usize| {
            let sets = sets.iter().map(|(needle, _)| {
                let even: f32 = needle[..first]
                    .iter()
                    .map(|set| set.len() as f32 / EVEN)
                    .product();
                even.max(self.kinds.rate(&needle[..first]))
            });
            sets.sum::<f32>()
        };
        (1..MOST_FIRST)
            .find(|first| left(*first) <= LEFT)
            .unwrap_or(MOST_FIRST)
    }
}

/// Places of a pattern that are tried in each set.
const TRIED: usize = 3;

/// The bytes that a text has, if all are as frequent.
const EVEN: f32 = 32.0;
