//! Manifests that are damaged: they are refused with a reason, or say what was written, and nothing panics.

use crate::world::{gathered, head, read, told, written, Made, FORMATS};
#[cfg(feature = "arrow")]
use gristmill::jobs::digest::Algorithm;
use gristmill::manifest::{Head, ManifestErrorKind, ManifestFormat, ManifestWriter};
use gristmill_testing::seed;

fn files() -> Vec<Made> {
    let mut files: Vec<Made> = (0..30)
        .map(|number| {
            let path = format!("tree/{number}, \"x\"\n\\");
            Made::new(
                path,
                vec![b'x'; number * 7],
                1_700_000_000_123_456_789 + number as i64,
            )
        })
        .collect();
    files[3].path = b"tree/\xff\xfe".to_vec();
    files[4] = Made::unread("tree/gone");
    files[5].changed = true;
    files[6].id = Some((u64::MAX, 7));
    files[7].modified_ns = None;
    files[8].modified_ns = Some(-1);
    files
}

fn cut() -> Head {
    head(Some("fastcdc".parse().unwrap()), &["tree"])
}

#[test]
fn every_format_says_what_was_written() {
    for head in [cut(), head(None, &["a", "\u{e9}"])] {
        let expected = gathered(&head, &files());
        for format in FORMATS {
            let found = read(&written(*format, &head, &files())).unwrap();
            assert_eq!(told(&found), told(&expected), "{format:?}");
            assert_eq!(found.chunk_share(), expected.chunk_share(), "{format:?}");
            let known = match format {
                ManifestFormat::Csv => Head {
                    chunking: None,
                    roots: Vec::new(),
                    ..head.clone()
                },
                _ => head.clone(),
            };
            assert_eq!(*found.head(), known, "{format:?}");
            let none = read(&written(*format, &head, &[])).unwrap();
            assert!(none.is_empty());
        }
    }
}

#[test]
fn a_manifest_that_is_cut_off_is_refused() {
    for format in FORMATS {
        let bytes = written(*format, &cut(), &files());
        for length in (0..bytes.len()).step_by(bytes.len() / 150 + 1) {
            match read(&bytes[..length]) {
                Err(error) => assert!(error.to_string().contains("; "), "{error}"),
                // Nothing in CSV says how many lines there are.
                Ok(_) => {
                    assert_eq!(*format, ManifestFormat::Csv, "{length}");
                    assert_eq!(bytes[length - 1], b'\n', "{length}");
                }
            }
        }
    }
}

#[test]
fn bytes_that_are_not_those_that_were_written_change_nothing_that_is_told() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_MANIFEST_SEED"));
    for format in FORMATS {
        let whole = written(*format, &cut(), &files());
        let expected = told(&read(&whole).unwrap());
        for round in 0..400 {
            let mut bytes = whole.clone();
            let at = random.usize(..bytes.len());
            match round % 3 {
                0 => bytes[at] ^= 1 << random.u8(..8),
                1 => bytes[at] = random.u8(..),
                _ => bytes[at] = *random.choice(&[0, 0xff, 0x7f, 0x80]).unwrap(),
            }
            match read(&bytes) {
                Err(error) => assert!(!error.to_string().is_empty()),
                // CSV has no sum.
                Ok(_) if *format == ManifestFormat::Csv => {}
                Ok(found) => assert_eq!(told(&found), expected, "{format:?}"),
            }
        }
    }
}

/// Why bytes are no manifest.
fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().kind.to_string()
}

