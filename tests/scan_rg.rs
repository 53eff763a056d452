//! `gristmill scan` against `rg -F`: the same rows and the same exit code, over trees that hold what trees hold.

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
    let missing = Command::new("rg").arg("--version").output().is_err();
    if missing {
        println!("skipped: rg not installed");
    }
    missing
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
    let mut command = Command::new("rg");
    command.args(["-F", "--no-config"]).args(arguments);
    run(command, &tree.root, stdin)
}

fn gristmill(tree: &Tree, arguments: &[OsString], stdin: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.arg("scan").args(arguments);
    run(command, &tree.root, stdin)
}

/// Rows without what depends on the clock.
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

/// Where rows begin to differ.
fn difference(expected: &str, got: &str) -> String {
    let cut = |row: Option<&str>| row.map(|row| row.chars().take(300).collect::<String>());
    let (mut expected, mut got) = (expected.lines(), got.lines());
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

fn same_with(tree: &Tree, arguments: &[OsString], stdin: Option<&Path>) {
    let expected = rg(tree, arguments, stdin);
    let got = gristmill(tree, arguments, stdin);
    let (got_rows, expected_rows) = (timeless(&got.stdout), timeless(&expected.stdout));
    assert!(
        got_rows == expected_rows && got.status.code() == expected.status.code(),
        "{arguments:?} < {stdin:?} in {}\nrg {:?} {}\ngristmill {:?} {}\n{}",
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

/// Same rows in the same order, and the same exit code.
fn same(tree: &Tree, arguments: &[&str]) {
    same_with(tree, &words(arguments), None);
}

/// What a source tree holds, and what makes trouble.
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

#[test]
fn nuls_end_lines_of_named_files_that_are_not_mapped() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    let mut text = b"\xEF\xBB\xBFneedle\0needle\n".to_vec();
    text.extend_from_slice(&b"hay\n".repeat(600_000));
    text.extend_from_slice(b"needle\0needle\nneedle\n");
    tree.write("mark", &text);
    tree.write("no-mark", &text[3..]);
    // The environment: strings that end with NULs, in a file that says it has no length.
    let environment = format!("/proc/{}/environ", std::process::id());
    for (pattern, file) in [
        ("needle", "mark"),
        ("needle", "no-mark"),
        ("=", environment.as_str()),
    ] {
        for flags in ["-c", "-co", "-l", "-n"] {
            same(&tree, &[flags, pattern, file]);
        }
    }
    same(&tree, &["-c", "-e", "", "mark"]);
}

#[test]
fn a_walked_tree_is_answered_as_ripgrep_answers_it() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    for arguments in [
        &["needle"][..],
        &["needle", "."],
        &["needle", "./"],
        &["needle", "sub/deeper", "zz", "a b"],
        // Anchored ignore rules of a directory above: ripgrep 13 passes over them, later ones and the crate do not.
        &["--no-ignore", "needle", "sub/../sub"],
        &["--no-ignore", "needle", "link-to-dir"],
        &["-n", "needle"],
        &["-N", "-b", "needle"],
        &["-nb", "needle", "."],
        &["-i", "NEEDLE"],
        &["-c", "needle"],
        &["-ci", "needle"],
        &["-co", "needle"],
        &["-l", "needle"],
        &["-l", "zero"],
        &["-o", "needle"],
        &["-onb", "needle", "."],
        &["-a", "needle"],
        &["-ac", "needle"],
        &["-q", "needle"],
        &["-q", "not there"],
        &["not there"],
        &["--hidden", "needle"],
        &["-.", "-l", "needle"],
        &["--no-ignore", "needle"],
        &["--no-ignore", "--hidden", "-l", "needle"],
        &["-g", "*.txt", "needle"],
        &["-g", "!*.txt", "-l", "needle"],
        &["-g", "sub/**", "-l", "needle"],
        &["-g", "*.log", "-l", "needle"],
        &["-g", "*.rs", "-g", "*.txt", "-c", "needle"],
        &["-I", "needle"],
        &["--no-filename", "-n", "needle"],
        &["-H", "needle"],
        &["--heading", "needle"],
        &["--heading", "-n", "needle", "."],
        &["--heading", "-I", "needle"],
        &["--heading", "--no-heading", "needle"],
        &["--color", "always", "needle"],
        &["--color", "always", "-n", "-b", "needle", "."],
        &["--color", "always", "--heading", "-n", "-o", "needle"],
        &["--color=always", "-c", "needle"],
        &["--color=always", "-l", "needle"],
        &["--color=ansi", "-in", "needle"],
        &["--color=never", "needle"],
        &["--color=auto", "needle"],
        &["-0", "needle"],
        &["-0", "-l", "needle"],
        &["-0", "-c", "needle"],
        &["-m1", "needle"],
        &["-m", "2", "-n", "needle"],
        &["-m2", "-c", "needle"],
        &["-m0", "needle"],
        &["-e", "needle", "-e", "first"],
        &["-e", "first", "-e", "needle", "-o", "-n"],
        &["-e", "need", "-e", "needle", "-o"],
        &["-e", "-dash", "-e", "hay", "-c"],
        &["-e", "zero"],
        &["--json", "needle"],
        &["--json", "-N", "needle", "sub/deeper"],
        &["--json", "-i", "needle", "."],
        &["--json", "-m1", "needle"],
        &["", "sub/deeper"],
        &["-c", ""],
        &["-o", "", "crlf.txt"],
        &["-n", "-H", "needle"],
        &["-nN", "needle"],
        &["-Nn", "needle"],
        &["-HI", "needle"],
        &["-IH", "needle"],
    ] {
        let mut arguments = words(arguments);
        arguments.splice(0..0, words(&["--sort", "path"]));
        same_with(&tree, &arguments, None);
    }
}

#[test]
fn named_files_are_answered_as_ripgrep_answers_them() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    let files = [
        "kept.log",
        "ignored-by-git",
        ".hidden",
        "empty",
        "newline-only",
        "crlf.txt",
        "bom.txt",
        "latin1.txt",
        "binary-early",
        "binary-line",
        "binary-late",
        "sub/binary-late-without-match",
        "long-lines",
        "many-lines",
        "./kept.log",
        "link-to-file",
        "sub/deeper/../deeper/text.rs",
    ];
    let flags = [
        &[][..],
        &["-n"],
        &["-c"],
        &["-co"],
        &["-l"],
        &["-o", "-b"],
        &["-H"],
        &["-a", "-n"],
        &["--json"],
        &["-q"],
        &["--color=always", "-n"],
        &["--heading", "-H"],
        &["-m2"],
    ];
    for file in files {
        for flags in flags {
            let mut arguments = words(flags);
            arguments.extend(words(&["needle", file]));
            same_with(&tree, &arguments, None);
            // With a directory beside it, ripgrep reads the file in another way.
            arguments.extend(words(&["zz", "--sort", "path"]));
            same_with(&tree, &arguments, None);
        }
    }
    same(&tree, &["needle", "kept.log", "crlf.txt", "--sort", "path"]);
    same(
        &tree,
        &["-I", "needle", "kept.log", "crlf.txt", "--sort", "path"],
    );
    same(
        &tree,
        &["-c", "needle", "kept.log", "empty", "--sort", "path"],
    );
    let odd = OsString::from(OsStr::from_bytes(b"not-utf8-\xff\xfe"));
    for flags in [&["-H"][..], &["-c", "-H"], &["--json"]] {
        let mut arguments = words(flags);
        arguments.extend([OsString::from("needle"), odd.clone()]);
        same_with(&tree, &arguments, None);
    }
}

