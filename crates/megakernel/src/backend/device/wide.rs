//! Counters of 64 bits from the device's counters of 32 bits, which wrap around.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a counter of a worker has reached, if it is looked at before it has gained 2^31 since it was last looked at. The
/// watchdog looks ten times a second.
#[derive(Debug, Default)]
pub struct Wide(AtomicU64);

impl Wide {
    /// Takes a value that was read of the counter, and returns what the counter has reached. A value that was read before
    /// the last one that was taken changes nothing.
    pub fn take(&self, counter: u32) -> u64 {
        let known = self.0.load(Ordering::Acquire);
        #[allow(clippy::cast_possible_truncation)] // The lower half is what the device counts.
        let gain = counter.wrapping_sub(known as u32);
        let gain = if gain < 1 << 31 { gain } else { 0 };
        let reached = known + u64::from(gain);
        self.0.fetch_max(reached, Ordering::AcqRel).max(reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_on_beyond_32_bits() {
        let wide = Wide::default();
        let mut counted = 0_u64;
        for gain in [
            0,
            7,
            1 << 30,
            (1 << 31) - 1,
            1 << 30,
            5,
            0,
            (1 << 31) - 1,
            3,
        ] {
            counted += gain;
            #[allow(clippy::cast_possible_truncation)] // As the device counts.
            let counter = counted as u32;
            assert_eq!(wide.take(counter), counted);
        }
        assert!(counted > u64::from(u32::MAX));
    }

    #[test]
    fn an_older_value_changes_nothing() {
        let wide = Wide::default();
        assert_eq!(wide.take(100), 100);
        assert_eq!(wide.take(99), 100);
        assert_eq!(wide.take(1 << 31), 1 << 31);
        assert_eq!(wide.take(u32::MAX), u64::from(u32::MAX));
        assert_eq!(wide.take(2), (1 << 32) + 2);
        assert_eq!(wide.take(u32::MAX), (1 << 32) + 2);
    }
}
