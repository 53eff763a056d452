//! A run takes the configured memory and a little more, whatever the input.
//!
//! A process's peak is read while it waits for its last input, a FIFO that the test holds open: everything else has
//! been read and answered by then. (The peak from `wait4` would include the test program that forked the process.)

use crate::world::{Scratch, Tool};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The memory that may be used besides the chunk buffers.
const ALLOWANCE_BYTES: u64 = 64 << 20;

/// Flags that configure [`BUFFER_BYTES`].
const CONFIGURATION: [&str; 2] = ["-j", "2"];

/// Chunk buffers of two workers at the default depth, and those for a batch of small files.
const BUFFER_BYTES: u64 = 2 * (8 + 16) * (512 << 10);

/// Runs `command` over `paths`, waits until it has written `rows` rows, and returns its peak.
#[track_caller]
fn peak_after(command: &[&str], paths: &[&Path], rows: usize) -> Option<u64> {
    let scratch = Scratch::new();
    let last: PathBuf = scratch.fifo("last")?;
    // The FIFO is opened for reading and writing, so that opening it does not wait.
    let writer = File::options().read(true).write(true).open(&last).unwrap();
    let running = Tool::new(command)
        .args(CONFIGURATION)
        .args(paths)
        .args([&last])
        .start();
    running.wait_for_count(rows);
    let peak = running.peak_memory();
    // The FIFO ends, because its only writer is gone.
    drop(writer);
    let answer = running.finish();
    answer.assert_quiet();
    Some(peak)
}

#[track_caller]
fn assert_bounded(command: &[&str], paths: &[&Path], rows: usize) {
    if let Some(peak) = peak_after(command, paths, rows) {
        println!("{command:?}: {} MiB", peak >> 20);
        assert!(
            peak <= BUFFER_BYTES + ALLOWANCE_BYTES,
            "{command:?}: {} MiB",
            peak >> 20
        );
    }
}

#[test]
fn a_line_of_a_gigabyte_is_counted_within_bounds() {
    let scratch = Scratch::new();
    let path = scratch.sparse("line", 1 << 30, b"needle\n");
    for command in [
        &["scan", "-a", "-H", "-c", "-e", "needle"][..],
        &["scan", "-a", "-l", "-e", "needle"],
        &["scan", "--all", "-e", "needle"],
        &["digest"],
    ] {
        assert_bounded(command, &[&path], 1);
    }
}

#[test]
fn the_longest_line_that_is_shown_is_shown_within_bounds() {
    let scratch = Scratch::new();
    let longest = scratch.sparse("longest", (16 << 20) - 8, b"needle\n");
    for command in [
        &["scan", "-a", "-H", "-o", "-b", "-e", "needle"][..],
        &["scan", "-a", "-H", "-e", "needle"],
    ] {
        assert_bounded(command, &[&longest], 1);
    }
}

#[test]
fn a_longer_line_is_reported_and_the_rest_is_shown() {
    let scratch = Scratch::new();
    let path = scratch.sparse("line", 1 << 30, b"needle\nanother needle\n");
    let command = ["scan", "-a", "-H", "-o", "-b", "-e", "needle"];
    let answer = Tool::new(command).args(CONFIGURATION).args([&path]).run();
    answer.assert_code(2);
    let name = path.display().to_string();
    let shown = format!("{name}:{}:needle\n", (1 << 30) + 15);
    assert_eq!(String::from_utf8_lossy(&answer.rows), shown);
    let complaint = &answer.errors;
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for part in [name.as_str(), "1073741831 bytes", "--max-line"] {
        assert!(complaint.contains(part), "{complaint}");
    }
}

#[test]
fn a_line_of_a_gigabyte_that_does_not_match_is_passed_over_within_bounds() {
    let scratch = Scratch::new();
    scratch.sparse("long", 1 << 30, b"hay\n");
    // This file's row comes when the file before it has been read.
    scratch.write("next", b"a needle\n");
    let command = ["scan", "-a", "-H", "--sort", "path", "-e", "needle"];
    assert_bounded(&command, &[scratch.path()], 1);
}

#[test]
fn many_files_are_read_within_bounds() {
    let scratch = Scratch::new();
    for directory in 0..20 {
        for number in 0..1_000 {
            scratch.write(format!("tree/{directory}/{number}"), b"a needle\n");
        }
    }
    let tree = scratch.join("tree");
    let command = ["scan", "-c", "-e", "needle"];
    assert_bounded(&command, &[&tree], 20_000);
    assert_bounded(&["digest"], &[&tree], 20_000);
}

#[test]
fn rows_of_many_large_files_are_held_within_bounds() {
    let scratch = Scratch::new();
    let lines = crate::world::text((16 << 20) / crate::world::LINE_BYTES);
    let files = 8;
    for number in 0..files {
        scratch.write(format!("tree/{number}"), &lines);
    }
    let tree = scratch.join("tree");
    let rows = files * lines.len() / crate::world::LINE_BYTES;
    assert_bounded(&["scan", "-e", "line"], &[&tree], rows);
}
