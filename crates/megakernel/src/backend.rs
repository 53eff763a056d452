//! Where a kernel runs.
//!
//! A back end gives the kernel memory that host and device both see, and a way to launch; the protocol, the opcodes and
//! their results are the same on all of them.

pub mod cpu;
pub mod device;

mod choice;

pub use choice::{open, BackendName, SelectedBackend};

use crate::{Kernel, KernelError, StreamJob};
use device::DeviceInfo;
use gristmill_ring::{ChunkBuf, ChunkMemory, RingConfig};
use std::sync::Arc;

/// How long a worker stays in the kernel before it leaves, with its state in memory, to be launched again.
///
/// On the CPU nothing forces a worker out; the lease is what bounds its polling there: a worker whose idle polls are
/// spent leaves and sleeps until there is work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Polls in a row that find nothing.
    pub idle_polls: u32,
    /// Slots run.
    pub slots: u64,
    /// Instructions that a program may cost on one chunk, by its static bound: a slot that could cost more faults
    /// with [`fault::OVER_BUDGET`](gristmill_protocol::fault::OVER_BUDGET) before it runs.
    pub instructions: u64,
}

impl Default for Lease {
    /// About 20 microseconds of idle polling; a million slots; 2^34 instructions for a slot, which is what the verifier
    /// accepts by default.
    fn default() -> Self {
        Self {
            idle_polls: 2_000,
            slots: 1_000_000,
            instructions: 1 << 34,
        }
    }
}

/// What a kernel is launched with.
#[derive(Debug, Clone)]
pub struct KernelConfig {
    /// Worker threads, or groups: at least 1.
    pub workers: usize,
    /// Sizes of the ring.
    pub ring: RingConfig,
    /// The arena that stream slots name chunks of.
    pub chunks: Arc<ChunkMemory>,
    /// Words of each slot's record area. HISTOGRAM needs 256.
    pub record_words: u32,
    /// The lease of each worker.
    pub lease: Lease,
}

/// Runs on a worker of the CPU back end whenever it finds nothing to claim: the place for a reader that publishes what the
/// worker then claims, while it is in its cache.
pub trait Feeder {
    /// Does one useful thing, if there is any.
    fn feed(&mut self) -> Feed;
}

/// What a [`Feeder`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Something: look for slots, and call again.
    Progress,
    /// Nothing now. Call again after a while, or when the ring's workers are woken.
    Idle,
    /// It has waited itself: look for slots, and call again.
    Blocked,
    /// Nothing, and never again.
    Finished,
}

/// Makes a feeder on the thread of the worker with this number, where it will be used.
pub type FeederFactory = Box<dyn FnOnce(usize) -> Box<dyn Feeder> + Send>;

/// A place where kernels run.
pub trait Backend: std::fmt::Debug + Send + Sync {
    /// The name that users choose it by.
    fn name(&self) -> &'static str;

    /// The device that its kernels run on, where that is not the processor's threads.
    fn device(&self) -> Option<DeviceInfo> {
        None
    }

    /// How many workers suit a kernel that `feeders` threads feed.
    fn workers(&self, feeders: usize) -> usize {
        feeders
    }

    /// Chunk memory that this back end's kernels see, with its chunks' only tokens: `count` chunks of `chunk_bytes`.
    ///
    /// # Errors
    /// [`KernelError`] for a size of zero or out of range, or where there is not enough memory.
    fn chunk_memory(
        &self,
        count: u32,
        chunk_bytes: usize,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), KernelError> {
        Ok(ChunkMemory::map(count, chunk_bytes)?)
    }

    /// Launches a kernel. Slots of stream opcodes name `jobs` by index. `feeders` run on the first workers; there are at
    /// most as many.
    ///
    /// # Errors
    /// [`KernelError`] where sizes are out of range, or where memory or threads are missing.
    fn launch(
        &self,
        config: KernelConfig,
        jobs: Vec<StreamJob>,
        feeders: Vec<FeederFactory>,
    ) -> Result<Kernel, KernelError>;
}
