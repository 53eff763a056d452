//! Manifests end to end: `digest --manifest`, `diff` and `dupes`.

use crate::rows::{python, read};
use crate::tool::{gristmill, Done};
use gristmill_testing::{noise, seed, skipped};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

const FORMATS: [&str; 4] = ["jsonl", "csv", "arrow", "parquet"];

fn world() -> TempDir {
    let world = tempfile::tempdir().unwrap();
    let tree = world.path().join("tree");
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    let odd = OsStr::from_bytes(b"odd\n\"\xff,\\");
    for (name, text) in [
        (OsStr::new("a"), &b"one"[..]),
        (OsStr::new("b"), b"two two"),
        (OsStr::new("deep/er/c"), b"three"),
        (OsStr::new("empty"), b""),
        (odd, b"odd"),
    ] {
        fs::write(tree.join(name), text).unwrap();
    }
    world
}

fn set_time(path: &Path, nanoseconds: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_nanos(nanoseconds))
        .unwrap();
}

/// The records of JSON Lines.
fn records(done: &Done) -> Vec<Value> {
    let lines = done.text().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn last_line(done: &Done) -> &str {
    done.text().lines().last().unwrap()
}

#[test]
fn every_format_has_what_the_file_system_and_the_digests_say() {
    let world = world();
    let root = world.path();
    set_time(&root.join("tree/a"), 1_234_567_890_123_456_789);
    for format in FORMATS {
        let name = format!("m.{format}");
        let arguments = [
            "digest",
            "--manifest",
            &name,
            "--algorithm=blake3,md5,xxh3-64",
            "tree",
        ];
        assert_eq!(
            gristmill(root, &[&arguments[..], &["--chunks=gear:1K"]].concat()).rows(),
            ""
        );
        let same = gristmill(root, &["diff", &name, "tree"]).rows();
        let expected = "0 added, 0 removed, 0 changed, 0 moved, 0 rot, 0 unread, 5 unchanged; compared by blake3, md5, xxh3-64\n";
        assert_eq!(same, expected);
        for other in FORMATS.iter().take_while(|other| **other != format) {
            let other = format!("m.{other}");
            assert_eq!(gristmill(root, &["diff", &other, &name]).rows(), expected);
        }
    }
    let digests = gristmill(
        root,
        &["digest", "--json", "--algorithm=blake3,md5,xxh3-64", "tree"],
    );
    let mut by_path: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for record in records(&digests) {
        let of = by_path.entry(record["path"].to_string()).or_default();
        let algorithm = record["algorithm"].as_str().unwrap().replace('-', "_");
        of.insert(algorithm, record["digest"].clone());
    }
    let text = fs::read_to_string(root.join("m.jsonl")).unwrap();
    let mut rows = 0;
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["type"] != "file" {
            continue;
        }
        rows += 1;
        for (algorithm, digest) in &by_path[&row["path"].to_string()] {
            assert_eq!(row[algorithm], *digest);
        }
        if let Some(path) = row["path"]["text"].as_str() {
            let found = fs::metadata(root.join(path)).unwrap();
            let nanoseconds = found.mtime() * 1_000_000_000 + found.mtime_nsec();
            assert_eq!(row["mtime_ns"], nanoseconds);
            assert_eq!(
                (&row["size"], &row["inode"]),
                (&json!(found.len()), &json!(found.ino()))
            );
            assert_eq!(row["device"], found.dev());
        }
    }
    assert_eq!(rows, 5);
    assert!(text.contains("1234567890123456789"));
    let Some(python) = python() else { return };
    let tables = read(
        &python,
        root,
        &[
            ["csv", "m.csv"],
            ["arrow", "m.arrow"],
            ["parquet", "m.parquet"],
        ],
    );
    for table in &tables {
        let read: BTreeSet<String> = (table["rows"].as_array().unwrap().iter())
            .map(|row| format!("{} {} {}", row["path"], row["blake3"], row["md5"]))
            .collect();
        let expected = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let expected: BTreeSet<String> = expected
            .filter(|row| row["type"] == "file")
            .map(|row| {
                let path = match row["path"]["text"].as_str() {
                    Some(text) => json!(text),
                    None => json!("tree/odd\n\"\\xff,\\\\"),
                };
                format!("{path} {} {}", row["blake3"], row["md5"])
            })
            .collect();
        assert_eq!(read, expected);
    }
    for table in &tables[1..] {
        assert_eq!(table["metadata"]["gristmill.schema"], "manifest");
        assert_eq!(
            table["metadata"]["gristmill.manifest.roots"],
            "[{\"text\":\"tree\"}]"
        );
        assert_eq!(table["metadata"]["gristmill.manifest.chunks"], "gear:1024");
    }
    // What another program writes with the same columns is a manifest, too.
    let by_duckdb =
        "import duckdb; duckdb.sql(\"COPY (FROM 'm.parquet' WHERE size > 3) TO 'few.parquet' (COMPRESSION zstd)\")";
    // A last column with a dictionary that is longer than all that stands behind it in the file.
    let by_pyarrow = "import os, pyarrow.parquet as p, pyarrow.compute as c; \
        t = p.read_table('m.parquet').filter(c.field('size') > 3); \
        t = t.append_column('note', [[os.urandom(50000).hex()] * t.num_rows]); \
        p.write_table(t, 'few.parquet', compression='zstd')";
    for code in [by_duckdb, by_pyarrow] {
        let mut writer = Command::new(&python);
        let done = writer.args(["-c", code]).current_dir(root).output();
        assert!(done.as_ref().unwrap().status.success(), "{done:?}");
        let done = gristmill(root, &["diff", "m.parquet", "few.parquet"]);
        assert_eq!(done.code, Some(1), "{done:?}");
        // A path in it is not UTF-8.
        let text = String::from_utf8_lossy(&done.out);
        assert!(text.contains("3 removed"), "{done:?}");
        assert!(text.contains("2 unchanged"), "{done:?}");
    }
}

