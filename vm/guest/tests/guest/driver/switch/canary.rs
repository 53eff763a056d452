//! The first transfer from each disk: it is seen in the slot as soon as a read is submitted, when the read itself has
//! not begun.

use super::super::{finish, recycle, submit, with_driver, Passthrough, PeerRead};
use gristmill_vm_guest::disk::{file, Disk};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::{Memory, POISON};

const SLOT: usize = 2 << 20;

/// Whether anything was written to the slot since it was poisoned.
fn touched(memory: &Memory, slot: usize) -> bool {
    memory.words(slot * SLOT, SLOT).any(|word| word != POISON)
}

#[test]
fn it_runs_once_for_each_disk_and_memory() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    let (one, two) = (disk.namespace(1), disk.namespace(2));
    for memory in [Memory::host(4 * SLOT), Memory::peer(4 * SLOT)] {
        // A driver of its own for each memory: what was seen of one says nothing of the other.
        with_driver(&memory, Passthrough, 4, |driver| {
            memory.poison(0, memory.bytes());
            for (slot, namespace, canary) in [
                (0, &one, true),
                (1, &one, false),
                (2, &two, true),
                (3, &two, false),
            ] {
                submit(driver, namespace, 8192, 8192, slot).unwrap();
                assert_eq!(
                    touched(&memory, slot as usize),
                    canary,
                    "{memory:?}, slot {slot}"
                );
            }
            assert_eq!(driver.telemetry_snapshot().submitted_reads, 4);
            assert_eq!(finish(driver).0.len(), 4);
            recycle(driver);
            memory.poison(0, memory.bytes());
            submit(driver, &one, 0, 8192, 0).unwrap();
            assert!(!touched(&memory, 0), "nor later");
            // A file's place is known by its map: that it is right is seen once, too.
            for (slot, name, canary) in [(1, "one-extent", true), (2, "many-extents", false)] {
                driver.submit_file(&file(name), slot).unwrap();
                assert_eq!(touched(&memory, slot as usize), canary, "{name}");
            }
            assert_eq!(finish(driver).0.len(), 3);
        });
    }
    let memory = Memory::peer(2 * SLOT);
    with_driver(&memory, PeerRead, 2, |driver| {
        memory.poison(0, memory.bytes());
        for (slot, name, canary) in [(0, "many-extents", true), (1, "one-extent", false)] {
            driver.submit_file(&file(name), slot).unwrap();
            assert_eq!(touched(&memory, slot as usize), canary, "{name}");
        }
        assert_eq!(finish(driver).0.len(), 2);
    });
}

#[test]
fn memory_without_pages_behind_it_is_refused_by_either_path() {
    if !in_guest("") {
        return;
    }
    let Some(memory) = Memory::bar(2 * SLOT) else {
        return;
    };
    let namespace = Disk::find("data").namespace(1);
    with_driver(&memory, Passthrough, 2, |driver| {
        let error = submit(driver, &namespace, 0, 4096, 0).unwrap_err();
        assert!(error.to_string().contains("needs p2pdma pages"), "{error}");
        assert_eq!(driver.telemetry_snapshot().submitted_reads, 0);
    });
    with_driver(&memory, PeerRead, 2, |driver| {
        let error = driver.submit_file(&file("one-extent"), 0).unwrap_err();
        assert!(error.to_string().contains("needs p2pdma pages"), "{error}");
        assert_eq!(driver.telemetry_snapshot().submitted_reads, 0);
    });
}
