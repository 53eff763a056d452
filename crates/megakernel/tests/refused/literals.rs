// Nothing that unsafe code relies on can be put together by hand.

use gristmill_megakernel::*;

pub fn another_tenant(tenant: TenantHandle) -> TenantHandle {
    TenantHandle { id: 7, ..tenant } //~ E0451
}

pub fn a_set_without_a_table(set: ScanSet) -> ScanSet {
    ScanSet { longest: 0, ..set } //~ E0451
}
