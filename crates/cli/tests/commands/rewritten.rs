//! Manifests that other programs have written again: with each compression, and with columns of other types.

use crate::rows::python;
use crate::tool::gristmill;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

const WRITER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/commands/rewritten.py");

#[test]
fn a_manifest_that_another_program_has_written_says_the_same_or_is_refused_by_its_column() {
    let Some(python) = python() else { return };
    let world = tempfile::tempdir().unwrap();
    let root = world.path();
    fs::create_dir(root.join("tree")).unwrap();
    for (name, bytes) in [
        (&b"a"[..], vec![b'a'; 5000]),
        (b"b", b"two".to_vec()),
        (b"empty", Vec::new()),
        (b"odd\n\xff,\\", b"odd".to_vec()),
    ] {
        fs::write(root.join("tree").join(OsStr::from_bytes(name)), bytes).unwrap();
    }
    let flags = ["--manifest=m.parquet", "--chunks=gear:1K", "--sort=path"];
    gristmill(root, &[&["digest"][..], &flags, &["tree"]].concat()).rows();
    let mut writer = Command::new(&python);
    let done = writer.arg(WRITER).current_dir(root).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let text = String::from_utf8(done.stdout).unwrap();
    let mut count = 0;
    for line in text.lines() {
        let told: Value = serde_json::from_str(line).unwrap();
        let file = told["file"].as_str().unwrap();
        for arguments in [["diff", "m.parquet", file], ["diff", file, "m.parquet"]] {
            let done = gristmill(root, &arguments);
            match told["refused"].as_str() {
                Some(words) => {
                    assert_eq!((done.code, done.text()), (Some(2), ""), "{file}: {done:?}");
                    assert!(done.err.contains(words), "{file}: {}", done.err);
                }
                None => {
                    assert_eq!((done.code, &*done.err), (Some(0), ""), "{file}: {done:?}");
                    assert!(done.text().contains(" 4 unchanged;"), "{file}: {done:?}");
                }
            }
        }
        count += 1;
    }
    assert!(count > 60, "{count}");
}
