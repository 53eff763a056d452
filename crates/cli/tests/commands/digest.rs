//! `gristmill digest`: BLAKE3 by its crate's plain function, and a CRC-32C that is computed here, bit by bit; lists of
//! digests, written and checked. Other algorithms and lists are compared with the tools of their names in `sums.rs`.

use crate::tool::{command, finish, gristmill, gristmill_reading, Done};
use gristmill_testing::noise;
use serde_json::{json, Value};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use tempfile::TempDir;

/// CRC-32C by its definition: Castagnoli's polynomial, reflected, one bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_string()
}

fn row(bytes: &[u8], name: &str) -> String {
    format!("{}  {name}\n", hex(bytes))
}

fn crc_row(bytes: &[u8], name: &str) -> String {
    format!("{:08x}  {name}\n", crc32c(bytes))
}

fn sorted(rows: &str) -> Vec<&str> {
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    rows
}

fn objects(done: &Done) -> Vec<Value> {
    done.text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A directory with three files and the list of their digests.
fn listed() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for (name, seed) in [("one", 1), ("two", 2), ("three", 3)] {
        fs::write(tree.path().join(name), noise(seed, 5_000)).unwrap();
    }
    let list = gristmill(
        tree.path(),
        &["digest", "--sort", "path", "one", "two", "three"],
    )
    .rows();
    fs::write(tree.path().join("list"), list).unwrap();
    tree
}

#[test]
fn the_crc_of_this_test_is_that_of_the_rfc() {
    assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
}

#[test]
fn files_around_chunk_edges_have_the_digests_of_their_bytes() {
    let tree = tempfile::tempdir().unwrap();
    let sizes = [
        0, 1, 2, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193, 12_288, 65_535, 65_536, 65_537, 300_001,
    ];
    let (mut expected, mut crcs) = (String::new(), String::new());
    for size in sizes {
        let name = format!("{size:07}");
        let bytes = noise(size as u64, size);
        fs::write(tree.path().join(&name), &bytes).unwrap();
        expected += &row(&bytes, &name);
        crcs += &crc_row(&bytes, &name);
    }
    let names: Vec<String> = sizes.iter().map(|size| format!("{size:07}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for flags in [
        &["--chunk-size", "4K", "-j", "1", "--depth", "1"][..],
        &["--chunk-size", "4K", "-j", "4"],
        &["--chunk-size", "64K", "-j", "3"],
        &["--chunk-size", "4K", "-j", "3", "--read-path", "positioned"],
        &[],
    ] {
        let arguments = [&["digest"], flags, &names[..]].concat();
        let rows = gristmill(tree.path(), &arguments).rows();
        assert_eq!(sorted(&rows), sorted(&expected), "{flags:?}");
        let arguments = [&["digest", "--algorithm", "crc32c"], flags, &names[..]].concat();
        let rows = gristmill(tree.path(), &arguments).rows();
        assert_eq!(sorted(&rows), sorted(&crcs), "{flags:?}");
    }
}

#[test]
fn an_empty_file_has_a_row_and_the_digest_of_nothing() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("empty"), b"").unwrap();
    assert_eq!(
        gristmill(tree.path(), &["digest", "empty"]).rows(),
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262  empty\n"
    );
    let crc = ["digest", "--algorithm", "crc32c", "empty"];
    assert_eq!(gristmill(tree.path(), &crc).rows(), "00000000  empty\n");
}

