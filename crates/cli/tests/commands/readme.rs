//! README's commands and programs, run as they are written. Its Rust runs as a documentation test of the crate.

use crate::tool::{gristmill, Done};
use crate::words::shell;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn readme() -> String {
    fs::read_to_string(format!("{ROOT}/README.md")).unwrap()
}

/// The code blocks that are fenced as `language`.
fn fenced<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("\n```{language}\n");
    text.split(&begin)
        .skip(1)
        .map(|rest| rest.split_once("\n```\n").unwrap().0)
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The files of this repository that the commands name.
fn checkout() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for directory in ["docs", "examples", "programs"] {
        copy(
            &Path::new(ROOT).join(directory),
            &tree.path().join(directory),
        );
    }
    fs::copy(format!("{ROOT}/README.md"), tree.path().join("README.md")).unwrap();
    tree
}

/// Why a command cannot run in this test, if so.
fn cannot_run(directory: &Path, line: &str) -> Option<String> {
    let answer = gristmill(directory, &["doctor", "--json"]).rows();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let works = |name: &str| {
        let findings = answer["findings"].as_array().unwrap();
        findings
            .iter()
            .any(|finding| finding["name"] == name && finding["works"] == true)
    };
    if line.starts_with("cargo install") {
        return Some("it builds and installs; that there is such a binary is tested".into());
    }
    if line == "scripts/test" {
        return Some("it runs this test; that it is there is tested".into());
    }
    // Passthrough also needs a file system that it can read; the guest of `vm/` has one.
    for (flag, need) in [("passthrough", "an NVMe disk"), ("peer", "peer memory")] {
        if line.contains(&format!("--read-path {flag}")) {
            return Some(format!("it needs {need}; tested in vm/"));
        }
    }
    if line.contains("--backend opencl") && !works("opencl") {
        return Some("it needs an OpenCL device".into());
    }
    if line.starts_with("gristmill ingest") && !works("registered") {
        return Some("it needs io_uring".into());
    }
    None
}

#[test]
fn every_command_of_the_readme_runs_as_it_is_written() {
    let text = readme();
    let tree = checkout();
    for (index, program) in fenced(&text, "asm").iter().enumerate() {
        assert_eq!(index, 0, "which name does the second program have?");
        fs::write(tree.path().join("above.vasm"), program).unwrap();
    }
    let mut ran = 0;
    for line in fenced(&text, "sh").iter().flat_map(|block| block.lines()) {
        if let Some(why) = cannot_run(tree.path(), line) {
            gristmill_testing::skipped(format_args!("{line}: {why}"));
            continue;
        }
        // The binary of this build, rather than one that is built here.
        let line = line.replace("cargo run --release --", "gristmill");
        let done = shell(tree.path(), &line);
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        assert!(!done.err.contains("gristmill: "), "{line}: {done:?}");
        if line.starts_with("gristmill scan --rules") {
            assert!(
                text.contains(&format!("```text\n{}```", done.text())),
                "{done:?}"
            );
        }
        ran += 1;
    }
    assert!(ran >= 15, "{ran}");
}

#[test]
fn the_two_commands_to_begin_with_and_the_installation_are_there() {
    let text = readme();
    let blocks = fenced(&text, "sh");
    assert_eq!(
        blocks[..3],
        [
            "cargo run --release -- scan -n \"persistent kernel\" .",
            "scripts/test",
            "cargo install --path crates/cli"
        ]
    );
    let Done { code, .. } = shell(Path::new(ROOT), "test -x scripts/test");
    assert_eq!(code, Some(0));
    // `cargo install` installs the package's binary under the name that the commands use.
    let tool = Path::new(env!("CARGO_BIN_EXE_gristmill"));
    assert_eq!(tool.file_name().unwrap(), "gristmill");
}

/// Figures that are measured again and recorded must be updated in README, too.
#[test]
fn the_figures_of_the_readme_are_in_the_record() {
    let text = readme();
    let records: String = fs::read_dir(format!("{ROOT}/bench/record"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let times: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(|line| line.rsplit('|').nth(1)?.trim().split_once(" times"))
        .map(|(figure, _)| figure)
        .collect();
    assert!(times.len() >= 5, "{times:?}");
    for figure in times {
        assert!(records.contains(&format!("| {figure} |")), "{figure}");
    }
}
