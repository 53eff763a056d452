//! How a set is divided into classes by length, and what is looked for in each: what is expected to cost least.

use super::filter::Filter;
use super::likeness::Likeness;
use super::rarity;
use super::store::Store;
use super::window::{Shape, MAX_STRIDE};

/// Lengths in bytes at which a class may begin.
pub(super) const LENGTHS: [usize; 11] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20];

/// How many patterns of each length range are looked at.
const SAMPLE: usize = 24;

/// How many places in a pattern are tried for its window.
const PLACES: usize = 16;

/// A class of a plan.
#[derive(Debug)]
pub(super) struct Part {
    pub shape: Shape,
    pub numbers: Vec<u32>,
}

/// The patterns of a range of lengths.
#[derive(Default)]
struct Range {
    numbers: Vec<u32>,
    sample: Vec<u32>,
}

/// Divides the patterns of `store`, and says how many cycles a byte of text is expected to cost.
pub(super) fn plan(store: &Store<'_>, fold: u64) -> (Vec<Part>, f32) {
    let mut ranges: Vec<Range> = LENGTHS.iter().map(|_| Range::default()).collect();
    for number in (0..).take(store.len()) {
        let len = store.pattern(number).len();
        let range = LENGTHS.partition_point(|from| *from <= len) - 1;
        ranges[range].numbers.push(number);
    }
    for range in &mut ranges {
        let step = (range.numbers.len() / SAMPLE).max(1);
        range.sample = range
            .numbers
            .iter()
            .copied()
            .step_by(step)
            .take(SAMPLE)
            .collect();
    }
    let numbers: Vec<&[u32]> = ranges.iter().map(|range| &range.numbers[..]).collect();
    let likeness = Likeness::new(store, &numbers, fold);
    // The cheapest division of the ranges from each on: its cost, where its first class ends, and that class's shape.
    let mut best: Vec<(f32, usize, Option<Shape>)> = vec![(0.0, 0, None); LENGTHS.len() + 1];
    for from in (0..LENGTHS.len()).rev() {
        best[from] = (best[from + 1].0, from + 1, None);
        if ranges[from].numbers.is_empty() {
            continue;
        }
        best[from].0 = f32::INFINITY;
        for until in from + 1..=LENGTHS.len() {
            let (cost, shape) = cheapest(store, &likeness, &ranges, from..until);
            let cost = cost + best[until].0;
            if cost < best[from].0 {
                best[from] = (cost, until, Some(shape));
            }
        }
    }
    let mut parts = Vec::new();
    let mut from = 0;
    while from < LENGTHS.len() {
        let (_, until, shape) = best[from];
        if let Some(shape) = shape {
            let numbers = ranges[from..until]
                .iter()
                .flat_map(|range| &range.numbers)
                .copied()
                .collect();
            parts.push(Part { shape, numbers });
        }
        from = until;
    }
    (parts, best[0].0)
}

/// The cheapest shape for the patterns of these ranges, and its cost in cycles for a byte of text.
fn cheapest(
    store: &Store<'_>,
    likeness: &Likeness,
    ranges: &[Range],
    within: std::ops::Range<usize>,
) -> (f32, Shape) {
    let shortest = LENGTHS[within.start];
    let mut best = (
        f32::INFINITY,
        Shape {
            window: shortest,
            gram: shortest.min(8),
        },
    );
    for window in LENGTHS.iter().copied().filter(|window| *window <= shortest) {
        for gram in window.min(3)..=window.min(8) {
            let shape = Shape { window, gram };
            if shape.stride() <= MAX_STRIDE {
                let cost = cost(store, likeness, ranges, within.clone(), shape);
                if cost < best.0 {
                    best = (cost, shape);
                }
            }
        }
    }
    best
}

/// Cycles for a byte of text, by what was measured on a processor with 1 MiB of cache for each core: the mean of what is
/// expected in ordinary text and in text like the patterns.
fn cost(
    store: &Store<'_>,
    likeness: &Likeness,
    ranges: &[Range],
    within: std::ops::Range<usize>,
    shape: Shape,
) -> f32 {
    let like = likeness.expected(within.clone(), shape);
    let ranges = &ranges[within];
    let count: usize = ranges.iter().map(|range| range.numbers.len()).sum();
    let stride = shape.stride();
    let words = Filter::words_for(count * stride);
    let load = (count * stride) as f32 / words as f32;
    // The share of a word's bits that are set, twice.
    let chance = (1.0 - (-2.0 * load / 64.0).exp()).powi(2);
    // Candidates at a position, and patterns that are compared there.
    let (mut rate, mut compared) = (0.0, 0.0);
    for range in ranges.iter().filter(|range| !range.sample.is_empty()) {
        let each = range.numbers.len() as f32 / range.sample.len() as f32;
        for number in &range.sample {
            let pattern = store.pattern(*number);
            rate += each * least_rate(pattern, shape);
            compared += each * rarity::rate(&pattern[..shape.window.min(8)]);
        }
    }
    let candidates = chance + 0.5 * (rate.min(1.0) + like.hits);
    let compared = 0.5 * (compared + like.compared);
    let windows = access(8 * Filter::words_for(count));
    let each = CANDIDATE + stride as f32 * (EACH_WINDOW + windows) + chance * 20.0;
    (access(8 * words) + candidates * each) / stride as f32 + compared * COMPARED
}

/// Cycles for a candidate, many of which the processor did not foresee, and for each of its windows.
const CANDIDATE: f32 = 30.0;
const EACH_WINDOW: f32 = 5.0;

/// Cycles for the comparison of a pattern.
const COMPARED: f32 = 60.0;

/// Cycles for a look into a table of so many bytes, many of which are on their way at the same time.
fn access(bytes: usize) -> f32 {
    match bytes >> 10 {
        0..=24 => 2.2,
        25..=768 => 3.0,
        769..=16384 => 8.0,
        _ => 16.0,
    }
}

/// How often a position of ordinary text has a q-gram of the pattern's best window.
fn least_rate(pattern: &[u8], shape: Shape) -> f32 {
    let places = (pattern.len() - shape.window + 1).min(PLACES);
    let rates = rarity::Rates::of(pattern);
    let rate = |at: usize| -> f32 {
        (at..at + shape.stride())
            .map(|gram| rates.rate(gram, shape.gram))
            .sum()
    };
    (0..places).map(rate).fold(f32::INFINITY, f32::min)
}
