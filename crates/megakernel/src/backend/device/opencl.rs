//! OpenCL devices: those that support OpenCL 2.0 or later and share memory with the host word by word.
//!
//! The loader (`libOpenCL.so.1`) is loaded at run time, so the same binary also runs on machines without it. A ring
//! that is in use needs memory that host and device both see, with atomics, while a kernel runs: fine-grained buffers
//! of shared virtual memory. A device without such memory is refused, with the reason; it is never served through
//! copies.
#![allow(unsafe_code)]

mod devices;
mod memory;

use super::driver::{failed, next_device_number, Capacity, DeviceMemory, Driver, Launch, Purpose};
use super::info::Found;
use super::{DeviceBackend, LOCAL_BYTES, SOURCE};
use crate::KernelError;
use gristmill_ring::HostVisible;
use memory::{Coarse, Fine};
use opencl3::command_queue::CommandQueue;
use opencl3::context::Context;
use opencl3::device::{Device, CL_DEVICE_TYPE_CPU};
use opencl3::error_codes::ClError;
use opencl3::kernel::Kernel;
use opencl3::program::Program;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

/// The number of lanes in a group on a GPU.
const GPU_LANES: u32 = 128;

/// The number of windows that a lane runs side by side on a processor, so that they fill its vector units.
const CPU_STRIP: u32 = 64;

/// The back end that runs kernels on an OpenCL device.
pub type OpenClBackend = DeviceBackend<OpenCl>;

impl OpenClBackend {
    /// Lists the drivers that OpenCL's loader is configured with and that do not load, with the reasons. The loader
    /// itself skips them silently.
    pub fn broken_drivers() -> Vec<String> {
        devices::broken_drivers()
    }

    /// The same as [`DeviceBackend::new`], but the shape of the groups can be chosen.
    ///
    /// # Errors
    /// The same as [`DeviceBackend::new`], and [`KernelError::Driver`] for a shape that the device cannot run.
    pub fn with_shape(device: Option<usize>, shape: Option<Shape>) -> Result<Self, KernelError> {
        Self::open(device, shape)
    }
}

/// The shape of the kernel's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The number of lanes in a group, which work on a chunk together. It must be a power of two.
    pub lanes: u32,
    /// The number of windows of a program that a lane runs side by side, from 1 to 64.
    pub strip: u32,
}

/// Converts the error of a failed driver call, for use with `map_err`.
fn refused(call: &'static str) -> impl Fn(ClError) -> KernelError {
    move |error| failed::<OpenCl>(call, Some(error.0), error)
}

/// A context. It lives as long as anything in it.
struct Session {
    context: Context,
    /// The number that [`HostVisible::device`] returns.
    number: u64,
}

impl Session {
    fn queue(&self) -> Result<CommandQueue, KernelError> {
        CommandQueue::create_default_with_properties(&self.context, 0, 0)
            .map_err(refused("clCreateCommandQueueWithProperties"))
    }
}

/// A queue with its own kernel object: the resources that one launch needs.
pub struct Lane {
    queue: CommandQueue,
    kernel: Kernel,
}

/// An OpenCL device with the kernel built for it.
pub struct OpenCl {
    shape: Shape,
    capacity: Capacity,
    /// This field precedes the session because the program belongs to the session's context.
    program: Program,
    session: Arc<Session>,
}

impl Driver for OpenCl {
    const API: &'static str = "OpenCL";
    const BACKEND: &'static str = "opencl";
    const INSTALL: &'static str =
        "install a driver and its loader (Debian: pocl-opencl-icd for the processor, intel-opencl-icd or \
         mesa-opencl-icd for GPUs)";
    type Handle = Device;
    type Shape = Shape;
    type Queue = Lane;

    fn list() -> Result<Vec<(Found, Device)>, KernelError> {
        devices::list()
    }

