//! Errors about files, kept for what is written after a run.

use gristmill::mill::{FileError, FileErrorKind};
use gristmill::ring::lock;
use std::sync::{Arc, Mutex};

/// Errors about files, as they come, and how many there were for which there was no room.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    errors: Arc<Mutex<(Vec<FileError>, u64)>>,
    /// Whether only those are collected that are about what could not be listed.
    of_listings: bool,
}

impl Collected {
    /// The most errors that are kept.
    const MOST: usize = 10_000;

    /// Collects errors about what could not be listed alone.
    pub fn of_listings() -> Self {
        Self {
            of_listings: true,
            ..Self::default()
        }
    }

    /// Adds one.
    pub fn add(&self, error: &FileError) {
        if self.of_listings && !matches!(error.kind, FileErrorKind::Listing { .. }) {
            return;
        }
        let mut all = lock(&self.errors);
        if all.0.len() < Self::MOST {
            all.0.push(error.clone());
        } else {
            all.1 += 1;
        }
    }

    /// The errors that were kept, and the number of the others.
    pub fn take(&self) -> (Vec<FileError>, u64) {
        std::mem::take(&mut *lock(&self.errors))
    }
}
