//! `--record` and `gristmill replay`, end to end.

use crate::tool::{
    command, finish, gristmill, gristmill_reading, interrupt, wait_until_busy, Done,
};
use gristmill::megakernel::log::{LoggedBytes, LoggedSlot, RingLog};
use gristmill::megakernel::protocol::program;
use gristmill::megakernel::RingLogReader;
use gristmill_testing::noise;
use std::fs;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

/// Small files and large ones, with and without lines.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let files = tree.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("empty"), b"").unwrap();
    fs::write(files.join("short"), b"one needle\nand no\nNEEDLE").unwrap();
    fs::write(files.join("noise"), noise(1, 300_001)).unwrap();
    fs::write(files.join("lines"), b"needle x\nhay\n".repeat(20_000)).unwrap();
    fs::write(files.join("a name\nof two lines"), b"needle").unwrap();
    fs::write(
        tree.path().join("needles.vasm"),
        "
        .after  5
        .records 700
        .acc found sum
        .acc bytes[4] sum
            mov  r5, 0x6465656e
            each r1, 1
              ld32 r2, r1
              eq   r3, r2, r5
              acc  found, r3
              if   r3
                emit r1, r2
              end
              and  r4, r2, 3
              mov  r3, 1
              acc  bytes, r4, r3
            end
        ",
    )
    .unwrap();
    tree
}

fn fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

fn replay(tree: &TempDir, arguments: &[&str]) -> Done {
    gristmill(tree.path(), &[&["replay", "log"], arguments].concat())
}

fn slots(path: &Path) -> Vec<LoggedSlot<'static>> {
    let bytes = fs::read(path).unwrap();
    let mut log = RingLogReader::new(bytes.as_slice()).unwrap();
    std::iter::from_fn(|| log.next_slot().unwrap()).collect()
}

/// A recorded run over the files, in chunks of this size.
fn recorded(chunk_bytes: &str) -> [&str; 7] {
    [
        "digest",
        "--algorithm=crc32c",
        "files",
        "--record",
        "log",
        "--chunk-size",
        chunk_bytes,
    ]
}

#[test]
fn what_is_recorded_replays_the_same() {
    let tree = tree();
    let jobs: &[&[&str]] = &[
        &["scan", "-c", "needle", "files"],
        &["scan", "-n", "-i", "needle", "files"],
        &["scan", "--all", "-e", "needle", "-e", "dle", "files"],
        &["digest", "--algorithm=crc32c", "files"],
        &["digest", "files"],
        &["stats", "files"],
        &["run", "needles.vasm", "files"],
    ];
    for job in jobs {
        for settings in [
            &["-j1"] as &[&str],
            &["-j3", "--chunk-size", "4K"],
            &["-j2", "--chunk-size", "64K", "--read-path", "positioned"],
        ] {
            let sorted = ["--sort", "path"];
            let plain = gristmill(tree.path(), &[job, settings, &sorted].concat());
            let record = ["--record", "log"];
            let recorded = gristmill(tree.path(), &[job, settings, &sorted, &record].concat());
            assert_eq!(plain.rows(), recorded.rows(), "recording changes no row");
            let count = slots(&tree.path().join("log")).len();
            assert!(count >= 4, "{count} slots");
            for workers in ["-j1", "-j4"] {
                let done = replay(&tree, &["--backend", "cpu", workers]).rows();
                let expected = format!("the same: {count} slots, ");
                assert!(done.starts_with(&expected), "{job:?} {settings:?}: {done}");
                assert!(
                    done.ends_with("recorded on cpu, replayed on cpu\n"),
                    "{done}"
                );
            }
        }
    }
}

#[test]
fn chunks_whose_records_overflow_are_recorded_part_by_part() {
    let tree = tree();
    let parts = |arguments: &[&str]| {
        gristmill(tree.path(), &[arguments, &["--record", "log"]].concat()).rows();
        assert!(replay(&tree, &[]).rows().starts_with("the same"));
        let slots = slots(&tree.path().join("log"));
        let overflowed = slots.iter().filter(|slot| slot.result.flags != 0).count();
        (slots.len(), overflowed)
    };
    // 20,000 lines match in one chunk, and a record area holds 8,192.
    assert_eq!(parts(&["scan", "-n", "needle", "files/lines"]), (3, 2));
    let (slots, overflowed) = parts(&["run", "needles.vasm", "files/lines"]);
    assert!(slots > 20 && overflowed > 10, "{slots} {overflowed}");
}

