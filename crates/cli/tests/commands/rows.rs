//! Tables: what pyarrow and DuckDB read from them is what the same run prints as JSON.

use crate::tool::{gristmill, gristmill_reading, Done};
use gristmill::rows::{escape, Kind, Schema};
use gristmill_testing::{peers, seed, skipped};
use serde_json::{json, Map, Value};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A Python with pyarrow and DuckDB, which `scripts/test peers` installs.
pub fn python() -> Option<PathBuf> {
    let missing = "tables are not read: there is no Python with pyarrow and DuckDB";
    let python = peers("python", missing)?.join("bin/python");
    // It stands for the system's Python, or for one that only its owner may run.
    match Command::new(&python).arg("--version").output() {
        Ok(_) => Some(python),
        Err(error) => {
            skipped(format_args!(
                "tables are not read: {}: {error}",
                python.display()
            ));
            None
        }
    }
}

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/commands/rows.py");

/// What is read from tables in these formats.
pub fn read(python: &Path, directory: &Path, tables: &[[&str; 2]]) -> Vec<Value> {
    let output = Command::new(python)
        .arg(READER)
        .args(tables.concat())
        .current_dir(directory)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn hex(bytes: &[u8]) -> Value {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "hex": digits })
}

/// Bytes in JSON as the tool shows them.
fn bytes(data: &Value) -> Vec<u8> {
    match data["text"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => unbase64(data["bytes"].as_str().unwrap()),
    }
}

fn unbase64(text: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = text
        .trim_end_matches('=')
        .chars()
        .map(|digit| format!("{:06b}", DIGITS.find(digit).unwrap()))
        .collect();
    let whole = bits.as_bytes().chunks_exact(8);
    whole
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

/// A tree whose files have names that tables must not be broken by.
fn tree(random: &mut fastrand::Rng) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let odd = [
        &b"a,b"[..],
        b"\"q\"",
        b"new\nline",
        b"\r",
        b"back\\slash",
        b"\\xff",
        b"\xff\xfe",
        "é".as_bytes(),
        b" lead",
        b"NULL",
        b"=1+1",
        b"'",
        b"\t",
        b"\x1b[31m",
    ];
    let pieces = [&b"needle"[..], b"x", b"\n", b"\xff", b",\"", b"ABC-1234 "];
    for number in 0..12 {
        let mut name = format!("{number}").into_bytes();
        for _ in 0..random.usize(..4) {
            name.extend_from_slice(random.choice(&odd).unwrap());
        }
        let mut text = Vec::new();
        for _ in 0..random.usize(..60) {
            let piece = random.choice(&pieces);
            text.extend_from_slice(piece.unwrap());
        }
        fs::write(tree.path().join(OsStr::from_bytes(&name)), text).unwrap();
    }
    tree
}

/// The records of JSON Lines of one type, without what stands around their fields.
fn records(done: Done, kind: &str) -> Vec<Value> {
    let text = done.rows();
    let all = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let of_kind = all.filter(|record: &Value| record["type"] == kind);
    of_kind
        .map(|mut record| match record.get_mut("data") {
            Some(data) => data.take(),
            None => record,
        })
        .collect()
}

