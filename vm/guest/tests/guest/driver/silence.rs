use super::{all_zero_copy, finish, recycle, submit, with_driver, Passthrough};
use crate::silence::Silenced;
use gristmill_ingest::NvmeGpuIngestDriver;
use gristmill_vm_guest::disk::{Disk, Namespace};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::{Memory, POISON};

const BYTES: usize = 65536;

fn position(slot: u32) -> u64 {
    u64::from(slot) * BYTES as u64
}

/// Reads into all slots of a driver from a disk that has just been silenced.
fn submit_to_silence(
    driver: &mut NvmeGpuIngestDriver<'_>,
    disk: &Disk,
    namespace: &Namespace,
) -> Silenced {
    // The driver tries a disk before the first read, so the disk must not be silent yet.
    submit(driver, namespace, 0, BYTES, 0).unwrap();
    assert_eq!(finish(driver).0.len(), 1);
    recycle(driver);
    let silenced = Silenced::new(disk, namespace);
    for slot in 0..u32::try_from(driver.slot_count()).unwrap() {
        submit(driver, namespace, position(slot), BYTES, slot).unwrap();
    }
    assert!(
        driver.poll_completions().unwrap().is_empty(),
        "all are with the disk, and none comes back"
    );
    silenced
}

#[test]
fn reads_that_are_lost_are_read_again() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    let namespace = disk.namespace(1);
    let memory = Memory::peer(8 * BYTES);
    with_driver(&memory, Passthrough, 8, |driver| {
        let _silenced = submit_to_silence(driver, &disk, &namespace);
        memory.poison(0, memory.bytes());
        let (landed, failed) = finish(driver);
        assert_eq!((landed.len(), failed), (8, Vec::new()));
        assert!(driver.stats().retries >= 8, "{:?}", driver.stats());
        for slot in 0..8 {
            memory.assert_words(slot as usize * BYTES, BYTES, 0, position(slot));
        }
        all_zero_copy(driver, Passthrough);
    });
}

#[test]
fn a_driver_that_is_dropped_meanwhile_leaves_no_read_behind() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    let namespace = disk.namespace(1);
    let memory = Memory::peer(8 * BYTES);
    let mut silenced = None;
    with_driver(&memory, Passthrough, 8, |driver| {
        silenced = Some(submit_to_silence(driver, &disk, &namespace));
    });
    drop(silenced);
    memory.poison(0, memory.bytes());
    with_driver(&memory, Passthrough, 8, |driver| {
        submit(driver, &namespace, 0, BYTES, 0).unwrap();
        assert_eq!(finish(driver).0.len(), 1);
    });
    assert!(memory.words(BYTES, 7 * BYTES).all(|word| word == POISON));
}