#[test]
fn sorted_rows_come_by_path_whatever_the_workers_finish_first() {
    let tree = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for number in 0..120_usize {
        let path = PathBuf::from(format!("d/{}/{}/f{number}", number % 7, number % 3));
        fs::create_dir_all(tree.path().join(path.parent().unwrap())).unwrap();
        let length = if number % 10 == 0 {
            90_000
        } else {
            number * 37
        };
        fs::write(tree.path().join(&path), noise(number as u64, length)).unwrap();
        paths.push(path);
    }
    paths.sort();
    let expected: String = paths
        .iter()
        .map(|path| {
            row(
                &fs::read(tree.path().join(path)).unwrap(),
                path.to_str().unwrap(),
            )
        })
        .collect();
    let flags = ["digest", "--chunk-size", "4K", "-j", "4"];
    let by_path = [&flags[..], &["--sort", "path", "d"]].concat();
    let as_they_finish = [&flags[..], &["d"]].concat();
    for _ in 0..5 {
        assert_eq!(gristmill(tree.path(), &by_path).rows(), expected);
        let rows = gristmill(tree.path(), &as_they_finish).rows();
        assert_eq!(sorted(&rows), sorted(&expected));
    }
}

#[test]
fn a_list_of_awkward_names_is_one_row_each_and_checks() {
    let tree = tempfile::tempdir().unwrap();
    let names: [(&[u8], &[u8]); 8] = [
        (b"back\\slash", b"\\%  back\\\\slash\n"),
        (b"car\rriage", b"\\%  car\\rriage\n"),
        (b"lat\xff\xfein", b"%  lat\xff\xfein\n"),
        (b"mixed\xff\n", b"\\%  mixed\xff\\n\n"),
        (b"new\nline", b"\\%  new\\nline\n"),
        (b"\\n", b"\\%  \\\\n\n"),
        (b" two  spaces ", b"%   two  spaces \n"),
        ("gr\u{fc}n".as_bytes(), "%  gr\u{fc}n\n".as_bytes()),
    ];
    let mut expected = Vec::new();
    let mut command = command(tree.path(), &["digest", "-j", "3", "--sort", "path"]);
    for (number, (name, shown)) in names.iter().enumerate() {
        let bytes = noise(number as u64, 100 + number);
        let name = OsString::from_vec(name.to_vec());
        fs::write(tree.path().join(&name), &bytes).unwrap();
        command.arg(name);
        let place = shown.iter().position(|byte| *byte == b'%').unwrap();
        expected.extend(&shown[..place]);
        expected.extend(hex(&bytes).as_bytes());
        expected.extend(&shown[place + 1..]);
    }
    let done = finish(command.spawn().unwrap(), Vec::new());
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    assert_eq!(
        done.out.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );

    let check = gristmill_reading(tree.path(), &["digest", "--check", "-"], &expected);
    assert_eq!((check.code, check.err.as_str()), (Some(0), ""));
    assert!(check.out.ends_with(": OK\n".as_bytes()));
    let ends = |row: &&[u8]| row.ends_with(b": OK");
    assert_eq!(
        check.out.split(|b| *b == b'\n').filter(ends).count(),
        names.len()
    );
}

#[test]
fn a_check_of_unchanged_files_is_ok_in_the_order_of_the_list() {
    let tree = listed();
    let done = gristmill(tree.path(), &["digest", "-j", "3", "--check", "list"]);
    assert_eq!(done.rows(), "one: OK\ntwo: OK\nthree: OK\n");
}

#[test]
fn a_changed_file_fails_the_check_with_exit_code_1() {
    let tree = listed();
    fs::write(tree.path().join("two"), b"other").unwrap();
    let done = gristmill(tree.path(), &["digest", "-c", "list"]);
    assert_eq!(done.text(), "one: OK\ntwo: FAILED\nthree: OK\n");
    assert_eq!(done.err, "gristmill: 1 of 3 files differ from the list\n");
    assert_eq!(done.code, Some(1));
}

