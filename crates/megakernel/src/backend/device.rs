//! The kernel on devices: one back end, generic over the API that reaches the device.
//!
//! - `driver`: the trait that an API implements. [`cuda`] and [`opencl`] implement it. `library` reports why a driver's
//!   library does not load.
//! - [`layout`]: the words that host and device share beside the ring. `cargo xtask header` passes the numbers of all
//!   words to the device source; a new word must be listed there.
//! - `memory`: the layout of memory. `tables`, [`job`], [`program`]: images of jobs and programs, as the device reads
//!   them.
//! - `host`: the state of the running kernel behind its handle. `group`: launches. `watchdog` and `vigil`: detect when
//!   signs of life are missing. `threads`: the threads that do all this, and how they end.

pub mod cuda;
mod driver;
mod group;
mod host;
pub mod job;
pub mod layout;
mod library;
mod memory;
pub mod opencl;
pub mod program;
mod tables;
mod threads;
mod vigil;
mod watchdog;
mod wide;

pub(super) use driver::Driver;
pub use driver::{DeviceInfo, Found};
pub use vigil::Clock;

use super::{Backend, FeederFactory, KernelConfig};
use crate::{Kernel, KernelError, StreamJob};
use driver::{choose, DeviceMemory, Launch, Purpose};
use gristmill_ring::{lock, Arena, ChunkBuf, ChunkMemory, ChunkPlan, HostVisible};
use layout::state::MAX_WORKERS;
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

/// The number of words that one copy sets to zero.
const ZEROED_WORDS: usize = 1 << 18;

/// Held while devices are listed or opened: PoCL 3.1 returns devices before it has set them up, and it crashes if two
/// threads make it compile at the same time.
static SETTING_UP: Mutex<()> = Mutex::new(());

/// A back end that runs kernels on a device: [`CudaBackend`](cuda::CudaBackend),
/// [`OpenClBackend`](opencl::OpenClBackend).
pub struct DeviceBackend<D: Driver> {
    device: Arc<Device<D>>,
}

/// A device with the kernel loaded.
struct Device<D: Driver> {
    info: DeviceInfo,
    /// Queues that no launch is using. This field precedes the driver because the queues live in the driver's context.
    idle: Mutex<Vec<D::Queue>>,
    driver: D,
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
        host::launch(Arc::clone(&self.device), config, &jobs, feeders)
    }
}

impl<D: Driver> std::fmt::Debug for DeviceBackend<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DeviceBackend").field(self.info()).finish()
    }
}

impl<D: Driver> Device<D> {
    /// Runs the kernel once before its first use: a driver may compile or load a kernel at its first launch, and wait
    /// for running kernels before it does so.
    fn warm_up(&self) -> Result<(), KernelError> {
        // Some drivers check the addresses even of a launch that touches no memory.
        let memory = self.state(1, &[])?;
        self.launch(&Launch {
            addresses: [memory.address(); 5],
            first: 0,
            groups: 1,
            number: 0,
        })
    }

    /// How many groups each launch has if `workers` workers are wanted. Together they are at most as many as the device
    /// has room for.
    ///
    /// # Errors
    /// [`KernelError::Workers`] where that number is 0, or more than the kernel supports.
    fn groups(&self, workers: usize) -> Result<Vec<u32>, KernelError> {
        let capacity = self.driver.capacity();
        let wanted = u32::try_from(workers).unwrap_or(u32::MAX);
        let workers = capacity.groups.min(wanted);
        if workers == 0 || workers as usize > MAX_WORKERS {
            return Err(KernelError::Workers {
                device: self.info.name.clone(),
                workers,
                most: MAX_WORKERS,
            });
        }
        Ok(if capacity.concurrent {
            vec![workers]
        } else {
            vec![1; workers as usize]
        })
    }

    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, KernelError> {
        let shared = self.driver.shared(bytes);
        shared.map_err(|error| error.on(&self.info))
    }

    /// Allocates memory for tables of `words` words, and writes `first` to its beginning.
    fn tables(&self, words: usize, first: &[u32]) -> Result<Box<dyn DeviceMemory>, KernelError> {
        let tables = self.driver.memory(words, Purpose::Tables);
        tables
            .and_then(|tables| tables.write(0, first).map(|()| tables))
            .map_err(|error| error.on(&self.info))
    }

    /// Allocates memory for a state of `words` words, writes `first` to its beginning, and sets the rest to zero.
    fn state(&self, words: usize, first: &[u32]) -> Result<Box<dyn DeviceMemory>, KernelError> {
        let filled = |state: Box<dyn DeviceMemory>| {
            state.write(0, first)?;
            let zeros = vec![0; words.min(ZEROED_WORDS)];
            for at in (first.len()..words).step_by(ZEROED_WORDS) {
                state.write(at, &zeros[..zeros.len().min(words - at)])?;
            }
            Ok(state)
        };
        let state = self.driver.memory(words, Purpose::State);
        state.and_then(filled).map_err(|error| error.on(&self.info))
    }

    /// Launches the kernel and waits until all its groups have left.
    fn launch(&self, launch: &Launch) -> Result<(), KernelError> {
        let idle = || lock(&self.idle);
        let queue = idle().pop();
        let queue = queue.map_or_else(|| self.driver.queue(), Ok);
        let launched = queue.and_then(|queue| self.driver.launch(queue, launch));
        idle().push(launched.map_err(|error| error.on(&self.info))?);
        Ok(())
    }
}
