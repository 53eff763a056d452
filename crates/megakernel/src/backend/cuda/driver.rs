//! CUDA's calls: devices, memory, the module, launches.
//!
//! Nothing here waits for a kernel that runs but `launch` itself: streams do not wait for the legacy stream, and
//! memory is cleared by copies, as a kernel that sets it would want room beside those that run. Memory that is freed
//! may make the driver wait until the launches of other kernels end their leases.
#![allow(unsafe_code)]

use crate::device::driver::{next_device_number, DeviceMemory, Driver, Found, Launch, TableMemory};
use crate::device::layout::state::MAX_WORKERS;
use crate::device::library::{self, Loading};
use crate::device::DeviceInfo;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use gristmill_protocol::PipelineError;
use gristmill_ring::HostVisible;
use std::ffi::{c_void, CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

/// The kernel, for all GPUs from [`OLDEST`] on: what `scripts/ptx` made of the device source.
const PTX: &str = include_str!("../../../../../kernel/gristmill.ptx");

/// Lanes of a group: what the PTX was compiled for.
const LANES: u32 = 128;

/// The compute capability that the PTX was compiled for. Older ones have no memory model that the ring could rely on.
const OLDEST: (i32, i32) = (7, 0);

/// The CUDA version that the PTX needs, as the driver counts: 12.0. A driver with it has all functions that are
/// called here.
const OLDEST_DRIVER: i32 = 12_000;

/// Alignment of shared memory. Drivers cut small blocks out of larger ones, so a page more is asked for.
const PAGE_BYTES: usize = 4096;

/// The driver's names, in the order in which it is looked for.
const LIBRARIES: [&str; 2] = ["libcuda.so", "libcuda.so.1"];

/// What to install where nothing is found.
const INSTALL: &str =
    "install NVIDIA's driver, version 525 or later (Debian: nvidia-driver); a container must be \
                       given the GPU (docker run --gpus all)";

fn failed(call: &str, error: impl std::fmt::Display) -> PipelineError {
    PipelineError::Backend(format!(
        "CUDA: {call} failed: {error}; look at the driver's messages (dmesg), or use --backend cpu"
    ))
}

/// For `map_err`: a call of the driver failed.
fn refused(call: &'static str) -> impl Fn(DriverError) -> PipelineError {
    move |error| {
        let text = |text: Result<&CStr, _>| {
            text.map_or_else(
                |_| format!("error {}", error.0 as u32),
                |text| text.to_string_lossy().into_owned(),
            )
        };
        failed(
            call,
            format_args!(
                "{}, {}",
                text(error.error_name()),
                text(error.error_string())
            ),
        )
    }
}

/// What comes of loading a driver under this name.
fn load(name: &Path) -> Loading {
    // SAFETY: as in `devices`: the initialisers that this runs are those of the library that is installed as the
    // driver.
    let library = unsafe { libloading::Library::new(name) };
    Loading::of(name, &library)
}

/// What was found under the driver's name, if that is no driver: its functions are looked up when they are called first,
/// and one that is not there would be a panic.
fn stranger() -> Option<String> {
    // SAFETY: as in `devices`.
    let open = |name: &str| unsafe { libloading::Library::new(name) }.ok();
    let (name, library) = LIBRARIES
        .iter()
        .find_map(|name| Some((name, open(name)?)))?;
    // SAFETY: the symbol is looked up and not used.
    let found = unsafe { library.get::<*const c_void>(b"cuInit") };
    found
        .is_err()
        .then(|| format!("{name} loads, but is no driver of CUDA: it has no cuInit"))
}

/// All GPUs.
pub(super) fn devices() -> Result<Vec<Found>, PipelineError> {
    let missing =
        |what: &dyn std::fmt::Display| PipelineError::Backend(format!("CUDA: {what}; {INSTALL}"));
    // Asked first, as every other call panics where there is no driver. SAFETY: loading libcuda.so.1 runs its
    // initialisers, which must be those of a CUDA driver: whoever installs libraries where the loader looks for them
    // answers for that.
    if !unsafe { sys::is_culib_present() } {
        let names = LIBRARIES.map(PathBuf::from);
        return Err(missing(&library::refusal(&names, load)));
    }
    if let Some(stranger) = stranger() {
        return Err(missing(&stranger));
    }
    result::init().map_err(|error| match error.0 {
        sys::CUresult::CUDA_ERROR_NO_DEVICE => missing(&"the driver finds no GPU"),
        _ => refused("cuInit")(error),
    })?;
    let mut version = 0;
    // SAFETY: `version` is a number to write to.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }
        .result()
        .map_err(refused("cuDriverGetVersion"))?;
    if version < OLDEST_DRIVER {
        return Err(missing(&"the driver is older than CUDA 12.0"));
    }
    let count = result::device::get_count().map_err(refused("cuDeviceGetCount"))?;
    if count < 1 {
        return Err(missing(&"the driver finds no GPU"));
    }
    (0..count)
        .map(|number| {
            let device = result::device::get(number).map_err(refused("cuDeviceGet"))?;
            Ok(found(device, version))
        })
        .collect()
}

/// What a GPU is, and whether it will do.
fn found(device: sys::CUdevice, version: i32) -> Found {
    // SAFETY: `device` is from cuDeviceGet. What the driver does not know, the GPU does not have.
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
            backend: "cuda",
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

/// What the driver calls a context, a stream and so on by.
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
    number: u64,
}

impl Session {
    fn new(number: usize) -> Result<Arc<Self>, PipelineError> {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let device = result::device::get(number).map_err(refused("cuDeviceGet"))?;
        // SAFETY: `device` is from cuDeviceGet.
        let context = unsafe { result::primary_ctx::retain(device) };
        Ok(Arc::new(Self {
            device,
            context: Handle(context.map_err(refused("cuDevicePrimaryCtxRetain"))?),
            number: next_device_number(),
        }))
    }

    /// Makes the context that of this thread: the driver wants it before most calls.
    fn enter(&self) -> Result<(), PipelineError> {
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

/// Memory of the host that the GPU sees at the same address, zeroed.
struct Pinned {
    session: Arc<Session>,
    /// What `cuMemHostAlloc` returned.
    allocated: Handle<c_void>,
    /// The first byte that is used: a multiple of a page.
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a `Pinned` is addresses and a length. Any thread may use the memory, and any may free it (see `Handle`).
unsafe impl Send for Pinned {}
// SAFETY: as for `Send`: the methods of a shared `Pinned` only tell addresses.
unsafe impl Sync for Pinned {}

impl Pinned {
    fn new(session: &Arc<Session>, bytes: usize) -> Result<Self, PipelineError> {
        let total = bytes
            .checked_add(PAGE_BYTES)
            .filter(|total| isize::try_from(*total).is_ok())
            .ok_or_else(|| failed("cuMemHostAlloc", "the size is out of range"))?;
        let flags = sys::CU_MEMHOSTALLOC_PORTABLE | sys::CU_MEMHOSTALLOC_DEVICEMAP;
        session.enter()?;
        // SAFETY: the context is entered; the result is zeroed below before anybody sees it.
        let allocated = unsafe { result::malloc_host(total, flags) };
        let allocated = allocated.map_err(refused("cuMemHostAlloc"))?;
        let first = NonNull::new(allocated.cast::<u8>())
            .ok_or_else(|| failed("cuMemHostAlloc", "it gave no address"))?;
        let skip = first.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        let pinned = Self {
            session: Arc::clone(session),
            allocated: Handle(allocated),
            // SAFETY: `skip` is at most a page, and the allocation is `bytes` and a page long.
            base: unsafe { first.add(skip) },
            bytes,
        };
        // SAFETY: `base` is valid for `bytes` bytes, and nobody else knows its address yet.
        unsafe { ptr::write_bytes(pinned.base.as_ptr(), 0, bytes) };
        let mut seen = 0;
        // SAFETY: `seen` is an address to write to, and `allocated` is from cuMemHostAlloc.
        unsafe { sys::cuMemHostGetDevicePointer_v2(&raw mut seen, allocated, 0) }
            .result()
            .map_err(refused("cuMemHostGetDevicePointer"))?;
        if seen != allocated as u64 {
            return Err(failed(
                "cuMemHostAlloc",
                "the GPU sees the memory at another address than the host",
            ));
        }
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.session.enter().is_ok() {
            // SAFETY: from cuMemHostAlloc of this context; freed once, here; whoever uses the memory holds the block,
            // and kernels run only while `device::host` keeps it alive. An error leaves it allocated, which is safe.
            let _freed = unsafe { result::free_host(self.allocated.0) };
        }
    }
}

// SAFETY: the host may read and write mapped memory at any time, from `base` on for `bytes` bytes, which `new`
// checked to fit in an isize, until `drop`; zeroed and aligned to a page by `new`. This module hands it to one owner
// and touches it no more.
unsafe impl HostVisible for Pinned {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn device(&self) -> u64 {
        self.session.number
    }
}

/// A stream, and an event to wait for what is in it.
struct Stream {
    session: Arc<Session>,
    stream: Handle<sys::CUstream_st>,
    event: Handle<sys::CUevent_st>,
}

impl Stream {
    fn new(session: &Arc<Session>) -> Result<Self, PipelineError> {
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
    fn wait(&self) -> Result<(), PipelineError> {
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

/// Memory of the GPU, which the host writes by copies.
///
/// A running kernel sees what it is written once it has seen, with acquire order, a word that the host stored
/// afterwards with release order, also where it has read the same place before: the copy is done when `write` returns
/// (in the L2 cache, which all multiprocessors share), and an acquire of device or system scope makes a
/// multiprocessor drop what its L1 cache holds, for all lanes that a barrier joins with the one that acquired. So no
/// place of the tables needs to be kept until the next launch. What would break it is a load through the non-coherent
/// path (`ld.global.nc`), so `scripts/ptx` fails where the compiler made one.
struct Memory {
    session: Arc<Session>,
    address: u64,
    words: usize,
    copies: Mutex<Stream>,
}

impl Memory {
    fn new(session: &Arc<Session>, words: usize) -> Result<Self, PipelineError> {
        let bytes = words
            .max(1)
            .checked_mul(4)
            .ok_or_else(|| failed("cuMemAlloc", "the size is out of range"))?;
        let copies = Mutex::new(Stream::new(session)?);
        // SAFETY: the context is entered (`Stream::new`). Nothing reads the memory before it is written.
        let address = unsafe { result::malloc_sync(bytes) }.map_err(refused("cuMemAlloc"))?;
        Ok(Self {
            session: Arc::clone(session),
            address,
            words,
            copies,
        })
    }

    fn zeroed(session: &Arc<Session>, words: usize) -> Result<Self, PipelineError> {
        let memory = Self::new(session, words)?;
        let zeros = vec![0; words.min(1 << 18)];
        for at in (0..words).step_by(1 << 18) {
            memory.write(at, &zeros[..zeros.len().min(words - at)])?;
        }
        Ok(memory)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.session.enter().is_ok() {
            // SAFETY: from cuMemAlloc of this context, freed once; kernels that use it have left or are lost, in
            // which case `device::host` never drops it. An error leaves it allocated, which is safe.
            let _freed = unsafe { result::free_sync(self.address) };
        }
    }
}

impl DeviceMemory for Memory {
    fn address(&self) -> u64 {
        self.address
    }
}

impl TableMemory for Memory {
    fn address(&self) -> u64 {
        self.address
    }

    fn write(&self, at: usize, words: &[u32]) -> Result<(), PipelineError> {
        if at > self.words || words.len() > self.words - at {
            return Err(failed(
                "a write to the GPU's memory",
                "it goes beyond its end",
            ));
        }
        if words.is_empty() {
            return Ok(());
        }
        let copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        self.session.enter()?;
        // SAFETY: `at + words` lies in the memory (checked above), which lives as long as `self`; `words` is borrowed
        // until the copy has been waited for, or the driver has said that the device is lost.
        unsafe { result::memcpy_htod_async(self.address + 4 * at as u64, words, copies.stream.0) }
            .map_err(refused("cuMemcpyHtoDAsync"))?;
        copies.wait()
    }
}

/// The kernel as the GPU's machine code.
struct Module {
    session: Arc<Session>,
    module: Handle<sys::CUmod_st>,
    function: Handle<sys::CUfunc_st>,
}

impl Module {
    fn load(session: &Arc<Session>) -> Result<Self, PipelineError> {
        session.enter()?;
        let ptx = CString::new(PTX).map_err(|error| failed("cuModuleLoadData", error))?;
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
pub(super) struct CudaDriver {
    info: DeviceInfo,
    /// Multiprocessors.
    units: u32,
    /// Groups that the GPU runs side by side.
    most: u32,
    /// Streams that no launch uses now.
    streams: Mutex<Vec<Stream>>,
    module: Module,
    session: Arc<Session>,
}

impl CudaDriver {
    /// Loads the kernel on the GPU with this number, which `devices` did not refuse.
    pub fn new(number: usize, info: DeviceInfo) -> Result<Self, PipelineError> {
        let session = Session::new(number)?;
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
        let most = units.saturating_mul(u32::try_from(groups).unwrap_or(0));
        if most == 0 {
            return Err(failed(
                "a launch",
                "the GPU has no room for a group of the kernel",
            ));
        }
        let driver = Self {
            info,
            units,
            most: most.min(MAX_WORKERS as u32),
            streams: Mutex::new(Vec::new()),
            module,
            session,
        };
        driver.warm_up()?;
        Ok(driver)
    }

    /// Drivers load a kernel when it is first launched, and may wait for what runs to do so: launches it in a way
    /// that makes it leave at once.
    fn warm_up(&self) -> Result<(), PipelineError> {
        self.launch(&Launch {
            shared: 0,
            chunks: 0,
            chunk_states: 0,
            state: 0,
            tables: 0,
            first: 0,
            groups: 1,
            number: 0,
        })
    }

    /// How many multiprocessors the GPU has.
    pub fn units(&self) -> usize {
        self.units as usize
    }

    fn stream(&self) -> Result<Stream, PipelineError> {
        let idle = self
            .streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| Stream::new(&self.session), Ok)
    }
}

impl Driver for CudaDriver {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn crews(&self, wanted: usize) -> Vec<u32> {
        vec![self.most.min(u32::try_from(wanted).unwrap_or(u32::MAX))]
    }

    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, PipelineError> {
        Ok(Box::new(Pinned::new(&self.session, bytes)?))
    }

    fn state(&self, bytes: usize, first: &[u32]) -> Result<Box<dyn DeviceMemory>, PipelineError> {
        let memory = Memory::zeroed(&self.session, bytes.div_ceil(4))?;
        memory.write(0, first)?;
        Ok(Box::new(memory))
    }

    fn tables(&self, words: usize) -> Result<Box<dyn TableMemory>, PipelineError> {
        Ok(Box::new(Memory::new(&self.session, words)?))
    }

    fn launch(&self, launch: &Launch) -> Result<(), PipelineError> {
        let stream = self.stream()?;
        self.session.enter()?;
        let mut addresses = [
            launch.shared,
            launch.chunks,
            launch.chunk_states,
            launch.state,
            launch.tables,
        ];
        let mut numbers = [launch.first, launch.groups, launch.number];
        let mut arguments = [ptr::null_mut::<c_void>(); 8];
        let (pointers, words) = arguments.split_at_mut(addresses.len());
        for (argument, address) in pointers.iter_mut().zip(&mut addresses) {
            *argument = ptr::from_mut(address).cast();
        }
        for (argument, number) in words.iter_mut().zip(&mut numbers) {
            *argument = ptr::from_mut(number).cast();
        }
        // SAFETY: the kernel takes five addresses, then three words (kernel/megakernel.h), and the driver copies them
        // during the call. The memory behind the addresses is laid out as the kernel expects and lives until this
        // returns (whoever makes a `Launch` promises both), which is after the kernel has left: if the wait fails,
        // the device is taken for lost and the memory is kept (`device::host`). A kernel with number 0 touches none.
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
        self.streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{LANES, PTX};
    use crate::device::LOCAL_BYTES;

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
