//! The threads of a kernel's host half: how many of them run, and the end of each.
//!
//! What the threads share (the kernel's memory, the driver, through it the device's context) must be gone when a
//! shutdown returns: the caller may unload the driver next. So a thread counts as ended only after it has
//! given its share back, which the order of the fields of [`Share`] decides; and its own end, where drivers tidy up
//! after it, is waited for, too.

use gristmill_ring::lock;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The threads of one kernel.
#[derive(Default)]
pub(super) struct Threads {
    inner: Mutex<Inner>,
    /// Notified when a thread ends, and by [`Threads::notify`].
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Threads that hold a share.
    running: usize,
    handles: Vec<JoinHandle<()>>,
}

/// What a thread holds of what all share.
struct Share<T> {
    /// Dropped first.
    shared: Arc<T>,
    /// Dropped last, and only then does the thread count as ended.
    _counted: Counted,
}

struct Counted(Arc<Threads>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_all();
    }
}

impl Threads {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Starts a thread that holds `shared` until it ends.
    ///
    /// # Errors
    /// The system's, where it starts no thread.
    pub fn spawn<T: Send + Sync + 'static>(
        self: &Arc<Self>,
        name: String,
        shared: &Arc<T>,
        run: impl FnOnce(&Arc<T>) + Send + 'static,
    ) -> std::io::Result<()> {
        self.lock().running += 1;
        let share = Share {
            shared: Arc::clone(shared),
            _counted: Counted(Arc::clone(self)),
        };
        let handle = std::thread::Builder::new()
            .name(name)
            .spawn(move || share.hold(run))?;
        self.lock().handles.push(handle);
        Ok(())
    }

    /// Wakes the threads that sleep in [`Threads::sleep_unless`].
    pub fn notify(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Sleeps until the next notification, or for `most`; not at all where `over` says so.
    pub fn sleep_unless(&self, most: Duration, over: impl Fn() -> bool) {
        let guard = self.lock();
        if !over() {
            drop(self.changed.wait_timeout(guard, most));
        }
    }

    /// Waits until no thread holds a share any more, or until `give_up` says so, which is asked with the number of those
    /// that do each time that one has ended or `step` has passed; says how many still do.
    pub fn wait(&self, step: Duration, mut give_up: impl FnMut(usize) -> bool) -> usize {
        loop {
            let inner = self.lock();
            if inner.running == 0 {
                return 0;
            }
            let waited = self.changed.wait_timeout(inner, step);
            let running = waited.unwrap_or_else(PoisonError::into_inner).0.running;
            if running > 0 && give_up(running) {
                return running;
            }
        }
    }

    /// Waits for the end of threads that hold no share any more, after [`Threads::wait`] has said that there are no
    /// others: for what a driver does when a thread of it ends.
    pub fn join(&self) {
        let handles = std::mem::take(&mut self.lock().handles);
        for handle in handles {
            // Panics were caught, and told, while the thread ran.
            drop(handle.join());
        }
    }
}

impl<T> Share<T> {
    /// Takes all of itself, so that it is dropped at the end in the order of its fields: a closure would take what it
    /// names of it, and leave the rest to be dropped apart.
    fn hold(self, run: impl FnOnce(&Arc<T>)) {
        run(&self.shared);
    }
}

#[cfg(test)]
mod tests {
    use super::Threads;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    /// Takes its time to go, as memory of a device does.
    struct Slow(Arc<AtomicBool>);

    impl Drop for Slow {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_millis(50));
            self.0.store(true, Ordering::Release);
        }
    }

    const STEP: Duration = Duration::from_millis(1);

    #[test]
    fn a_thread_that_counts_as_ended_holds_nothing() {
        for ends in ["after its work", "in a panic"] {
            let threads = Arc::new(Threads::default());
            let gone = Arc::new(AtomicBool::new(false));
            let shared = Arc::new(Slow(Arc::clone(&gone)));
            let gate = Arc::new(Barrier::new(2));
            let (waits, panics) = (Arc::clone(&gate), ends == "in a panic");
            let run = move |_: &Arc<Slow>| {
                waits.wait();
                if panics {
                    // Without the message that a panic of its own would print.
                    std::panic::resume_unwind(Box::new("a driver that panics"));
                }
            };
            threads.spawn("holder".into(), &shared, run).unwrap();
            // The thread has the last share of it.
            drop(shared);
            gate.wait();
            assert_eq!(threads.wait(STEP, |_| false), 0);
            assert!(gone.load(Ordering::Acquire), "{ends}");
            threads.join();
        }
    }

    #[test]
    fn a_thread_that_runs_on_is_counted_and_not_waited_for() {
        let threads = Arc::new(Threads::default());
        let shared = Arc::new(());
        let gate = Arc::new(Barrier::new(2));
        let waits = Arc::clone(&gate);
        let run = move |_: &Arc<()>| {
            waits.wait();
        };
        threads.spawn("holder".into(), &shared, run).unwrap();
        assert_eq!(threads.wait(STEP, |_| true), 1);
        gate.wait();
        assert_eq!(threads.wait(STEP, |_| false), 0);
        assert_eq!(Arc::strong_count(&shared), 1);
        threads.join();
    }
}
