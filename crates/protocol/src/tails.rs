//! The cache line through which the host notifies the device: a tail for each ready ring, followed by three more words.
//! Only the host writes it.
//!
//! The tail of a priority is the value at which the ring's counters start, plus the number of slots published at that
//! priority, modulo 2^32. Storing it with release order is the doorbell.

use crate::priority;

numbers! {
    /// Words of the line.
    pub WORDS {
        /// Goes up by one each time that the host asks the workers to bring the control words up to date.
        MIRROR: usize = priority::COUNT;
        /// Requests of the IO queue that the host has ended, modulo 2^32.
        ENDED: usize = priority::COUNT + 1;
        /// Not 0 once what runs is to end at once, and nothing that takes long is to begin.
        CANCELLED: usize = priority::COUNT + 2;
        /// Words in the line.
        LEN: usize = priority::COUNT + 3;
    }
}
