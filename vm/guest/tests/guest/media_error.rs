//! A disk with a sector that cannot be read.

use gristmill_vm_guest::disk::Disk;
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;
use gristmill_vm_guest::passthrough::{Passthrough, UNRECOVERED_READ_ERROR};

/// The flag that `vm/test` passes to `vm/run`.
pub const SHAPE: &str = "--media-error=1000";
/// The sector that cannot be read.
pub const SECTOR: u64 = 1000;

#[test]
fn only_the_read_that_touches_the_sector_fails() {
    if !in_guest(SHAPE) {
        return;
    }
    let namespace = Disk::find("data").namespace(1);

    for memory in [Memory::host(64 * 4096), Memory::peer(64 * 4096)] {
        let mut passthrough = Passthrough::new(&namespace, &memory, 64);
        let first = SECTOR / 8 * 8 - 32 * 8;
        for read in 0..64 {
            let offset = usize::try_from(read).unwrap() * 4096;
            passthrough.submit((first + read * 8) * 512, 4096, offset, read);
        }
        let mut failed = Vec::new();
        while let Some((read, result)) = passthrough.wait() {
            if result == 0 {
                let offset = usize::try_from(read).unwrap() * 4096;
                memory.assert_words(offset, 4096, 0, (first + read * 8) * 512);
            } else {
                failed.push((read, result));
            }
        }
        assert_eq!(failed, [(32, UNRECOVERED_READ_ERROR)], "{memory:?}");
    }
}