#[test]
fn what_was_done_to_a_tree_is_told() {
    let world = world();
    let (root, tree) = (world.path(), world.path().join("tree"));
    let big = noise(1, 3_000_000);
    fs::write(tree.join("big"), &big).unwrap();
    fs::write(tree.join("rots"), &big).unwrap();
    let time = 1_700_000_000_000_000_001;
    set_time(&tree.join("rots"), time);
    set_time(&tree.join("a"), time);
    gristmill(root, &["digest", "--manifest=old.parquet", "tree"]).rows();
    fs::write(tree.join("new\nname"), "new").unwrap();
    fs::remove_file(tree.join("b")).unwrap();
    fs::rename(tree.join("big"), tree.join("deep/moved")).unwrap();
    fs::write(tree.join("deep/er/c"), "three and more").unwrap();
    let mut rotten = big;
    rotten[2_000_000] ^= 4;
    fs::write(tree.join("rots"), rotten).unwrap();
    set_time(&tree.join("rots"), time);
    set_time(&tree.join("a"), time + 1);
    let done = gristmill(root, &["diff", "old.parquet", "tree"]);
    let expected = "\
removed  tree/b
changed  tree/deep/er/c
moved    tree/big -> tree/deep/moved
added    tree/new\\nname
rot      tree/rots: same size and time, other content
1 added, 1 removed, 1 changed, 1 moved, 1 rot, 0 unread, 3 unchanged (1 with another time); compared by blake3
";
    assert_eq!(
        (done.code, done.text(), &*done.err),
        (Some(1), expected, "")
    );
    // The same as JSON and as tables, and elsewhere.
    fs::rename(&tree, root.join("elsewhere")).unwrap();
    let done = gristmill(root, &["diff", "--json", "old.parquet", "elsewhere/"]);
    let all = records(&done);
    assert_eq!(done.code, Some(1));
    let changes: Vec<(&str, &str)> = (all.iter())
        .filter(|record| record["type"] == "difference")
        .map(|record| {
            (
                record["change"].as_str().unwrap(),
                record["path"]["text"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("removed", "b"),
        ("changed", "deep/er/c"),
        ("moved", "deep/moved"),
        ("added", "new\nname"),
        ("rot", "rots"),
    ];
    assert_eq!(changes, expected);
    assert_eq!(all[2]["old_path"]["text"], "big");
    assert_eq!(all[2]["new"]["path"]["text"], "elsewhere/deep/moved");
    assert_eq!(all[4]["old"]["mtime_ns"], time);
    assert_ne!(all[4]["old"]["digest"], all[4]["new"]["digest"]);
    let summary = &all[5];
    assert_eq!(
        (&summary["type"], &summary["rot"]),
        (&json!("difference_summary"), &json!(1))
    );
    assert_eq!(
        (&summary["unchanged"], &summary["touched"]),
        (&json!(3), &json!(1))
    );
    let done = gristmill(
        root,
        &["diff", "old.parquet", "elsewhere", "--output=d.csv"],
    );
    assert_eq!((done.code, done.text()), (Some(1), ""));
    let csv = fs::read_to_string(root.join("d.csv")).unwrap();
    assert_eq!(
        csv.lines()
            .filter(|line| line.contains(",moved,big,"))
            .count(),
        1,
        "{csv}"
    );
    // Prefixes that are given take the place of roots.
    let strip = ["--strip-prefix=tree", "--strip-prefix=elsewhere"];
    let done = gristmill(
        root,
        &[&["diff", "old.parquet", "elsewhere"][..], &strip].concat(),
    );
    assert!(done.text().contains("changed  deep/er/c\n"), "{done:?}");
    let wrong = ["diff", "old.parquet", "elsewhere", "--strip-prefix=nowhere"];
    let done = gristmill(root, &wrong);
    assert!(
        done.err.contains("give these with --strip-prefix"),
        "{done:?}"
    );
}

#[test]
fn what_could_not_be_read_is_neither_added_nor_removed() {
    let world = world();
    let (root, tree) = (world.path(), world.path().join("tree"));
    let lock =
        |mode| fs::set_permissions(tree.join("deep"), fs::Permissions::from_mode(mode)).unwrap();
    gristmill(root, &["digest", "--manifest=old.jsonl", "tree"]).rows();
    let arguments = ["digest", "--manifest=new.jsonl", "tree", "absent"];
    let done = gristmill(root, &arguments);
    assert_eq!(done.code, Some(2), "{done:?}");
    let text = fs::read_to_string(root.join("new.jsonl")).unwrap();
    let row = text
        .lines()
        .skip(1)
        .find(|line| line.contains("absent\"}"))
        .unwrap();
    assert!(
        row.contains("\"error\":\"") && row.contains("\"size\":null"),
        "{row}"
    );
    let done = gristmill(root, &["diff", "old.jsonl", "new.jsonl"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.text().starts_with("unread   absent: "), "{done:?}");
    lock(0o000);
    if fs::read_dir(tree.join("deep")).is_ok() {
        lock(0o755);
        skipped("a directory that cannot be read: root reads all");
        return;
    }
    let done = gristmill(root, &["diff", "old.jsonl", "tree"]);
    lock(0o755);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(
        done.text().contains("unread   tree/deep/er/c: "),
        "{done:?}"
    );
    assert!(last_line(&done).contains("0 removed"), "{done:?}");
}

#[test]
fn manifests_that_cannot_be_used_are_refused_with_what_to_do() {
    let world = world();
    let root = world.path();
    gristmill(root, &["digest", "--manifest=m.parquet", "tree"]).rows();
    gristmill(
        root,
        &["digest", "--manifest=md5.csv", "--algorithm=md5", "tree"],
    )
    .rows();
    gristmill(root, &["digest", "--output=d.parquet", "tree"]).rows();
    let whole = fs::read(root.join("m.parquet")).unwrap();
    fs::write(root.join("cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    fs::write(root.join("text.csv"), "hello\n").unwrap();
    for (arguments, told) in [
        (&["diff", "cut.parquet", "tree"][..], "cut.parquet: "),
        (&["diff", "absent.parquet", "tree"], "absent.parquet: "),
        (&["diff", "tree", "tree"], "tree: "),
        (
            &["diff", "d.parquet", "tree"],
            "the schema \"digest\", and no manifest",
        ),
        (&["diff", "text.csv", "tree"], "no column of digests"),
        (&["diff", "m.parquet", "md5.csv"], "no digest is in both"),
        (&["dupes", "cut.parquet"], "cut.parquet: "),
        (
            &["dupes", "--chunks=gear", "m.parquet"],
            "m.parquet is a manifest",
        ),
        (
            &["digest", "--manifest=m.txt", "tree"],
            "--manifest: the text format cannot hold",
        ),
        (
            &["digest", "--manifest=m", "tree"],
            "--manifest m: the name does not end in",
        ),
        (&["digest", "--manifest=m.csv", "--json", "tree"], "--json"),
        (&["digest", "--chunks=gear", "tree"], "--manifest"),
        (
            &["digest", "--manifest=m.csv", "--chunks=gear:3K", "tree"],
            "power of two",
        ),
        (
            &["digest", "--manifest=m.csv", "--chunks=rabin", "tree"],
            "gear or fastcdc",
        ),
        (
            &["digest", "--manifest=tree/a", "--format=csv", "tree/a"],
            "tree/a",
        ),
    ] {
        let done = gristmill(root, arguments);
        assert_eq!(
            (done.code, done.text()),
            (Some(2), ""),
            "{arguments:?}: {done:?}"
        );
        assert!(done.err.contains(told), "{arguments:?}: {}", done.err);
    }
    assert_eq!(fs::read(root.join("tree/a")).unwrap(), b"one");
}

#[test]
fn a_manifest_in_its_own_tree_is_not_read_and_jobs_of_a_mill_write_the_same() {
    let world = world();
    let root = world.path();
    gristmill(
        root,
        &["digest", "--manifest=tree/m.csv", "--sort=path", "tree"],
    )
    .rows();
    let text = fs::read_to_string(root.join("tree/m.csv")).unwrap();
    assert!(!text.contains("m.csv"), "{text}");
    assert_eq!(
        gristmill(root, &["diff", "tree/m.csv", "tree"]).code,
        Some(0)
    );
    fs::remove_file(root.join("tree/m.csv")).unwrap();
    let jobs = "[[job]]\ncommand = 'digest'\nmanifest = 'two.csv'\nchunks = 'fastcdc:8K'\n";
    fs::write(root.join("jobs.toml"), jobs).unwrap();
    let all = [
        "mill",
        "--jobs=jobs.toml",
        "--sort=path",
        "tree",
        "+",
        "digest",
        "--manifest=one.csv",
        "+",
        "stats",
        "--total",
    ];
    let done = gristmill(root, &all);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(fs::read_to_string(root.join("one.csv")).unwrap(), text);
    let done = gristmill(root, &["diff", "one.csv", "two.csv"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = gristmill(
        root,
        &[
            "mill",
            "tree",
            "+",
            "digest",
            "--manifest=x.csv",
            "+",
            "digest",
            "--output=x.csv",
        ],
    );
    assert!(done.err.contains("both write to x.csv"), "{done:?}");
}

/// The groups of a tree by their content, without hard links to other files of a group.
fn naive(root: &Path, files: &[PathBuf]) -> BTreeSet<Vec<PathBuf>> {
    let mut groups: BTreeMap<Vec<u8>, BTreeMap<u64, PathBuf>> = BTreeMap::new();
    for file in files {
        let (bytes, found) = (
            fs::read(root.join(file)).unwrap(),
            fs::metadata(root.join(file)),
        );
        if !bytes.is_empty() {
            let of = groups.entry(bytes).or_default();
            let name = of
                .entry(found.unwrap().ino())
                .or_insert_with(|| file.clone());
            *name = name.clone().min(file.clone());
        }
    }
    let several = groups.into_values().filter(|group| group.len() > 1);
    several
        .map(|group| {
            group
                .into_values()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect()
        })
        .collect()
}

#[test]
fn duplicates_are_those_of_a_naive_search_and_of_jdupes() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_DUPES_SEED"));
    let world = tempfile::tempdir().unwrap();
    let root = world.path();
    fs::create_dir_all(root.join("tree/sub")).unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for number in 0..150 {
        let folder = if random.bool() { "tree" } else { "tree/sub" };
        let path = PathBuf::from(format!("{folder}/{number:03}"));
        match random.u8(..6) {
            0 if !files.is_empty() => {
                fs::hard_link(root.join(random.choice(&files).unwrap()), root.join(&path)).unwrap();
            }
            1 | 2 if !files.is_empty() => {
                fs::copy(root.join(random.choice(&files).unwrap()), root.join(&path)).unwrap();
            }
            _ => {
                let len = *random.choice(&[0, 1, 100, 5000, 600_000]).unwrap();
                fs::write(root.join(&path), noise(random.u64(..3), len)).unwrap();
            }
        }
        files.push(path);
    }
    let expected = naive(root, &files);
    let done = gristmill(root, &["dupes", "--json", "tree"]);
    assert_eq!((done.code, &*done.err), (Some(1), ""), "{done:?}");
    let of = |done: &Done| -> BTreeSet<Vec<PathBuf>> {
        let groups = records(done)
            .into_iter()
            .filter(|record| record["type"] == "duplicates");
        groups
            .map(|group| {
                let files = group["files"].as_array().unwrap().iter();
                files
                    .map(|file| file["path"]["text"].as_str().unwrap().into())
                    .collect()
            })
            .collect()
    };
    assert_eq!(of(&done), expected);
    gristmill(
        root,
        &["digest", "--manifest=m.arrow", "--algorithm=sha256", "tree"],
    )
    .rows();
    assert_eq!(
        of(&gristmill(root, &["dupes", "--json", "m.arrow"])),
        expected
    );
    // The rows as text: a group has its size above it, and other names of a file are named as such.
    let done = gristmill(root, &["dupes", "tree"]);
    let groups: BTreeSet<Vec<PathBuf>> = (done.text().split("\n\n"))
        .filter(|group| group.contains(" each:\n"))
        .map(|group| {
            let lines = group
                .lines()
                .skip(1)
                .filter(|line| !line.starts_with("  hard link: "));
            lines.map(PathBuf::from).collect()
        })
        .collect();
    assert_eq!(groups, expected);
    let jdupes = Command::new("jdupes")
        .args(["-r", "-q", "tree"])
        .current_dir(root)
        .output();
    let Ok(jdupes) = jdupes else {
        return skipped("jdupes is not installed: `scripts/test` installs it");
    };
    // It lists one name of each inode, of its own choice.
    let inode = |path: &Path| fs::metadata(root.join(path)).unwrap().ino();
    let text = String::from_utf8(jdupes.stdout).unwrap();
    let groups: BTreeSet<BTreeSet<u64>> = (text.split("\n\n"))
        .filter(|group| !group.trim().is_empty())
        .map(|group| group.lines().map(|line| inode(Path::new(line))).collect())
        .collect();
    let expected = expected
        .iter()
        .map(|group| group.iter().map(|path| inode(path)).collect());
    assert_eq!(groups, expected.collect());
}

#[test]
fn the_exit_code_of_dupes_and_its_chunks() {
    let world = world();
    let root = world.path();
    let done = gristmill(root, &["dupes", "tree"]);
    assert_eq!(
        (done.code, done.text()),
        (Some(0), "0 groups, 0 files; 0 bytes could be saved\n")
    );
    fs::write(root.join("tree/none"), "").unwrap();
    assert_eq!(gristmill(root, &["dupes", "tree"]).code, Some(0));
    let done = gristmill(root, &["dupes", "--empty", "tree"]);
    assert_eq!(
        (done.code, last_line(&done)),
        (Some(1), "1 group, 2 files; 0 bytes could be saved")
    );
    let done = gristmill(root, &["dupes", "tree", "absent"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("absent"), "{done:?}");
    // Two files with most of their bytes in common, at other places.
    let bytes = noise(7, 400_000);
    fs::write(root.join("tree/x"), &bytes).unwrap();
    fs::write(root.join("tree/y"), [&b"begin"[..], &bytes].concat()).unwrap();
    for chunks in ["gear:4K", "fastcdc:4K"] {
        let flag = format!("--chunks={chunks}");
        let done = gristmill(root, &["dupes", "--json", &flag, "tree"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let share = &records(&done).pop().unwrap()["chunks"];
        let number = |name: &str| share[name].as_u64().unwrap();
        assert_eq!(number("bytes"), 800_023);
        assert!(
            (350_000..400_000).contains(&number("repeated_bytes")),
            "{share}"
        );
        gristmill(root, &["digest", "--manifest=m.parquet", &flag, "tree"]).rows();
        let from = gristmill(root, &["dupes", "--json", "m.parquet"]);
        assert_eq!(records(&from).pop().unwrap()["chunks"], *share);
    }
}
