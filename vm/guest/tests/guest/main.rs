//! Reads from the real NVMe driver, in the guest that `vm/run` boots (`vm/test` runs all of them). A module for each
//! shape of the guest; outside of it, its tests say `skipped:`. Those here read by commands of their own, to hold what
//! the kernel and the guest do; those in `driver` and `reader` are of the driver and the reader, and those in `tool`
//! run the tool itself.

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

/// Reads the disk's first words into host memory, where they arrive, and into peer memory, where nothing may: what the
/// kernel answers to the second read.
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
