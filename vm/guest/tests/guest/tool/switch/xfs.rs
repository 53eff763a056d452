//! Files on an XFS file system that fills its disk. There is no partition, and files may share extents.

use super::{gristmill, ready, words, PASSTHROUGH};
use crate::tool::{digest_into, peer, row, Done};
use gristmill_vm_guest::disk::{xfs_file, XFS_FILE};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The file that the file system was made with; `None` if there is nothing to test.
fn original() -> Option<PathBuf> {
    if ready() {
        xfs_file(XFS_FILE.0)
    } else {
        None
    }
}

fn content() -> Vec<u8> {
    words(6, XFS_FILE.1)
}

/// Checks the output of a command that has read a file with these bytes by passthrough.
fn assert_read(done: &Done, path: &Path, content: &[u8]) {
    let expected = row(&(path.to_owned(), crc32c::crc32c(content)));
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), expected.as_str()),
        "{}",
        done.err
    );
}

fn assert_refused(done: &Done, path: &Path, reason: &str) {
    let told = done
        .err
        .lines()
        .find(|line| line.starts_with("gristmill: "));
    let told = told.unwrap_or_default();
    assert!(
        done.code == Some(2) && done.out.is_empty(),
        "{reason}: {done:?}"
    );
    assert!(
        told.contains(path.to_str().unwrap()) && told.contains(reason),
        "{reason}: {told}"
    );
}

fn by_commands(path: &Path) -> Done {
    gristmill(&[
        "digest",
        "--algorithm=crc32c",
        "--read-path",
        "passthrough",
        path.to_str().unwrap(),
    ])
}

#[test]
fn files_are_read_by_commands_and_into_peer_memory() {
    let Some(original) = original() else { return };
    let (name, peer) = (original.to_str().unwrap(), peer());
    assert_read(&by_commands(&original), &original, &content());
    let into_peer = ["--peer-memory", &peer];
    for flags in [
        &PASSTHROUGH[..],
        &[&PASSTHROUGH[..], &into_peer].concat(),
        &[&["ingest", "--read-path", "peer"][..], &into_peer].concat(),
        &[
            &["digest", "--algorithm=crc32c", "--read-path", "passthrough"][..],
            &into_peer,
        ]
        .concat(),
        &[
            &["digest", "--algorithm=crc32c", "--read-path", "peer"][..],
            &into_peer,
        ]
        .concat(),
    ] {
        let done = gristmill(&[flags, &[name]].concat());
        assert_read(&done, &original, &content());
    }
    let done = gristmill(&["doctor", "--json", name]);
    let (works, why) = super::told(&done, "passthrough");
    assert!(works, "{why}");
}

#[test]
fn what_was_just_written_is_what_commands_read() {
    let Some(original) = original() else { return };
    let written = original.with_file_name("written");
    let content: Vec<u8> = content().iter().map(|byte| !byte).collect();
    // Without fsync, the bytes are only in the page cache and have no blocks yet.
    fs::write(&written, &content).unwrap();
    assert_read(&by_commands(&written), &written, &content);
    OpenOptions::new()
        .append(true)
        .open(&written)
        .and_then(|mut file| file.write_all(b"and more"))
        .unwrap();
    let longer = [&content[..], b"and more"].concat();
    assert_read(&by_commands(&written), &written, &longer);
    // For reads into peer memory, dirty pages are written first, too.
    let other: Vec<u8> = longer.iter().map(|byte| byte.wrapping_add(1)).collect();
    fs::write(&written, &other).unwrap();
    let done = digest_into(&peer(), "peer", &[written.to_str().unwrap()]);
    assert_read(&done, &written, &other);
}

#[test]
fn blocks_that_two_files_share_are_refused_until_one_has_its_own() {
    let Some(original) = original() else { return };
    // The test clones its own file, so that other tests find the original unshared.
    let first = original.with_file_name("first");
    fs::write(&first, content()).unwrap();
    let second = original.with_file_name("second");
    let (source, target) = (File::open(&first).unwrap(), File::create(&second).unwrap());
    source.sync_all().unwrap();
    // SAFETY: FICLONE takes a descriptor; both are open.
    let cloned = unsafe { libc::ioctl(target.as_raw_fd(), libc::FICLONE, source.as_raw_fd()) };
    assert_eq!(cloned, 0, "{}", std::io::Error::last_os_error());
    drop(target);
    for path in [&first, &second] {
        assert_refused(&by_commands(path), path, "share");
        // An ordinary read gets the bytes from the page cache.
        let done = gristmill(&["digest", "--algorithm=crc32c", path.to_str().unwrap()]);
        assert_read(&done, path, &content());
    }
    fs::remove_file(&second).unwrap();
    assert_read(&by_commands(&first), &first, &content());
}

#[test]
fn blocks_that_were_never_written_are_refused() {
    let Some(original) = original() else { return };
    let reserved = original.with_file_name("reserved");
    let file = File::create(&reserved).unwrap();
    // SAFETY: the descriptor is open.
    let refused = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, 1 << 20) };
    assert_eq!(refused, 0);
    file.sync_all().unwrap();
    assert_refused(&by_commands(&reserved), &reserved, "unwritten");
    let sparse = original.with_file_name("sparse");
    let mut file = File::create(&sparse).unwrap();
    file.write_all(&[1; 4096]).unwrap();
    file.set_len(1 << 20).unwrap();
    assert_refused(&by_commands(&sparse), &sparse, "hole");
}