#[test]
fn standard_input_is_kept_in_the_log() {
    let tree = tree();
    let input = b"hay needle\n".repeat(10_000);
    let jobs: &[&[&str]] = &[
        &["stats"],
        &["digest", "--algorithm=crc32c"],
        &["digest"],
        &["scan", "-c", "needle", "-"],
        &["run", "needles.vasm"],
    ];
    for job in jobs {
        let flags = ["--record", "log", "--chunk-size", "16K"];
        gristmill_reading(tree.path(), &[job, &flags as &[&str]].concat(), &input).rows();
        let done = replay(&tree, &[]).rows();
        assert!(done.starts_with("the same"), "{job:?}: {done}");
        let slots = slots(&tree.path().join("log"));
        assert!(slots.len() > 3);
        assert!(slots
            .iter()
            .all(|slot| matches!(slot.bytes, LoggedBytes::Kept(_))));
    }
    // A FIFO cannot be read again either.
    fifo(&tree.path().join("fifo"));
    let child = command(
        tree.path(),
        &["digest", "--algorithm=crc32c", "fifo", "--record", "log"],
    )
    .spawn();
    fs::write(tree.path().join("fifo"), &input).unwrap();
    finish(child.unwrap(), Vec::new()).rows();
    assert!(replay(&tree, &[]).rows().starts_with("the same"));
    // A file that is standard input cannot be opened again by its name.
    let file = fs::File::open(tree.path().join("files/lines")).unwrap();
    let mut command = command(
        tree.path(),
        &["digest", "--algorithm=crc32c", "--record", "log"],
    );
    finish(command.stdin(file).spawn().unwrap(), Vec::new()).rows();
    assert!(replay(&tree, &[]).rows().starts_with("the same: 1 slots"));
}

#[test]
fn files_that_have_changed_are_told_apart_from_results() {
    let tree = tree();
    let log = recorded("64K");
    gristmill(tree.path(), &log).rows();
    let (lines, short) = (
        tree.path().join("files/lines"),
        tree.path().join("files/short"),
    );
    let mut bytes = fs::read(&lines).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&lines, &bytes).unwrap();
    let done = replay(&tree, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    let count = slots(&tree.path().join("log")).len();
    let verdict = format!("the same: {} of {count} slots, ", count - 1);
    assert!(done.text().starts_with(&verdict), "{done:?}");
    assert!(done
        .err
        .contains("files/lines: offset 65536: the file has changed"));
    assert!(done.err.contains("1 of "), "{done:?}");

    bytes.truncate(60_000);
    fs::write(&lines, &bytes).unwrap();
    let done = replay(&tree, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done
        .err
        .contains("files/lines: offset 0: the file has changed: it ends earlier"));

    fs::remove_file(&short).unwrap();
    let done = replay(&tree, &[]);
    assert!(
        done.err.contains("files/short: offset 0: No such file"),
        "{done:?}"
    );
    // A replay does not wait for a writer.
    fifo(&short);
    let done = replay(&tree, &[]);
    assert!(
        done.err
            .contains("files/short: offset 0: no longer a regular file"),
        "{done:?}"
    );
}

/// No slot has seen the added bytes: the file has changed even though the recorded bytes are still there.
#[test]
fn a_file_that_has_grown_has_changed() {
    let tree = tree();
    let job = recorded("4K");
    // One file ends within a chunk, the other at the end of one.
    let (short, even) = (
        tree.path().join("files/short"),
        tree.path().join("files/even"),
    );
    fs::write(&even, noise(3, 8192)).unwrap();
    gristmill(tree.path(), &job).rows();
    assert!(replay(&tree, &[]).rows().starts_with("the same"));
    for file in [short, even] {
        let before = fs::read(&file).unwrap();
        let mut grown = fs::OpenOptions::new().append(true).open(&file).unwrap();
        grown.write_all(b"x").unwrap();
        let done = replay(&tree, &[]);
        assert_eq!(done.code, Some(2), "{done:?}");
        let sizes = format!(
            "it had {} bytes when recorded, and has {}",
            before.len(),
            before.len() + 1
        );
        assert!(done.err.contains(&sizes), "{done:?}");
        fs::write(&file, before).unwrap();
        assert!(replay(&tree, &[]).rows().starts_with("the same"));
    }
}

