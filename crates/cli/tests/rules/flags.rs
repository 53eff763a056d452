//! Flags with `--rules`, and exit codes.

use crate::{gristmill, piped, rows};
use std::fs;
use std::io::Write;
use std::process::Command;
use tempfile::TempDir;

const RULES: &str = "
[[rules]]
id = 'token'
regex = '''tok_([a-z]{10})'''
[[rules]]
id = 'store'
path = '''\\.p12$'''
[[allowlists]]
paths = ['''^docs/''']
";

fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = tree.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("r.toml", RULES);
    write("src/a", "x\n  tok_abcdefghij tok_klmnopqrst\n");
    write("src/b", "nothing, TODO: nothing\n");
    write("src/c.p12", "");
    write("docs/a", "tok_abcdefghij\n");
    write(".hidden", "tok_abcdefghij\n");
    tree
}

#[test]
fn findings_are_lines_with_place_rule_and_part_of_the_secret() {
    let tree = tree();
    let found = rows(
        tree.path(),
        &["scan", "--rules", "r.toml", "--sort", "path"],
    );
    assert_eq!(
        found,
        "src/a:2:3: token: ab*** (10 bytes)\nsrc/a:2:18: token: kl*** (10 bytes)\nsrc/c.p12: store\n"
    );
    let found = rows(
        tree.path(),
        &[
            "scan",
            "--rules=r.toml",
            "--show-secrets",
            "src/a",
            ".hidden",
        ],
    );
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ".hidden:1:1: token: abcdefghij",
            "src/a:2:18: token: klmnopqrst",
            "src/a:2:3: token: abcdefghij"
        ]
    );
}

#[test]
fn counts_paths_and_exit_codes() {
    let tree = tree();
    let scan = |arguments: &[&str]| {
        let mut all = vec!["scan", "--rules", "r.toml", "--sort", "path"];
        all.extend(arguments);
        let done = gristmill(tree.path(), &all);
        let told = String::from_utf8(done.stderr).unwrap();
        (
            done.status.code().unwrap(),
            String::from_utf8(done.stdout).unwrap(),
            told,
        )
    };
    let plain = |code, rows: &str| (code, rows.to_owned(), String::new());
    assert_eq!(scan(&["-c"]), plain(0, "src/a:2\nsrc/c.p12:1\n"));
    assert_eq!(scan(&["-l"]), plain(0, "src/a\nsrc/c.p12\n"));
    assert_eq!(scan(&["-l0"]), plain(0, "src/a\0src/c.p12\0"));
    assert_eq!(scan(&["-q"]), plain(0, ""));
    assert_eq!(scan(&["-q", "src/b"]), plain(1, ""));
    assert_eq!(scan(&["src/b"]), plain(1, ""));
    assert_eq!(scan(&["docs"]), plain(1, ""));
    assert_eq!(scan(&["-g", "!*.p12", "-c"]), plain(0, "src/a:2\n"));
    assert_eq!(
        scan(&["-uuu", "-c", "."]),
        plain(0, "./.hidden:1\n./src/a:2\n./src/c.p12:1\n")
    );
    let (code, rows, told) = scan(&["src/a", "none"]);
    assert_eq!((code, rows.lines().count()), (2, 2));
    assert!(told.starts_with("gristmill: none: "), "{told}");
    let (code, rows, told) = scan(&["--stats", "src"]);
    assert_eq!((code, rows.lines().count()), (0, 3));
    assert!(told.contains("\nfindings      3 in 2 files\n"), "{told}");
    // A list without rules finds nothing.
    fs::write(tree.path().join("empty.txt"), "# nothing\n").unwrap();
    let done = gristmill(tree.path(), &["scan", "--rules", "empty.txt", "src"]);
    assert_eq!((done.status.code(), done.stderr), (Some(1), vec![]));
}

#[test]
fn patterns_of_the_command_line_are_rules_by_their_own_name() {
    let tree = tree();
    fs::write(tree.path().join("f"), "(a+b).\n").unwrap();
    fs::write(tree.path().join("text"), b"(A+B).\ntok_abcdefghij \xFFx").unwrap();
    let scan = |arguments: &[&str]| {
        let mut all = vec!["scan", "--rules", "r.toml", "--show-secrets"];
        all.extend(arguments);
        rows(tree.path(), &all)
    };
    assert_eq!(
        scan(&["-e", "B.{2}", "text"]),
        "text:1:4: B.{2}: B).\ntext:2:1: token: abcdefghij\n"
    );
    assert_eq!(
        scan(&["-F", "-i", "-f", "f", "text"]),
        "text:1:1: (a+b).: (A+B).\ntext:2:1: token: abcdefghij\n"
    );
    assert_eq!(scan(&["-e", "(?-u:\\xFF)x", "-c", "text"]), "text:2\n");
    for (arguments, told) in [
        (
            &["-e", "a("][..],
            "the pattern `a(` is wrong at character 2: unclosed group",
        ),
        (
            &["-ie", "é("],
            "the pattern `é(` is wrong at character 2: unclosed group",
        ),
        (
            &["-f", "bad"],
            "bad:2: the pattern `[` is wrong at character 1",
        ),
        (&["-e", ""], "an empty pattern"),
        (&["-i"], "-i applies to the patterns of -e and -f"),
        (&["-F"], "-F applies to the patterns of -e and -f"),
    ] {
        fs::write(tree.path().join("bad"), "a\n[\n").unwrap();
        let mut all = vec!["scan", "--rules", "r.toml", "text"];
        all.extend(arguments);
        let done = gristmill(tree.path(), &all);
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), done.stdout), (Some(2), vec![]));
        assert!(err.starts_with(&format!("gristmill: {told}")), "{err}");
    }
}

