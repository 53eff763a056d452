//! CUDA's own calls, for comparison: a launch for each slot, copies to the GPU, and a kernel that only reads mapped
//! memory.
#![allow(
    unsafe_code,
    reason = "the driver's calls: the peers must not be the code that is measured"
)]

use crate::ring::{self, Figures};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use std::ffi::{c_void, CString};
use std::ptr;
use std::time::Instant;

/// The kernel that only reads.
const PTX: &str = include_str!("read.ptx");

/// The number of lanes in its groups, and the number of its groups for each multiprocessor: enough loads in flight for
/// any link.
const LANES: u32 = 256;
const GROUPS: u32 = 8;

/// Converts the error of a failed driver call, for use with `map_err`.
fn told(call: &'static str) -> impl Fn(DriverError) -> String {
    move |error| format!("CUDA: {call} failed: {error}")
}

/// The primary context of the first GPU, a stream and an event in it, and room on the GPU. The back end uses the same
/// context.
pub struct Gpu {
    device: sys::CUdevice,
    module: sys::CUmodule,
    function: sys::CUfunction,
    stream: sys::CUstream,
    event: sys::CUevent,
    /// The destination of copies, in the GPU's memory.
    room: sys::CUdeviceptr,
    bytes: usize,
    units: u32,
}

impl Gpu {
    /// Opens the GPU and allocates room for this many bytes.
    ///
    /// There must be a driver. Code that has opened the back end knows that there is one.
    pub fn new(bytes: usize) -> Result<Self, String> {
        result::init().map_err(told("cuInit"))?;
        let device = result::device::get(0).map_err(told("cuDeviceGet"))?;
        // SAFETY: `device` is from cuDeviceGet; `drop` releases the context.
        let context = unsafe { result::primary_ctx::retain(device) }
            .map_err(told("cuDevicePrimaryCtxRetain"))?;
        let mut new = Self {
            device,
            module: ptr::null_mut(),
            function: ptr::null_mut(),
            stream: ptr::null_mut(),
            event: ptr::null_mut(),
            room: 0,
            bytes: bytes.max(16),
            units: 1,
        };
        // SAFETY: the context was retained above.
        unsafe { result::ctx::set_current(context) }.map_err(told("cuCtxSetCurrent"))?;
        let image = CString::new(PTX).map_err(|error| error.to_string())?;
        // SAFETY: the image is text that ends in a zero byte, and it lives during the call.
        new.module = unsafe { result::module::load_data(image.as_ptr().cast()) }
            .map_err(told("cuModuleLoadData"))?;
        // SAFETY: the module was loaded above and lives until `drop`.
        new.function = unsafe { result::module::get_function(new.module, c"gm_read".into()) }
            .map_err(told("cuModuleGetFunction"))?;
        new.stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(told("cuStreamCreate"))?;
        // A thread that waits for the event spins, which gives the shortest latency.
        new.event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
            .map_err(told("cuEventCreate"))?;
        // SAFETY: the context is current on this thread. No code reads the memory before it is written.
        new.room = unsafe { result::malloc_sync(new.bytes) }.map_err(told("cuMemAlloc"))?;
        let attribute = Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        // SAFETY: `device` is from cuDeviceGet.
        let units = unsafe { result::device::get_attribute(device, attribute) }
            .map_err(told("cuDeviceGetAttribute"))?;
        new.units = u32::try_from(units).unwrap_or(1).max(1);
        Ok(new)
    }

    /// Waits for all work in the stream.
    fn wait(&self) -> Result<(), String> {
        // SAFETY: event and stream were created by `new` and live until `drop`.
        unsafe { result::event::record(self.event, self.stream) }.map_err(told("cuEventRecord"))?;
        // SAFETY: as above.
        unsafe { result::event::synchronize(self.event) }.map_err(told("cuEventSynchronize"))
    }

