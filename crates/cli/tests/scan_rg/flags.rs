//! Sources of patterns and names, and formats of the answer.

use super::*;

#[test]
fn patterns_come_from_files_and_standard_input() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    // ripgrep's buffer stays as large as this file makes it, which changes its later reads.
    fs::remove_file(tree.root.join("long-lines")).unwrap();
    tree.write("patterns", "needle in\nfirst\n");
    tree.write("patterns-crlf", "needle in\r\nfirst");
    tree.write("patterns-cr", "needle needle\nneedle\r");
    tree.write("patterns-one-cr", "\r");
    tree.write("patterns-none", "");
    tree.write("patterns-empty-line", "needle in\n\n");
    for name in [
        "patterns",
        "patterns-crlf",
        "patterns-cr",
        "patterns-one-cr",
        "patterns-none",
        "patterns-empty-line",
    ] {
        for arguments in [
            &["-n", "kept.log"][..],
            &["-on", "crlf.txt"],
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

/// If several patterns match at the same place, the first of them in the order of the command line is shown.
#[test]
fn patterns_of_arguments_and_files_keep_their_order() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    tree.write("text", "abcd\n");
    tree.write("short", "ab\nabc\n");
    for patterns in [
        ["-e", "abcd", "-f", "short"],
        ["-f", "short", "-e", "abcd"],
        ["-fshort", "-eabcd", "-e", "a"],
        ["--regexp=abcd", "--file=short", "-e", "a"],
    ] {
        for flags in [["-o", "text"], ["--json", "text"]] {
            same(&tree, &[&patterns[..], &flags[..]].concat());
        }
    }
    // Standard input can be read once.
    let stdin = Some(Path::new("short"));
    for arguments in [&["-f", "-", "-f", "-", "text"][..], &["-f", "-", "-"]] {
        same_with(&tree, &words(arguments), stdin);
    }
}

/// A file for which only a note is printed gets no blank line before it if one thread searches.
#[test]
fn headings_of_one_thread_are_ripgreps() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    let binary = |name: &str| tree.write(name, b"\0needle\nneedle\n");
    tree.write("a", "needle\n");
    binary("b");
    binary("c");
    tree.write("d", "needle\n");
    binary("e");
    for arguments in [
        &["-j1", "a", "b", "c", "d", "e"][..],
        &["-j1", "b", "a", "c"],
        &["-j1", "b"],
        &["b"],
        &["-"],
        &["-H", "-"],
        &["--sort", "path", "a", "b", "c", "d", "e"],
    ] {
        let mut arguments = words(arguments);
        arguments.splice(0..0, words(&["--heading", "needle"]));
        same_with(&tree, &arguments, Some(Path::new("b")));
    }
}

/// Nobody reads the output: if one thread searches, a file counts as found if its rows could be written when it was
/// done.
#[test]
fn an_output_that_nobody_reads_gives_ripgreps_exit_code() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    let line = format!("needle {}\n", "x".repeat(56));
    tree.write("fits", line.repeat(128));
    tree.write("one-more", format!("{}needle\n", line.repeat(128)));
    tree.write("large", line.repeat(20_000));
    tree.write("d/a", "needle\n");
    tree.write("d/b", line.repeat(20_000));
    tree.write("e/a", line.repeat(20_000));
    tree.write("e/b", "needle\n");
    for arguments in [
        &["needle", "fits"][..],
        &["needle", "one-more"],
        &["-c", "needle", "large"],
        &["-l", "needle", "large"],
        &["needle", "large"],
        &["-n", "needle", "fits"],
        &["--json", "needle", "fits"],
        &["--json", "needle", "d/a"],
        &["--stats", "needle", "large"],
        &["-q", "needle", "large"],
        &["not there", "large"],
        &["--sort", "path", "needle", "d"],
        &["--sort", "path", "needle", "e"],
        &["--sort", "path", "-c", "needle", "e"],
        &["--sort", "path", "--heading", "needle", "d"],
        &["-j1", "needle", "e"],
        &["-j2", "needle", "e"],
        &["-j2", "--json", "needle", "d"],
        &["-j2", "not there", "e"],
        &["-j2", "needle", "d", "nowhere"],
    ] {
        let ended = |program: &OsStr, first: &[&str]| {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = Command::new(program);
            command.args(first).args(arguments);
            command.current_dir(&tree.root).stdin(Stdio::null());
            command.stdout(writer).output().unwrap()
        };
        let expected = ended(ripgrep::program().unwrap().as_ref(), &["-F", "--no-config"]);
        let got = ended(env!("CARGO_BIN_EXE_gristmill").as_ref(), &["scan"]);
        assert_eq!(got.status.code(), expected.status.code(), "{arguments:?}");
        // Gristmill's report of the path taken goes to standard error.
        if arguments[0] != "--stats" {
            let quiet = (got.stderr.is_empty(), expected.stderr.is_empty());
            assert_eq!(quiet.0, quiet.1, "{arguments:?}");
        }
    }
}

#[test]
fn totals_are_ripgreps_and_the_path_taken_follows() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    // ripgrep's buffer stays as large as this file makes it, which changes its later reads.
    fs::remove_file(tree.root.join("long-lines")).unwrap();
    for line in [
        "--stats needle --sort path",
        "--stats -c needle --sort path",
        "--stats -l needle --sort path",
        "--stats -q needle --sort path",
        "--stats --color=always -n needle --sort path",
        "--stats -m1 needle many-lines",
        "--stats --heading needle --sort path",
        "--stats --heading -j2 -I needle kept.log",
        "--stats --heading -j2 needle kept.log empty",
        "--stats --heading -j2 -c needle kept.log empty",
        "--stats --heading -j2 -q needle kept.log empty",
        "--stats --heading -j2 absent kept.log empty",
        "--json --heading -j2 needle kept.log empty --stats",
    ] {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let expected = timeless(&rg(&tree, &arguments, None).stdout);
        let output = gristmill(&tree, &arguments, None);
        let got = timeless(&output.stdout);
        assert!(got == expected, "{line} {}", difference(&expected, &got));
        let path = String::from_utf8(output.stderr).unwrap();
        assert!(path.contains("back end"), "{line}: {path}");
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
        let fixed = [&["-F"], arguments].concat();
        let output = gristmill(&tree, &words(&fixed), None);
        (
            String::from_utf8(output.stdout).unwrap(),
            output.status.code(),
        )
    };
    assert_eq!(
        list(&["--all", "-e", "aa", "-e", "a\na", "-e", "ab", "f"]),
        (
            "f:0:2:aa\nf:1:2:aa\nf:4:2:aa\nf:5:3:a\na\nf:7:2:ab\n".to_string(),
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
    assert_eq!(record["data"]["length"], 2);
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
