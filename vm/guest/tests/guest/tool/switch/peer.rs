//! Chunks in peer memory: the output of `scan`, `digest`, `stats` and `run` for files that are read there, by each path
//! that supports it.

use super::super::{digest_into, gristmill, path, peer, run, sorted_rows, TOOL};
use super::{by_path, ready};
use gristmill_vm_guest::disk::{file, FILES};
use std::process::{Command, Stdio};

/// The paths that read into peer memory, their names in reports, and the files that they can read.
const PATHS: [(&str, &str, &[usize]); 3] = [
    ("peer", "peer", &[2, 1, 0, 3]),
    ("passthrough", "passthrough", &[1, 0]),
    ("positioned", "positioned", &[2, 4, 1, 0, 3]),
];

#[test]
fn digest_reads_files_into_peer_memory_by_the_path_that_is_named() {
    if !ready() {
        return;
    }
    let peer = peer();
    for (read_path, name, files) in PATHS {
        let paths: Vec<String> = files.iter().map(|index| path(*index)).collect();
        for flags in [
            &["--chunk-size", "4K"][..],
            &["--chunk-size", "64K", "-j", "3", "--depth", "3"],
            // Emulated memory of a device is slow, so the test uses little of it.
            &["--chunk-size", "256K", "--depth", "1", "-j", "1"],
        ] {
            let paths = paths.iter().map(String::as_str);
            let flags: Vec<&str> = flags.iter().copied().chain(paths).collect();
            let done = digest_into(&peer, read_path, &flags);
            assert_eq!(
                (done.code, done.rows()),
                (Some(0), sorted_rows(files)),
                "{read_path} {flags:?}: {}",
                done.err
            );
            let told = |name: &str| {
                let mut lines = done.err.lines();
                lines
                    .find_map(|line| line.strip_prefix(name))
                    .map(str::trim)
            };
            assert_eq!(told("read path"), Some(name), "{}", done.err);
            let memory = format!("peer memory of {peer}");
            assert_eq!(told("memory"), Some(memory.as_str()), "{}", done.err);
            assert_eq!(told("fallback"), None, "{}", done.err);
            let sum = |unit: u64| -> u64 {
                let sizes = files.iter().map(|index| FILES[*index].1);
                sizes.map(|bytes| bytes.next_multiple_of(unit)).sum()
            };
            let expected = match read_path {
                "peer" => [0, sum(1), 0, 0],
                "passthrough" => [0, 0, 0, sum(512)],
                _ => [0, 0, sum(1), 0],
            };
            assert_eq!(by_path(&done), expected, "{}", done.err);
        }
    }
}

#[test]
fn scan_stats_and_run_say_the_same_of_files_in_peer_memory() {
    if !ready() {
        return;
    }
    let (one, many, peer) = (path(0), path(1), peer());
    let program = "/tmp/byte_histogram.vasm";
    let text = include_str!("../../../../../../programs/byte_histogram.vasm");
    std::fs::write(program, text).unwrap();
    for command in [
        &["stats"][..],
        &["scan", "-a", "-c", "1"],
        &["scan", "-a", "-o", "-b", "\u{1}"],
        &["run", program],
    ] {
        let by = |read_path: &str, memory: &[&str]| {
            let flags = [
                "--sort",
                "path",
                "--chunk-size",
                "16K",
                "--read-path",
                read_path,
            ];
            let done = gristmill(&[command, &flags, memory, &[&one, &many]].concat());
            assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{command:?}");
            done.out
        };
        let expected = by("registered", &[]);
        assert!(!expected.is_empty(), "{command:?}");
        for (read_path, _, _) in PATHS {
            assert_eq!(
                by(read_path, &["--peer-memory", &peer]),
                expected,
                "{command:?}"
            );
        }
    }
}

#[test]
fn what_a_disk_alone_would_not_bring_there_is_refused_and_the_others_are_read() {
    if !ready() {
        return;
    }
    let (inline, one) = (path(4), path(0));
    let in_memory = "/tmp/in-memory";
    std::fs::write(in_memory, b"no disk has these bytes").unwrap();
    let done = digest_into(
        &peer(),
        "peer",
        &[&inline, in_memory, "/proc/version", &one],
    );
    assert_eq!(
        (done.code, done.rows()),
        (Some(2), sorted_rows(&[0])),
        "{}",
        done.err
    );
    let complaints = done.complaints();
    assert_eq!(complaints.len(), 3, "{}", done.err);
    for (path, reasons) in [
        (inline.as_str(), &["inline"][..]),
        // A file system in memory refuses O_DIRECT before Linux 6.6.
        (in_memory, &["not on a block device", "refuses O_DIRECT"]),
        ("/proc/version", &["refuses O_DIRECT"]),
    ] {
        let told = complaints
            .iter()
            .any(|line| line.contains(path) && reasons.iter().any(|reason| line.contains(reason)));
        assert!(told, "{path}: {}", done.err);
    }
    // Standard input, whether it is a file or a pipe.
    let flags = [
        "digest",
        "--algorithm=crc32c",
        "--read-path",
        "peer",
        "--peer-memory",
        &peer(),
    ];
    let opened = std::fs::File::open(file("one-extent")).unwrap();
    let mut echo = Command::new("echo").stdout(Stdio::piped()).spawn().unwrap();
    let pipe = echo.stdout.take().unwrap();
    for stdin in [Stdio::from(opened), Stdio::from(pipe)] {
        let done = run(Command::new(TOOL).args(flags).stdin(stdin));
        assert!(
            done.code == Some(2) && done.err.contains("name a file"),
            "{done:?}"
        );
    }
    echo.wait().unwrap();
}

#[test]
fn a_device_without_enough_memory_is_told_with_what_needs_less() {
    if !ready() {
        return;
    }
    let (peer, one) = (peer(), path(0));
    let done = digest_into(&peer, "peer", &["-j", "2", "--chunk-size", "2M", &one]);
    assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{done:?}");
    // Two workers, each with 8 chunks and 16 for a batch of small files.
    let needed = (2 * 24 * ((2 << 20) + 4096)).to_string();
    for words in [&needed, &peer, " available: ", "--depth", "--chunk-size"] {
        assert!(done.err.contains(words), "{words}: {}", done.err);
    }
}
