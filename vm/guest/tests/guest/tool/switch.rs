mod counts;
mod peer;
mod xfs;

use super::{expected, gristmill, has_tool, path, peer, rows, run, words, TOOL};
use gristmill_vm_guest::disk::{Disk, DATA_BYTES, FILES};
use gristmill_vm_guest::in_guest;
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::process::Command;

const PASSTHROUGH: [&str; 3] = ["ingest", "--read-path", "passthrough"];

/// Whether this is the plain guest, with the tool.
fn ready() -> bool {
    in_guest("") && has_tool()
}

/// What `doctor` says about a read path for a file: whether it works, and why.
fn told(done: &super::Done, name: &str) -> (bool, String) {
    let answer: Value = serde_json::from_str(&done.out).unwrap();
    let findings = match answer.get("files") {
        Some(files) => files[0]["findings"].clone(),
        None => answer["findings"].clone(),
    };
    let found = findings
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == name)
        .unwrap();
    let why = found["why"].as_str().unwrap().to_owned();
    (found["works"].as_bool().unwrap(), why)
}

#[test]
fn ingest_reads_files_by_commands_into_host_and_peer_memory() {
    if !ready() {
        return;
    }
    let (one, many, peer) = (path(0), path(1), peer());
    for memory in [&[][..], &["--peer-memory", &peer]] {
        for size in ["4K", "64K", "2M"] {
            let flags = [&PASSTHROUGH, memory, &["--slot-size", size]].concat();
            let done = gristmill(&[&flags[..], &[&one, &many]].concat());
            assert_eq!(
                (done.code, done.out.as_str()),
                (Some(0), rows(&[0, 1]).as_str()),
                "{done:?}"
            );
            assert!(done.err.contains("zero-copy, by passthrough"), "{done:?}");
        }
        let flags = [&PASSTHROUGH, memory, &["--slot-size", "1M", "--json"]].concat();
        let done = gristmill(&[&flags[..], &[&one, &many]].concat());
        let (report, bytes) = (done.report(), FILES[0].1 + FILES[1].1);
        let telemetry = &report["telemetry"];
        assert_eq!(telemetry["completed_bytes"], bytes, "{report}");
        assert_eq!(
            telemetry["gpudirect_nvme_submissions"], 4,
            "two files of two slots each: {report}"
        );
        assert_eq!(telemetry["registered_mapped_read_submissions"], 0);
        assert_eq!(telemetry["cpu_bounce_bytes"], 0);
        assert_eq!(report["direct_bytes"], bytes, "{report}");
        assert_eq!(report["zero_copy"], true, "{report}");
        // Whole blocks are transferred.
        let blocks: u64 = FILES[..2]
            .iter()
            .map(|(_, bytes)| bytes.next_multiple_of(512))
            .sum();
        assert_eq!(report["bytes_passthrough"], blocks);
    }
}

#[test]
fn ingest_reads_files_into_peer_memory_where_the_file_system_maps_them() {
    if !ready() {
        return;
    }
    let (paths, peer): (Vec<String>, _) = ((0..4).map(path).collect(), peer());
    let mut flags = vec!["ingest", "--read-path", "peer", "--peer-memory", &peer];
    flags.extend(paths.iter().map(String::as_str));
    let done = gristmill(&flags);
    assert_eq!(
        (done.code, done.out),
        (Some(0), rows(&[0, 1, 2, 3])),
        "{}",
        done.err
    );
    // The kernel produces the zeros of a hole, and of a range that was never written.
    let bytes: u64 = FILES[..4].iter().map(|(_, bytes)| bytes).sum();
    let zeros = (64 << 10) + (128 << 10);
    for words in [
        "every read came by peer".to_owned(),
        format!("{zeros} by the kernel"),
        format!("{} bytes, which the disk wrote", bytes - zeros),
    ] {
        assert!(done.err.contains(&words), "{words}: {}", done.err);
    }
    flags.truncate(flags.len() - 2);
    let done = gristmill(&flags);
    assert!(done.err.contains("zero-copy, by peer"), "{}", done.err);
}

