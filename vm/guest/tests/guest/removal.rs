//! A disk that is pulled while it is read.

use gristmill_vm_guest::disk::{Disk, DATA_BYTES};
use gristmill_vm_guest::memory::Memory;
use gristmill_vm_guest::passthrough::Passthrough;
use gristmill_vm_guest::{in_guest, monitor};

#[test]
fn every_read_of_a_disk_that_goes_away_ends() {
    const DEPTH: u64 = 32;
    const BYTES: usize = 65536;
    if !in_guest("--monitor") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let memory = Memory::peer(32 * BYTES);
    let mut passthrough = Passthrough::new(&namespace, &memory, 32);
    let position = |read: u64| read * BYTES as u64 % DATA_BYTES;
    let offset = |read: u64| usize::try_from(read % DEPTH).unwrap() * BYTES;
    // A read's slot is free when the read before it in this slot has ended, so each completion makes room for the read
    // that is `DEPTH` further on.
    for read in 0..DEPTH {
        passthrough.submit(position(read), BYTES, offset(read), read);
    }
    let (mut arrived, mut failures) = (0, Vec::new());
    while let Some((read, result)) = passthrough.wait() {
        if result == 0 {
            memory.assert_words(offset(read), BYTES, 0, position(read));
            arrived += 1;
            if arrived == 100 {
                // Another thread removes the disk, so that the reads go on in the meantime.
                std::thread::spawn(|| monitor("device_del data"));
            }
        } else {
            failures.push(result);
        }
        if failures.is_empty() {
            passthrough.submit(position(read + DEPTH), BYTES, offset(read), read + DEPTH);
        }
    }
    println!("{arrived} reads arrived, then {failures:?}");
    assert!(arrived > 100, "reads go on until the disk is gone");
    assert!(!failures.is_empty() && failures.len() as u64 <= DEPTH);
    assert!(passthrough.read(0, BYTES, 0) < 0, "the disk stays gone");
}
