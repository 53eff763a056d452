//! Answers over objects are those over the same files.

use super::world::World;
use gristmill_testing::store::Content;
use gristmill_testing::{noise, seed};
use std::io::Write;
use std::sync::Arc;

/// A few files of all sizes, some of them larger than a chunk.
fn mixed() -> World {
    let world = World::new();
    let seed = seed("OBJECTS_SEED");
    for (number, bytes) in [0, 1, 100, 4096, 70_000, 1 << 20, (3 << 20) + 17]
        .into_iter()
        .enumerate()
    {
        let mut text = noise(seed + number as u64, bytes);
        for at in (0..bytes.saturating_sub(10)).step_by(9_973) {
            text[at..at + 8].copy_from_slice(b"\nneedle\n");
        }
        text.iter_mut()
            .filter(|byte| **byte == 0)
            .for_each(|byte| *byte = b' ');
        world.put(&format!("dir/sub {number}/ü%20&<{number}.log"), text);
    }
    world.put("dir/readme.txt", "a needle\n");
    world.put("dir/.hidden/needle.log", "a needle\n");
    world.put("dirt/other.log", "a needle\n");
    world.store.page(3);
    world
}

#[test]
fn every_command_gives_of_a_prefix_what_it_gives_of_a_directory() {
    let world = mixed();
    let same = |arguments: &[&str]| world.same(arguments, "s3://bucket/dir/", "dir/");
    assert_eq!(same(&["digest"]).len(), 9);
    same(&["digest", "--algorithm", "sha256,crc32c"]);
    same(&["stats"]);
    same(&["scan", "-n", "needle"]);
    same(&["scan", "-c", "needle"]);
    same(&["scan", "-l", "needle"]);
    same(&["scan", "-b", "-o", "n.edle"]);
    same(&["scan", "--all", "-F", "needle"]);
    same(&["scan", "--all", "ne+dle\\s"]);
    same(&["scan", "-U", "needle\\n[^\\n]"]);
    same(&["scan", "needle", "-C2"]);
    world.same(
        &["digest", "--chunk-size", "4096"],
        "s3://bucket/dir/",
        "dir/",
    );
}

#[test]
fn names_are_chosen_among_as_those_of_files() {
    let world = mixed();
    let same = |arguments: &[&str]| world.same(arguments, "s3://bucket/dir/", "dir/").len();
    assert_eq!(same(&["digest", "-g", "*.txt"]), 1);
    assert_eq!(same(&["digest", "-g", "!*.txt"]), 8);
    assert_eq!(same(&["digest", "-g", "!sub*"]), 2);
    assert_eq!(same(&["digest", "--max-depth", "1"]), 1);
    assert_eq!(same(&["digest", "--max-filesize", "100"]), 5);
    assert_eq!(same(&["digest", "-t", "txt"]), 1);
    assert_eq!(same(&["scan", "--files", "--hidden"]), 9);
    assert_eq!(same(&["scan", "--files"]), 8);
    let error = world.run(&["digest", "--sortr", "path", "s3://bucket/dir/"]);
    assert!(error.failure().contains("order"), "{error:?}");
}

#[test]
fn objects_are_named_outright_in_lists_and_beside_files() {
    let world = mixed();
    let one = world.run(&[
        "digest",
        "s3://bucket/dir/readme.txt",
        "dirt",
        "file:///proc/version",
    ]);
    let rows = one.rows();
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter()
            .any(|row| row.ends_with("  s3://bucket/dir/readme.txt")),
        "{rows:?}"
    );
    assert!(
        rows.iter().any(|row| row.ends_with("  /proc/version")),
        "{rows:?}"
    );
    // A name that is no object is a prefix.
    let below = world.run(&["digest", "s3://bucket/dir"]).rows();
    assert_eq!(below, world.run(&["digest", "s3://bucket/dir/"]).rows());
    assert_eq!(world.run(&["digest", "s3://bucket"]).rows().len(), 10);

    let list = world.path().join("list");
    std::fs::write(
        &list,
        "s3://bucket/dir/readme.txt\ndir/readme.txt\ns3://bucket/dirt/\n",
    )
    .unwrap();
    let listed = world.run(&["digest", "--files-from", "list"]).rows();
    assert_eq!(listed.len(), 3);
    let ordered = world.run(&["digest", "--sort", "path", "--files-from", "list"]);
    assert!(ordered
        .out
        .lines()
        .next()
        .unwrap()
        .ends_with("s3://bucket/dir/readme.txt"));

    let sums = world.run(&["digest", "s3://bucket/dir/"]).out;
    std::fs::write(world.path().join("sums"), sums).unwrap();
    let checked = world.run(&["digest", "--check", "sums"]).rows();
    assert!(
        checked.len() == 9 && checked.iter().all(|row| row.ends_with(": OK")),
        "{checked:?}"
    );

    std::fs::write(
        world.path().join("jobs.toml"),
        "paths = [\"s3://bucket/dir/\"]\n[[job]]\ncommand = \"digest\"\noutput = \"c.txt\"\n",
    )
    .unwrap();
    let both = world.run(&[
        "mill",
        "s3://bucket/dir/",
        "+",
        "digest",
        "--output",
        "a.txt",
        "+",
        "scan",
        "--all",
        "needle",
        "--output",
        "b.txt",
    ]);
    assert_eq!((both.code, both.err.as_str()), (Some(0), ""));
    let read = |name: &str| std::fs::read_to_string(world.path().join(name)).unwrap();
    assert_eq!(read("a.txt").lines().count(), 9);
    assert!(read("b.txt").lines().count() > 100);
    let jobs = world.run(&["mill", "--jobs", "jobs.toml"]);
    assert_eq!((jobs.code, jobs.err.as_str()), (Some(0), ""));
    assert_eq!(read("c.txt").lines().count(), 9);
}

