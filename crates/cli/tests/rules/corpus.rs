//! Findings in a corpus with planted secrets and near misses.

use crate::reference::{Reference, Row};
use crate::{gristmill, rows, EXAMPLES};
use gristmill_testing::{planted, seed};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Files with what rules find: one for each rule, and one with all of it among text, far larger than the smallest chunk.
fn corpus(reference: &Reference, random: &mut fastrand::Rng) -> (TempDir, Vec<(String, Vec<u8>)>) {
    let tree = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (number, (id, pattern)) in reference.patterns().enumerate() {
        let text = planted::lines(pattern, 12, random);
        // Some rules look at names.
        let end = *random
            .choice(&[".txt", ".toml", ".tf", ".yaml", ""])
            .unwrap();
        let id = id.replace(' ', "-");
        files.push((format!("{number}-{id}{end}"), text.clone()));
        parts.push(text);
    }
    let mut all = Vec::new();
    for _ in 0..2 {
        random.shuffle(&mut parts);
        for part in &parts {
            all.extend_from_slice(part);
            for _ in 0..random.usize(..300) {
                all.extend_from_slice(
                    random
                        .choice(&[&b"let x "[..], b"= y;\n", b"key ", b"    "])
                        .unwrap(),
                );
            }
        }
    }
    files.push(("all.conf".into(), all));
    files.push(("empty".into(), Vec::new()));
    files.sort();
    for (name, text) in &files {
        fs::write(tree.path().join(name), text).unwrap();
    }
    (tree, files)
}

/// The row of a finding as `--json --show-secrets` tells it.
fn row(line: &str) -> Row {
    let record: Value = serde_json::from_str(line).unwrap();
    assert_eq!(record["type"], "finding");
    let data = &record["data"];
    let number = |name: &str| usize::try_from(data[name].as_u64().unwrap()).unwrap();
    let text = |name: &str| data[name]["text"].as_str().unwrap().as_bytes().to_vec();
    let row = Row {
        path: data["path"]["text"].as_str().unwrap().to_owned(),
        end: 0,
        number: 0,
        rule: data["rule"].as_str().unwrap().to_owned(),
        offset: number("absolute_offset"),
        text: text("match"),
        secret_offset: number("secret_offset"),
        secret: text("secret"),
        line: number("line_number"),
        column: number("column"),
        end_line: number("end_line_number"),
        end_column: number("end_column"),
    };
    assert_eq!(number("length"), row.text.len());
    assert_eq!(number("secret_length"), row.secret.len());
    let fingerprint = format!("{}:{}:{}", row.path, row.rule, row.line);
    assert_eq!(data["fingerprint"], fingerprint);
    row
}

/// Compares the rows with those of the reference, for chunks of several sizes.
fn compare(rules: &[&Path], tree: &Path, files: &[(String, Vec<u8>)], reference: &Reference) {
    let expected: Vec<Row> = files
        .iter()
        .flat_map(|(name, text)| reference.find(name, text))
        .map(|row| Row {
            end: 0,
            number: 0,
            ..row
        })
        .collect();
    assert!(expected.len() > files.len());
    let mut arguments = vec![
        "scan",
        "--json",
        "--show-secrets",
        "--sort",
        "path",
        "--no-ignore",
    ];
    for rules in rules {
        arguments.extend(["--rules", rules.to_str().unwrap()]);
    }
    let mut first = String::new();
    for size in ["4K", "12K", "64K", "1M"] {
        let mut arguments = arguments.clone();
        arguments.extend(["--chunk-size", size]);
        let text = rows(tree, &arguments);
        if first.is_empty() {
            let found: Vec<Row> = text.lines().map(row).collect();
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected);
            }
            assert_eq!(found.len(), expected.len());
            first = text;
        } else {
            assert!(text == first, "chunks of {size} give other rows");
        }
    }
}

#[test]
fn the_examples_find_what_was_planted_however_files_are_cut() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_RULES_SEED"));
    let (toml, list) = (
        format!("{EXAMPLES}/rules.toml"),
        format!("{EXAMPLES}/rules.txt"),
    );
    let rules = [Path::new(&toml), Path::new(&list)];
    let reference = Reference::new(&rules);
    for _ in 0..4 {
        let (tree, files) = corpus(&reference, &mut random);
        compare(&rules, tree.path(), &files, &reference);
    }
}

/// Rules that need what is hard to find: long matches, keywords of the file, lines around, ends of files.
const HARD: &str = r#"
[[rules]]
id = "block"
regex = '''(?s)BEGIN.*?END'''
[[rules]]
id = "far-keyword"
regex = '''pat[0-9]{6}'''
keywords = ["airtable", "kelvin"]
[[rules]]
id = "newlines"
regex = '''\n*tok_([a-z]{4})\n*'''
[[rules.allowlists]]
regexTarget = "line"
regexes = ['''secret:none''']
[[rules]]
id = "last"
regex = '''[0-9]+\z'''
"#;

