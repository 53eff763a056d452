//! Lists the GPUs, and says why one cannot be used.

use super::{refused, Cuda, Driver};
use crate::backend::device::driver::missing;
use crate::backend::device::info::{DeviceInfo, Found};
use crate::backend::device::library::{self, Loading};
use crate::KernelError;
use cudarc::driver::result;
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use std::ffi::c_void;
use std::path::{Path, PathBuf};

/// The compute capability that the PTX was compiled for. GPUs with a lower one lack the memory model that the ring
/// relies on.
const OLDEST: (i32, i32) = (7, 0);

/// The CUDA version that the PTX needs, in the driver's encoding: 12.0. A driver of this version has all functions that
/// are called here.
const OLDEST_DRIVER: i32 = 12_000;

/// The file names under which the driver is searched for, in order.
const LIBRARIES: [&str; 2] = ["libcuda.so", "libcuda.so.1"];

/// Tries to load a driver under this name, and returns the outcome.
fn load(name: &Path) -> Loading {
    // SAFETY: the same as in `list`: this runs the initialisers of the library that is installed as the driver.
    let library = unsafe { libloading::Library::new(name) };
    Loading::of(name, &library)
}

/// Describes the library that was found under the driver's name, if it is not a driver. The functions of a driver are
/// looked up when they are first called, and a missing one causes a panic.
fn stranger() -> Option<String> {
    // SAFETY: as in `list`.
    let open = |name: &str| unsafe { libloading::Library::new(name) }.ok();
    let (name, library) = LIBRARIES
        .iter()
        .find_map(|name| Some((name, open(name)?)))?;
    // SAFETY: the symbol is looked up and never used.
    let found = unsafe { library.get::<*const c_void>(b"cuInit") };
    found
        .is_err()
        .then(|| format!("{name} loads, but is no driver of CUDA: it has no cuInit"))
}

/// All GPUs.
pub(super) fn list() -> Result<Vec<(Found, sys::CUdevice)>, KernelError> {
    // This is checked first because every other call panics if there is no driver. SAFETY: loading libcuda.so.1 runs
    // its initialisers, which must be those of a CUDA driver. The user who installs libraries where the loader finds
    // them is responsible for that.
    if !unsafe { sys::is_culib_present() } {
        let names = LIBRARIES.map(PathBuf::from);
        return Err(missing::<Cuda>(library::refusal(&names, load)));
    }
    if let Some(stranger) = stranger() {
        return Err(missing::<Cuda>(stranger));
    }
    result::init().map_err(|error| match error.0 {
        sys::CUresult::CUDA_ERROR_NO_DEVICE => missing::<Cuda>("the driver finds no GPU"),
        _ => refused("cuInit")(error),
    })?;
    let mut version = 0;
    // SAFETY: `version` is an integer that the driver may write to.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }
        .result()
        .map_err(refused("cuDriverGetVersion"))?;
    if version < OLDEST_DRIVER {
        return Err(missing::<Cuda>("the driver is older than CUDA 12.0"));
    }
    let count = result::device::get_count().map_err(refused("cuDeviceGetCount"))?;
    if count < 1 {
        return Err(missing::<Cuda>("the driver finds no GPU"));
    }
    (0..count)
        .map(|number| {
            let device = result::device::get(number).map_err(refused("cuDeviceGet"))?;
            Ok((found(device, version), device))
        })
        .collect()
}

/// Describes a GPU, and says whether it can be used.
fn found(device: sys::CUdevice, version: i32) -> Found {
    // SAFETY: `device` is from cuDeviceGet. The GPU lacks any attribute that the driver does not know.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) }.unwrap_or(0);
    let capability = (
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
    );
    let prohibited = sys::CUcomputemode::CU_COMPUTEMODE_PROHIBITED as i32;
    let refused = if capability < OLDEST {
        Some(format!(
            "it has compute capability {}.{}, and the kernel needs {}.{}",
            capability.0, capability.1, OLDEST.0, OLDEST.1
        ))
    } else if attribute(Attribute::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY) == 0
        || attribute(Attribute::CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING) == 0
    {
        Some("it sees no memory of the host at the host's addresses".to_owned())
    } else if attribute(Attribute::CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH) == 0 {
        Some("it does not promise to run the groups of a launch at the same time".to_owned())
    } else if attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_MODE) == prohibited {
        Some(
            "its compute mode is prohibited; set it with `nvidia-smi --compute-mode=DEFAULT`"
                .to_owned(),
        )
    } else {
        None
    };
    // SAFETY: `device` is from cuDeviceGet.
    let megabytes = unsafe { result::device::total_mem(device) }.unwrap_or(0) >> 20;
    let limit = if attribute(Attribute::CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT) == 0 {
        ""
    } else {
        ", ends kernels that run for seconds, as a display is attached"
    };
    Found {
        info: DeviceInfo {
            backend: Cuda::BACKEND,
            name: result::device::get_name(device).unwrap_or_else(|_| "unknown".to_owned()),
            driver: format!("CUDA {}.{}", version / 1000, version % 1000 / 10),
            details: format!(
                "compute capability {}.{}, {} multiprocessors, {megabytes} MiB{limit}",
                capability.0,
                capability.1,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            ),
        },
        gpu: true,
        refused,
    }
}
