//! No two files of a library depend on each other, directly or indirectly: between the files of a crate, the paths that
//! begin with `crate`, `super` or the name of a child form no cycle. Declaring a child does not count as using it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The libraries that are checked.
const CRATES: [&str; 4] = ["gristmill", "python", "rows", "stdio"];

type Module = Vec<String>;

/// Reads the files below `directory` by module, without comments and tests.
fn read(directory: &Path, module: &[String], files: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut inner = module.to_vec();
        inner.extend((!matches!(name, "lib" | "mod")).then(|| name.to_owned()));
        if path.is_dir() {
            read(&path, &inner, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") && name != "tests" {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code = text.lines().map(|line| line.split("//").next().unwrap());
            files.insert(inner, code.collect::<Vec<_>>().join(" "));
        }
    }
}

/// Adds the paths in `text` to `found`, those in braces written out behind `before`. Returns how far it has read: where
/// `before` is not empty, up to the brace that closes the group.
fn paths(text: &str, before: &[String], found: &mut Vec<Module>) -> usize {
    let (mut path, mut at) = (before.to_vec(), 0);
    while at < text.len() {
        let rest = &text[at..];
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        match word.unwrap_or(rest.len()) {
            0 if rest.starts_with("::{") => {
                at += 3 + paths(&rest[3..], &path, found);
                path = before.to_vec();
            }
            0 if rest.starts_with("::") => at += 2,
            0 => {
                found.push(std::mem::replace(&mut path, before.to_vec()));
                at += rest.chars().next().map_or(0, char::len_utf8);
                if rest.starts_with('}') && !before.is_empty() {
                    return at;
                }
            }
            word => {
                path.push(rest[..word].to_owned());
                at += word;
            }
        }
    }
    at
}

/// The file that a path in `module` leads to.
fn file_of(path: &[String], module: &[String], files: &BTreeMap<Module, String>) -> Module {
    let mut absolute = module.to_vec();
    for word in path {
        match word.as_str() {
            "crate" => absolute.clear(),
            "super" => drop(absolute.pop()),
            "self" => {}
            _ => absolute.push(word.clone()),
        }
    }
    while !files.contains_key(&absolute) {
        absolute.pop();
    }
    absolute
}

#[test]
fn files_of_a_library_use_each_other_in_one_direction() {
    for name in CRATES {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeMap::new();
        read(&here.join("..").join(name).join("src"), &[], &mut files);
        let mut left: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, text) in &files {
            let mut found = Vec::new();
            paths(text, &[], &mut found);
            let found = found.iter().filter(|path| path.len() > 1);
            let used = found.map(|path| file_of(path, module, &files));
            left.insert(module.clone(), used.filter(|used| used != module).collect());
        }
        // A file that uses none of the remaining files, or that none of them uses, is not part of a cycle.
        let mut before = usize::MAX;
        while left.len() < before {
            before = left.len();
            let there: BTreeSet<Module> = left.keys().cloned().collect();
            let used: BTreeSet<Module> = left.values().flatten().cloned().collect();
            left.retain(|module, uses| used.contains(module) && !uses.is_disjoint(&there));
            left.values_mut()
                .for_each(|uses| uses.retain(|used| there.contains(used)));
        }
        let shown = |(module, uses): (&Module, &BTreeSet<Module>)| {
            let uses: Vec<String> = uses.iter().map(|used| used.join("::")).collect();
            format!("{} uses {}", module.join("::"), uses.join(", "))
        };
        let circles: Vec<String> = left.iter().map(shown).collect();
        assert!(
            circles.is_empty(),
            "circles in {name}:\n{}",
            circles.join("\n")
        );
    }
}
