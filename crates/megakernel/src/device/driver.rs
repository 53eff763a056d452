//! What a back end of a real device has to bring: memory, and a way to launch.

use gristmill_protocol::PipelineError;
use gristmill_ring::HostVisible;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A device that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub info: DeviceInfo,
    /// Whether it is a GPU.
    pub gpu: bool,
    /// Why it cannot run the kernel, if so.
    pub refused: Option<String>,
}

/// The number of the device to use: the wanted one; without one the first that can run the kernel, GPUs first.
///
/// # Errors
/// [`PipelineError::Backend`] where there is no such device, or where it cannot run the kernel.
pub(crate) fn choose(
    api: &str,
    found: &[Found],
    wanted: Option<usize>,
) -> Result<usize, PipelineError> {
    let number = wanted.unwrap_or_else(|| {
        (0..found.len())
            .filter(|number| found[*number].refused.is_none())
            .min_by_key(|number| !found[*number].gpu)
            .unwrap_or(0)
    });
    let Some(chosen) = found.get(number) else {
        return Err(PipelineError::Backend(format!(
            "there is no {api} device {number}: there are {}; see `gristmill doctor`",
            found.len()
        )));
    };
    if let Some(reason) = &chosen.refused {
        return Err(PipelineError::Backend(format!(
            "{api} device {number} ({}) cannot run the kernel: {reason}",
            chosen.info.name
        )));
    }
    Ok(number)
}

/// A number for a device, for [`HostVisible::device`]: another one at each call.
pub(crate) fn next_device_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
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
/// Addresses are the device's; what lies there is what `kernel/worker.h` says. Whoever makes one promises that they
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

    /// Memory of the device that begins with the words `first` and is zeroed behind them; `first` is no longer than it.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where it is not to be had.
    fn state(&self, bytes: usize, first: &[u32]) -> Result<Box<dyn DeviceMemory>, PipelineError>;

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

#[cfg(test)]
mod tests {
    use super::{choose, DeviceInfo, Found};

    fn found(gpu: bool, refused: Option<&str>) -> Found {
        Found {
            info: DeviceInfo {
                backend: "test",
                name: "a device".to_owned(),
                driver: String::new(),
                details: String::new(),
            },
            gpu,
            refused: refused.map(str::to_owned),
        }
    }

    #[test]
    fn the_first_gpu_that_can_is_chosen_and_refusals_say_why() {
        let devices = [
            found(false, None),
            found(true, Some("it is too old")),
            found(true, None),
        ];
        assert_eq!(choose("Test", &devices, None).ok(), Some(2));
        assert_eq!(choose("Test", &devices[..2], None).ok(), Some(0));
        assert_eq!(choose("Test", &devices, Some(0)).ok(), Some(0));
        for (devices, wanted, reason) in [
            (&devices[..], Some(1), "it is too old"),
            (&devices[1..2], None, "it is too old"),
            (&devices[..], Some(3), "there are 3"),
            (&[], None, "there are 0"),
        ] {
            let error = choose("Test", devices, wanted).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
