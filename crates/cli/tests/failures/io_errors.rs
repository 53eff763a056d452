//! Storage that fails, answers with few bytes, or answers late.

use crate::fuse::{mount, Faulty};
use crate::world::{
    assert_rows_of_files, count_row, digest_row, hash, needle_rows, prepare, skipped, text, Answer,
    Failure, Scratch, Tool, LINE_BYTES,
};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MIB: usize = 1 << 20;

#[test]
fn eio_ends_the_file_where_it_strikes_and_no_other() {
    let lines = text(4 * MIB / LINE_BYTES);
    // The errors are in a first chunk, at a chunk's start, at the last byte, and within lines.
    let offsets = [
        0,
        640,
        3 * MIB + 64 * 1000,
        2 * MIB,
        lines.len() - 64,
        70_000 * 64 - 31,
    ];
    let offsets = offsets.map(|offset| offset.min(lines.len() - 1));
    let failing = (0..).zip(offsets).map(|(number, offset)| {
        Faulty::new(format!("failing-{number}"), lines.clone()).error_at(offset as u64)
    });
    let good = ["before", "good", "zlast"].map(|name| Faulty::new(name, lines.clone()));
    let Some(mounted) = mount(failing.chain(good)) else {
        return;
    };
    let good = ["before", "good", "zlast"].map(|name| mounted.join(name));
    let failing: Vec<(PathBuf, usize)> = (0..)
        .zip(offsets)
        .map(|(number, offset)| (mounted.join(format!("failing-{number}")), offset))
        .collect();
    let failures: Vec<Failure> = failing
        .iter()
        .map(|(path, offset)| Failure::at(path, *offset as u64, libc::EIO))
        .collect();

    let scanned = Tool::scan([mounted.path()]).run();
    scanned.assert_failures(&failures);
    let mut rows: Vec<_> = good.iter().map(|path| needle_rows(path, &lines)).collect();
    rows.extend(failing.iter().map(|(path, offset)| {
        let whole_lines = offset / LINE_BYTES * LINE_BYTES;
        needle_rows(path, &lines[..whole_lines])
    }));
    assert_rows_of_files(&scanned.rows, &rows);

    // A digest of a part of a file is not printed.
    let digested = Tool::digest([mounted.path()]).run();
    digested.assert_failures(&failures);
    let digest = hash(&lines);
    assert_rows_of_files(&digested.rows, &good.map(|path| digest_row(&path, digest)));
}

/// A listed file whose reading fails in the middle has a row in its place, too.
#[test]
fn a_listed_file_that_fails_midway_is_told_in_its_row() {
    let lines = text(2 * MIB / LINE_BYTES);
    let Some(mounted) = mount([
        Faulty::new("a", lines.clone()),
        Faulty::new("b", lines.clone()).error_at(MIB as u64 + 7),
        Faulty::new("c", lines.clone()),
    ]) else {
        return;
    };
    let digest = hash(&lines);
    let paths = ["a", "b", "c"].map(|name| mounted.join(name));
    let list: Vec<u8> = paths
        .iter()
        .flat_map(|path| digest_row(path, digest))
        .collect();
    let scratch = Scratch::new();
    let list = scratch.write("list", &list);
    let answer = Tool::new([OsStr::new("digest"), OsStr::new("-c"), list.as_os_str()]).run();
    answer.assert_code(1);
    let rows: String = paths
        .iter()
        .zip(["OK", "FAILED open or read", "OK"])
        .map(|(path, verdict)| format!("{}: {verdict}\n", path.display()))
        .collect();
    assert_eq!(String::from_utf8_lossy(&answer.rows), rows);
    let counted = "gristmill: 1 of 3 listed files could not be read\n";
    assert!(answer.errors.ends_with(counted), "{}", answer.errors);
}

#[test]
fn ingest_refuses_files_of_which_a_ring_may_read_bytes_twice() {
    let Some(mounted) = mount([Faulty::new("file", text(1000))]) else {
        return;
    };
    let scratch = Scratch::new();
    let good = scratch.write("good", b"good");
    let path = mounted.join("file");
    let answer = Tool::new([OsStr::new("ingest"), path.as_os_str(), good.as_os_str()]).run();
    answer.assert_code(2);
    let told = format!("gristmill: {}: it is on a FUSE file system", path.display());
    assert!(answer.errors.contains(&told), "{}", answer.errors);
    assert_eq!(
        answer.rows,
        digest_row(&good, format!("{:08x}", crc32c::crc32c(b"good")))
    );
}

