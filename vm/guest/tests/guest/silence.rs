//! A disk that stops answering: the kernel gives up on its reads, and resets it.

use gristmill_vm_guest::disk::{Disk, Namespace};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;
use gristmill_vm_guest::passthrough::Passthrough;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A disk that was silenced. Without its registers and without DMA it neither sees a command nor can complete one,
/// until the kernel loses patience with a read (within a few seconds) and resets it. Dropping this restores the
/// kernel's timeout.
pub struct Silenced(PathBuf);

impl Silenced {
    pub fn new(disk: &Disk, namespace: &Namespace) -> Self {
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
        Silenced(patience)
    }
}

impl Drop for Silenced {
    fn drop(&mut self) {
        fs::write(&self.0, "30000").unwrap();
    }
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
    let silenced = Silenced::new(&disk, &namespace);
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
    drop(silenced);
    assert_eq!(passthrough.read(4096, 4096, 0), 0);
    memory.assert_words(0, 4096, 0, 4096);
}
