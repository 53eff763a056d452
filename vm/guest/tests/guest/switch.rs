//! Disks behind one switch. Data can go from any of them to the memory of another.

use fastrand::Rng;
use gristmill_vm_guest::disk::{file, word, Disk, DATA_BYTES, FILES};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::{Memory, POISON};
use gristmill_vm_guest::passthrough::{Passthrough, LBA_OUT_OF_RANGE};
use std::fs;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

const MIB: usize = 1 << 20;

#[test]
fn every_size_up_to_the_largest_transfer_arrives_in_host_and_peer_memory() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    for memory in [Memory::host(2 * MIB), Memory::peer(2 * MIB)] {
        for namespace in [disk.namespace(1), disk.namespace(2)] {
            let largest = usize::try_from(namespace.max_transfer_bytes).unwrap();
            assert!(largest >= 512 << 10, "QEMU's disks take 512 KiB at once");
            let mut passthrough = Passthrough::new(&namespace, &memory, 8);
            for bytes in [4096, 8192, 12288, 65536, largest - 4096, largest] {
                let position = DATA_BYTES / 2 + 4096;
                memory.poison(0, bytes + 8192);
                assert_eq!(
                    passthrough.read(position, bytes, 4096),
                    0,
                    "{memory:?} {bytes}"
                );
                memory.assert_words(4096, bytes, 0, position);
                for untouched in [0, 4096 + bytes] {
                    assert!(memory.words(untouched, 4096).all(|word| word == POISON));
                }
            }
        }
    }
}

#[test]
fn reads_in_random_order_at_depth_32_all_arrive() {
    const READS: u64 = 1000;
    const DEPTH: u64 = 32;
    const BYTES: usize = 4096;
    if !in_guest("") {
        return;
    }
    let seed = 20_261_121;
    println!("seed {seed}");
    let namespace = Disk::find("data").namespace(1);
    for memory in [Memory::host(32 * BYTES), Memory::peer(32 * BYTES)] {
        let mut random = Rng::with_seed(seed);
        let mut passthrough = Passthrough::new(&namespace, &memory, 32);
        let mut positions = [0; DEPTH as usize];
        let mut submit = |passthrough: &mut Passthrough<'_>, slot: u64, positions: &mut [u64]| {
            let position = random.u64(..DATA_BYTES / 512 - 8) * 512;
            let slot_index = usize::try_from(slot).unwrap();
            positions[slot_index] = position;
            passthrough.submit(position, BYTES, slot_index * BYTES, slot);
        };
        for slot in 0..DEPTH {
            submit(&mut passthrough, slot, &mut positions);
        }
        let mut done = 0;
        while let Some((slot, result)) = passthrough.wait() {
            assert_eq!(result, 0);
            let slot_index = usize::try_from(slot).unwrap();
            memory.assert_words(slot_index * BYTES, BYTES, 0, positions[slot_index]);
            done += 1;
            if done + DEPTH <= READS {
                submit(&mut passthrough, slot, &mut positions);
            }
        }
        assert_eq!(done, READS);
    }
}

#[test]
fn a_read_beyond_the_last_block_fails_alone() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    for memory in [Memory::host(65536), Memory::peer(65536)] {
        for namespace in [disk.namespace(1), disk.namespace(2)] {
            let mut passthrough = Passthrough::new(&namespace, &memory, 8);
            assert_eq!(passthrough.read(DATA_BYTES - 4096, 4096, 0), 0);
            memory.assert_words(0, 4096, 0, DATA_BYTES - 4096);
            assert_eq!(
                passthrough.read(DATA_BYTES - 4096, 8192, 0),
                LBA_OUT_OF_RANGE
            );
            assert_eq!(passthrough.read(0, 4096, 0), 0);
            memory.assert_words(0, 4096, 0, 0);
        }
    }
}

#[test]
fn the_files_are_what_the_tests_take_them_for() {
    if !in_guest("") {
        return;
    }
    for (tag, (name, bytes)) in (1..).zip(FILES) {
        let found = fs::read(file(name)).unwrap();
        assert_eq!(found.len() as u64, bytes, "{name}");
        for (index, at) in (0..).zip(found.chunks_exact(8)) {
            let zeros = match name {
                "hole" => 65536..131_072,
                "unwritten" => 131_072..bytes,
                _ => 0..0,
            };
            let expected = if zeros.contains(&(index * 8)) {
                0
            } else {
                word(tag, index)
            };
            assert_eq!(at, expected.to_le_bytes(), "{name} at {}", index * 8);
        }
    }
}

#[test]
fn a_direct_read_of_a_file_arrives_in_peer_memory() {
    if !in_guest("") {
        return;
    }
    let bytes = MIB;
    for memory in [Memory::host(2 * MIB), Memory::peer(2 * MIB)] {
        for (tag, name) in [(1, "one-extent"), (2, "many-extents")] {
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_DIRECT)
                .open(file(name))
                .unwrap();
            memory.poison(0, bytes);
            // SAFETY: `address` has checked the range, whose bytes nobody has references to.
            let read =
                unsafe { libc::pread(file.as_raw_fd(), memory.address(0, bytes).cast(), bytes, 0) };
            assert_eq!(
                usize::try_from(read),
                Ok(bytes),
                "{}",
                std::io::Error::last_os_error()
            );
            memory.assert_words(0, bytes, tag, 0);
        }
    }
}
