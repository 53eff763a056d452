//! How many requests are in flight to stores: as many as make the bytes come faster, and fewer where a store asks for it.
//!
//! Requests are counted in rounds, each of as many as may be in flight. While a round that filled the window is faster
//! than the one before, the window doubles. When it is not, the window stays, and is widened a little now and then, in
//! case the store gives more later; where that makes a round slower, it goes back. A store that says "slow down", or
//! that lets a request time out, halves the window, and from then on it grows by small steps.

use std::time::Instant;

/// Requests in flight at first: a batch of files.
pub(super) const FIRST: usize = super::plan::BATCH_FILES;

/// What a request costs, in bytes that it might have brought, when rounds are compared.
const REQUEST_COST: u64 = 64 << 10;

/// How many rounds the window stays before it is widened a little.
const STEADY: u32 = 8;

/// The window of requests in flight.
#[derive(Debug)]
pub(super) struct Pace {
    /// Requests that may be in flight.
    window: usize,
    /// The widest window.
    most: usize,
    /// Whether the window still doubles.
    doubles: bool,
    /// Rounds since the window was changed.
    steady: u32,
    /// Bytes in a second of the round before.
    rate: f64,
    began: Option<Instant>,
    cost: u64,
    ended: usize,
    /// Whether the window was full at some moment of the round, so that its width mattered.
    full: bool,
    slowed: bool,
}

impl Pace {
    /// A window of at most `most` requests.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            window: FIRST.min(most),
            most,
            doubles: true,
            steady: 0,
            rate: 0.0,
            began: None,
            cost: 0,
            ended: 0,
            full: false,
            slowed: false,
        }
    }

    /// Requests that may be in flight.
    pub fn window(&self) -> usize {
        self.window
    }

    /// A request begins, as one of `inflight`.
    pub fn begin(&mut self, inflight: usize, now: Instant) {
        self.began.get_or_insert(now);
        self.full |= inflight >= self.window;
    }

    /// A request has ended that brought these bytes. `slowed` says whether the store asked for fewer.
    pub fn end(&mut self, bytes: u64, slowed: bool, now: Instant) {
        self.cost += bytes + REQUEST_COST;
        self.ended += 1;
        self.slowed |= slowed;
        if self.ended < self.window {
            return;
        }
        let began = self.began.replace(now).unwrap_or(now);
        let seconds = now.saturating_duration_since(began).as_secs_f64();
        let rate = self.cost as f64 / seconds.max(1e-6);
        let before = std::mem::replace(&mut self.rate, rate);
        let full = std::mem::take(&mut self.full);
        (self.cost, self.ended) = (0, 0);
        if std::mem::take(&mut self.slowed) {
            self.doubles = false;
            self.set(self.window / 2);
        } else if !full {
            // What is read, or who reads it, is the limit.
        } else if self.doubles && rate > before * 1.1 {
            self.set(self.window * 2);
        } else if self.doubles {
            self.doubles = false;
            self.steady = 0;
        } else if self.steady == 0 && rate < before * 0.8 {
            self.set(self.window - self.window / 5);
            self.steady = 1;
        } else {
            self.steady += 1;
            if self.steady > STEADY {
                self.set(self.window + (self.window / 4).max(1));
            }
        }
    }

    fn set(&mut self, window: usize) {
        self.window = window.clamp(1, self.most);
        self.steady = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Rounds of a store that gives each request's bytes after `latency`, and no more than `most` in a second in all.
    fn settled(
        pace: &mut Pace,
        rounds: usize,
        latency: Duration,
        most: f64,
        slowed: bool,
    ) -> usize {
        let mut now = Instant::now();
        for _ in 0..rounds {
            let window = pace.window();
            let bytes = 1_000_000;
            let free = latency.as_secs_f64();
            let bound = window as f64 * bytes as f64 / most;
            for _ in 0..window {
                pace.begin(window, now);
            }
            now += Duration::from_secs_f64(free.max(bound));
            for _ in 0..window {
                pace.end(bytes, slowed, now);
            }
        }
        pace.window()
    }

    #[test]
    fn the_window_grows_while_more_requests_bring_more() {
        let far = Duration::from_millis(50);
        let mut pace = Pace::new(128);
        assert_eq!(settled(&mut pace, 8, far, f64::INFINITY, false), 128);
        // 100 requests of a megabyte take as long as the latency at 2 GB/s: more bring nothing.
        let mut pace = Pace::new(4096);
        let window = settled(&mut pace, 12, far, 2e9, false);
        assert!((64..=512).contains(&window), "{window}");
    }

    #[test]
    fn a_store_that_asks_for_less_gets_fewer_requests_and_later_more_again() {
        let far = Duration::from_millis(50);
        let mut pace = Pace::new(128);
        settled(&mut pace, 8, far, f64::INFINITY, false);
        assert_eq!(settled(&mut pace, 10, far, f64::INFINITY, true), 1);
        assert!(settled(&mut pace, 200, far, f64::INFINITY, false) > 8);
    }

    #[test]
    fn a_window_that_is_not_full_stays() {
        let mut pace = Pace::new(128);
        let now = Instant::now();
        for turn in 0..1000 {
            let now = now + Duration::from_millis(turn);
            pace.begin(3, now);
            pace.end(10, false, now);
        }
        assert_eq!(pace.window(), FIRST);
    }
}
