//! Manifests compared, beside a naive comparison of trees in memory.

use crate::world::{gathered, head, Made};
use gristmill::jobs::digest::Algorithm;
use gristmill::manifest::{Change, Diff, Duplicates, Head, ManifestErrorKind, Names};
use gristmill_testing::seed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

type Tree = BTreeMap<String, Made>;

fn made(random: &mut fastrand::Rng, path: &str) -> Made {
    // Few contents, so that some are there several times; no two times are the same by chance.
    let content = vec![random.u8(b'a'..b'e'); random.usize(..4)];
    Made::new(path, content, random.i64(..))
}

fn name(random: &mut fastrand::Rng) -> String {
    let parts = (0..random.usize(1..4)).map(|_| random.u8(b'a'..b'f').to_string());
    parts.collect::<Vec<_>>().join("/")
}

/// What was done to a file, by the path that it has now, or had.
fn mutate(random: &mut fastrand::Rng, tree: &mut Tree) {
    for path in tree.keys().cloned().collect::<Vec<_>>() {
        let file = tree.get_mut(&path).unwrap();
        match random.u8(..12) {
            0 => {
                tree.remove(&path);
            }
            // Changed, with another time.
            1 => *file = made(random, &path),
            // Rot: another content of the same size, with the same time.
            2 => file.content = file.content.take().map(|bytes| vec![b'z'; bytes.len()]),
            // Touched.
            3 => file.modified_ns = Some(random.i64(..)),
            4 => {
                let mut file = tree.remove(&path).unwrap();
                let to = format!("moved/{path}");
                file.path = to.clone().into();
                tree.insert(to, file);
            }
            5 => *file = Made::unread(path),
            _ => {}
        }
    }
    for _ in 0..random.usize(..4) {
        let path = name(random);
        tree.entry(path.clone())
            .or_insert_with(|| made(random, &path));
    }
}

/// The numbers of each kind that a comparison path by path finds, and the sets of paths but for moves.
fn naive(
    old: &Tree,
    new: &Tree,
) -> (
    BTreeMap<&'static str, usize>,
    BTreeSet<(String, &'static str)>,
) {
    let mut counts = BTreeMap::new();
    let mut sure = BTreeSet::new();
    let gone = |tree: &Tree, path: &str| {
        let above = tree.iter().filter(|(_, file)| file.content.is_none());
        above
            .into_iter()
            .any(|(gap, _)| path.starts_with(&format!("{gap}/")))
    };
    // What is on one side alone, by content.
    let mut alone: BTreeMap<Vec<u8>, (usize, usize)> = BTreeMap::new();
    for path in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let kind = match (old.get(path), new.get(path)) {
            (Some(a), Some(b)) => match (&a.content, &b.content) {
                (None, _) | (_, None) => "unread",
                (Some(x), Some(y)) if x == y && a.modified_ns == b.modified_ns => "unchanged",
                (Some(x), Some(y)) if x == y => "touched",
                (Some(x), Some(y)) if x.len() == y.len() && a.modified_ns == b.modified_ns => "rot",
                _ => "changed",
            },
            (Some(a), None) if a.content.is_none() || gone(new, path) => "unread",
            (None, Some(b)) if b.content.is_none() || gone(old, path) => "unread",
            (one, other) => {
                let file = one.or(other).unwrap();
                let of = alone.entry(file.content.clone().unwrap()).or_default();
                of.0 += usize::from(one.is_some());
                of.1 += usize::from(other.is_some());
                continue;
            }
        };
        *counts.entry(kind).or_default() += 1;
        if kind != "unchanged" && kind != "touched" {
            sure.insert((path.clone(), kind));
        }
    }
    for (content, (before, after)) in alone {
        let moved = if content.is_empty() {
            0
        } else {
            before.min(after)
        };
        for (kind, count) in [
            ("moved", moved),
            ("removed", before - moved),
            ("added", after - moved),
        ] {
            *counts.entry(kind).or_default() += count;
        }
    }
    (counts, sure)
}

