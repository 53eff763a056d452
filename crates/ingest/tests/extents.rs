//! The location of files on an ext4 file system on a loop device. The device's image is the disk with which the maps
//! are compared.

mod common;

use common::{noise, Scratch};
use gristmill_ingest::nvme::{DiskPlace, FileMap};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system on a loop device. Dropping it unmounts the file system and removes the device.
struct LoopDisk {
    scratch: Scratch,
    device: String,
}

/// Runs a program. Returns `None`, after reporting a skip, if it is missing or fails.
fn prepare(program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => {
            gristmill_testing::skipped(format_args!(
                "{program}: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
            None
        }
        Err(error) => {
            gristmill_testing::skipped(format_args!("{program}: {error}"));
            None
        }
    }
}

impl LoopDisk {
    fn new(format: &[&str], options: &str) -> Option<Self> {
        let scratch = Scratch::new();
        let image = scratch.0.join("image");
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let image = image.to_str().unwrap();
        prepare(
            "mkfs.ext4",
            &[&["-q", "-F", "-b", "4096"], format, &[image]].concat(),
        )?;
        let device = prepare("losetup", &["--find", "--show", image])?;
        let disk = LoopDisk { scratch, device };
        let point = disk.join("");
        std::fs::create_dir(&point).unwrap();
        prepare(
            "mount",
            &["-o", options, &disk.device, point.to_str().unwrap()],
        )?;
        Some(disk)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.scratch.0.join("mounted").join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.join(name), bytes).unwrap();
        self.join(name)
    }

    /// Fills the disk, and then frees `count` ranges of `bytes` that are not adjacent.
    fn leave_only_gaps(&self, bytes: i64, count: i64) {
        // The clusters that ext4 reserves for itself would be one contiguous free range.
        let name = self.device.trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{name}/reserved_clusters"), "0").unwrap();
        let filler = File::create(self.join("filler")).unwrap();
        let (mut size, mut end) = (32 << 20, 0);
        while size >= 4096 {
            // SAFETY: takes numbers only.
            if unsafe { libc::fallocate(filler.as_raw_fd(), 0, end, size) } == 0 {
                end += size;
            } else {
                size /= 2;
            }
        }
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        for gap in 0..count {
            // SAFETY: as above.
            let freed =
                unsafe { libc::fallocate(filler.as_raw_fd(), mode, 2 * gap * bytes, bytes) };
            assert_eq!(freed, 0);
        }
        filler.sync_all().unwrap();
    }

    /// The disk's bytes at the location that a file's map gives.
    fn bytes_of(&self, map: &FileMap, block: u32) -> Vec<u8> {
        let disk = File::open(self.scratch.0.join("image")).unwrap();
        let mut bytes = Vec::new();
        for range in map.lba_ranges(0, block).unwrap() {
            let mut part = vec![0; usize::try_from(range.blocks).unwrap() * block as usize];
            disk.read_exact_at(&mut part, range.lba * u64::from(block))
                .unwrap();
            bytes.extend(part);
        }
        bytes
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Unmounting fails for a moment if another test has just forked, because the child then has this test's files
        // open.
        for _ in 0..100 {
            let unmounted = Command::new("umount").arg(self.join("")).output();
            if !unmounted.is_ok_and(|output| output.status.code() == Some(32)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = Command::new("losetup").args(["-d", &self.device]).output();
    }
}

fn map(path: &Path) -> Result<FileMap, String> {
    let file = File::open(path).unwrap();
    FileMap::read(&file, 0, u64::MAX).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_refused(path: &Path, words: &str) {
    let error = map(path).unwrap_err();
    assert!(
        error.contains(words) && error.ends_with("registered mapped reads"),
        "{error}"
    );
}

#[test]
fn a_map_tells_where_the_bytes_are_even_those_just_written() {
    let Some(disk) = LoopDisk::new(&[], "rw") else {
        return;
    };
    let bytes = noise(1 << 20);
    // Files in one extent, with and without a partial last block; and a file in many extents, because only ranges of
    // two blocks are free.
    let whole = disk.write("whole", &bytes);
    let tail = disk.write("tail", &bytes[..70_001]);
    disk.leave_only_gaps(8192, 140);
    disk.write("pieces", &bytes);
    let pieces = disk.join("pieces");
    let extents = map(&pieces).unwrap().extents().len();
    assert!(extents > 64, "{extents}: more than one call's");
    for (path, len) in [(&whole, 1_usize << 20), (&tail, 70_001), (&pieces, 1 << 20)] {
        let map = map(path).unwrap();
        assert_eq!((map.file_bytes(), map.bytes()), (len as u64, len as u64));
        for block in [512, 4096] {
            let found = disk.bytes_of(&map, block);
            assert_eq!(found.len(), len.next_multiple_of(block as usize));
            assert!(
                found[..len] == bytes[..len],
                "{path:?} in blocks of {block}"
            );
        }
    }
    // Parts that begin at a block and end anywhere.
    let file = File::open(&pieces).unwrap();
    for (offset, len) in [(4096, 1), (12_288, 50_000), (1_044_480, 4096), (512, 9000)] {
        let map = FileMap::read(&file, offset as u64, len as u64).unwrap();
        assert!(
            disk.bytes_of(&map, 512)[..len] == bytes[offset..offset + len],
            "{offset} {len}"
        );
    }
    let past = FileMap::read(&file, 1_040_384, 1 << 20).unwrap();
    assert_eq!(past.bytes(), 8192);
    assert_eq!(FileMap::read(&file, 1 << 30, 5).unwrap().bytes(), 0);
}

#[test]
fn what_the_disk_does_not_tell_is_refused_with_its_reason() {
    let Some(disk) = LoopDisk::new(&["-I", "256", "-O", "inline_data"], "rw") else {
        return;
    };
    let inline = disk.write("inline", b"few bytes");
    assert_refused(&inline, "inline");
    let hole = disk.join("hole");
    let file = File::create(&hole).unwrap();
    file.write_all_at(&[1; 4096], 0).unwrap();
    file.write_all_at(&[1; 4096], 65_536).unwrap();
    assert_refused(&hole, "hole at offset 4096");
    // The hole matters only to reads that include it.
    assert!(FileMap::read(&File::open(&hole).unwrap(), 65_536, 4096).is_ok());
    let sparse = disk.join("sparse");
    File::create(&sparse).unwrap().set_len(1 << 20).unwrap();
    assert_refused(&sparse, "hole at offset 0");
    let unwritten = disk.join("unwritten");
    let file = File::create(&unwritten).unwrap();
    // SAFETY: takes numbers only.
    let allocated = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, 65_536) };
    assert_eq!(allocated, 0);
    assert_refused(&unwritten, "unwritten");
    assert_refused(&disk.join(""), "regular file");
    let place = DiskPlace::of(&File::open(&inline).unwrap())
        .unwrap_err()
        .to_string();
    assert!(place.contains("loop"), "{place}");
}

#[test]
fn data_that_go_through_the_journal_first_are_refused() {
    let Some(disk) = LoopDisk::new(&[], "rw") else {
        return;
    };
    let path = disk.write("journalled", &noise(8192));
    assert!(map(&path).is_ok());
    if prepare("chattr", &["+j", path.to_str().unwrap()]).is_some() {
        assert_refused(&path, "journal");
    }
    drop(disk);
    let Some(disk) = LoopDisk::new(&[], "rw,data=journal") else {
        return;
    };
    assert_refused(&disk.write("any", &noise(8192)), "journal");
}

#[test]
fn file_systems_whose_places_mean_something_else_are_refused() {
    let Ok(entries) = std::fs::read_dir("/dev/shm") else {
        return gristmill_testing::skipped("no /dev/shm");
    };
    drop(entries);
    let path = PathBuf::from(format!("/dev/shm/gristmill-extents-{}", std::process::id()));
    std::fs::write(&path, noise(4096)).unwrap();
    let result = map(&path);
    std::fs::remove_file(&path).unwrap();
    assert!(result.unwrap_err().contains("neither ext4 nor XFS"));
    assert!(map("/proc/self/stat".as_ref()).is_err());
}

#[test]
fn a_change_after_the_map_was_made_is_noticed() {
    let Some(disk) = LoopDisk::new(&[], "rw") else {
        return;
    };
    let bytes = noise(200_000);
    let path = disk.write("file", &bytes);
    type Change = fn(&Path, &[u8]);
    let changes: [(&str, Change); 5] = [
        ("overwritten", |path, _| {
            std::fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .write_all_at(b"x", 5)
                .unwrap();
        }),
        ("appended to", |path, _| {
            std::fs::OpenOptions::new()
                .append(true)
                .open(path)
                .unwrap()
                .write_all(b"x")
                .unwrap();
        }),
        ("cut", |path, _| {
            std::fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(100)
                .unwrap();
        }),
        ("written anew", |path, bytes| {
            std::fs::write(path, bytes).unwrap()
        }),
        ("moved, with its times put back", |path, bytes| {
            let times = std::fs::metadata(path).unwrap();
            let times = std::fs::FileTimes::new().set_modified(times.modified().unwrap());
            std::fs::write(path, bytes).unwrap();
            File::open(path).unwrap().set_times(times).unwrap();
        }),
    ];
    for (name, change) in changes {
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let map = FileMap::read(&file, 0, u64::MAX).unwrap();
        // The kernel gives all changes within a tick the same timestamp; a change made from now on must be detectable.
        let modified = file.metadata().unwrap().modified().unwrap();
        assert!(modified.elapsed().unwrap().as_millis() >= 20);
        for _ in 0..2 {
            let mut read = vec![0; 4096];
            file.read_exact_at(&mut read, 0).unwrap();
            assert!(map.is_unchanged(&file), "before it was {name}");
        }
        change(&path, &bytes);
        assert!(!map.is_unchanged(&file), "{name}");
    }
    // Changes of another file do not matter.
    let file = File::open(&path).unwrap();
    let map = FileMap::read(&file, 0, u64::MAX).unwrap();
    disk.write("other", &bytes);
    assert!(map.is_unchanged(&file));
}
