//! How often a filter would say yes in a text that is like the patterns themselves: a list of words is mostly looked for
//! in prose. A few patterns are taken for such a text, and what stands in them is counted in the others.

use super::store::Store;
use super::window::{load, mask, window_hash, Shape};
use std::collections::{HashMap, HashSet};

/// Patterns that are taken as text.
const HELD: usize = 64;

/// The most bytes of each that are looked at, and of each pattern in which they are counted.
const MOST_BYTES: usize = 64;

/// The most patterns of a range of lengths in which is counted.
const COUNTED: usize = 1 << 13;

/// How much rarer a window is for each of the others among which it is chosen.
const CHOSEN: f32 = 0.25;

/// Of more patterns with the same window most are not compared.
const MOST_COMPARED: f32 = 8.0;

/// What stands in more than one in so many patterns is not chosen.
const AVOIDED: f32 = 8.0;

/// The shortest and the longest runs of bytes that are counted.
const GRAMS: std::ops::RangeInclusive<usize> = 1..=8;

/// What is expected at a position of such a text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    /// The chance that a filter over q-grams says yes.
    pub hits: f32,
    /// Patterns that are compared.
    pub compared: f32,
}

pub(super) struct Likeness {
    /// For each position of the text and each length of a run, from 1 to 8, the number of its counts. The position's
    /// pattern may be too short.
    positions: Vec<[Option<u32>; 8]>,
    /// For each range of lengths, how often each run stands in its patterns.
    counts: Vec<Vec<f32>>,
    /// For each range of lengths, the mean length of its patterns, as far as they are looked at.
    lens: Vec<f32>,
    /// For each range of lengths, the number of its patterns.
    sizes: Vec<f32>,
}

impl Likeness {
    /// Counts in the patterns of each range.
    pub fn new(store: &Store<'_>, ranges: &[&[u32]], fold: u64) -> Self {
        let total: usize = ranges.iter().map(|range| range.len()).sum();
        let step = (total / HELD).max(1);
        let held: Vec<u32> = ranges
            .iter()
            .copied()
            .flatten()
            .step_by(step)
            .copied()
            .collect();
        let own: HashSet<u32> = held.iter().copied().collect();
        let cut = |number: u32| {
            let pattern = store.pattern(number);
            &pattern[..pattern.len().min(MOST_BYTES)]
        };
        let key = |pattern: &[u8], at: usize, len: usize| {
            window_hash((load(pattern, at) | fold) & mask(len)).rotate_left(len as u32)
        };
        let mut runs: HashMap<u64, u32> = HashMap::new();
        // Most runs are none of these, which a bit says at once.
        let mut known = vec![0_u64; 1 << 12];
        let bit = |key: u64| ((key >> 52) as usize, 1 << (key >> 46 & 63));
        let mut positions = Vec::new();
        for number in &held {
            let pattern = cut(*number);
            for at in 0..pattern.len() {
                let mut here = [None; 8];
                for len in GRAMS.take_while(|len| at + len <= pattern.len()) {
                    let key = key(pattern, at, len);
                    let next = u32::try_from(runs.len()).unwrap_or(u32::MAX);
                    here[len - 1] = Some(*runs.entry(key).or_insert(next));
                    known[bit(key).0] |= bit(key).1;
                }
                positions.push(here);
            }
        }
        let (mut counts, mut lens) = (Vec::new(), Vec::new());
        for range in ranges {
            let mut found = vec![0.0; runs.len()];
            let step = range.len().div_ceil(COUNTED).max(1);
            let mut bytes = 0;
            for number in range.iter().step_by(step) {
                let pattern = cut(*number);
                if step > 1 && own.contains(number) {
                    continue;
                }
                bytes += pattern.len();
                for at in 0..pattern.len() {
                    for len in GRAMS.take_while(|len| at + len <= pattern.len()) {
                        let key = key(pattern, at, len);
                        if known[bit(key).0] & bit(key).1 != 0 {
                            if let Some(run) = runs.get(&key) {
                                found[*run as usize] += step as f32;
                            }
                        }
                    }
                }
            }
            // What stands in a pattern of the text because it is that pattern does not count.
            let alone = held.iter().filter(|_| step == 1).copied();
            for number in alone.filter(|number| range.binary_search(number).is_ok()) {
                let pattern = cut(number);
                for at in 0..pattern.len() {
                    for len in GRAMS.take_while(|len| at + len <= pattern.len()) {
                        if let Some(run) = runs.get(&key(pattern, at, len)) {
                            found[*run as usize] -= 1.0;
                        }
                    }
                }
            }
            lens.push(bytes as f32 / range.len().div_ceil(step).max(1) as f32);
            counts.push(found);
        }
        Self {
            positions,
            counts,
            lens,
            sizes: ranges
                .iter()
                .map(|range| range.len().max(1) as f32)
                .collect(),
        }
    }

    /// What a filter of this shape for these ranges is expected to find at a position.
    pub fn expected(&self, ranges: std::ops::Range<usize>, shape: Shape) -> Expected {
        let window = shape.window.min(8);
        // The chance that a run that stands in a pattern is one of those that are looked for: there are so many, of
        // which the rarest are chosen.
        let share = |range: usize, gram: usize, stride: usize| {
            let len = self.lens[range];
            let grams = (len - gram as f32 + 1.0).max(1.0);
            let windows = (len - shape.window as f32 + 1.0).max(1.0);
            let share = (stride as f32 / grams).min(1.0);
            share / (1.0 + CHOSEN * (windows - 1.0) / stride as f32)
        };
        let (mut sum, mut positions, mut windows) = (Expected::default(), 0, 0);
        for position in &self.positions {
            let Some(gram) = position[shape.gram - 1] else {
                continue;
            };
            positions += 1;
            let of = |run: u32, len: usize, stride: usize| -> f32 {
                let each = ranges.clone().map(|range| {
                    let count = self.counts[range][run as usize].max(0.0);
                    // What many patterns share is not chosen.
                    let avoided = (AVOIDED * count / self.sizes[range]).min(1.0);
                    count * share(range, len, stride) * (1.0 - avoided)
                });
                each.sum()
            };
            sum.hits += of(gram, shape.gram, shape.stride()).min(1.0);
            if let Some(run) = position[window - 1] {
                windows += 1;
                sum.compared += of(run, window, 1).min(MOST_COMPARED);
            }
        }
        Expected {
            hits: sum.hits / positions.max(1) as f32,
            compared: sum.compared / windows.max(1) as f32,
        }
    }
}
