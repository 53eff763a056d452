//! OpenCL's calls: devices, shared memory, the program, launches.
#![allow(unsafe_code)]

use super::{Shape, INSTALL};
use crate::device::driver::{next_device_number, DeviceMemory, Driver, Launch, TableMemory};
use crate::device::library::{self, Loading};
use crate::device::{DeviceInfo, Found, LOCAL_BYTES, SOURCE};
use gristmill_protocol::PipelineError;
use gristmill_ring::HostVisible;
use opencl3::command_queue::CommandQueue;
use opencl3::context::Context;
use opencl3::device::{
    Device, CL_DEVICE_SVM_ATOMICS, CL_DEVICE_SVM_FINE_GRAIN_BUFFER, CL_DEVICE_TYPE_ALL,
    CL_DEVICE_TYPE_CPU, CL_DEVICE_TYPE_GPU,
};
use opencl3::error_codes::{ClError, DLOPEN_RUNTIME_LOAD_FAILED};
use opencl3::kernel::Kernel;
use opencl3::memory::{
    svm_alloc, svm_free, CL_MEM_READ_WRITE, CL_MEM_SVM_ATOMICS, CL_MEM_SVM_FINE_GRAIN_BUFFER,
};
use opencl3::platform::{get_platforms, Platform};
use opencl3::program::Program;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// `CL_PLATFORM_NOT_FOUND_KHR` of the extension `cl_khr_icd`: the loader found no driver.
const PLATFORM_NOT_FOUND: i32 = -1001;

/// Alignment of shared memory. Drivers refuse pages, so a page more is asked for and the first bytes are left unused.
const PAGE_BYTES: usize = 4096;

/// Alignment that is asked for; PoCL refuses more than 128.
const SVM_ALIGN: u32 = 64;

/// Lanes of a group on a GPU.
const GPU_LANES: u32 = 128;

/// Windows that a lane runs side by side on a processor: what its vector units are filled with.
const CPU_STRIP: u32 = 64;

/// Held while devices are listed or a kernel is compiled: PoCL 3.1 tells of devices that it has not set up yet, and crashes
/// where two threads let it compile.
static SETTING_UP: Mutex<()> = Mutex::new(());

fn failed(call: &str, error: impl std::fmt::Display) -> PipelineError {
    PipelineError::Backend(format!(
        "OpenCL: {call} failed: {error}; look at the driver's messages, or use --backend cpu"
    ))
}

/// A device of a platform, and what was found of it.
pub(super) struct Candidate {
    pub found: Found,
    device: Device,
}

/// A device of which nothing is known yet.
struct Listed {
    platform: Platform,
    device: Device,
}

/// What comes of loading a library of this name.
fn load(name: &Path) -> Loading {
    // SAFETY: this runs the initialisers of the library that is installed as OpenCL's loader, or as a driver of it:
    // whoever installs libraries where they are looked for answers for that.
    let library = unsafe { libloading::Library::new(name) };
    Loading::of(name, &library)
}

/// Why OpenCL's loader cannot be used. `OPENCL_DYLIB_PATH` is read by the crate that loads it.
fn no_loader() -> String {
    let given = std::env::var("OPENCL_DYLIB_PATH").unwrap_or_default();
    let given = given.split(';').filter(|path| !path.is_empty());
    let names: Vec<PathBuf> = given.chain(["libOpenCL.so.1"]).map(PathBuf::from).collect();
    library::refusal(&names, load)
}

/// Where the loader looks for drivers.
fn vendors() -> PathBuf {
    let set = ["OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"]
        .iter()
        .find_map(std::env::var_os);
    set.map_or_else(|| PathBuf::from("/etc/OpenCL/vendors"), PathBuf::from)
}

/// What is wrong with the drivers that the loader passes over.
pub(super) fn broken_drivers() -> Vec<String> {
    library::drivers(&vendors(), load)
}

/// Why the loader finds no driver.
fn no_driver() -> String {
    let wrong = broken_drivers();
    if wrong.is_empty() {
        return format!("the loader finds no driver in {}", vendors().display());
    }
    format!("the loader finds no driver: {}", wrong.join("; "))
}