/// A table in each format beside the records of the same run, of which `row` makes the row that is expected of Arrow and
/// Parquet.
fn compare(
    python: &Path,
    directory: &Path,
    arguments: &[&str],
    schema: &Schema,
    rows: &[Map<String, Value>],
) {
    let scratch = tempfile::tempdir().unwrap();
    let formats = ["csv", "arrow", "parquet"];
    let files = formats.map(|format| scratch.path().join(format!("table.{format}")));
    for file in &files {
        let output = ["--output", file.to_str().unwrap()];
        let done = gristmill(directory, &[arguments, &output].concat());
        assert_eq!(done.rows(), "");
    }
    let names: Vec<[&str; 2]> = formats
        .iter()
        .zip(&files)
        .map(|(format, file)| [*format, file.to_str().unwrap()])
        .collect();
    let tables = read(python, scratch.path(), &names);
    let csv: Vec<Value> = rows.iter().map(|row| in_csv(schema, row)).collect();
    assert_rows(schema, &tables[0]["rows"], &csv);
    for table in &tables[1..] {
        let expected: Vec<Value> = rows.iter().cloned().map(Value::from).collect();
        assert_rows(schema, &table["rows"], &expected);
        assert_eq!(table["metadata"]["gristmill.schema"], schema.name());
        let version = schema.version().to_string();
        assert_eq!(table["metadata"]["gristmill.schema_version"], version);
        let fields = table["fields"].as_array().unwrap();
        let described = fields.iter().all(|field| {
            let about = field["description"].as_str();
            about.is_some_and(|about| !about.is_empty())
        });
        assert!(described, "{fields:?}");
        // The document has the same columns.
        let columns = schema.markdown();
        for field in fields {
            let kind = field["type"].as_str().unwrap();
            let kind = match kind {
                "string" => "utf8",
                "double" => "float64",
                "list<item: uint64 not null>" => "list of uint64",
                "list<item: string not null>" => "list of utf8",
                other => other,
            };
            let null = match field["null"].as_bool() {
                Some(true) => ", or null",
                _ => "",
            };
            let unit = field
                .get("unit")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let row = format!("| `{}` | {kind}{null} |", field["name"].as_str().unwrap());
            let row = columns.lines().find(|line| line.starts_with(&row));
            assert!(
                row.is_some_and(|row| row.contains(unit)),
                "{field}\n{columns}"
            );
        }
    }
}

/// Asserts that rows are the same; of a number with a point, nine digits behind it: serde_json reads no more of them
/// exactly.
#[track_caller]
fn assert_rows(schema: &Schema, rows: &Value, expected: &[Value]) {
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), expected.len());
    let rounded = |row: &Value| {
        let mut row = row.clone();
        let fields = schema.fields().iter();
        for field in fields.filter(|field| field.kind() == Kind::F64) {
            let value = &mut row[field.name()];
            let text = value.as_str().and_then(|text| text.parse().ok());
            if let Some(number) = value.as_f64().or(text) {
                *value = Value::from(format!("{number:.9}"));
            }
        }
        row
    };
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(rounded(row), rounded(expected));
    }
}

/// A row as CSV shows it.
fn in_csv(schema: &Schema, row: &Map<String, Value>) -> Value {
    let fields = schema.fields().iter().map(|field| {
        let value = &row[field.name()];
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Object(bytes) => {
                let digits = bytes["hex"].as_str().unwrap().as_bytes();
                let digits = digits
                    .chunks(2)
                    .map(|two| std::str::from_utf8(two).unwrap());
                let bytes: Vec<u8> = digits
                    .map(|digits| u8::from_str_radix(digits, 16).unwrap())
                    .collect();
                escape(&bytes).into_owned()
            }
            Value::Number(number) if field.kind() == Kind::F64 => {
                number.as_f64().unwrap().to_string()
            }
            other => other.to_string(),
        };
        (field.name().to_owned(), Value::from(text))
    });
    Value::Object(fields.collect())
}

/// Begins a row with the columns of a path.
fn with_path(path: &[u8], rest: Value) -> Map<String, Value> {
    let Value::Object(mut row) = rest else {
        panic!("{rest}")
    };
    row.insert("path".into(), json!(escape(path)));
    row.insert("path_bytes".into(), hex(path));
    row
}

fn readable(bytes: &[u8]) -> Value {
    json!(gristmill::rows::readable(bytes))
}

