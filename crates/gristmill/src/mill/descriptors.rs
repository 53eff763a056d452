//! How many files a run may have open at once, and when an open that failed for lack of a resource is worth another
//! try.
//!
//! The process's limit of descriptors is shared with rings, the walk, the output and whatever else the process does, so
//! a run takes what is left when it starts, less a reserve. Where an open fails all the same (`EMFILE`, because others
//! took descriptors meanwhile; `ENFILE`, `ENOMEM`, `EAGAIN`, because the system ran out), the file is not at fault: it
//! waits until one of the run's own files is closed. It fails only if the run has no file open that it could close.

use super::status::Status;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

/// Descriptors that are reserved for the walk (which keeps up to nine directories open, or one where the limit is low),
/// for ignore files, and for other threads of the process. If fewer than twice as many are free, half of them are
/// reserved.
const RESERVE: usize = 24;

/// The least number of files that may be open: one that is read while the next is opened.
const AT_LEAST: usize = 2;

/// The largest number of open files, whatever the process's limit: no run uses more.
const AT_MOST: usize = 1 << 20;

/// Whether an error means that a resource ran out, rather than that the file is at fault.
pub(super) fn ran_out(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN)
    )
}

/// The descriptors of one run.
///
/// A feeder that waits for a file to be closed says so (`wanted`) and looks once more; who closes one looks at `wanted`
/// after that. All of this is in one order, so that one of the two sees the other. Whoever closes a file that is waited for
/// wakes the workers by [`Status::wake`], which counts: a feeder that was about to sleep looks again.
#[derive(Debug)]
pub(super) struct Descriptors {
    /// Files that may be open.
    limit: usize,
    /// Rings that may still be opened.
    rings: AtomicUsize,
    /// The number of permits in use.
    taken: AtomicUsize,
    /// Files that are open.
    open: AtomicUsize,
    /// Files that were closed so far.
    closed: AtomicU64,
    /// Whether a feeder waits for a file to be closed.
    wanted: AtomicBool,
    status: Arc<Status>,
}

/// The state before an open, by which its failure is judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    open: usize,
    closed: u64,
}

/// The right to have one file open, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    of: Arc<Descriptors>,
    open: bool,
}

impl Descriptors {
    /// The descriptors that the process's limit leaves. Up to a quarter of them is for the rings of `readers` readers.
    pub fn new(readers: usize, status: Arc<Status>) -> Arc<Self> {
        let soft = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let soft = soft.map_or(usize::MAX, |soft| {
            usize::try_from(soft).unwrap_or(usize::MAX)
        });
        // If /proc is not mounted, assume the three standard descriptors and a few more.
        let used = std::fs::read_dir("/proc/self/fd").map_or(8, Iterator::count);
        let free = soft.saturating_sub(used);
        let left = free - RESERVE.min(free / 2);
        // A ring takes two descriptors: its own, and one that signals its end.
        let rings = (left / 8).clamp(1, readers.max(1));
        Self::with_limits(left.saturating_sub(2 * rings), rings, status)
    }

    /// Enough for a single file, without a ring.
    pub fn of_one_file(status: Arc<Status>) -> Arc<Self> {
        Self::with_limits(AT_LEAST, 0, status)
    }

    fn with_limits(files: usize, rings: usize, status: Arc<Status>) -> Arc<Self> {
        Arc::new(Self {
            limit: files.clamp(AT_LEAST, AT_MOST),
            rings: AtomicUsize::new(rings),
            taken: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            closed: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            status,
        })
    }