#[test]
fn what_is_no_manifest_of_this_version_is_refused_with_what_to_do() {
    let json = String::from_utf8(written(ManifestFormat::Jsonl, &cut(), &files())).unwrap();
    let csv = String::from_utf8(written(ManifestFormat::Csv, &cut(), &files())).unwrap();
    let other = json.replacen("\"schema_version\":1", "\"schema_version\":9", 1);
    let error = refusal(other.as_bytes());
    assert!(
        error.contains("version 9") && error.contains("version 1"),
        "{error}"
    );
    for (bytes, told) in [
        ("", "no column of digests"),
        ("{}\n", "a type"),
        ("{\"type\":\"digest\"}\n", "\"digest\", and no manifest"),
        (
            "path,algorithm,digest,bytes\na,blake3,00,1\n",
            "no column of digests",
        ),
        ("path,size,blake3\na,1,00\n", "no column mtime_ns"),
        (
            &csv.replacen("chunk_lengths", "lengths", 1),
            "no column chunk_lengths",
        ),
        (&csv.replacen(",14,", ",15,", 1), "chunks"),
        (
            &csv.replacen(",14,", ",-14,", 1),
            "row 3: the column size is not a number",
        ),
        (&csv.replacen("false", "maybe", 1), "true or false"),
        (&csv.replacen("tree", "\\tree", 1), "the column path"),
        (&csv.replacen("\n\"tree", "\n\"tree,\"tree", 1), "fields"),
        (
            &json.replacen("\"size\":14", "\"size\":\"x\"", 1),
            "line 4: size",
        ),
        (&json.replacen("\"size\":14", "\"size\":null", 1), "line 4"),
        (
            &json.replacen("\"size\":7,", "\"size\":7,,", 1),
            "line 3: it is no JSON",
        ),
        (&json.replacen("manifest_end", "file", 1), "line"),
        (
            &json.replacen("\"files\":30", "\"files\":31", 1),
            "30 files, where 31",
        ),
        (
            &json
                .replacen("_789", "_780", 1)
                .replacen("\"mtime_ns\":17", "\"mtime_ns\":16", 1),
            "XXH3",
        ),
        (&format!("{json}{json}"), "behind the record"),
    ] {
        let error = refusal(bytes.as_bytes());
        assert!(error.contains(told), "{told}: {error}");
    }
    let mut unfinished = Vec::new();
    let writer = ManifestWriter::new(ManifestFormat::Jsonl, &cut(), &mut unfinished).unwrap();
    writer.finish(false).unwrap();
    let kind = read(&unfinished).unwrap_err().kind;
    assert!(matches!(kind, ManifestErrorKind::Unfinished), "{kind}");
}

#[cfg(feature = "arrow")]
#[test]
fn tables_of_other_rows_are_refused_by_name_and_columns_may_be_of_wider_types() {
    use gristmill::rows::{RowWriter, Schema, TableWriter};
    use std::io::Write;
    let table = |schema: &Schema, rows: &[u8]| {
        let mut bytes = Vec::new();
        let mut table = TableWriter::parquet(schema, &mut bytes).unwrap();
        table.write_all(rows).unwrap();
        table.finish().unwrap();
        bytes
    };
    let digests = table(&gristmill::jobs::digest::digest_schema(), b"");
    assert!(refusal(&digests).contains("the schema \"digest\""));
    let schema = |name, version| {
        Schema::new(
            name,
            version,
            "",
            head(None, &[]).schema().fields().to_vec(),
        )
    };
    let newer = table(&schema("manifest", 2), b"");
    assert!(refusal(&newer).contains("version 2"));
    let mut rows = Vec::new();
    let row = RowWriter::row(&mut rows)
        .bytes(b"p")
        .u64(1)
        .null()
        .bool(false);
    let row = row.bytes(b"00").bytes(b"0000000000000000");
    row.null().null().null().end();
    let short = table(&schema("manifest", 1), &rows);
    assert!(
        refusal(&short).contains("row 1: a digest"),
        "{}",
        refusal(&short)
    );
    let fields = head(None, &[]).schema().fields()[..4].to_vec();
    let few = table(&Schema::new("manifest", 1, "", fields), b"");
    assert!(refusal(&few).contains("no column of digests"));
    assert_eq!(Algorithm::ALL.len(), 7, "a manifest has a column for each");
}
