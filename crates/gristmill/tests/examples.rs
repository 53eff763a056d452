//! The shipped examples, on real files. `footer` has a test of its own.

#[path = "../../../examples/job.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod job;
#[path = "../../../examples/opcode.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod opcode;
#[path = "../../../examples/ring.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod ring;
#[path = "../../../examples/scan.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod scan;
#[path = "../../../examples/sweep.rs"]
#[allow(dead_code, reason = "its main is the example's")]
mod sweep;

use gristmill::mill::Mill;
use std::io::Cursor;
use std::path::Path;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Rows, sorted, without the folder's path in front.
fn rows(written: &[u8], folder: &Path) -> Vec<String> {
    let prefix = format!("{}/", text(folder));
    let written = std::str::from_utf8(written).unwrap();
    let mut rows: Vec<String> = written
        .lines()
        .map(|row| row.strip_prefix(&prefix).expect("the folder").to_owned())
        .collect();
    rows.sort();
    rows
}

#[test]
fn scan_counts_lines_in_each_file() {
    let many = "a needle\nhay\n".repeat(100_000);
    let folder = folder(&[
        ("a", b"needle needle\nhay\nneedle"),
        ("b", b"hay\n"),
        ("c", many.as_bytes()),
    ]);
    let mut written = Vec::new();
    let failures = scan::scan("needle", text(folder.path()), &mut written).unwrap();
    assert_eq!(failures, 0);
    assert_eq!(rows(&written, folder.path()), ["a:2", "c:100000"]);
}

#[test]
fn sweep_places_every_match() {
    let mut large = "z".repeat(1 << 20);
    large.replace_range(524_280..524_299, "update.evil.example");
    let folder = folder(&[
        ("a", b"see ABC-1234, not ABC-12345678"),
        ("b", large.as_bytes()),
    ]);
    let mut written = Vec::new();
    assert_eq!(sweep::sweep(text(folder.path()), &mut written).unwrap(), 0);
    assert_eq!(
        rows(&written, folder.path()),
        ["a:4:8:ticket", "b:524280:19:bad-host"]
    );
}

#[test]
fn a_job_of_ones_own_sees_every_byte() {
    let large = "aé".repeat(700_000);
    let folder = folder(&[
        ("ascii", b"plain"),
        ("empty", b""),
        ("large", large.as_bytes()),
    ]);
    let mut written = Vec::new();
    assert_eq!(
        job::not_ascii(text(folder.path()), &mut written).unwrap(),
        0
    );
    assert_eq!(
        rows(&written, folder.path()),
        [
            "ascii: 0 of 5 bytes",
            "empty: 0 of 0 bytes",
            "large: 1400000 of 2100000 bytes"
        ]
    );
}

/// Chunks of the smallest size, so that pairs lie across them at every place.
#[test]
fn an_opcode_of_ones_own_sees_pairs_across_chunks() {
    let mill = Mill::builder().chunk_bytes(4096).build().unwrap();
    let mut files = vec![
        ("mixed".to_owned(), b"a\r\nb\nc\r\n\r\r\n\n".to_vec()),
        ("cut".to_owned(), b"a\r".to_vec()),
    ];
    for before in 4094..4098 {
        let mut bytes = vec![b'a'; before];
        bytes.extend(b"\r\n");
        bytes.extend(vec![b'b'; 5000]);
        bytes.extend(b"\n");
        files.push((format!("pair {before}"), bytes));
    }
    let named: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let folder = folder(&named);
    let mut written = Vec::new();
    let failures = opcode::line_ends(&mill, text(folder.path()), &mut written).unwrap();
    assert_eq!(failures, 0);
    assert_eq!(
        rows(&written, folder.path()),
        [
            "cut: 0 CRLF, 0 LF",
            "mixed: 3 CRLF, 2 LF",
            "pair 4094: 1 CRLF, 1 LF",
            "pair 4095: 1 CRLF, 1 LF",
            "pair 4096: 1 CRLF, 1 LF",
            "pair 4097: 1 CRLF, 1 LF"
        ]
    );
}

#[test]
fn the_bare_ring_sums_a_file() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let plain: u64 = own.iter().map(|byte| u64::from(*byte)).sum();
    assert_eq!(ring::sum_of(&mut own.as_slice()).unwrap(), plain);
    assert_eq!(ring::sum_of(&mut std::io::empty()).unwrap(), 0);
}

/// A reader that reads a little and then fails: the worker must still end.
#[test]
fn the_bare_ring_ends_where_reading_fails() {
    struct Fails;
    impl std::io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("no more"))
        }
    }
    let mut input = std::io::Read::chain(Cursor::new(vec![1; 300_000]), Fails);
    let error = ring::sum_of(&mut input).unwrap_err().to_string();
    assert_eq!(error, "no more");
}
