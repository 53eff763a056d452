//! Whether a run goes on: who wants it to end, how much of it is left, and which workers to wake when that changes.

use super::control::Control;
use gristmill_ring::Submitter;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::OnceLock;

/// The state of a run as a whole.
#[derive(Debug)]
pub(super) struct Status {
    pub control: Control,
    /// The job said that the whole run is answered.
    answered: AtomicBool,
    /// The kernel has failed.
    broken: AtomicBool,
    /// The source has no more entries.
    listed: AtomicBool,
    /// Entries taken from the source whose end has not been collected.
    open_files: AtomicUsize,
    /// There once the kernel runs.
    workers: OnceLock<Submitter>,
}

impl Status {
    pub fn new(control: Control) -> Self {
        Self {
            control,
            answered: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            open_files: AtomicUsize::new(0),
            workers: OnceLock::new(),
        }
    }

    /// Joins the run to its kernel's workers, and wakes them.
    pub fn attach(&self, workers: Submitter) {
        let _already = self.workers.set(workers);
        self.wake();
    }

    /// Wakes workers that sleep: there is something to do for their feeders.
    pub fn wake(&self) {
        if let Some(workers) = self.workers.get() {
            workers.wake_workers();
        }
    }

    /// Whether nothing more is to be read.
    pub fn stopping(&self) -> bool {
        self.control.stopped() || self.answered.load(Ordering::Relaxed) || self.is_broken()
    }

    /// Whether nothing more will come, and all that came has been collected.
    pub fn is_over(&self) -> bool {
        (self.is_listed() || self.stopping()) && self.open_files.load(Ordering::Acquire) == 0
    }

    /// The whole run is answered.
    pub fn answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// The kernel has failed; whether this is the first that is heard of it.
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

    /// One more entry is open. Called before the source can be seen to have ended, so that the run is not over in between.
    pub fn opened(&self) {
        self.open_files.fetch_add(1, Ordering::AcqRel);
    }

    /// The end of an entry was collected.
    pub fn closed(&self) {
        if self.open_files.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wake();
        }
    }
}
