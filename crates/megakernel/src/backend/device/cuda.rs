//! NVIDIA GPUs of compute capability 7.0 (Volta) or higher.
//!
//! The driver (`libcuda.so.1`) is loaded at run time, so the same binary also runs on machines without it. The kernel
//! is shipped as PTX, which `scripts/ptx` compiles from the device source, and the driver compiles the PTX to machine
//! code. No other part of CUDA needs to be installed.
//!
//! Only `launch` itself waits for a running kernel. Streams do not wait for the legacy stream. Memory is cleared by
//! copies, since a kernel that clears it would need room beside the kernels that run. Freeing memory may make the
//! driver wait until the launches of other kernels end their leases.
#![allow(unsafe_code)]

mod devices;
mod memory;

use super::driver::{failed, next_device_number, Capacity, DeviceMemory, Driver, Launch, Purpose};
use super::info::Found;
use super::layout::state::MAX_WORKERS;
use super::DeviceBackend;
use crate::KernelError;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use gristmill_ring::HostVisible;
use memory::{Memory, Pinned};
use std::convert::Infallible;
use std::ffi::{c_void, CStr, CString};
use std::ptr;
use std::sync::Arc;

/// The kernel for all GPUs of compute capability 7.0 or higher, as `scripts/ptx` compiled it from the device source.
const PTX: &str = include_str!("../../../../../kernel/gristmill.ptx");

/// The number of lanes in a group. The PTX was compiled for this number.
const LANES: u32 = 128;

/// The back end that runs kernels on an NVIDIA GPU.
pub type CudaBackend = DeviceBackend<Cuda>;

/// Converts the error of a failed driver call, for use with `map_err`.
fn refused(call: &'static str) -> impl Fn(DriverError) -> KernelError {
    move |error| {
        let code = error.0 as i32;
        let text = |text: Result<&CStr, _>| {
            text.map_or_else(
                |_| format!("error {code}"),
                |text| text.to_string_lossy().into_owned(),
            )
        };
        let cause = format!(
            "{}, {}",
            text(error.error_name()),
            text(error.error_string())
        );
        failed::<Cuda>(call, Some(code), cause)
    }
}

/// A handle of the driver: a context, a stream, an event, a module, or pinned memory.
#[derive(Debug)]
struct Handle<T>(*mut T);

// SAFETY: the driver accepts handles from any thread at any time (CUDA driver API, 6: "is thread-safe"), and no other
// code accesses what they point to.
unsafe impl<T> Send for Handle<T> {}
// SAFETY: as for `Send`.
unsafe impl<T> Sync for Handle<T> {}

/// The GPU's primary context. It lives as long as anything in it.
struct Session {
    device: sys::CUdevice,
    context: Handle<sys::CUctx_st>,
    /// The number that [`HostVisible::device`] returns.
    number: u64,
}

impl Session {
    fn new(device: sys::CUdevice) -> Result<Arc<Self>, KernelError> {
        // SAFETY: `device` is from cuDeviceGet.
        let context = unsafe { result::primary_ctx::retain(device) };
        Ok(Arc::new(Self {
            device,
            context: Handle(context.map_err(refused("cuDevicePrimaryCtxRetain"))?),
            number: next_device_number(),
        }))
    }