#[test]
fn ingest_reads_a_range_of_a_namespace_and_refuses_what_is_not_there() {
    if !ready() {
        return;
    }
    let disk = Disk::find("data");
    let crc = format!("{:08x}", crc32c::crc32c(&words(0, DATA_BYTES)));
    for id in [1, 2] {
        let device = disk.namespace(id).generic_path;
        let device = device.to_str().unwrap();
        let range = |range: &str| {
            gristmill(&[&PASSTHROUGH[..], &["--device-range", range, device]].concat())
        };
        let whole = range("0,32M");
        assert_eq!(
            (whole.code, whole.out),
            (Some(0), format!("{crc}  {device}\n")),
            "{}",
            whole.err
        );
        let third = range("4K,8K");
        let content = &words(0, 12 << 10)[4 << 10..];
        assert_eq!(
            third.out,
            format!("{:08x}  {device}\n", crc32c::crc32c(content))
        );
        for (bad, reason) in [
            ("0,33M", "has 33554432 bytes"),
            ("100,4K", "whole blocks"),
            ("0,100", "whole blocks"),
        ] {
            let done = range(bad);
            assert_eq!((done.code, done.out.as_str()), (Some(2), ""), "{bad}");
            assert!(
                done.err.contains(device) && done.err.contains(reason),
                "{done:?}"
            );
        }
    }
    let metadata = disk.namespace(3).generic_path;
    let done = gristmill(
        &[
            &PASSTHROUGH[..],
            &["--device-range", "0,4K", metadata.to_str().unwrap()],
        ]
        .concat(),
    );
    assert!(
        done.code == Some(2) && done.err.contains("metadata"),
        "{done:?}"
    );
}

#[test]
fn a_file_that_commands_cannot_read_is_refused_with_the_reason_and_the_others_are_read() {
    if !ready() {
        return;
    }
    let one = path(0);
    for (index, reason) in [(2, "hole"), (3, "unwritten"), (4, "inline")] {
        let refused = path(index);
        let done = gristmill(&[&PASSTHROUGH[..], &[&refused, &one]].concat());
        assert_eq!((done.code, done.out), (Some(2), rows(&[0])), "{}", done.err);
        let told = done
            .err
            .lines()
            .find(|line| line.starts_with("gristmill: "))
            .unwrap();
        assert!(told.contains(&refused) && told.contains(reason), "{told}");
        // The registered path accepts the file.
        let (_, crc) = expected(index);
        let done = gristmill(&["ingest", "--json", &refused]);
        assert_eq!(
            (done.code, &done.objects()[0]["digest"]),
            (Some(0), &format!("{crc:08x}").into())
        );
    }
}

#[test]
fn doctor_tells_which_path_a_file_can_take_and_why_not_the_others() {
    if !ready() {
        return;
    }
    let machine = gristmill(&["doctor", "--json"]);
    for name in ["registered", "passthrough", "peer"] {
        assert!(told(&machine, name).0, "{machine:?}");
    }
    for (index, refusal) in [
        (0, None),
        (1, None),
        (2, Some("hole")),
        (3, Some("unwritten")),
        (4, Some("inline")),
    ] {
        let done = gristmill(&["doctor", "--json", &path(index)]);
        let (works, why) = told(&done, "passthrough");
        match refusal {
            None => assert!(works && why.contains("begins at byte 1048576"), "{why}"),
            Some(reason) => assert!(!works && why.contains(reason), "{why}"),
        }
        assert!(told(&done, "registered").0, "{done:?}");
        // Zeros that are not on the disk are not an obstacle for this path.
        let (works, why) = told(&done, "peer");
        assert_eq!(works, refusal != Some("inline"), "{why}");
        assert!(works || why.contains("inline"), "{why}");
    }
    let block = Disk::find("data").namespace(1).block_path;
    let done = gristmill(&["doctor", "--json", block.to_str().unwrap()]);
    let (works, why) = told(&done, "passthrough");
    assert!(!works && why.contains("a block device"), "{why}");
    // Another user may open neither the disk nor the memory.
    let done = run(Command::new(TOOL)
        .args(["doctor", "--json", &path(0)])
        .uid(65_534)
        .gid(65_534));
    for name in ["passthrough", "peer"] {
        let (works, why) = told(&done, name);
        assert!(!works && why.contains("Permission denied"), "{name}: {why}");
    }
    let done = gristmill(&["doctor", "--json", "/proc/version"]);
    let (works, why) = told(&done, "passthrough");
    assert!(!works && why.contains("not on a block device"), "{why}");
    let device = Disk::find("data").namespace(2).generic_path;
    let done = gristmill(&["doctor", "--json", device.to_str().unwrap()]);
    let (works, why) = told(&done, "passthrough");
    assert!(works && why.contains("blocks of 4096 bytes"), "{why}");
}