#[test]
fn what_cannot_be_read_is_reported_and_the_rest_is_answered() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    for arguments in [
        &["needle", "nowhere"][..],
        &["needle", "nowhere", "kept.log", "--sort", "path"],
        &["-q", "needle", "nowhere", "kept.log", "--sort", "path"],
        &["-q", "not there", "nowhere", "kept.log"],
        &["needle", "broken-link"],
        &["-c", "needle", "broken-link", "kept.log", "--sort", "path"],
        &["-f", "no-such-patterns", "kept.log"],
        &["-e", "two\nlines", "kept.log"],
        &["-g", "{", "needle"],
    ] {
        same(&tree, arguments);
    }
}

#[test]
fn standard_input_is_answered_as_ripgrep_answers_it() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    for file in [
        "kept.log",
        "binary-line",
        "binary-late",
        "long-lines",
        "bom.txt",
        "empty",
    ] {
        for arguments in [
            &["needle"][..],
            &["needle", "-"],
            &["-n", "-H", "needle"],
            &["-c", "needle"],
            &["-l", "needle"],
            &["-q", "needle"],
            &["-o", "needle", "-"],
            &["-a", "needle"],
            &["--json", "needle"],
            &["needle", "-", "kept.log", "--sort", "path"],
            &["-m1", "needle", "-"],
        ] {
            same_with(&tree, &words(arguments), Some(Path::new(file)));
        }
    }
}

