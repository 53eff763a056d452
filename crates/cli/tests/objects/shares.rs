//! Objects in shares of a run.

use super::world::World;
use gristmill::objects::ObjectStores;
use gristmill::source::{is_url, plan, Cutting, Item, Origin, ShareSource, Source, Tree};
use std::path::Path;
use std::sync::Arc;

#[test]
fn shares_have_whole_objects_by_urls_that_lead_to_them() {
    let world = World::new();
    for (name, bytes) in [("s/a", 3000), ("s/b", 3000), ("s/large", 20_000), ("t", 10)] {
        world.put(name, vec![b'x'; bytes]);
    }
    let variables = world.store.variables();
    let variables = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let stores = ObjectStores::with_variables(variables);
    let shown = format!("{}/bucket/t", world.store.endpoint());
    let signed = format!("{shown}?sig=hunter2");
    let file = world.path().join("s/a");
    let tree = Tree::new(["s3://bucket/s/".into(), signed.clone().into(), file.clone()]);
    let cutting = Cutting {
        share_bytes: 4096,
        cut: true,
        ..Cutting::default()
    };
    let mut listed = tree.objects(Arc::clone(&stores) as _).walk().unwrap();
    let (shares, notices) = plan(&mut listed, &cutting);
    assert_eq!(notices, Vec::<String>::new());
    let mut parts: Vec<(String, u64)> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for share in shares {
        for part in &share.parts {
            assert_eq!((&part.part, &part.failed), (&None, &None));
            parts.push((part.path.display().to_string(), part.size));
        }
        let remote = share.parts.iter().any(|part| is_url(&part.path));
        let mut source = ShareSource::new(share).objects(Arc::clone(&stores) as _);
        assert_eq!(source.is_remote(), remote);
        while let Some(item) = source.next_item() {
            let Item::Entry(entry) = item else {
                panic!("{item:?}");
            };
            let object = matches!(entry.origin, Origin::Object(_));
            assert_eq!(object, entry.path != Path::new(&file));
            names.push(entry.path.display().to_string());
        }
    }
    parts.sort();
    names.sort();
    let file = file.display().to_string();
    let of = |name: &str, size| (name.to_owned(), size);
    let mut expected = [
        of(&file, 3000),
        of(&signed, 0),
        of("s3://bucket/s/a", 3000),
        of("s3://bucket/s/b", 3000),
        of("s3://bucket/s/large", 20_000),
    ];
    expected.sort();
    assert_eq!(parts, expected);
    let mut expected = expected.map(|(name, _)| name.replace(&signed, &shown));
    expected.sort();
    assert_eq!(names, expected);
}