#[test]
fn nothing_is_the_same_where_nothing_was_replayed() {
    let tree = tree();
    gristmill(
        tree.path(),
        &[
            "digest",
            "--algorithm=crc32c",
            "files/empty",
            "--record",
            "log",
        ],
    )
    .rows();
    let done = replay(&tree, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(
        done.text().starts_with("nothing was replayed, "),
        "{done:?}"
    );
    assert!(done.err.contains("the log holds no slots"), "{done:?}");

    let job = [
        "digest",
        "--algorithm=crc32c",
        "files/short",
        "--record",
        "log",
    ];
    gristmill(tree.path(), &job).rows();
    fs::remove_file(tree.path().join("files/short")).unwrap();
    let done = replay(&tree, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(
        done.text().starts_with("nothing was replayed, "),
        "{done:?}"
    );
}

#[test]
fn a_replay_finds_the_files_from_anywhere() {
    let tree = tree();
    gristmill(
        tree.path(),
        &["digest", "--algorithm=crc32c", "files", "--record", "log"],
    )
    .rows();
    let log = tree.path().join("log");
    let done = gristmill(Path::new("/"), &["replay", log.to_str().unwrap()]);
    assert!(done.rows().starts_with("the same"));
}

/// Writes the log again, with a change.
fn tamper(path: &Path, change: impl FnOnce(&mut Vec<LoggedSlot<'static>>)) {
    let mut slots = slots(path);
    change(&mut slots);
    let bytes = fs::read(path).unwrap();
    let about = RingLogReader::new(bytes.as_slice())
        .unwrap()
        .about()
        .clone();
    let mut log = RingLog::new(Vec::new(), about).unwrap();
    for slot in &slots {
        log.slot(slot).unwrap();
    }
    fs::write(path, log.finish().unwrap()).unwrap();
}

#[test]
fn a_different_result_is_told_with_slot_and_word() {
    let tree = tree();
    let log = tree.path().join("log");
    let flags = ["--record", "log", "--chunk-size", "64K"];
    gristmill(
        tree.path(),
        &[
            &["digest", "--algorithm=crc32c", "files"],
            &flags as &[&str],
        ]
        .concat(),
    )
    .rows();
    let unchanged = fs::read(&log).unwrap();
    tamper(&log, |_| ());
    assert_eq!(
        fs::read(&log).unwrap(),
        unchanged,
        "a log is read and written as it was"
    );

    let mut crc = 0;
    tamper(&log, |slots| {
        crc = slots[3].result.results[0];
        slots[3].result.results[0] = 0xBAD;
        slots[5].result.flags = 1;
    });
    for workers in ["-j1", "-j4"] {
        let done = replay(&tree, &[workers]);
        assert_eq!((done.code, &*done.err), (Some(1), ""), "{done:?}");
        let first = done.text().lines().next().unwrap();
        assert!(first.starts_with("slot 3 (CRC32C, "), "{done:?}");
        let word = format!(": result 0: recorded 0xbad, replayed {crc:#x}");
        assert!(first.ends_with(&word), "{done:?}");
        assert!(done.text().contains("different: 2 of "), "{done:?}");
    }

    let word = |done: &Done, expected: &str| {
        assert_eq!(done.code, Some(1), "{done:?}");
        assert!(done.text().contains(expected), "{expected}: {done:?}");
    };
    // Results are changed in a histogram, and in a program's accumulators and records.
    gristmill(tree.path(), &["stats", "files/lines", "--record", "log"]).rows();
    tamper(&log, |slots| slots[0].result.area.to_mut()[10] = 3);
    word(
        &replay(&tree, &[]),
        ": area 10: recorded 0x3, replayed 0x9c40",
    );
    gristmill(
        tree.path(),
        &["run", "needles.vasm", "files/short", "--record", "log"],
    )
    .rows();
    // Five accumulators of two words, then the record's position.
    tamper(&log, |slots| slots[0].result.area.to_mut()[10] = 5);
    word(&replay(&tree, &[]), "slot 0 (a program, ");
    word(&replay(&tree, &[]), ": area 10: recorded 0x5, replayed 0x4");
}

#[test]
fn what_lies_before_a_cut_is_replayed() {
    let tree = tree();
    let log = tree.path().join("log");
    gristmill(tree.path(), &recorded("4K")).rows();
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() / 2]).unwrap();
    let done = replay(&tree, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("it was cut at byte "), "{done:?}");
    assert!(!done.text().contains(" 0 slots"), "{done:?}");

    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    fs::write(&log, &damaged).unwrap();
    let done = replay(&tree, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("it is damaged at byte "), "{done:?}");

    fs::write(&log, "no log at all").unwrap();
    let done = replay(&tree, &[]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("does not begin as one"), "{done:?}");
    assert!(done.err.contains("--record writes"), "{done:?}");
}

#[test]
fn a_log_that_cannot_be_written_ends_the_run() {
    let tree = tree();
    for command in [
        &["digest", "--algorithm=crc32c", "files"] as &[&str],
        &["scan", "-q", "needle", "files"],
    ] {
        let done = gristmill(tree.path(), &[command, &["--record", "/dev/full"]].concat());
        assert_eq!(done.code, Some(2), "{done:?}");
        let expected = "/dev/full: the ring log cannot be written: No space left on device";
        assert!(done.err.contains(expected), "{done:?}");
        assert!(!done.err.contains("interrupted"), "{done:?}");
    }
    let done = gristmill(
        tree.path(),
        &[
            "digest",
            "--algorithm=crc32c",
            "files",
            "--record",
            "no/such/log",
        ],
    );
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("no/such/log: No such file"), "{done:?}");
    // Several runs cannot share a log.
    let check = ["run", "--check", "needles.vasm", "files", "--record", "log"];
    assert_eq!(gristmill(tree.path(), &check).code, Some(2));
}

