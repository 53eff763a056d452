//! An entry of a ready ring: a published slot and its generation, in one word.
//!
//! A *generation* is the number of BATCH_FENCEs that were published before the slot; its low 16 bits are enough,
//! because a ring never has more slots in flight than it has slots.

numbers! {
    /// Parts of an entry.
    pub PARTS {
        /// The lowest bit of the generation; the slot's index lies below.
        GENERATION_SHIFT: u32 = 16;
        /// Most slots that a live ring may have: those that the bits below the generation count, with one to spare.
        MAX_SLOTS: u32 = 32_768;
    }
}

/// Combines a slot's index and its generation into an entry. Of each, only the low 16 bits are used.
#[inline]
#[must_use]
pub const fn encode(slot: u32, generation: u32) -> u32 {
    slot | generation << GENERATION_SHIFT
}

/// Slot and generation of an entry, in a ring of `slots` slots, which is a power of two. Whatever the entry holds, the
/// slot's index is below `slots`.
#[inline]
#[must_use]
pub const fn decode(entry: u32, slots: u32) -> (u32, u32) {
    (entry & (slots - 1), entry >> GENERATION_SHIFT)
}
