//! Behaviour that all commands share: how they end, their messages when they cannot go on, and how they read; doctor,
//! manual and completions.

use crate::tool::{command, commands, finish, gristmill, interrupt};
use gristmill_testing::Patience;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A directory with a few files of several chunks of 4 KiB, each line of which holds `needle`.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for (name, lines) in [("a", 1), ("b", 1_000), ("c", 3_333), ("d", 0)] {
        fs::write(tree.path().join(name), "a needle and hay\n".repeat(lines)).unwrap();
    }
    tree
}

/// A call of each command that writes to standard output.
const COMMANDS: [&[&str]; 10] = [
    &["scan", "needle", "a", "b"],
    &["scan", "--json", "needle", "a", "b"],
    &["digest", "a", "b"],
    &["digest", "--check", "list"],
    &["stats", "a", "b"],
    &["stats", "--total", "--histogram", "a", "b"],
    &["doctor"],
    &["doctor", "--json"],
    &["man"],
    &["completions", "bash"],
];

/// [`tree`], and a list of digests.
fn tree_with_list() -> TempDir {
    let tree = tree();
    let list = gristmill(tree.path(), &["digest", "a", "b"]).rows();
    fs::write(tree.path().join("list"), list).unwrap();
    tree
}

/// Whether `doctor` says that io_uring works.
fn io_uring_works(directory: &Path) -> bool {
    let text = gristmill(directory, &["doctor", "--json"]).rows();
    let answer: Value = serde_json::from_str(&text).unwrap();
    let findings = answer["findings"].as_array().unwrap();
    let ring = findings
        .iter()
        .find(|finding| finding["name"] == "registered")
        .unwrap();
    ring["works"].as_bool().unwrap()
}

