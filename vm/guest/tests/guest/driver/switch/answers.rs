//! The disk's own answer to a read that is not refused earlier, because sysfs says that the disk is larger.

use super::super::{finish, submit, with_driver, Passthrough};
use super::commands::{one_of_three_fails, with_stream};
use gristmill_vm_guest::disk::{Disk, Namespace, Pretence, DATA_BYTES};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;

/// Lets a namespace of `data` seem twice as large as it is.
fn enlarged(namespace: &Namespace) -> Pretence {
    let size = namespace.queue.with_file_name("size");
    Pretence::new(&size, &format!("{}\n", 2 * DATA_BYTES / 512))
}

#[test]
fn blocks_that_the_disk_has_not_got_fail_one_read_of_a_driver_with_the_disks_words() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    for namespace in [disk.namespace(1), disk.namespace(2)] {
        let _pretence = enlarged(&namespace);
        for memory in [Memory::host(4 * 8192), Memory::peer(4 * 8192)] {
            with_driver(&memory, Passthrough, 4, |driver| {
                // The first block is not there: no more than that is seen at submission, and it is nothing of the path.
                let error = submit(driver, &namespace, DATA_BYTES, 8192, 0).unwrap_err();
                assert!(error.to_string().contains("LBA out of range"), "{error}");
                let positions = [0, DATA_BYTES - 4096, DATA_BYTES + 8192, DATA_BYTES - 8192];
                for (slot, position) in (0..).zip(positions) {
                    submit(driver, &namespace, position, 8192, slot).unwrap();
                }
                let (landed, mut failed) = finish(driver);
                let mut slots: Vec<u32> = landed.iter().map(|read| read.slot).collect();
                slots.sort_unstable();
                assert_eq!(slots, [0, 3]);
                for slot in [0, 3] {
                    memory.assert_words(slot * 8192, 8192, 0, positions[slot]);
                }
                failed.sort_unstable();
                let path = namespace.generic_path.display().to_string();
                for (error, slot) in failed.iter().zip([1, 2]) {
                    let lba = positions[slot] / namespace.block_bytes;
                    for words in [
                        &path,
                        &format!("offset {}: slot {slot}: ", positions[slot]),
                        &format!("LBA {lba}: LBA out of range (NVMe status 0x4080"),
                    ] {
                        assert!(error.contains(words.as_str()), "{words:?}: {error}");
                    }
                }
                let telemetry = driver.telemetry_snapshot();
                assert_eq!((telemetry.failed_completions, failed.len()), (2, 2));
            });
        }
    }
}

#[test]
fn blocks_that_the_disk_has_not_got_fail_one_command_of_a_stream_with_the_disks_words() {
    if !in_guest("") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let _pretence = enlarged(&namespace);
    let memory = Memory::host(4 << 20);
    with_stream(&memory, |stream, tail, base| {
        let last = DATA_BYTES / 512 - 8;
        let lbas = [last, last + 4, last];
        let error = one_of_three_fails((stream, tail, base), &namespace, 70, lbas);
        for words in ["user data 71", "LBA out of range (NVMe status 0x4080"] {
            assert!(error.contains(words), "{error}");
        }
        for at in [0, 8192] {
            memory.assert_words((2 << 20) + at, 4096, 0, DATA_BYTES - 4096);
        }
    });
}