    /// Makes this context current on the calling thread, which the driver requires before most calls.
    fn enter(&self) -> Result<(), KernelError> {
        // SAFETY: the context was retained by `new` and is released by `drop`.
        unsafe { result::ctx::set_current(self.context.0) }.map_err(refused("cuCtxSetCurrent"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: `new` retained the context once. Everything that was made in the context holds the session, so all of
        // it is gone by now.
        let _released = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A stream, with an event that is used to wait for the work in it.
pub struct Stream {
    session: Arc<Session>,
    stream: Handle<sys::CUstream_st>,
    event: Handle<sys::CUevent_st>,
}

impl Stream {
    fn new(session: &Arc<Session>) -> Result<Self, KernelError> {
        session.enter()?;
        // A thread that waits for the event sleeps, whatever flags other code has set on the context.
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC)
            .map_err(refused("cuEventCreate"))?;
        let mut new = Self {
            session: Arc::clone(session),
            stream: Handle(ptr::null_mut()),
            event: Handle(event),
        };
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
        new.stream = Handle(stream.map_err(refused("cuStreamCreate"))?);
        Ok(new)
    }

    /// Waits until all work in the stream is done. The caller has entered the context.
    fn wait(&self) -> Result<(), KernelError> {
        // SAFETY: stream and event were created by `new`, live until `drop`, and belong to the context that is entered.
        unsafe { result::event::record(self.event.0, self.stream.0) }
            .map_err(refused("cuEventRecord"))?;
        // SAFETY: as above.
        unsafe { result::event::synchronize(self.event.0) }.map_err(refused("cuEventSynchronize"))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.session.enter().is_ok() {
            if !self.stream.0.is_null() {
                // SAFETY: the stream was created by `new` and is destroyed once. Work that is still in it continues, as
                // it does for an event.
                let _destroyed = unsafe { result::stream::destroy(self.stream.0) };
            }
            // SAFETY: as above.
            let _destroyed = unsafe { result::event::destroy(self.event.0) };
        }
    }
}

/// The kernel, loaded as machine code of the GPU.
struct Module {
    session: Arc<Session>,
    module: Handle<sys::CUmod_st>,
    function: Handle<sys::CUfunc_st>,
}

impl Module {
    fn load(session: &Arc<Session>) -> Result<Self, KernelError> {
        session.enter()?;
        let ptx = CString::new(PTX)
            .map_err(|_| failed::<Cuda>("cuModuleLoadData", None, "the PTX holds a zero byte"))?;
        // SAFETY: the image is text that ends in a zero byte, and it lives during the call; the driver checks the rest.
        let module = unsafe { result::module::load_data(ptx.as_ptr().cast()) };
        let mut new = Self {
            session: Arc::clone(session),
            module: Handle(module.map_err(refused("cuModuleLoadData"))?),
            function: Handle(ptr::null_mut()),
        };
        // SAFETY: the module was loaded above.
        let function = unsafe { result::module::get_function(new.module.0, c"gristmill".into()) };
        new.function = Handle(function.map_err(refused("cuModuleGetFunction"))?);
        Ok(new)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.session.enter().is_ok() {
            // SAFETY: `load` loaded the module. It is unloaded once, and after the launches of its kernel, since these
            // borrow the driver.
            let _unloaded = unsafe { result::module::unload(self.module.0) };
        }
    }
}

/// A GPU with the kernel loaded.
pub struct Cuda {
    capacity: Capacity,
    module: Module,
    session: Arc<Session>,
}

impl Driver for Cuda {
    const API: &'static str = "CUDA";
    const BACKEND: &'static str = "cuda";
    const INSTALL: &'static str =
        "install NVIDIA's driver, version 525 or later (Debian: nvidia-driver); a container must be given the GPU \
         (docker run --gpus all)";
    type Handle = sys::CUdevice;
    /// The PTX was compiled for groups of one shape, so no shape can be chosen.
    type Shape = Infallible;
    type Queue = Stream;

    fn list() -> Result<Vec<(Found, sys::CUdevice)>, KernelError> {
        devices::list()
    }

    fn open(device: &sys::CUdevice, _shape: Option<Infallible>) -> Result<Self, KernelError> {
        let session = Session::new(*device)?;
        let module = Module::load(&session)?;
        // SAFETY: the function belongs to a module that is loaded; its local memory has a fixed size.
        let groups = unsafe {
            result::occupancy::max_active_block_per_multiprocessor(
                module.function.0,
                LANES as i32,
                0,
            )
        };
        let groups = groups.map_err(refused("cuOccupancyMaxActiveBlocksPerMultiprocessor"))?;
        let attribute = Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        // SAFETY: the device is from cuDeviceGet.
        let units = unsafe { result::device::get_attribute(session.device, attribute) }
            .map_err(refused("cuDeviceGetAttribute"))?;
        let units = u32::try_from(units).unwrap_or(0);
        let groups = units.saturating_mul(u32::try_from(groups).unwrap_or(0));
        if groups == 0 {
            let cause = "the GPU has no room for a group of the kernel";
            return Err(failed::<Self>("a launch", None, cause));
        }
        Ok(Self {
            capacity: Capacity {
                units,
                groups: groups.min(MAX_WORKERS as u32),
                // CUDA launches are cooperative, so all groups of a launch run at the same time.
                concurrent: true,
            },
            module,
            session,
        })
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, KernelError> {
        Ok(Box::new(Pinned::new(&self.session, bytes)?))
    }

    fn memory(&self, words: usize, _: Purpose) -> Result<Box<dyn DeviceMemory>, KernelError> {
        Ok(Box::new(Memory::new(&self.session, words)?))
    }

    fn queue(&self) -> Result<Stream, KernelError> {
        Stream::new(&self.session)
    }

    fn launch(&self, stream: Stream, launch: &Launch) -> Result<Stream, KernelError> {
        self.session.enter()?;
        let mut addresses = launch.addresses;
        let mut words = [launch.first, launch.groups, launch.number];
        let addresses = addresses.iter_mut().map(|at| ptr::from_mut(at).cast());
        let words = words.iter_mut().map(|word| ptr::from_mut(word).cast());
        let mut arguments: Vec<*mut c_void> = addresses.chain(words).collect();
        // SAFETY: the kernel takes five addresses, then three words (kernel/megakernel.h). The driver copies them
        // during the call, and they live that long. The memory behind the addresses is laid out as the kernel expects
        // and lives until this function returns; the code that makes a `Launch` promises both. This function returns
        // only after the kernel has left, unless the wait fails; then the device is considered lost and the memory is
        // kept (`host.rs`). A kernel with number 0 touches no memory.
        unsafe {
            result::launch_cooperative_kernel(
                self.module.function.0,
                (launch.groups, 1, 1),
                (LANES, 1, 1),
                0,
                stream.stream.0,
                &mut arguments,
            )
        }
        .map_err(refused("cuLaunchCooperativeKernel"))?;
        stream.wait()?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::{LANES, PTX};
    use crate::backend::device::LOCAL_BYTES;

    /// What this file states about the kernel agrees with what the committed PTX states about itself.
    #[test]
    fn the_ptx_is_the_kernel_that_launches_expect() {
        let (_, entry) = PTX
            .split_once(".visible .entry gristmill(")
            .expect("the kernel's entry");
        let (parameters, body) = entry.split_once(')').expect("parameters");
        let types: Vec<&str> = parameters
            .split(',')
            .filter_map(|parameter| parameter.split_whitespace().nth(1))
            .collect();
        assert_eq!(types, [[".u64"; 5].as_slice(), &[".u32"; 3]].concat());
        assert!(body.contains(&format!(".maxntid {LANES}")));
        assert!(body.contains(&format!("[{LOCAL_BYTES}]")));
        assert!(PTX.contains(".version 8.0"));
        assert!(PTX.contains(".target sm_70"));
    }
}
