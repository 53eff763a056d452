//! Registers and masks of a block of lanes.
//!
//! An instruction never writes where it reads: results go to a spare register, which then changes places with the
//! destination. So the loops over lanes have no aliases and become vector instructions.

/// Lanes of a block at most.
pub(super) const MAX_LANES: usize = 256;

/// Loops run over a multiple of so many lanes, so that nothing is left over for a scalar rest.
pub(super) const GROUP: usize = 16;

/// One register of all lanes, or a mask: all ones or zero for each lane.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Lanes(pub [u32; MAX_LANES]);

impl Lanes {
    pub const ZERO: Lanes = Lanes([0; MAX_LANES]);

    /// The first lanes.
    #[inline(always)]
    pub fn first(&self, lanes: usize) -> &[u32] {
        &self.0[..lanes.min(MAX_LANES)]
    }

    /// The first lanes, for writing.
    #[inline(always)]
    pub fn first_mut(&mut self, lanes: usize) -> &mut [u32] {
        &mut self.0[..lanes.min(MAX_LANES)]
    }
}

/// All ones where a word is not zero.
#[inline(always)]
pub(super) fn spread(word: u32) -> u32 {
    if word == 0 {
        0
    } else {
        u32::MAX
    }
}

/// Which lanes of a block are on, at one depth of nesting.
#[derive(Clone)]
pub(super) struct Mask {
    pub lanes: Lanes,
    /// How many are on.
    pub active: usize,
    /// Whether they are the first ones.
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
        // As left by the last block, mostly.
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