#[test]
fn a_missing_file_fails_the_check_with_exit_code_1_and_the_rest_is_checked() {
    let tree = listed();
    fs::remove_file(tree.path().join("one")).unwrap();
    let done = gristmill(tree.path(), &["digest", "--check", "list"]);
    let missing = "one: FAILED open or read\n";
    assert_eq!(done.text(), format!("{missing}two: OK\nthree: OK\n"));
    assert!(done.err.starts_with("gristmill: one: "), "{}", done.err);
    let unread = "gristmill: 1 of 3 listed files could not be read\n";
    assert!(done.err.ends_with(unread), "{}", done.err);
    assert_eq!(done.err.lines().count(), 2, "{}", done.err);
    assert_eq!(done.code, Some(1));

    fs::write(tree.path().join("two"), b"other").unwrap();
    let done = gristmill(tree.path(), &["digest", "--check", "list"]);
    assert_eq!(done.text(), format!("{missing}two: FAILED\nthree: OK\n"));
    assert!(
        done.err
            .ends_with("gristmill: 1 of 3 files differ from the list\n"),
        "{}",
        done.err
    );
    assert_eq!(done.code, Some(1));

    let done = gristmill(tree.path(), &["digest", "--check", "list", "--json"]);
    let rows = objects(&done);
    assert_eq!(rows.len(), 3, "{done:?}");
    assert_eq!(
        rows[0],
        json!({
            "type": "check", "path": {"text": "one"},
            "algorithm": "blake3",
            "digest": null,
            "expected": hex(&noise(1, 5_000)),
            "ok": false,
        })
    );
}

#[test]
fn quiet_writes_rows_of_differing_files_only() {
    let tree = listed();
    let quiet = ["digest", "--check", "list", "--quiet"];
    assert_eq!(gristmill(tree.path(), &quiet).rows(), "");
    fs::write(tree.path().join("three"), b"other").unwrap();
    let done = gristmill(tree.path(), &quiet);
    assert_eq!(
        (done.code, done.text()),
        (Some(1), "three: FAILED\n"),
        "{done:?}"
    );
}

#[test]
fn malformed_lines_are_counted_and_the_rest_is_checked() {
    let tree = listed();
    let good = fs::read_to_string(tree.path().join("list")).unwrap();
    for bad in [
        "nonsense",
        "1234567  one",
        "123456789  one",
        "1234567g  one",
        "+1234567  one",
        "12345678 one",
        "12345678",
        "12345678  ",
        "\\12345678  bad\\escape",
        "\\12345678  end\\",
        "0123456789abcdef  one",
    ] {
        let (first, rest) = good.split_once('\n').unwrap();
        let text = format!("{first}\n{bad}\n{rest}");
        fs::write(tree.path().join("broken"), text).unwrap();
        let check = |flags: &[&str]| {
            let arguments = [&["digest", "--check", "broken"], flags].concat();
            gristmill(tree.path(), &arguments)
        };
        let counted = "gristmill: 1 line of the list is improperly formatted\n";
        let done = check(&[]);
        assert_eq!(done.text(), "one: OK\ntwo: OK\nthree: OK\n", "{bad}");
        assert_eq!((done.code, &*done.err), (Some(0), counted), "{bad}");
        let done = check(&["--strict"]);
        assert_eq!((done.code, &*done.err), (Some(1), counted), "{bad}");
        let done = check(&["-w"]);
        assert_eq!(done.code, Some(0), "{bad}: {done:?}");
        let told = "gristmill: broken: line 2: improperly formatted; ";
        assert!(done.err.starts_with(told), "{bad}: {}", done.err);
        assert!(done.err.ends_with(counted), "{bad}: {}", done.err);
    }
}

#[test]
fn digests_whose_algorithm_is_uncertain_are_refused_until_it_is_named() {
    let tree = listed();
    let list = |digits: usize| format!("{}  one\n", "0".repeat(digits));
    let done = gristmill_reading(
        tree.path(),
        &["digest", "--check", "-"],
        list(32).as_bytes(),
    );
    assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
    assert!(
        done.err.contains("xxh3-128 or md5") && done.err.contains("--algorithm"),
        "{}",
        done.err
    );
    for algorithm in ["md5", "xxh3-128"] {
        let named = ["digest", "--check", "-", "--algorithm", algorithm];
        let done = gristmill_reading(tree.path(), &named, list(32).as_bytes());
        assert_eq!((done.code, done.text()), (Some(1), "one: FAILED\n"));
        let done = gristmill_reading(tree.path(), &named, list(64).as_bytes());
        assert!(done.err.contains("improperly"), "{}", done.err);
    }
    // What has BLAKE3's length and matches nowhere may be SHA-256's.
    let check = ["digest", "--check", "-"];
    let done = gristmill_reading(tree.path(), &check, list(64).as_bytes());
    assert!(done.err.contains("--algorithm sha256"), "{}", done.err);
}

