//! Which window of a pattern is looked for: the one that is expected to cost least in a text that is half ordinary
//! (`rarity`) and half like the patterns themselves, as where a list of words is looked for in prose.

use super::rarity::Rates;
use super::store::Store;
use super::window::{load, mask, window_hash, Shape, MAX_STRIDE};

/// The most positions in a pattern at which its window may begin.
pub(super) const PLACES: usize = 48;

/// The patterns in which q-grams are counted.
const SAMPLE: usize = 1 << 14;

/// Cycles for a candidate, for each of its windows, and for each pattern that is compared.
const CANDIDATE: f32 = 10.0;
const EACH_WINDOW: f32 = 3.0;
const COMPARED: f32 = 30.0;

/// How often each run of so many bytes stands in the patterns, by a hash.
struct Counts {
    counts: Vec<u16>,
    shift: u32,
    mask: u64,
    fold: u64,
    /// One over the number of positions.
    each: f32,
}

impl Counts {
    fn new<'p>(
        patterns: impl Iterator<Item = &'p [u8]> + Clone,
        (len, window): (usize, usize),
        fold: u64,
    ) -> Self {
        let places = |pattern: &[u8]| (pattern.len() - window + 1).min(PLACES) + window - len;
        let positions: usize = patterns.clone().map(places).sum();
        let bits = (2 * positions).next_power_of_two().trailing_zeros();
        let bits = bits.clamp(1, MOST_BITS);
        let mut counts = Self {
            counts: vec![0; 1 << bits],
            shift: 64 - bits,
            mask: mask(len),
            fold,
            each: 1.0 / positions.max(1) as f32,
        };
        for pattern in patterns {
            for at in 0..places(pattern) {
                let place = counts.place(pattern, at);
                counts.counts[place] = counts.counts[place].saturating_add(1);
            }
        }
        counts
    }

    #[inline]
    fn place(&self, pattern: &[u8], at: usize) -> usize {
        (window_hash((load(pattern, at) | self.fold) & self.mask) >> self.shift) as usize
    }

    /// How many positions have what stands here, this one included.
    #[inline]
    fn count(&self, pattern: &[u8], at: usize) -> f32 {
        f32::from(self.counts[self.place(pattern, at)].max(1))
    }

    /// The share of the other positions that have what stands here.
    #[inline]
    fn rate(&self, pattern: &[u8], at: usize) -> f32 {
        (self.count(pattern, at) - 1.0) * self.each
    }
}

/// The most counts, by their logarithm.
const MOST_BITS: u32 = 24;

pub(super) struct Choice {
    shape: Shape,
    grams: Counts,
    windows: Counts,
}

impl Choice {
    /// Counts what the patterns with these numbers share.
    pub fn new(store: &Store<'_>, numbers: &[u32], shape: Shape, fold: u64) -> Self {
        let patterns = |step| {
            numbers
                .iter()
                .step_by(step)
                .map(|number| store.pattern(*number))
        };
        let step = numbers.len().div_ceil(SAMPLE).max(1);
        let hashed = shape.window.min(8);
        Self {
            shape,
            grams: Counts::new(patterns(step), (shape.gram, shape.window), fold),
            windows: Counts::new(patterns(1), (hashed, shape.window), fold),
        }
    }

    /// The place of the window that is expected to cost least.
    pub fn best(&self, pattern: &[u8]) -> usize {
        let places = (pattern.len() - self.shape.window + 1).min(PLACES);
        if places == 1 {
            return 0;
        }
        let mut rates = [0.0; PLACES + MAX_STRIDE];
        let stride = self.shape.stride();
        let ordinary = Rates::of(pattern);
        for (at, rate) in rates[..places + stride - 1].iter_mut().enumerate() {
            *rate = ordinary.rate(at, self.shape.gram) + self.grams.rate(pattern, at);
        }
        let hashed = self.shape.window.min(8);
        let candidate = CANDIDATE + EACH_WINDOW * stride as f32;
        let cost = |at: usize| {
            let rate: f32 = rates[at..at + stride].iter().sum();
            let count = self.windows.count(pattern, at);
            let window = ordinary.rate(at, hashed) + (count - 1.0) * self.windows.each;
            rate * candidate + window * count * COMPARED
        };
        let mut best = (0, cost(0));
        for at in 1..places {
            let cost = cost(at);
            if cost < best.1 {
                best = (at, cost);
            }
        }
        best.0
    }
}
