//! That no two files of a library need each other, directly or around: the graph of `crate::`, `super::` and child paths
//! between the files of each crate has no circle. A file may declare its children; those use it, or it uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The libraries that hold this promise.
const CRATES: [&str; 1] = ["gristmill"];

type Module = Vec<String>;

/// The files below `directory` by module, without comments, tests and what lies in strings over several lines.
fn read(directory: &Path, module: &Module, files: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let inner: Module = match name.as_str() {
            "lib" | "mod" => module.clone(),
            _ => module.iter().cloned().chain([name.clone()]).collect(),
        };
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

/// The paths that a text holds, with groups in braces written out.
fn paths(text: &str, before: &[String], found: &mut Vec<Module>) -> usize {
    let (mut path, mut at) = (before.to_vec(), 0);
    while let Some(next) = text[at..].chars().next() {
        let word = text[at..]
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len() - at);
        match next {
            _ if word > 0 => path.push(text[at..at + word].to_owned()),
            ':' if text[at..].starts_with("::") => at += 1,
            '{' if text[..at].ends_with("::") => {
                at += paths(&text[at + 1..], &path, found);
                path = before.to_vec();
            }
            _ => {
                found.push(std::mem::replace(&mut path, before.to_vec()));
                if next == '}' && !before.is_empty() {
                    return at + 1;
                }
            }
        }
        at += word.max(1);
    }
    at
}

/// The files that each file of a crate uses.
fn graph(source: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut files = BTreeMap::new();
    read(source, &Vec::new(), &mut files);
    let used = |module: &Module, text: &str| {
        let mut found = Vec::new();
        paths(text, &[], &mut found);
        let known = |path: Module| {
            let mut absolute = match path.first()?.as_str() {
                "crate" => Vec::new(),
                "super" => module[..module.len() - 1].to_vec(),
                _ => module.clone(),
            };
            let own = |word: &&String| matches!(word.as_str(), "crate" | "self");
            for word in path
                .iter()
                .skip_while(own)
                .skip(usize::from(path[0] == "super"))
            {
                match word.as_str() {
                    "super" => drop(absolute.pop()),
                    _ => absolute.push(word.clone()),
                }
            }
            let relative = matches!(path[0].as_str(), "crate" | "super");
            while !files.contains_key(&absolute) {
                absolute.pop()?;
            }
            (absolute != *module && (relative || path.len() > 1)).then_some(absolute)
        };
        found.into_iter().filter_map(known).collect()
    };
    files
        .iter()
        .map(|(module, text)| (module.clone(), used(module, text)))
        .collect()
}

#[test]
fn files_of_a_library_use_each_other_in_one_direction() {
    for name in CRATES {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("src");
        let mut left = graph(&source);
        assert!(
            left.values().any(|used| !used.is_empty()),
            "{name}: nothing was found"
        );
        // What uses nothing that is left is no part of a circle, and what nothing uses that is left is none either.
        loop {
            let all: BTreeSet<Module> = left.keys().cloned().collect();
            let users: BTreeSet<Module> = left.values().flatten().cloned().collect();
            left.retain(|module, used| users.contains(module) && !used.is_disjoint(&all));
            if left.len() == all.len() {
                break;
            }
        }
        let shown = |(module, used): (&Module, &BTreeSet<Module>)| {
            let used = used
                .iter()
                .filter(|used| left.contains_key(*used))
                .map(|used| used.join("::"));
            format!(
                "{} uses {}",
                module.join("::"),
                used.collect::<Vec<_>>().join(", ")
            )
        };
        assert!(
            left.is_empty(),
            "circles in {name}:\n{}",
            left.iter().map(shown).collect::<Vec<_>>().join("\n")
        );
    }
}
