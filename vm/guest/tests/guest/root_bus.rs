//! Disks on the root bus: no switch passes data from one to another, so the kernel refuses it.

use gristmill_vm_guest::disk::Disk;
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::{Memory, POISON};
use gristmill_vm_guest::passthrough::Passthrough;

#[test]
fn a_read_into_peer_memory_is_refused() {
    if !in_guest("--root-bus") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let host = Memory::host(4096);
    assert_eq!(Passthrough::new(&namespace, &host, 8).read(0, 4096, 0), 0);
    host.assert_words(0, 4096, 0, 0);

    let peer = Memory::peer(4096);
    peer.poison(0, 4096);
    assert_eq!(
        Passthrough::new(&namespace, &peer, 8).read(0, 4096, 0),
        -libc::EINVAL
    );
    assert!(peer.words(0, 4096).all(|word| word == POISON));
}