#[test]
fn differences_are_those_of_a_naive_comparison() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_DIFF_SEED"));
    for _ in 0..400 {
        let mut old = Tree::new();
        for _ in 0..random.usize(..40) {
            let path = name(&mut random);
            old.insert(path.clone(), made(&mut random, &path));
        }
        let mut new = old.clone();
        mutate(&mut random, &mut new);
        // Another root, and another order.
        let below = |root: &str, tree: &Tree, random: &mut fastrand::Rng| {
            let mut files: Vec<Made> = tree.values().cloned().collect();
            for file in &mut files {
                file.path = [root.as_bytes(), b"/", &file.path].concat();
            }
            random.shuffle(&mut files);
            files
        };
        let roots = ["/mnt/old", "tree"];
        let before = gathered(
            &head(None, &roots[..1]),
            &below(roots[0], &old, &mut random),
        );
        let after = gathered(
            &head(None, &roots[1..]),
            &below(roots[1], &new, &mut random),
        );
        let diff = Diff::new(&before, &after, &Names::default()).unwrap();
        let (expected, sure) = naive(&old, &new);
        let expected = |kind: &str| expected.get(kind).copied().unwrap_or(0) as u64;
        let counts = diff.counts();
        let found = [
            (
                counts.unchanged,
                expected("unchanged") + expected("touched"),
            ),
            (counts.touched, expected("touched")),
            (counts.added, expected("added")),
            (counts.removed, expected("removed")),
            (counts.changed, expected("changed")),
            (counts.moved, expected("moved")),
            (counts.rot, expected("rot")),
            (counts.unread, expected("unread")),
        ];
        for (found, expected) in found {
            assert_eq!(found, expected, "{counts:?}\n{old:#?}\n{new:#?}");
        }
        let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let mut last = String::new();
        let mut seen = BTreeSet::new();
        for difference in diff.iter() {
            let name = text(difference.name);
            assert!(name >= last, "{name} {last}");
            last = name.clone();
            match difference.change {
                Change::Moved => {
                    let from = &old[&text(difference.old_name.unwrap())];
                    assert_eq!(from.content, new[&name].content);
                    assert!(!new.contains_key(&text(difference.old_name.unwrap())));
                }
                Change::Added => assert!(!old.contains_key(&name) && new.contains_key(&name)),
                Change::Removed => assert!(old.contains_key(&name) && !new.contains_key(&name)),
                change => {
                    assert_eq!(difference.reason().is_some(), change == Change::Unread);
                    seen.insert((name, change.name()));
                }
            }
        }
        assert_eq!(seen, sure);
    }
}

