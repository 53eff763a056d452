// Safe code cannot construct values by hand that unsafe code relies on.

use gristmill_megakernel::*;

pub fn another_tenant(tenant: TenantHandle) -> TenantHandle {
    TenantHandle { id: 7, ..tenant } //~ E0451
}

pub fn a_set_without_a_table(set: ScanSet) -> ScanSet {
    ScanSet { longest: 0, ..set } //~ E0451
}
