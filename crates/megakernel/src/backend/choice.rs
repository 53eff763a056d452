//! Back ends by name.

use super::cpu::CpuBackend;
use super::opencl::OpenClBackend;
use super::Backend;
use gristmill_protocol::PipelineError;
use std::path::Path;
use std::sync::Arc;

/// A back end, as users name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendName {
    /// The best there is: an OpenCL device that is a GPU, else the processor's threads.
    Auto,
    /// Worker threads.
    Cpu,
    /// An OpenCL device.
    OpenCl,
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
    let named = || "asked for by name".to_owned();
    Ok(match name {
        BackendName::Auto => automatic(),
        BackendName::Cpu => Opened {
            backend: Arc::new(CpuBackend),
            why: named(),
        },
        BackendName::OpenCl => Opened {
            backend: Arc::new(OpenClBackend::new(device)?),
            why: named(),
        },
    })
}

/// What the driver of a GPU leaves in /dev. Drivers take long to load, and where none of these is there is no GPU.
const GPU_NODES: [&str; 3] = ["/dev/dri", "/dev/kfd", "/dev/nvidiactl"];

fn automatic() -> Opened {
    let cpu = |why: String| Opened {
        backend: Arc::new(CpuBackend),
        why,
    };
    if !GPU_NODES.iter().any(|node| Path::new(node).exists()) {
        return cpu("there is no GPU".into());
    }
    let found = match OpenClBackend::devices() {
        Ok(found) => found,
        Err(error) => return cpu(error.to_string()),
    };
    let Some(gpu) = found
        .iter()
        .position(|device| device.gpu && device.refused.is_none())
    else {
        return cpu("no OpenCL device is a GPU that can run the kernel".into());
    };
    match OpenClBackend::new(Some(gpu)) {
        Ok(backend) => Opened {
            backend: Arc::new(backend),
            why: "a GPU that OpenCL can use".into(),
        },
        Err(error) => cpu(error.to_string()),
    }
}
