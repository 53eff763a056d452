//! `scan --set` with a set of rules, beside `scan --rules` with the same rules.

use crate::{gristmill, rows, EXAMPLES};
use gristmill_testing::{planted, seed};
use std::fs;
use std::path::{Path, PathBuf};

const RULES: &str = "
[[rules]]
id = 'token'
description = 'A token'
regex = '''tok_([a-z]{10})'''
tags = ['t']
[[rules]]
id = 'far'
regex = '''pat[0-9]{6}'''
keywords = ['airtable']
[[rules]]
id = 'store'
path = '''\\.p12$'''
[[allowlists]]
paths = ['''docs/''']
";

#[test]
fn a_set_of_rules_gives_the_answers_of_the_rules() {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir_all(tree.path().join("src/docs")).unwrap();
    for (name, text) in [
        ("r.toml", RULES),
        ("list", "word\tWo+rd\nword\t\\d{5}\n"),
        (
            "src/a",
            "x\n  tok_abcdefghij tok_klmnopqrst\npat123456 AirTable\n",
        ),
        ("src/b", "nothing, (x) 12345 Woord TODO\n"),
        ("src/c.p12", ""),
        ("src/docs/a", "tok_abcdefghij\n"),
    ] {
        fs::write(tree.path().join(name), text).unwrap();
    }
    let rules = [
        "--rules", "r.toml", "--rules", "list", "-F", "-i", "-e", "(X)", "-e", "todo",
    ];
    let mut compile = vec!["compile", "-o", "s.gms"];
    compile.extend(rules);
    assert_eq!(rows(tree.path(), &compile), "");
    for flags in [
        &[][..],
        &["--json"],
        &["--sarif"],
        &["--show-secrets"],
        &["--json", "--show-secrets"],
        &["-c"],
        &["-l"],
        &["-q"],
        &["--color", "always"],
        &["src/docs"],
    ] {
        let run = |searched: &[&str]| {
            let mut arguments = vec!["scan", "--sort", "path"];
            arguments.extend(searched);
            arguments.extend(flags);
            if !flags.contains(&"src/docs") {
                arguments.push("src");
            }
            let done = gristmill(tree.path(), &arguments);
            let told = String::from_utf8(done.stderr).unwrap();
            (
                done.status.code(),
                String::from_utf8(done.stdout).unwrap(),
                told,
            )
        };
        assert_eq!(run(&["--set", "s.gms"]), run(&rules), "{flags:?}");
    }
    for (flag, named) in [
        ("--all", "--all is for patterns"),
        ("-H", "-H is for patterns"),
    ] {
        let done = gristmill(tree.path(), &["scan", "--set", "s.gms", flag, "src"]);
        let told = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2));
        assert!(told.contains(named), "{told}");
    }
    let done = gristmill(tree.path(), &["scan", "--set", "s.gms", "--stats", "src"]);
    let told = String::from_utf8(done.stderr).unwrap();
    for line in [
        "\nset           s.gms, loaded in ",
        "\ncosts         ",
        "\nfindings      9 in 3 files\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    fs::write(tree.path().join("none.txt"), "# nothing\n").unwrap();
    rows(
        tree.path(),
        &["compile", "--rules", "none.txt", "-o", "none.gms"],
    );
    let done = gristmill(tree.path(), &["scan", "--set", "none.gms", "src"]);
    assert_eq!((done.status.code(), done.stderr), (Some(1), vec![]));
}

/// Compiles rules, and compares what they find in files with what is planted for them.
fn compare(rules: &[PathBuf], patterns: &[String]) {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_RULES_SEED"));
    let (tree, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (number, pattern) in patterns.iter().enumerate() {
        let end = ["txt", "toml", "tf", "yaml"][number % 4];
        let text = planted::lines(pattern, 6, &mut random);
        fs::write(tree.path().join(format!("{number}.{end}")), text).unwrap();
    }
    let set = kept.path().join("s.gms");
    let set = set.to_str().unwrap();
    let mut named = Vec::new();
    for path in rules {
        named.extend(["--rules", path.to_str().unwrap()]);
    }
    let compile = [&["compile", "-o", set], &named[..]].concat();
    assert_eq!(rows(tree.path(), &compile), "");
    let shown = ["--json", "--show-secrets", "--sort", "path"];
    let found = |searched: &[&str]| rows(tree.path(), &[&["scan"], searched, &shown].concat());
    let by_rules = found(&named);
    assert!(by_rules.lines().count() > patterns.len() / 2);
    assert!(found(&["--set", set]) == by_rules);
}

#[test]
fn the_examples_find_the_same_when_they_are_compiled() {
    let rules = ["rules.toml", "rules.txt"].map(|name| Path::new(EXAMPLES).join(name));
    let mut set = gristmill_rules::RuleSet::default();
    rules.iter().for_each(|path| set.read(path).unwrap());
    let patterns = set.rules().iter().filter_map(|rule| rule.pattern());
    compare(&rules, &patterns.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn the_rules_that_gitleaks_ships_find_the_same_when_they_are_compiled() {
    let Some(path) = planted::rule_file() else {
        return;
    };
    let mut set = gristmill_rules::RuleSet::default();
    set.read(&path).unwrap_or_else(|error| panic!("{error}"));
    let patterns = set.rules().iter().filter_map(|rule| rule.pattern());
    compare(&[path], &patterns.map(str::to_owned).collect::<Vec<_>>());
}
