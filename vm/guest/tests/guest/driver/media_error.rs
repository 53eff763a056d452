use super::{finish, submit, with_driver, Passthrough};
use crate::media_error::{SECTOR, SHAPE};
use gristmill_vm_guest::disk::Disk;
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;

#[test]
fn only_the_read_that_touches_the_sector_fails_and_says_why() {
    if !in_guest(SHAPE) {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    for memory in [Memory::host(64 * 4096), Memory::peer(64 * 4096)] {
        with_driver(&memory, Passthrough, 64, |driver| {
            let position = |slot: u32| (SECTOR / 8 * 8 - 32 * 8) * 512 + u64::from(slot) * 4096;
            for slot in 0..64 {
                submit(driver, &namespace, position(slot), 4096, slot).unwrap();
            }
            let (landed, failed) = finish(driver);
            assert_eq!(landed.len(), 63);
            for read in landed {
                assert_ne!(read.slot, 32);
                memory.assert_words(read.slot as usize * 4096, 4096, 0, position(read.slot));
            }
            assert_eq!(failed.len(), 1);
            assert!(failed[0].contains("slot 32") && failed[0].contains("unrecovered read error"));
            let telemetry = driver.telemetry_snapshot();
            assert_eq!(
                (telemetry.completed_reads, telemetry.failed_completions),
                (63, 1)
            );
            assert!(telemetry.validate_completed_zero_copy(Passthrough).is_err());
        });
    }
}
