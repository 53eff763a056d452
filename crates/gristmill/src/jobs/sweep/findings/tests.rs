//! What is written of matches, when, and in which order.

use super::*;
use serde_json::{json, Value};

const RULES: &[u8] = br#"
[[rules]]
id = "key"
description = "A \"key\""
regex = '''key=(\w+)'''
tags = ["b", "a", "b"]
[[rules]]
id = "pat"
regex = '''pat[0-9]{14}'''
keywords = ["airtable"]
[[rules]]
id = "store"
path = '''\.p12$'''
"#;

fn rules() -> Arc<RuleSet> {
    let mut rules = RuleSet::default();
    rules.add(Path::new("r.toml"), RULES).unwrap();
    rules.add(Path::new("r.txt"), b"key\t[0-9]+").unwrap();
    Arc::new(rules)
}

fn findings() -> Findings {
    Findings::new(rules())
}

/// The match of `part` in a line that begins at byte 100 of the file, as line 3.
fn matched<'a>(rule: u32, line: &'a str, part: &str) -> Match<'a> {
    let start = line.find(part).unwrap();
    Match {
        rule,
        offset: 100 + start as u64,
        lines: line.as_bytes(),
        range: start..start + part.len(),
        line: 3,
        column: 1 + start as u64,
    }
}

/// A file with one finding.
fn one(findings: &Findings, path: &str) -> Vec<u8> {
    let mut file = FindingsFile::new(findings, Path::new(path));
    let mut rows = Vec::new();
    let line = "é: key=abcdefghijklmnopqrst;";
    let matched = matched(0, line, "key=abcdefghijklmnopqrst");
    file.matched(findings, &matched, &mut rows);
    file.close(findings, true, &mut rows);
    rows
}

fn text(rows: Vec<u8>) -> String {
    String::from_utf8(rows).unwrap()
}

#[test]
fn text_shows_place_rule_and_part_of_the_secret() {
    let findings = findings();
    assert_eq!(
        text(one(&findings, "a.rs")),
        "a.rs:3:5: key: abcd*** (20 bytes)\n"
    );
    assert_eq!(
        text(one(&findings, "b\n.p12")),
        "b\\n.p12: store\nb\\n.p12:3:5: key: abcd*** (20 bytes)\n"
    );
    assert_eq!((findings.found(), findings.files()), (3, 2));
    let findings = self::findings().show_secrets(true).null(true);
    assert_eq!(
        text(one(&findings, "b\n.p12")),
        "b\n.p12\0 store\nb\n.p12\x003:5: key: abcdefghijklmnopqrst\n"
    );
    let findings = self::findings().color(true);
    assert_eq!(
        text(one(&findings, "a")),
        "\x1b[35ma\x1b[0m:\x1b[32m3\x1b[0m:\x1b[32m5\x1b[0m: key: \x1b[1m\x1b[31mabcd***\x1b[0m (20 bytes)\n"
    );
}

#[test]
fn counts_and_paths_are_written_at_the_end_of_a_file() {
    let findings = findings().report(FindingsReport::Count);
    assert_eq!(text(one(&findings, "a.p12")), "a.p12:2\n");
    let findings = self::findings().report(FindingsReport::Paths);
    assert_eq!(text(one(&findings, "a.p12")), "a.p12\n");
    let file = FindingsFile::new(&findings, Path::new("a.p12"));
    assert_eq!(file.flow(&findings), Flow::SkipFile);
    let mut rows = Vec::new();
    file.close(&findings, false, &mut rows);
    assert_eq!(text(rows), "a.p12\n");
    let findings = self::findings().report(FindingsReport::Quiet);
    let mut file = FindingsFile::new(&findings, Path::new("a"));
    assert_eq!(file.flow(&findings), Flow::Continue);
    file.matched(&findings, &matched(0, "key=b", "key=b"), &mut Vec::new());
    assert_eq!(file.flow(&findings), Flow::Stop);
}

#[test]
fn json_has_the_documented_fields_in_their_order() {
    let findings = findings().format(Format::Json);
    let row = text(one(&findings, "a.p12"));
    let (path, row) = row.split_once('\n').unwrap();
    assert_eq!(
        path,
        "{\"type\":\"finding\",\"data\":{\"path\":{\"text\":\"a.p12\"},\"rule\":\"store\",\"description\":\"\",\
         \"tags\":[],\"fingerprint\":\"a.p12:store:0\"}}"
    );
    // printf abcdefghijklmnopqrst | sha256sum
    let hash = "dd65eea0329dcb94b17187af9dff28c31a1d78026737a16af75979a1fa4618e5";
    assert_eq!(
        row,
        format!(
            "{{\"type\":\"finding\",\"data\":{{\"path\":{{\"text\":\"a.p12\"}},\"rule\":\"key\",\
             \"description\":\"A \\\"key\\\"\",\"tags\":[\"b\",\"a\",\"b\"],\"fingerprint\":\"a.p12:key:3\",\
             \"absolute_offset\":104,\"length\":24,\"line_number\":3,\"column\":5,\"end_line_number\":3,\
             \"end_column\":29,\"secret_offset\":108,\"secret_length\":20,\"secret_redacted\":\"abcd***\",\
             \"secret_sha256\":\"{hash}\",\"entropy\":4.322}}}}\n"
        )
    );
    let findings = self::findings().format(Format::Json).show_secrets(true);
    let row: Value = serde_json::from_str(&text(one(&findings, "a"))).unwrap();
    assert_eq!(
        row["data"]["match"],
        json!({ "text": "key=abcdefghijklmnopqrst" })
    );
    assert_eq!(
        row["data"]["secret"],
        json!({ "text": "abcdefghijklmnopqrst" })
    );
}