#[test]
fn a_single_failing_file_has_its_rows_and_its_error() {
    let lines = text(2 * MIB / LINE_BYTES);
    let offset = MIB + MIB / 2;
    let Some(mounted) = mount([Faulty::new("failing", lines.clone()).error_at(offset as u64)])
    else {
        return;
    };
    let path = mounted.join("failing");
    let failure = [Failure::at(&path, offset as u64, libc::EIO)];
    for workers in ["1", "2", "5"] {
        let answer = Tool::scan([&path]).args(["-j", workers]).run();
        answer.assert_failures(&failure);
        assert_eq!(answer.rows, needle_rows(&path, &lines[..offset]));
    }
    let sorted = Tool::scan([&path]).args(["--sort", "path"]).run();
    sorted.assert_failures(&failure);
    assert_eq!(sorted.rows, needle_rows(&path, &lines[..offset]));
}

/// If the page cache reads ahead, bytes before an error may fail with it: the rows must be those of the bytes before
/// the reported offset, which must not be behind the error.
#[track_caller]
fn assert_consistent(
    answer: &Answer,
    failing: &Path,
    error_at: usize,
    lines: &[u8],
    good: &[PathBuf],
) {
    answer.assert_code(2);
    let (offset, reason) = answer.only_failure(failing);
    let offset = usize::try_from(offset.expect("an offset")).unwrap();
    assert!(offset <= error_at && offset > 0, "{offset} and {error_at}");
    assert!(reason.starts_with("Input/output error"), "{reason:?}");
    let whole_lines = offset / LINE_BYTES * LINE_BYTES;
    let mut rows = vec![needle_rows(failing, &lines[..whole_lines])];
    rows.extend(good.iter().map(|path| needle_rows(path, lines)));
    assert_rows_of_files(&answer.rows, &rows);
}

#[test]
fn eio_through_the_page_cache_is_told_and_everything_before_it_answered() {
    let lines = text(4 * MIB / LINE_BYTES);
    let error_at = 2 * MIB + 256 * 1024 + 4096;
    let failing = Faulty::new("failing", lines.clone());
    let Some(mounted) = mount([
        Faulty::new("first", lines.clone()).cached(),
        failing.cached().error_at(error_at as u64),
        Faulty::new("last", lines.clone()).cached(),
    ]) else {
        return;
    };
    let answer = Tool::scan([mounted.path()]).run();
    let good = ["first", "last"].map(|name| mounted.join(name));
    assert_consistent(&answer, &mounted.join("failing"), error_at, &lines, &good);
}

/// An ext4 file system on a loop device, removed when dropped.
struct LoopDisk {
    scratch: Scratch,
    device: String,
}

impl LoopDisk {
    const IMAGE_BYTES: u64 = 48 << 20;

    /// Makes and mounts one. If that is not possible, says so and returns `None`.
    fn new() -> Option<Self> {
        let scratch = Scratch::new();
        let image = scratch.sparse("image", Self::IMAGE_BYTES, b"");
        std::fs::create_dir(scratch.join("mounted")).unwrap();
        let format = ["-q", "-F", "-b", "4096", "-O", "^has_journal"].map(OsStr::new);
        prepare("mkfs.ext4", &[&format[..], &[image.as_os_str()]].concat())?;
        let find = ["--find", "--show"].map(OsStr::new);
        let device = prepare("losetup", &[&find[..], &[image.as_os_str()]].concat())?;
        let disk = Self {
            scratch,
            device: device.trim().to_owned(),
        };
        disk.mount("rw")?;
        Some(disk)
    }

    fn mount(&self, options: &str) -> Option<()> {
        let point = self.scratch.join("mounted");
        let arguments = ["-o", options, &self.device].map(OsStr::new);
        prepare("mount", &[&arguments[..], &[point.as_os_str()]].concat()).map(|_| ())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.scratch.join("mounted").join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::File::open(&path).unwrap().sync_all().unwrap();
        path
    }

    /// The offset in the image of a file's block; `None` if the file is not in one piece.
    fn position(&self, path: &Path, block: u64) -> Option<u64> {
        let listed = prepare(
            "filefrag",
            &["-e", "-b4096"]
                .map(OsStr::new)
                .into_iter()
                .chain([path.as_os_str()])
                .collect::<Vec<_>>(),
        )?;
        // `ext: logical..logical: physical..physical: length: ...`
        let extents = listed.lines().filter_map(|line| {
            let mut fields = line.split(':').skip(1);
            let (first, last) = fields.next()?.split_once("..")?;
            let (physical, _) = fields.next()?.split_once("..")?;
            let number = |text: &str| text.trim().parse::<u64>().ok();
            Some((number(first)?, number(last)?, number(physical)?))
        });
        let mut found = None;
        for (first, last, physical) in extents {
            if (first..=last).contains(&block) {
                found = Some((physical + block - first) * 4096);
            }
        }
        found
    }

    /// Truncates the image at this byte, and drops the file system's cached data.
    fn cut(&self, position: u64) -> Option<()> {
        self.unmount();
        let image = std::fs::OpenOptions::new()
            .write(true)
            .open(self.scratch.join("image"))
            .unwrap();
        image.set_len(position).unwrap();
        self.mount("ro,noload")
    }

