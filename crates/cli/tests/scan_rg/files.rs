//! Contents and kinds of files: walked, named, unreadable, standard input.

use super::*;

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
    // The environment of a process: strings that end with NULs, in a file whose size is 0.
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
        &["needle", "sub"],
        &["needle", "sub/../sub"],
        &["needle", "link-to-dir"],
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
        &["-c", "-l", "needle"],
        &["-l", "-c", "needle"],
        &["-c", "--json", "needle", "sub"],
        &["--json", "-l", "needle"],
        &["--json", "-c", "-o", "needle"],
        &["--json", "needle", "-g", "!long-lines"],
        &["--json", "-q", "needle", "-g", "!long-lines"],
        &["--json", "-q", "not there", "-g", "!long-lines"],
        &["--json", "-N", "needle", "sub/deeper"],
        &["--json", "-i", "needle", ".", "-g", "!long-lines"],
        &["--json", "-m1", "needle", "-g", "!long-lines"],
        &["-l", "-m2", "first"],
        &["-q", "-m2", "first"],
        &["-l", "-m100000", "here", "-g", "!long-lines"],
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

/// The first match decides the answers of -l and -q, which end there: a NUL in a later read undoes nothing, whatever -m
/// is.
#[test]
fn a_nul_behind_the_first_match_does_not_undo_it() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    let mut text = b"needle\n".to_vec();
    text.extend_from_slice(&b"hay\n".repeat(300_000));
    text.extend_from_slice(b"\0needle\n");
    tree.write("late/f", text);
    for limit in ["-m1", "-m2", "-m1000"] {
        for report in ["-l", "-q", "-c", "-n"] {
            same(&tree, &[report, limit, "needle", "late"]);
            same(&tree, &[report, limit, "needle", "late/f"]);
        }
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
            // If a directory is also named, ripgrep reads the file in another way.
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

/// git's global excludes name the directory in which the search is started, and which a search of `..` finds.
#[test]
fn global_excludes_name_the_working_directory() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    fs::create_dir_all(tree.root.join("top/.git")).unwrap();
    for name in [
        "top/work/f",
        "top/work/sub/f",
        "top/work/f.log",
        "top/other/f",
    ] {
        tree.write(name, "needle\n");
    }
    let top = tree.root.join("top").into_os_string();
    for excludes in [
        "work", "work/", "**/work", "sub", "*.log", "/work", "/other",
    ] {
        tree.write("home/.config/git/ignore", format!("{excludes}\n"));
        for subject in [OsStr::new(".."), OsStr::new("."), &top] {
            let listed = |program: &OsStr, first: &[&str]| {
                let mut command = Command::new(program);
                command
                    .args(first)
                    .args(["-l", "--sort", "path", "needle"])
                    .arg(subject)
                    .env("HOME", tree.root.join("home"))
                    .env_remove("XDG_CONFIG_HOME");
                run(command, &tree.root.join("top/work"), None)
            };
            let rg = ripgrep::program().unwrap();
            let expected = listed(rg.as_ref(), &["--no-config"]);
            let got = listed(env!("CARGO_BIN_EXE_gristmill").as_ref(), &["scan"]);
            assert_eq!(
                timeless(&got.stdout),
                timeless(&expected.stdout),
                "{excludes} {subject:?}"
            );
            assert_eq!(got.status.code(), expected.status.code());
        }
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
