//! The groups of lanes that one launch runs.

use std::sync::atomic::{AtomicBool, AtomicU32};

/// The groups of lanes that one launch runs.
pub(super) struct LaunchGroup {
    /// The number of the first worker.
    pub first: u32,
    /// The number of workers.
    pub workers: u32,
    pub launches: AtomicU32,
    /// Whether the kernel is currently launched.
    pub inside: AtomicBool,
}

impl LaunchGroup {
    /// Makes one launch group for each number of workers.
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
