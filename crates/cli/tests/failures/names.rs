//! Files that cannot be opened, or whose names are odd.

use crate::fuse::{mount, Faulty};
use crate::world::{
    assert_rows_of_files, count_row, digest_row, hash, needle_rows, text, Failure, Scratch, Tool,
};
use fuser::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn files_and_directories_that_may_not_be_read_are_told_and_the_others_answered() {
    let scratch = Scratch::new();
    let lines = text(5_000);
    let good: Vec<_> = (0..20)
        .map(|number| scratch.write(format!("tree/good-{number}"), &lines))
        .collect();
    let tree = scratch.join("tree");
    let secret = scratch.write("tree/secret", &lines);
    scratch.write("tree/locked/inside", &lines);
    let locked = scratch.join("tree/locked");
    set_mode(&secret, 0);
    set_mode(&locked, 0);
    let failures = [
        Failure::new(&secret, libc::EACCES),
        Failure::new(&locked, libc::EACCES),
    ];

    let scanned = Tool::scan([&tree]).ordinary_user().run();
    let named = Tool::count([&secret, &good[0]]).ordinary_user().run();
    let digested = Tool::digest([&tree]).ordinary_user().run();
    set_mode(&locked, 0o755);

    scanned.assert_failures(&failures);
    let rows: Vec<_> = good.iter().map(|path| needle_rows(path, &lines)).collect();
    assert_rows_of_files(&scanned.rows, &rows);

    named.assert_failures(&failures[..1]);
    assert_eq!(named.rows, count_row(&good[0], &lines));

    digested.assert_failures(&failures);
    let digest = hash(&lines);
    let rows: Vec<_> = good.iter().map(|path| digest_row(path, digest)).collect();
    assert_rows_of_files(&digested.rows, &rows);
}

#[test]
fn files_that_vanish_between_listing_and_opening_are_told() {
    let lines = text(3_000);
    let Some(mounted) = mount([
        Faulty::new("first", lines.clone()),
        Faulty::new("gone", lines.clone()).gone(),
        Faulty::new("removed", lines.clone()).unopenable(Errno::ENOENT),
        Faulty::new("last", lines.clone()),
    ]) else {
        return;
    };
    let failures = [
        Failure::new(&mounted.join("gone"), libc::ENOENT),
        Failure::new(&mounted.join("removed"), libc::ENOENT),
    ];
    let there = [mounted.join("first"), mounted.join("last")];

    let scanned = Tool::scan([mounted.path()]).run();
    scanned.assert_failures(&failures);
    assert_rows_of_files(
        &scanned.rows,
        &there.clone().map(|p| needle_rows(&p, &lines)),
    );

    let digested = Tool::digest([mounted.path()]).run();
    digested.assert_failures(&failures);
    let digest = hash(&lines);
    assert_rows_of_files(&digested.rows, &there.map(|path| digest_row(&path, digest)));
}

#[test]
fn what_is_named_and_not_there_is_told() {
    let scratch = Scratch::new();
    let lines = text(300);
    let there = scratch.write("there", &lines);
    let missing = scratch.join("missing");
    let under_a_file = scratch.join("there/below");
    let answer = Tool::count([&missing, &there, &under_a_file]).run();
    answer.assert_failures(&[
        Failure::new(&missing, libc::ENOENT),
        Failure::new(&under_a_file, libc::ENOTDIR),
    ]);
    assert_eq!(answer.rows, count_row(&there, &lines));
}

#[test]
fn broken_links_and_loops_are_passed_over_in_a_tree_and_told_when_named() {
    let scratch = Scratch::new();
    let lines = text(300);
    let file = scratch.write("tree/deep/file", &lines);
    let tree = scratch.join("tree");
    let (broken, one, two) = (
        scratch.join("tree/broken"),
        scratch.join("tree/one"),
        scratch.join("tree/two"),
    );
    let good = scratch.join("tree/good");
    symlink("nowhere", &broken).unwrap();
    symlink("two", &one).unwrap();
    symlink("one", &two).unwrap();
    symlink(&tree, scratch.join("tree/deep/up")).unwrap();
    symlink("deep/file", &good).unwrap();

    let walked = Tool::count([&tree]).run();
    walked.assert_code(0).assert_quiet();
    assert_eq!(walked.rows, count_row(&file, &lines));

    let named = Tool::count([&broken, &good, &one, &two]).run();
    named.assert_failures(&[
        Failure::new(&broken, libc::ENOENT),
        Failure::new(&one, libc::ELOOP),
        Failure::new(&two, libc::ELOOP),
    ]);
    assert_eq!(named.rows, count_row(&good, &lines));
}

#[test]
fn a_loop_of_directories_ends_where_links_are_followed() {
    let scratch = Scratch::new();
    let lines = text(300);
    let file = scratch.write("tree/deep/file", &lines);
    symlink(scratch.join("tree"), scratch.join("tree/deep/up")).unwrap();
    symlink("nowhere", scratch.join("tree/broken")).unwrap();
    let answer = Tool::new(["digest", "--follow"])
        .args([scratch.join("tree")])
        .run();
    answer.assert_code(2);
    assert_eq!(answer.rows, digest_row(&file, hash(&lines)));
    let lines: Vec<&str> = answer.errors.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for link in ["tree/deep/up", "tree/broken"] {
        let head = format!("gristmill: {}: ", scratch.join(link).display());
        let told = lines.iter().filter(|line| line.starts_with(&head));
        assert_eq!(told.count(), 1, "{head:?} in {lines:?}");
    }
}

#[test]
fn names_that_are_not_utf8_are_read_and_written_as_they_are() {
    let scratch = Scratch::new();
    let lines = text(3_000);
    let names: [&[u8]; 3] = [b"caf\xe9", b"\xff\xfe", b"dir\x80/\xc3\x28"];
    let paths = names.map(|name| {
        let name = OsStr::from_bytes(&[b"tree/", name].concat()).to_owned();
        scratch.write(name, &lines)
    });
    let tree = scratch.join("tree");

    let scanned = Tool::scan([&tree]).run();
    scanned.assert_code(0).assert_quiet();
    assert_rows_of_files(
        &scanned.rows,
        &paths.clone().map(|path| needle_rows(&path, &lines)),
    );

    let digested = Tool::digest([&tree]).run();
    digested.assert_code(0).assert_quiet();
    let digest = hash(&lines);
    assert_rows_of_files(
        &digested.rows,
        &paths.clone().map(|path| digest_row(&path, digest)),
    );

    let missing = scratch.join(OsStr::from_bytes(b"tree/gone\xe9"));
    let named = Tool::count([&missing, &paths[0]]).run();
    named.assert_failures(&[Failure::new(&missing, libc::ENOENT)]);
    assert_eq!(named.rows, count_row(&paths[0], &lines));
}
