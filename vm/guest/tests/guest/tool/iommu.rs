use super::{digest_into, gristmill, has_tool, path, peer, sorted_rows};
use gristmill_vm_guest::disk::file;
use gristmill_vm_guest::in_guest;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[test]
fn reads_that_bring_nothing_into_peer_memory_are_refused_by_what_the_first_one_brings() {
    if !in_guest("--iommu") || !has_tool() {
        return;
    }
    let (one, many, peer) = (path(0), path(1), peer());
    for read_path in ["peer", "passthrough"] {
        let done = digest_into(&peer, read_path, &["-j", "1", &one, &many]);
        for line in done.refusals(2) {
            let memory = format!("into peer memory of {peer} is refused");
            assert!(
                line.contains(&memory) && line.contains("never written"),
                "{line}"
            );
        }
    }
    // Bytes that the processor copies arrive, and so do bytes that commands transfer into host memory.
    let done = digest_into(&peer, "positioned", &[&one, &many]);
    assert_eq!(
        (done.code, done.rows()),
        (Some(0), sorted_rows(&[0, 1])),
        "{}",
        done.err
    );
    let done = gristmill(&[
        "digest",
        "--algorithm=crc32c",
        "--read-path",
        "passthrough",
        &one,
        &many,
    ]);
    assert_eq!(
        (done.code, done.rows()),
        (Some(0), sorted_rows(&[0, 1])),
        "{}",
        done.err
    );
}

#[test]
fn zeros_that_no_disk_brings_do_not_prove_that_others_would_arrive() {
    if !in_guest("--iommu") || !has_tool() {
        return;
    }
    let path = file("begins-with-a-hole");
    let written = File::create(&path).unwrap();
    written.write_all_at(&[1; 4096], 512 << 10).unwrap();
    written.sync_all().unwrap();
    let flags = ["-j", "1", "--chunk-size", "64K", path.to_str().unwrap()];
    let done = digest_into(&peer(), "peer", &flags);
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(2), ""),
        "{}",
        done.err
    );
    assert!(done.err.contains("never written"), "{}", done.err);
}