/// Bytes by call, as `--stats` reports them: READ_FIXED, READ, pread, NVMe Read.
fn by_path(done: &super::Done) -> Vec<u64> {
    let line = done
        .err
        .lines()
        .find_map(|line| line.strip_prefix("by call "));
    let numbers = line.unwrap().split_whitespace();
    numbers.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn digest_scan_and_stats_read_files_by_commands() {
    if !ready() {
        return;
    }
    let (one, many) = (path(0), path(1));
    for flags in [
        &["--chunk-size", "4K"][..],
        &["--chunk-size", "64K", "-j", "3", "--depth", "3"],
        &["--chunk-size", "2M"],
    ] {
        let passthrough = [
            "digest",
            "--algorithm=crc32c",
            "--sort",
            "none",
            "--stats",
            "--read-path",
            "passthrough",
            "-j",
            "1",
        ];
        let flags = [
            &passthrough[..7],
            if flags.contains(&"-j") {
                &[]
            } else {
                &passthrough[7..]
            },
            flags,
        ]
        .concat();
        let done = gristmill(&[&flags[..], &[&one, &many]].concat());
        let mut found: Vec<&str> = done.out.lines().collect();
        found.sort_unstable();
        let expected = rows(&[0, 1]);
        let mut expected: Vec<&str> = expected.lines().collect();
        expected.sort_unstable();
        assert_eq!((done.code, found), (Some(0), expected), "{}", done.err);
        assert!(
            done.err.contains("read path     passthrough\n"),
            "{}",
            done.err
        );
        let blocks: u64 = FILES[..2]
            .iter()
            .map(|(_, bytes)| bytes.next_multiple_of(512))
            .sum();
        assert_eq!(by_path(&done), [0, 0, 0, blocks], "{}", done.err);
    }
    for command in [
        &["stats"][..],
        &["scan", "-a", "-c", "1"],
        &["scan", "-a", "-o", "-b", "\u{1}"],
    ] {
        let by = |read_path: &'static str| {
            let flags = [
                "--sort",
                "path",
                "--read-path",
                read_path,
                "--chunk-size",
                "16K",
                &one,
                &many,
            ];
            let done = gristmill(&[command, &flags[..]].concat());
            assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{command:?}");
            done.out
        };
        assert_eq!(by("passthrough"), by("registered"), "{command:?}");
    }
}

#[test]
fn digest_by_commands_refuses_each_file_that_they_cannot_read_and_reads_the_others() {
    if !ready() {
        return;
    }
    let paths: Vec<String> = (0..5).map(path).collect();
    let mut flags = vec![
        "digest",
        "--algorithm=crc32c",
        "--sort",
        "path",
        "--read-path",
        "passthrough",
    ];
    flags.extend(paths.iter().map(String::as_str));
    flags.push("/proc/version");
    let done = gristmill(&flags);
    let mut found: Vec<&str> = done.out.lines().collect();
    found.sort_unstable();
    let expected = rows(&[0, 1]);
    let mut expected: Vec<&str> = expected.lines().collect();
    expected.sort_unstable();
    assert_eq!((done.code, found), (Some(2), expected), "{}", done.err);
    assert_eq!(done.err.lines().count(), 4, "{}", done.err);
    for (path, reason) in [
        (paths[2].as_str(), "hole"),
        (&paths[3], "unwritten"),
        (&paths[4], "inline"),
        ("/proc/version", "neither ext4 nor XFS"),
    ] {
        let told = done
            .err
            .lines()
            .any(|line| line.contains(path) && line.contains(reason));
        assert!(told, "{path}: {}", done.err);
    }
}