#[test]
fn matches_are_the_same_in_every_format() {
    let Some(python) = python() else { return };
    let seed = seed("GRISTMILL_TABLES_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    for patterns in [
        &["-F", "-e", "needle", "-e", "edl"][..],
        &["-e", "ne+dle", "-e", r"\d+"],
        &["-e", "needle", "-e", r"x+", "--context-bytes=7"],
        &["-F", "-e", "needle", "--context-bytes=0"],
        &["-e", "not there"],
    ] {
        let tree = tree(&mut random);
        let arguments = [&["scan", "--all", "--sort=path", "--hidden", "."], patterns].concat();
        let done = gristmill(tree.path(), &[&arguments[..], &["--json"]].concat());
        let found = done.code == Some(0);
        assert_eq!(found, patterns != ["-e", "not there"]);
        let records = records(
            Done {
                code: Some(0),
                ..done
            },
            "occurrence",
        );
        let rows = records.iter().map(|record| {
            let around = |name: &str| match record.get(name) {
                Some(data) => hex(&bytes(data)),
                None => Value::Null,
            };
            with_path(
                &bytes(&record["path"]),
                json!({
                    "absolute_offset": record["absolute_offset"],
                    "length": record["length"],
                    "pattern_index": record["pattern_index"],
                    "pattern": readable(&bytes(&record["pattern"])),
                    "before": around("before"),
                    "match": around("match"),
                    "after": around("after"),
                }),
            )
        });
        let rows: Vec<_> = rows.collect();
        if found {
            assert_context(tree.path(), &rows);
            let schema = gristmill::jobs::sweep::occurrence_schema();
            compare(&python, tree.path(), &arguments, &schema, &rows);
        }
    }
}

/// Asserts that the bytes around matches are those of the files.
fn assert_context(tree: &Path, rows: &[Map<String, Value>]) {
    for row in rows {
        let path = row["path"].as_str().unwrap();
        let path = gristmill::rows::unescape(path).unwrap();
        let text = fs::read(tree.join(OsStr::from_bytes(&path))).unwrap();
        let number = |name: &str| usize::try_from(row[name].as_u64().unwrap()).unwrap();
        let (start, end) = (
            number("absolute_offset"),
            number("absolute_offset") + number("length"),
        );
        let Some(after) = row["after"].get("hex") else {
            continue;
        };
        // All rows of a run have the same number, but for those at a file's ends.
        let most = rows
            .iter()
            .map(|row| row["after"]["hex"].as_str().unwrap().len() / 2);
        let most = most.max().unwrap();
        assert_eq!(row["before"], hex(&text[start.saturating_sub(most)..start]));
        assert_eq!(row["match"], hex(&text[start..end]));
        let behind = hex(&text[end..text.len().min(end + most)]);
        assert_eq!(*after, behind["hex"]);
    }
}

#[test]
fn lines_are_the_same_in_every_format() {
    let Some(python) = python() else { return };
    let seed = seed("GRISTMILL_TABLES_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    for flags in [&["-a"][..], &["-a", "-v", "-m2"], &["-a", "-C1", "-i"], &[]] {
        let tree = tree(&mut random);
        let arguments = ["scan", "needle|x+", "--sort=path", "--hidden", "."];
        let arguments = [&arguments[..], flags].concat();
        let done = gristmill(tree.path(), &[&arguments[..], &["--json"]].concat());
        let text = done.rows();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let rows = records.filter_map(|record: Value| {
            let kind = record["type"].as_str().unwrap();
            let data = &record["data"];
            let lines = matches!(kind, "match" | "context").then(|| bytes(&data["lines"]))?;
            let places = |name: &str| -> Vec<Value> {
                let found = data["submatches"].as_array().unwrap();
                found.iter().map(|found| found[name].clone()).collect()
            };
            let own = match std::str::from_utf8(&lines) {
                Ok(_) => Value::Null,
                Err(_) => hex(&lines),
            };
            Some(with_path(
                &bytes(&data["path"]),
                json!({
                    "type": kind,
                    "line_number": data["line_number"],
                    "absolute_offset": data["absolute_offset"],
                    "lines": readable(&lines),
                    "lines_bytes": own,
                    "match_starts": places("start"),
                    "match_ends": places("end"),
                }),
            ))
        });
        let rows: Vec<_> = rows.collect();
        assert!(!rows.is_empty());
        let schema = gristmill::jobs::scan::line_schema();
        compare(&python, tree.path(), &arguments, &schema, &rows);
    }
}

