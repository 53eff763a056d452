mod answers;
mod canary;
pub mod commands;

use super::{all_zero_copy, finish, next, recycle, submit, with_driver, Passthrough, PeerRead};
use fastrand::Rng;
use gristmill_ingest::{GpuDirectCapability, NvmeNamespace, PeerDevice};
use gristmill_vm_guest::disk::{file, Disk, DATA_BYTES, FILES};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::{Memory, POISON};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

const MIB: usize = 1 << 20;

#[test]
fn the_probe_finds_disks_and_peer_memory() {
    if !in_guest("") {
        return;
    }
    let GpuDirectCapability::Available { stats } = GpuDirectCapability::probe() else {
        panic!("the guest has passthrough");
    };
    println!("{stats}");
    for expected in [
        "blocks of 512 bytes",
        "blocks of 4096 bytes",
        "bytes of peer memory available",
    ] {
        assert!(stats.contains(expected), "{expected}");
    }
    let peers = PeerDevice::list();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].bytes, 64 << 20);
}

#[test]
fn geometry_is_read_from_the_device_and_blocks_with_metadata_are_refused() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    for (id, block_bytes) in [(1, 512), (2, 4096)] {
        let namespace = NvmeNamespace::of(disk.namespace(id).generic.as_raw_fd()).unwrap();
        assert_eq!((namespace.id, namespace.block_bytes), (id, block_bytes));
        assert_eq!(namespace.blocks * u64::from(block_bytes), DATA_BYTES);
    }
    let error = NvmeNamespace::of(disk.namespace(3).generic.as_raw_fd()).unwrap_err();
    assert!(error.to_string().contains("metadata"), "{error}");
}

#[test]
fn every_size_across_splits_arrives_in_host_and_peer_memory() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    for memory in [Memory::host(4 * MIB), Memory::peer(4 * MIB)] {
        for namespace in [disk.namespace(1), disk.namespace(2)] {
            let largest = usize::try_from(namespace.max_transfer_bytes).unwrap();
            with_driver(&memory, Passthrough, 1, |driver| {
                for (bytes, commands) in [
                    (4096, 1),
                    (largest - 4096, 1),
                    (largest, 1),
                    (largest + 4096, 2),
                    (3 * MIB + 8192, (3 * MIB + 8192).div_ceil(largest)),
                ] {
                    let before = driver.stats().reads;
                    let position = DATA_BYTES / 2 + 4096;
                    memory.poison(0, bytes + 4096);
                    submit(driver, &namespace, position, bytes, 0).unwrap();
                    let (landed, failed) = finish(driver);
                    assert_eq!((landed.len(), failed), (1, Vec::new()));
                    assert_eq!(landed[0].byte_count as usize, bytes);
                    assert_eq!(driver.stats().reads - before, commands as u64, "{bytes}");
                    memory.assert_words(0, bytes, 0, position);
                    assert!(memory.words(bytes, 4096).all(|word| word == POISON));
                    recycle(driver);
                }
                let telemetry = driver.telemetry_snapshot();
                telemetry.validate_completed_zero_copy(Passthrough).unwrap();
                assert_eq!(telemetry.cpu_bounce_bytes, 0);
            });
        }
    }
}

#[test]
fn ten_thousand_reads_in_random_order_at_depth_32_all_arrive() {
    const BYTES: usize = 4096;
    if !in_guest("") {
        return;
    }
    let seed = 20_261_122;
    println!("seed {seed}");
    let namespace = Disk::find("data").namespace(1);
    for (memory, reads) in [
        (Memory::host(32 * BYTES), 1000),
        (Memory::peer(32 * BYTES), 10_000),
    ] {
        let mut random = Rng::with_seed(seed);
        let mut positions = [0; 32];
        with_driver(&memory, Passthrough, 32, |driver| {
            let (mut submitted, mut done) = (0, 0);
            let mut free: Vec<u32> = (0..32).collect();
            while done < reads {
                while submitted < reads && !free.is_empty() {
                    let slot = free.pop().unwrap();
                    positions[slot as usize] = random.u64(..DATA_BYTES / 512 - 8) * 512;
                    submit(driver, &namespace, positions[slot as usize], BYTES, slot).unwrap();
                    submitted += 1;
                }
                let (landed, failed) = next(driver);
                assert_eq!(failed, Vec::<String>::new());
                for read in landed {
                    let slot = read.slot as usize;
                    memory.assert_words(slot * BYTES, BYTES, 0, positions[slot]);
                    free.push(read.slot);
                    done += 1;
                }
                recycle(driver);
            }
            let telemetry = driver.telemetry_snapshot();
            telemetry.validate_completed_zero_copy(Passthrough).unwrap();
            assert_eq!(telemetry.completed_reads, reads);
            assert_eq!(telemetry.completed_bytes, reads * BYTES as u64);
            let stats = driver.stats();
            assert_eq!((stats.reads, stats.depth_max), (reads, 32));
            assert!(stats.mean_depth() > 1.0, "{stats:?}");
        });
    }
}

