//! Launches: the threads that run the kernel on the device, again and again, and those that feed it.
//!
//! A *launch group* is the groups of lanes that one launch runs (see [`Capacity`](super::driver::Capacity)). It has a thread
//! that launches it whenever a lease has ended and work remains, and sleeps otherwise.

use super::driver::{Driver, Launch};
use super::host::Host;
use super::watchdog::WATCH;
use crate::backend::{Feed, FeederFactory};
use gristmill_protocol::tails;
use gristmill_ring::Backoff;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// How long a launch group waits that has left the kernel without having completed anything.
const GROUP_BACKOFF: Backoff = Backoff::new(Duration::from_micros(100), Duration::from_millis(2));

/// The groups of lanes that one launch runs.
pub(super) struct LaunchGroup {
    /// The number of the first worker.
    pub first: u32,
    /// Workers.
    pub workers: u32,
    pub launches: AtomicU32,
    /// Whether the kernel is launched now.
    pub inside: AtomicBool,
}

impl LaunchGroup {
    /// A launch group for each number of workers.
    pub fn of(workers: &[u32]) -> Vec<Self> {
        let mut first = 0;
        let group = |workers: &u32| {
            first += workers;
            Self {
                first: first - workers,
                workers: *workers,
                launches: AtomicU32::new(0),
                inside: AtomicBool::new(false),
            }
        };
        workers.iter().map(group).collect()
    }
}

impl<D: Driver> Host<D> {
    /// A launch group's thread: launch after launch while there is work.
    pub fn run_group(&self, group: &LaunchGroup) {
        // What the host has done that could give the device more to do.
        let ended = &self.ring.tails()[tails::ENDED];
        let news = || (self.published(), ended.load(Ordering::Acquire));
        let mut backoff = GROUP_BACKOFF;
        while !self.over() {
            if self.in_flight() == 0 {
                self.ring
                    .sleep_unless(WATCH, || self.over() || self.in_flight() != 0);
                continue;
            }
            let before = (self.completed(), news());
            if !self.launch_once(group) {
                return;
            }
            if self.completed() == before.0 {
                // Other launch groups run what is left, or it waits for them, or for bytes.
                self.ring
                    .sleep_unless(backoff.pause(), || self.over() || news() != before.1);
            } else {
                backoff.reset();
            }
        }
        // A last launch, which completes what is parked.
        if self.failure.get().is_none() && self.in_flight() != 0 {
            self.launch_once(group);
        }
    }

    /// Launches once and waits until all groups have left. False where that failed.
    fn launch_once(&self, group: &LaunchGroup) -> bool {
        let before = group.launches.fetch_add(1, Ordering::Relaxed);
        // A launch with number 0 does nothing.
        let number = before.wrapping_add(1).max(1);
        group.inside.store(true, Ordering::Release);
        let launched = self.device.launch(&Launch {
            first: group.first,
            groups: group.workers,
            number,
            ..self.launch
        });
        group.inside.store(false, Ordering::Release);
        launched.map_err(|error| self.fail(error)).is_ok()
    }

    /// A feeder's thread.
    pub fn feed(&self, index: usize, make: FeederFactory) {
        let run = AssertUnwindSafe(|| {
            let mut feeder = make(index);
            let mut backoff = Backoff::DEVICE;
            loop {
                match feeder.feed() {
                    Feed::Progress | Feed::Blocked => backoff.reset(),
                    Feed::Finished => return,
                    Feed::Idle => {
                        if self.stopping.load(Ordering::Acquire) {
                            return;
                        }
                        // The device wakes no thread, so completions are polled for.
                        std::thread::sleep(backoff.pause());
                    }
                }
            }
        });
        // A feeder that panics is dropped, which is where it tells those who wait for it.
        drop(catch_unwind(run));
    }
}
