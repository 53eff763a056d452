// Each part of a kernel can be made in only one place.

use gristmill_megakernel::*;
use gristmill_vir0::Verified;
use std::cell::Cell;
use std::sync::Arc;

pub fn a_kernel_is_shut_down_twice(kernel: Kernel) {
    let _ = kernel.shutdown();
    let _ = kernel.shutdown(); //~ E0382
}

pub fn a_second_kernel(kernel: &Kernel) -> Kernel {
    Kernel::clone(kernel) //~ E0277
}

pub fn a_launch_by_hand(kernel: &Kernel) {
    let _ = &kernel.device; //~ E0616
}

pub fn a_table_that_is_changed(set: &mut ScanSet) {
    set.longest = 0; //~ E0616
}

pub fn a_program_that_was_not_verified(program: vir0::Program) -> Verified {
    Verified::from(program) //~ E0308
}

pub fn a_tenant_of_ones_own(tenant: &mut TenantHandle) {
    tenant.id = 7; //~ E0616
}

pub struct Opcode(Cell<u32>);

impl StreamOpcode for Opcode { //~ E0277
    fn run(&self, _: &[u8], _: &StreamSlot<'_>, _: &mut gristmill_ring::RecordWriter<'_>) -> Result<gristmill_ring::Outcome, u32> {
        self.0.set(1);
        Ok(gristmill_ring::Outcome::default())
    }
}

pub fn a_feeder_that_may_not_be_sent(count: std::rc::Rc<u32>) -> FeederFactory {
    Box::new(move |_| panic!("{count}")) //~ E0277
}

pub fn a_kernel_that_leaves_its_jobs(kernel: KernelConfig) -> KernelConfig {
    KernelConfig { chunks: Arc::new(0), ..kernel } //~ E0308
}
