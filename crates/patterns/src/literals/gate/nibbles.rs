//! What a vector unit looks up that has tables of 16 bytes: halves of bytes.
//!
//! For a place in a needle, one table has for each lower half of a byte the sets that have such a byte there, and another
//! the same for each upper half. A set is left where all tables have it, so that it may have bytes that no needle of it
//! has. Most letters differ in their lower halves, which are looked up for less: so the tables come in the order in which
//! they tell most for what they cost, and after the first few the others are looked up only where something is left.

use super::super::rarity::{Chosen, Kinds};
use super::tables::{Sets, PLACES};

/// Sets of needles, a bit of a byte for each.
const SETS: usize = 8;

/// Bytes of text for which tables are looked up together.
pub(super) const STEP: usize = 256;

/// Cycles to look a table up for so many bytes, as measured: by the lower halves of bytes, and where the other half of
/// the byte has to be taken away before.
const LOWER: f32 = 7.0;
const MASKED: f32 = 11.0;

/// Cycles that are lost where, against expectation, something is left.
const SURPRISE: f32 = 25.0;

/// Cycles for a place that all tables leave.
const LEFT_ALL: f32 = 80.0;

/// The half of a byte by which a table is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// The lower one, where no set has a byte outside ASCII: such bytes find nothing.
    Ascii,
    Lower,
    Upper,
}

/// A table of 16 sets of sets, twice.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
pub(super) struct Table(pub [u8; 32]);

/// A table and where it is looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup {
    /// Less than [`PLACES`].
    pub place: usize,
    pub table: Table,
}

/// Tables that are looked up together, by half.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    pub ascii: Vec<Lookup>,
    pub lower: Vec<Lookup>,
    pub upper: Vec<Lookup>,
}

impl Stage {
    fn of(steps: &[Step]) -> Self {
        let mut stage = Self::default();
        for step in steps {
            let lookups = match step.half {
                Half::Ascii => &mut stage.ascii,
                Half::Lower => &mut stage.lower,
                Half::Upper => &mut stage.upper,
            };
            lookups.push(step.lookup);
        }
        stage
    }
}

/// The tables of eight sets.
#[derive(Debug, Clone)]
pub(super) struct Nibbles {
    pub first: Stage,
    pub rest: Stage,
    /// Cycles for a byte of ordinary text, with all that is left to be done.
    pub cycles: f32,
}

/// A table on its way into a stage.
#[derive(Clone, Copy)]
struct Step {
    lookup: Lookup,
    half: Half,
}

impl Step {
    fn cycles(&self) -> f32 {
        match self.half {
            Half::Ascii => LOWER,
            Half::Lower | Half::Upper => MASKED,
        }
    }

    /// What is known of its place, as an index into [`Left`].
    fn known(&self) -> usize {
        match self.half {
            Half::Ascii | Half::Lower => 1,
            Half::Upper => 2,
        }
    }
}

/// The bytes of each set that are left at a place by none, one or both halves.
type Left = [[Chosen; 4]; SETS];

impl Nibbles {
    pub fn new(sets: &Sets) -> Self {
        let kinds = Kinds::new();
        let (mut steps, mut left) = (Vec::new(), Vec::new());
        for (place, sets) in sets.of_bytes.iter().enumerate() {
            let mut halves = [[0_u8; 32]; 2];
            for (byte, sets) in (0..=u8::MAX).zip(sets) {
                for copy in [0, 16] {
                    halves[0][copy + usize::from(byte & 15)] |= sets;
                    halves[1][copy + usize::from(byte >> 4)] |= sets;
                }
            }
            let is_ascii = sets[128..].iter().all(|sets| *sets == 0);
            let lower = if is_ascii { Half::Ascii } else { Half::Lower };
            for (half, table) in [lower, Half::Upper].into_iter().zip(halves) {
                let table = Table(table);
                let step = Step {
                    lookup: Lookup { place, table },
                    half,
                };
                // Where all sets have all bytes, there is nothing to look up.
                if table.0.iter().any(|sets| *sets != u8::MAX) {
                    steps.push(step);
                }
            }
            left.push(left_by(&kinds, &halves));
        }
        let (steps, rates) = ordered(&kinds, steps, &left);
        let (first, cycles) = divided(&steps, &rates);
        Self {
            first: Stage::of(&steps[..first]),
            rest: Stage::of(&steps[first..]),
            cycles,
        }
    }
}

