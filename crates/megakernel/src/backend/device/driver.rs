//! What an API that reaches devices has to bring: a list of devices, memory, the kernel, and launches.
//!
//! An implementation of [`Driver`] makes the API's calls, and nothing else; [`DeviceBackend`](super::DeviceBackend), which
//! is generic over it, does the rest once for all APIs.

use crate::KernelError;
use gristmill_ring::{HostVisible, PAGE_BYTES};
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
/// [`KernelError::NoSuchDevice`] and [`KernelError::Refused`].
pub fn choose<'a>(
    api: &'static str,
    found: impl Iterator<Item = &'a Found> + Clone,
    wanted: Option<usize>,
) -> Result<usize, KernelError> {
    let number = wanted.unwrap_or_else(|| {
        let usable = found.clone().enumerate();
        usable
            .filter(|(_, found)| found.refused.is_none())
            .min_by_key(|(_, found)| !found.gpu)
            .map_or(0, |(number, _)| number)
    });
    let Some(chosen) = found.clone().nth(number) else {
        return Err(KernelError::NoSuchDevice {
            api,
            number,
            count: found.count(),
        });
    };
    if let Some(why) = &chosen.refused {
        return Err(KernelError::Refused {
            api,
            number,
            device: chosen.info.name.clone(),
            why: why.clone(),
        });
    }
    Ok(number)
}

/// A number for a device, for [`HostVisible::device`]: another one at each call.
pub fn next_device_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How much to allocate for `bytes` bytes that begin at a page; `None` where no allocation can be as large. Drivers cut small
/// blocks out of larger ones and refuse to align them to pages, so it is a page more, and the first bytes are left unused.
pub fn with_a_page(bytes: usize) -> Option<usize> {
    let total = bytes.checked_add(PAGE_BYTES)?;
    isize::try_from(total).is_ok().then_some(total)
}

/// Memory of a device, which the host writes through its driver.
pub trait DeviceMemory: Send + Sync {
    /// The device's address of the first word, a multiple of 128.
    fn address(&self) -> u64;

    /// Stores words from word number `at` on. Kernels that are launched later see them. Of memory for tables, running ones
    /// see them, too, once they have seen, with acquire order, a word that the host stored afterwards with release order.
    ///
    /// # Errors
    /// [`KernelError::Driver`] where the device refuses, or for words beyond the end.
    fn write(&self, at: usize, words: &[u32]) -> Result<(), KernelError>;
}

/// What memory of a device is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The kernel's own state: read and written by the device alone once the kernel runs.
    State,
    /// Images of jobs and programs: read by the device, and written by the host while kernels run.
    Tables,
}

/// One launch of the kernel: `groups` workers, the first of them with number `first`.
///
/// What lies at the addresses is what `kernel/worker.h` says. Who makes a launch promises that they are those of memory
/// that the driver gave, laid out as [`layout`](super::layout) says and alive until the launch is over: only `host.rs` makes
/// any, and the launch with number 0 in `device.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// The device's addresses of shared memory, the chunks' bytes, the chunks' states, the state, and the tables.
    pub addresses: [u64; 5],
    /// The first worker.
    pub first: u32,
    /// Workers.
    pub groups: u32,
    /// The launch's number, from 1 on. A launch with number 0 leaves at once and touches no memory.
    pub number: u32,
}

/// How many groups of the kernel a device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Compute units.
    pub units: u32,
    /// Groups that run side by side.
    pub groups: u32,
    /// Whether the groups of one launch run at the same time. Where they may run one after the other, as on a processor,
    /// each group needs a launch of its own; launches run beside each other everywhere.
    pub concurrent: bool,
}

/// An API that reaches devices, and one device with the kernel loaded.
///
/// Methods fail with [`KernelError::Driver`] and [`KernelError::OutOfMemory`], which do not name the device: see [`failed`].
/// What is dropped last is what the rest lies in: queues, memory and the kernel hold the device's context.
pub trait Driver: Send + Sync + Sized + 'static {
    /// The API's name.
    const API: &'static str;
    /// The name that users choose the back end by.
    const BACKEND: &'static str;
    /// What to install where there is no device.
    const INSTALL: &'static str;
    /// What the API calls a device.
    type Handle;
    /// How groups of the kernel are shaped, where that can be chosen.
    type Shape;
    /// What one launch needs for itself.
    type Queue: Send;

    /// All devices; where there is none, [`missing`]. The caller lets no other thread list or open devices meanwhile.
    fn list() -> Result<Vec<(Found, Self::Handle)>, KernelError>;

    /// Loads the kernel on a device that was not refused. The caller lets no other thread list or open devices meanwhile.
    fn open(device: &Self::Handle, shape: Option<Self::Shape>) -> Result<Self, KernelError>;

    /// How many groups run on the device.
    fn capacity(&self) -> Capacity;

    /// Memory that host and device see at the same address, zeroed and aligned to [`PAGE_BYTES`].
    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, KernelError>;

    /// Memory of the device for `words` words, of which each must be written before it is read.
    fn memory(&self, words: usize, purpose: Purpose) -> Result<Box<dyn DeviceMemory>, KernelError>;

    /// What one launch needs for itself.
    fn queue(&self) -> Result<Self::Queue, KernelError>;

    /// Launches the kernel, waits until all its groups have left, and gives back the queue for the next launch. After a
    /// failure the driver decides what becomes of the queue: what a lost device may still use cannot be released everywhere.
    fn launch(&self, queue: Self::Queue, launch: &Launch) -> Result<Self::Queue, KernelError>;
}

/// A call of the driver failed, with the driver's error number where it gave one.
pub fn failed<D: Driver>(
    call: &'static str,
    code: Option<i32>,
    cause: impl std::fmt::Display,
) -> KernelError {
    KernelError::Driver {
        api: D::API,
        call,
        device: None,
        code,
        cause: cause.to_string(),
    }
}

/// A call of the driver found no memory.
pub fn no_room<D: Driver>(call: &'static str, bytes: usize) -> KernelError {
    KernelError::OutOfMemory {
        api: D::API,
        call,
        device: None,
        bytes,
    }
}

/// There is no device.
pub fn missing<D: Driver>(why: impl Into<String>) -> KernelError {
    KernelError::NoDevice {
        api: D::API,
        why: why.into(),
        fix: D::INSTALL,
    }
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
        assert_eq!(choose("Test", devices.iter(), None).ok(), Some(2));
        assert_eq!(choose("Test", devices[..2].iter(), None).ok(), Some(0));
        assert_eq!(choose("Test", devices.iter(), Some(0)).ok(), Some(0));
        for (devices, wanted, reason) in [
            (&devices[..], Some(1), "it is too old"),
            (&devices[1..2], None, "it is too old"),
            (&devices[..], Some(3), "there are 3"),
            (&[], None, "there are 0"),
        ] {
            let error = choose("Test", devices.iter(), wanted).expect_err(reason);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
