//! `gristmill doctor`, compared with the machine's own information and with the behaviour of other commands.

use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};

fn gristmill(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn rows(arguments: &[&str]) -> String {
    let output = gristmill(arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn answer() -> Value {
    serde_json::from_str(&rows(&["doctor", "--json"])).unwrap()
}

fn names(answer: &Value, kind: &str) -> Vec<(String, bool)> {
    let findings = answer["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|finding| finding["kind"] == kind)
        .map(|finding| {
            let name = finding["name"].as_str().unwrap().to_owned();
            (name, finding["works"].as_bool().unwrap())
        })
        .collect()
}

#[test]
fn the_machine_is_this_one() {
    let machine = answer()["machine"].clone();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(machine["kernel"], release.trim());
    let cores = std::thread::available_parallelism().unwrap();
    assert_eq!(machine["cores"], cores.to_string());
    let memory = fs::read_to_string("/proc/meminfo").unwrap();
    let total = memory.lines().find(|line| line.starts_with("MemTotal"));
    let shown = machine["memory"].as_str().unwrap();
    assert!(total.unwrap().ends_with(shown), "{shown}");
}

#[test]
fn the_limit_on_locked_memory_is_that_of_the_process() {
    let script = format!(
        "ulimit -S -l 1024 && exec '{}' doctor --json",
        env!("CARGO_BIN_EXE_gristmill")
    );
    // Not every sh has `ulimit -l`.
    let output = match Command::new("bash").args(["-c", &script]).output() {
        Ok(output) if output.status.success() => output,
        other => {
            gristmill_testing::skipped(format_args!("bash cannot set the limit: {other:?}"));
            return;
        }
    };
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = answer["machine"]["lockable"].as_str().unwrap();
    assert_eq!(shown, "1024 KiB at most (ulimit -l)");
}

#[test]
fn every_read_path_and_back_end_is_told_with_a_step_where_it_is_missing() {
    let answer = answer();
    let paths = names(&answer, "read path");
    let known: Vec<&str> = paths.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(known, ["registered", "positioned", "passthrough", "peer"]);
    let backends = names(&answer, "back end");
    assert_eq!(backends[0], ("cpu".to_owned(), true));
    for name in ["opencl", "cuda"] {
        assert!(backends.iter().any(|(known, _)| known == name), "{name}");
    }
    for finding in answer["findings"].as_array().unwrap() {
        let works = finding["works"].as_bool().unwrap();
        let told = finding["step"]
            .as_str()
            .is_some_and(|step| !step.is_empty());
        let of_a_place = finding["kind"] != "feature";
        assert!(works || told || !of_a_place, "{finding}");
        assert!(!works || !told, "nothing to change: {finding}");
    }
}

#[test]
fn the_flags_accept_what_works_and_nothing_else() {
    let answer = answer();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, b"x").unwrap();
    let file = file.to_str().unwrap();
    for finding in answer["findings"].as_array().unwrap() {
        if finding["kind"] != "back end" {
            continue;
        }
        let name = finding["name"].as_str().unwrap();
        let number = finding["device"].as_u64().map(|number| number.to_string());
        let mut flags = vec!["digest", "--algorithm=crc32c", "--backend", name];
        flags.extend(number.iter().flat_map(|number| ["--device", number]));
        flags.push(file);
        let run = gristmill(&flags);
        let expected = if finding["works"] == true { 0 } else { 2 };
        assert_eq!(run.status.code(), Some(expected), "{finding}");
    }
    for (path, flag) in [("registered", "registered"), ("positioned", "positioned")] {
        let (_, works) = names(&answer, "read path")
            .into_iter()
            .find(|(name, _)| name == path)
            .unwrap();
        let run = gristmill(&["digest", "--stats", "--read-path", flag, file]);
        assert_eq!(run.status.code(), Some(if works { 0 } else { 2 }));
        let report = String::from_utf8(run.stderr).unwrap();
        assert_eq!(report.contains(path), works, "{report}");
    }
}

#[test]
fn the_text_is_for_people() {
    let text = rows(&["doctor"]);
    // No value may be shown in Rust's debug format.
    for sign in ["{", "}", "Some(", "None", "true", "false"] {
        assert!(!text.contains(sign), "{sign}: {text}");
    }
}

#[test]
fn of_a_file_every_path_is_told_with_why_and_a_step_where_it_is_missing() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("a file");
    fs::write(&file, b"x").unwrap();
    let text = rows(&["doctor", "--json", file.to_str().unwrap(), "/proc/version"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["files"][0]["path"]["text"], file.to_str().unwrap());
    for told in answer["files"].as_array().unwrap() {
        let paths = names(told, "read path");
        let known: Vec<&str> = paths.iter().map(|(name, _)| name.as_str()).collect();
        let all = ["registered", "positioned", "passthrough", "peer"];
        assert_eq!(known, all);
        assert!(paths[1].1, "pread works everywhere");
        for finding in told["findings"].as_array().unwrap() {
            let step = finding["step"].as_str();
            assert_ne!(
                finding["works"] == true,
                step.is_some_and(|step| !step.is_empty()),
                "{finding}"
            );
            assert_ne!(finding["why"], "");
        }
    }
    let of_proc = &answer["files"][1]["findings"];
    for (number, reason) in [
        (2, "neither ext4 nor XFS"),
        (2, "not on a block device"),
        (3, "O_DIRECT"),
    ] {
        let why = of_proc[number]["why"].as_str().unwrap();
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_a_failure_and_the_others_are_told() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, b"x").unwrap();
    let output = gristmill(&["doctor", "nothing-there", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("gristmill: nothing-there: No such file"),
        "{told}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("positioned") && text.contains(file.to_str().unwrap()));
}

/// The finding about one read path of one file: whether it works, and why.
fn of_file(path: &str, name: &str) -> (bool, String) {
    let answer: Value = serde_json::from_str(&rows(&["doctor", "--json", path])).unwrap();
    let findings = answer["files"][0]["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["name"] == name);
    let found = found.unwrap();
    let why = found["why"].as_str().unwrap().to_owned();
    (found["works"].as_bool().unwrap(), why)
}

#[test]
fn what_is_no_file_on_a_disk_is_told_as_what_it_is() {
    let scratch = tempfile::tempdir().unwrap();
    let fifo = scratch.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status();
    let mut expected = vec![("/dev/null", "no NVMe namespace")];
    if made.is_ok_and(|status| status.success()) {
        expected.push((fifo.to_str().unwrap(), "not a regular file"));
    }
    if fs::File::open("/dev/loop0").is_ok() {
        expected.push(("/dev/loop0", "a block device"));
    }
    for (path, reason) in expected {
        assert!(of_file(path, "positioned").0, "{path}");
        let (works, why) = of_file(path, "passthrough");
        assert!(!works && why.contains(reason), "{path}: {why}");
        // The file system that holds the name must not be mentioned.
        assert!(!why.contains("file system"), "{path}: {why}");
        let (works, why) = of_file(path, "peer");
        assert_eq!((works, why.as_str()), (false, "it is not a regular file"));
    }
}

#[test]
fn a_file_in_memory_is_on_no_disk() {
    let Ok(file) = tempfile::NamedTempFile::new_in("/dev/shm") else {
        return gristmill_testing::skipped("no file can be made in /dev/shm");
    };
    fs::write(&file, [1; 5000]).unwrap();
    let path = file.path().to_str().unwrap();
    assert!(of_file(path, "positioned").0);
    for (name, reason) in [
        ("passthrough", "neither ext4 nor XFS"),
        ("passthrough", "not on a block device"),
        ("peer", "not on a block device"),
    ] {
        let (works, why) = of_file(path, name);
        assert!(!works && why.contains(reason), "{name}: {why}");
    }
}

#[test]
fn a_directory_is_a_failure_that_says_so_and_the_files_in_it_are_told() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, b"x").unwrap();
    let (directory, file) = (scratch.path().to_str().unwrap(), file.to_str().unwrap());
    let output = gristmill(&["doctor", directory, file]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(directory) && told.contains("name the files in it"),
        "{told}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("positioned").count(), 1, "{text}");
}

/// Runs the tool with this vector unit asked for.
fn with_vector_unit(asked: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .args(arguments)
        .env("GRISTMILL_VECTOR", asked)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_vector_unit_that_is_asked_for_is_used_and_told_and_else_refused() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../programs/entropy.vasm");
    let run = ["run", "--backend=cpu", "--stats", program, program];
    let expected = Command::new(env!("CARGO_BIN_EXE_gristmill"))
        .args(run)
        .env_remove("GRISTMILL_VECTOR")
        .output()
        .unwrap();
    assert!(expected.status.success() && !expected.stdout.is_empty());
    let units = names(&answer(), "vector unit");
    let known: Vec<&str> = units.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(known, ["avx512", "avx2", "portable"]);
    for (name, works) in &units {
        let ran = with_vector_unit(name, &run);
        let told = String::from_utf8(ran.stderr).unwrap();
        if *works {
            assert_eq!(ran.stdout, expected.stdout);
            // An AVX-512 unit without VBMI is one for programs alone.
            let line = [" and", "; avx2, for"].map(|what| {
                format!("vector unit   {name}, for VIR0 programs{what} sets of patterns (as GRISTMILL_VECTOR asks)")
            });
            assert!(
                told.lines().any(|row| line.iter().any(|line| line == row)),
                "{told}"
            );
            let text = String::from_utf8(with_vector_unit(name, &["doctor"]).stdout).unwrap();
            let start = format!("yes vector unit {name:<24} VIR0 programs ");
            let found = |line: &str| {
                line.starts_with(&start) && line.ends_with(", as GRISTMILL_VECTOR asks")
            };
            assert!(text.lines().any(found), "{text}");
        } else {
            assert_eq!((ran.status.code(), ran.stdout.len()), (Some(2), 0));
            assert!(told.contains("this CPU does not have it"), "{told}");
        }
    }
    for (unknown, arguments) in [("avx", &run[..]), ("", &["doctor"]), ("AVX2", &["man"])] {
        let refused = with_vector_unit(unknown, arguments);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
        let told = String::from_utf8(refused.stderr).unwrap();
        let start = format!("gristmill: GRISTMILL_VECTOR={unknown:?} names no vector unit; ");
        assert!(told.starts_with(&start), "{told}");
    }
}
