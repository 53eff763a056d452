//! The kernel on OpenCL devices: those of OpenCL 2.0 or later whose memory the host shares word by word.
//!
//! The loader (`libOpenCL.so.1`) is looked for at run time, so the same binary runs where there is none. A ring that lives
//! needs memory that host and device both see while a kernel runs, with atomics: fine-grained buffers of shared virtual
//! memory. Devices without are refused, with the reason, rather than served through copies.

mod driver;

use super::{Backend, FeederFactory, KernelConfig};
use crate::device::driver::{choose, Driver};
use crate::device::{host, DeviceInfo};
use crate::{Kernel, StreamJob};
use driver::OpenClDriver;
use gristmill_protocol::PipelineError;
use gristmill_ring::{ChunkBuf, ChunkMemory};
use std::sync::Arc;

pub use crate::device::Found;

/// What to install where nothing is found.
const INSTALL: &str = "install a driver and its loader (Debian: pocl-opencl-icd for the processor, intel-opencl-icd or \
                       mesa-opencl-icd for GPUs)";

/// How groups of the kernel are shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Lanes of a group, which work on a chunk together: a power of two.
    pub lanes: u32,
    /// Windows of a program that a lane runs side by side.
    pub strip: u32,
}

/// An OpenCL device as the place where kernels run.
pub struct OpenClBackend {
    driver: Arc<OpenClDriver>,
}

impl OpenClBackend {
    /// All devices of all platforms, in the order of their numbers for [`OpenClBackend::new`].
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where there is no loader, no platform or no device.
    pub fn devices() -> Result<Vec<Found>, PipelineError> {
        let devices = driver::devices()?;
        Ok(devices.into_iter().map(|device| device.found).collect())
    }

    /// Drivers that OpenCL's loader is told of and passes over, as they do not load: which, and what is said of each.
    pub fn broken_drivers() -> Vec<String> {
        driver::broken_drivers()
    }

    /// The device with this number; without one the first that can run the kernel, GPUs first.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where there is none, where it is refused, or where its driver fails.
    pub fn new(device: Option<usize>) -> Result<Self, PipelineError> {
        Self::with_shape(device, None)
    }

    /// The same with groups of a shape of one's own.
    ///
    /// # Errors
    /// As for [`OpenClBackend::new`].
    pub fn with_shape(device: Option<usize>, shape: Option<Shape>) -> Result<Self, PipelineError> {
        let candidates = driver::devices()?;
        let found: Vec<Found> = candidates
            .iter()
            .map(|candidate| candidate.found.clone())
            .collect();
        let number = choose("OpenCL", &found, device)?;
        Ok(Self {
            driver: Arc::new(OpenClDriver::new(&candidates[number], shape)?),
        })
    }

    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        self.driver.info()
    }
}

impl Backend for OpenClBackend {
    fn name(&self) -> &'static str {
        "opencl"
    }

    fn device(&self) -> Option<DeviceInfo> {
        Some(self.info().clone())
    }

    fn workers(&self, feeders: usize) -> usize {
        self.driver.workers(feeders)
    }

    fn chunk_memory(
        &self,
        count: u32,
        chunk_bytes: usize,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), PipelineError> {
        host::chunk_memory(&*self.driver, count, chunk_bytes)
    }

    fn launch(
        &self,
        config: KernelConfig,
        jobs: Vec<StreamJob>,
        feeders: Vec<FeederFactory>,
    ) -> Result<Kernel, PipelineError> {
        host::launch(
            Arc::clone(&self.driver) as Arc<dyn Driver>,
            config,
            &jobs,
            feeders,
        )
    }
}

impl std::fmt::Debug for OpenClBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenClBackend").field(self.info()).finish()
    }
}
