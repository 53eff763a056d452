//! A launch for each slot on an OpenCL device, for comparison.
#![allow(
    unsafe_code,
    reason = "the driver's calls: the peers must not be the code that is measured"
)]

use crate::ring::{self, Figures};
use opencl3::command_queue::CommandQueue;
use opencl3::context::Context;
use opencl3::device::{get_all_devices, Device, CL_DEVICE_TYPE_ALL};
use opencl3::kernel::Kernel;
use opencl3::program::Program;

/// Launches an empty kernel once for each slot and waits for it, as a host without a ring does.
pub fn launches(count: usize) -> Result<Figures, String> {
    let told = |error: opencl3::error_codes::ClError| error.to_string();
    let devices = get_all_devices(CL_DEVICE_TYPE_ALL).map_err(told)?;
    let device = Device::new(*devices.first().ok_or("no OpenCL device")?);
    let context = Context::from_device(&device).map_err(told)?;
    let program =
        Program::create_and_build_from_source(&context, "__kernel void slot(uint a) {}", "")?;
    let kernel = Kernel::create(&program, "slot").map_err(told)?;
    let queue = CommandQueue::create_default_with_properties(&context, 0, 0).map_err(told)?;
    // SAFETY: the kernel takes one word of 32 bits.
    unsafe { kernel.set_arg(0, &7_u32) }.map_err(told)?;
    let one = [1_usize];
    ring::one_by_one(count, || {
        // SAFETY: the argument is set, the sizes are arrays of one for one dimension, and the kernel touches no memory.
        let event = unsafe {
            queue.enqueue_nd_range_kernel(
                kernel.get(),
                1,
                std::ptr::null(),
                one.as_ptr(),
                one.as_ptr(),
                &[],
            )
        };
        event.map_err(told)?.wait().map_err(told)
    })
}
