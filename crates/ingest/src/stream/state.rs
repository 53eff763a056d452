//! A ring that a stream will use.

use crate::lifeline::Ring;
use crate::setup::{self, SetupFlags};
use gristmill_protocol::PipelineError;
use io_uring::{cqueue, squeue};

/// A ring that was set up but is not in use yet.
pub struct IoUringState {
    pub(super) ring: Ring<squeue::Entry, cqueue::Entry>,
}

impl IoUringState {
    /// Sets up a ring for `entries` reads in flight, rounded up to a power of two, at most 4096.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] if the kernel refuses, with advice on how to change that.
    pub fn new(entries: u32) -> Result<Self, PipelineError> {
        let ring = Ring::new(setup::build(entries, true)?)?;
        Ok(IoUringState { ring })
    }

    /// The setup flags that the kernel accepted.
    pub fn flags(&self) -> SetupFlags {
        self.ring.flags
    }

    /// Reads that can be in flight at once.
    pub fn entries(&self) -> u32 {
        self.ring.io.params().sq_entries()
    }
}

impl std::fmt::Debug for IoUringState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoUringState")
            .field("entries", &self.entries())
            .field("flags", &self.flags())
            .finish()
    }
}
