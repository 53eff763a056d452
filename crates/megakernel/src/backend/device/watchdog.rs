//! The watchdog: it fails the kernel when a launch group that is inside the kernel gives no sign of life.
//!
//! Workers give signs of life as they work, so a program that runs for long does not make its device look lost. Neither
//! does a busy machine, since the watchdog counts only time in which no thread of this process waited for a processor
//! (`vigil.rs`).
//!
//! It also follows the workers' counters, so that none wraps around unseen.

use super::driver::Driver;
use super::host::Host;
use super::vigil::{Clock, Silence, WATCH};
use crate::KernelError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The same limit before the very first sign of life. It is longer because a device that other processes use too may
/// start late.
const FIRST_SILENCE: Duration = Duration::from_secs(5);

impl<D: Driver> Host<D> {
    /// The thread of the watchdog.
    pub fn watch(&self) {
        // For each launch group: its signs of life, and whether it has ever given one.
        let mut seen: Vec<_> = self
            .groups
            .iter()
            .map(|group| (Silence::new(self.signs(group)), false))
            .collect();
        // While there are signs of life, it does not matter how long threads have waited.
        let mut clock = None;
        while !self.over() {
            // The watchdog does not sleep with the ring's workers: a notification that wakes only one of them is meant
            // for a launch group.
            self.threads.sleep_unless(WATCH, || self.over());
            self.count();
            if self.fails_with_ring() {
                return;
            }
            let counted = clock.as_mut().map_or(Duration::ZERO, Clock::tick);
            let mut silent = false;
            for (group, (silence, alive)) in self.groups.iter().zip(&mut seen) {
                let signs = self.signs(group);
                if !group.inside.load(Ordering::Acquire) {
                    *silence = Silence::new(signs);
                    continue;
                }
                let (of_group, moved) = silence.look(signs, counted);
                *alive |= moved && signs.1 != 0;
                silent |= !moved;
                let patience = if *alive {
                    self.patience
                } else {
                    FIRST_SILENCE.max(self.patience)
                };
                if of_group >= patience {
                    self.fail(KernelError::DeviceLost {
                        backend: D::BACKEND,
                        device: self.device.info.name.clone(),
                        seconds: patience.as_secs(),
                        in_flight: self.in_flight(),
                    });
                }
            }
            clock = match (silent, clock) {
                (true, None) => Some(Clock::new(WATCH)),
                (true, clock) => clock,
                (false, _) => None,
            };
        }
    }
}