#[test]
fn a_list_without_digests_or_without_a_file_is_refused_by_name() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("empty"), b"\n\n").unwrap();
    for (list, code) in [("empty", 1), ("absent", 2)] {
        let done = gristmill(tree.path(), &["digest", "--check", list]);
        assert_eq!((done.code, done.text()), (Some(code), ""), "{done:?}");
        assert!(
            done.err.starts_with(&format!("gristmill: {list}: ")),
            "{}",
            done.err
        );
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    }
}

#[test]
fn a_file_that_is_listed_twice_is_compared_with_both_digests() {
    let tree = listed();
    let bytes = fs::read(tree.path().join("one")).unwrap();
    let list = format!("{}{}  one\n", row(&bytes, "one"), "0".repeat(64));
    let done = gristmill_reading(tree.path(), &["digest", "-c", "-"], list.as_bytes());
    assert_eq!(done.code, Some(1));
    assert_eq!(done.text(), "one: OK\none: FAILED\n");
}

/// Each row is about the digest of its own line, whatever the workers open first.
#[test]
fn digests_of_a_path_that_is_listed_often_are_never_swapped() {
    let tree = listed();
    let bytes = fs::read(tree.path().join("one")).unwrap();
    let (mut list, mut expected) = (String::new(), String::new());
    for number in 0..2_000 {
        let right = number % 3 != 1;
        let wrong = format!("{number:064x}");
        let digest = if right { hex(&bytes) } else { wrong };
        list += &format!("{digest}  one\n");
        expected += if right { "one: OK\n" } else { "one: FAILED\n" };
    }
    for workers in ["-j1", "-j8"] {
        let arguments = ["digest", "-c", "-", workers];
        let done = gristmill_reading(tree.path(), &arguments, list.as_bytes());
        assert!(done.text() == expected, "{workers}: {}", done.err);
        assert_eq!(done.code, Some(1));
    }
}

/// The variants that coreutils' tools accept: lines that end with CR LF, binary rows, rows of BSD, comments, empty
/// lines, leading blanks.
#[test]
fn lists_as_coreutils_takes_them_are_checked() {
    let tree = listed();
    let good = fs::read_to_string(tree.path().join("list")).unwrap();
    let ok = "one: OK\ntwo: OK\nthree: OK\n";
    for list in [
        good.replace('\n', "\r\n"),
        good.replace("  ", " *"),
        good.replace("  ", " "),
        good.replace("  ", "\t"),
        good.to_uppercase()
            .replace("ONE", "one")
            .replace("TWO", "two")
            .replace("THREE", "three"),
        format!("# made by hand\r\n#\n\n\r\n{good}# the end"),
        good.lines().map(|row| format!(" \t{row}\n")).collect(),
        good.replacen("  ", " *", 1),
    ] {
        let done = gristmill_reading(tree.path(), &["digest", "-c", "-"], list.as_bytes());
        assert_eq!(done.rows(), ok, "{list:?}");
    }
    // All rows of a list have one format, which the first row determines.
    let (first, rest) = good.split_once('\n').unwrap();
    let mixed = format!("{}\n{rest}", first.replace("  ", " "));
    let done = gristmill_reading(tree.path(), &["digest", "-c", "-"], mixed.as_bytes());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.text().contains(" two: FAILED open"), "{done:?}");
}