/// What is told of a scan with this flag, which is refused.
fn refused(tree: &TempDir, flag: &str) -> String {
    let done = gristmill(tree.path(), &["scan", "--rules", "r.toml", flag, "src"]);
    assert_eq!(
        (done.status.code(), done.stdout),
        (Some(2), vec![]),
        "{flag}"
    );
    String::from_utf8(done.stderr).unwrap()
}

#[test]
fn what_means_nothing_with_rules_is_refused_by_name() {
    let tree = tree();
    for (flag, name) in [
        ("-v", "--invert-match"),
        ("-o", "--only-matching"),
        ("-w", "--word-regexp"),
        ("-x", "--line-regexp"),
        ("-n", "--line-number"),
        ("-S", "--smart-case"),
        ("-a", "--text"),
        ("-H", "--with-filename"),
        ("-I", "--no-filename"),
        ("--all", "--all"),
        ("--vimgrep", "--vimgrep"),
        ("--files", "--files"),
        ("-m1", "--max-count"),
        ("--record=log", "--record"),
        ("-A1", "--after-context"),
        ("-rx", "--replace"),
        ("-U", "--multiline"),
        ("--passthru", "--passthru"),
    ] {
        let err = refused(&tree, flag);
        assert!(
            err.contains(name) && err.contains("--rules"),
            "{flag}: {err}"
        );
    }
    // And what means nothing without.
    for flag in ["--sarif", "--show-secrets"] {
        let done = gristmill(tree.path(), &["scan", flag, "x", "src"]);
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2));
        assert!(err.contains("--rules"), "{err}");
    }
}

#[test]
fn what_files_hold_is_decompressed_and_decoded_where_that_is_asked_for() {
    let tree = tree();
    let text = "x\n tok_abcdefghij\n";
    let mut gzip = Command::new("gzip");
    fs::write(tree.path().join("zipped"), text).unwrap();
    assert!(gzip
        .arg(tree.path().join("zipped"))
        .status()
        .unwrap()
        .success());
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(tree.path().join("wide"), utf16).unwrap();
    let found = rows(tree.path(), &["scan", "-z", "--rules=r.toml", "zipped.gz"]);
    assert_eq!(found, "zipped.gz:2:2: token: ab*** (10 bytes)\n");
    let found = rows(
        tree.path(),
        &["scan", "-E", "utf-16le", "--rules=r.toml", "wide"],
    );
    assert_eq!(found, "wide:2:2: token: ab*** (10 bytes)\n");
    let done = gristmill(
        tree.path(),
        &["scan", "--rules=r.toml", "zipped.gz", "wide"],
    );
    assert_eq!((done.status.code(), done.stdout), (Some(1), vec![]));
}

#[test]
fn a_rule_file_that_is_wrong_is_shown_with_its_place() {
    let tree = tree();
    for (name, text, told) in [
        (
            "bad.toml",
            "[[rules]]\nid = 'a'\nregex = 'a('\n",
            "gristmill: bad.toml:3:11: unclosed group\n    regex = 'a('\n              ^\n",
        ),
        ("bad.txt", "no tab\n", "gristmill: bad.txt:1:1: no tab"),
    ] {
        fs::write(tree.path().join(name), text).unwrap();
        let done = gristmill(tree.path(), &["scan", "--rules", name, "src"]);
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), done.stdout), (Some(2), vec![]));
        assert!(err.starts_with(told), "{err}");
    }
    for (flag, told) in [
        (
            "--set-memory=1K",
            "the rule `token`: up to it the patterns take more than",
        ),
        (
            "--regex-size-limit=1K",
            "(--regex-size-limit, --set-memory)",
        ),
    ] {
        let err = refused(&tree, flag);
        assert!(err.contains(told), "{flag}: {err}");
    }
    let done = gristmill(tree.path(), &["scan", "--rules", "none.toml", "src"]);
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(
        err.starts_with("gristmill: none.toml: No such file"),
        "{err}"
    );
}

#[test]
fn standard_input_is_searched() {
    let tree = tree();
    let mut child = piped(tree.path(), &["scan", "--rules", "r.toml", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"\ntok_abcde").unwrap();
    stdin.write_all(b"fghij\n").unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    let found = String::from_utf8(done.stdout).unwrap();
    assert_eq!(found, "<stdin>:2:1: token: ab*** (10 bytes)\n");
}

#[test]
fn the_header_of_a_key_without_its_end_hides_nothing_and_is_no_error() {
    let tree = tempfile::tempdir().unwrap();
    let rules = "[[rules]]
id = 'private-key'
regex = '''(?i)-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----[\\s\\S-]{64,}?KEY(?: BLOCK)?-----'''
[[rules]]
id = 'token'
regex = '''tok_([a-z]{10})'''
";
    fs::write(tree.path().join("r.toml"), rules).unwrap();
    let lines = "A line of a long document.\n".repeat(3 << 20 >> 4);
    let text = format!("A -----BEGIN PRIVATE KEY----- begins it.\n{lines}tok_abcdefghij\n");
    fs::write(tree.path().join("doc"), &text).unwrap();
    let number = text.lines().count();
    let found = rows(tree.path(), &["scan", "--rules", "r.toml", "doc"]);
    assert_eq!(found, format!("doc:{number}:1: token: ab*** (10 bytes)\n"));
    // With its end it is longer than what is found.
    fs::write(
        tree.path().join("doc"),
        text + "-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let done = gristmill(tree.path(), &["scan", "--rules", "r.toml", "doc"]);
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert!(told.contains("doc: offset 2: `private-key`"), "{told}");
    assert!(told.contains("--max-match"), "{told}");
    assert_eq!(String::from_utf8(done.stdout).unwrap(), found);
}
