use super::super::{direct_range, DirectRange};
use super::*;
use proptest::prelude::*;
use std::path::PathBuf;

fn map(offset: u64, bytes: u64, extents: &[(u64, u64, u64, u32)]) -> FileMap {
    let identity = Identity {
        device: 0,
        inode: 0,
        size: 1 << 40,
        modified: (0, 0),
        changed: (0, 0),
    };
    let extents = extents
        .iter()
        .map(|&(logical, physical, bytes, flags)| FileExtent {
            logical,
            physical,
            bytes,
            flags,
        })
        .collect();
    FileMap {
        identity,
        offset,
        bytes,
        extents,
    }
}

#[test]
fn every_extent_that_the_disk_alone_does_not_tell_is_refused() {
    assert!(map(0, 4096, &[(0, 0, 4096, EXTENT_LAST | EXTENT_MERGED)])
        .check()
        .is_ok());
    for bit in 0..32 {
        let flag = 1 << bit;
        if flag & (EXTENT_LAST | EXTENT_MERGED) == 0 {
            assert!(
                map(0, 4096, &[(0, 0, 4096, flag)]).check().is_err(),
                "{flag:#x}"
            );
        }
    }
}

#[test]
fn holes_are_refused_wherever_they_are() {
    let hole = |extents: &[(u64, u64, u64, u32)]| {
        map(4096, 8192, extents)
            .check()
            .map_err(|error| error.to_string())
    };
    assert!(hole(&[(0, 0, 12_288, 0)]).is_ok());
    assert!(hole(&[(4096, 0, 4096, 0), (8192, 99, 4096, 0)]).is_ok());
    for (extents, at) in [
        (&[][..], 4096),
        (&[(8192, 0, 4096, 0)], 4096),
        (&[(4096, 0, 4096, 0)], 8192),
        (&[(4096, 0, 2048, 0), (8192, 0, 4096, 0)], 6144),
    ] {
        let error = hole(extents).unwrap_err();
        assert!(error.contains(&format!("hole at offset {at}")), "{error}");
    }
}

#[test]
fn a_part_that_does_not_begin_with_a_block_is_refused() {
    let one = [(0, 8192, 65_536, 0)];
    assert!(map(512, 512, &one).lba_ranges(0, 512).is_ok());
    assert!(map(512, 512, &one).lba_ranges(0, 4096).is_err());
    assert!(map(100, 512, &one).lba_ranges(0, 512).is_err());
    assert!(map(0, 512, &one).lba_ranges(256, 512).is_err());
    // These extents meet within a disk block, as they could if the file system's blocks were smaller.
    let two = [(0, 8192, 1024, 0), (1024, 65_536, 4096, 0)];
    assert!(map(0, 4096, &two).lba_ranges(0, 4096).is_err());
    assert!(map(0, 4096, &two).lba_ranges(0, 512).is_ok());
}

proptest! {
    /// The test models a disk as a function from an offset to a byte, and a file as such a function through its
    /// extents.
    #[test]
    fn the_blocks_hold_the_files_bytes(
        lens in prop::collection::vec((1u64..20, 0u64..1000), 1..8),
        start in 0u64..100,
        wide in any::<bool>(),
        (first, bytes) in (0u64..10, 1u64..40_000),
    ) {
        let block = if wide { 4096 } else { 512 };
        let mut extents = Vec::new();
        let mut logical = 0;
        for (blocks, place) in lens {
            extents.push((logical, place * 4096, blocks * 4096, 0));
            logical += blocks * 4096;
        }
        let offset = (first * 4096).min(logical - 4096);
        let bytes = bytes.min(logical - offset);
        let map = map(offset, bytes, &extents);
        prop_assert!(map.check().is_ok());
        let ranges = map.lba_ranges(start * 4096, block).unwrap();
        let block = u64::from(block);
        let places: Vec<u64> = ranges
            .iter()
            .flat_map(|range| range.lba * block..(range.lba + range.blocks) * block)
            .collect();
        prop_assert_eq!(places.len() as u64, bytes.next_multiple_of(block));
        for (at, place) in (offset..offset + bytes).zip(&places) {
            let of = extents.iter().find(|of| (of.0..of.0 + of.2).contains(&at)).unwrap();
            prop_assert_eq!(*place, start * 4096 + of.1 + (at - of.0));
        }
    }
}

