//! Upper bounds for a program: the [`Cost`] counts its instructions, and the [`Work`] bounds its time.
//!
//! The number of instructions says little about the time. An instruction that is executed for a block of 256 windows
//! takes a tenth of a nanosecond for each; at top level, which is a block of one window, it takes ten nanoseconds.
//! Instructions that are executed window by window (divisions, tables, accumulators) take ten times as long as those
//! that a vector unit has. The ends of loops are not counted as instructions, but take time on every trip. A block
//! whose windows differ at an `if` executes both parts.
//!
//! So the work of an instruction is the sum of a part for each block and a part for each window. The unit is the time
//! that a plain instruction takes for one of many windows: about a quarter of a nanosecond, on one core of a processor
//! of the year 2020 with AVX2. The weights are measured, and rounded up.

use crate::isa::Op;
use std::fmt;

/// The number of windows that an interpreter runs together.
const BLOCK: u32 = 256;

/// The number of units of work in a nanosecond.
const UNITS_OF_A_NANOSECOND: u64 = 4;

/// The largest number up to `most` for which `fits` holds, or 0. If `fits` does not hold for a number, it must not hold
/// for any larger number. Costs never fall with the length of a chunk.
#[must_use]
pub fn largest(most: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// The largest number of instructions that a program executes for a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cost {
    /// The number of instructions that are executed once for each chunk.
    pub fixed: u64,
    /// For each `each`, the number of bytes in a window, and the number of instructions for a window.
    pub each: Vec<(u32, u64)>,
}

impl Cost {
    /// The largest number of instructions for a chunk of `len` own bytes. It saturates at `u64::MAX`.
    #[must_use]
    pub fn at(&self, len: u32) -> u64 {
        self.each.iter().fold(self.fixed, |sum, (stride, each)| {
            let windows = u64::from(len.div_ceil((*stride).max(1)));
            sum.saturating_add(each.saturating_mul(windows))
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fixed)?;
        for (stride, each) in &self.each {
            let bytes = if *stride == 1 { "byte" } else { "bytes" };
            write!(f, " + {each} for each window of {stride} {bytes}")?;
        }
        Ok(())
    }
}

/// The weight of a sequence of instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Weight {
    /// Units for each block of windows.
    block: u64,
    /// Units for each window.
    window: u64,
}

impl Weight {
    /// The weight of one instruction.
    pub fn of(op: Op) -> Self {
        let window = u64::from(op.weight());
        Self {
            block: 48 + 16 * window,
            window,
        }
    }

    /// The weight of both sequences, one after the other.
    pub fn plus(self, other: Self) -> Self {
        Self {
            block: self.block.saturating_add(other.block),
            window: self.window.saturating_add(other.window),
        }
    }

    /// The weight of several repetitions.
    pub fn times(self, trips: u32) -> Self {
        Self {
            block: self.block.saturating_mul(trips.into()),
            window: self.window.saturating_mul(trips.into()),
        }
    }

    /// The work for a number of windows.
    fn at(self, windows: u32) -> u64 {
        let blocks = windows.div_ceil(BLOCK);
        let blocks = self.block.saturating_mul(blocks.into());
        blocks.saturating_add(self.window.saturating_mul(windows.into()))
    }
}

/// A bound on the time that a program takes for a chunk, in units of about a quarter of a nanosecond of one core.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    fixed: Weight,
    /// For each `each`, the number of bytes in a window, and the weight of the body.
    each: Vec<(u32, Weight)>,
}

impl Work {
    /// Adds code at top level.
    pub(crate) fn add(&mut self, weight: Weight) {
        self.fixed = self.fixed.plus(weight);
    }

    /// Adds an `each` with windows of `stride` bytes.
    pub(crate) fn add_each(&mut self, stride: u32, body: Weight) {
        // Beginning a block of windows takes time too.
        self.each
            .push((stride.max(1), body.plus(Weight::of(Op::Each))));
    }

    /// The largest amount of work for a chunk of `len` own bytes. It saturates at `u64::MAX`.
    #[must_use]
    pub fn at(&self, len: u32) -> u64 {
        self.each
            .iter()
            .fold(self.fixed.at(1), |sum, (stride, weight)| {
                sum.saturating_add(weight.at(len.div_ceil(*stride)))
            })
    }

    /// Converts an amount of work to seconds of one core, roughly, for display.
    #[must_use]
    pub fn seconds(work: u64) -> f64 {
        let nanoseconds = work / UNITS_OF_A_NANOSECOND;
        std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
    }
}
