//! An emulated IOMMU that loses what one disk sends to another, and reports success.

use gristmill_vm_guest::disk::Disk;
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::{Memory, POISON};
use gristmill_vm_guest::passthrough::Passthrough;

#[test]
fn a_read_into_peer_memory_succeeds_and_nothing_arrives() {
    if !in_guest("--iommu") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let host = Memory::host(4096);
    assert_eq!(Passthrough::new(&namespace, &host, 8).read(0, 4096, 0), 0);
    host.assert_words(0, 4096, 0, 0);

    let peer = Memory::peer(4096);
    peer.poison(0, 4096);
    assert_eq!(Passthrough::new(&namespace, &peer, 8).read(0, 4096, 0), 0);
    assert!(peer.words(0, 4096).all(|word| word == POISON));
}
