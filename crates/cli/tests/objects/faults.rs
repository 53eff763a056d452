//! What goes wrong with a store: the right result, or one line that names the object, and everything else done.

use super::world::{finish, wait, World};
use gristmill_testing::store::Fault;
use gristmill_testing::Patience;

/// Three objects, the second larger than chunks.
fn three() -> World {
    let world = World::new();
    world.put("d/a", "needle\n");
    world.put("d/b", b"needle\n".repeat(1 << 19));
    world.put("d/c", "needle\n");
    world
}

const DIGEST: [&str; 2] = ["digest", "s3://bucket/d/"];

/// Runs with these faults, and demands what there is without any.
fn heals(fails: impl Fn(&str, u64) -> Fault + Send + Sync + 'static) -> World {
    let world = three();
    let expected = world.run(&DIGEST).rows();
    assert_eq!(expected.len(), 3);
    world
        .store
        .fails(move |request, before| fails(&request.path, before));
    assert_eq!(world.run(&DIGEST).rows(), expected);
    world
}

/// Runs with faults of the object b, and demands its error, and that the others are done.
fn fails(fails: impl Fn(u64) -> Fault + Send + Sync + 'static) -> String {
    let world = three();
    let expected = world.run(&DIGEST).rows();
    world
        .store
        .fails(move |request, before| match request.path.as_str() {
            "bucket/d/b" => fails(before),
            _ => Fault::None,
        });
    let mut tool = world.tool(&DIGEST);
    tool.env("AWS_MAX_ATTEMPTS", "2")
        .env("AWS_READ_TIMEOUT", "1s");
    let done = super::world::finish(tool);
    let line = done.failure();
    assert!(line.starts_with("gristmill: s3://bucket/d/b: "), "{line}");
    let rows: Vec<&str> = done.out.lines().collect();
    assert_eq!(rows.len(), 2, "{done:?}");
    assert!(rows
        .iter()
        .all(|row| expected.iter().any(|known| known == row)));
    line.to_owned()
}

#[test]
fn a_busy_store_is_asked_again() {
    let world = heals(|path, before| match before {
        0 | 1 if path != "bucket" => Fault::Status(503, "SlowDown"),
        0 => Fault::Status(500, "InternalError"),
        _ => Fault::None,
    });
    let done = world.run(&["digest", "--stats", "s3://bucket/d/b"]);
    assert_eq!(done.code, Some(0));
    let line = done
        .err
        .lines()
        .find(|line| line.starts_with("objects "))
        .unwrap();
    assert!(line.contains(" 0 of them retries"), "{line}");
}

#[test]
fn retries_are_counted() {
    let world = three();
    world.store.fails(|request, before| match before {
        0 if request.path == "bucket/d/a" => Fault::Status(503, "SlowDown"),
        _ => Fault::None,
    });
    let done = world.run(&["digest", "--stats", "s3://bucket/d/"]);
    let line = done
        .err
        .lines()
        .find(|line| line.starts_with("objects "))
        .unwrap();
    assert!(line.contains(" 1 of them retries"), "{line}");
}

#[test]
fn a_body_that_ends_early_is_read_on() {
    heals(|_, before| match before {
        0 | 2 => Fault::Cut(1000),
        _ => Fault::None,
    });
}

#[test]
fn an_answer_that_is_too_short_is_an_error_and_never_a_shorter_file() {
    let line = fails(|_| Fault::Short(100));
    assert!(line.contains("range") || line.contains("early"), "{line}");
}

#[test]
fn an_object_that_changes_is_an_error_and_never_two_versions() {
    let other = || b"other!\n".repeat(1 << 19);
    let line = fails(move |before| match before {
        1 => Fault::Replace(other()),
        _ => Fault::None,
    });
    assert!(line.contains("changed"), "{line}");
    // A server that does not look at the demand is found out by the ETag that it gives.
    let line = fails(move |before| match before {
        1 => Fault::ReplaceUnseen(other()),
        _ => Fault::None,
    });
    assert!(line.contains("changed"), "{line}");
}