#[test]
fn patterns_come_from_files_and_standard_input() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    // ripgrep's buffer stays as large as this file makes it, and then its reads are other ones.
    fs::remove_file(tree.root.join("long-lines")).unwrap();
    tree.write("patterns", "needle in\nfirst\n");
    tree.write("patterns-crlf", "needle in\r\nfirst");
    tree.write("patterns-none", "");
    tree.write("patterns-empty-line", "needle in\n\n");
    for name in [
        "patterns",
        "patterns-crlf",
        "patterns-none",
        "patterns-empty-line",
    ] {
        for arguments in [
            &["-n", "kept.log"][..],
            &["-e", "last", "kept.log", "crlf.txt", "--sort", "path"],
            &["-c", "--sort", "path"],
        ] {
            let mut arguments = words(arguments);
            arguments.extend(words(&["-f", name]));
            same_with(&tree, &arguments, None);
        }
        same_with(
            &tree,
            &words(&["-f", "-", "kept.log"]),
            Some(Path::new(name)),
        );
        let arguments = words(&["-f", "-", "--sort", "path", "-g", "!patterns*"]);
        same_with(&tree, &arguments, Some(Path::new(name)));
    }
}

#[test]
fn totals_are_ripgreps_and_the_path_taken_follows() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    // ripgrep's buffer stays as large as this file makes it, and then its reads are other ones.
    fs::remove_file(tree.root.join("long-lines")).unwrap();
    for arguments in [
        &["--stats", "needle", "--sort", "path"][..],
        &["--stats", "-c", "needle", "--sort", "path"],
        &["--stats", "-l", "needle", "--sort", "path"],
        &["--stats", "-q", "needle", "--sort", "path"],
        &[
            "--stats",
            "--color=always",
            "-n",
            "needle",
            "--sort",
            "path",
        ],
        &["--stats", "-m1", "needle", "many-lines"],
    ] {
        let expected = timeless(&rg(&tree, &words(arguments), None).stdout);
        let output = gristmill(&tree, &words(arguments), None);
        let got = timeless(&output.stdout);
        assert!(
            got == expected,
            "{arguments:?} {}",
            difference(&expected, &got)
        );
        let path = String::from_utf8(output.stderr).unwrap();
        assert!(path.contains("back end"), "{arguments:?}: {path}");
    }
}

