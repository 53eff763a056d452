//! `gristmill scan` for regexes: features for which ripgrep has no flag.

use crate::tool::gristmill;
use std::fs;

fn search_line(stats: &str) -> &str {
    let line = stats.lines().find(|line| line.starts_with("search "));
    line.unwrap_or_else(|| panic!("{stats}"))
}

#[test]
fn a_regex_is_taken_only_where_a_string_is_not_enough() {
    let tree = tempfile::tempdir().unwrap();
    let words: Vec<String> = (0..5_000).map(|number| format!("w{number:05}")).collect();
    fs::write(
        tree.path().join("words"),
        words.join("\n") + "\nwell-known\nand/or\n3\\.14\n",
    )
    .unwrap();
    fs::write(tree.path().join("text"), "a w00017\nb\n3.14\n3014\n").unwrap();
    let stats = |arguments: &[&str]| {
        let done = gristmill(
            tree.path(),
            &[&["scan", "--stats"], arguments, &["text"]].concat(),
        );
        assert_eq!(done.code, Some(0), "{}", done.err);
        (
            done.text().lines().next().unwrap().to_owned(),
            search_line(&done.err).to_owned(),
        )
    };
    let (row, engine) = stats(&["-c", "-f", "words"]);
    assert_eq!(row, "2");
    assert!(
        engine.contains(" for 5003 patterns") && !engine.contains("regex"),
        "{engine}"
    );
    for (pattern, engine) in [
        ("3\\.14", "memmem for"),
        ("3.14", "regex for 1 patterns"),
        ("-w", "regex for"),
    ] {
        let arguments: &[&str] = if pattern == "-w" {
            &["-w", "b"]
        } else {
            &[pattern]
        };
        let (_, told) = stats(arguments);
        assert!(told.contains(engine), "{pattern}: {told}");
    }
}

#[test]
fn a_device_takes_a_regex_with_a_literal_and_refuses_others() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("text"), "needle 12\nneedle\n").unwrap();
    if let Err(error) = gristmill::megakernel::backend::device::opencl::OpenClBackend::devices() {
        return gristmill_testing::skipped(error);
    }
    let scan = |pattern| {
        gristmill(
            tree.path(),
            &["scan", "--backend", "opencl", pattern, "text"],
        )
    };
    assert_eq!(scan("needle$").rows(), "needle\n");
    assert_eq!(scan("needle [0-9]+").rows(), "needle 12\n");
    let refused = scan("[0-9]+");
    assert_eq!((refused.code, refused.out.len()), (Some(2), 0));
    for part in ["none that is rare", "--backend cpu"] {
        assert!(refused.err.contains(part), "{}", refused.err);
    }
}

#[test]
fn a_search_for_a_regex_is_recorded_and_replayed() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(
        tree.path().join("text"),
        "Needle 1\nneedle two\n\nNEEDLE 3\n".repeat(2_000),
    )
    .unwrap();
    let scan = [
        "scan",
        "-c",
        "-S",
        "-w",
        "--chunk-size",
        "4K",
        "--record",
        "log",
        r"needle\s\d+",
        "text",
    ];
    assert_eq!(gristmill(tree.path(), &scan).rows(), "4000\n");
    let replayed = gristmill(tree.path(), &["replay", "log"]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.err);
}

#[test]
fn a_line_that_is_too_long_is_told_and_the_flag_that_helps() {
    let tree = tempfile::tempdir().unwrap();
    let long = "x".repeat(3 << 20);
    fs::write(tree.path().join("text"), format!("yab\n{long}ab\nab\n")).unwrap();
    let scan = |most: &str| {
        let flags = [
            "scan",
            "-c",
            "--chunk-size",
            "64K",
            "--max-line",
            most,
            "xa?b$",
            "text",
        ];
        gristmill(tree.path(), &flags)
    };
    let refused = scan("1M");
    assert_eq!((refused.code, refused.text()), (Some(2), ""));
    for part in [
        "text: offset 4: a line of 3145731 bytes is not searched",
        "--max-line",
    ] {
        assert!(refused.err.contains(part), "{}", refused.err);
    }
    assert_eq!(scan("4M").rows(), "1\n");
}

/// A device would do a part of a search for regexes, and is not taken unasked: `--stats` says so, and names what was asked for.
#[test]
fn the_reason_for_the_back_end_is_true() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), "a needle\n").unwrap();
    for (flags, reason) in [
        (
            &[][..],
            "(the default, as a device would do a part of this at most)",
        ),
        (&["--backend=cpu"], "(asked for by name)"),
    ] {
        let done = gristmill(
            folder.path(),
            &[&["scan", "--stats", "ne+dle", "f"], flags].concat(),
        );
        let line = done.err.lines().find(|line| line.starts_with("back end"));
        assert!(line.is_some_and(|line| line.ends_with(reason)), "{done:?}");
    }
}
