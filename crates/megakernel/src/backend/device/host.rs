//! A running kernel on a device: the state that its threads share, and how they are asked to end.
//!
//! Each launch group has a thread that launches it and waits (`launch_threads.rs`). A watchdog fails the kernel when a launch
//! group gives no sign of life (`watchdog.rs`). A thread that waits for a lost device cannot be ended; it is left
//! behind, and it keeps alive the memory that the device may still write.

use super::driver::{DeviceMemory, Driver, Launch};
use super::launch_group::LaunchGroup;
use super::layout::worker;
use super::loaded::Device;
use super::tables::ProgramTables;
use super::threads::Threads;
use super::vigil::{Clock, Silence, WATCH};
use super::wide::Wide;
use crate::KernelError;
use gristmill_protocol::{control, priority};
use gristmill_ring::{ChunkMemory, DeviceRing, SharedWords};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a shutdown waits, while nothing moves, for the device to leave the kernel.
pub(super) const LEAVE: Duration = Duration::from_secs(5);

/// The words of a worker that count what it has done.
const COUNTED: [usize; 4] = [
    worker::SLOTS,
    worker::FAULTS,
    worker::PARKED,
    worker::LEASES,
];

/// The state that the threads of a kernel share. It keeps everything alive that the device can reach.
pub(super) struct Host<D: Driver> {
    pub device: Arc<Device<D>>,
    pub ring: DeviceRing,
    /// The words of the workers.
    pub workers: SharedWords,
    /// Of each worker, what its words count: slots, faults, parked slots, leases.
    pub counts: Box<[[Wide; COUNTED.len()]]>,
    pub tables: Arc<ProgramTables>,
    pub _state: Box<dyn DeviceMemory>,
    pub _chunks: Arc<ChunkMemory>,
    pub launch: Launch,
    pub groups: Vec<LaunchGroup>,
    /// How long a launch group that has begun to run may be silent before it is considered lost.
    pub patience: Duration,
    /// The first value of the ring's counters.
    pub counters_from: u32,
    pub stopping: AtomicBool,
    pub failure: OnceLock<KernelError>,
    pub threads: Arc<Threads>,
}

impl<D: Driver> Host<D> {
    pub fn worker(&self, number: u32, word: usize) -> &AtomicU32 {
        &self.workers[number as usize * worker::WORDS + word]
    }

    pub fn worker_count(&self) -> u32 {
        self.groups.iter().map(|group| group.workers).sum()
    }

    /// What each worker has counted so far: slots, faults, parked slots, leases. It is to be called before any of them has
    /// counted 2^31 more.
    pub fn count(&self) -> Vec<[u64; COUNTED.len()]> {
        (0..)
            .zip(&self.counts)
            .map(|(number, counts)| {
                std::array::from_fn(|index| {
                    let counter = self.worker(number, COUNTED[index]).load(Ordering::Acquire);
                    counts[index].take(counter)
                })
            })
            .collect()
    }

    /// The number of completed slots, modulo 2^32.
    pub fn completed(&self) -> u32 {
        (0..self.worker_count())
            .map(|number| self.worker(number, worker::SLOTS).load(Ordering::Acquire))
            .fold(0, u32::wrapping_add)
    }

    /// The number of slots that were published and not completed, at some moment during the call.
    pub fn in_flight(&self) -> u32 {
        // In this order, so that no slot counts as completed that does not count as published.
        let completed = self.completed();
        self.published().wrapping_sub(completed)
    }

    /// The number of published slots, modulo 2^32.
    pub fn published(&self) -> u32 {
        self.ring.tails()[..priority::COUNT]
            .iter()
            .map(|tail| {
                let tail = tail.load(Ordering::Acquire);
                tail.wrapping_sub(self.counters_from)
            })
            .fold(0, u32::wrapping_add)
    }

    /// Values that change as long as a launch group lives: the number of its launch, and its workers' signs of life.
    pub fn signs(&self, group: &LaunchGroup) -> (u32, u32) {
        let beats = (group.first..group.first + group.workers)
            .map(|number| self.worker(number, worker::BEAT).load(Ordering::Relaxed))
            .fold(0, u32::wrapping_add);
        (group.launches.load(Ordering::Relaxed), beats)
    }

    /// Whether the kernel must not be launched again.
    pub fn over(&self) -> bool {
        self.ring.control()[control::SHUTDOWN].load(Ordering::Acquire) != 0
            || self.failure.get().is_some()
    }

    /// Fails the kernel. Only the first reason is kept. Feeders continue until they have seen the failure.
    pub fn fail(&self, error: KernelError) {
        if self.failure.set(error).is_ok() {
            self.leave();
        }
    }

    /// Fails the kernel if the device has written to the ring what no device may write. Returns whether it has.
    pub fn fails_with_ring(&self) -> bool {
        let Some(error) = self.ring.failure() else {
            return false;
        };
        self.fail(error.into());
        true
    }

    /// Asks the device and the threads to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.leave();
    }

    /// Asks the device to leave the kernel.
    fn leave(&self) {
        self.ring.control()[control::SHUTDOWN].store(1, Ordering::Release);
        self.ring.wake_workers();
        self.threads.notify();
    }

    /// Waits until all threads have ended, or until nothing has moved for [`LEAVE`]. Returns how many still run.
    pub fn wait_for_end(&self) -> usize {
        let signs = |running| {
            let groups: Vec<_> = self.groups.iter().map(|group| self.signs(group)).collect();
            (running, self.completed(), groups)
        };
        let mut clock = Clock::new(WATCH);
        let mut silence = Silence::new(signs(0));
        self.threads.wait(WATCH, |running| {
            silence.look(signs(running), clock.tick()).0 >= LEAVE
        })
    }
}
