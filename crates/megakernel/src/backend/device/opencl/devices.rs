//! Lists the OpenCL devices, and says why one cannot be used.

use super::{refused, Driver, OpenCl, LOCAL_BYTES};
use crate::backend::device::driver::missing;
use crate::backend::device::info::{DeviceInfo, Found};
use crate::backend::device::library::{self, Loading};
use crate::KernelError;
use opencl3::device::{
    Device, CL_DEVICE_SVM_ATOMICS, CL_DEVICE_SVM_FINE_GRAIN_BUFFER, CL_DEVICE_TYPE_ALL,
    CL_DEVICE_TYPE_GPU,
};
use opencl3::error_codes::{ClError, DLOPEN_RUNTIME_LOAD_FAILED};
use opencl3::platform::{get_platforms, Platform};
use std::path::{Path, PathBuf};

/// `CL_PLATFORM_NOT_FOUND_KHR` of the extension `cl_khr_icd`: the loader found no driver.
const PLATFORM_NOT_FOUND: i32 = -1001;

/// Tries to load a library with this name, and returns the outcome.
fn load(name: &Path) -> Loading {
    // SAFETY: this runs the initialisers of the library that is installed as OpenCL's loader, or as one of its drivers.
    // The user who installs libraries where they are searched for is responsible for that.
    let library = unsafe { libloading::Library::new(name) };
    Loading::of(name, &library)
}

/// The reason why OpenCL's loader cannot be used. The crate that loads it reads `OPENCL_DYLIB_PATH`.
fn no_loader() -> String {
    let given = std::env::var("OPENCL_DYLIB_PATH").unwrap_or_default();
    let given = given.split(';').filter(|path| !path.is_empty());
    let names: Vec<PathBuf> = given.chain(["libOpenCL.so.1"]).map(PathBuf::from).collect();
    library::refusal(&names, load)
}

/// The folder in which the loader looks for drivers.
fn vendors() -> PathBuf {
    let set = ["OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"]
        .iter()
        .find_map(std::env::var_os);
    set.map_or_else(|| PathBuf::from("/etc/OpenCL/vendors"), PathBuf::from)
}

/// The defects of the drivers that the loader skips.
pub(super) fn broken_drivers() -> Vec<String> {
    library::drivers(&vendors(), load)
}

/// The reason why the loader finds no driver.
fn no_driver() -> String {
    let wrong = broken_drivers();
    if wrong.is_empty() {
        return format!("the loader finds no driver in {}", vendors().display());
    }
    format!("the loader finds no driver: {}", wrong.join("; "))
}

/// All devices of all platforms.
pub(super) fn list() -> Result<Vec<(Found, Device)>, KernelError> {
    let platforms = get_platforms().map_err(|error| match error {
        ClError(DLOPEN_RUNTIME_LOAD_FAILED) => missing::<OpenCl>(no_loader()),
        ClError(PLATFORM_NOT_FOUND) => missing::<OpenCl>(no_driver()),
        other => refused("clGetPlatformIDs")(other),
    })?;
    let mut devices = Vec::new();
    for platform in platforms {
        // If the devices of a platform cannot be listed, it has no usable ones.
        for id in platform.get_devices(CL_DEVICE_TYPE_ALL).unwrap_or_default() {
            let device = Device::new(id);
            devices.push((found(&platform, &device), device));
        }
    }
    if devices.is_empty() {
        return Err(missing::<OpenCl>("no platform has a device"));
    }
    Ok(devices)
}

/// Describes a device, and says whether it can be used.
fn found(platform: &Platform, device: &Device) -> Found {
    let unknown = |_| "unknown".to_owned();
    let units = device.max_compute_units().unwrap_or(0);
    let megabytes = device.global_mem_size().unwrap_or(0) >> 20;
    let svm = device.svm_mem_capability();
    let wanted = CL_DEVICE_SVM_FINE_GRAIN_BUFFER | CL_DEVICE_SVM_ATOMICS;
    let local = device.local_mem_size().unwrap_or(0);
    let refused = if !device.available().unwrap_or(false) {
        Some("its driver says that it is not available".to_owned())
    } else if !device.compiler_available().unwrap_or(false) {
        Some("its driver has no compiler".to_owned())
    } else if svm & wanted != wanted {
        Some(
                "it has no fine-grained shared virtual memory with atomics, so it cannot follow a ring that lives"
                    .to_owned(),
            )
    } else if !device.endian_little().unwrap_or(false) {
        Some("it stores words with the highest byte first".to_owned())
    } else if local < LOCAL_BYTES as u64 {
        Some(format!(
            "it has {local} bytes of local memory, and the kernel needs {LOCAL_BYTES}"
        ))
    } else {
        None
    };
    Found {
        info: DeviceInfo {
            backend: OpenCl::BACKEND,
            name: device.name().unwrap_or_else(unknown).trim().to_owned(),
            driver: format!(
                "{} ({})",
                platform.name().unwrap_or_else(unknown).trim(),
                device.driver_version().unwrap_or_else(unknown).trim()
            ),
            details: format!("{units} compute units, {megabytes} MiB"),
        },
        gpu: device
            .dev_type()
            .is_ok_and(|kind| kind & CL_DEVICE_TYPE_GPU != 0),
        refused,
    }
}
