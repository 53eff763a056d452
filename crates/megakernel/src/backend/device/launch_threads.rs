//! Launches: the threads that run the kernel on the device again and again, and the threads of feeders.
//!
//! A *launch group* consists of the groups of lanes that one launch runs (see [`Capacity`](super::driver::Capacity)).
//! Its thread launches it again whenever a lease has ended and work remains, and sleeps otherwise.

use super::driver::{Driver, Launch};
use super::host::Host;
use super::launch_group::LaunchGroup;
use super::vigil::WATCH;
use crate::backend::{Feed, FeederFactory};
use gristmill_protocol::tails;
use gristmill_ring::Backoff;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a launch group waits after it has left the kernel without completing anything.
const GROUP_BACKOFF: Backoff = Backoff::new(Duration::from_micros(100), Duration::from_millis(2));

impl<D: Driver> Host<D> {
    /// The thread of a launch group: it launches again and again while there is work.
    pub fn run_group(&self, group: &LaunchGroup) {
        // Events on the host that could give the device more to do.
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
                // The remaining slots run in other launch groups, or wait for those, or wait for bytes.
                self.ring
                    .sleep_unless(backoff.pause(), || self.over() || news() != before.1);
            } else {
                backoff.reset();
            }
        }
        // One last launch completes the parked slots.
        if self.failure.get().is_none() && self.in_flight() != 0 {
            self.launch_once(group);
        }
    }

    /// Launches once and waits until all groups have left. Returns false if the launch failed.
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

    /// The thread of a feeder.
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
                        // The device cannot wake a thread, so completions are polled for.
                        std::thread::sleep(backoff.pause());
                    }
                }
            }
        });
        // A feeder that panics is dropped; its `drop` notifies the threads that wait for it.
        drop(catch_unwind(run));
    }
}
