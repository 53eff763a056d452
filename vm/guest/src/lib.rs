//! The guest that `vm/run` boots, as the tests use it: its disks, their contents, and memory to read them into.
//!
//! | module | what it is |
//! |---|---|
//! | [`disk`] | the guest's disks, found by serial, and the words that they are full of |
//! | [`memory`] | host memory and PCI peer memory that reads land in |
//! | [`passthrough`] | NVMe reads by `IORING_OP_URING_CMD`, raw: what the driver's answers are compared with |
//!
//! The tests are in `tests/guest`, a module for each shape of the guest.

pub mod disk;
pub mod memory;
pub mod passthrough;

use std::fs::OpenOptions;
use std::io::Write;

/// Whether this is a guest of the shape that these flags of `vm/run` make ("" for none). Prints `skipped:` if not.
pub fn in_guest(shape: &str) -> bool {
    let there = std::env::var("VM");
    if there.as_deref() == Ok(shape) {
        return true;
    }
    // This skip is not collected, because the stage `vm` runs every test in its guest, and reports if it cannot.
    match there {
        Ok(other) => {
            println!("skipped: needs a guest by vm/run {shape}, and this one is by vm/run {other}")
        }
        Err(_) => println!("skipped: needs a guest by vm/run {shape}"),
    }
    false
}

/// Hands a command to QEMU's monitor, such as `device_del data`. Its answer is not seen.
///
/// # Panics
/// Where this is no guest of `vm/run`.
pub fn monitor(command: &str) {
    let mut line = OpenOptions::new()
        .write(true)
        .open("/dev/ttyS1")
        .expect("vm/run gives the guest a line to QEMU's monitor");
    writeln!(line, "{command}").expect("QEMU reads what its monitor is sent");
}
