//! The vocabulary of the tool: short flags, types of JSON records, terms of `--stats`, and examples, which run as they
//! are written.

use crate::tool::{command, commands, finish, gristmill, Done};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The shipped programs' directory.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../programs");

/// The files that the examples name: sources, logs, patterns and the shipped programs.
fn files() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    for directory in ["src", "logs", "programs"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join("src/lib.rs"), "//! A persistent kernel.\n").unwrap();
    fs::write(root.join("src/main.rs"), "fn main() {}\n").unwrap();
    fs::write(root.join("logs/a.log"), "an error\nand a needle\n").unwrap();
    fs::write(root.join("logs/b.log"), "nothing\n".repeat(9_999)).unwrap();
    fs::write(root.join("patterns.txt"), "error\nneedle\n").unwrap();
    let rules = "[[rules]]\nid = 'needle'\nregex = 'needle'\n";
    fs::write(root.join("rules.toml"), rules).unwrap();
    for entry in fs::read_dir(PROGRAMS).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), root.join("programs").join(entry.file_name())).unwrap();
    }
    tree
}

/// Runs a line as a shell runs it, with the tool in the path.
pub fn shell(directory: &Path, line: &str) -> Done {
    let tool = Path::new(env!("CARGO_BIN_EXE_gristmill"));
    let mut path = OsString::from(tool.parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut sh = Command::new("sh");
    sh.args(["-euc", line])
        .current_dir(directory)
        .env("PATH", path)
        .env("HOME", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(sh.spawn().unwrap(), Vec::new())
}

fn io_uring_works(directory: &Path) -> bool {
    let answer = gristmill(directory, &["doctor", "--json"]).rows();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let findings = answer["findings"].as_array().unwrap();
    findings
        .iter()
        .any(|finding| finding["name"] == "registered" && finding["works"] == true)
}

/// A section of the manual, with hyphens and quotes as they are displayed.
fn section(directory: &Path, heading: &str) -> String {
    let page = gristmill(directory, &["man"]).rows();
    let start = format!("\n.SH {heading}\n");
    let (_, section) = page.split_once(&start).unwrap_or_else(|| {
        panic!("no section {heading}");
    });
    let section = section.split("\n.SH ").next().unwrap();
    section
        .replace("\\-", "-")
        .replace("\\(aq", "'")
        .replace("\\(ga", "`")
        .replace("\\e", "\\")
}

#[test]
fn the_examples_of_every_help_run_as_they_are_written_and_are_in_the_manual() {
    let names = commands(&std::env::temp_dir());
    for name in names {
        let tree = files();
        let help = gristmill(tree.path(), &[&name, "--help"]).rows();
        let (_, examples) = help.split_once("\nExamples:\n").unwrap();
        let short = gristmill(tree.path(), &[&name, "-h"]).rows();
        assert!(short.ends_with(examples), "{name}: {short}");
        let manual = section(
            tree.path(),
            &format!("\"GRISTMILL {}\"", name.to_uppercase()),
        );
        let mut ran = false;
        for line in examples.lines().map(str::trim) {
            assert!(line.len() <= 76, "a terminal would wrap: {line}");
            assert!(manual.contains(&format!("\n{line}\n")), "{name}: {line}");
            if line.starts_with('#') {
                continue;
            }
            if name == "ingest" && !io_uring_works(tree.path()) {
                gristmill_testing::skipped(format_args!("{line}: io_uring is refused here"));
            } else {
                let done = shell(tree.path(), line);
                assert_eq!(done.code, Some(0), "{line}: {done:?}");
            }
            ran |= line.contains(&format!("gristmill {name}"));
        }
        assert!(ran, "{name} has no example");
    }
}

#[test]
fn every_command_tells_the_version_and_scan_takes_what_grep_takes_for_fixed_strings() {
    let tree = files();
    let version = format!("gristmill {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(gristmill(tree.path(), &["-V"]).rows(), version);
    for name in commands(tree.path()) {
        for flag in ["-V", "--version"] {
            assert_eq!(gristmill(tree.path(), &[&name, flag]).rows(), version);
        }
    }
    for flag in ["-F", "--fixed-strings", "-Fi", "-FF"] {
        let done = gristmill(tree.path(), &["scan", flag, "a needle", "logs/a.log"]);
        assert_eq!(done.rows(), "and a needle\n");
    }
}

#[test]
fn a_letter_that_a_command_does_not_have_is_refused_with_what_it_means_elsewhere() {
    let tree = files();
    for (arguments, told) in [
        (
            &["stats", "-q", "logs"][..],
            &["--quiet in scan, digest", "/dev/null"][..],
        ),
        (&["digest", "-0"], &["--null in scan", "--files0-from FILE"]),
        (&["stats", "-z"], &["--files0-from FILE"]),
        (&["run", "-F"], &["--fixed-strings in scan"]),
        (
            &["stats", "-c"],
            &["--check in digest, --count in scan, and has no meaning here"],
        ),
    ] {
        let done = gristmill(tree.path(), arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{arguments:?}");
        for told in told {
            assert!(done.err.contains(told), "{arguments:?}: {}", done.err);
        }
    }
    // A flag that would have no effect is refused, too.
    for arguments in [
        &["digest", "-q", "logs"][..],
        &["run", "-q", "programs/newline_count.vasm", "logs"],
    ] {
        let done = gristmill(tree.path(), arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{arguments:?}");
        assert!(done.err.contains("--check"), "{}", done.err);
    }
}

#[test]
fn quiet_leaves_out_what_is_as_it_should_be_and_nothing_else() {
    let tree = files();
    let root = tree.path();
    let program = " each r1, 1\n  each r2, 1\n  end\n end\n";
    fs::write(root.join("bad.vasm"), program).unwrap();
    let list = gristmill(root, &["digest", "logs/a.log", "logs/b.log"]).rows();
    fs::write(root.join("list"), list).unwrap();
    gristmill(
        root,
        &[
            "digest",
            "--algorithm=crc32c",
            "--record=run.log",
            "logs/a.log",
        ],
    )
    .rows();
    for arguments in [
        &["digest", "--check", "list"][..],
        &["verify", "programs/newline_count.vasm"],
        &["selftest", "--backend=cpu", "--filter=fence"],
        &["run", "--check", "programs/newline_count.vasm", "logs"],
        &["replay", "run.log"],
    ] {
        let loud = gristmill(root, arguments);
        assert!(loud.code == Some(0) && !loud.out.is_empty(), "{loud:?}");
        for flag in ["-q", "--quiet"] {
            let quiet = [arguments, &[flag]].concat();
            assert_eq!(gristmill(root, &quiet).rows(), "", "{quiet:?}");
        }
    }
    fs::write(root.join("logs/a.log"), "another").unwrap();
    let done = gristmill(root, &["digest", "-q", "--check", "list"]);
    assert_eq!((done.code, done.text()), (Some(1), "logs/a.log: FAILED\n"));
    let done = gristmill(
        root,
        &["verify", "-q", "programs/newline_count.vasm", "bad.vasm"],
    );
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.text().contains("refused: "), "{done:?}");
    assert!(!done.text().contains("newline_count"), "{done:?}");
}

#[test]
fn names_that_end_with_a_nul_are_read_by_every_command_that_reads_files() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("new\nline"), "a needle\n").unwrap();
    fs::write(tree.path().join("names"), b"new\nline\0").unwrap();
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../programs/newline_count.vasm"
    );
    for (arguments, row) in [
        (&["scan", "-c", "needle"][..], "new\nline:1\n"),
        (&["digest"], "\\new\\nline\n"),
        (&["stats"], "new\\nline\n"),
        (&["run", program], "new\\nline: lines 1\n"),
    ] {
        for (list, stdin) in [("names", ""), ("-", "new\nline\0")] {
            let arguments = [arguments, &["--files0-from", list]].concat();
            let mut command = command(tree.path(), &arguments);
            let child = command.stdin(Stdio::piped()).spawn().unwrap();
            let rows = finish(child, stdin.into()).rows();
            // Digests precede the path.
            let end = row.rsplit('\\').next().unwrap();
            assert!(rows.contains(end), "{arguments:?}: {rows}");
        }
    }
    if io_uring_works(tree.path()) {
        let done = gristmill(tree.path(), &["ingest", "--files0-from", "names"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.text().ends_with("  new\\nline\n"), "{done:?}");
    } else {
        gristmill_testing::skipped("ingest: io_uring is refused here");
    }
    for command in [
        &["scan", "needle"][..],
        &["digest"],
        &["stats"],
        &["ingest"],
    ] {
        let both = ["--files0-from", "names", "--files-from", "names"];
        let done = gristmill(tree.path(), &[command, &both].concat());
        assert_eq!((done.code, done.text()), (Some(2), ""), "{command:?}");
    }
}

#[test]
fn every_json_record_of_every_command_has_a_type_that_the_manual_names() {
    let tree = files();
    let root = tree.path();
    fs::write(
        root.join("list"),
        "00000000  logs/a.log\n00000000  absent\n",
    )
    .unwrap();
    gristmill(root, &["digest", "--manifest=src.jsonl", "src"]).rows();
    for name in ["logs/twice", "twice"] {
        fs::write(root.join(name), "twice").unwrap();
    }
    let entropy = "programs/entropy.vasm";
    let calls: &[&[&str]] = &[
        &["scan", "needle", "logs"],
        &["scan", "--all", "needle", "logs"],
        &["scan", "--rules=rules.toml", "logs"],
        &["compile", "--explain", "-f", "patterns.txt"],
        &["compile", "--explain", "--rules=rules.toml"],
        &["digest", "logs", "absent"],
        &["digest", "--check", "list"],
        &["diff", "src.jsonl", "logs"],
        &["dupes", "logs", "twice"],
        &["stats", "logs"],
        &["stats", "--total", "logs"],
        &["run", entropy, "logs"],
        &["run", "--total", entropy, "logs"],
        &["ingest", "logs"],
        &["doctor"],
        &["doctor", "logs/a.log"],
        &["selftest", "--backend=cpu", "--filter=fence"],
    ];
    let manual = section(root, "\"JSON RECORDS\"");
    for name in commands(root) {
        let help = gristmill(root, &[&name, "--help"]).rows();
        let called = calls.iter().any(|call| call[0] == name);
        assert_eq!(help.contains("--json"), called, "{name}");
    }
    for call in calls {
        if call[0] == "ingest" && !io_uring_works(root) {
            gristmill_testing::skipped(format_args!("{call:?}: io_uring is refused here"));
            continue;
        }
        let done = gristmill(root, &[*call, &["--json"]].concat());
        assert!(!done.out.is_empty(), "{call:?}: {done:?}");
        for line in done.text().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let kind = record["type"].as_str().unwrap_or_else(|| {
                panic!("{call:?}: no type: {line}");
            });
            assert!(manual.contains(&format!("\\fB{kind}\\fR")), "{kind}");
        }
    }
}

#[test]
fn every_term_of_stats_is_explained_in_the_manual_in_the_same_words() {
    let tree = files();
    let manual = section(tree.path(), "\"WHAT \\-\\-STATS SAYS\"").to_lowercase();
    let plain = ["\\fi", "\\fb", "\\fr"]
        .iter()
        .fold(manual.clone(), |text, font| text.replace(font, " "));
    let known: BTreeSet<&str> = plain
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let program = "programs/newline_count.vasm";
    gristmill(
        tree.path(),
        &["compile", "--rules=rules.toml", "-o", "rules.gms"],
    )
    .rows();
    let ring = io_uring_works(tree.path());
    for call in [
        &["scan", "--stats", "needle", "logs"][..],
        &["scan", "--stats", "--rules=rules.toml", "logs"],
        &["scan", "--stats", "--set=rules.gms", "logs"],
        &["digest", "--stats", "logs"],
        &["digest", "--stats", "--read-path=positioned", "logs"],
        &["stats", "--stats", "logs"],
        &["run", "--stats", program, "logs"],
        &["ingest", "logs"],
    ] {
        if call[0] == "ingest" && !ring {
            gristmill_testing::skipped(format_args!("{call:?}: io_uring is refused here"));
            continue;
        }
        let done = gristmill(tree.path(), call);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert!(done.err.lines().count() > 8, "{}", done.err);
        for line in done.err.lines() {
            let (name, value) = line.split_at(14);
            let name = name.trim();
            let paragraph = format!("\n.tp\n\\fb{name}\\fr\n");
            assert!(manual.contains(&paragraph), "{call:?}: {name}");
            // These lines have counts, each followed by a term that a reader cannot guess.
            if ["reads", "queue depth", "kernel", "time", "commands"].contains(&name) {
                for word in value.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                    let counted = word.parse::<u64>().is_ok() || ["ms", "s"].contains(&word);
                    let told = word.is_empty() || counted || known.contains(word);
                    assert!(told, "{call:?}: {name}: {word:?} is not explained");
                }
            }
        }
    }
}

#[test]
fn a_read_path_has_one_name_in_flags_in_reports_and_in_doctor() {
    let tree = files();
    let manual = section(tree.path(), "\"READ PATHS\"");
    let help = gristmill(tree.path(), &["digest", "-h"]).rows();
    let answer = gristmill(tree.path(), &["doctor", "--json"]).rows();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    for finding in answer["findings"].as_array().unwrap() {
        if finding["kind"] != "read path" {
            continue;
        }
        let name = finding["name"].as_str().unwrap();
        assert!(manual.contains(&format!("\\fB{name}\\fR")), "{name}");
        let (_, values) = help.split_once("--read-path <PATH>").unwrap();
        assert!(values.contains(name), "{name}");
        if finding["works"] == true && ["registered", "positioned"].contains(&name) {
            let flag = format!("--read-path={name}");
            let done = gristmill(tree.path(), &["digest", "--stats", &flag, "logs"]);
            let line = format!("read path     {name}\n");
            assert!(done.err.contains(&line), "{}", done.err);
        }
    }
}
