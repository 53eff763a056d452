use super::{finish, submit, with_driver, Passthrough, PeerRead};
use gristmill_vm_guest::disk::{file, Disk};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[test]
fn the_canary_catches_reads_that_succeed_and_bring_nothing() {
    if !in_guest("--iommu") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let (host, peer) = (Memory::host(8192), Memory::peer(2 << 20));
    with_driver(&host, Passthrough, 2, |driver| {
        submit(driver, &namespace, 4096, 4096, 1).unwrap();
        assert_eq!(finish(driver).0.len(), 1);
        host.assert_words(4096, 4096, 0, 4096);
    });
    with_driver(&peer, Passthrough, 1, |driver| {
        for _ in 0..2 {
            let error = submit(driver, &namespace, 4096, 4096, 0)
                .unwrap_err()
                .to_string();
            assert!(error.contains("never written"), "{error}");
        }
        assert_eq!(driver.telemetry_snapshot().submitted_reads, 0);
    });
    let hole = file("driver-begins-with-a-hole");
    let written = File::create(&hole).unwrap();
    written.write_all_at(&[1; 4096], 8192).unwrap();
    // Zeros that are not read from the disk prove nothing.
    with_driver(&peer, PeerRead, 1, |driver| {
        let error = driver.submit_file(&hole, 0).unwrap_err().to_string();
        assert!(error.contains("never written"), "{error}");
    });
    with_driver(&peer, PeerRead, 1, |driver| {
        let error = driver
            .submit_file(&file("one-extent"), 0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("never written"), "{error}");
    });
}