#[test]
fn a_sarif_log_is_one_document_whatever_was_found() {
    let findings = findings().format(Format::Sarif);
    let log = |rows: &[&[u8]], notices: &[Notice]| -> Value {
        let mut log = Vec::new();
        let mut writer = SarifWriter::new(&mut log, findings.rules());
        for rows in rows {
            writer.write_all(rows).unwrap();
        }
        writer
            .write_all(&sarif_tail(notices.is_empty(), 2, notices))
            .unwrap();
        serde_json::from_slice(&log).unwrap()
    };
    use std::io::Write;
    let none = log(&[], &[]);
    assert_eq!(none["runs"][0]["results"], json!([]));
    let rules = json!([
        { "id": "key", "shortDescription": { "text": "A \"key\"" }, "properties": { "tags": ["a", "b"] } },
        { "id": "pat" },
        { "id": "store" },
    ]);
    assert_eq!(none["runs"][0]["tool"]["driver"]["rules"], rules);
    let rows = one(&findings, "ä.p12");
    let notice = Notice {
        path: Some("/x".into()),
        text: "gone".into(),
        error: true,
    };
    // However the rows come.
    for split in 0..rows.len() {
        let (first, rest) = rows.split_at(split);
        let log = log(&[first, rest], std::slice::from_ref(&notice));
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        let location = &results[1]["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "%C3%A4.p12");
        assert_eq!(
            location["region"],
            json!({
                "startLine": 3, "startColumn": 4, "endLine": 3, "endColumn": 28, "byteOffset": 104, "byteLength": 24,
            })
        );
        let invocation = &log["runs"][0]["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        assert_eq!(
            invocation["toolExecutionNotifications"][0]["message"]["text"],
            "gone"
        );
    }
    // A rule of a list that has the name of another.
    let mut file = FindingsFile::new(&findings, Path::new("a"));
    let mut rows = Vec::new();
    file.matched(&findings, &matched(3, "12", "12"), &mut rows);
    assert!(text(rows).contains("\"ruleIndex\":0,"));
}

/// What a file gives for matches and keywords as they come.
fn held(findings: &Findings, keyword_at: Option<usize>, complete: bool) -> String {
    let mut file = FindingsFile::new(findings, Path::new("f"));
    let mut rows = Vec::new();
    let matches = [
        (0, "key=a"),
        (1, "pat00000000000001"),
        (0, "key=b"),
        (1, "pat00000000000002"),
    ];
    for (at, (rule, line)) in matches.into_iter().enumerate() {
        if keyword_at == Some(at) {
            file.keyword(0);
        }
        file.matched(findings, &matched(rule, line, line), &mut rows);
    }
    if keyword_at == Some(matches.len()) {
        file.keyword(0);
    }
    file.close(findings, complete, &mut rows);
    text(rows)
}

#[test]
fn what_needs_a_keyword_waits_for_it_and_keeps_its_place() {
    let findings = findings().show_secrets(true);
    assert_eq!(findings.keywords(), ["airtable"]);
    let all = "f:3:1: key: a\nf:3:1: pat: pat00000000000001\nf:3:1: key: b\nf:3:1: pat: pat00000000000002\n";
    for keyword_at in 0..=4 {
        assert_eq!(held(&findings, Some(keyword_at), true), all);
    }
    let without = "f:3:1: key: a\nf:3:1: key: b\n";
    assert_eq!(held(&findings, None, true), without);
    assert_eq!(held(&findings, None, false), without);
    assert_eq!(findings.found(), 5 * 4 + 2 * 2);
    let count = self::findings().report(FindingsReport::Count);
    assert_eq!(held(&count, None, true), "f:2\n");
    assert_eq!(held(&count, Some(3), true), "f:4\n");
}

#[test]
fn what_waits_is_bounded_and_a_loss_is_told() {
    for seen in [false, true] {
        let findings = findings();
        let mut file = FindingsFile::new(&findings, Path::new("f"));
        let mut rows = Vec::new();
        let pat = "pat00000000000001";
        let mut others = 0;
        for number in 0..100_000 {
            let mut matched = matched(1, pat, pat);
            matched.offset = number;
            file.matched(&findings, &matched, &mut rows);
            if number % 100 == 0 {
                file.matched(&findings, &self::matched(0, "key=a", "key=a"), &mut rows);
                others += 1;
            }
        }
        if seen {
            file.keyword(0);
        }
        file.close(&findings, true, &mut rows);
        let rows = text(rows);
        let of = |rule: &str| rows.lines().filter(|row| row.contains(rule)).count();
        assert_eq!(of(": key: "), others);
        let errors = findings.take_errors();
        if seen {
            assert!(of(": pat: ") > 1000);
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].findings as usize, 100_000 - of(": pat: "));
            assert_eq!(errors[0].offset as usize, of(": pat: "));
            assert!(errors[0].to_string().contains("the rule pat are not shown"));
        } else {
            assert_eq!((of(": pat: "), errors), (0, vec![]));
        }
    }
}
