//! Tests with the real NVMe driver, in the guest that `vm/run` boots (`vm/test` runs all of them). Each shape of the
//! guest has a module, whose tests print `skipped:` outside of that shape. The tests here read by their own commands,
//! to check the behaviour of the kernel and the guest. Those in `driver` and `reader` test the driver and the reader,
//! and those in `tool` run the tool itself.

mod driver;
mod iommu;
mod media_error;
mod reader;
mod removal;
mod root_bus;
mod silence;
mod switch;
mod tool;

use gristmill_vm_guest::disk::Disk;
use gristmill_vm_guest::memory::{Memory, POISON};
use gristmill_vm_guest::passthrough::Passthrough;

/// Reads the disk's first words into host memory, where they must arrive, and into peer memory, where nothing may
/// arrive. Returns the kernel's answer to the second read.
fn read_that_brings_nothing_into_peer_memory() -> i32 {
    let namespace = Disk::find("data").namespace(1);
    let host = Memory::host(4096);
    assert_eq!(Passthrough::new(&namespace, &host, 8).read(0, 4096, 0), 0);
    host.assert_words(0, 4096, 0, 0);

    let peer = Memory::peer(4096);
    peer.poison(0, 4096);
    let answer = Passthrough::new(&namespace, &peer, 8).read(0, 4096, 0);
    assert!(peer.words(0, 4096).all(|word| word == POISON));
    answer
}
