//! Whether a run goes on: the reasons for it to end, the work that is left, and the workers to wake when that changes.

use super::control::Control;
use crate::source::Ending;
use gristmill_ring::Submitter;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::OnceLock;

/// The state of a run as a whole.
#[derive(Debug)]
pub(super) struct Status {
    pub control: Control,
    /// Whether all jobs said that the whole run is answered.
    answered: AtomicBool,
    /// The kernel has failed.
    broken: AtomicBool,
    /// The source has no more entries.
    listed: AtomicBool,
    /// Entries taken from the source whose end has not been collected.
    open_files: AtomicUsize,
    /// How often workers were woken.
    wakes: AtomicU64,
    /// Present once the kernel runs.
    workers: OnceLock<Submitter>,
}

impl Ending for Status {
    fn is_ending(&self) -> bool {
        self.stopping()
    }
}

impl Status {
    pub fn new(control: Control) -> Self {
        Self {
            control,
            answered: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            open_files: AtomicUsize::new(0),
            wakes: AtomicU64::new(0),
            workers: OnceLock::new(),
        }
    }

    /// Joins the run to its kernel's workers, and wakes them.
    pub fn attach(&self, workers: Submitter) {
        let _already = self.workers.set(workers);
        self.wake();
    }

    /// Wakes workers that sleep, because their feeders have work.
    pub fn wake(&self) {
        // Who sees this number sees what there is to do. What orders it with a worker that goes to sleep are the fences of
        // the ring's event count.
        self.wakes.fetch_add(1, Ordering::Release);
        if let Some(workers) = self.workers.get() {
            workers.wake_workers();
        }
    }

    /// Wakes one worker that sleeps, because there is work for one.
    pub fn wake_one(&self) {
        self.wakes.fetch_add(1, Ordering::Release);
        if let Some(workers) = self.workers.get() {
            workers.wake_worker();
        }
    }

    /// How often workers were woken so far. Where this has changed since a feeder looked for work, it looks again.
    pub fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Acquire)
    }

    /// Whether no more is to be read.
    pub fn stopping(&self) -> bool {
        self.control.stopped() || self.answered.load(Ordering::Relaxed) || self.is_broken()
    }

    /// Whether no more entries will come, and all that came have been collected.
    pub fn is_over(&self) -> bool {
        (self.is_listed() || self.stopping()) && self.open_files.load(Ordering::Acquire) == 0
    }

    /// Notes that the whole run is answered.
    pub fn answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Notes that the kernel has failed. Returns whether this is the first notice of it.
    pub fn break_off(&self) -> bool {
        !self.broken.swap(true, Ordering::AcqRel)
    }

    /// Whether the kernel has failed.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// The source has no more entries.
    pub fn all_listed(&self) {
        self.listed.store(true, Ordering::Release);
    }

    /// Whether the source has no more entries.
    pub fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// Counts one more open entry. This is called before the source can be seen to have ended, so that the run does not
    /// seem to be over in between.
    pub fn opened(&self) {
        self.open_files.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that the end of an entry was collected.
    pub fn closed(&self) {
        if self.open_files.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wake();
        }
    }
}
