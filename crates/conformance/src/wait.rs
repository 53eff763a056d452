//! Waits for the kernel, each with a bound: time in which threads of this process wait for a processor does not count, so
//! that a busy machine fails no case.

use super::LIMIT;
use gristmill_megakernel::backend::device::Clock;
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Runs something on a thread of its own; `None` where it takes longer than the limit. Then it is left behind.
pub(super) fn within_limit<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().spawn(move || {
        // Nobody listens any more where the limit has passed.
        let _ = sender.send(work());
    });
    thread.ok()?;
    let mut wait = Wait::new(LIMIT);
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(done) => return Some(done),
            Err(RecvTimeoutError::Timeout) if !wait.is_over() => {}
            Err(_) => return None,
        }
    }
}

/// How often a wait looks at the clock.
const LOOK: Duration = Duration::from_millis(50);

/// A wait for the kernel, which is over when it has lasted for so long that the kernel could have answered: what counts is
/// time in which no thread of this process waits for a processor.
pub(super) struct Wait {
    limit: Duration,
    waited: Duration,
    looked: Instant,
    /// Made where a wait is long enough to be looked at.
    clock: Option<Clock>,
}

impl Wait {
    /// A wait that begins now.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            waited: Duration::ZERO,
            looked: Instant::now(),
            clock: None,
        }
    }

    /// Whether it has lasted for too long.
    pub fn is_over(&mut self) -> bool {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            match &mut self.clock {
                Some(clock) => self.waited += clock.tick(),
                None => self.clock = Some(Clock::new(2 * LOOK)),
            }
        }
        self.waited > self.limit
    }
}
