//! Outputs that take their name when they are whole: whatever ends a run, what stands under the name is whole, or what was
//! there before.

use crate::output::SmallDisk;
use crate::world::{text, Answer, Scratch, Tool, LINE_BYTES};
use gristmill_testing::Patience;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Every occurrence of a letter, of which each line has several, into a table.
fn sweep(file: &Path, output: &Path) -> Tool {
    Tool::new(["scan", "--all", "-F", "-e", "e", "--output"]).args([output, file])
}

fn matches(text: &[u8]) -> usize {
    memchr::memchr_iter(b'e', text).count()
}

#[test]
fn a_disk_that_fills_up_leaves_the_name_as_it_was() {
    let Some(disk) = SmallDisk::new() else {
        return;
    };
    let scratch = Scratch::new();
    let file = scratch.write("file", &text(4 * MIB / LINE_BYTES));
    let small = scratch.write("small", b"one e\n");
    for format in ["txt", "jsonl", "csv", "arrow", "parquet"] {
        let output = disk.path().join(format!("rows.{format}"));
        let told = |answer: &Answer| {
            answer.assert_code(2);
            let lines: Vec<&str> = answer.errors.lines().collect();
            let head = format!("gristmill: {}: No space left on device", output.display());
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with(&head), "{lines:?}");
            assert!(lines[0].ends_with("it was not written"), "{lines:?}");
        };
        // Parquet takes less space, so it gets the letters' own bytes.
        let context = ["--context-bytes=200"];
        let more: &[&str] = if format == "parquet" { &context } else { &[] };
        told(&sweep(&file, &output).args(more).run());
        assert_eq!(names(disk.path()), [""; 0], "{format}");
        sweep(&small, &output).run().assert_code(0).assert_quiet();
        let before = fs::read(&output).unwrap();
        told(&sweep(&file, &output).args(more).run());
        assert_eq!(names(disk.path()).len(), 1);
        assert_eq!(fs::read(&output).unwrap(), before);
        fs::remove_file(&output).unwrap();
    }
}

/// A run that goes on until its list of files ends, and has written rows.
fn waiting(scratch: &Scratch, output: &Path) -> (crate::world::Running, impl Write) {
    let file = scratch.write("tree/file", &text(MIB / LINE_BYTES));
    let (stdin, mut list) = std::io::pipe().unwrap();
    let tool = Tool::new(["scan", "--all", "-F", "-e", "e", "--files-from", "-"]);
    let running = tool.args(["--output"]).args([output]).stdin(stdin).start();
    list.write_all(file.as_os_str().as_encoded_bytes()).unwrap();
    list.write_all(b"\n").unwrap();
    let begun = || {
        let names = names(output.parent().unwrap());
        let mut partial = names.iter().filter(|name| name.ends_with(".partial"));
        let lines = ["txt", "csv"].map(OsStr::new);
        let least = u64::from(lines.contains(&output.extension().unwrap())) << 10;
        partial.any(|name| fs::metadata(output.with_file_name(name)).unwrap().len() >= least)
    };
    let mut patience = Patience::new();
    while !begun() {
        assert!(patience.over().is_none(), "no output");
        std::thread::sleep(Duration::from_millis(2));
    }
    (running, list)
}

#[test]
fn a_run_that_is_killed_leaves_the_name_as_it_was() {
    for format in ["txt", "csv", "arrow", "parquet"] {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("out")).unwrap();
        let output = scratch.join(format!("out/rows.{format}"));
        let (running, _list) = waiting(&scratch, &output);
        running.signal("KILL");
        assert_eq!(running.finish().code(), 128 + libc::SIGKILL);
        let left = names(&scratch.join("out"));
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(left[0].starts_with(&format!(".rows.{format}.")), "{left:?}");
        assert!(left[0].ends_with(".partial"), "{left:?}");
    }
}

#[test]
fn a_run_that_is_interrupted_keeps_its_rows_beside_the_name() {
    for format in ["txt", "csv", "arrow", "parquet"] {
        let scratch = Scratch::new();
        fs::create_dir(scratch.join("out")).unwrap();
        let output = scratch.join(format!("out/rows.{format}"));
        let magic = match format {
            "arrow" => &b"ARROW1"[..],
            "parquet" => b"PAR1",
            _ => b"before",
        };
        fs::write(&output, magic).unwrap();
        let (running, _list) = waiting(&scratch, &output);
        running.wait_until_caught(libc::SIGINT);
        running.signal("INT");
        let answer = running.finish();
        answer.assert_code(130);
        assert_eq!(fs::read(&output).unwrap(), magic);
        let kept = names(&scratch.join("out")).swap_remove(0);
        let kept = scratch.join("out").join(kept);
        let told = format!(
            "gristmill: interrupted: the rows so far are in {}, and {} was not written\n",
            kept.display(),
            output.display()
        );
        assert_eq!(answer.errors, told);
        let table = fs::read(&kept).unwrap();
        match format {
            "arrow" | "parquet" => assert!(table.starts_with(magic) && table.ends_with(magic)),
            _ => assert!(table.ends_with(b"\n")),
        }
    }
}