#[test]
fn a_moved_file_is_matched_with_the_one_of_its_own_name_first() {
    let file = |path: &str, content: &str| Made::new(path, content, 1);
    let old = [
        file("a/x", "same"),
        file("a/y", "same"),
        file("a/z", "same"),
        file("e", ""),
    ];
    let new = [file("b/y", "same"), file("b/q", "same"), file("f", "")];
    let (old, new) = (
        gathered(&head(None, &[]), &old),
        gathered(&head(None, &[]), &new),
    );
    let diff = Diff::new(&old, &new, &Names::default()).unwrap();
    assert!(diff.has_no_name_in_common());
    let told: Vec<String> = diff
        .iter()
        .map(|of| {
            let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
            format!(
                "{} {} {:?}",
                of.change.name(),
                text(of.name),
                of.old_name.map(text)
            )
        })
        .collect();
    let expected = [
        "removed a/z None",
        "moved b/q Some(\"a/x\")",
        "moved b/y Some(\"a/y\")",
        "removed e None",
        "added f None",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_changed_while_it_was_read_is_no_rot_and_twice_the_same_is_once() {
    let mut old = Made::new("a", "x", 5);
    old.changed = true;
    let new = Made::new("a", "y", 5);
    let of = |files: &[Made]| gathered(&head(None, &[]), files);
    let (before, after) = (
        of(&[old.clone(), old.clone()]),
        of(std::slice::from_ref(&new)),
    );
    let diff = Diff::new(&before, &after, &Names::default()).unwrap();
    assert_eq!((diff.counts().changed, diff.counts().rot), (1, 0));
    let twice = of(&[old, new]);
    let error = Diff::new(&twice, &after, &Names::default()).unwrap_err();
    assert!(
        matches!(&error, ManifestErrorKind::Twice { path } if path == "a"),
        "{error}"
    );
}

#[test]
fn digests_in_common_decide_and_prefixes_are_stripped() {
    let file = |path: &str| Made::new(path, "content", 1);
    let old = gathered(&head(None, &[]), &[file("/one/a")]);
    let new = gathered(&head(None, &[]), &[file("two/a")]);
    let names = Names {
        strip: ["/one", "two"].map(PathBuf::from).into(),
    };
    assert!(Diff::new(&old, &new, &names).unwrap().is_empty());
    let other = gathered(&Head::new(Algorithm::Sha256.into(), None, []), &[]);
    let error = Diff::new(&old, &other, &names).unwrap_err().to_string();
    assert!(error.contains("--algorithm blake3,xxh3-64"), "{error}");
}

#[test]
fn duplicates_are_those_of_a_naive_search() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_DUPES_SEED"));
    for round in 0..300 {
        let empty = round % 2 == 0;
        let mut files: Vec<Made> = (0..random.usize(..40))
            .map(|number| {
                let mut file = made(&mut random, &format!("{number:02}"));
                // Half of the files have an inode of their own, or share one with the same content.
                let content = file.content.clone().unwrap();
                file.id = random.bool().then(|| {
                    let kind = u64::from(content.first().copied().unwrap_or(0));
                    (kind * 10 + content.len() as u64, random.u64(..3))
                });
                file
            })
            .collect();
        if random.bool() {
            files.push(Made::unread("gone"));
        }
        let manifest = gathered(&head(None, &[]), &files);
        let dupes = Duplicates::new(&manifest, empty);
        let mut by_content: BTreeMap<&[u8], Vec<&Made>> = BTreeMap::new();
        for file in files.iter().filter(|file| file.content.is_some()) {
            let content = file.content.as_deref().unwrap();
            by_content.entry(content).or_default().push(file);
        }
        let mut expected = BTreeSet::new();
        let mut saved = 0;
        for (content, files) in by_content {
            let ids: BTreeSet<_> = files.iter().filter_map(|file| file.id).collect();
            let own = files.iter().filter(|file| file.id.is_none()).count();
            if ids.len() + own > 1 && (empty || !content.is_empty()) {
                saved += (ids.len() + own - 1) as u64 * content.len() as u64;
                expected.insert(
                    files
                        .iter()
                        .map(|file| file.path.clone())
                        .collect::<BTreeSet<_>>(),
                );
            }
        }
        let found: BTreeSet<BTreeSet<Vec<u8>>> = (dupes.groups().iter())
            .map(|group| {
                let names = group.files.iter().flatten();
                for links in &group.files {
                    let ids: BTreeSet<_> = links.iter().map(|row| manifest.file(*row).id).collect();
                    assert!(ids.len() == 1 && (links.len() == 1 || ids.first() != Some(&None)));
                }
                names.map(|row| manifest.file(*row).path.to_vec()).collect()
            })
            .collect();
        assert_eq!(found, expected);
        assert_eq!(dupes.savable_bytes(), saved);
        let savings = dupes.groups().iter().map(|group| group.savable_bytes());
        assert!(savings.is_sorted_by(|one, other| one >= other));
        assert_eq!(
            dupes.unread(),
            files.iter().filter(|file| file.content.is_none()).count() as u64
        );
    }
}

#[test]
fn chunks_that_are_there_more_than_once_are_counted_and_hard_links_once() {
    let mut files = vec![
        Made::new("a", "0123456789", 1),
        Made::new("b", "0123456789", 1),
        Made::new("c", "01234xxxxx", 1),
        Made::new("d", "", 1),
    ];
    let share = |files: &[Made]| {
        let share = gathered(&head(Some("gear".parse().unwrap()), &[]), files).chunk_share();
        let share = share.unwrap();
        (
            share.bytes,
            share.repeated_bytes,
            share.chunks,
            share.different,
        )
    };
    assert_eq!(share(&files), (30, 15, 6, 3));
    (files[0].id, files[1].id) = (Some((1, 2)), Some((1, 2)));
    assert_eq!(share(&files), (20, 5, 4, 3));
    assert!(gathered(&head(None, &[]), &files).chunk_share().is_none());
}
