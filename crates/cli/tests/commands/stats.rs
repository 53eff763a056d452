//! `gristmill stats` against counts, lines and entropy that are computed here.

use crate::tool::{gristmill, gristmill_reading};
use gristmill_testing::noise;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

fn counts(bytes: &[u8]) -> Vec<u64> {
    let mut counts = vec![0; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    counts
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Shannon's entropy, from the frequency of each byte value.
fn entropy(bytes: &[u8]) -> f64 {
    let total = bytes.len() as f64;
    let mut sum = 0.0;
    for count in counts(bytes) {
        if count > 0 {
            sum += count as f64 * (total / count as f64).log2() / total;
        }
    }
    sum
}

/// A row as bytes, lines, entropy and name.
fn parse(row: &str) -> (u64, u64, f64, &str) {
    // Columns are padded on the left: the name is what follows the third.
    let mut fields = Vec::new();
    let mut rest = row.trim_start();
    for _ in 0..3 {
        let (field, after) = rest.split_once(' ').unwrap();
        fields.push(field);
        rest = after.trim_start();
    }
    (
        fields[0].parse().unwrap(),
        fields[1].parse().unwrap(),
        fields[2].parse().unwrap(),
        rest,
    )
}

/// The rows below the names of the columns.
fn rows(text: &str) -> Vec<&str> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["bytes", "lines", "bits/byte", "path"], "{text}");
    lines.collect()
}

fn assert_row(row: &str, bytes: &[u8], name: &str) {
    let (size, newlines, shown, path) = parse(row);
    assert_eq!(
        (size, newlines, path),
        (bytes.len() as u64, lines(bytes), name)
    );
    assert!((shown - entropy(bytes)).abs() < 0.000_06, "{row}");
    assert!(!row.contains("-0") && !row.contains("NaN"), "{row}");
}

/// Files whose sizes are close to multiples of 4 KiB chunks, with their names and contents.
fn files() -> (TempDir, Vec<(&'static str, Vec<u8>)>) {
    let tree = tempfile::tempdir().unwrap();
    let files = vec![
        ("0-empty", Vec::new()),
        ("1-same", vec![b'a'; 4_096]),
        ("2-newlines", vec![b'\n'; 4_097]),
        ("3-text", b"one\r\ntwo\n\nno end".repeat(700)),
        ("4-noise", noise(4, 100_003)),
        ("5-all", (0..=u8::MAX).cycle().take(8_192).collect()),
        ("6-two", b"ab".repeat(2_048)),
    ];
    for (name, bytes) in &files {
        fs::write(tree.path().join(name), bytes).unwrap();
    }
    (tree, files)
}

fn all(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    files.iter().flat_map(|(_, bytes)| bytes).copied().collect()
}

#[test]
fn the_entropy_of_this_test_is_known_where_it_can_be() {
    assert_eq!(entropy(b""), 0.0);
    assert_eq!(entropy(b"aaaa"), 0.0);
    assert_eq!(entropy(b"abab"), 1.0);
    let all: Vec<u8> = (0..=u8::MAX).collect();
    assert_eq!(entropy(&all), 8.0);
}

#[test]
fn rows_hold_bytes_lines_and_entropy_and_the_last_is_the_total() {
    let (tree, files) = files();
    for flags in [
        &["--chunk-size", "4K", "-j", "1"][..],
        &["--chunk-size", "4K", "-j", "4"],
        &["--chunk-size", "8K", "-j", "3", "--read-path", "positioned"],
        &[],
    ] {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let arguments = [&["stats", "--sort", "path"], flags, &names].concat();
        let text = gristmill(tree.path(), &arguments).rows();
        let rows = rows(&text);
        assert_eq!(rows.len(), files.len() + 1, "{text}");
        for (row, (name, bytes)) in rows.iter().zip(&files) {
            assert_row(row, bytes, name);
        }
        assert_row(rows[files.len()], &all(&files), "total of 7 files");
    }
}

#[test]
fn total_writes_the_total_only() {
    let (tree, files) = files();
    let text = gristmill(tree.path(), &["stats", "--total", "."]).rows();
    let rows = rows(&text);
    assert_eq!(rows.len(), 1, "{text}");
    assert_row(rows[0], &all(&files), "total of 7 files");
}

#[test]
fn the_histogram_lists_every_value_that_occurs_with_count_and_share() {
    let (tree, files) = files();
    let cases = [("3-text", &files[3].1), ("5-all", &files[5].1)];
    for (name, bytes) in cases {
        let arguments = ["stats", "--histogram", "--total", "--chunk-size=4K", name];
        let text = gristmill(tree.path(), &arguments).rows();
        let mut rows = rows(&text).into_iter();
        assert_row(rows.next().unwrap(), bytes, "total of 1 files");
        let names: Vec<&str> = rows.next().unwrap().split_whitespace().collect();
        assert_eq!(names, ["value", "count", "share"]);
        let mut seen = vec![0; 256];
        for row in rows {
            let value = usize::from_str_radix(&row[2..4], 16).unwrap();
            let fields: Vec<&str> = row.split_whitespace().collect();
            let [.., count, share, "%"] = fields[..] else {
                panic!("{row}");
            };
            seen[value] = count.parse().unwrap();
            let share: f64 = share.parse().unwrap();
            let expected = 100.0 * seen[value] as f64 / bytes.len() as f64;
            assert!((share - expected).abs() < 0.000_6, "{row}");
            assert!(seen[value] > 0, "{row}");
        }
        assert_eq!(seen, counts(bytes), "{name}");
    }
}

fn assert_object(object: &Value, bytes: &[u8]) {
    assert_eq!(object["bytes"], bytes.len() as u64);
    assert_eq!(object["lines"], lines(bytes));
    let shown = object["entropy"].as_f64().unwrap();
    assert!((shown - entropy(bytes)).abs() < 1e-9, "{shown}");
    let histogram: Vec<u64> = serde_json::from_value(object["histogram"].clone()).unwrap();
    assert_eq!(histogram, counts(bytes));
}

#[test]
fn json_rows_are_objects_with_the_histogram_and_the_last_is_the_total() {
    let (tree, files) = files();
    let arguments = ["stats", "--json", "--sort=path", "--chunk-size=4K", "."];
    let text = gristmill(tree.path(), &arguments).rows();
    let objects: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), files.len() + 1);
    for (object, (name, bytes)) in objects.iter().zip(&files) {
        assert_eq!(object["path"]["text"], format!("./{name}"));
        assert_object(object, bytes);
    }
    let total = &objects[files.len()]["total"];
    assert_eq!(total["files"], 7);
    assert_object(total, &all(&files));

    let text = gristmill(tree.path(), &["stats", "--json", "--total", "."]).rows();
    assert_eq!(text.lines().count(), 1);
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_object(&object["total"], &all(&files));
}

