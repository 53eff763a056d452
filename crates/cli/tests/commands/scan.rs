//! `gristmill scan`: features for which ripgrep has no flag. `tests/scan_rg` compares the features that both have.

use crate::tool::gristmill;
use std::fs;

#[test]
fn ten_thousand_patterns_that_end_at_one_byte_are_all_reported() {
    let tree = tempfile::tempdir().unwrap();
    let patterns: Vec<String> = (0..10_000)
        .map(|number| "a".repeat(1 + number % 100))
        .collect();
    fs::write(tree.path().join("patterns"), patterns.join("\n") + "\n").unwrap();
    // Each `a` ends a hundred patterns more than the one before it, and the last ends all of them.
    let text = [&b"b".repeat(20)[..], &b"a".repeat(100), b"b"].concat();
    fs::write(tree.path().join("text"), text).unwrap();
    let mut backends = vec!["cpu"];
    match gristmill::megakernel::backend::device::opencl::OpenClBackend::devices() {
        Ok(_) => backends.push("opencl"),
        Err(error) => gristmill_testing::skipped(error),
    }
    let scan = ["scan", "--all", "-f", "patterns", "text"];
    let mut listed = Vec::new();
    for backend in backends {
        let flags = ["-c", "--backend", backend];
        let counted = gristmill(tree.path(), &[&scan[..], &flags].concat()).rows();
        assert_eq!(counted, format!("text:{}\n", 100 * 100 * 101 / 2));
        listed.push(gristmill(tree.path(), &[&scan[..], &flags[1..]].concat()).rows());
    }
    assert!(listed.iter().all(|rows| *rows == listed[0]));
    let last: Vec<&str> = listed[0].lines().skip(100 * 99 * 100 / 2).collect();
    let expected: Vec<String> = (0..10_000)
        .map(|number| {
            let pattern = &patterns[number];
            format!("text:{}:{}:{pattern}", 119 - number % 100, pattern.len())
        })
        .collect();
    assert_eq!(last, expected);
}

#[test]
fn stats_say_what_searches_and_why_and_the_table_is_a_choice() {
    let tree = tempfile::tempdir().unwrap();
    let patterns: Vec<String> = (0..200).map(|number| format!("{number:05}x")).collect();
    fs::write(tree.path().join("patterns"), patterns.join("\n") + "\n").unwrap();
    fs::write(tree.path().join("text"), "one 00017x\ntwo\nthree 00199x\n").unwrap();
    let scan = |size: &[&str]| {
        let flags = ["scan", "--stats", "-f", "patterns", "text"];
        let done = gristmill(tree.path(), &[&flags[..], size].concat());
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert!(done.text().starts_with("one 00017x\nthree 00199x\n"));
        let line = done.err.lines().find(|line| line.starts_with("search "));
        line.unwrap_or_else(|| panic!("{}", done.err)).to_owned()
    };
    let fast = scan(&[]);
    assert!(
        fast.contains("aho-corasick table for 200 patterns, "),
        "{fast}"
    );
    let slow = scan(&["--table-size", "1K"]);
    assert!(
        slow.contains("sampled q-grams for 200 patterns, ") && slow.contains("bytes at every "),
        "{slow}"
    );
    for all in [&[][..], &["--all"], &["--all", "-e", "a.c"]] {
        let flags = ["scan", "--set-memory", "20K", "-f", "patterns", "text"];
        let refused = gristmill(tree.path(), &[&flags[..], all].concat());
        assert_eq!(refused.code, Some(2), "{all:?}");
        assert!(
            refused
                .err
                .contains("may take 20480; give fewer, or allow more")
                && refused.err.contains("--set-memory"),
            "{}",
            refused.err
        );
    }
    let refused = gristmill(
        tree.path(),
        &["scan", "--table-size", "2G", "-f", "patterns", "text"],
    );
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("at most 1 GiB"), "{}", refused.err);
}