/// All devices of all platforms.
pub(super) fn devices() -> Result<Vec<Candidate>, PipelineError> {
    let _setting_up = SETTING_UP.lock().unwrap_or_else(PoisonError::into_inner);
    let platforms = get_platforms().map_err(|ClError(code)| match code {
        DLOPEN_RUNTIME_LOAD_FAILED => {
            PipelineError::Backend(format!("OpenCL: {}; {INSTALL}", no_loader()))
        }
        PLATFORM_NOT_FOUND => PipelineError::Backend(format!("OpenCL: {}; {INSTALL}", no_driver())),
        code => failed("clGetPlatformIDs", ClError(code)),
    })?;
    let mut candidates = Vec::new();
    for platform in platforms {
        // A platform whose devices cannot be listed has none that could be used.
        for id in platform.get_devices(CL_DEVICE_TYPE_ALL).unwrap_or_default() {
            let listed = Listed {
                platform: Platform::new(platform.id()),
                device: Device::new(id),
            };
            candidates.push(Candidate {
                found: listed.found(),
                device: listed.device,
            });
        }
    }
    if candidates.is_empty() {
        return Err(PipelineError::Backend(format!(
            "OpenCL: no platform has a device; {INSTALL}"
        )));
    }
    Ok(candidates)
}

impl Listed {
    /// What it is, and whether it will do.
    fn found(&self) -> Found {
        let device = &self.device;
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
                "it has no fine-grained shared virtual memory with atomics, so it cannot follow a ring that lives; use \
                 --backend cpu"
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
                backend: "opencl",
                name: device.name().unwrap_or_else(unknown).trim().to_owned(),
                driver: format!(
                    "{} ({})",
                    self.platform.name().unwrap_or_else(unknown).trim(),
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
}

/// A context, which lives as long as anything in it.
struct Session {
    context: Context,
    number: u64,
}

/// A block of shared virtual memory.
struct Block {
    session: Arc<Session>,
    /// What `clSVMAlloc` returned.
    allocated: NonNull<c_void>,
    /// The first byte that is used: a multiple of a page.
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a `Block` is addresses and a length; the memory behind them may be used from any thread (OpenCL 2.0, 5.6.1:
// fine-grained buffers are shared at the granularity of bytes), and `clSVMFree` may be called from any.
unsafe impl Send for Block {}
// SAFETY: as for `Send`: the methods of a shared `Block` only tell addresses.
unsafe impl Sync for Block {}

impl Block {
    fn new(session: &Arc<Session>, flags: u64, bytes: usize) -> Result<Self, PipelineError> {
        let bytes = bytes.max(1);
        let total = bytes
            .checked_add(PAGE_BYTES)
            .filter(|total| isize::try_from(*total).is_ok())
            .ok_or_else(|| failed("clSVMAlloc", "the size is out of range"))?;
        // SAFETY: the context is alive (`session` holds it) and the flags are a combination that clSVMAlloc knows; the
        // result is checked before it is used.
        let allocated = unsafe { svm_alloc(session.context.get(), flags, total, SVM_ALIGN) };
        let allocated = allocated.ok().and_then(NonNull::new).ok_or_else(|| {
            failed(
                "clSVMAlloc",
                format_args!("{total} bytes cannot be allocated; use fewer or smaller chunks"),
            )
        })?;
        let first = allocated.cast::<u8>();
        let skip = first.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        // SAFETY: `skip` is at most a page, and the allocation is `bytes` and a page long.
        let base = unsafe { first.add(skip) };
        Ok(Self {
            session: Arc::clone(session),
            allocated,
            base,
            bytes,
        })
    }

    /// Memory that host and device see while kernels run, zeroed.
    fn fine(session: &Arc<Session>, bytes: usize) -> Result<Self, PipelineError> {
        let flags = CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS;
        let block = Self::new(session, flags, bytes)?;
        // SAFETY: `base` is valid for `bytes` bytes (`new`), the host may write a fine-grained buffer without mapping it,
        // and nobody else knows its address yet.
        unsafe { ptr::write_bytes(block.base.as_ptr(), 0, block.bytes) };
        Ok(block)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the pointer came from clSVMAlloc of this context, is freed once, here, and whoever uses the memory holds
        // the block: kernels run only while `device::host` keeps it alive. An error leaves it allocated, which is safe.
        let _freed = unsafe { svm_free(self.session.context.get(), self.allocated.as_ptr()) };
    }
}

// SAFETY: only blocks of `Block::fine` are handed out as this. They are readable and writable by the host without mapping
// from `base` on for `bytes` bytes, which `new` checked to fit in an isize, until `drop`; zeroed by `fine`; aligned to a
// page. This module hands a block to one owner only, and touches it no more.
unsafe impl HostVisible for Block {
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

impl DeviceMemory for Block {
    fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }
}

/// Tables in a fine-grained buffer.
struct Tables(Block);

impl TableMemory for Tables {
    fn address(&self) -> u64 {
        self.0.base.as_ptr() as u64
    }

    fn write(&self, at: usize, words: &[u32]) -> Result<(), PipelineError> {
        let capacity = self.0.bytes / 4;
        if at > capacity || words.len() > capacity - at {
            return Err(failed("a write to the tables", "it goes beyond their end"));
        }
        for (index, word) in words.iter().enumerate() {
            // SAFETY: `at + index` is below the block's words (checked above), the block is aligned to a page, alive as
            // long as `self`, and reached by nobody but this method, with atomics, and the device.
            let target =
                unsafe { AtomicU32::from_ptr(self.0.base.as_ptr().cast::<u32>().add(at + index)) };
            target.store(*word, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A queue and a kernel object of its own: what one launch needs.
struct Lane {
    queue: CommandQueue,
    kernel: Kernel,
}

/// An OpenCL device with the kernel built for it.
pub(super) struct OpenClDriver {
    info: DeviceInfo,
    shape: Shape,
    /// Workers that the device runs side by side.
    units: u32,
    /// Whether groups of one launch may run one after the other, so that each needs a launch of its own.
    apart: bool,
    /// Lanes that no launch uses now. Before the program and the session, which they use.
    lanes: Mutex<Vec<Lane>>,
    program: Program,
    session: Arc<Session>,
}

impl OpenClDriver {
    /// Builds the kernel for a device.
    pub fn new(candidate: &Candidate, shape: Option<Shape>) -> Result<Self, PipelineError> {
        let device = &candidate.device;
        let apart = device
            .dev_type()
            .is_ok_and(|kind| kind & CL_DEVICE_TYPE_CPU != 0);
        let most = u32::try_from(device.max_work_group_size().unwrap_or(1)).unwrap_or(1);
        let shape = shape.unwrap_or(if apart {
            Shape {
                lanes: 1,
                strip: CPU_STRIP,
            }
        } else {
            Shape {
                lanes: GPU_LANES,
                strip: 1,
            }
        });
        if !shape.lanes.is_power_of_two()
            || shape.lanes > most
            || shape.strip == 0
            || shape.strip > 64
        {
            return Err(failed(
                "a launch",
                format_args!(
                    "groups of {} lanes with strips of {} are not possible here",
                    shape.lanes, shape.strip
                ),
            ));
        }
        let context =
            Context::from_device(device).map_err(|error| failed("clCreateContext", error))?;
        let options = format!(
            "-cl-std=CL2.0 -DGM_LANES={} -DGM_STRIP={}",
            shape.lanes, shape.strip
        );
        let setting_up = SETTING_UP.lock().unwrap_or_else(PoisonError::into_inner);
        let program = Program::create_and_build_from_source(&context, &SOURCE.concat(), &options)
            .map_err(|error| failed("clBuildProgram", error))?;
        let driver = Self {
            info: candidate.found.info.clone(),
            shape,
            units: device.max_compute_units().unwrap_or(1).max(1),
            apart,
            lanes: Mutex::new(Vec::new()),
            program,
            session: Arc::new(Session {
                context,
                number: next_device_number(),
            }),
        };
        driver.compile()?;
        drop(setting_up);
        Ok(driver)
    }

    /// Drivers may compile a kernel when it is first launched: launches it in a way that makes it leave at once.
    fn compile(&self) -> Result<(), PipelineError> {
        let block = Block::fine(&self.session, 4)?;
        let address = DeviceMemory::address(&block);
        self.launch(&Launch {
            shared: address,
            chunks: address,
            chunk_states: address,
            state: address,
            tables: address,
            first: 0,
            groups: 1,
            number: 0,
        })
    }

    /// On a processor as many as feed it, and on a GPU as many as there is room for.
    pub fn workers(&self, feeders: usize) -> usize {
        if self.apart {
            feeders
        } else {
            self.units as usize
        }
    }

    fn lane(&self) -> Result<Lane, PipelineError> {
        let idle = self
            .lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(lane) = idle {
            return Ok(lane);
        }
        Ok(Lane {
            queue: CommandQueue::create_default_with_properties(&self.session.context, 0, 0)
                .map_err(|error| failed("clCreateCommandQueueWithProperties", error))?,
            kernel: Kernel::create(&self.program, "gristmill")
                .map_err(|error| failed("clCreateKernel", error))?,
        })
    }
}

impl Driver for OpenClDriver {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// On a processor each worker has a launch of its own: PoCL runs groups of one launch one after the other if it likes.
    fn crews(&self, wanted: usize) -> Vec<u32> {
        let workers = self.units.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        if self.apart {
            vec![1; workers as usize]
        } else {
            vec![workers]
        }
    }

    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, PipelineError> {
        Ok(Box::new(Block::fine(&self.session, bytes)?))
    }

    fn state(&self, bytes: usize, first: &[u32]) -> Result<Box<dyn DeviceMemory>, PipelineError> {
        if size_of_val(first) > bytes {
            return Err(failed("clSVMAlloc", "it begins with more than it holds"));
        }
        let bytes = bytes.next_multiple_of(4);
        let block = Block::new(&self.session, CL_MEM_READ_WRITE, bytes)?;
        let lane = self.lane()?;
        // SAFETY: the block is `bytes` long, a multiple of the pattern's 4, and aligned to a page; it lives until the fill
        // has been waited for; nobody else knows its address.
        let filled = unsafe {
            lane.queue
                .enqueue_svm_mem_fill(block.base.as_ptr().cast(), &[0_u32], bytes, &[])
        };
        let filled = filled.map_err(|error| failed("clEnqueueSVMMemFill", error))?;
        filled
            .wait()
            .map_err(|error| failed("clWaitForEvents", error))?;
        if !first.is_empty() {
            // SAFETY: `first` is no longer than the block (checked above), both live until the copy, which blocks, is done,
            // and they do not overlap: the block is new, and nobody else knows its address.
            let copied = unsafe {
                lane.queue.enqueue_svm_mem_cpy(
                    opencl3::types::CL_BLOCKING,
                    block.base.as_ptr().cast(),
                    first.as_ptr().cast(),
                    size_of_val(first),
                    &[],
                )
            };
            copied.map_err(|error| failed("clEnqueueSVMMemcpy", error))?;
        }
        self.lanes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(lane);
        Ok(Box::new(block))
    }

    fn tables(&self, words: usize) -> Result<Box<dyn TableMemory>, PipelineError> {
        let bytes = words
            .checked_mul(4)
            .ok_or_else(|| failed("clSVMAlloc", "the size is out of range"))?;
        Ok(Box::new(Tables(Block::fine(&self.session, bytes)?)))
    }

    fn launch(&self, launch: &Launch) -> Result<(), PipelineError> {
        let lane = self.lane()?;
        let pointers = [
            launch.shared,
            launch.chunks,
            launch.chunk_states,
            launch.state,
            launch.tables,
        ];
        let numbers = [launch.first, launch.groups, launch.number];
        let lanes = self.shape.lanes as usize;
        let global = [launch.groups as usize * lanes];
        let local = [lanes];
        let set = |error| failed("clSetKernelArg", error);
        for (index, address) in (0..).zip(pointers) {
            // SAFETY: the kernel takes five pointers first (kernel/megakernel.h), and these lie in blocks of this context
            // (whoever makes a `Launch` promises it).
            unsafe {
                lane.kernel
                    .set_arg_svm_pointer(index, address as *const c_void)
            }
            .map_err(set)?;
        }
        for (index, number) in (5..).zip(numbers) {
            // SAFETY: the kernel takes three words of 32 bits next.
            unsafe { lane.kernel.set_arg(index, &number) }.map_err(set)?;
        }
        // SAFETY: the kernel takes local memory last, of a size that every candidate has (`Candidate::found`).
        unsafe { lane.kernel.set_arg_local_buffer(8, LOCAL_BYTES) }.map_err(set)?;
        // SAFETY: all nine arguments are set; the memory behind them is laid out as the kernel expects and lives until
        // this returns (whoever makes a `Launch` promises both), which is after the kernel has left: if the wait fails, the
        // device is taken for lost and the memory is kept (`device::host`). The sizes are arrays of one, for one dimension.
        let launched = unsafe {
            lane.queue.enqueue_nd_range_kernel(
                lane.kernel.get(),
                1,
                ptr::null(),
                global.as_ptr(),
                local.as_ptr(),
                &[],
            )
        };
        let over = launched
            .map_err(|error| failed("clEnqueueNDRangeKernel", error))
            .and_then(|event| {
                let over = event.wait();
                // Releasing what a lost device may still use could wait for it.
                over.inspect_err(|_| std::mem::forget(event))
                    .map_err(|error| failed("clWaitForEvents", error))
            });
        match over {
            Ok(()) => self
                .lanes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(lane),
            Err(_) => std::mem::forget(lane),
        }
        over
    }
}
