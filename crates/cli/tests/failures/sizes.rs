//! Files whose size is wrong or extreme.

use crate::fuse::{mount, Faulty, Mounted};
use crate::world::{
    assert_rows_of_files, count_row, digest_row, hash, needle_rows, text, Scratch, Tool, LINE_BYTES,
};
use std::path::Path;

const MIB: usize = 1 << 20;

/// Checks the answers for a file of 5 MiB whose attributes give 8 MiB: they are right up to the real end, followed by
/// one line of error.
fn assert_truncation_is_told(mounted: &Mounted, lines: &[u8]) {
    let (short, good) = (mounted.join("short"), mounted.join("good"));
    let end = 5 * MIB as u64;

    let scanned = Tool::scan([mounted.path()]).run();
    scanned.assert_code(2);
    let rows = [&short, &good].map(|path| needle_rows(path, lines));
    assert_rows_of_files(&scanned.rows, &rows);
    let (offset, reason) = scanned.only_failure(&short);
    assert_eq!(offset, Some(end));
    assert!(reason.contains("shrank"), "{reason:?}");

    let digested = Tool::digest([&short, &good]).run();
    digested.assert_code(2);
    assert_eq!(digested.rows, digest_row(&good, hash(lines)));
    assert_eq!(digested.only_failure(&short).0, Some(end));
}

#[test]
fn a_file_that_is_truncated_while_it_is_read_fails_where_it_ends_now() {
    let lines = text(5 * MIB / LINE_BYTES);
    let short = Faulty::new("short", lines.clone()).told(8 * MIB as u64);
    let good = Faulty::new("good", lines.clone());
    if let Some(mounted) = mount([short, good]) {
        assert_truncation_is_told(&mounted, &lines);
    }
}

#[test]
fn truncation_is_seen_through_the_page_cache_too() {
    let lines = text(5 * MIB / LINE_BYTES);
    let short = Faulty::new("short", lines.clone()).told(8 * MIB as u64);
    let good = Faulty::new("good", lines.clone());
    // Mount again for each run, because the page cache learns a file's true size in the first one.
    let Some(mounted) = mount([short.cached(), good.cached()]) else {
        return;
    };
    let (short, good) = (mounted.join("short"), mounted.join("good"));
    let scanned = Tool::scan([mounted.path()]).run();
    scanned.assert_code(2);
    let rows = [&short, &good].map(|path| needle_rows(path, &lines));
    assert_rows_of_files(&scanned.rows, &rows);
    let (offset, reason) = scanned.only_failure(&short);
    assert_eq!(offset, Some(lines.len() as u64));
    assert!(reason.contains("shrank"), "{reason:?}");
}

#[test]
fn all_of_a_file_that_grows_is_read() {
    let lines = text(6 * MIB / LINE_BYTES + 11);
    let sizes = [
        ("nothing-told", 0),
        ("a-byte-told", 1),
        ("a-part-told", 2 * MIB as u64 + 4096),
        ("chunks-told", 4 * MIB as u64),
    ];
    let files = sizes.map(|(name, told)| Faulty::new(name, lines.clone()).told(told));
    let Some(mounted) = mount(files) else {
        return;
    };
    let scanned = Tool::scan([mounted.path()]).run();
    scanned.assert_code(0).assert_quiet();
    let paths = sizes.map(|(name, _)| mounted.join(name));
    let rows = paths.clone().map(|path| needle_rows(&path, &lines));
    assert_rows_of_files(&scanned.rows, &rows);

    let digested = Tool::digest([mounted.path()]).run();
    digested.assert_code(0).assert_quiet();
    let digest = hash(&lines);
    assert_rows_of_files(&digested.rows, &paths.map(|path| digest_row(&path, digest)));
}

#[test]
fn empty_files_have_an_answer() {
    let scratch = Scratch::new();
    let lines = text(300);
    let empty: Vec<_> = (0..40)
        .map(|number| scratch.write(format!("tree/empty-{number}"), b""))
        .collect();
    let full = scratch.write("tree/full", &lines);
    let tree = scratch.join("tree");

    let scanned = Tool::count([&tree]).run();
    scanned.assert_code(0).assert_quiet();
    assert_eq!(scanned.rows, count_row(&full, &lines));

    let alone = Tool::count([&empty[0]]).run();
    alone.assert_code(1).assert_quiet();
    assert_eq!(alone.rows, b"");

    let digested = Tool::digest([&tree]).run();
    digested.assert_code(0).assert_quiet();
    let mut rows: Vec<_> = empty
        .iter()
        .map(|path| digest_row(path, hash(b"")))
        .collect();
    rows.push(digest_row(&full, hash(&lines)));
    assert_rows_of_files(&digested.rows, &rows);
}

