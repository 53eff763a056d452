//! What a back end of a real device has to bring: memory, and a way to launch.

use gristmill_protocol::PipelineError;
use gristmill_ring::HostVisible;

/// What a device is and can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The back end that drives it.
    pub backend: &'static str,
    /// Its name, as the driver tells it.
    pub name: String,
    /// The driver, with its version.
    pub driver: String,
    /// What it has: compute units, memory, lanes.
    pub details: String,
}

/// Memory that only the device reads and writes, from an address of its own.
pub(crate) trait DeviceMemory: Send + Sync {
    /// The device's address of the first byte, a multiple of 128.
    fn address(&self) -> u64;
}

/// Memory that the host fills and the device only reads: images of jobs and programs.
pub(crate) trait TableMemory: Send + Sync {
    /// The device's address of the first word, a multiple of 128.
    fn address(&self) -> u64;

    /// Stores words from word number `at` on. Kernels that are launched later see them, and so do running ones once
    /// they have seen, with acquire order, a word that the host stored afterwards with release order.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the device refuses, or for words beyond the end.
    fn write(&self, at: usize, words: &[u32]) -> Result<(), PipelineError>;
}

/// One launch of the kernel: `groups` workers, the first of them with number `first`.
///
/// Addresses are the device's; what lies there is what `kernel/megakernel.h` says. Whoever makes one promises that they
/// are those of memory that the driver gave, laid out as [`layout`](super::layout) says and alive until the launch is
/// over: only `host` makes any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Launch {
    /// Of shared memory.
    pub shared: u64,
    /// Of the chunks' bytes.
    pub chunks: u64,
    /// Of the chunks' states.
    pub chunk_states: u64,
    /// Of device memory.
    pub state: u64,
    /// Of the tables.
    pub tables: u64,
    /// The first worker.
    pub first: u32,
    /// Workers.
    pub groups: u32,
    /// The launch's number, from 1 on. A launch with number 0 leaves at once and touches no memory.
    pub number: u32,
}

/// A device.
pub(crate) trait Driver: Send + Sync {
    /// What it is.
    fn info(&self) -> &DeviceInfo;

    /// How many workers it runs where `wanted` are asked for, as the groups of each launch. Groups of one launch run at
    /// the same time; launches run beside each other.
    fn crews(&self, wanted: usize) -> Vec<u32>;

    /// Memory that host and device see at the same address, zeroed and aligned to a page of 4 KiB.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where it is not to be had.
    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, PipelineError>;

    /// Zeroed memory of the device.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where it is not to be had.
    fn state(&self, bytes: usize) -> Result<Box<dyn DeviceMemory>, PipelineError>;

    /// Memory for `words` words of tables.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where it is not to be had.
    fn tables(&self, words: usize) -> Result<Box<dyn TableMemory>, PipelineError>;

    /// Launches the kernel and waits until all its groups have left.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the launch fails or the device is lost.
    fn launch(&self, launch: &Launch) -> Result<(), PipelineError>;
}
