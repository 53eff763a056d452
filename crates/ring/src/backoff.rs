//! Polling for something that sends no notification, with pauses that double while nothing happens.

use std::time::{Duration, Instant};

/// Pauses that double from a first one up to a longest one.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// For a host that looks for what a device has done: 20 microseconds at first, 1 millisecond at most.
    pub const DEVICE: Self = Self::new(Duration::from_micros(20), Duration::from_millis(1));

    /// Pauses from `first` up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// How long to pause now. The next pause is twice as long.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }

    /// Starts again with the first pause. Call this when something has happened.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// Sleeps from pause to pause until `ready` holds, or for about `timeout`.
    pub fn sleep_until(mut self, timeout: Duration, ready: impl Fn() -> bool) {
        let begun = Instant::now();
        while !ready() && begun.elapsed() < timeout {
            std::thread::sleep(self.pause().min(timeout));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again() {
        let micros = Duration::from_micros;
        let mut backoff = Backoff::new(micros(3), micros(10));
        let pauses: Vec<_> = (0..4).map(|_| backoff.pause()).collect();
        assert_eq!(pauses, [3, 6, 10, 10].map(micros));
        backoff.reset();
        assert_eq!(backoff.pause(), micros(3));
    }
}