#[test]
fn findings_are_the_same_in_every_format() {
    let Some(python) = python() else { return };
    let seed = seed("GRISTMILL_TABLES_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    let tree = tree(&mut random);
    let rules = tempfile::tempdir().unwrap();
    let file = rules.path().join("rules.toml");
    fs::write(
        &file,
        "[[rules]]\nid = 'needle,'\ndescription = 'a \"needle\"'\nregex = 'ne(ed)le'\ntags = ['a', 'b\"']\n\
         [[rules]]\nid = 'ticket'\nregex = 'ABC-[0-9]+'\n[[rules]]\nid = 'path'\npath = '0'\n",
    )
    .unwrap();
    for secrets in [&[][..], &["--show-secrets"]] {
        let arguments = [
            "scan",
            "--rules",
            file.to_str().unwrap(),
            "--sort=path",
            ".",
        ];
        let arguments = [&arguments[..], secrets].concat();
        let records = records(
            gristmill(tree.path(), &[&arguments[..], &["--json"]].concat()),
            "finding",
        );
        let schema = gristmill::jobs::sweep::findings::finding_schema();
        let rows = records.iter().map(|record| {
            let path = bytes(&record["path"]);
            let mut row = with_path(&path, json!({}));
            for field in &schema.fields()[1..] {
                let value = match (record.get(field.name()), field.kind()) {
                    (None, _) => Value::Null,
                    (Some(data), Kind::Bytes) => hex(&bytes(data)),
                    (Some(value), _) => value.clone(),
                };
                row.insert(field.name().into(), value);
            }
            row
        });
        let mut rows: Vec<_> = rows.collect();
        assert!(!rows.is_empty());
        // JSON has three digits of an entropy.
        let entropy = |row: &Map<String, Value>| row["entropy"].as_f64();
        let shown: Vec<_> = rows.iter().map(entropy).collect();
        for row in &mut rows {
            if row["rule"] == "needle," {
                row["entropy"] = json!(1.0);
            } else if row["rule"] == "ticket" {
                row["entropy"] = json!(3.0);
            }
        }
        assert_eq!(shown, rows.iter().map(entropy).collect::<Vec<_>>());
        compare(&python, tree.path(), &arguments, &schema, &rows);
    }
}

#[test]
fn digests_checks_and_statistics_are_the_same_in_every_format() {
    let Some(python) = python() else { return };
    let seed = seed("GRISTMILL_TABLES_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    let tree = tree(&mut random);
    let json = |arguments: &[&str]| gristmill(tree.path(), &[arguments, &["--json"]].concat());
    let path = |record: &Value| bytes(&record["path"]);

    let arguments = [
        "digest",
        "--algorithm=blake3,md5,xxh3-64",
        "--sort=path",
        ".",
    ];
    let rows: Vec<_> = records(json(&arguments), "digest")
        .iter()
        .map(|record| {
            with_path(
                &path(record),
                json!({
                    "algorithm": record["algorithm"],
                    "digest": record["digest"],
                    "bytes": record["bytes"],
                }),
            )
        })
        .collect();
    assert_eq!(rows.len(), 36);
    let schema = gristmill::jobs::digest::digest_schema();
    compare(&python, tree.path(), &arguments, &schema, &rows);

    // A list with a digest that is another's, a file that is not there, and one that cannot be read.
    let scratch = tempfile::tempdir().unwrap();
    let list = scratch.path().join("list");
    let mut text = gristmill(tree.path(), &["digest", "--sort=path", "."]).out;
    for name in [&b"no\xff"[..], b"."] {
        text.extend_from_slice("0".repeat(64).as_bytes());
        text.extend_from_slice(b"  ");
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    // An escaped name's row begins with a backslash.
    let digit = text.iter().position(u8::is_ascii_hexdigit).unwrap();
    text[digit] = if text[digit] == b'0' { b'1' } else { b'0' };
    fs::write(&list, text).unwrap();
    let list = list.to_str().unwrap();
    let arguments = ["digest", "--check", list, "--ignore-missing"];
    let done = json(&arguments);
    let text = String::from_utf8(done.out).unwrap();
    let rows: Vec<_> = text
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| record[name].clone();
            with_path(
                &path(&record),
                json!({
                    "algorithm": field("algorithm"),
                    "digest": field("digest"),
                    "expected": field("expected"),
                    "ok": field("ok"),
                }),
            )
        })
        .collect();
    assert_eq!(rows.len(), 13);
    assert!(rows.iter().any(|row| row["digest"].is_null()));
    let file = scratch.path().join("check.parquet");
    let file = file.to_str().unwrap();
    let done = gristmill(tree.path(), &[&arguments[..], &["--output", file]].concat());
    assert_eq!(done.code, Some(1), "{done:?}");
    let table = &read(&python, tree.path(), &[["parquet", file]])[0];
    assert_eq!(
        table["rows"],
        Value::from_iter(rows.iter().cloned().map(Value::from))
    );

    let arguments = ["stats", "--sort=path", "."];
    let rows: Vec<_> = records(json(&arguments), "file")
        .iter()
        .map(|record| {
            let mut row = with_path(&path(record), json!({}));
            for name in ["bytes", "lines", "entropy", "histogram"] {
                row.insert(name.into(), record[name].clone());
            }
            row
        })
        .collect();
    assert_eq!(rows.len(), 12);
    let schema = gristmill::jobs::stats::stats_schema();
    compare(&python, tree.path(), &arguments, &schema, &rows);
}

#[test]
fn a_table_of_a_program_has_its_names() {
    let Some(python) = python() else { return };
    let seed = seed("GRISTMILL_TABLES_SEED");
    let mut random = fastrand::Rng::with_seed(seed);
    let tree = tree(&mut random);
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("own.vasm");
    // Two of its names are those of columns.
    fs::write(
        &program,
        ".records 4096\n.acc bytes sum\n.acc path_bytes max\n.acc least min\n.acc by[256] sum\n\
         mov r4, 1\neach r1, 1\n  ld8 r2, r1\n  acc bytes, r4\n  acc path_bytes, r2\n  acc least, r2\n  \
         acc by, r2, r4\n  eq r3, r2, 10\n  if r3\n    emit r1, r2\n  end\nend\n",
    )
    .unwrap();
    let program = program.to_str().unwrap();
    let arguments = ["run", program, "--sort=path", "."];
    let done = gristmill(tree.path(), &[&arguments[..], &["--json"]].concat());
    let text = done.rows();
    let mut rows = Vec::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let of = |name: &str| record[name].clone();
        let acc = |name: &str| record["accs"][name].clone();
        let row = match record["type"].as_str().unwrap() {
            "total" => continue,
            kind => json!({
                "type": kind,
                "offset": of("offset"),
                "value": of("value"),
                "bytes": of("bytes"),
                "acc_bytes": acc("bytes"),
                "acc_path_bytes": acc("path_bytes"),
                "least": acc("least"),
                "by": acc("by"),
            }),
        };
        rows.push(with_path(&bytes(&record["path"]), row));
    }
    assert!(rows.len() >= 12);
    let loaded = gristmill::program::Program::load(&Default::default(), Path::new(program));
    let schema = gristmill::jobs::run::run_schema(loaded.unwrap().verified().program());
    compare(&python, tree.path(), &arguments, &schema, &rows);
}