    /// Puts into the stream a launch that reads `source` and adds to the first word of the room.
    fn launch(&self, source: &[u8], groups: u32) -> Result<(), String> {
        let mut arguments = [source.as_ptr() as u64, source.len() as u64 / 16, self.room];
        let mut pointers = arguments
            .each_mut()
            .map(|argument| ptr::from_mut(argument).cast::<c_void>());
        // SAFETY: the kernel takes three numbers of 64 bits (`read.ptx`), which the driver copies during the call: the
        // address of the memory that is read, its length in whole pieces of 16 bytes, and the address of a word that is
        // written. The room has space for that word. The memory that is read is mapped, and the GPU sees it at this
        // address: both callers pass either no memory or memory of the back end, and wait for the kernel before they
        // give the memory back.
        unsafe {
            result::launch_kernel(
                self.function,
                (groups, 1, 1),
                (LANES, 1, 1),
                0,
                self.stream,
                &mut pointers,
            )
        }
        .map_err(told("cuLaunchKernel"))
    }

    /// Launches a kernel that does nothing, once for each slot, as a host without a ring does.
    pub fn launches(&self, count: usize) -> Result<Figures, String> {
        ring::one_by_one(count, || {
            self.launch(&[], 1)?;
            self.wait()
        })
    }

    /// Copies each source to the GPU in turn; returns bytes per second. The sources must be memory of the back end,
    /// which is pinned and mapped.
    pub fn copy_rate(&self, sources: &[&[u8]], rounds: usize) -> Result<f64, String> {
        let (began, mut bytes) = (Instant::now(), 0);
        for source in std::iter::repeat_n(sources, rounds).flatten() {
            let source = &source[..source.len().min(self.bytes)];
            // SAFETY: the room has at least as many bytes as the source, which is borrowed until all copies have been
            // waited for.
            unsafe { result::memcpy_htod_async(self.room, source, self.stream) }
                .map_err(told("cuMemcpyHtoDAsync"))?;
            bytes += source.len();
        }
        self.wait()?;
        Ok(bytes as f64 / began.elapsed().as_secs_f64())
    }

    /// Makes the kernel read each source in turn; returns bytes per second. The sources must be mapped by the back end,
    /// and consist of whole pieces of 16 bytes.
    pub fn read_rate(&self, sources: &[&[u8]], rounds: usize) -> Result<f64, String> {
        let zero = [0_u8; 4];
        // SAFETY: the room has at least 4 bytes, and the source lives until the copy has been waited for.
        unsafe { result::memcpy_htod_async(self.room, &zero, self.stream) }
            .map_err(told("cuMemcpyHtoDAsync"))?;
        self.wait()?;
        let (began, mut bytes) = (Instant::now(), 0);
        for source in std::iter::repeat_n(sources, rounds).flatten() {
            self.launch(source, GROUPS * self.units)?;
            bytes += source.len();
        }
        self.wait()?;
        let rate = bytes as f64 / began.elapsed().as_secs_f64();
        let mut seen = [0_u8; 4];
        // SAFETY: the room has at least 4 bytes, and the target lives until the copy has been waited for.
        unsafe { result::memcpy_dtoh_async(&mut seen, self.room, self.stream) }
            .map_err(told("cuMemcpyDtoHAsync"))?;
        self.wait()?;
        let words = sources.iter().flat_map(|source| source.as_chunks::<4>().0);
        let sum = words.fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
        let expected = if rounds.is_multiple_of(2) { 0 } else { sum };
        if u32::from_le_bytes(seen) != expected {
            return Err("the GPU read other bytes than the host wrote".into());
        }
        Ok(rate)
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        // Resources that cannot be released end with the process.
        if self.room != 0 {
            // SAFETY: the room was allocated by cuMemAlloc. All work that used it has been waited for, or has failed.
            let _freed = unsafe { result::free_sync(self.room) };
        }
        if !self.event.is_null() {
            // SAFETY: the event was created by `new` and is destroyed once.
            let _destroyed = unsafe { result::event::destroy(self.event) };
        }
        if !self.stream.is_null() {
            // SAFETY: the stream was created by `new` and is destroyed once.
            let _destroyed = unsafe { result::stream::destroy(self.stream) };
        }
        if !self.module.is_null() {
            // SAFETY: the module was loaded by `new`, and it is unloaded once, after its launches.
            let _unloaded = unsafe { result::module::unload(self.module) };
        }
        // SAFETY: `new` retained the context once.
        let _released = unsafe { result::primary_ctx::release(self.device) };
    }
}
