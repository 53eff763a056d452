//! Manifests of objects, and how `diff` and `dupes` take URLs.

use super::world::{Done, World};

/// A directory with a manifest, and the same objects below `s3://bucket/dir/`.
fn told() -> World {
    let world = World::new();
    world.put("dir/a", "one\n");
    world.put("dir/sub/b", vec![7; (2 << 20) + 5]);
    world.put("dir/sub/c", "three\n");
    let written = world.run(&["digest", "--manifest", "old.jsonl", "dir"]);
    assert_eq!((written.code, written.err.as_str()), (Some(0), ""));
    world
}

fn last_line(done: &Done) -> &str {
    done.out.lines().last().unwrap_or_default()
}

#[test]
fn diff_compares_a_manifest_with_the_objects_below_a_url() {
    let world = told();
    for url in ["s3://bucket/dir/", "s3://bucket/dir"] {
        let same = world.run(&["diff", "old.jsonl", url]);
        assert_eq!((same.code, same.err.as_str()), (Some(0), ""), "{same:?}");
        assert!(last_line(&same).contains("3 unchanged"), "{same:?}");
    }
    world.store.put("bucket/dir/a", "two\n");
    world.store.put("bucket/dir/d", "new\n");
    let other = world.run(&["diff", "old.jsonl", "s3://bucket/dir/"]);
    assert_eq!((other.code, other.err.as_str()), (Some(1), ""), "{other:?}");
    assert!(other.out.starts_with("changed  a\n"), "{other:?}");
    assert!(other.out.contains("added    d\n"), "{other:?}");

    // A manifest of the objects is one as good.
    let url = "s3://bucket/dir/";
    let written = world.run(&["digest", "--manifest", "new.jsonl", url]);
    assert_eq!((written.code, written.err.as_str()), (Some(0), ""));
    let two = world.run(&["diff", "old.jsonl", "new.jsonl"]);
    assert_eq!((two.code, &two.out), (Some(1), &other.out), "{two:?}");

    let none = world.run(&["diff", "old.jsonl", "s3://bucket/nothing/"]);
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.err.contains("no such object"), "{none:?}");
}

#[test]
fn what_reads_no_objects_says_so_and_names_no_secret() {
    let world = told();
    for (arguments, words) in [
        (
            vec!["dupes", "s3://bucket/dir/"],
            "s3://bucket/dir/: dupes reads files",
        ),
        (
            vec![
                "dupes",
                "dir",
                "https://u:hunter2@127.0.0.1:1/a?sig=hunter2",
            ],
            "https://127.0.0.1:1/a: dupes reads files",
        ),
        (
            vec!["dupes", "--chunks", "gear", "s3://bucket/dir/"],
            "--manifest",
        ),
        (
            vec!["diff", "https://u:hunter2@127.0.0.1:1/old.jsonl", "dir"],
            "https://127.0.0.1:1/old.jsonl: the old manifest is a file",
        ),
    ] {
        let refused = world.run(&arguments);
        assert!(refused.failure().contains(words), "{refused:?}");
        assert_eq!(refused.out, "");
    }
    // What `dupes` says to do does it.
    world.store.put("bucket/dir/again", "one\n");
    let url = "s3://bucket/dir/";
    world.run(&["digest", "--manifest", "all.jsonl", url]);
    let found = world.run(&["dupes", "all.jsonl"]);
    assert_eq!((found.code, found.err.as_str()), (Some(1), ""), "{found:?}");
    assert!(found.out.contains("s3://bucket/dir/again\n"), "{found:?}");
}

#[test]
fn a_manifest_keeps_no_secret_of_its_urls() {
    let world = told();
    let url = format!(
        "{}/bucket/dir/a?sig=hunter2#hunter2",
        world.store.endpoint()
    );
    let url = url.replace("http://", "http://user:hunter2@");
    for name in ["one.jsonl", "one.parquet"] {
        let written = world.run(&["digest", "--manifest", name, &url]);
        assert_eq!((written.code, written.err.as_str()), (Some(0), ""));
        let bytes = std::fs::read(world.path().join(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("hunter2") && text.contains("/bucket/dir/a"),
            "{text}"
        );
    }
    let same = world.run(&["diff", "one.jsonl", "dir/a"]);
    assert_eq!((same.code, same.err.as_str()), (Some(0), ""), "{same:?}");
}
