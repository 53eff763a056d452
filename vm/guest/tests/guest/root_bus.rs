//! Disks on the root bus. No switch passes data from one to another, so the kernel refuses such reads.

use super::read_that_brings_nothing_into_peer_memory;
use gristmill_vm_guest::in_guest;

#[test]
fn a_read_into_peer_memory_is_refused() {
    if !in_guest("--root-bus") {
        return;
    }
    assert_eq!(read_that_brings_nothing_into_peer_memory(), -libc::EINVAL);
}