#[test]
fn nothing_to_read_is_a_total_of_nothing_and_its_json_parses() {
    let tree = tempfile::tempdir().unwrap();
    let text = gristmill(tree.path(), &["stats", "."]).rows();
    assert_row(rows(&text)[0], b"", "total of 0 files");
    let text = gristmill(tree.path(), &["stats", "--json", "."]).rows();
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_object(&object["total"], b"");
}

#[test]
fn standard_input_is_summarised_under_its_name() {
    let tree = tempfile::tempdir().unwrap();
    let bytes = noise(7, 600_000);
    let text = gristmill_reading(tree.path(), &["stats"], &bytes).rows();
    let rows = rows(&text);
    assert_eq!(rows.len(), 2, "{text}");
    assert_row(rows[0], &bytes, "<stdin>");
    assert_row(rows[1], &bytes, "total of 1 files");
}

#[test]
fn a_file_that_fails_is_told_and_left_out_of_the_total() {
    let (tree, files) = files();
    let done = gristmill(tree.path(), &["stats", "absent", "4-noise"]);
    assert_eq!(done.code, Some(2));
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    assert!(done.err.starts_with("gristmill: absent: "), "{}", done.err);
    let rows = rows(done.text());
    assert_eq!(rows.len(), 2);
    assert_row(rows[0], &files[4].1, "4-noise");
    assert_row(rows[1], &files[4].1, "total of 1 files");
}

#[test]
fn a_name_with_a_newline_is_one_row_and_no_other_name_looks_like_it() {
    let tree = tempfile::tempdir().unwrap();
    for (name, shown) in [("new\nline", "new\\nline"), ("new\\nline", "new\\\\nline")] {
        fs::write(tree.path().join(name), b"x").unwrap();
        let text = gristmill(tree.path(), &["stats", name]).rows();
        let rows = rows(&text);
        assert_eq!(rows.len(), 2, "{text}");
        assert_row(rows[0], b"x", shown);
    }
}