#[test]
fn compressed_objects_and_other_encodings_are_decoded() {
    let world = World::new();
    let text = "a needle in a line\n".repeat(200_000);
    let mut packed = flate2_of(text.as_bytes());
    world.put("z/a.txt.gz", packed.clone());
    packed.truncate(packed.len() / 2);
    world.put("z/cut.txt.gz", packed);
    let wide: Vec<u8> = std::iter::once(0xFEFF)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    world.put("w/wide.txt", wide);
    world.put("w/short.txt", b"\xFF\xFEn\0e\0".to_vec());
    let counted = |flags: &[&str], url: &str, directory: &str| {
        let all = [&["scan", "-c", "--with-filename"], flags].concat();
        world.same(&all, url, directory).len()
    };
    assert_eq!(
        counted(&["-z", "needle"], "s3://bucket/z/a.txt.gz", "z/a.txt.gz"),
        1
    );
    counted(&["-z", "needle"], "s3://bucket/z/", "z/");
    assert_eq!(counted(&["ne"], "s3://bucket/w/", "w/"), 2);
}

fn flate2_of(bytes: &[u8]) -> Vec<u8> {
    let mut child = std::process::Command::new("gzip")
        .arg("-1c")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    done.stdout
}

#[test]
fn ten_thousand_small_objects() {
    let world = World::new();
    for number in 0..10_000 {
        world.put(
            &format!("many/{}/{number}", number % 10),
            format!("needle {number}\n"),
        );
    }
    let requests = world.store.requests();
    let rows = world.same(&["scan", "needle"], "s3://bucket/many/", "many/");
    assert_eq!(rows.len(), 10_000);
    let requests = world.store.requests() - requests;
    // Ten pages of names, and a request for each object.
    assert_eq!(requests, 10_010);
}

/// Bytes of the large object: `GRISTMILL_LARGE_OBJECT`, such as 5368709120, else little more than the least that a
/// 32-bit number of it would get wrong is not read by default, but 256 MiB.
fn large() -> u64 {
    let asked = std::env::var("GRISTMILL_LARGE_OBJECT").ok();
    asked.map_or(256 << 20, |bytes| bytes.parse().unwrap())
}

#[test]
fn a_large_object_is_fetched_in_many_ranges_at_once() {
    let world = World::new();
    let size = large();
    let chunk = 1 << 20;
    // On both sides of the ends of chunks, and at the very end.
    let places = [0, chunk - 3, 9 * chunk - 1, size / 2, size - 6];
    let pieces: Vec<_> = places
        .iter()
        .map(|place| (*place, b"needle".to_vec()))
        .collect();
    world
        .store
        .put_content("bucket/large", Content::Sparse(size, Arc::new(pieces)));
    let found = world.run(&[
        "scan",
        "--all",
        "-F",
        "needle",
        "s3://bucket/large",
        "--stats",
    ]);
    assert_eq!(found.code, Some(0), "{found:?}");
    let mut offsets: Vec<u64> = found
        .out
        .lines()
        .filter_map(|row| row.strip_prefix("s3://bucket/large:"))
        .map(|row| row.split(':').next().unwrap().parse().unwrap())
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, places);
    // Every request but the first says which version it is for.
    let requests = world.store.requests();
    assert!(requests > 100, "{requests}");
    assert!(world.store.conditions() >= requests - 2);
    assert!(world.store.most_at_a_time() > 1);
    assert!(found.err.contains("objects       "), "{}", found.err);
}