#[test]
fn what_was_hashed_from_standard_input_is_checked_from_there() {
    let tree = tempfile::tempdir().unwrap();
    let bytes = noise(5, 70_000);
    let list = gristmill_reading(tree.path(), &["digest"], &bytes).rows();
    fs::write(tree.path().join("list"), &list).unwrap();
    let check = ["digest", "--check", "list"];
    let done = gristmill_reading(tree.path(), &check, &bytes);
    assert_eq!(done.rows(), "-: OK\n");
    let done = gristmill_reading(tree.path(), &check, b"other");
    assert_eq!((done.code, done.text()), (Some(1), "-: FAILED\n"));
    // A file named `-` is not standard input.
    fs::write(tree.path().join("-"), &bytes).unwrap();
    let rows = gristmill(tree.path(), &["digest", "./-"]).rows();
    assert_eq!(rows, row(&bytes, "./-"));
    let done = gristmill_reading(tree.path(), &["digest", "-c", "-"], list.as_bytes());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.err.contains("the list itself"), "{}", done.err);
}

#[test]
fn json_rows_hold_path_digest_and_size() {
    let tree = tempfile::tempdir().unwrap();
    let bytes = noise(9, 9_000);
    fs::write(tree.path().join("quo\"te\n"), &bytes).unwrap();
    fs::write(tree.path().join(OsString::from_vec(b"\xff".into())), b"").unwrap();
    let done = gristmill(tree.path(), &["digest", "--json", "--sort", "path", "."]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let expected = [
        json!({"type": "digest", "path": {"text": "./quo\"te\n"}, "algorithm": "blake3", "digest": hex(&bytes), "bytes": 9_000}),
        json!({"type": "digest", "path": {"bytes": "Li//"}, "algorithm": "blake3", "digest": hex(b""), "bytes": 0}),
    ];
    assert_eq!(objects(&done), expected);
}

#[test]
fn a_check_in_json_holds_what_was_found_and_what_was_expected() {
    let tree = listed();
    fs::write(tree.path().join("two"), b"other").unwrap();
    let done = gristmill(tree.path(), &["digest", "--check", "list", "--json"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let rows = objects(&done);
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[1],
        json!({
            "type": "check",
            "path": {"text": "two"},
            "algorithm": "blake3",
            "digest": hex(b"other"),
            "expected": hex(&noise(2, 5_000)),
            "ok": false,
        })
    );
    assert_eq!(rows[0]["ok"], true);
    assert_eq!(rows[2]["expected"], hex(&noise(3, 5_000)));
}

#[test]
fn names_from_a_list_may_hold_newlines_where_nul_ends_them() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("new\nline"), b"1").unwrap();
    fs::write(tree.path().join("plain"), b"2").unwrap();
    let expected = format!("\\{}{}", row(b"1", "new\\nline"), row(b"2", "plain"));
    let names = b"new\nline\0plain\0";
    fs::write(tree.path().join("names"), names).unwrap();
    let from_file = ["digest", "--files0-from", "names"];
    let rows = gristmill(tree.path(), &from_file).rows();
    assert_eq!(sorted(&rows), sorted(&expected));
    let from_stdin = ["digest", "--files0-from", "-"];
    let rows = gristmill_reading(tree.path(), &from_stdin, names).rows();
    assert_eq!(sorted(&rows), sorted(&expected));
    let rows = gristmill_reading(tree.path(), &["digest", "--files-from", "-"], b"plain\n").rows();
    assert_eq!(rows, row(b"2", "plain"));
}

#[test]
fn standard_input_is_read_where_no_path_is_given_or_a_dash() {
    let tree = tempfile::tempdir().unwrap();
    let bytes = noise(4, 700_001);
    for arguments in [&["digest"][..], &["digest", "-", "--chunk-size", "4K"]] {
        let done = gristmill_reading(tree.path(), arguments, &bytes);
        assert_eq!(done.rows(), row(&bytes, "-"));
    }
}

