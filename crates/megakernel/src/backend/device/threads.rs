//! The threads of a kernel's host half: how many of them run, and how each ends.
//!
//! The state that the threads share (the kernel's memory, the driver, and through it the device's context) must be gone
//! when a shutdown returns, since the caller may unload the driver next. So a thread counts as ended only after it has
//! released its share, which the order of the fields of [`Share`] ensures. A shutdown also waits for the thread's own
//! end, where drivers clean up after the thread.

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
    /// The number of threads that hold a share.
    running: usize,
    handles: Vec<JoinHandle<()>>,
}

/// One thread's share of the common state.
struct Share<T> {
    /// Dropped first.
    shared: Arc<T>,
    /// Dropped last. Only then does the thread count as ended.
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
    /// The system's error if it cannot start a thread.
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

    /// Sleeps until the next notification, or for at most `most`. Does not sleep at all if `over` returns true.
    pub fn sleep_unless(&self, most: Duration, over: impl Fn() -> bool) {
        let guard = self.lock();
        if !over() {
            drop(self.changed.wait_timeout(guard, most));
        }
    }

    /// Waits until no thread holds a share any more, or until `give_up` returns true. `give_up` is called, with the
    /// number of threads that still hold one, each time a thread has ended or `step` has passed. Returns how many
    /// threads still hold a share.
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

    /// Waits for the end of the threads that no longer hold a share, so that the driver's own work at the end of a
    /// thread is done. Call it after [`Threads::wait`] has returned that no others are left.
    pub fn join(&self) {
        let handles = std::mem::take(&mut self.lock().handles);
        for handle in handles {
            // Panics were caught and reported while the thread ran.
            drop(handle.join());
        }
    }
}

impl<T> Share<T> {
    /// Takes the whole of `self`, so that all of it is dropped at the end, in the order of its fields. A closure would
    /// capture only the fields that it names, and the others would be dropped separately.
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

    /// Takes some time to drop, as memory of a device does.
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
                    // Avoids the message that `panic!` would print.
                    std::panic::resume_unwind(Box::new("a driver that panics"));
                }
            };
            threads.spawn("holder".into(), &shared, run).unwrap();
            // The thread holds the last share.
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
