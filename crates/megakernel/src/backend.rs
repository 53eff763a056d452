//! Back ends: the places where a kernel can run.
//!
//! A back end gives the kernel a way to be launched, and memory that both host and device see. The protocol, the
//! opcodes and their results are the same on all back ends.

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
/// On the CPU nothing forces a worker out; the purpose of the lease there is to bound polling: a worker that has spent
/// its idle polls leaves and sleeps until there is work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The number of consecutive polls that may find nothing before the lease ends.
    pub idle_polls: u32,
    /// The number of slots that a worker may run in one lease.
    pub slots: u64,
    /// The most instructions that a program may cost on one chunk, by its static bound. A slot that could cost more
    /// faults with [`fault::OVER_BUDGET`](gristmill_protocol::fault::OVER_BUDGET) before it runs.
    pub instructions: u64,
}

impl Default for Lease {
    /// About 20 microseconds of idle polling, a million slots, and 2^34 instructions for each slot, which is the limit
    /// that the verifier applies by default.
    fn default() -> Self {
        Self {
            idle_polls: 2_000,
            slots: 1_000_000,
            instructions: 1 << 34,
        }
    }
}

/// The configuration with which a kernel is launched.
#[derive(Debug, Clone)]
pub struct KernelConfig {
    /// The number of worker threads, or of groups on a device: at least 1.
    pub workers: usize,
    /// The sizes of the ring.
    pub ring: RingConfig,
    /// The chunks that stream slots name.
    pub chunks: Arc<ChunkMemory>,
    /// The number of words in each slot's record area. HISTOGRAM needs 256.
    pub record_words: u32,
    /// The lease of each worker.
    pub lease: Lease,
}

/// Code that a worker of the CPU back end runs whenever it finds nothing to claim. A reader belongs here: the worker
/// then claims what the reader published while the data is still in its cache.
pub trait Feeder {
    /// Does one piece of useful work, if there is any.
    fn feed(&mut self) -> Feed;

    /// Whether work may have come since [`feed`](Self::feed) was last called. A worker asks this before it sleeps, when it
    /// counts as a sleeper already: what was there before a wake-up that came too early for it is seen here.
    fn has_work(&self) -> bool {
        false
    }
}

/// The outcome of a call to a [`Feeder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// It did something. Look for slots, then call it again.
    Progress,
    /// It had nothing to do. Call it again after a while, or when the ring's workers are woken.
    Idle,
    /// It has already waited by itself. Look for slots, then call it again.
    Blocked,
    /// It had nothing to do and never will again.
    Finished,
}

/// Makes the feeder of the worker with this number, on the thread where the feeder will be used.
pub type FeederFactory = Box<dyn FnOnce(usize) -> Box<dyn Feeder> + Send>;

/// A place where kernels can run.
pub trait Backend: std::fmt::Debug + Send + Sync {
    /// The name by which users choose the back end.
    fn name(&self) -> &'static str;

    /// The device on which its kernels run; `None` where they run on the processor's threads.
    fn device(&self) -> Option<DeviceInfo> {
        None
    }

    /// The number of workers that suits a kernel fed by `feeders` threads.
    fn workers(&self, feeders: usize) -> usize {
        feeders
    }

    /// Allocates `count` chunks of `chunk_bytes` bytes each that this back end's kernels can see, and returns them with
    /// their only tokens.
    ///
    /// # Errors
    /// [`KernelError`] where a size is zero or out of range, or where there is not enough memory.
    fn chunk_memory(
        &self,
        count: u32,
        chunk_bytes: usize,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), KernelError> {
        Ok(ChunkMemory::map(count, chunk_bytes)?)
    }

    /// Launches a kernel. Slots of stream opcodes name `jobs` by index. The `feeders` run on the first workers; there
    /// may be at most one feeder for each worker.
    ///
    /// # Errors
    /// [`KernelError`] where sizes are out of range, where there is too little memory, or where a thread cannot be
    /// started.
    fn launch(
        &self,
        config: KernelConfig,
        jobs: Vec<StreamJob>,
        feeders: Vec<FeederFactory>,
    ) -> Result<Kernel, KernelError>;
}