    /// Whether one more reader may open a ring.
    pub fn take_ring(&self) -> bool {
        self.rings
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |rings| {
                rings.checked_sub(1)
            })
            .is_ok()
    }

    /// The right to open a file, or `None` while the largest number of files is open; workers are then woken when one
    /// is closed.
    pub fn take(self: &Arc<Self>) -> Option<Permit> {
        let take = || {
            self.taken
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| {
                    (taken < self.limit).then_some(taken + 1)
                })
                .is_ok()
        };
        if !take() {
            self.wanted.store(true, Ordering::SeqCst);
            // A permit may have been given back before `wanted` was set.
            if !take() {
                return None;
            }
        }
        Some(Permit {
            of: Arc::clone(self),
            open: false,
        })
    }

    /// A permit for a file that is open already, whatever the limit.
    pub fn take_anyway(self: &Arc<Self>) -> Permit {
        self.taken.fetch_add(1, Ordering::AcqRel);
        Permit {
            of: Arc::clone(self),
            open: false,
        }
    }

    /// The state before an attempt to open.
    pub fn moment(&self) -> Moment {
        // `closed` is read first, so that a file that is closed in between shows in one of the two counters.
        let closed = self.closed.load(Ordering::SeqCst);
        Moment {
            open: self.open.load(Ordering::SeqCst),
            closed,
        }
    }

    /// Whether an open that began at `then` and failed for lack of a resource is worth another try, because the run had
    /// files open that it can close or has closed since. Workers are woken when one is closed.
    pub fn worth_waiting(&self, then: Moment) -> bool {
        self.wanted.store(true, Ordering::SeqCst);
        then.open > 0 || self.closed.load(Ordering::SeqCst) != then.closed
    }

    /// Whether it is time to retry an open that failed at `then`: either it may succeed now, or waiting will not help.
    pub fn is_time(&self, then: Moment) -> bool {
        let now = self.moment();
        now.closed != then.closed || now.open == 0
    }

    fn wake(&self) {
        if self.wanted.swap(false, Ordering::SeqCst) {
            self.status.wake();
        }
    }
}

impl Permit {
    /// Notes that the file was opened. It counts as open until the permit is dropped.
    pub fn opened(mut self) -> Self {
        if !std::mem::replace(&mut self.open, true) {
            self.of.open.fetch_add(1, Ordering::SeqCst);
        }
        self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(1, Ordering::SeqCst);
        if self.open {
            // This order makes a thread that sees no open file also see that one was closed.
            self.of.closed.fetch_add(1, Ordering::SeqCst);
            self.of.open.fetch_sub(1, Ordering::SeqCst);
        }
        self.of.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mill::control::Control;

    fn descriptors(files: usize) -> Arc<Descriptors> {
        let status = Arc::new(Status::new(Control::default()));
        Descriptors::with_limits(files, 1, status)
    }

    /// A feeder sleeps only while the number of wakes is that from before it looked.
    #[test]
    fn a_file_that_is_closed_between_a_look_and_the_sleep_keeps_the_feeder_awake() {
        let descriptors = descriptors(2);
        let wakes = || descriptors.status.wakes();
        let mut permits: Vec<Permit> = std::iter::from_fn(|| descriptors.take()).collect();
        let looked = wakes();
        assert!(descriptors.take().is_none());
        permits.pop();
        assert_ne!(wakes(), looked);

        // An open that ran out waits for a file that is closed.
        let open = descriptors.take().unwrap().opened();
        let (looked, then) = (wakes(), descriptors.moment());
        assert!(descriptors.worth_waiting(then) && !descriptors.is_time(then));
        drop(open);
        assert!(wakes() != looked && descriptors.is_time(then));

        // Nobody is woken where nobody waits.
        let looked = wakes();
        drop(descriptors.take());
        assert_eq!(wakes(), looked);
    }

    /// Whatever runs first: either the feeder gets a permit, or it is counted that it is woken.
    #[test]
    fn no_permit_is_given_back_unseen() {
        let descriptors = descriptors(2);
        let _other = descriptors.take();
        for _ in 0..1000 {
            let last = descriptors.take().unwrap();
            let looked = descriptors.status.wakes();
            let taken = std::thread::scope(|threads| {
                let taker = threads.spawn(|| descriptors.take());
                drop(last);
                taker.join().unwrap()
            });
            assert!(taken.is_some() || descriptors.status.wakes() != looked);
        }
    }

    #[test]
    fn no_more_permits_are_out_than_the_limit_allows() {
        let descriptors = descriptors(3);
        let mut permits: Vec<Permit> = std::iter::from_fn(|| descriptors.take()).collect();
        assert_eq!(permits.len(), 3);
        permits.pop();
        assert!(descriptors.take().is_some());
    }

    #[test]
    fn an_open_that_ran_out_is_tried_again_when_something_was_closed_or_nothing_is_open() {
        let descriptors = descriptors(8);
        // The run has no open file, so the failure is final.
        assert!(!descriptors.worth_waiting(descriptors.moment()));

        let open = descriptors.take().unwrap().opened();
        let before = descriptors.moment();
        assert!(descriptors.worth_waiting(before) && !descriptors.is_time(before));
        // A failed attempt, this worker's or another's, frees no descriptor.
        drop(descriptors.take());
        assert!(!descriptors.is_time(before));
        drop(open);
        assert!(descriptors.is_time(before));
        // The file was closed between the attempt and the decision.
        assert!(descriptors.worth_waiting(before));
        assert!(!descriptors.worth_waiting(descriptors.moment()));
    }
}