#[test]
fn an_interrupted_run_leaves_a_whole_log() {
    let tree = tree();
    let mut command = command(
        tree.path(),
        &[
            "digest",
            "--algorithm=crc32c",
            "--record",
            "log",
            "--chunk-size",
            "4K",
        ],
    );
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Once this much has been written into the pipe, two chunks must have been read.
    input.write_all(&noise(2, 1 << 18)).unwrap();
    interrupt(&child);
    let done = finish(child, Vec::new());
    drop(input);
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(replay(&tree, &[]).rows().starts_with("the same"));
}

/// Even a small log may ask for much work.
#[test]
fn an_interrupt_ends_a_replay_inside_of_a_slot() {
    let tree = tree();
    let log = tree.path().join("log");
    fs::write(
        tree.path().join("long.vasm"),
        "
        .arg quick
        .acc n sum
            arg  r1, quick
            loop 12000
              loop 12000
                break r1
              end
              break r1
            end
            acc  n, r1
        ",
    )
    .unwrap();
    let run = ["run", "--arg", "quick=1", "--record", "log", "long.vasm"];
    gristmill(tree.path(), &[&run[..], &["files/short"]].concat()).rows();
    tamper(&log, |slots| slots[0].words.args[program::ARG_FIRST] = 0);
    for workers in ["-j1", "-j2"] {
        let child = command(tree.path(), &["replay", workers, "log"])
            .spawn()
            .unwrap();
        wait_until_busy(&child);
        interrupt(&child);
        let done = finish(child, Vec::new());
        assert_eq!(done.code, Some(130), "{done:?}");
        assert!(done.text().starts_with("nothing was replayed"), "{done:?}");
        assert!(done.err.contains("interrupted"), "{done:?}");
    }
}
