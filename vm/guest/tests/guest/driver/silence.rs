use super::{finish, submit, with_driver, Passthrough};
use crate::silence::silence;
use gristmill_vm_guest::disk::Disk;
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;

#[test]
fn reads_that_are_lost_are_read_again() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    let namespace = disk.namespace(1);
    let memory = Memory::peer(8 * 65536);
    with_driver(&memory, Passthrough, 8, |driver| {
        submit(driver, &namespace, 0, 65536, 0).unwrap();
        assert_eq!(finish(driver).0.len(), 1);
        super::recycle(driver);
        let position = |slot: u32| u64::from(slot + 1) * 65536;
        silence(&disk, &namespace, || {
            for slot in 0..8 {
                submit(driver, &namespace, position(slot), 65536, slot).unwrap();
            }
            let (landed, failed) = finish(driver);
            assert_eq!((landed.len(), failed), (8, Vec::new()));
        });
        for slot in 0..8 {
            memory.assert_words(slot as usize * 65536, 65536, 0, position(slot));
        }
        driver
            .telemetry_snapshot()
            .validate_completed_zero_copy(Passthrough)
            .unwrap();
    });
}