#[test]
fn a_partition_is_found_on_its_disk_and_other_disks_are_refused() {
    let root: PathBuf =
        std::env::temp_dir().join(format!("gristmill-place-{}", std::process::id()));
    let disk = root.join("devices/pci/nvme2/nvme2n1");
    std::fs::create_dir_all(disk.join("nvme2n1p3")).unwrap();
    std::fs::create_dir_all(root.join("devices/virtual/loop0")).unwrap();
    std::fs::create_dir_all(root.join("dev/block")).unwrap();
    std::fs::write(disk.join("nvme2n1p3/start"), "2048\n").unwrap();
    for (number, target) in [
        ("259:0", "pci/nvme2/nvme2n1"),
        ("259:3", "pci/nvme2/nvme2n1/nvme2n1p3"),
        ("7:0", "virtual/loop0"),
    ] {
        let link = root.join("dev/block").join(number);
        std::os::unix::fs::symlink(root.join("devices").join(target), link).unwrap();
    }
    let place = |major, minor| DiskPlace::from_sysfs(&root, libc::makedev(major, minor));
    let (whole, partition) = (place(259, 0).unwrap(), place(259, 3).unwrap());
    let (looped, missing) = (place(7, 0), place(0, 42));
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!((&*whole.generic, whole.start), ("ng2n1", 0));
    assert_eq!(
        (&*partition.generic, partition.start),
        ("ng2n1", 2048 * 512)
    );
    assert!(looped.unwrap_err().to_string().contains("loop0"));
    assert!(missing.is_err());
}

#[test]
fn a_part_has_the_blocks_of_its_bytes_and_is_compared_however_an_answer_is_cut() {
    let whole = map(
        0,
        20_000,
        &[
            (0, 40_960, 8192, 0),
            (8192, 49_152, 4096, EXTENT_MERGED),
            (12_288, 0, 8192, EXTENT_LAST),
        ],
    );
    let ranges = |part: &FileMap| {
        let ranges = part.lba_ranges(4096, 4096).unwrap();
        ranges
            .iter()
            .map(|range| (range.lba, range.blocks))
            .collect::<Vec<_>>()
    };
    assert_eq!(ranges(&whole), [(11, 3), (1, 2)]);
    assert_eq!(ranges(&whole.part(4096, 8192)), [(12, 2)]);
    assert_eq!(ranges(&whole.part(8192, 1 << 40)), [(13, 1), (1, 2)]);
    assert_eq!(ranges(&whole.part(16_384, 100)), [(2, 1)]);
    assert_eq!(whole.part(30_000, 4096).bytes(), 0);
    let cut = map(
        4096,
        8192,
        &[(4096, 45_056, 100, 0), (4196, 45_156, 9000, EXTENT_LAST)],
    );
    let same = |a: &FileMap, b: &FileMap| {
        places(a.extents(), 4096, 8192) == places(b.extents(), 4096, 8192)
    };
    assert!(same(&whole, &cut));
    for other in [
        map(4096, 8192, &[(4096, 45_057, 8192, 0)]),
        map(4096, 8192, &[(4096, 45_056, 8191, 0)]),
        map(4096, 8192, &[(4096, 45_056, 8192, 0x800)]),
        map(4096, 8192, &[]),
    ] {
        assert!(!same(&whole, &other), "{other:?}");
    }
}

#[test]
fn what_the_disk_has_of_a_range_is_told_from_zeros_that_it_has_not() {
    use std::os::unix::fs::FileExt;
    let path = std::env::temp_dir().join(format!("gristmill-extents-{}", std::process::id()));
    let file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let data = 1 << 20;
    let on_disk = |first, bytes| DirectRange::OnDisk { first, bytes };
    file.write_all_at(&[1; 8192], data).unwrap();
    file.set_len(4 * data).unwrap();
    if let Err(error) = extents(&file, 0, 4 * data) {
        assert_eq!(direct_range(&file, 0, 4096), on_disk(0, 0));
        return gristmill_testing::skipped(format_args!("FIEMAP in {}: {error}", path.display()));
    }
    for (offset, bytes, expected) in [
        (0, data, DirectRange::Zeros),
        (0, 4 * data, on_disk(data, 8192)),
        (data + 4096, 4096, on_disk(data + 4096, 4096)),
        (2 * data, data, DirectRange::Zeros),
    ] {
        assert_eq!(
            direct_range(&file, offset, bytes),
            expected,
            "{offset} {bytes}"
        );
    }
}