#[test]
fn hard_rules_find_the_same_however_files_are_cut() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_RULES_SEED"));
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("hard.toml");
    fs::write(&rules, HARD).unwrap();
    let reference = Reference::new(&[&rules]);
    let tree = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for number in 0..12 {
        let mut text = Vec::new();
        let keyword = *random
            .choice(&["AirTable\n", "\u{212A}ELVIN ", "nothing"])
            .unwrap();
        let most = random.usize(..4000);
        let place = random.usize(..=most);
        for at in 0..most {
            let words = [
                "BEGIN",
                "END",
                "pat123456 ",
                "\ntok_abcd\n\n",
                "tok_efgh",
                "\n",
                "secret:none",
                " gitleaks:allow",
                "é",
                "filler text ",
                "12345",
                "    ",
            ];
            text.extend_from_slice(random.choice(words).unwrap().as_bytes());
            if at == place {
                text.extend_from_slice(keyword.as_bytes());
            }
            if random.u32(..800) == 0 {
                text.extend(std::iter::repeat_n(b'.', random.usize(..9500)));
            }
        }
        files.push((format!("{number:02}"), text));
    }
    for (name, text) in &files {
        fs::write(tree.path().join(name), text).unwrap();
    }
    compare(&[&rules], tree.path(), &files, &reference);
}

#[test]
fn gitleaks_rules_find_what_was_planted_however_files_are_cut() {
    let Some(rules) = planted::rule_file() else {
        return;
    };
    let rules = fs::canonicalize(rules).unwrap();
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_RULES_SEED"));
    let reference = Reference::new(&[&rules]);
    let (tree, files) = corpus(&reference, &mut random);
    compare(&[&rules], tree.path(), &files, &reference);
    if let Some(program) = planted::gitleaks() {
        // gitleaks cuts larger files in its own way.
        fs::remove_file(tree.path().join("all.conf")).unwrap();
        compare_with_gitleaks(&program, &rules, tree.path());
    }
}

fn compare_with_gitleaks(program: &OsString, rules: &Path, tree: &Path) {
    let report = planted::gitleaks_report(program, rules, tree);
    let report: Value = serde_json::from_slice(&report).unwrap();
    type Finding = (String, String, String);
    // gitleaks drops a generic finding where another rule found the same on that line.
    let specific = |finding: &Finding| !finding.0.contains("generic");
    let field = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let theirs = report.as_array().unwrap().iter().map(|finding| {
        let text = |name| field(finding, name);
        (text("Fingerprint"), text("Match"), text("Secret"))
    });
    let theirs: BTreeSet<Finding> = theirs.filter(specific).collect();
    let rules = rules.to_str().unwrap();
    let ours = rows(
        tree,
        &[
            "scan",
            "--json",
            "--show-secrets",
            "--no-ignore",
            "--rules",
            rules,
        ],
    );
    let ours = ours.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        let data = &record["data"];
        let text = |name: &str| data[name]["text"].as_str().unwrap().to_owned();
        (field(data, "fingerprint"), text("match"), text("secret"))
    });
    let ours: BTreeSet<Finding> = ours.filter(specific).collect();
    assert!(ours.len() > 100);
    let only_ours: Vec<_> = ours.difference(&theirs).collect();
    let only_theirs: Vec<_> = theirs.difference(&ours).collect();
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "only here: {only_ours:#?}\nonly gitleaks: {only_theirs:#?}"
    );
}

#[test]
fn a_match_that_is_too_long_is_an_error_with_its_place() {
    let tree = tempfile::tempdir().unwrap();
    let mut text = b"key-1234\nBEGIN".to_vec();
    text.resize(3 << 20, b'.');
    text.extend_from_slice(b"END key-5678");
    fs::write(tree.path().join("long"), text).unwrap();
    fs::write(
        tree.path().join("r.txt"),
        "block\t(?s)BEGIN.*?END\nkey\tkey-[0-9]{4}\n",
    )
    .unwrap();
    let done = gristmill(tree.path(), &["scan", "--rules", "r.txt", "long"]);
    assert_eq!(done.status.code(), Some(2));
    let rows = String::from_utf8(done.stdout).unwrap();
    assert_eq!(
        rows,
        "long:1:1: key: k*** (8 bytes)\nlong:2:3145724: key: k*** (8 bytes)\n"
    );
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("long: offset 9: `block`"), "{told}");
}
