//! Objects of HTTP servers.

use super::world::World;
use gristmill_testing::store::{Fault, Manner};

fn served() -> World {
    let world = World::new();
    world.put("w/a.txt", "a needle\n");
    world.put("w/b.txt", b"a needle\n".repeat(1 << 18));
    world.put("w/empty", "");
    world
}

/// The digests of all objects, by URL and by path.
fn compare(world: &World) {
    let url = format!("{}/bucket/w/", world.store.endpoint());
    for name in ["a.txt", "b.txt", "empty"] {
        for arguments in [
            &["digest"][..],
            &["scan", "-c", "--with-filename", "needle"],
            &["digest", "--algorithm", "md5"],
        ] {
            let (url, path) = (format!("{url}{name}"), format!("w/{name}"));
            world.same(arguments, &url, &path);
        }
    }
}

#[test]
fn servers_with_ranges_weak_etags_and_without_ranges_give_the_same() {
    for manner in [Manner::Usual, Manner::Weak, Manner::Whole, Manner::Chunked] {
        let world = served();
        world.store.give("bucket/", manner);
        compare(&world);
    }
}

#[test]
fn a_query_is_sent_and_not_shown() {
    let world = served();
    world
        .store
        .fails(|request, _| match request.parameter("sig").as_deref() {
            Some("hunter2") => Fault::None,
            _ => Fault::Status(403, "AccessDenied"),
        });
    let url = format!("{}/bucket/w/a.txt", world.store.endpoint());
    let rows = world.run(&["digest", &format!("{url}?sig=hunter2")]).rows();
    assert!(rows[0].ends_with(&format!("  {url}")), "{rows:?}");
    let error = world.run(&["digest", &format!("{url}?sig=other&x=hunter2")]);
    assert!(error.failure().contains("access is refused"), "{error:?}");
}

#[test]
fn a_user_and_a_password_are_sent_and_not_shown() {
    let world = served();
    world
        .store
        .fails(|request, _| match request.header("authorization") {
            // user:hunter2
            Some("Basic dXNlcjpodW50ZXIy") => Fault::None,
            _ => Fault::Status(401, "Unauthorized"),
        });
    let bare = format!("{}/bucket/w/a.txt", world.store.endpoint());
    let url = bare.replace("http://", "http://user:hunter2@");
    let rows = world.run(&["digest", &url]).rows();
    assert!(rows[0].ends_with(&format!("  {bare}")), "{rows:?}");
    let error = world.run(&["digest", &bare]);
    assert!(error.failure().contains("401"), "{error:?}");
}

#[test]
fn what_goes_wrong_is_told() {
    let world = served();
    let url = |name: &str| format!("{}/bucket/w/{name}", world.store.endpoint());
    let gone = world.run(&["digest", &url("gone"), &url("a.txt")]);
    assert!(gone.failure().contains("not found"), "{gone:?}");
    assert_eq!(gone.out.lines().count(), 1);
    let closed = world.run(&["digest", "http://127.0.0.1:1/x"]);
    assert!(closed.failure().contains("cannot connect"), "{closed:?}");
    // A server without ranges cannot be asked for the rest.
    world.store.give("bucket/", Manner::Whole);
    world.store.fails(|_, _| Fault::Cut(5000));
    let cut = world.run(&["digest", &url("b.txt")]);
    assert!(
        cut.failure().contains("does not support range requests"),
        "{cut:?}"
    );
}
