//! The kernel on NVIDIA's GPUs, from compute capability 7.0 (Volta) on.
//!
//! The driver (`libcuda.so.1`) is looked for at run time, so the same binary runs where there is none. The kernel
//! comes as PTX, compiled from the device source by `scripts/ptx`, and the driver makes machine code of it: nothing
//! else of CUDA need be installed.

mod driver;

use super::{Backend, FeederFactory, KernelConfig};
use crate::device::driver::{choose, Driver};
use crate::device::{host, DeviceInfo, Found};
use crate::{Kernel, StreamJob};
use driver::CudaDriver;
use gristmill_protocol::PipelineError;
use gristmill_ring::{ChunkBuf, ChunkMemory};
use std::sync::Arc;

/// A GPU as the place where kernels run.
pub struct CudaBackend {
    driver: Arc<CudaDriver>,
}

impl CudaBackend {
    /// All GPUs, in the order of their numbers for [`CudaBackend::new`].
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where there is no driver, no GPU, or where the driver fails.
    pub fn devices() -> Result<Vec<Found>, PipelineError> {
        driver::devices()
    }

    /// The GPU with this number; without one the first that can run the kernel.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where there is none, where it is refused, or where its driver fails.
    pub fn new(device: Option<usize>) -> Result<Self, PipelineError> {
        let found = driver::devices()?;
        let number = choose("CUDA", &found, device)?;
        Ok(Self {
            driver: Arc::new(CudaDriver::new(number, found[number].info.clone())?),
        })
    }

    /// What the GPU is.
    pub fn info(&self) -> &DeviceInfo {
        self.driver.info()
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn device(&self) -> Option<DeviceInfo> {
        Some(self.info().clone())
    }

    /// One for each multiprocessor: enough loads in flight to fill the link to the host, and no more that poll over it.
    fn workers(&self, _feeders: usize) -> usize {
        self.driver.units()
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

impl std::fmt::Debug for CudaBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CudaBackend").field(self.info()).finish()
    }
}