#[test]
fn a_store_that_stays_busy_a_refusal_and_a_vanished_object_are_told() {
    assert!(fails(|_| Fault::Status(503, "SlowDown")).contains("503 SlowDown"));
    assert!(fails(|_| Fault::Status(403, "AccessDenied")).contains("403 AccessDenied"));
    assert!(fails(|_| Fault::Status(404, "NoSuchKey")).contains("no such object"));
    assert!(fails(|before| match before {
        0 => Fault::None,
        _ => Fault::Status(404, "NoSuchKey"),
    })
    .contains("no such object"));
}

#[test]
fn a_stall_ends_by_its_timeout() {
    for bytes in [0, 1000] {
        let line = fails(move |_| Fault::Stall(bytes));
        assert!(line.contains("in time"), "{line}");
    }
}

#[test]
fn what_is_not_there_is_told() {
    let world = three();
    for (url, what) in [
        ("s3://bucket/nothing", "no such object, and none below it"),
        ("s3://bucket/nothing/", "no such object, and none below it"),
        ("s3://other/", "no such bucket"),
        ("s3://other/key", "no such"),
        ("s3://bucket/a//b", "empty part"),
        ("s3:///key", "names no bucket"),
    ] {
        let done = world.run(&["digest", url, "d/a"]);
        assert!(done.failure().contains(what), "{url}: {done:?}");
        assert_eq!(done.out.lines().count(), 1, "{url}");
    }
    let mut tool = world.tool(&["digest", "s3://bucket/d/", "d/a"]);
    tool.env("AWS_ACCESS_KEY_ID", "AKIAother-hunter2");
    let done = super::world::finish(tool);
    assert!(
        done.failure().contains("403 InvalidAccessKeyId"),
        "{done:?}"
    );
    assert_eq!(done.out.lines().count(), 1);
}

#[test]
fn secrets_are_in_no_message() {
    let world = three();
    for url in [
        "s3://hunter2:hunter2@bucket/d/a",
        "s3://bucket/d/a?X-Amz-Credential=hunter2&X-Amz-Signature=hunter2",
        "https://user:hunter2@127.0.0.1:1/x?sig=hunter2",
        "http://user:hunter2@[::x]/",
    ] {
        // `finish` looks for the secrets.
        let done = world.run(&["scan", "x", url]);
        assert_eq!(done.code, Some(2), "{done:?}");
        let list = world.path().join("list");
        std::fs::write(&list, url).unwrap();
        assert_eq!(world.run(&["digest", "--files-from", "list"]).code, Some(2));
        std::fs::write(&list, format!("{}  {url}\n", "0".repeat(64))).unwrap();
        world.run(&["digest", "--check", "list"]);
    }
}

#[test]
fn a_placeholder_of_a_directory_is_no_object() {
    let world = three();
    // A listing names it without its slash, and nothing is there.
    world.store.put("bucket/d/sub/", "");
    world.put("d/empty", "");
    let rows = world.run(&DIGEST).rows();
    assert_eq!(rows.len(), 4, "{rows:?}");
}

#[test]
fn a_signal_ends_a_run_whose_store_stalls() {
    let world = three();
    world.store.fails(|request, _| match request.path.as_str() {
        "bucket/d/b" => Fault::Stall(1000),
        _ => Fault::None,
    });
    let child = world.tool(&DIGEST).spawn().unwrap();
    let mut patience = Patience::new();
    while world.store.requests() < 4 {
        assert_eq!(patience.over(), None);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(wait(child).code, Some(130));
}

#[test]
fn an_endpoint_that_is_not_encrypted_must_be_allowed() {
    let world = three();
    let mut tool = world.tool(&["digest", "s3://bucket/d/a"]);
    tool.env_remove("AWS_ALLOW_HTTP");
    let done = finish(tool);
    assert!(done.failure().contains("AWS_ALLOW_HTTP=true"), "{done:?}");
}
