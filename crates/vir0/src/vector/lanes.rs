//! Registers and masks of a block of lanes.
//!
//! An instruction writes its results to a spare register, which is then swapped with the destination. So a loop over
//! lanes never writes to a register that it reads, and the compiler can vectorise it.

/// The largest number of lanes in a block.
pub(super) const MAX_LANES: usize = 256;

/// Loops run over a multiple of this number of lanes, so that they need no scalar remainder.
pub(super) const GROUP: usize = 16;

/// One register in all lanes, or a mask, which is all ones or zero in each lane.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Lanes(pub [u32; MAX_LANES]);

impl Lanes {
    pub const ZERO: Lanes = Lanes([0; MAX_LANES]);

    /// The first `lanes` lanes.
    #[inline(always)]
    pub fn first(&self, lanes: usize) -> &[u32] {
        &self.0[..lanes.min(MAX_LANES)]
    }

    /// The first `lanes` lanes, for writing.
    #[inline(always)]
    pub fn first_mut(&mut self, lanes: usize) -> &mut [u32] {
        &mut self.0[..lanes.min(MAX_LANES)]
    }
}

/// All ones if a word is not zero, else zero.
#[inline(always)]
pub(super) fn spread(word: u32) -> u32 {
    if word == 0 {
        0
    } else {
        u32::MAX
    }
}

/// The lanes of a block that are on, at one depth of nesting.
#[derive(Clone)]
pub(super) struct Mask {
    pub lanes: Lanes,
    /// The number of lanes that are on.
    pub active: usize,
    /// Whether the first `active` lanes are on.
    leading: bool,
}

impl Mask {
    pub const NONE: Mask = Mask {
        lanes: Lanes::ZERO,
        active: 0,
        leading: false,
    };

    /// Turns on the first `count` lanes, and no others.
    #[inline(always)]
    pub fn set_first(&mut self, count: usize) {
        // In most cases the last block left the mask as it is needed.
        if self.leading && self.active == count {
            return;
        }
        for (lane, word) in self.lanes.0.iter_mut().enumerate() {
            *word = if lane < count { u32::MAX } else { 0 };
        }
        self.active = count;
        self.leading = true;
    }

    /// Counts the lanes that are on among the first `width`.
    #[inline(always)]
    pub fn recount(&mut self, width: usize) {
        let on: u32 = self.lanes.first(width).iter().map(|word| word & 1).sum();
        self.active = on as usize;
    }

    /// Turns off the lanes that are on in `others`.
    #[inline(always)]
    pub fn remove(&mut self, others: &[u32]) {
        for (word, other) in self.lanes.0.iter_mut().zip(others) {
            *word &= !other;
        }
        self.recount(others.len());
        self.leading = false;
    }
}
