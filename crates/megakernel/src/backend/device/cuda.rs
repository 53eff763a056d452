//! NVIDIA's GPUs, from compute capability 7.0 (Volta) on.
//!
//! The driver (`libcuda.so.1`) is looked for at run time, so the same binary runs where there is none. The kernel
//! comes as PTX, compiled from the device source by `scripts/ptx`, and the driver makes machine code of it: nothing
//! else of CUDA need be installed.
//!
//! Nothing here waits for a kernel that runs but `launch` itself: streams do not wait for the legacy stream, and
//! memory is cleared by copies, as a kernel that sets it would want room beside those that run. Memory that is freed
//! may make the driver wait until the launches of other kernels end their leases.
#![allow(unsafe_code)]

mod devices;
mod memory;

use super::driver::{
    failed, next_device_number, Capacity, DeviceMemory, Driver, Found, Launch, Purpose,
};
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

/// The kernel, for all GPUs from compute capability 7.0 on: what `scripts/ptx` made of the device source.
const PTX: &str = include_str!("../../../../../kernel/gristmill.ptx");

/// Lanes of a group: what the PTX was compiled for.
const LANES: u32 = 128;

/// A GPU as the place where kernels run.
pub type CudaBackend = DeviceBackend<Cuda>;

/// For `map_err`: a call of the driver failed.
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

// SAFETY: the driver takes handles from any thread at any time (CUDA driver API, 6: "is thread-safe"), and nobody
// else looks at what they point to.
unsafe impl<T> Send for Handle<T> {}
// SAFETY: as for `Send`.
unsafe impl<T> Sync for Handle<T> {}

/// The GPU's primary context, which lives as long as anything in it.
struct Session {
    device: sys::CUdevice,
    context: Handle<sys::CUctx_st>,
    /// For [`HostVisible::device`].
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

    /// Makes the context that of this thread: the driver wants it before most calls.
    fn enter(&self) -> Result<(), KernelError> {
        // SAFETY: the context was retained by `new` and is released by `drop`.
        unsafe { result::ctx::set_current(self.context.0) }.map_err(refused("cuCtxSetCurrent"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: retained once, by `new`; everything that was made in it holds the session, so it is gone.
        let _released = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A stream, and an event to wait for what is in it.
pub struct Stream {
    session: Arc<Session>,
    stream: Handle<sys::CUstream_st>,
    event: Handle<sys::CUevent_st>,
}

impl Stream {
    fn new(session: &Arc<Session>) -> Result<Self, KernelError> {
        session.enter()?;
        // A thread that waits for it sleeps, whatever others made of the context's flags.
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

    /// Waits until all that was put into the stream is done. The caller has entered the context.
    fn wait(&self) -> Result<(), KernelError> {
        // SAFETY: stream and event are from `new`, live until `drop` and belong to the context that is entered.
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
                // SAFETY: from `new`, and destroyed once. What still runs in it goes on, as for an event.
                let _destroyed = unsafe { result::stream::destroy(self.stream.0) };
            }
            // SAFETY: as above.
            let _destroyed = unsafe { result::event::destroy(self.event.0) };
        }
    }
}

/// The kernel as the GPU's machine code.
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
        // SAFETY: the image is text that ends in a zero byte, alive during the call; the driver checks the rest.
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
            // SAFETY: loaded by `load`, unloaded once, after the launches of its kernel: they borrow the driver.
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
    /// The PTX was compiled for groups of one shape.
    type Shape = Infallible;
    type Queue = Stream;

    fn list() -> Result<Vec<(Found, sys::CUdevice)>, KernelError> {
        devices::list()
    }

    fn open(device: &sys::CUdevice, _shape: Option<Infallible>) -> Result<Self, KernelError> {
        let session = Session::new(*device)?;
        let module = Module::load(&session)?;
        // SAFETY: the function is of a module that is loaded; its local memory is of a fixed size.
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
                // Launches are cooperative.
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
        // SAFETY: the kernel takes five addresses, then three words (kernel/megakernel.h), and the driver copies them
        // during the call, in which they live. The memory behind the addresses is laid out as the kernel expects and lives
        // until this returns (who makes a `Launch` promises both), which is after the kernel has left: if the wait
        // fails, the device is taken for lost and the memory is kept (`host.rs`). A kernel with number 0 touches none.
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

    /// What this file says of the kernel is what the committed PTX says of itself.
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