/// The long flags in the lines of a text that `wanted` selects.
fn long_flags(text: &str, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for line in text.lines().filter(|line| wanted(line.trim_start())) {
        for (place, _) in line.match_indices("--") {
            let flag: String = line[place + 2..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
                .collect();
            flags.insert(flag);
        }
    }
    flags
}

fn program_is_missing(program: &str) -> bool {
    let missing = Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(|child| finish(child, Vec::new()))
        .is_err();
    if missing {
        gristmill_testing::skipped(format_args!("{program} not installed"));
    }
    missing
}

#[test]
fn doctor_tells_each_read_path_and_back_end_and_a_step_for_what_does_not_work() {
    let tree = tempfile::tempdir().unwrap();
    let text = gristmill(tree.path(), &["doctor"]).rows();
    let json = gristmill(tree.path(), &["doctor", "--json"]).rows();
    assert_eq!(json.lines().count(), 1);
    let answer: Value = serde_json::from_str(&json).unwrap();
    for name in ["kernel", "processor", "cores", "memory", "free"] {
        let value = answer["machine"][name].as_str().unwrap();
        assert!(!value.is_empty(), "{name}");
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
    let findings = answer["findings"].as_array().unwrap();
    for name in ["registered", "positioned", "cpu"] {
        assert!(findings.iter().any(|finding| finding["name"] == name));
    }
    // Rows are compared in order, because a row may mention the subject of another.
    let mut rows = text
        .lines()
        .skip_while(|line| !line.starts_with("yes ") && !line.starts_with("no "));
    for finding in findings {
        let (kind, name) = (&finding["kind"], finding["name"].as_str().unwrap());
        let works = finding["works"].as_bool().unwrap();
        let why = finding["why"].as_str().unwrap();
        assert!(!why.is_empty(), "{name}");
        let row = rows.next().unwrap();
        let start = if works { "yes" } else { "no " };
        let start = format!("{start} {:<10} {name}", kind.as_str().unwrap());
        assert!(row.starts_with(&start) && row.ends_with(why), "{row}");
        let step = finding["step"].as_str();
        assert!(kind != "read path" || works || step.is_some(), "{row}");
        if let Some(step) = step {
            assert!(rows.next().unwrap().ends_with(step), "{row}");
        }
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn the_manual_has_a_section_for_each_command_with_each_long_flag_of_its_help() {
    let tree = tempfile::tempdir().unwrap();
    let page = gristmill(tree.path(), &["man"]).rows();
    let names = commands(tree.path());
    for name in ["scan", "digest", "stats", "doctor", "man", "completions"] {
        assert!(names.iter().any(|listed| listed == name), "{names:?}");
    }
    for name in names {
        let heading = format!(".SH \"GRISTMILL {}\"\n", name.to_uppercase());
        let (_, section) = page
            .split_once(&heading)
            .unwrap_or_else(|| panic!("no section {heading}"));
        let section = section.split("\n.SH ").next().unwrap().replace("\\-", "-");
        let help = gristmill(tree.path(), &[&name, "--help"]).rows();
        let wanted = long_flags(&help, |line| line.starts_with('-'));
        assert!(wanted.contains("help"), "{name}: {help}");
        // A flag's own paragraph begins with it in bold; its mention in the synopsis is not enough.
        let (_, options) = section.split_once(".SS OPTIONS").unwrap();
        let told = long_flags(options, |line| line.starts_with("\\fB-"));
        let missing: Vec<_> = wanted.difference(&told).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
    assert!(page.contains("\n.SH \"EXIT STATUS\"\n"));
}

#[test]
fn the_manual_passes_mandoc() {
    if program_is_missing("mandoc") {
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    let page = gristmill(tree.path(), &["man"]).rows();
    let mut mandoc = Command::new("mandoc");
    mandoc
        .args(["-T", "lint", "-W", "error"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = finish(mandoc.spawn().unwrap(), page.into_bytes());
    assert_eq!((done.code, done.text()), (Some(0), ""), "{}", done.err);
}

#[test]
fn completions_name_every_command_and_are_no_syntax_error() {
    let tree = tempfile::tempdir().unwrap();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = gristmill(tree.path(), &["completions", shell]).rows();
        for name in commands(tree.path()) {
            assert!(script.contains(&name), "{shell}: {name}");
        }
        for flag in ["read-path", "chunk-size", "files-from"] {
            assert!(script.contains(flag), "{shell}: {flag}");
        }
        if program_is_missing(shell) {
            continue;
        }
        let file = tree.path().join(shell);
        fs::write(&file, script).unwrap();
        let mut checker = Command::new(shell);
        checker
            .arg(check)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let done = finish(checker.spawn().unwrap(), Vec::new());
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{shell}");
    }
}

#[test]
fn a_flag_that_is_not_known_is_refused_with_exit_code_2_and_a_hint() {
    let tree = tree();
    for name in commands(tree.path()) {
        let done = gristmill(tree.path(), &[&name, "--nonsense"]);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{name}: {done:?}");
        assert!(done.err.contains("'--nonsense'"), "{name}: {}", done.err);
        assert!(done.err.contains("try '--help'"), "{name}: {}", done.err);
    }
    for (arguments, hint) in [
        (&["digest", "--worker", "2", "a"][..], "'--workers'"),
        (&["stat", "a"], "'stats'"),
        (&["digest", "--quiet"], "--check"),
        (&["digest", "-0"], "--files0-from"),
        (&["digest", "--check", "list", "a"], "--check"),
        (&["stats", "--json", "--histogram", "a"], "--histogram"),
        (&["digest", "--read-path", "dma", "a"], "positioned"),
        (&["digest", "--backend", "abacus", "a"], "cpu"),
        (&["digest", "--sort", "size", "a"], "path"),
        (&["completions", "none"], "bash"),
        (&[], "Commands:"),
    ] {
        let done = gristmill(tree.path(), arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
        assert!(done.err.contains(hint), "{arguments:?}: {}", done.err);
    }
}

#[test]
fn values_out_of_range_are_refused_with_a_value_that_would_do() {
    let tree = tree();
    for (flag, values, hint) in [
        (
            "--chunk-size",
            &[
                "0",
                "1",
                "4095",
                "4097",
                "5000",
                "4K1",
                "K",
                "",
                "-4K",
                "4KK",
                "1.5M",
                "65M",
                "1T",
                "foo",
                "18446744073709551616",
                "99999999999999999G",
            ][..],
            "256K",
        ),
        ("--depth", &["0", "257"], "such as 8"),
        ("--workers", &["257"], "cores"),
    ] {
        for value in values {
            for command in [&["scan", "needle"][..], &["digest"], &["stats"]] {
                let argument = format!("{flag}={value}");
                let arguments = [command, &[&argument, "a"]].concat();
                let done = gristmill(tree.path(), &arguments);
                assert_eq!(
                    (done.code, done.text()),
                    (Some(2), ""),
                    "{argument}: {done:?}"
                );
                assert!(done.err.contains(hint), "{argument}: {}", done.err);
            }
        }
    }
    for size in ["4096", "4K", "4k", "1M", "64M"] {
        gristmill(tree.path(), &["digest", "--chunk-size", size, "a"]).rows();
    }
}

#[test]
fn an_output_that_is_full_costs_one_line_and_exit_code_2() {
    let tree = tree_with_list();
    for arguments in COMMANDS {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = command(tree.path(), arguments);
        let done = finish(command.stdout(full).spawn().unwrap(), Vec::new());
        assert_eq!(done.code, Some(2), "{arguments:?}: {}", done.err);
        assert_eq!(done.err.lines().count(), 1, "{arguments:?}: {}", done.err);
        assert!(
            done.err.starts_with("gristmill: standard output: "),
            "{arguments:?}: {}",
            done.err
        );
    }
}

#[test]
fn an_output_that_nobody_reads_ends_every_command_quietly() {
    let tree = tree_with_list();
    for arguments in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(tree.path(), arguments);
        let done = finish(command.stdout(writer).spawn().unwrap(), Vec::new());
        assert_eq!(done.err, "", "{arguments:?}");
        // A list whose verdicts nobody read does not count as checked.
        let code = i32::from(arguments.contains(&"--check"));
        assert_eq!(done.code, Some(code), "{arguments:?}");
    }
    // These commands write only when their work is done, so the reader's absence does not change their exit code.
    gristmill(
        tree.path(),
        &["digest", "--algorithm=crc32c", "a", "--record", "log"],
    )
    .rows();
    for arguments in [&["replay", "log"][..], &["--help"], &["--version"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(tree.path(), arguments);
        let done = finish(command.stdout(writer).spawn().unwrap(), Vec::new());
        assert_eq!((done.code, &*done.err), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_midway_ends_the_run_quietly() {
    let tree = tempfile::tempdir().unwrap();
    // More rows than a pipe holds.
    fs::write(tree.path().join("rows"), "needle\n".repeat(200_000)).unwrap();
    fs::create_dir(tree.path().join("many")).unwrap();
    for number in 0..1_000 {
        let name = format!("many/{}{number}", "long".repeat(60));
        fs::write(tree.path().join(name), b"x").unwrap();
    }
    // As in ripgrep, a file whose rows were not all read does not count as found.
    for (arguments, code) in [
        (&["scan", "needle", "rows"][..], 1),
        (&["scan", "--json", "needle", "rows"], 1),
        (&["scan", "--all", "needle", "rows"], 1),
        (&["digest", "many"], 0),
        (&["stats", "many"], 0),
    ] {
        let mut child = command(tree.path(), arguments).spawn().unwrap();
        let mut some = [0; 100];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut some).unwrap();
        drop(stdout);
        let done = finish(child, Vec::new());
        assert_eq!(done.err, "", "{arguments:?}");
        assert_eq!(done.code, Some(code), "{arguments:?}");
    }
}

/// A FIFO that is held open, so that its reader never sees its end.
fn endless_fifo(path: &Path) -> File {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    let mut options = OpenOptions::new();
    options.read(true).write(true).open(path).unwrap()
}

/// Reads rows up to one that contains `wanted`, and returns them with the reader for the rest. A run that never writes
/// that row is killed.
fn rows_until(child: &mut Child, wanted: &str) -> (String, BufReader<std::process::ChildStdout>) {
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    let wanted = wanted.to_owned();
    std::thread::spawn(move || {
        let mut stdout = stdout;
        let mut rows = String::new();
        loop {
            let start = rows.len();
            let length = stdout.read_line(&mut rows).unwrap();
            if length == 0 || rows[start..].contains(&wanted) {
                break;
            }
        }
        // The test may have given up.
        let _ = sender.send((rows, stdout));
    });
    match Patience::new().receive(&receiver) {
        Some(answer) => answer,
        None => {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("no such row");
        }
    }
}

#[test]
fn an_interrupted_run_keeps_the_rows_so_far_and_exits_with_130() {
    let tree = tree();
    let _held = endless_fifo(&tree.path().join("endless"));
    for (arguments, row) in [
        (&["scan", "-c", "needle", "a", "endless"][..], "a:1"),
        (&["digest", "a", "endless"], "  a"),
        (&["stats", "a", "endless"], "  a"),
        (&["digest", "--read-path=positioned", "a", "endless"], "  a"),
        (&["digest", "--sort=path", "-j1", "a", "endless"], "  a"),
    ] {
        let mut child = command(tree.path(), arguments).spawn().unwrap();
        let (rows, mut stdout) = rows_until(&mut child, row);
        interrupt(&child);
        let done = finish(child, Vec::new());
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(done.code, Some(130), "{arguments:?}: {}", done.err);
        assert_eq!(
            done.err, "gristmill: interrupted: what was done so far is above\n",
            "{arguments:?}"
        );
        assert!(rows.ends_with(&format!("{row}\n")), "{arguments:?}: {rows}");
        assert!(!(rows + &rest).contains("endless"), "{arguments:?}: {rest}");
    }
}

#[test]
fn a_run_interrupted_before_any_row_says_so_and_exits_with_130() {
    for command_name in ["digest", "stats"] {
        for read_path in ["auto", "positioned"] {
            let tree = tempfile::tempdir().unwrap();
            let path = tree.path().join("endless");
            let held = endless_fifo(&path);
            let arguments = [command_name, "--read-path", read_path, "endless"];
            let mut child = command(tree.path(), &arguments).spawn().unwrap();
            let mut stream = OpenOptions::new().write(true).open(&path).unwrap();
            let (sender, written) = std::sync::mpsc::channel();
            let writer = std::thread::spawn(move || {
                // A FIFO holds less than this, so once all is written, the run has read some of it and watches for
                // signals.
                let result = stream.write_all(&[b'x'; 1 << 20]);
                // The test may have given up.
                let _ = sender.send(result.is_ok());
            });
            if Patience::new().receive(&written) != Some(true) {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{arguments:?}: nothing was read");
            }
            interrupt(&child);
            let done = finish(child, Vec::new());
            drop(held);
            writer.join().unwrap();
            assert_eq!(done.code, Some(130), "{arguments:?}: {}", done.err);
            assert_eq!(
                done.err, "gristmill: interrupted: what was done so far is above\n",
                "{arguments:?}"
            );
            assert!(!done.text().contains("endless"), "{arguments:?}: {done:?}");
        }
    }
}

#[test]
fn matches_in_a_stream_that_does_not_end_are_shown_and_kept_when_interrupted() {
    let tree = tempfile::tempdir().unwrap();
    let path = tree.path().join("endless");
    let held = endless_fifo(&path);
    let mut stream = OpenOptions::new().write(true).open(&path).unwrap();
    // The writer ends when nobody holds the FIFO open for reading.
    let writer = std::thread::spawn(move || while stream.write_all(b"needle\nhay\n").is_ok() {});
    let mut child = command(tree.path(), &["scan", "-n", "needle", "endless"])
        .spawn()
        .unwrap();
    let (rows, mut stdout) = rows_until(&mut child, "needle");
    assert_eq!(rows, "1:needle\n");
    interrupt(&child);
    let rest = std::thread::spawn(move || {
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        rest
    });
    let done = finish(child, Vec::new());
    drop(held);
    writer.join().unwrap();
    assert_eq!(done.code, Some(130), "{}", done.err);
    for (row, number) in rest.join().unwrap().lines().zip((3..).step_by(2)) {
        assert_eq!(row, format!("{number}:needle"));
    }
}

#[test]
fn every_read_path_gives_the_same_answer_and_is_named() {
    let tree = tree();
    let ring = io_uring_works(tree.path());
    for command in [&["scan", "-n", "needle"][..], &["digest"], &["stats"]] {
        let engine = ["--sort=path", "--chunk-size=4K", "-j3"];
        let names = ["a", "b", "c", "d"];
        let plain = [command, &engine, &names].concat();
        let expected = gristmill(tree.path(), &plain).rows();
        assert!(!expected.is_empty());
        for (choice, named) in [
            ("--read-path=positioned", "positioned"),
            ("--read-path=registered", "registered"),
        ] {
            let arguments = [command, &engine, &["--stats", choice], &names].concat();
            let done = gristmill(tree.path(), &arguments);
            if choice.ends_with("registered") && !ring {
                gristmill_testing::skipped("io_uring is refused here");
                assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
                continue;
            }
            assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
            // The totals that scan adds with --stats come after the rows, as ripgrep's do.
            assert!(done.text().starts_with(&expected), "{arguments:?}");
            assert!(command[0] == "scan" || done.text() == expected);
            let paths: Vec<&str> = done
                .err
                .lines()
                .filter_map(|line| line.strip_prefix("read path"))
                .map(str::trim)
                .collect();
            assert_eq!(paths, [named], "{arguments:?}: {}", done.err);
            assert!(!done.err.contains("fallback"), "{}", done.err);
        }
    }
}

#[test]
fn reads_past_the_page_cache_give_the_same_answer_and_a_refusal_is_told() {
    let tree = tree();
    for command in [&["scan", "-n", "needle"][..], &["digest"], &["stats"]] {
        let rest = ["--sort=path", "--chunk-size=4K", "a", "b", "c", "d"];
        let expected = gristmill(tree.path(), &[command, &rest].concat()).rows();
        for read_path in ["--read-path=auto", "--read-path=positioned"] {
            let arguments = [command, &["--direct", read_path], &rest].concat();
            assert_eq!(gristmill(tree.path(), &arguments).rows(), expected);
        }
    }
    // procfs does not support O_DIRECT.
    let arguments = ["digest", "/proc/version"];
    let expected = gristmill(tree.path(), &arguments).rows();
    let done = gristmill(
        tree.path(),
        &["digest", "--direct", "--stats", "/proc/version"],
    );
    assert_eq!((done.code, done.text()), (Some(0), expected.as_str()));
    assert!(
        done.err.contains("O_DIRECT was refused for 1 files"),
        "{}",
        done.err
    );
}