#[test]
fn blocks_that_are_not_there_are_refused_and_others_arrive() {
    if !in_guest("") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let memory = Memory::peer(65536);
    with_driver(&memory, Passthrough, 2, |driver| {
        for (position, bytes) in [(DATA_BYTES - 4096, 8192), (1 << 62, 4096)] {
            let error = submit(driver, &namespace, position, bytes, 0).unwrap_err();
            assert!(error.to_string().contains("does not have"), "{error}");
        }
        submit(driver, &namespace, DATA_BYTES - 4096, 4096, 0).unwrap();
        assert_eq!(finish(driver).0.len(), 1);
        memory.assert_words(0, 4096, 0, DATA_BYTES - 4096);
    });
}

#[test]
fn a_device_whose_geometry_is_known_is_kept_open_so_that_no_other_gets_its_number() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    let path = disk.namespace(1).generic_path;
    let memory = Memory::host(8192);
    with_driver(&memory, Passthrough, 2, |driver| {
        let device = std::sync::Arc::new(std::fs::File::open(&path).unwrap());
        driver.submit_blocks(&device, 8, 8, 0, 0).unwrap();
        drop(device);
        assert_eq!(finish(driver).0.len(), 1);
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let open = open
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok());
        assert_eq!(open.filter(|open| *open == path).count(), 1);
    });
}

#[test]
fn a_slot_that_the_device_owns_is_refused_before_a_byte_lands() {
    if !in_guest("") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let memory = Memory::peer(8192);
    with_driver(&memory, Passthrough, 2, |driver| {
        submit(driver, &namespace, 0, 4096, 1).unwrap();
        assert!(
            submit(driver, &namespace, 4096, 4096, 1).is_err(),
            "in flight"
        );
        finish(driver);
        assert!(
            submit(driver, &namespace, 4096, 4096, 1).is_err(),
            "published"
        );
        memory.assert_words(4096, 4096, 0, 0);
        recycle(driver);
        submit(driver, &namespace, 4096, 4096, 1).unwrap();
        finish(driver);
        memory.assert_words(4096, 4096, 0, 4096);
    });
}

#[test]
fn files_arrive_by_passthrough_to_their_last_byte() {
    if !in_guest("") {
        return;
    }
    for memory in [Memory::host(4 * MIB), Memory::peer(4 * MIB)] {
        with_driver(&memory, Passthrough, 2, |driver| {
            for (tag, (name, bytes)) in (1..).zip(FILES).take(2) {
                memory.poison(0, 4 * MIB);
                driver.submit_file(&file(name), 1).unwrap();
                let (landed, failed) = finish(driver);
                assert_eq!((landed.len(), failed), (1, Vec::new()), "{name}");
                assert_eq!(u64::from(landed[0].byte_count), bytes, "{name}");
                memory.assert_words(2 * MIB, usize::try_from(bytes).unwrap(), tag, 0);
                recycle(driver);
            }
            all_zero_copy(driver, Passthrough);
        });
    }
}

#[test]
fn files_whose_bytes_do_not_lie_in_blocks_are_refused_with_the_reason() {
    if !in_guest("") {
        return;
    }
    let memory = Memory::host(MIB);
    with_driver(&memory, Passthrough, 1, |driver| {
        for (name, reason) in [
            ("hole", "hole"),
            ("unwritten", "unwritten"),
            ("inline", "inline"),
        ] {
            let error = driver.submit_file(&file(name), 0).unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
        assert_eq!(driver.telemetry_snapshot().submitted_reads, 0);
    });
}

#[test]
fn every_file_arrives_in_peer_memory_where_the_file_system_maps_it() {
    if !in_guest("") {
        return;
    }
    let memory = Memory::peer(2 * MIB);
    with_driver(&memory, PeerRead, 1, |driver| {
        for (tag, (name, bytes)) in (1..).zip(FILES).take(4) {
            memory.poison(0, 2 * MIB);
            driver.submit_file(&file(name), 0).unwrap();
            let (landed, failed) = finish(driver);
            assert_eq!((landed.len(), failed), (1, Vec::new()), "{name}");
            assert_eq!(u64::from(landed[0].byte_count), bytes, "{name}");
            let bytes = usize::try_from(bytes).unwrap();
            match name {
                "hole" => {
                    memory.assert_words(0, 65536, tag, 0);
                    memory.assert_zeros(65536, 65536);
                    memory.assert_words(131_072, bytes - 131_072, tag, 131_072);
                }
                "unwritten" => {
                    memory.assert_words(0, 131_072, tag, 0);
                    memory.assert_zeros(131_072, bytes - 131_072);
                }
                _ => memory.assert_words(0, bytes, tag, 0),
            }
            recycle(driver);
        }
        all_zero_copy(driver, PeerRead);
        // These bytes lie in an inode, so the disk cannot write them directly to their place.
        let error = driver
            .submit_file(&file("inline"), 0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("inline"), "{error}");
    });
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    if !in_guest("") {
        return;
    }
    let changed = file("changed");
    std::fs::copy(file("one-extent"), &changed).unwrap();
    let writer = OpenOptions::new().write(true).open(&changed).unwrap();
    writer.sync_all().unwrap();
    let memory = Memory::host(2 * MIB);
    with_driver(&memory, Passthrough, 1, |driver| {
        driver.submit_file(&changed, 0).unwrap();
        writer.write_all_at(b"other bytes", 4096).unwrap();
        let (landed, failed) = finish(driver);
        assert_eq!((landed.len(), failed.len()), (0, 1));
        assert!(failed[0].contains("changed"), "{}", failed[0]);
    });
}
