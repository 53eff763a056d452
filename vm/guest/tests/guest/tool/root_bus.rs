use super::{digest_into, has_tool, path, peer, sorted_rows};
use gristmill_vm_guest::in_guest;

#[test]
fn memory_that_the_disk_cannot_reach_is_refused_with_the_switch_that_is_missing() {
    if !in_guest("--root-bus") || !has_tool() {
        return;
    }
    let (one, many, peer) = (path(0), path(1), peer());
    for (read_path, reason) in [
        ("peer", "put the disk and the memory behind one PCIe switch"),
        ("passthrough", "Invalid argument"),
    ] {
        let done = digest_into(&peer, read_path, &[&one, &many]);
        for line in done.refusals(2) {
            assert!(line.contains(reason), "{line}");
        }
    }
    // The processor can reach the memory.
    let done = digest_into(&peer, "positioned", &[&one, &many]);
    assert_eq!(
        (done.code, done.rows()),
        (Some(0), sorted_rows(&[0, 1])),
        "{}",
        done.err
    );
}
