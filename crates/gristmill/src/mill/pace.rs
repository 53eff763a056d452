//! The number of requests in flight to stores: as many as raise the throughput and no more, and fewer if a store asks
//! for that.
//!
//! Requests are counted in rounds, each of as many as may be in flight, or of several times as many if those are few.
//! The window is changed for one round at a time, and the change is kept if the round supports it: a wider window must
//! be faster, a narrower one no slower, because each request in flight takes memory, and data that was not fetched far
//! ahead is still in the CPU's caches when it is processed. First the window doubles, as long as that makes a round
//! faster by a quarter; then it is halved, as long as that makes none slower. After that, small steps in both
//! directions are tried now and then, in case the store's throughput changes. A store that says "slow down", or that
//! lets a request time out, halves the window, once for all requests that were in flight.

use std::time::Instant;

/// Requests in flight at first. As many are not compared with others: they wait for connections.
pub(super) const FIRST: usize = 8;

/// The narrowest window, unless a store asks for fewer: while one request is answered and one is sent, others bring bytes.
const NARROWEST: usize = 4;

/// The fewest requests of a round: the time of fewer depends on chance.
const LEAST_ROUND: usize = 16;

/// What a request costs, in bytes that it might have brought, when rounds are compared.
const REQUEST_COST: u64 = 64 << 10;

/// How many rounds the window stays before another is tried.
const STEADY: u32 = 8;

/// A window that is tried for a round.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// The window before.
    from: usize,
    step: Step,
}

/// How a window is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Double,
    Halve,
    Wider,
    Narrower,
}

impl Step {
    fn of(self, window: usize) -> usize {
        match self {
            Step::Double => window * 2,
            Step::Halve => window / 2,
            Step::Wider => window + (window / 4).max(1),
            Step::Narrower => window - window / 5,
        }
    }

    /// The rate that a round must have for the window to stay, as a multiple of the rate before.
    fn must_reach(self) -> f64 {
        match self {
            // A window that is too narrow gives way to twice the rate. What is less may be chance.
            Step::Double => 1.25,
            Step::Wider => 1.05,
            Step::Halve | Step::Narrower => 0.95,
        }
    }
}

