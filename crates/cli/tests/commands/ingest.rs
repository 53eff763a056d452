//! `gristmill ingest` on this machine: the registered path compared with `digest`, and the refusals of features that
//! the machine lacks. Tests that need NVMe disks are in `vm/guest/tests/guest/tool/`.

use crate::tool::{command, finish, gristmill as tool, gristmill_reading, interrupt, Done};
use gristmill_testing::noise;
use gristmill_testing::{skipped, Patience};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A folder with files whose sizes are close to multiples of a slot's size.
fn files() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("files")).unwrap();
    for size in [0, 1, 4095, 4096, 4097, 8192, 70_000, 1_000_003] {
        let name = scratch.path().join(format!("files/{size:07}"));
        fs::write(name, noise(size as u64 + 1, size)).unwrap();
    }
    fs::write(scratch.path().join("files/new\nline"), b"x").unwrap();
    scratch
}

/// The report of `--json`, which is the last row.
fn report(done: &Done) -> Value {
    let last = done.text().lines().last().unwrap();
    serde_json::from_str::<Value>(last).unwrap()["report"].clone()
}

fn complaint(done: &Done) -> &str {
    let lines = done.err.lines();
    let told: Vec<&str> = lines
        .filter(|line| line.starts_with("gristmill: "))
        .collect();
    assert_eq!(told.len(), 1, "{done:?}");
    told[0]
}

