//! The kernel on devices: one back end, generic over the API that reaches the device.
//!
//! - `driver`: the trait that an API implements. [`cuda`] and [`opencl`] implement it. `library` reports why a driver's
//!   library does not load. `loaded`: a device with the kernel loaded.
//! - [`layout`]: the words that host and device share beside the ring. `cargo xtask header` passes the numbers of all
//!   words to the device source; a new word must be listed there.
//! - `memory`: the layout of memory. `tables`, [`job`], [`program`]: images of jobs and programs, as the device reads
//!   them.
//! - `launch`: how a kernel is launched, and its handle. `host`: the state of the running kernel. `launch_group`: the
//!   groups of lanes that one launch runs; `launch_threads`: the threads that launch them. `watchdog` and `vigil`: detect when
//!   signs of life are missing. `threads`: the threads that do all this, and how they end.

pub mod cuda;
mod driver;
mod host;
mod info;
pub mod job;
mod launch;
mod launch_group;
mod launch_threads;
pub mod layout;
mod library;
mod loaded;
mod memory;
pub mod opencl;
pub mod program;
mod tables;
mod threads;
mod vigil;
mod watchdog;
mod wide;

pub(super) use driver::Driver;
pub use info::{DeviceInfo, Found};
pub use vigil::Clock;

use super::{Backend, FeederFactory, KernelConfig};
use crate::{Kernel, KernelError, StreamJob};
use driver::choose;
use gristmill_ring::{lock, Arena, ChunkBuf, ChunkMemory, ChunkPlan};
use loaded::Device;
use std::sync::{Arc, Mutex};

/// The files of the device source, ordered so that each comes after those that it needs.
pub const SOURCE: [&str; 10] = [
    include_str!("../../../../kernel/numbers.h"),
    include_str!("../../../../kernel/dialect.h"),
    include_str!("../../../../kernel/vir0.h"),
    include_str!("../../../../kernel/bytes.h"),
    include_str!("../../../../kernel/scan.h"),
    include_str!("../../../../kernel/blake3.h"),
    include_str!("../../../../kernel/stream.h"),
    include_str!("../../../../kernel/worker.h"),
    include_str!("../../../../kernel/io.h"),
    include_str!("../../../../kernel/megakernel.h"),
];

/// The local memory that a group needs, in bytes: `GM_GROUP_WORDS` of the device source.
const LOCAL_BYTES: usize = 4 * (8192 + 64);

/// Held while devices are listed or opened: PoCL 3.1 returns devices before it has set them up, and it crashes if two
/// threads make it compile at the same time.
static SETTING_UP: Mutex<()> = Mutex::new(());

/// A back end that runs kernels on a device: [`CudaBackend`](cuda::CudaBackend),
/// [`OpenClBackend`](opencl::OpenClBackend).
pub struct DeviceBackend<D: Driver> {
    device: Arc<Device<D>>,
}

impl<D: Driver> DeviceBackend<D> {
    /// Lists all devices, in the order of their numbers for [`DeviceBackend::new`].
    ///
    /// # Errors
    /// [`KernelError::NoDevice`] where there is no driver or no device, [`KernelError::Driver`] where the driver fails.
    pub fn devices() -> Result<Vec<Found>, KernelError> {
        let _setting_up = lock(&SETTING_UP);
        Ok(D::list()?.into_iter().map(|(found, _)| found).collect())
    }

    /// Opens the device with this number. Without a number it opens the first device that can run the kernel, GPUs
    /// first.
    ///
    /// # Errors
    /// The same as [`DeviceBackend::devices`], and [`KernelError::NoSuchDevice`] and [`KernelError::Refused`].
    pub fn new(device: Option<usize>) -> Result<Self, KernelError> {
        Self::open(device, None)
    }

    fn open(number: Option<usize>, shape: Option<D::Shape>) -> Result<Self, KernelError> {
        let _setting_up = lock(&SETTING_UP);
        let mut all = D::list()?;
        let found = all.iter().map(|(found, _)| found);
        let (Found { info, .. }, handle) = all.swap_remove(choose(D::API, found, number)?);
        let driver = D::open(&handle, shape).map_err(|error| error.on(&info))?;
        let device = Device {
            info,
            idle: Mutex::new(Vec::new()),
            driver,
        };
        device.warm_up()?;
        Ok(Self {
            device: Arc::new(device),
        })
    }

    /// Describes the device.
    pub fn info(&self) -> &DeviceInfo {
        &self.device.info
    }
}

impl<D: Driver> Backend for DeviceBackend<D> {
    fn name(&self) -> &'static str {
        D::BACKEND
    }

    fn device(&self) -> Option<DeviceInfo> {
        Some(self.info().clone())
    }

    /// On a GPU, one worker for each compute unit: that keeps enough loads in flight to fill the link to the host,
    /// without adding workers that poll over the same link. On a processor, as many workers as there are feeders.
    fn workers(&self, feeders: usize) -> usize {
        let capacity = self.device.driver.capacity();
        if capacity.concurrent {
            capacity.units as usize
        } else {
            feeders
        }
    }

    fn chunk_memory(
        &self,
        count: u32,
        chunk_bytes: usize,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), KernelError> {
        let plan = ChunkPlan::new(count, chunk_bytes)?;
        let mut arena = Arena::new(self.device.shared(plan.carved_bytes())?);
        Ok(ChunkMemory::carve(plan, &mut arena)?)
    }

    fn launch(
        &self,
        config: KernelConfig,
        jobs: Vec<StreamJob>,
        feeders: Vec<FeederFactory>,
    ) -> Result<Kernel, KernelError> {
        launch::launch(Arc::clone(&self.device), config, &jobs, feeders)
    }
}

impl<D: Driver> std::fmt::Debug for DeviceBackend<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DeviceBackend").field(self.info()).finish()
    }
}
