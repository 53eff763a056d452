//! Back ends by name.

use super::cpu::CpuBackend;
use super::device::cuda::{Cuda, CudaBackend};
use super::device::opencl::{OpenCl, OpenClBackend};
use super::device::{DeviceBackend, Driver, Found};
use super::Backend;
use crate::KernelError;
use std::path::Path;
use std::sync::Arc;

/// The name of a back end, as users write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendName {
    /// The best back end that can be used: CUDA, else an OpenCL device that is a GPU, else the processor's threads.
    Auto,
    /// Worker threads.
    Cpu,
    /// An OpenCL device.
    OpenCl,
    /// An NVIDIA GPU.
    Cuda,
}

/// A back end, with the reason why it was chosen.
#[derive(Debug, Clone)]
pub struct SelectedBackend {
    /// The back end.
    pub backend: Arc<dyn Backend>,
    /// Why it was chosen.
    pub why: String,
}

/// Opens the back end with this name, on the device with this number, or on the best device if no number is given.
///
/// If a back end that was requested by name cannot be used, that is an error; another one is never substituted
/// silently.
///
/// # Errors
/// [`KernelError::NoDevicesToChoose`] where a device number is given with [`BackendName::Auto`] or
/// [`BackendName::Cpu`]. Otherwise the same as [`DeviceBackend::new`].
pub fn open(name: BackendName, device: Option<usize>) -> Result<SelectedBackend, KernelError> {
    let backend: Arc<dyn Backend> = match name {
        BackendName::Auto | BackendName::Cpu if device.is_some() => {
            return Err(KernelError::NoDevicesToChoose)
        }
        BackendName::Auto => return Ok(automatic()),
        BackendName::Cpu => Arc::new(CpuBackend),
        BackendName::OpenCl => Arc::new(OpenClBackend::new(device)?),
        BackendName::Cuda => Arc::new(CudaBackend::new(device)?),
    };
    Ok(SelectedBackend {
        backend,
        why: "asked for by name".into(),
    })
}

/// Device nodes that GPU drivers create in /dev. Loading a driver takes long, and if none of these nodes exists there
/// is no GPU.
const GPU_NODES: [&str; 4] = ["/dev/nvidiactl", "/dev/dxg", "/dev/dri", "/dev/kfd"];

/// The first GPU of an API that can run the kernel, or the reason why there is none.
fn gpu<D: Driver>() -> Result<Arc<dyn Backend>, String> {
    let found = DeviceBackend::<D>::devices().map_err(|error| error.to_string())?;
    let usable = |device: &Found| device.gpu && device.refused.is_none();
    let refused = || found.iter().find_map(|device| device.refused.clone());
    let number = found.iter().position(usable);
    let number = number.ok_or_else(|| refused().unwrap_or_else(|| "no device is a GPU".into()))?;
    match DeviceBackend::<D>::new(Some(number)) {
        Ok(backend) => Ok(Arc::new(backend)),
        Err(error) => Err(error.to_string()),
    }
}

fn automatic() -> SelectedBackend {
    let selected = |backend, why| SelectedBackend { backend, why };
    if !GPU_NODES.iter().any(|node| Path::new(node).exists()) {
        return selected(Arc::new(CpuBackend), "there is no GPU".into());
    }
    let no_cuda = match gpu::<Cuda>() {
        Ok(cuda) => return selected(cuda, "an NVIDIA GPU".into()),
        Err(why) => why,
    };
    match gpu::<OpenCl>() {
        Ok(opencl) => selected(opencl, "a GPU that OpenCL can use".into()),
        Err(no_opencl) => selected(
            Arc::new(CpuBackend),
            format!("no GPU can be used: {no_cuda}; {no_opencl}"),
        ),
    }
}
