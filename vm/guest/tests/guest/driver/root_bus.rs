use super::{finish, submit, with_driver, Passthrough, PeerRead};
use gristmill_vm_guest::disk::{file, Disk};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;

#[test]
fn peer_memory_is_refused_and_host_memory_works() {
    if !in_guest("--root-bus") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let (host, peer) = (Memory::host(8192), Memory::peer(8192));
    with_driver(&host, Passthrough, 2, |driver| {
        submit(driver, &namespace, 4096, 4096, 1).unwrap();
        assert_eq!(finish(driver).0.len(), 1);
        host.assert_words(4096, 4096, 0, 4096);
    });
    with_driver(&peer, Passthrough, 2, |driver| {
        let error = submit(driver, &namespace, 4096, 4096, 1)
            .unwrap_err()
            .to_string();
        assert!(error.contains("Invalid argument"), "{error}");
    });
    let peer = Memory::peer(2 << 20);
    with_driver(&peer, PeerRead, 1, |driver| {
        let error = driver
            .submit_file(&file("one-extent"), 0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("Invalid argument"), "{error}");
        assert!(error.contains("behind one PCIe switch"), "{error}");
    });
}
