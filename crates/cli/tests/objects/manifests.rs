//! Manifests of objects, and how `diff` and `dupes` take URLs.

use super::world::{Done, World};
use gristmill_testing::store::{Fault, Manner};
use std::fs;

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
fn a_manifest_that_is_an_object_is_read_as_the_file_is() {
    let world = told();
    for name in ["m.jsonl", "m.csv", "m.arrow", "m.parquet"] {
        world.run(&["digest", "--manifest", name, "--chunks=gear:1K", "dir"]);
        let bytes = fs::read(world.path().join(name)).unwrap();
        world.store.put(format!("bucket/m/{name}"), bytes);
    }
    world.put("dir/d", "new\n");
    let http = format!("{}/bucket/m/m.arrow?sig=hunter2", world.store.endpoint());
    let http = http.replace("http://", "http://user:hunter2@");
    let urls = [
        "s3://bucket/m/m.jsonl",
        "s3://bucket/m/m.csv",
        "s3://bucket/m/m.arrow",
        "s3://bucket/m/m.parquet",
        &http,
    ];
    let file = format!("file://{}/m.parquet", world.path().display());
    for url in urls.into_iter().chain([&*file]) {
        let other = world.run(&["diff", url, "dir"]);
        assert_eq!((other.code, other.err.as_str()), (Some(1), ""), "{other:?}");
        assert!(other.out.starts_with("added    d\n") || other.out.starts_with("added    dir/d\n"));
        assert!(last_line(&other).contains("3 unchanged"), "{other:?}");
        for (old, new) in [("m.parquet", url), (url, "m.parquet")] {
            let same = world.run(&["diff", old, new]);
            assert_eq!((same.code, same.err.as_str()), (Some(0), ""), "{same:?}");
            assert!(last_line(&same).contains("3 unchanged"), "{same:?}");
        }
        let dupes = world.run(&["dupes", url]);
        assert_eq!((dupes.code, dupes.err.as_str()), (Some(0), ""), "{dupes:?}");
        assert!(dupes.out.contains("are in repeated chunks"), "{dupes:?}");
    }
    // One object of several names is no manifest, nor are the objects below one that ends so.
    let two = ["diff", "m.jsonl", "s3://bucket/m/m.csv", "dir"];
    let two = world.run(&two);
    assert!(
        two.out.contains("added    s3://bucket/m/m.csv\n"),
        "{two:?}"
    );
    world.store.put("bucket/backup.csv/a", "one\n");
    for url in ["s3://bucket/backup.csv", "s3://bucket/backup.csv/"] {
        let below = world.run(&["diff", "m.jsonl", url]);
        assert_eq!((below.code, below.err.as_str()), (Some(1), ""), "{below:?}");
        assert!(last_line(&below).contains("1 unchanged"), "{below:?}");
        assert!(world
            .run(&["dupes", url])
            .failure()
            .contains("dupes reads files"));
    }
    let old = world.run(&["diff", "s3://bucket/backup.csv", "dir"]);
    assert!(old.failure().contains("is not a manifest"), "{old:?}");
}

#[test]
fn a_manifest_of_several_requests_is_whole_or_refused() {
    let world = told();
    let mut text = String::from("path,size,mtime_ns,changed,blake3,device,inode,error\n");
    let digest = "0".repeat(64);
    for number in 0..200_000 {
        text += &format!("dir/{number},{number},,false,{digest},,,\n");
    }
    assert!(text.len() > 16 << 20);
    fs::write(world.path().join("m.csv"), &text).unwrap();
    let url = "s3://bucket/m.csv";
    for (name, manner) in [
        ("weak.csv", Manner::Weak),
        ("chunked.csv", Manner::Chunked),
        ("m.csv", Manner::Usual),
    ] {
        let name = format!("bucket/{name}");
        world.store.put(&name, text.clone());
        world.store.give(&name, manner);
        let url = format!("{}/{name}", world.store.endpoint());
        let same = world.run(&["diff", "m.csv", &url]);
        assert_eq!((same.code, same.err.as_str()), (Some(0), ""), "{same:?}");
        assert!(last_line(&same).contains("200000 unchanged"), "{same:?}");
    }
    for (fault, words) in [
        (Fault::Status(403, "AccessDenied"), "access is refused"),
        (Fault::Replace(text.into_bytes()), "changed"),
    ] {
        world
            .store
            .fails(move |request, number| match request.method.as_str() {
                // The second range.
                "GET" if number >= 2 => fault.clone(),
                _ => Fault::None,
            });
        let refused = world.run(&["diff", "m.csv", url]);
        assert!(refused.failure().contains(words), "{refused:?}");
        assert_eq!(refused.out, "");
    }
}

#[test]
fn an_object_that_is_no_manifest_is_refused_as_the_file_is() {
    let world = told();
    let whole = fs::read(world.path().join("old.jsonl")).unwrap();
    for (name, bytes) in [
        ("text.csv", &b"hello\n"[..]),
        ("cut.jsonl", &whole[..whole.len() - 9]),
        ("none.parquet", b"PAR1"),
        ("empty.jsonl", b""),
    ] {
        world.put(name, bytes);
        let url = format!("s3://bucket/{name}");
        for arguments in [["diff", "old.jsonl", name], ["diff", name, "dir"]] {
            let file = world.run(&arguments);
            let arguments = arguments.map(|one| if one == name { url.as_str() } else { one });
            let object = world.run(&arguments);
            assert_eq!(object.failure(), file.failure().replace(name, &url));
        }
        assert!(world.run(&["dupes", &url]).failure().contains(&url));
    }
    for (url, words) in [
        ("s3://bucket/absent.csv", "no such object"),
        (
            "https://u:hunter2@127.0.0.1:1/old.jsonl?sig=hunter2",
            "https://127.0.0.1:1/old.jsonl: ",
        ),
        (
            "s3://u:hunter2@bucket/old.jsonl",
            "s3://...: such a URL cannot have a user",
        ),
    ] {
        for arguments in [["diff", "old.jsonl", url], ["diff", url, "dir"]] {
            let refused = world.run(&arguments);
            assert!(refused.failure().contains(words), "{refused:?}");
        }
    }
    let mut full = world.tool(&["diff", "old.jsonl", "s3://bucket/text.csv"]);
    full.env("TMPDIR", "/nowhere");
    let full = super::world::finish(full);
    assert!(full.failure().contains("TMPDIR"), "{full:?}");
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

#[test]
fn a_file_url_of_another_machine_is_named_where_it_is_refused() {
    let world = told();
    for (host, shown) in [
        ("other", "file://other/m.jsonl: "),
        ("user:hunter2@other", "file://...: "),
    ] {
        let url = format!("file://{host}/m.jsonl");
        for arguments in [
            ["diff", &url, "dir"],
            ["diff", "old.jsonl", &url],
            ["digest", "dir", &url],
        ] {
            let done = world.run(&arguments);
            assert_eq!(done.code, Some(2), "{done:?}");
            assert!(
                done.err.contains(&format!("gristmill: {shown}")),
                "{done:?}"
            );
            assert!(done.err.contains("as file:///path"), "{done:?}");
        }
    }
}
