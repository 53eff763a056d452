//! The synchronisation primitives of this crate: the standard library's, or loom's when a model is checked.

#[cfg(loom)]
pub(crate) use loom::sync::{
    atomic::{fence, AtomicU32, Ordering},
    Arc, Condvar, Mutex, MutexGuard,
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    atomic::{fence, AtomicU32, Ordering},
    Arc, Condvar, Mutex, MutexGuard,
};

/// Locks a mutex whose data stays valid whatever a panicking holder did to it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
