//! Back ends by name.

use super::cpu::CpuBackend;
use super::cuda::CudaBackend;
use super::opencl::OpenClBackend;
use super::Backend;
use crate::device::Found;
use gristmill_protocol::PipelineError;
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

/// A back end that can be launched on.
#[derive(Debug, Clone)]
pub struct Opened {
    /// It.
    pub backend: Arc<dyn Backend>,
    /// Why it was chosen.
    pub why: String,
}

/// Opens the back end of this name: on the device of this number, or on the best one.
///
/// A back end that was asked for by name and is not there is an error, never silently another one.
///
/// # Errors
/// [`PipelineError::Backend`] with what to install where it is not there; [`PipelineError::InvalidArgument`] for a device
/// number where there are no devices to choose from.
pub fn open(name: BackendName, device: Option<usize>) -> Result<Opened, PipelineError> {
    if device.is_some() && matches!(name, BackendName::Auto | BackendName::Cpu) {
        return Err(PipelineError::InvalidArgument {
            what: "a device without a back end that has devices",
            fix: "name the back end too, such as --backend opencl, or leave the device out",
        });
    }
    let backend: Arc<dyn Backend> = match name {
        BackendName::Auto => return Ok(automatic()),
        BackendName::Cpu => Arc::new(CpuBackend),
        BackendName::OpenCl => Arc::new(OpenClBackend::new(device)?),
        BackendName::Cuda => Arc::new(CudaBackend::new(device)?),
    };
    Ok(Opened {
        backend,
        why: "asked for by name".into(),
    })
}

/// What the driver of a GPU leaves in /dev. Drivers take long to load, and where none of these is there is no GPU.
const GPU_NODES: [&str; 4] = ["/dev/nvidiactl", "/dev/dxg", "/dev/dri", "/dev/kfd"];

/// The number of the first GPU that can run the kernel, or why there is none.
fn gpu(found: Result<Vec<Found>, PipelineError>) -> Result<usize, String> {
    let found = found.map_err(|error| error.to_string())?;
    let usable = |device: &Found| device.gpu && device.refused.is_none();
    let refused = || found.iter().find_map(|device| device.refused.clone());
    found
        .iter()
        .position(usable)
        .ok_or_else(|| refused().unwrap_or_else(|| "no device is a GPU".into()))
}

fn automatic() -> Opened {
    if !GPU_NODES.iter().any(|node| Path::new(node).exists()) {
        return Opened {
            backend: Arc::new(CpuBackend),
            why: "there is no GPU".into(),
        };
    }
    let cuda = gpu(CudaBackend::devices())
        .and_then(|number| CudaBackend::new(Some(number)).map_err(|error| error.to_string()));
    let no_cuda = match cuda {
        Ok(backend) => {
            return Opened {
                backend: Arc::new(backend),
                why: "an NVIDIA GPU".into(),
            }
        }
        Err(why) => why,
    };
    let opencl = gpu(OpenClBackend::devices())
        .and_then(|number| OpenClBackend::new(Some(number)).map_err(|error| error.to_string()));
    match opencl {
        Ok(backend) => Opened {
            backend: Arc::new(backend),
            why: "a GPU that OpenCL can use".into(),
        },
        Err(no_opencl) => Opened {
            backend: Arc::new(CpuBackend),
            why: format!("no GPU can be used: {no_cuda}; {no_opencl}"),
        },
    }
}
