use super::switch::commands::{one_of_three_fails, with_stream};
use super::{finish, submit, with_driver, Passthrough, PeerRead};
use crate::media_error::{SECTOR, SHAPE};
use gristmill_vm_guest::disk::{file, Disk, BAD_BYTE};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::Memory;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

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

#[test]
fn a_first_read_that_touches_the_sector_fails_and_the_next_ones_arrive() {
    if !in_guest(SHAPE) {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let memory = Memory::peer(2 * 4096);
    with_driver(&memory, Passthrough, 2, |driver| {
        for _ in 0..2 {
            let error = submit(driver, &namespace, SECTOR * 512, 4096, 0).unwrap_err();
            for words in ["first read", "unrecovered read error"] {
                assert!(error.to_string().contains(words), "{error}");
            }
        }
        submit(driver, &namespace, 0, 4096, 0).unwrap();
        submit(driver, &namespace, SECTOR * 512, 4096, 1).unwrap();
        let (landed, failed) = finish(driver);
        assert_eq!((landed.len(), landed[0].slot, failed.len()), (1, 0, 1));
        memory.assert_words(0, 4096, 0, 0);
    });
}

#[test]
fn only_the_command_of_a_stream_that_touches_the_sector_fails() {
    if !in_guest(SHAPE) {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let memory = Memory::host(4 << 20);
    with_stream(&memory, |stream, tail, base| {
        let lbas = [SECTOR - 8, SECTOR, SECTOR + 8];
        let error = one_of_three_fails((stream, tail, base), &namespace, 0, lbas);
        let words = "user data 1: the command at LBA 1000: unrecovered read error";
        assert!(error.contains(words), "{error}");
        for number in [0, 2] {
            let at = (2 << 20) + number * 4096;
            memory.assert_words(at, 4096, 0, (SECTOR - 8) * 512 + number as u64 * 4096);
        }
    });
}

#[test]
fn of_a_file_only_the_part_that_touches_the_sector_fails() {
    const PART: usize = 64 << 10;
    if !in_guest(SHAPE) {
        return;
    }
    let bad = u32::try_from(BAD_BYTE as usize / PART).unwrap();
    for (path, words) in [
        (Passthrough, "unrecovered read error"),
        (PeerRead, "reports a medium error"),
    ] {
        let memory = Memory::peer(16 * PART);
        with_driver(&memory, path, 16, |driver| {
            let flags = if path == PeerRead { libc::O_DIRECT } else { 0 };
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags(flags)
                .open(file("one-extent"));
            let opened = Arc::new(opened.unwrap());
            for slot in 0..16 {
                let offset = u64::from(slot) * PART as u64;
                let len = u32::try_from(PART).unwrap();
                driver
                    .submit_file_range(&opened, offset, len, slot, slot)
                    .unwrap();
            }
            let (landed, failed) = finish(driver);
            assert_eq!((landed.len(), failed.len()), (15, 1), "{path}: {failed:?}");
            let slot = format!("slot {bad}: ");
            assert!(
                failed[0].contains(&slot) && failed[0].contains(words),
                "{failed:?}"
            );
            for read in landed {
                let at = read.slot as usize * PART;
                memory.assert_words(at, PART, 1, at as u64);
            }
        });
    }
}