fn left_by(kinds: &Kinds, halves: &[[u8; 32]; 2]) -> Left {
    let mut left = [[
        Chosen::all(),
        Chosen::default(),
        Chosen::default(),
        Chosen::default(),
    ]; SETS];
    for byte in 0..=u8::MAX {
        let lower = halves[0][usize::from(byte & 15)];
        let upper = halves[1][usize::from(byte >> 4)];
        for (number, left) in left.iter_mut().enumerate() {
            for (left, sets) in left[1..].iter_mut().zip([lower, upper, lower & upper]) {
                if sets >> number & 1 > 0 {
                    left.add(kinds, byte);
                }
            }
        }
    }
    left
}

/// The share of a text's bytes that these are, between ordinary text and one whose letters are all as frequent.
fn share(kinds: &Kinds, bytes: &Chosen) -> f32 {
    kinds
        .rate(std::slice::from_ref(bytes))
        .midpoint(bytes.even())
}

/// Brings tables into the order in which they tell most for what they cost, and says how many places of a text each and
/// those before it leave.
fn ordered(kinds: &Kinds, mut steps: Vec<Step>, left: &[Left]) -> (Vec<Step>, Vec<f32>) {
    let shares: Vec<[[f32; 4]; SETS]> = left
        .iter()
        .map(|sets| {
            sets.each_ref()
                .map(|left| left.each_ref().map(|left| share(kinds, left)))
        })
        .collect();
    let mut known = [0; PLACES];
    let mut rates = [1.0_f32; SETS];
    let (mut order, mut all) = (Vec::new(), Vec::new());
    while !steps.is_empty() {
        let after = |step: &Step| -> [f32; SETS] {
            let place = step.lookup.place;
            std::array::from_fn(|set| {
                let shares = &shares[place][set];
                let before = shares[known[place]].max(f32::MIN_POSITIVE);
                rates[set] * shares[known[place] | step.known()] / before
            })
        };
        let gain = |step: &Step| {
            let [before, after] = [rates, after(step)].map(|rates| rates.iter().sum::<f32>());
            (before / after.max(f32::MIN_POSITIVE)).ln() / step.cycles()
        };
        let gains = steps.iter().map(gain).enumerate();
        let Some((best, _)) = gains.max_by(|one, other| one.1.total_cmp(&other.1)) else {
            break;
        };
        let step = steps.remove(best);
        rates = after(&step);
        known[step.lookup.place] |= step.known();
        order.push(step);
        let each = (0..SETS).map(|set| {
            let needle: [Chosen; PLACES] =
                std::array::from_fn(|place| left[place][set][known[place]]);
            let even: f32 = needle.iter().map(Chosen::even).product();
            even.max(kinds.rate(&needle))
        });
        all.push(each.sum::<f32>().min(1.0));
    }
    (order, all)
}

/// How many tables are looked up first, and the cycles for a byte of text then.
fn divided(steps: &[Step], rates: &[f32]) -> (usize, f32) {
    let cycles = |steps: &[Step]| steps.iter().map(Step::cycles).sum::<f32>();
    let all = (1..=steps.len()).map(|first| {
        let some = (STEP as f32 * rates[first - 1]).min(1.0);
        let rest = match steps.len() - first {
            0 => 0.0,
            _ => some * (cycles(&steps[first..]) + SURPRISE),
        };
        (first, (cycles(&steps[..first]) + rest) / STEP as f32)
    });
    let best = all.min_by(|one, other| one.1.total_cmp(&other.1));
    let (first, cycles) = best.unwrap_or((0, 0.0));
    let left = rates.last().copied().unwrap_or(1.0);
    (first, cycles + LEFT_ALL * left)
}
