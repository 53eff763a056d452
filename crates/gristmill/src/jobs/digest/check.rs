//! What a check knows of its list, and counts.

use super::algorithm::{Algorithm, Digest};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::Mutex;

/// What a check knows and counts, shared by its job and its list.
#[derive(Debug, Default)]
pub struct Check {
    /// Digests that were read from the list and whose files are still to come, by the place of their entry in the list's
    /// order. A path may be listed several times, and files are opened in any order.
    pub expected: Mutex<HashMap<u64, (Algorithm, Digest)>>,
    /// Files whose digest was the list's.
    pub matched: AtomicU64,
    /// Files whose digest was not the list's.
    pub differing: AtomicU64,
    /// Listed files that could not be read.
    pub unread: AtomicU64,
    /// Listed files that were passed over because they do not exist.
    pub missing: AtomicU64,
    /// Lines of the list that are no rows.
    pub malformed: AtomicU64,
    /// Whether a digest was taken for BLAKE3's though it may be SHA-256's.
    pub guessed: AtomicBool,
}