#[test]
fn files_that_end_at_the_edges_of_chunks_and_pages_are_read_to_the_byte() {
    let scratch = Scratch::new();
    let lines = text(2 * MIB / LINE_BYTES);
    let edges = [4096, 256 << 10, 512 << 10, MIB];
    let mut files = Vec::new();
    for edge in edges {
        for length in [edge - 1, edge, edge + 1] {
            let path = scratch.write(format!("tree/{length}"), &lines[..length]);
            files.push((path, &lines[..length]));
        }
    }
    let digested = Tool::digest([scratch.join("tree")]).run();
    digested.assert_code(0).assert_quiet();
    let rows: Vec<_> = files
        .iter()
        .map(|(path, bytes)| digest_row(path, hash(bytes)))
        .collect();
    assert_rows_of_files(&digested.rows, &rows);
}

/// The size of the hole before the bytes of a file of more than 4 GiB, whose offsets need more than 32 bits.
const HOLE_BYTES: u64 = (4 << 30) + (64 << 20);

/// The CRC-32C of [`HOLE_BYTES`] NULs and `tail`.
fn crc_after_hole(tail: &[u8]) -> u32 {
    let block = vec![0; MIB];
    let block_crc = crc32c::crc32c(&block);
    let crc =
        (0..HOLE_BYTES / MIB as u64).fold(0, |crc, _| crc32c::crc32c_combine(crc, block_crc, MIB));
    crc32c::crc32c_append(crc, tail)
}

#[test]
fn a_match_behind_more_than_4_gib_of_holes_has_its_offset() {
    let scratch = Scratch::new();
    let path = scratch.sparse("sparse", HOLE_BYTES, b"and the needle\n");
    let answer = Tool::new(["scan", "--all", "-e", "needle"])
        .args([&path])
        .run();
    answer.assert_code(0).assert_quiet();
    let told = format!("{}:{}:6:needle\n", path.display(), HOLE_BYTES + 8);
    assert!(
        told.as_bytes().ends_with(&answer.rows) && !answer.rows.is_empty(),
        "{:?}",
        String::from_utf8_lossy(&answer.rows)
    );
}

#[test]
fn a_file_of_more_than_4_gib_has_its_digest() {
    let scratch = Scratch::new();
    let tail = text(100);
    let path = scratch.sparse("sparse", HOLE_BYTES, &tail);
    let answer = Tool::new(["digest", "--algorithm=crc32c"])
        .args([&path])
        .run();
    answer.assert_code(0).assert_quiet();
    let crc = format!("{:08x}", crc_after_hole(&tail));
    assert_eq!(answer.rows, digest_row(&path, crc));
}

#[test]
fn a_binary_file_of_holes_is_found_to_match_as_ripgrep_says() {
    let scratch = Scratch::new();
    let tail: &[u8] = b"\na needle\nanother needle\n";
    let path = scratch.sparse("sparse", 64 << 20, tail);
    let counted = Tool::new(["scan", "-H", "-a", "-c", "-e", "needle"])
        .args([&path])
        .run();
    counted.assert_code(0).assert_quiet();
    assert_eq!(counted.rows, row(&path, ":2\n"));

    let lines = Tool::new(["scan", "-H", "-a", "-b", "-o", "-e", "needle"])
        .args([&path])
        .run();
    lines.assert_code(0).assert_quiet();
    let at = 64 << 20;
    let mut rows = row(&path, &format!(":{}:needle\n", at + 3));
    rows.extend(row(&path, &format!(":{}:needle\n", at + 18)));
    assert_eq!(lines.rows, rows);
}

fn row(path: &Path, rest: &str) -> Vec<u8> {
    format!("{}{rest}", path.display()).into_bytes()
}

#[test]
fn a_single_small_file_costs_one_worker_and_no_ring_unless_more_is_named() {
    let scratch = Scratch::new();
    let (small, other) = (scratch.write("small", b"x"), scratch.write("other", b"y"));
    let large = scratch.sparse("large", 4 << 20, b"z");
    let stats = |flags: &[&str], files: &[&Path]| {
        let answer = Tool::new(["digest", "--stats"])
            .args(flags)
            .args(files)
            .run();
        answer.assert_code(0);
        let alone =
            answer.errors.contains(", 1 workers") && answer.errors.contains("  positioned\n");
        (alone, answer.errors)
    };
    let (alone, told) = stats(&[], &[&small]);
    assert!(alone, "{told}");
    let named: [(&[&str], &[&Path]); 5] = [
        (&[], &[&small, &other]),
        (&[], &[&large]),
        (&[], &[scratch.path()]),
        (&["--workers", "2"], &[&small]),
        (&["--read-path", "registered"], &[&small]),
    ];
    for (flags, files) in named {
        if flags.contains(&"registered")
            && !Tool::new(["digest"])
                .args(flags)
                .args(files)
                .run()
                .errors
                .is_empty()
        {
            crate::world::skipped("io_uring is refused here");
            continue;
        }
        let (alone, told) = stats(flags, files);
        assert!(!alone, "{flags:?} {files:?}: {told}");
    }
}
