//! What the back end needs from an API that reaches devices: a list of devices, memory, the kernel, and launches.
//!
//! An implementation of [`Driver`] only makes the API's calls. [`DeviceBackend`](super::DeviceBackend), which is
//! generic over it, does everything else once for all APIs.

use super::info::Found;
use crate::KernelError;
use gristmill_ring::{HostVisible, PAGE_BYTES};
use std::sync::atomic::{AtomicU64, Ordering};

/// Chooses the device to use: the one with the wanted number, or without a number the first that can run the kernel,
/// GPUs first.
///
/// # Errors
/// [`KernelError::NoSuchDevice`] if there is no device with this number, and [`KernelError::Refused`] if the device
/// cannot run the kernel.
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

/// Returns a number that identifies a device for [`HostVisible::device`]. Each call returns a different one.
pub fn next_device_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How many bytes to allocate for `bytes` bytes that begin at a page boundary; `None` where no allocation can be that
/// large. Drivers cut small blocks out of larger ones and refuse to align them to pages, so the result includes one
/// extra page, and the bytes before the boundary stay unused.
pub fn with_a_page(bytes: usize) -> Option<usize> {
    let total = bytes.checked_add(PAGE_BYTES)?;
    isize::try_from(total).is_ok().then_some(total)
}

/// Memory of a device that the host writes through the driver.
pub trait DeviceMemory: Send + Sync {
    /// The device's address of the first word. It is a multiple of 128.
    fn address(&self) -> u64;

    /// Stores words, beginning at word number `at`. Kernels that are launched later see them. If the memory is for
    /// tables, a running kernel sees them too, once it has seen, with acquire order, a word that the host stored
    /// afterwards with release order.
    ///
    /// # Errors
    /// [`KernelError::Driver`] where the device refuses the write, or where the words go beyond the end.
    fn write(&self, at: usize, words: &[u32]) -> Result<(), KernelError>;
}

/// The purpose of device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The kernel's own state. Once the kernel runs, only the device reads and writes it.
    State,
    /// Images of jobs and programs. The device reads them, and the host writes them while kernels run.
    Tables,
}

/// One launch of the kernel: `groups` workers, numbered from `first` on.
///
/// `kernel/worker.h` says what lies at the addresses. The code that makes a launch promises that they belong to memory
/// that the driver gave, laid out as [`layout`](super::layout) says, and alive until the launch is over. Only `host.rs`
/// makes launches, and `device.rs` the one with number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// The device's addresses of shared memory, the chunks' bytes, the chunks' states, the state, and the tables.
    pub addresses: [u64; 5],
    /// The number of the first worker.
    pub first: u32,
    /// The number of workers.
    pub groups: u32,
    /// The launch's number, counted from 1. A launch with number 0 leaves at once and touches no memory.
    pub number: u32,
}

/// How many groups of the kernel a device can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// The number of compute units.
    pub units: u32,
    /// The number of groups that can run side by side.
    pub groups: u32,
    /// Whether the groups of one launch run at the same time. Where they may run one after the other, as on a
    /// processor, each group needs its own launch. Different launches run at the same time on every device.
    pub concurrent: bool,
}

/// An API that reaches devices, with one device on which the kernel is loaded.
///
/// Methods fail with [`KernelError::Driver`] and [`KernelError::OutOfMemory`], which do not name the device: see
/// [`failed`]. Queues, memory and the kernel hold the device's context, so the context is dropped last.
pub trait Driver: Send + Sync + Sized + 'static {
    /// The API's name.
    const API: &'static str;
    /// The name by which users choose the back end.
    const BACKEND: &'static str;
    /// The advice on what to install where there is no device.
    const INSTALL: &'static str;
    /// The API's representation of a device.
    type Handle;
    /// The shape of the kernel's groups, where it can be chosen.
    type Shape;
    /// The resources that one launch needs for itself.
    type Queue: Send;

    /// Lists all devices. Where there is none, fails with [`missing`]. The caller makes sure that no other thread lists
    /// or opens devices meanwhile.
    fn list() -> Result<Vec<(Found, Self::Handle)>, KernelError>;

    /// Loads the kernel on a device that was not refused. The caller makes sure that no other thread lists or opens
    /// devices meanwhile.
    fn open(device: &Self::Handle, shape: Option<Self::Shape>) -> Result<Self, KernelError>;

    /// How many groups the device can run.
    fn capacity(&self) -> Capacity;

    /// Allocates memory that host and device see at the same address, zeroed and aligned to [`PAGE_BYTES`].
    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, KernelError>;

    /// Allocates memory of the device for `words` words. Each word must be written before it is read.
    fn memory(&self, words: usize, purpose: Purpose) -> Result<Box<dyn DeviceMemory>, KernelError>;

    /// Makes the resources that one launch needs for itself.
    fn queue(&self) -> Result<Self::Queue, KernelError>;

    /// Launches the kernel, waits until all its groups have left, and returns the queue for the next launch. After a
    /// failure the driver decides what happens to the queue, since some APIs cannot release resources that a lost
    /// device may still use.
    fn launch(&self, queue: Self::Queue, launch: &Launch) -> Result<Self::Queue, KernelError>;
}

/// The error of a failed driver call, with the driver's error number if there was one.
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

/// The error of a driver call that found too little memory.
pub fn no_room<D: Driver>(call: &'static str, bytes: usize) -> KernelError {
    KernelError::OutOfMemory {
        api: D::API,
        call,
        device: None,
        bytes,
    }
}

/// The error for a missing device.
pub fn missing<D: Driver>(why: impl Into<String>) -> KernelError {
    KernelError::NoDevice {
        api: D::API,
        why: why.into(),
        fix: D::INSTALL,
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use crate::backend::device::info::{DeviceInfo, Found};

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
