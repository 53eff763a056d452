//! Failures of the output: a disk that is full, a reader that leaves, a user who has seen enough.

use crate::fuse::{mount, Faulty};
use crate::world::{needle_rows, prepare, text, Scratch, Tool, LINE_BYTES};
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// Asserts that the output's failure was reported in one line, with exit code 2.
#[track_caller]
fn assert_output_failed(answer: &crate::world::Answer, reason: &str) {
    answer.assert_code(2);
    let lines: Vec<&str> = answer.errors.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let head = "gristmill: standard output: ";
    assert!(lines[0].starts_with(head), "{lines:?}");
    assert!(lines[0].contains(reason), "{lines:?}");
}

#[test]
fn standard_streams_that_are_closed_are_told_and_missed_only_where_they_are_needed() {
    let scratch = Scratch::new();
    let file = scratch.write("file", &text(100));
    let run = |arguments: &str, redirected: &str| {
        let command = format!("exec \"$0\" {arguments} {redirected}");
        let output = Command::new("sh")
            .args(["-c", &command, env!("CARGO_BIN_EXE_gristmill")])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), output.stdout, errors)
    };
    for command in [
        "digest \"$1\"",
        "stats \"$1\"",
        "scan needle \"$1\"",
        "scan --json needle \"$1\"",
        "scan -l needle \"$1\"",
        "doctor",
        "man",
        "completions bash",
    ] {
        let (code, _, errors) = run(command, ">&-");
        assert_eq!(code, Some(2), "{command}: {errors}");
        assert!(
            errors.contains("standard output: Bad file descriptor"),
            "{command}: {errors}"
        );
        let (code, _, errors) = run(command, ">/dev/null");
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{command}");
    }
    // A command that writes nothing does not need standard output.
    assert_eq!(run("scan -q needle \"$1\"", ">&-").0, Some(0));
    for command in ["digest -", "digest --files-from -", "scan -f - \"$1\""] {
        let (code, rows, errors) = run(command, "<&-");
        assert_eq!((code, rows), (Some(2), Vec::new()), "{command}");
        assert!(
            errors.contains("Bad file descriptor"),
            "{command}: {errors}"
        );
    }
    assert_eq!(run("digest \"$1\"", "2>&-").0, Some(0));
}

#[test]
fn a_full_output_disk_is_told_once() {
    let scratch = Scratch::new();
    // A few rows, and far more rows than any buffer holds.
    for lines in [100, 16 * MIB / LINE_BYTES] {
        scratch.write(format!("{lines}/file"), &text(lines));
        scratch.write(format!("{lines}/another"), &text(lines));
        let tree = scratch.join(format!("{lines}"));
        let full = || File::options().write(true).open("/dev/full").unwrap();
        let scanned = Tool::new(["scan", "-e", "line"])
            .args([&tree])
            .stdout(full())
            .run();
        assert_output_failed(&scanned, "No space left on device");
        let digested = Tool::digest([&tree]).stdout(full()).run();
        assert_output_failed(&digested, "No space left on device");
    }
}

/// A small file system in memory, unmounted when dropped.
pub struct SmallDisk(Scratch);