/// Runs the tool. Locked memory is limited for an ordinary user, and all processes of that user share it: while another
/// test's processes hold it, this one waits for its turn.
fn gristmill(directory: &Path, arguments: &[&str]) -> Done {
    let mut patience = Patience::new();
    loop {
        let done = tool(directory, arguments);
        let full = done
            .err
            .contains("failed with errno 12: raise the memory-lock limit");
        if !full || patience.over().is_some() {
            return done;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Whether this user may lock `bytes` bytes. Root may; others may lock half of their limit, since the rest may be in
/// use.
fn may_lock(bytes: u64) -> bool {
    if std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0) {
        return true;
    }
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let limit = limits.lines().find_map(|line| {
        line.strip_prefix("Max locked memory")?
            .split_whitespace()
            .next()
    });
    match limit.unwrap().parse::<u64>() {
        Ok(limit) => bytes <= limit / 2,
        // The limit is "unlimited".
        Err(_) => true,
    }
}

#[test]
fn rows_are_those_of_digest_whatever_the_slots() {
    let scratch = files();
    let expected = gristmill(
        scratch.path(),
        &["digest", "--algorithm=crc32c", "--sort", "path", "files"],
    )
    .rows();
    for slots in ["1", "2", "7", "64"] {
        for (size, bytes) in [("4K", 4 << 10), ("8K", 8 << 10), ("1M", 1 << 20)] {
            if !may_lock(slots.parse::<u64>().unwrap() * bytes) {
                skipped(format_args!(
                    "this user may not lock {slots} slots of {size} (ulimit -l)"
                ));
                continue;
            }
            let flags = [
                "ingest",
                "--sort",
                "path",
                "--slots",
                slots,
                "--slot-size",
                size,
            ];
            let done = gristmill(scratch.path(), &[&flags[..], &["files"]].concat());
            assert_eq!(done.code, Some(0), "{done:?}");
            assert_eq!(done.text(), expected, "{slots} slots of {size}");
            assert!(done.err.contains("every read came by registered"));
            assert!(!done.err.contains("zero-copy"), "{}", done.err);
        }
    }
    let checked = gristmill_reading(
        scratch.path(),
        &["digest", "--check", "-"],
        expected.as_bytes(),
    );
    assert_eq!(checked.code, Some(0));
}

#[test]
fn the_report_counts_every_byte_once_by_its_path() {
    let scratch = files();
    let sizes = fs::read_dir(scratch.path().join("files")).unwrap();
    let sizes: Vec<u64> = sizes
        .map(|file| file.unwrap().metadata().unwrap().len())
        .collect();
    let bytes: u64 = sizes.iter().sum();
    let reads: u64 = sizes.iter().map(|size| size.div_ceil(8192)).sum();
    let flags = [
        "ingest",
        "--json",
        "--slots",
        "3",
        "--slot-size",
        "8K",
        "files",
    ];
    let done = gristmill(scratch.path(), &flags);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let report = report(&done);
    assert_eq!(report["read_path"], "registered");
    assert_eq!(report["memory"], "host memory");
    assert_eq!(report["files"], sizes.len());
    assert_eq!(report["bytes_registered"], bytes);
    // Without O_DIRECT every byte goes through the page cache, from which the kernel copies it.
    assert_eq!(report["adds_up"], true);
    assert_eq!(report["zero_copy"], false);
    assert_eq!(report["kernel_copied_bytes"], bytes);
    assert_eq!(report["direct_bytes"], 0);
    assert_eq!(report["kernel"]["bytes"], bytes);
    assert_eq!(report["kernel"]["slots"], reads);
    assert_eq!(report["kernel"]["faults"], 0);
    let telemetry = &report["telemetry"];
    for (name, value) in [
        ("submitted_bytes", bytes),
        ("completed_bytes", bytes),
        ("submitted_reads", reads),
        ("completed_reads", reads),
        ("registered_mapped_read_submissions", reads),
        ("gpudirect_nvme_submissions", 0),
        ("peer_read_submissions", 0),
        ("cpu_bounce_bytes", 0),
        ("failed_completions", 0),
        ("inflight_reads", 0),
    ] {
        assert_eq!(telemetry[name], value, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_takes_nothing_from_others() {
    let scratch = files();
    let whole = gristmill(
        scratch.path(),
        &["digest", "--algorithm=crc32c", "files/0070000"],
    )
    .rows();
    for (path, reason) in [
        ("nothing", "No such file"),
        ("/dev/null", "not a regular file"),
        ("/proc/version", "its size is unknown"),
        ("-", "standard input"),
    ] {
        let done = gristmill(scratch.path(), &["ingest", path, "files/0070000"]);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert_eq!(done.text(), whole);
        assert!(complaint(&done).contains(reason), "{done:?}");
        assert!(done.err.contains("1 failures"), "{done:?}");
    }
}

#[test]
fn a_path_that_is_not_to_be_had_is_refused_with_the_reason_and_no_other_is_taken() {
    let scratch = files();
    let refused = |flags: &[&str], reason: &str| {
        let arguments = [&["ingest"], flags, &["files"]].concat();
        let done = gristmill(scratch.path(), &arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
        assert!(complaint(&done).contains(reason), "{reason}: {done:?}");
    };
    refused(&["--read-path", "peer"], "--peer-memory");
    for path in ["registered", "passthrough", "peer"] {
        let flags = ["--peer-memory", "ffff:ff:1f.7", "--read-path", path];
        refused(
            &flags,
            "peer memory of the device \"ffff:ff:1f.7\" cannot be had",
        );
    }
    for backend in ["opencl", "cuda"] {
        let flags = ["--peer-memory", "ffff:ff:1f.7", "--backend", backend];
        refused(&flags, "use --backend cpu");
    }
    refused(&["--device-range", "0,4096"], "--read-path passthrough");
    if Path::new("/sys/class/nvme-generic").exists() {
        gristmill_testing::skipped("this machine has NVMe disks, whose passthrough may work");
        return;
    }
    let passthrough = ["--read-path", "passthrough"];
    refused(&passthrough, "NVMe passthrough is");
    refused(
        &[&passthrough[..], &["--device-range", "0,4096"]].concat(),
        "NVMe passthrough is",
    );
}

#[test]
fn commands_refuse_peer_memory_that_is_not_there_and_paths_that_do_not_go_there() {
    let scratch = files();
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../programs/newline_count.vasm"
    );
    for command in [
        &["digest"][..],
        &["stats"],
        &["scan", "x"],
        &["run", program],
    ] {
        let refused = |flags: &[&str], reasons: &[&str]| {
            let done = gristmill(scratch.path(), &[command, flags, &["files"]].concat());
            assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
            for reason in reasons {
                assert!(complaint(&done).contains(reason), "{reason}: {done:?}");
            }
        };
        refused(&["--read-path", "peer"], &["--peer-memory", "doctor"]);
        let memory = ["--peer-memory", "ffff:ff:1f.7"];
        let with = |flags: &[&'static str]| [&memory, flags].concat();
        refused(
            &with(&[]),
            &["name a read path", "peer", "passthrough", "positioned"],
        );
        refused(&with(&["--read-path", "auto"]), &["name a read path"]);
        refused(
            &with(&["--read-path", "registered"]),
            &["cannot be registered"],
        );
        refused(
            &with(&["--read-path", "positioned", "--direct"]),
            &["the read path peer"],
        );
        for path in ["peer", "passthrough", "positioned"] {
            refused(
                &with(&["--read-path", path]),
                &["ffff:ff:1f.7", "cannot be had", "doctor"],
            );
        }
    }
}

#[test]
fn commands_never_read_by_another_path_than_passthrough_where_that_is_asked_for() {
    let scratch = files();
    for command in [&["digest"][..], &["stats"], &["scan", "x"]] {
        let flags = [
            "--read-path",
            "passthrough",
            "files/new\nline",
            "files/0000001",
        ];
        let done = gristmill(scratch.path(), &[command, &flags[..]].concat());
        assert_eq!(done.code, Some(2), "{command:?}: {done:?}");
        let told: Vec<&str> = done.err.lines().collect();
        assert_eq!(told.len(), 2, "a failure for each file: {done:?}");
        let refused = |line: &&str| line.contains("files/") && line.contains("NVMe passthrough");
        assert!(told.iter().all(refused), "{done:?}");
    }
    let both = ["digest", "--read-path", "passthrough", "--direct", "files"];
    let done = gristmill(scratch.path(), &both);
    assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
    assert!(
        complaint(&done).contains("leave out direct reads"),
        "{done:?}"
    );
    let done = gristmill_reading(
        scratch.path(),
        &["digest", "--read-path", "passthrough", "-"],
        b"x",
    );
    assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
}

#[test]
fn an_interrupted_ingest_keeps_the_rows_so_far_and_exits_with_130() {
    let scratch = files();
    let endless = fs::File::create(scratch.path().join("endless")).unwrap();
    // The whole file is a hole, which takes hours to read.
    endless.set_len(1 << 43).unwrap();
    let arguments = ["ingest", "files/0000001", "endless"];
    let mut child = command(scratch.path(), &arguments).spawn().unwrap();
    let mut rows = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut rows).unwrap();
    interrupt(&child);
    let done = finish(child, Vec::new());
    stdout.read_to_string(&mut rows).unwrap();
    assert_eq!(done.code, Some(130), "{}", done.err);
    assert_eq!(
        rows,
        gristmill(
            scratch.path(),
            &["digest", "--algorithm=crc32c", "files/0000001"]
        )
        .rows()
    );
    assert_eq!(
        complaint(&done),
        "gristmill: interrupted: what was done so far is above"
    );
    // All reads that were begun have ended, and the counters add up.
    assert!(done.err.contains(" 0 in flight"), "{}", done.err);
    assert!(done.err.contains("every read came by"), "{}", done.err);
}

#[test]
fn what_is_read_must_be_named_and_the_help_says_so() {
    let scratch = files();
    let done = gristmill_reading(scratch.path(), &["ingest"], b"bytes");
    assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
    assert!(done.err.contains("PATHS"), "{}", done.err);
    for help in ["-h", "--help"] {
        let text = gristmill(scratch.path(), &["ingest", help]).rows();
        assert!(!text.contains("no path at all"), "{text}");
    }
    fs::create_dir(scratch.path().join("nothing")).unwrap();
    let done = gristmill(scratch.path(), &["ingest", "nothing"]);
    assert_eq!((done.code, done.text()), (Some(0), ""), "{done:?}");
    assert!(done.err.contains("nothing was read"), "{}", done.err);
    let done = gristmill(scratch.path(), &["ingest", "--json", "nothing"]);
    assert_eq!(report(&done)["zero_copy"], false);
    let names = b"files/0000001\n";
    // All processes of an ordinary user share a limit of locked memory.
    let listed = ["ingest", "--slot-size", "64K", "--files-from", "-"];
    let done = gristmill_reading(scratch.path(), &listed, names);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.text().ends_with("  files/0000001\n"), "{done:?}");
}

#[test]
fn flags_out_of_range_are_refused() {
    let scratch = files();
    for flags in [
        ["--slots", "0"],
        ["--slots", "65"],
        ["--workers", "257"],
        ["--slot-size", "100"],
        ["--slot-size", "5000"],
        ["--slot-size", "2G"],
        ["--device-range", "512"],
        ["--device-range", "0,0"],
        ["--read-path", "positioned"],
    ] {
        let done = gristmill(
            scratch.path(),
            &[&["ingest"], &flags[..], &["files"]].concat(),
        );
        assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
    }
}
