//! A disk that stops answering: the kernel gives up on its reads, and resets it.

use gristmill_vm_guest::disk::{Disk, Namespace};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;
use gristmill_vm_guest::passthrough::Passthrough;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

/// Silences a disk, and lets `reads` wait for what becomes of that. Without its registers and without DMA the disk neither
/// sees a command nor can complete one, until the kernel loses patience (after half a second and a few) and resets it.
pub fn silence(disk: &Disk, namespace: &Namespace, reads: impl FnOnce()) {
    const COMMAND_REGISTER: u64 = 4;
    let patience = namespace.queue.join("io_timeout");
    fs::write(&patience, "500").unwrap();
    let config = OpenOptions::new()
        .write(true)
        .open(disk.pci().join("config"));
    config
        .unwrap()
        .write_all_at(&[0, 0], COMMAND_REGISTER)
        .unwrap();
    reads();
    fs::write(&patience, "30000").unwrap();
}

#[test]
fn every_read_that_is_lost_ends_with_eintr_and_the_next_arrives() {
    const READS: u64 = 8;
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    let namespace = disk.namespace(1);
    let memory = Memory::peer(8 * 4096);
    let mut passthrough = Passthrough::new(&namespace, &memory, 8);
    assert_eq!(passthrough.read(0, 4096, 0), 0);
    silence(&disk, &namespace, || {
        for read in 0..READS {
            passthrough.submit(
                read * 4096,
                4096,
                usize::try_from(read).unwrap() * 4096,
                read,
            );
        }
        let mut ends = Vec::new();
        while let Some((read, result)) = passthrough.wait() {
            ends.push(read);
            assert_eq!(result, -libc::EINTR);
        }
        ends.sort_unstable();
        assert!(ends.into_iter().eq(0..READS));
    });
    assert_eq!(passthrough.read(4096, 4096, 0), 0);
    memory.assert_words(0, 4096, 0, 4096);
}
