// Only the back ends can name the items that launch a device.

pub fn a_launch(_: &gristmill_megakernel::backend::device::driver::Launch) {} //~ E0603
pub fn a_driver<D: gristmill_megakernel::backend::device::driver::Driver>(_: &D) {} //~ E0603
pub fn a_device(_: &dyn gristmill_megakernel::kernel::Device) {} //~ E0603
