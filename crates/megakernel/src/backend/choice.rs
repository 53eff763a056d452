//! Back ends by name.

use super::cpu::CpuBackend;
use super::device::cuda::{Cuda, CudaBackend};
use super::device::opencl::{OpenCl, OpenClBackend};
use super::device::{DeviceBackend, Driver, Found};
use super::Backend;
use crate::KernelError;
use std::path::Path;
use std::sync::Arc;

/// A back end, as users name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendName {
    /// The best there is: CUDA, else an OpenCL device that is a GPU, else the processor's threads.
    Auto,
    /// Worker threads.
    Cpu,
    /// An OpenCL device.
    OpenCl,
    /// An NVIDIA GPU.
    Cuda,
}

/// A back end, and why it was chosen.
#[derive(Debug, Clone)]
pub struct SelectedBackend {
    /// The back end.
    pub backend: Arc<dyn Backend>,
    /// Why it was chosen.
    pub why: String,
}

/// Opens the back end of this name: on the device of this number, or on the best one.
///
/// A back end that was asked for by name and is not there is an error, never silently another one.
///
/// # Errors
/// [`KernelError::NoDevice`] where it is not there, [`KernelError::NoSuchDevice`], [`KernelError::Refused`], and
/// [`KernelError::NoDevicesToChoose`] for a device number where there are no devices to choose from; [`KernelError::Driver`].
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

/// What the driver of a GPU leaves in /dev. Drivers take long to load, and where none of these is there is no GPU.
const GPU_NODES: [&str; 4] = ["/dev/nvidiactl", "/dev/dxg", "/dev/dri", "/dev/kfd"];

/// The first GPU of an API that can run the kernel, or why there is none.
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