/// The window of requests in flight.
#[derive(Debug)]
pub(super) struct Pace {
    /// Requests that may be in flight.
    window: usize,
    /// The widest window.
    most: usize,
    /// The window that is tried.
    trial: Option<Trial>,
    /// What is tried next, after so many more rounds.
    next: Step,
    steady: u32,
    /// Bytes in a second, over the rounds at this window.
    rate: Option<f64>,
    began: Option<Instant>,
    cost: u64,
    ended: usize,
    /// Requests that began under a wider window, or first of all, whose ends tell nothing of this one.
    skipped: usize,
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
            trial: None,
            next: Step::Double,
            steady: 0,
            rate: None,
            began: None,
            cost: 0,
            ended: 0,
            skipped: FIRST.min(most),
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
        if self.skipped > 0 {
            self.skipped -= 1;
            self.began = Some(now);
            self.full = false;
            return;
        }
        self.slowed |= slowed;
        self.cost += bytes + REQUEST_COST;
        self.ended += 1;
        // Requests that began together end together, so a round is a number of windows.
        if self.ended < self.window * LEAST_ROUND.div_ceil(self.window) {
            return;
        }
        let began = self.began.replace(now).unwrap_or(now);
        let seconds = now.saturating_duration_since(began).as_secs_f64();
        let rate = self.cost as f64 / seconds.max(1e-6);
        let full = std::mem::take(&mut self.full);
        (self.cost, self.ended) = (0, 0);
        if std::mem::take(&mut self.slowed) {
            self.trial = None;
            self.rate = None;
            self.next = Step::Wider;
            self.steady = STEADY;
            self.set(self.window / 2);
        } else if full {
            self.judge(rate);
        }
        // Else what is read, or who reads it, is the limit.
    }

    /// Takes a round whose window mattered.
    fn judge(&mut self, rate: f64) {
        let before = *self.rate.get_or_insert(rate);
        let Some(Trial { from, step }) = self.trial.take() else {
            self.rate = Some((before + rate) / 2.0);
            self.steady = self.steady.saturating_sub(1);
            if self.steady == 0 {
                self.attempt(self.next);
            }
            return;
        };
        if rate >= before * step.must_reach() {
            // What has helped is tried again at once.
            self.rate = Some(before.max(rate));
            return self.attempt(step);
        }
        self.set(from);
        match step {
            Step::Double => self.attempt(Step::Halve),
            Step::Halve | Step::Narrower => self.rest(Step::Wider),
            Step::Wider => self.rest(Step::Narrower),
        }
    }

    /// Tries another window, if there is one.
    fn attempt(&mut self, step: Step) {
        let from = self.window;
        let narrowest = NARROWEST.min(from);
        let window = step.of(from).clamp(narrowest, self.most);
        if window != from {
            self.trial = Some(Trial { from, step });
            return self.set(window);
        }
        match step {
            Step::Double => self.attempt(Step::Halve),
            Step::Wider => self.rest(Step::Narrower),
            Step::Halve | Step::Narrower => self.rest(Step::Wider),
        }
    }

    /// Keeps the window for a while.
    fn rest(&mut self, next: Step) {
        self.next = next;
        self.steady = STEADY;
    }

    fn set(&mut self, window: usize) {
        let window = window.clamp(1, self.most);
        self.skipped = match window < self.window {
            true => self.skipped.max(self.window),
            false => 0,
        };
        self.window = window;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::time::Duration;

    /// A store that answers after a latency, with so many bytes in a second for all requests together, and a reader that
    /// has as many requests in flight as it may.
    struct World {
        pace: Pace,
        now: Instant,
        /// When the bytes of the last request have come.
        idle: Instant,
        /// When those in flight end.
        ends: VecDeque<Instant>,
    }

    const BYTES: u64 = 1_000_000;

    impl World {
        fn new(most: usize) -> Self {
            let now = Instant::now();
            Self {
                pace: Pace::new(most),
                now,
                idle: now,
                ends: VecDeque::new(),
            }
        }

        /// Fetches with so many requests. Returns the bytes that came in a second.
        fn fetch(&mut self, requests: usize, latency: Duration, most: f64, slowed: bool) -> f64 {
            let began = self.now;
            for _ in 0..requests {
                while self.ends.len() < self.pace.window() {
                    self.pace.begin(self.ends.len() + 1, self.now);
                    let takes = Duration::from_secs_f64(BYTES as f64 / most);
                    self.idle = self.idle.max(self.now + latency) + takes;
                    self.ends.push_back(self.idle);
                }
                let end = self.ends.pop_front().unwrap();
                self.now = self.now.max(end);
                self.pace.end(BYTES, slowed, self.now);
            }
            requests as f64 * BYTES as f64 / (self.now - began).as_secs_f64()
        }
    }

    const FAR: Duration = Duration::from_millis(50);
    const NEAR: Duration = Duration::from_micros(200);

    #[test]
    fn the_window_grows_while_more_requests_bring_more() {
        let mut world = World::new(128);
        world.fetch(500, FAR, 1e12, false);
        assert!(world.pace.window() > 100, "{:?}", world.pace);
        // 100 requests are in flight for the latency at 2 GB/s: more bring nothing.
        let mut world = World::new(4096);
        world.fetch(2000, FAR, 2e9, false);
        let rate = world.fetch(20_000, FAR, 2e9, false);
        assert!(rate > 0.9 * 2e9, "{rate} {:?}", world.pace);
        assert!((64..256).contains(&world.pace.window()), "{:?}", world.pace);
    }

    #[test]
    fn few_requests_are_in_flight_to_a_store_that_gives_no_more_to_many() {
        let mut world = World::new(96);
        let rate = world.fetch(200, NEAR, 2e9, false);
        assert!(rate > 0.9 * 2e9, "{rate}");
        let mut most = 0;
        for _ in 0..1000 {
            world.fetch(20, NEAR, 2e9, false);
            most = most.max(world.pace.window());
        }
        assert!(most <= 2 * NARROWEST, "{most} {:?}", world.pace);
    }

    #[test]
    fn a_store_that_takes_longer_than_before_gets_more_requests() {
        let mut world = World::new(96);
        world.fetch(1000, NEAR, 2e9, false);
        assert!(world.pace.window() <= FIRST);
        world.fetch(5000, FAR, 2e9, false);
        assert!(world.pace.window() > 64, "{:?}", world.pace);
    }

    #[test]
    fn a_store_that_asks_for_less_gets_fewer_requests_and_later_more_again() {
        let mut world = World::new(128);
        world.fetch(500, FAR, 1e12, false);
        world.fetch(2000, FAR, 1e12, true);
        assert_eq!(world.pace.window(), 1);
        world.fetch(5000, FAR, 1e12, false);
        assert!(world.pace.window() > 8, "{:?}", world.pace);
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