#[test]
fn a_search_for_nothing_writes_a_table_without_rows() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("a"), "one needle\n").unwrap();
    fs::write(tree.path().join("none"), "").unwrap();
    let done = gristmill(
        tree.path(),
        &["scan", "--all", "-f", "none", "a", "--output=o.csv"],
    );
    assert_eq!((done.code, &*done.err), (Some(1), ""));
    let done = gristmill_reading(tree.path(), &["digest", "--format=csv"], b"text");
    assert!(done
        .rows()
        .starts_with("path,algorithm,digest,bytes\n-,blake3,"));
    let csv = fs::read_to_string(tree.path().join("o.csv")).unwrap();
    assert_eq!(
        csv,
        "path,absolute_offset,length,pattern_index,pattern,before,match,after\n"
    );
    let Some(python) = python() else { return };
    for format in ["arrow", "parquet"] {
        let output = format!("--output=o.{format}");
        let done = gristmill(tree.path(), &["scan", "--all", "absent", "a", &output]);
        assert_eq!((done.code, &*done.err), (Some(1), ""));
        let name = format!("o.{format}");
        let table = &read(&python, tree.path(), &[[format, &name]])[0];
        assert_eq!(
            (&table["rows"], table["fields"].as_array().unwrap().len()),
            (&json!([]), 9)
        );
    }
}