#[test]
fn without_an_order_the_same_rows_come() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    let sorted = |output: &Output| {
        let rows = timeless(&output.stdout);
        let mut rows: Vec<String> = rows.lines().map(str::to_string).collect();
        rows.sort();
        rows
    };
    for arguments in [
        &["-n", "needle"][..],
        &["-c", "needle", "."],
        &["-ol", "needle"],
    ] {
        let expected = rg(&tree, &words(arguments), None);
        let got = gristmill(&tree, &words(arguments), None);
        assert_eq!(sorted(&got), sorted(&expected), "{arguments:?}");
        assert_eq!(got.status.code(), expected.status.code(), "{arguments:?}");
    }
}

#[test]
fn every_occurrence_is_listed_over_whole_files() {
    let tree = Tree::new();
    tree.write("f", b"aaa\0aa\nab");
    let list = |arguments: &[&str]| {
        let output = gristmill(&tree, &words(arguments), None);
        (
            String::from_utf8(output.stdout).unwrap(),
            output.status.code(),
        )
    };
    assert_eq!(
        list(&["--all", "-e", "aa", "-e", "a\na", "-e", "ab", "f"]),
        (
            "f:0:aa\nf:1:aa\nf:4:aa\nf:5:a\na\nf:7:ab\n".to_string(),
            Some(0)
        )
    );
    assert_eq!(
        list(&["--all", "-c", "aa", "f"]),
        ("f:3\n".to_string(), Some(0))
    );
    assert_eq!(list(&["--all", "-l", "aa"]), ("f\n".to_string(), Some(0)));
    assert_eq!(list(&["--all", "-q", "zz"]), (String::new(), Some(1)));
    let (json, _) = list(&["--all", "--json", "ab", "f"]);
    let record: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(record["type"], "occurrence");
    assert_eq!(record["data"]["absolute_offset"], 7);
    assert_eq!(record["data"]["pattern"]["text"], "ab");
}

#[test]
fn names_of_files_come_from_a_list() {
    let tree = mixed_tree();
    tree.write("list", "kept.log\n.hidden\nno-such-file\n");
    let output = gristmill(
        &tree,
        &words(&["-c", "--sort", "path", "--files-from", "list", "needle"]),
        None,
    );
    assert_eq!(output.stdout, b"kept.log:2\n.hidden:2\n");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("no-such-file"), "{stderr}");
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// Files that span several chunks at any chunk size, with lines and matches across every kind of boundary.
#[test]
fn random_trees_are_answered_as_ripgrep_answers_them() {
    if rg_is_missing() {
        return;
    }
    for seed in 1..=12 {
        println!("seed {seed}");
        let mut random = Random(u64::wrapping_mul(seed, 0x9E37_79B9_7F4A_7C15));
        let tree = Tree::new();
        // ripgrep's buffer stays as large as an earlier file's longest line made it, which changes how far it looks in
        // binary files: so a tree has the ones or the others.
        let with_nul = seed % 2 == 0;
        for file in 0..1 + random.below(8) {
            let length = random.below(900_000);
            let usual = [3, 80, 5000][random.below(3)];
            let mut bytes = Vec::with_capacity(length);
            while bytes.len() < length {
                let long = !with_nul && random.below(500) == 0;
                let line = random.below(if long { 400_000 } else { usual });
                bytes.extend((0..line).map(|_| b"abcd"[random.below(4)]));
                bytes.push(b'\n');
            }
            if with_nul && random.below(3) == 0 && !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] = 0;
            }
            tree.write(format!("d{}/f{file}", random.below(3)), bytes);
        }
        for _ in 0..12 {
            let mut arguments = words(&["--sort", "path", "-e", "abcabc"]);
            arguments.push("-e".into());
            arguments.push(["dddddd", "ababa", "aaaaaaaa", "ca"][random.below(4)].into());
            for flag in [
                "-n",
                "-b",
                "-c",
                "-o",
                "-a",
                "-i",
                "-H",
                "--color=always",
                "-l",
                "-m3",
            ] {
                if random.below(4) == 0 {
                    arguments.push(flag.into());
                }
            }
            same_with(&tree, &arguments, None);
        }
    }
}
