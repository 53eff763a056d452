use super::{next, recycle, submit, with_driver, Passthrough};
use gristmill_vm_guest::disk::Disk;
use gristmill_vm_guest::memory::Memory;
use gristmill_vm_guest::{in_guest, monitor};

#[test]
fn every_read_of_a_disk_that_goes_away_ends_and_is_counted() {
    const BYTES: usize = 65536;
    if !in_guest("--monitor") {
        return;
    }
    // Another test in the same guest removes `data`.
    let namespace = Disk::find("files").namespace(1);
    let memory = Memory::peer(32 * BYTES);
    with_driver(&memory, Passthrough, 32, |driver| {
        let mut failures = Vec::new();
        let mut arrived = 0;
        for slot in 0..32 {
            submit(
                driver,
                &namespace,
                u64::from(slot) * BYTES as u64,
                BYTES,
                slot,
            )
            .unwrap();
        }
        while driver.telemetry_snapshot().inflight_reads() > 0 {
            let (landed, failed) = next(driver);
            recycle(driver);
            failures.extend(failed);
            for read in landed {
                arrived += 1;
                if arrived == 100 {
                    monitor("device_del files");
                }
                if failures.is_empty() {
                    let again = submit(driver, &namespace, 0, BYTES, read.slot);
                    failures.extend(again.err().map(|error| error.to_string()));
                }
            }
        }
        println!("{arrived} reads arrived, then {failures:?}");
        assert!(arrived >= 100 && !failures.is_empty());
        let telemetry = driver.telemetry_snapshot();
        assert_eq!(telemetry.completed_reads, arrived);
        assert_eq!(
            telemetry.submitted_reads,
            arrived + telemetry.failed_completions
        );
    });
}
