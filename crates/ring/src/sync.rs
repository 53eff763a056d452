//! The synchronisation primitives of this crate (the standard library's, or loom's when a model is checked), and
//! operations on several words at once.

use std::ops::Range;

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
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Loads the words in `range`; the other words of the result are zero.
#[inline]
pub(crate) fn load<const N: usize>(words: &[AtomicU32; N], range: Range<usize>) -> [u32; N] {
    let mut values = [0; N];
    for (value, word) in values[range.clone()].iter_mut().zip(&words[range]) {
        *value = word.load(Ordering::Relaxed);
    }
    values
}

/// Stores the words in `range`, and no others.
#[inline]
pub(crate) fn store<const N: usize>(
    words: &[AtomicU32; N],
    values: &[u32; N],
    range: Range<usize>,
) {
    for (word, value) in words[range.clone()].iter().zip(&values[range]) {
        word.store(*value, Ordering::Relaxed);
    }
}
