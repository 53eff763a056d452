//! `gristmill scan` against `rg`: the same rows and the same exit code, over typical trees.

mod context;
mod decode;
mod files;
mod flags;
mod output;
mod random;
mod regexes;
mod rules;
mod walk;

use gristmill_testing::ripgrep;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed at the end, unless the test fails.
struct Tree {
    root: PathBuf,
}

static TREES: AtomicU32 = AtomicU32::new(0);

impl Tree {
    fn new() -> Self {
        let number = TREES.fetch_add(1, Ordering::Relaxed);
        let name = format!("gristmill-scan-rg-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    fn write(&self, name: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(Path::new(name.as_ref()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.root.display());
        } else {
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

fn rg_is_missing() -> bool {
    let found = ripgrep::program();
    if let Err(reason) = &found {
        gristmill_testing::skipped(reason);
    }
    found.is_err()
}

fn run(mut command: Command, directory: &Path, stdin: Option<&Path>) -> Output {
    let stdin = match stdin {
        Some(path) => Stdio::from(fs::File::open(directory.join(path)).unwrap()),
        None => Stdio::null(),
    };
    command
        .current_dir(directory)
        .stdin(stdin)
        .output()
        .unwrap()
}

fn rg(tree: &Tree, arguments: &[OsString], stdin: Option<&Path>) -> Output {
    let mut command = Command::new(ripgrep::program().unwrap());
    command.arg("--no-config").args(arguments);
    run(command, &tree.root, stdin)
}

fn gristmill(tree: &Tree, arguments: &[OsString], stdin: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.arg("scan").args(arguments);
    run(command, &tree.root, stdin)
}

/// Rows without fields that depend on the clock.
fn timeless(rows: &[u8]) -> String {
    let mut text = String::new();
    for line in rows.split_inclusive(|&byte| byte == b'\n') {
        let line: String = line.iter().copied().map(char::from).collect();
        if line.contains(" seconds") {
            continue;
        }
        match serde_json::from_str::<serde_json::Value>(&line) {
            Ok(mut value) if value["type"] == "end" || value["type"] == "summary" => {
                value["data"]["stats"]["elapsed"] = serde_json::Value::Null;
                value["data"]["elapsed_total"] = serde_json::Value::Null;
                text.push_str(&format!("{value}\n"));
            }
            _ => text.push_str(&line),
        }
    }
    text
}

/// The place where rows begin to differ.
fn difference(expected: &str, got: &str) -> String {
    let cut = |row: Option<&str>| row.map(|row| row.chars().take(300).collect::<String>());
    let (mut expected, mut got) = (expected.split('\n'), got.split('\n'));
    for number in 1.. {
        let rows = (expected.next(), got.next());
        if rows.0 != rows.1 || rows.0.is_none() {
            return format!(
                "row {number}\n  rg        {:?}\n  gristmill {:?}",
                cut(rows.0),
                cut(rows.1)
            );
        }
    }
    String::new()
}

fn words(arguments: &[&str]) -> Vec<OsString> {
    arguments.iter().map(OsString::from).collect()
}

/// Asserts the same rows, and the same exit code, of a search for fixed strings.
fn same_with(tree: &Tree, arguments: &[OsString], stdin: Option<&Path>) {
    let fixed = [&words(&["-F"]), arguments].concat();
    same_answer(tree, &fixed, &[], stdin);
}

/// Asserts the same rows, and the same exit code. `own` are arguments that only gristmill has.
fn same_answer(tree: &Tree, arguments: &[OsString], own: &[OsString], stdin: Option<&Path>) {
    same_as(&rg(tree, arguments, stdin), tree, arguments, own, stdin);
}

/// Asserts that gristmill gives ripgrep's answer, which is `expected`.
fn same_as(
    expected: &Output,
    tree: &Tree,
    arguments: &[OsString],
    own: &[OsString],
    stdin: Option<&Path>,
) {
    let got = gristmill(tree, &[own, arguments].concat(), stdin);
    let (got_rows, expected_rows) = (timeless(&got.stdout), timeless(&expected.stdout));
    assert!(
        got_rows == expected_rows && got.status.code() == expected.status.code(),
        "{own:?} {arguments:?} < {stdin:?} in {}\nrg {:?} {}\ngristmill {:?} {}\n{}",
        tree.root.display(),
        expected.status,
        String::from_utf8_lossy(&expected.stderr),
        got.status,
        String::from_utf8_lossy(&got.stderr),
        difference(&expected_rows, &got_rows),
    );
    assert_eq!(
        got.stderr.is_empty(),
        expected.stderr.is_empty(),
        "{arguments:?}: rg says {:?}, gristmill {:?}",
        String::from_utf8_lossy(&expected.stderr),
        String::from_utf8_lossy(&got.stderr)
    );
}

/// Asserts the same rows in the same order, and the same exit code.
fn same(tree: &Tree, arguments: &[&str]) {
    same_with(tree, &words(arguments), None);
}

/// Files of a typical source tree, and files that are known to cause trouble.
fn mixed_tree() -> Tree {
    let tree = Tree::new();
    fs::create_dir_all(tree.root.join(".git")).unwrap();
    tree.write(
        ".gitignore",
        "ignored-by-git\n*.log\n!kept.log\n/sub/only-here\n",
    );
    tree.write(".ignore", "ignored-by-ignore\n");
    tree.write(".rgignore", "ignored-by-rgignore\n");
    for name in [
        "ignored-by-git",
        "ignored-by-ignore",
        "ignored-by-rgignore",
        "noise.log",
        "kept.log",
        ".hidden",
        ".hidden-dir/inside",
        "sub/only-here",
        "sub/deeper/only-here",
        "sub/.gitignore-not",
        "sub/deeper/text.rs",
        "sub/deeper/text.txt",
        "a b/with space",
        "zz/last",
    ] {
        tree.write(
            name,
            format!("first line\nneedle in {name}\nNeedle\nlast needle"),
        );
    }
    tree.write("sub/.gitignore", "nested-ignored\n");
    tree.write("sub/nested-ignored", "needle\n");
    tree.write("empty", "");
    tree.write("newline-only", "\n");
    tree.write("crlf.txt", "needle\r\nother\r\nneedle needle\r\n");
    tree.write("bom.txt", b"\xEF\xBB\xBFneedle\nneedle\n");
    tree.write("latin1.txt", b"caf\xe9 needle\nna\xefve\n");
    tree.write("binary-early", b"\x7fELF\0\0needle\nneedle\n");
    tree.write("binary-line", b"needle\nab\0cd needle\nneedle\n");
    let mut late = b"needle here\n".repeat(30_000);
    late.extend_from_slice(b"zero \0 needle\nneedle\n");
    tree.write("binary-late", &late);
    tree.write("sub/binary-late-without-match", {
        let mut bytes = b"nothing here\n".repeat(30_000);
        bytes.extend_from_slice(b"zero \0 needle\nneedle\n");
        bytes
    });
    let mut long = vec![b'x'; 700_000];
    long.extend_from_slice(b"needle\nshort needle\n");
    long.extend(vec![b'y'; 300_000]);
    long.extend_from_slice(b"\nneedle");
    tree.write("long-lines", long);
    let mut many = Vec::new();
    for line in 0..60_000 {
        many.extend_from_slice(format!("line {line} ").as_bytes());
        many.extend_from_slice(if line % 97 == 0 {
            b"needle\n"
        } else {
            b"hay\n"
        });
    }
    tree.write("many-lines", many);
    tree.write(OsStr::from_bytes(b"not-utf8-\xff\xfe"), "needle\n");
    tree.write(OsStr::from_bytes(b"new\nline"), "needle\n");
    symlink("kept.log", tree.root.join("link-to-file")).unwrap();
    symlink("sub", tree.root.join("link-to-dir")).unwrap();
    symlink("nowhere", tree.root.join("broken-link")).unwrap();
    symlink(".", tree.root.join("sub/loop")).unwrap();
    tree
}