#[test]
fn globs_choose_files_and_with_a_bang_leave_them_out() {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("d")).unwrap();
    for name in ["a.log", "b.txt", "d/c.log", "d/d.rs"] {
        fs::write(tree.path().join(name), name).unwrap();
    }
    let digest = |globs: &[&str]| {
        let arguments = [&["digest", "--sort", "path"], globs, &["."]].concat();
        gristmill(tree.path(), &arguments).rows()
    };
    let rows = |names: &[&str]| -> String {
        let row = |name: &&str| row(name.as_bytes(), &format!("./{name}"));
        names.iter().map(row).collect()
    };
    assert_eq!(digest(&["-g", "*.log"]), rows(&["a.log", "d/c.log"]));
    assert_eq!(digest(&["--glob", "!*.log"]), rows(&["b.txt", "d/d.rs"]));
    assert_eq!(
        digest(&["-g", "*.log", "-g", "*.rs", "-g", "!d/c*"]),
        rows(&["a.log", "d/d.rs"])
    );
    let done = gristmill(tree.path(), &["digest", "-g", "[", "."]);
    assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
    assert!(done.err.contains("-g"), "{}", done.err);
}

#[test]
fn every_file_is_read_and_with_ignore_only_those_that_scan_reads() {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir(tree.path().join("d")).unwrap();
    fs::write(tree.path().join(".ignore"), "no*\n").unwrap();
    for name in [".hidden", "yes", "not", "d/none", "d/yes"] {
        fs::write(tree.path().join(name), name).unwrap();
    }
    let rows = |names: &[&str]| -> String {
        let row = |name: &&str| {
            let path = tree.path().join(name);
            row(&fs::read(path).unwrap(), &format!("./{name}"))
        };
        names.iter().map(row).collect()
    };
    let all = gristmill(tree.path(), &["digest", "--sort", "path", "."]).rows();
    assert_eq!(
        all,
        rows(&[".hidden", ".ignore", "d/none", "d/yes", "not", "yes"])
    );
    let some = gristmill(
        tree.path(),
        &["digest", "--ignore", "--sort", "path", ".", "not"],
    )
    .rows();
    let named = row(b"not", "not");
    assert_eq!(some, rows(&["d/yes", "yes"]) + &named);
}

#[test]
fn a_file_that_cannot_be_opened_costs_one_line_and_exit_code_2() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(tree.path().join("there"), b"x").unwrap();
    let absent = OsString::from_vec(b"absent\xff".into());
    let mut command = command(tree.path(), &["digest", "there"]);
    let done = finish(command.arg(&absent).spawn().unwrap(), Vec::new());
    assert_eq!(done.text(), row(b"x", "there"));
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    assert!(done.err.starts_with("gristmill: absent"), "{}", done.err);
    assert_eq!(done.code, Some(2));
    assert!(!absent.as_bytes().is_ascii());
}

#[test]
fn a_complaint_is_one_line_whatever_the_name_and_sends_a_terminal_no_commands() {
    let tree = tempfile::tempdir().unwrap();
    let done = gristmill(tree.path(), &["digest", "new\nline\u{1b}[2J"]);
    assert_eq!(done.code, Some(2));
    assert_eq!(done.err.lines().count(), 1, "{:?}", done.err);
    let named = "gristmill: new\\nline\\u{1b}[2J: ";
    assert!(done.err.starts_with(named), "{:?}", done.err);
}

#[test]
fn digests_that_devices_and_logs_do_not_have_are_refused_with_those_they_have() {
    let tree = listed();
    let (device, log) = (
        "a device computes BLAKE3 or CRC-32C",
        "--record keeps runs of BLAKE3 or of CRC-32C",
    );
    for (algorithm, flag, value, told) in [
        ("sha256", "--backend", "opencl", device),
        ("sha256,md5", "--backend", "opencl", device),
        ("sha256", "--record", "log", log),
        ("blake3,crc32c", "--record", "log", log),
    ] {
        let arguments = ["digest", "one", "--algorithm", algorithm, flag, value];
        let done = gristmill(tree.path(), &arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
        assert!(done.err.contains(told), "{done:?}");
    }
}