    fn open(device: &Device, shape: Option<Shape>) -> Result<Self, KernelError> {
        let kind = device.dev_type();
        let processor = kind.is_ok_and(|kind| kind & CL_DEVICE_TYPE_CPU != 0);
        let suits = if processor {
            Shape {
                lanes: 1,
                strip: CPU_STRIP,
            }
        } else {
            Shape {
                lanes: GPU_LANES,
                strip: 1,
            }
        };
        let shape = shape.unwrap_or(suits);
        let most = u32::try_from(device.max_work_group_size().unwrap_or(1)).unwrap_or(1);
        if !shape.lanes.is_power_of_two() || shape.lanes > most || !(1..=64).contains(&shape.strip)
        {
            return Err(failed::<Self>(
                "a launch",
                None,
                format_args!(
                    "groups of {} lanes with strips of {} are not possible here",
                    shape.lanes, shape.strip
                ),
            ));
        }
        let context = Context::from_device(device).map_err(refused("clCreateContext"))?;
        let options = format!(
            "-cl-std=CL2.0 -DGM_LANES={} -DGM_STRIP={}",
            shape.lanes, shape.strip
        );
        let program = Program::create_and_build_from_source(&context, &SOURCE.concat(), &options)
            .map_err(|log| failed::<Self>("clBuildProgram", None, log))?;
        let units = device.max_compute_units().unwrap_or(1).max(1);
        Ok(Self {
            shape,
            capacity: Capacity {
                units,
                groups: units,
                // PoCL may run the groups of one launch one after the other.
                concurrent: !processor,
            },
            program,
            session: Arc::new(Session {
                context,
                number: next_device_number(),
            }),
        })
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, KernelError> {
        Ok(Box::new(Fine::new(&self.session, bytes)?))
    }

    fn memory(&self, words: usize, purpose: Purpose) -> Result<Box<dyn DeviceMemory>, KernelError> {
        let bytes = words.saturating_mul(4);
        Ok(match purpose {
            Purpose::State => Box::new(Coarse::new(&self.session, bytes)?),
            Purpose::Tables => Box::new(Fine::new(&self.session, bytes)?),
        })
    }

    fn queue(&self) -> Result<Lane, KernelError> {
        Ok(Lane {
            queue: self.session.queue()?,
            kernel: Kernel::create(&self.program, "gristmill")
                .map_err(refused("clCreateKernel"))?,
        })
    }

    fn launch(&self, lane: Lane, launch: &Launch) -> Result<Lane, KernelError> {
        let lanes = self.shape.lanes as usize;
        let global = [launch.groups as usize * lanes];
        let local = [lanes];
        let set = refused("clSetKernelArg");
        for (index, address) in (0..).zip(launch.addresses) {
            // SAFETY: the kernel takes five pointers first (kernel/megakernel.h), and these lie in blocks of this
            // context, as the code that makes a `Launch` promises.
            unsafe {
                lane.kernel
                    .set_arg_svm_pointer(index, address as *const c_void)
            }
            .map_err(&set)?;
        }
        for (index, word) in (5..).zip([launch.first, launch.groups, launch.number]) {
            // SAFETY: the kernel takes three words of 32 bits next.
            unsafe { lane.kernel.set_arg(index, &word) }.map_err(&set)?;
        }
        // SAFETY: the last argument of the kernel is local memory, and `devices.rs` accepts no device that has less
        // than this size.
        unsafe { lane.kernel.set_arg_local_buffer(8, LOCAL_BYTES) }.map_err(&set)?;
        // SAFETY: all nine arguments are set. The memory behind them is laid out as the kernel expects and lives until
        // this function returns; the code that makes a `Launch` promises both. This function returns only after the
        // kernel has left, unless the wait fails; then the device is considered lost and the memory is kept
        // (`host.rs`). The sizes are arrays of one element, for one dimension.
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
        let left = launched
            .map_err(refused("clEnqueueNDRangeKernel"))
            .and_then(|event| {
                let left = event.wait();
                left.inspect_err(|_| std::mem::forget(event))
                    .map_err(refused("clWaitForEvents"))
            });
        match left {
            Ok(()) => Ok(lane),
            Err(error) => {
                // Releasing resources that a lost device may still use could block until the device is done. That
                // applies to the lane and to the event.
                std::mem::forget(lane);
                Err(error)
            }
        }
    }
}
