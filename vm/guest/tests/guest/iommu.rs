//! An emulated IOMMU that drops the data that one disk sends to another, while reads report success.

use super::read_that_brings_nothing_into_peer_memory;
use gristmill_vm_guest::in_guest;

#[test]
fn a_read_into_peer_memory_succeeds_and_nothing_arrives() {
    if !in_guest("--iommu") {
        return;
    }
    assert_eq!(read_that_brings_nothing_into_peer_memory(), 0);
}
