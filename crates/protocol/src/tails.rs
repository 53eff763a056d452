//! The line of words through which the host tells the device of news: a tail for each ready ring, and behind them three
//! words more. The host alone writes it.
//!
//! The tail of a priority is the number of slots published at it, modulo 2^32 and from where the ring's counters begin.
//! Storing it with release order is the doorbell.

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
