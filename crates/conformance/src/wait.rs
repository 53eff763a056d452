//! Waits for the kernel. Each wait has a bound. Time in which threads of this process wait for a processor does not
//! count, so a busy machine makes no case fail.

use super::case::LIMIT;
use gristmill_megakernel::backend::device::Clock;
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Runs something on a separate thread. Returns `None` if it takes longer than [`LIMIT`]; the thread is then left behind.
/// `None`, too, if it panics.
pub fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = channel();
    let thread = thread::Builder::new().spawn(move || {
        // After the limit has passed, no thread receives the result any more.
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

/// How often a wait checks the clock.
const LOOK: Duration = Duration::from_millis(50);

/// A wait for the kernel. It is over once the kernel has had enough time to answer; only time in which no thread of
/// this process waits for a processor is counted.
pub(super) struct Wait {
    limit: Duration,
    waited: Duration,
    looked: Instant,
    /// Made only when a wait has lasted long enough for its first check.
    clock: Option<Clock>,
}

impl Wait {
    /// Makes a wait that begins now.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            waited: Duration::ZERO,
            looked: Instant::now(),
            clock: None,
        }
    }

    /// Whether the wait has lasted too long.
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
