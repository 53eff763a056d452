//! --output and --format: where rows go, and what is refused.

use crate::tool::gristmill;
use std::fs;
use tempfile::TempDir;

/// A file, a program and rules.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("a"), "one needle\n").unwrap();
    fs::write(
        tree.path().join("k.vasm"),
        ".acc n sum\neach r1, 1\n  acc n, r1\nend\n",
    )
    .unwrap();
    fs::write(tree.path().join("rules.txt"), "n\tneedle\n").unwrap();
    tree
}

#[test]
fn text_and_json_go_to_a_file_as_to_standard_output() {
    let tree = tree();
    let list = gristmill(tree.path(), &["digest", "a"]).rows();
    fs::write(tree.path().join("list"), list).unwrap();
    for arguments in [
        &["scan", "needle", "a"][..],
        &["scan", "-n", "--color=always", "needle", "a"],
        &["scan", "-c", "needle", "a"],
        &["scan", "--all", "needle", "a"],
        &["scan", "--rules", "rules.txt", "a"],
        &["digest", "a"],
        &["digest", "--tag", "a"],
        &["digest", "--check", "list"],
        &["stats", "a"],
        &["stats", "--total", "--histogram", "a"],
        &["run", "k.vasm", "a"],
        &["run", "--total", "k.vasm", "a"],
    ] {
        let printed = gristmill(tree.path(), arguments).rows();
        let output = [arguments, &["--output", "rows.txt"]].concat();
        assert_eq!(gristmill(tree.path(), &output).rows(), "");
        let written = fs::read_to_string(tree.path().join("rows.txt")).unwrap();
        assert_eq!(written, printed, "{arguments:?}");
        let stdout = [arguments, &["--output", "-", "--format", "text"]].concat();
        assert_eq!(gristmill(tree.path(), &stdout).rows(), printed);
    }
    for arguments in [
        &["scan", "--all", "needle", "a"][..],
        &["digest", "a"],
        &["stats", "a"],
        &["run", "k.vasm", "a"],
        &["scan", "--rules", "rules.txt", "a"],
    ] {
        let printed = gristmill(tree.path(), &[arguments, &["--json"]].concat()).rows();
        // A search tells its time.
        let without = |text: String| {
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines
                .into_iter()
                .filter(|line| !line.contains("elapsed"))
                .collect::<Vec<_>>()
        };
        let output = [arguments, &["--output", "rows.ndjson"]].concat();
        assert_eq!(gristmill(tree.path(), &output).rows(), "");
        let written = fs::read_to_string(tree.path().join("rows.ndjson")).unwrap();
        assert_eq!(written.contains("elapsed"), printed.contains("elapsed"));
        assert_eq!(without(written), without(printed.clone()), "{arguments:?}");
        let format = [arguments, &["--format", "jsonl"]].concat();
        let formatted = gristmill(tree.path(), &format).rows();
        assert_eq!(without(formatted), without(printed));
    }
    let sarif = ["scan", "--rules", "rules.txt", "a", "--sarif"];
    let printed = gristmill(tree.path(), &sarif).rows();
    let done = gristmill(
        tree.path(),
        &[&sarif[..], &["--output", "log.sarif"]].concat(),
    );
    assert_eq!(done.rows(), "");
    assert_eq!(
        fs::read_to_string(tree.path().join("log.sarif")).unwrap(),
        printed
    );
}

#[test]
fn a_compiled_set_gives_the_tables_of_what_it_is_made_of() {
    let tree = tree();
    fs::write(tree.path().join("patterns.txt"), "needle\nn.e\n").unwrap();
    fs::write(tree.path().join("none.txt"), "").unwrap();
    for (made, asked) in [
        (["--rules", "rules.txt"], &["--rules", "rules.txt"][..]),
        (["-f", "patterns.txt"], &["--all", "-f", "patterns.txt"]),
    ] {
        let compile = [&["compile"][..], &made, &["-o", "made.gms"]].concat();
        assert_eq!(gristmill(tree.path(), &compile).rows(), "");
        let csv = ["a", "--format", "csv"];
        let direct = gristmill(tree.path(), &[&["scan"][..], asked, &csv].concat()).rows();
        let set = ["scan", "--set", "made.gms"];
        let stored = gristmill(tree.path(), &[&set[..], &csv].concat()).rows();
        assert!(direct.lines().count() > 1, "{direct}");
        assert_eq!(stored, direct);
    }
    let around = ["scan", "--set", "made.gms", "a", "--context-bytes=2"];
    let around = gristmill(tree.path(), &[&around[..], &["--format=csv"]].concat()).rows();
    assert!(around.contains(",needle,e ,needle,"), "{around}");
}