    fn unmount(&self) {
        let point = self.scratch.join("mounted");
        let _ = Command::new("umount").arg(point).output();
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        self.unmount();
        let _ = Command::new("losetup").args(["-d", &self.device]).output();
    }
}

#[test]
fn a_disk_that_ends_too_early_gives_eio_for_the_file_that_lies_there() {
    let Some(disk) = LoopDisk::new() else {
        return;
    };
    let lines = text(16 * MIB / LINE_BYTES);
    let good = ["good-1", "good-2"].map(|name| disk.write(name, &lines[..3 * MIB]));
    let failing = disk.write("lost", &lines);
    let error_at = 9 * MIB + 5 * 4096;
    let Some(position) = disk.position(&failing, error_at as u64 / 4096) else {
        return skipped("the file's place on the disk is not to be had");
    };
    // Only the rest of that file may lie behind the cut.
    for path in &good {
        for block in 0..(3 * MIB / 4096) as u64 {
            if disk.position(path, block).is_none_or(|at| at >= position) {
                return skipped("the files lie in another order than they were written");
            }
            if block == 0 {
                continue;
            }
            break;
        }
    }
    if disk.cut(position).is_none() {
        return;
    }
    let answer = Tool::scan([failing.parent().unwrap()])
        .args(["-g", "!lost+found"])
        .run();
    answer.assert_code(2);
    let (offset, reason) = answer.only_failure(&failing);
    assert!(reason.starts_with("Input/output error"), "{reason:?}");
    let offset = usize::try_from(offset.expect("an offset")).unwrap();
    assert!(offset <= error_at && offset > 0, "{offset} and {error_at}");
    let mut rows: Vec<_> = good
        .iter()
        .map(|path| needle_rows(path, &lines[..3 * MIB]))
        .collect();
    rows.push(needle_rows(
        &failing,
        &lines[..offset / LINE_BYTES * LINE_BYTES],
    ));
    assert_rows_of_files(&answer.rows, &rows);
}

#[test]
fn reads_that_are_short_everywhere_change_nothing() {
    let lines = text(MIB / LINE_BYTES + 3);
    let most = |offset: u64| usize::try_from(offset * 2_654_435_761 % 4096).unwrap() + 1;
    let files = ["a", "b", "c"].map(|name| Faulty::new(name, lines.clone()).short(most));
    let Some(mounted) = mount(files) else {
        return;
    };
    let paths = ["a", "b", "c"].map(|name| mounted.join(name));
    let rows = paths.clone().map(|path| needle_rows(&path, &lines));
    for read_path in ["registered", "positioned"] {
        let answer = Tool::digest([mounted.path()])
            .args(["--read-path", read_path])
            .run();
        answer.assert_code(0).assert_quiet();
        let digest = hash(&lines);
        let digests = paths.clone().map(|path| digest_row(&path, digest));
        assert_rows_of_files(&answer.rows, &digests);
    }
    let answer = Tool::scan([mounted.path()]).run();
    answer.assert_code(0).assert_quiet();
    assert_rows_of_files(&answer.rows, &rows);
}

#[test]
fn reads_of_one_byte_change_nothing() {
    let lines = text(100);
    let Some(mounted) = mount([Faulty::new("slow", lines.clone()).short(|_| 1)]) else {
        return;
    };
    let path = mounted.join("slow");
    let answer = Tool::scan([&path]).run();
    answer.assert_code(0).assert_quiet();
    assert_eq!(answer.rows, needle_rows(&path, &lines));
}

#[test]
fn chunks_that_land_in_any_order_come_out_in_the_files() {
    let lines = text(6 * MIB / LINE_BYTES);
    // Every other quarter of a megabyte is late, each by a different delay.
    let late = |offset: u64| {
        let part = offset >> 18;
        if part.is_multiple_of(2) {
            std::thread::sleep(Duration::from_millis(10 + part * 7 % 40));
        }
    };
    let files = ["a", "b"].map(|name| Faulty::new(name, lines.clone()).pause(late));
    let Some(mounted) = mount(files) else {
        return;
    };
    let paths = ["a", "b"].map(|name| mounted.join(name));
    let scanned = Tool::scan([mounted.path()]).args(["-j", "4"]).run();
    scanned.assert_code(0).assert_quiet();
    let rows = paths.clone().map(|path| needle_rows(&path, &lines));
    assert_rows_of_files(&scanned.rows, &rows);

    let counted = Tool::count([&paths[0], &paths[1]])
        .args(["--sort", "path"])
        .run();
    counted.assert_code(0).assert_quiet();
    assert_eq!(
        counted.rows,
        paths.map(|path| count_row(&path, &lines)).concat()
    );
}
