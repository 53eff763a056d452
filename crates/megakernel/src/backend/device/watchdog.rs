//! The watchdog: notices a launch group that is inside of the kernel and gives no sign of life, and fails the kernel.
//!
//! Workers give signs of life by the work that they do, so a program that runs for long is no lost device; and the watchdog
//! counts only time in which no thread of this process waited for a processor (`vigil.rs`), so a busy machine is none either.

use super::driver::Driver;
use super::host::Host;
use super::vigil::{Clock, Silence};
use crate::KernelError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Silence after which a device that has begun to run is taken for lost. Workers give signs of life between slots, and as
/// they work within programs and searches; other stream opcodes are silent for as long as their chunk takes.
pub(super) const SILENCE: Duration = Duration::from_secs(1);

/// Bytes that the slowest stream opcode reads in a second, at the very least.
const SLOWEST_BYTES: u64 = 32 << 20;

/// The same before the first sign of life of all: a device that other processes use, too, may start later.
const FIRST_SILENCE: Duration = Duration::from_secs(5);

/// How often the watchdog looks.
pub(super) const WATCH: Duration = Duration::from_millis(100);

/// Silence after which a launch group that has begun to run is taken for lost, with chunks of this size.
pub(super) fn patience(chunk_bytes: u64) -> Duration {
    SILENCE + Duration::from_millis(1000 * chunk_bytes / SLOWEST_BYTES)
}

impl<D: Driver> Host<D> {
    /// The watchdog's thread.
    pub fn watch(&self) {
        // For each launch group its signs of life, and whether it has given one at all.
        let mut seen: Vec<_> = self
            .groups
            .iter()
            .map(|group| (Silence::new(self.signs(group)), false))
            .collect();
        // While there are signs of life it does not matter how long threads have waited.
        let mut clock = None;
        while !self.over() {
            // Not with the ring's workers: what wakes one of them once is meant for a launch group.
            self.threads.sleep_unless(WATCH, || self.over());
            if let Some(error) = self.ring.failure() {
                return self.fail(error.into());
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
