//! How long a program runs over a chunk at most: its instructions, weighed by what they were measured to take.
//!
//! The number of instructions says little of the time. One that is executed for a block of 256 windows together
//! takes a tenth of a nanosecond for each, and one at top level, which is a block of one window, ten nanoseconds. Those
//! that go from window to window (divisions, tables, accumulators) take ten times as long as those that a vector unit
//! has. Ends of loops count no instruction, but take time on every trip. Of an `if`, a block in which windows differ
//! takes both parts.
//!
//! So an instruction weighs something for each block and something for each window. The unit is what a plain one takes
//! for one of many windows: about a quarter of a nanosecond, on one core of a processor of the year 2020 with AVX2. The
//! weights are measured ones, rounded up.

use crate::isa::Op;

/// Windows that an interpreter runs together.
const BLOCK: u32 = 256;

/// Units of a nanosecond: see above.
const UNITS_OF_A_NANOSECOND: u64 = 4;

/// What a sequence of instructions weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Weight {
    /// For each block of windows.
    block: u64,
    /// For each window.
    window: u64,
}

impl Weight {
    /// One instruction.
    pub fn of(op: Op) -> Self {
        let window = u64::from(op.weight());
        Self {
            block: 48 + 16 * window,
            window,
        }
    }

    /// One after the other.
    pub fn plus(self, other: Self) -> Self {
        Self {
            block: self.block.saturating_add(other.block),
            window: self.window.saturating_add(other.window),
        }
    }

    /// Again and again.
    pub fn times(self, trips: u32) -> Self {
        Self {
            block: self.block.saturating_mul(trips.into()),
            window: self.window.saturating_mul(trips.into()),
        }
    }

    /// For so many windows.
    fn at(self, windows: u32) -> u64 {
        let blocks = windows.div_ceil(BLOCK);
        let blocks = self.block.saturating_mul(blocks.into());
        blocks.saturating_add(self.window.saturating_mul(windows.into()))
    }
}

/// The most work that a program is for a chunk, in units of about a quarter of a nanosecond of one core.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    fixed: Weight,
    /// For each `each`: bytes of its windows, and what its body weighs.
    each: Vec<(u32, Weight)>,
}

impl Work {
    /// Adds code at top level.
    pub(crate) fn add(&mut self, weight: Weight) {
        self.fixed = self.fixed.plus(weight);
    }

    /// Adds an `each` with windows of so many bytes.
    pub(crate) fn add_each(&mut self, stride: u32, body: Weight) {
        // Every block of windows is begun, too.
        self.each
            .push((stride.max(1), body.plus(Weight::of(Op::Each))));
    }

    /// The work for a chunk of `len` own bytes at most; `u64::MAX` for more than fits.
    #[must_use]
    pub fn at(&self, len: u32) -> u64 {
        self.each
            .iter()
            .fold(self.fixed.at(1), |sum, (stride, weight)| {
                sum.saturating_add(weight.at(len.div_ceil(*stride)))
            })
    }

    /// Work in seconds of one core, roughly, for people.
    #[must_use]
    pub fn seconds(work: u64) -> f64 {
        let nanoseconds = work / UNITS_OF_A_NANOSECOND;
        std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
    }
}
