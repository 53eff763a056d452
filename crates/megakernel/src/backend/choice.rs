//! Back ends by name.

use super::cpu::CpuBackend;
use super::device::cuda::CudaBackend;
use super::device::opencl::OpenClBackend;
use super::device::Found;
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
/// [`KernelError::NotOfDevices`] for a device number where there are no devices to choose from; [`KernelError::Driver`].
pub fn open(name: BackendName, device: Option<usize>) -> Result<SelectedBackend, KernelError> {
    let without_devices = |backend| match device {
        Some(_) => Err(KernelError::NotOfDevices { backend }),
        None => Ok(()),
    };
    let backend: Arc<dyn Backend> = match name {
        BackendName::Auto => {
            without_devices("auto")?;
            return Ok(automatic());
        }
        BackendName::Cpu => {
            without_devices("cpu")?;
            Arc::new(CpuBackend)
        }
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

/// The number of the first GPU that can run the kernel, or why there is none.
fn gpu(found: Result<Vec<Found>, KernelError>) -> Result<usize, String> {
    let found = found.map_err(|error| error.to_string())?;
    let usable = |device: &Found| device.gpu && device.refused.is_none();
    let refused = || found.iter().find_map(|device| device.refused.clone());
    found
        .iter()
        .position(usable)
        .ok_or_else(|| refused().unwrap_or_else(|| "no device is a GPU".into()))
}

fn automatic() -> SelectedBackend {
    if !GPU_NODES.iter().any(|node| Path::new(node).exists()) {
        return SelectedBackend {
            backend: Arc::new(CpuBackend),
            why: "there is no GPU".into(),
        };
    }
    let cuda = gpu(CudaBackend::devices())
        .and_then(|number| CudaBackend::new(Some(number)).map_err(|error| error.to_string()));
    let no_cuda = match cuda {
        Ok(backend) => {
            return SelectedBackend {
                backend: Arc::new(backend),
                why: "an NVIDIA GPU".into(),
            }
        }
        Err(why) => why,
    };
    let opencl = gpu(OpenClBackend::devices())
        .and_then(|number| OpenClBackend::new(Some(number)).map_err(|error| error.to_string()));
    match opencl {
        Ok(backend) => SelectedBackend {
            backend: Arc::new(backend),
            why: "a GPU that OpenCL can use".into(),
        },
        Err(no_opencl) => SelectedBackend {
            backend: Arc::new(CpuBackend),
            why: format!("no GPU can be used: {no_cuda}; {no_opencl}"),
        },
    }
}