#[test]
fn what_has_no_rows_in_a_format_is_refused_by_name() {
    let tree = tree();
    let scan = ["scan", "--all", "needle", "a"];
    for (arguments, told) in [
        (
            &["scan", "needle", "a", "-rx", "--format=csv"][..],
            "--replace",
        ),
        (
            &["scan", "-U", "needle", "a", "--format=arrow"],
            "--multiline",
        ),
        (&[&scan[..], &["--output=x"]].concat(), "give --format"),
        (&[&scan[..], &["--output=x.json"]].concat(), "give --format"),
        (&[&scan[..], &["-c", "--output=x.csv"]].concat(), "--count"),
        (
            &[&scan[..], &["-l", "--format=jsonl"]].concat(),
            "--files-with-matches",
        ),
        (&[&scan[..], &["-q", "--output=x.txt"]].concat(), "--quiet"),
        (
            &[&scan[..], &["--json", "--output=x.txt"]].concat(),
            "--json",
        ),
        (
            &[&scan[..], &["--context-bytes=3"]].concat(),
            "--context-bytes",
        ),
        (
            &[&scan[..], &["--context-bytes=5000", "--json"]].concat(),
            "4096",
        ),
        (
            &["scan", "needle", "a", "--context-bytes=3", "--json"],
            "--all",
        ),
        (&["scan", "--files", "--output=x.txt"], "--files"),
        (&["scan", "--type-list", "--output=x.txt"], "--type-list"),
        (
            &["scan", "--rules=rules.txt", "a", "--sarif", "--format=csv"],
            "--sarif",
        ),
        (&["digest", "a", "--tag", "--format=csv"], "--tag"),
        (&["digest", "a", "--json", "--format=text"], "--json"),
        (
            &["digest", "--check", "a", "--status", "--format=csv"],
            "--status",
        ),
        (&["stats", "a", "--total", "--format=parquet"], "--total"),
        (
            &["stats", "a", "--histogram", "--format=csv"],
            "--histogram",
        ),
        (
            &["run", "k.vasm", "a", "--total", "--format=arrow"],
            "--total",
        ),
        (
            &["run", "k.vasm", "a", "--check", "--output=x.csv"],
            "--check",
        ),
    ] {
        let done = gristmill(tree.path(), arguments);
        assert_eq!(
            (done.code, &*done.out),
            (Some(2), &b""[..]),
            "{arguments:?}"
        );
        assert!(done.err.contains(told), "{arguments:?}: {}", done.err);
        assert!(!done.err.contains("panicked"), "{}", done.err);
    }
    let names: Vec<_> = fs::read_dir(tree.path()).unwrap().collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

/// The schemas as docs/rows.md lists them.
#[test]
fn the_document_has_the_schemas_of_the_code() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rows.md");
    let text = fs::read_to_string(document).unwrap();
    let blake3 = gristmill::jobs::digest::Algorithm::Blake3.into();
    let schemas = [
        gristmill::jobs::scan::line_schema(),
        gristmill::jobs::sweep::occurrence_schema(),
        gristmill::jobs::sweep::findings::finding_schema(),
        gristmill::jobs::digest::digest_schema(),
        gristmill::jobs::digest::check_schema(),
        gristmill::jobs::digest::manifest_schema(&blake3, true),
        gristmill::manifest::difference_schema(),
        gristmill::manifest::duplicate_schema(),
        gristmill::jobs::stats::stats_schema(),
        gristmill::jobs::run::run_schema(&Default::default()),
    ];
    let mut all = String::new();
    for schema in &schemas {
        all += &schema.markdown();
        all.push('\n');
    }
    const BEGIN: &str = "<!-- schemas -->\n\n";
    const END: &str = "<!-- end of schemas -->";
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (listed, behind) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_SPECIFICATION").is_some() {
        let text = format!("{before}{BEGIN}{all}{END}{behind}");
        return fs::write(document, text).unwrap();
    }
    assert_eq!(listed, all);
}