#[test]
fn a_hundred_thousand_rows_are_all_there_under_bounded_memory() {
    let scratch = Scratch::new();
    let lines = text(60_000);
    let file = scratch.write("file", &lines);
    let count = matches(&lines);
    assert!(count > 100_000, "{count}");
    // Rows of some hundred bytes: 200 MB of them.
    let peak = |format: &str, context: &str| {
        let output = scratch.join(format!("rows.{format}"));
        let tool = sweep(&file, &output).args([context, "--workers=1"]);
        let running = tool.start();
        let mut peak = 0;
        while let Some(now) = running.peak_while_it_runs() {
            peak = now;
            std::thread::sleep(Duration::from_millis(2));
        }
        running.finish().assert_code(0).assert_quiet();
        (output, peak)
    };
    let (csv, plain) = peak("csv", "--context-bytes=0");
    let rows = fs::read_to_string(csv).unwrap();
    assert_eq!(rows.lines().count(), count + 1);
    for format in ["csv", "arrow", "parquet"] {
        let (_, peak) = peak(format, "--context-bytes=900");
        assert!(
            peak < plain + (96 << 20),
            "{format}: {plain} and {peak} bytes"
        );
    }
}

#[test]
fn an_output_replaces_its_own_kind_and_never_an_input() {
    let scratch = Scratch::new();
    let file = scratch.write("tree/file", b"one e\n");
    let other = scratch.write("tree/other.parquet", b"not a table");
    let run = |output: &Path, inputs: &[&PathBuf]| {
        let tool = Tool::new(["digest", "--output"]).args([output]);
        tool.args(inputs).run()
    };
    let answer = run(&other, &[&file]);
    answer.assert_code(2);
    assert!(
        answer.errors.contains("is not a Parquet file"),
        "{answer:?}"
    );
    let input = scratch.write("tree/input.csv", b"e\n");
    let answer = run(&input, &[&input, &file]);
    answer.assert_code(2);
    assert!(answer.errors.contains("which is read"), "{answer:?}");
    assert_eq!(fs::read(&input).unwrap(), b"e\n");
    // A walk passes over the output, what it replaces, and the temporary file.
    let output = scratch.join("tree/digests.csv");
    for _ in 0..2 {
        run(&output, &[&scratch.join("tree")])
            .assert_code(0)
            .assert_quiet();
        let rows = fs::read_to_string(&output).unwrap();
        assert_eq!(rows.lines().count(), 4, "{rows}");
        assert!(
            !rows.contains("partial") && !rows.contains("digests"),
            "{rows}"
        );
    }
    assert_eq!(names(&scratch.join("tree")).len(), 4);
    // A link stays, and its target gets the rows, with the permissions that it had.
    fs::set_permissions(&output, PermissionsExt::from_mode(0o640)).unwrap();
    let link = scratch.join("link.csv");
    symlink(&output, &link).unwrap();
    run(&link, &[&file]).assert_code(0).assert_quiet();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 2);
    assert_eq!(
        fs::metadata(&output).unwrap().permissions().mode() & 0o777,
        0o640
    );
    // What is no place for a file.
    for (path, why) in [
        ("tree/x.csv/", "directory"),
        ("tree/no/x.csv", "No such file"),
        ("tree", "ending"),
    ] {
        let answer = run(&scratch.join(path), &[&file]);
        answer.assert_code(2);
        assert_eq!(answer.errors.lines().count(), 1, "{why}: {answer:?}");
    }
    // A device is written at once.
    let answer = Tool::new(["digest", "--format=csv", "--output=/dev/null"])
        .args([&file])
        .run();
    answer.assert_code(0).assert_quiet();
    let answer = Tool::new(["digest", "--format=parquet", "--output=/dev/full"])
        .args([&file])
        .run();
    answer.assert_code(2);
    assert!(
        answer.errors.contains("/dev/full: No space left"),
        "{answer:?}"
    );
}

#[test]
fn a_file_that_fails_does_not_keep_the_others_from_their_table() {
    let scratch = Scratch::new();
    let file = scratch.write("file", b"one e\n");
    let output = scratch.join("rows.csv");
    let answer = Tool::new(["digest", "--output"])
        .args([&output, &file, &scratch.join("none")])
        .run();
    answer.assert_code(2);
    assert_eq!(fs::read_to_string(&output).unwrap().lines().count(), 2);
}
