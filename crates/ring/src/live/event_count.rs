//! An event count, on which threads sleep until another thread has stored something for them.

use crate::sync::{
    fence, lock, AtomicU32, Condvar, Mutex,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

/// An event count. While no thread sleeps, a notification costs only a fence and a load.
///
/// The sleeper stores the number of sleepers, and the notifier stores what is waited for. Then each executes a
/// sequentially consistent fence and loads what the other stored. So at least one of them sees the other's store.
pub(super) struct EventCount {
    sleepers: AtomicU32,
    lock: Mutex<()>,
    condition: Condvar,
}

impl EventCount {
    pub(super) fn new() -> Self {
        Self {
            sleepers: AtomicU32::new(0),
            lock: Mutex::new(()),
            condition: Condvar::new(),
        }
    }

    /// Wakes a sleeper, if there is one, after something was stored for it.
    #[inline]
    pub(super) fn notify_one(&self) {
        self.notify(Condvar::notify_one);
    }

    /// Wakes every sleeper after something was stored for them.
    #[inline]
    pub(super) fn notify_all(&self) {
        self.notify(Condvar::notify_all);
    }

    #[inline]
    fn notify(&self, wake: impl FnOnce(&Condvar)) {
        fence(SeqCst);
        if self.sleepers.load(Relaxed) != 0 {
            // A sleeper holds the lock from before it counts itself until it waits, so it cannot miss this
            // notification.
            drop(lock(&self.lock));
            wake(&self.condition);
        }
    }

    /// Sleeps until notified or timed out, unless `ready` already holds. May return early.
    pub(super) fn wait(&self, timeout: Duration, ready: impl Fn() -> bool) {
        let guard = lock(&self.lock);
        self.sleepers.fetch_add(1, Relaxed);
        fence(SeqCst);
        if !ready() {
            // One wait is enough: an early wake-up only makes the caller look again.
            drop(self.condition.wait_timeout(guard, timeout));
        }
        self.sleepers.fetch_sub(1, Relaxed);
    }
}