impl SmallDisk {
    pub fn new() -> Option<Self> {
        let scratch = Scratch::new();
        let arguments = ["-t", "tmpfs", "-o", "size=256k", "tmpfs"].map(OsStr::new);
        prepare(
            "mount",
            &[&arguments[..], &[scratch.path().as_os_str()]].concat(),
        )?;
        Some(Self(scratch))
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn a_disk_that_fills_up_keeps_the_rows_that_fitted() {
    let Some(disk) = SmallDisk::new() else {
        return;
    };
    let scratch = Scratch::new();
    let lines = text(4 * MIB / LINE_BYTES);
    let path = scratch.write("file", &lines);
    let output = File::create(disk.0.join("rows")).unwrap();
    let answer = Tool::new(["scan", "-e", "line"])
        .args([&path])
        .stdout(output)
        .run();
    assert_output_failed(&answer, "No space left on device");
    let rows = std::fs::read(disk.0.join("rows")).unwrap();
    assert!(!rows.is_empty());
    assert!(lines.starts_with(&rows));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let scratch = Scratch::new();
    let path = scratch.write("file", &text(16 * MIB / LINE_BYTES));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let answer = Tool::new(["scan", "-e", "line"])
        .args([&path])
        .stdout(writer)
        .run();
    answer.assert_quiet();

    let answer = Tool::digest([&path])
        .stdout({
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        })
        .run();
    answer.assert_quiet();
}

#[test]
fn a_pipeline_that_wants_the_first_row_ends() {
    let scratch = Scratch::new();
    let lines = text(16 * MIB / LINE_BYTES);
    let path = scratch.write("file", &lines);
    let mut head = Command::new("head")
        .args(["-n", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answer = Tool::new(["scan", "-e", "line"])
        .args([&path])
        .stdout(head.stdin.take().unwrap())
        .run();
    answer.assert_quiet();
    let output = head.wait_with_output().unwrap();
    assert_eq!(output.stdout, lines[..LINE_BYTES]);
}

/// A gate that lets no thread through until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let mut open = self.0 .0.lock().unwrap();
        while !*open {
            open = self.0 .1.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.0 .0.lock().unwrap() = true;
        self.0 .1.notify_all();
    }
}

/// Opens its gate when dropped, so that a failing test ends.
struct Opens(Gate);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[test]
fn sigint_ends_a_scan_with_the_rows_so_far() {
    let lines = text(32 * MIB / LINE_BYTES);
    let gate = Gate::default();
    let behind = gate.clone();
    let slow = Faulty::new("slow", lines.clone()).pause(move |offset| {
        if offset >= 8 * MIB as u64 {
            behind.pass();
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let Some(mounted) = mount([slow]) else {
        return;
    };
    let opens = Opens(gate);
    let running = Tool::new(["scan", "-e", "line"])
        .args([mounted.join("slow")])
        .start();
    running.wait_for_rows(|rows| !rows.is_empty());
    running.interrupt();
    running.wait_until_delivered(libc::SIGINT);
    drop(opens);
    let answer = running.finish();
    answer.assert_code(130);
    assert!(answer.errors.lines().count() <= 1, "{:?}", answer.errors);
    assert!(!answer.rows.is_empty() && answer.rows.len() < lines.len());
    assert_eq!(answer.rows.len() % LINE_BYTES, 0, "half a row");
    assert!(lines.starts_with(&answer.rows));
}

#[test]
fn sigint_ends_a_run_that_waits_for_a_pipe() {
    let scratch = Scratch::new();
    let Some(unwritten) = scratch.fifo("unwritten") else {
        return;
    };
    let Some(silent) = scratch.fifo("silent") else {
        return;
    };
    let lines = text(1_000);
    let path = scratch.write("file", &lines);
    let rows = needle_rows(&path, &lines);
    for fifo in [&unwritten, &silent] {
        // This FIFO is open for reading and writing, and nothing is written to it.
        let _open = (fifo == &silent).then(|| {
            let options = File::options().read(true).write(true).clone();
            options.open(&silent).unwrap()
        });
        let running = Tool::scan([&path, fifo]).start();
        running.wait_for_rows(|so_far| so_far.len() >= rows.len());
        running.interrupt();
        let answer = running.finish();
        answer.assert_code(130);
        assert_eq!(answer.rows, rows);
        assert!(answer.errors.lines().count() <= 1, "{:?}", answer.errors);
    }
}

#[test]
fn sigint_ends_a_run_whose_rows_nobody_takes() {
    let scratch = Scratch::new();
    let path = scratch.write("file", &text(16 * MIB / LINE_BYTES));
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = Tool::new(["scan", "-e", "line"])
        .args([&path])
        .stdout(writer)
        .start();
    // The tool has written, so it runs; then the pipe fills up and it waits.
    let mut first = [0; LINE_BYTES];
    std::io::Read::read_exact(&mut reader, &mut first).unwrap();
    running.interrupt();
    let answer = running.finish();
    answer.assert_code(130);
    assert_eq!(
        answer.errors,
        "gristmill: interrupted: rows that nobody took are lost\n"
    );
}
