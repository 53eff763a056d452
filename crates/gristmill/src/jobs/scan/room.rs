//! The memory for files that are searched as a whole.

use gristmill_patterns::LineMatcher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

/// What files that are searched as a whole share.
pub(super) struct Whole {
    pub matcher: LineMatcher,
    /// The most bytes that are kept, of one file and of all together.
    pub most: u64,
    kept: AtomicU64,
    /// Held while a file is in memory that found no room.
    pub one_more: Mutex<()>,
}

impl Whole {
    pub fn new(matcher: LineMatcher, most: u64) -> Self {
        Self {
            matcher,
            most,
            kept: AtomicU64::new(0),
            one_more: Mutex::new(()),
        }
    }

    /// Takes room for so many bytes, if it is there.
    pub fn take(&self, bytes: u64) -> bool {
        let taken = self
            .kept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| {
                kept.checked_add(bytes).filter(|&kept| kept <= self.most)
            });
        taken.is_ok()
    }

    /// Gives room back that was taken.
    pub fn give_back(&self, bytes: u64) {
        self.kept.fetch_sub(bytes, Ordering::Relaxed);
    }
}
