//! No two files of a crate depend on each other, directly or indirectly: between the files of a crate, the paths that
//! begin with `crate`, `super` or the name of a child form no cycle. Declaring a child does not count as using it, and
//! neither does handing on its names: a path to a name that is handed on leads to the file that defines it. The cycles
//! that stay are listed with their reasons in [`NATURAL`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Cycles that stay: the crate, the files, which may use each other, and the reason.
const NATURAL: &[(&str, &[&str], &str)] = &[
    (
        "megakernel",
        &[
            "backend::device::cuda",
            "backend::device::cuda::devices",
            "backend::device::cuda::memory",
        ],
        "a driver lists its devices and allocates their memory, and both name the driver in their errors",
    ),
    (
        "megakernel",
        &[
            "backend::device::opencl",
            "backend::device::opencl::devices",
            "backend::device::opencl::memory",
        ],
        "as for cuda",
    ),
    (
        "megakernel",
        &[
            "stream",
            "stream::crc32c",
            "stream::engine",
            "stream::histogram",
            "stream::lines",
            "stream::regex",
            "stream::scan",
            "stream::subtrees",
        ],
        "a job is one of the opcodes, and an opcode may name the job that a device does of it; a set of regexes holds \
         the set of their literals",
    ),
    (
        "patterns",
        &["lines", "lines::error"],
        "which pattern of a set is wrong is found by making a matcher of each",
    ),
    (
        "patterns",
        &["regexes", "regexes::builder"],
        "a set and its builder name each other",
    ),
    (
        "patterns",
        &["set", "set::builder"],
        "a set and its builder name each other",
    ),
    (
        "ring",
        &["chunk", "pool"],
        "a pool holds chunks, and a chunk returns to its pool when it is dropped",
    ),
];

type Module = Vec<String>;

/// A file of a crate.
#[derive(Default)]
struct File {
    /// Its code, without comments, tests and what it hands on.
    code: String,
    /// The names that it hands on, and their paths.
    handed_on: Vec<(String, Module)>,
}

/// Reads the files below `directory` by module.
fn read(directory: &Path, module: &[String], files: &mut BTreeMap<Module, File>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut inner = module.to_vec();
        inner.extend((!matches!(name, "lib" | "main" | "mod")).then(|| name.to_owned()));
        if path.is_dir() {
            read(&path, &inner, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") && name != "tests" {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code = text.lines().map(|line| line.split("//").next().unwrap());
            files.insert(inner, parsed(&code.collect::<Vec<_>>().join(" ")));
        }
    }
}

/// Takes the declarations of children and what is handed on out of a file's code.
fn parsed(code: &str) -> File {
    let mut file = File::default();
    for statement in code.split_inclusive(';') {
        let words = statement.trim_start().replace("pub(crate)", "pub");
        let words = words.replace("pub(super)", "pub");
        if let Some(at) = words.find("pub use ") {
            file.code += &words[..at];
            let mut found = Vec::new();
            paths(&words[at + "pub use ".len()..], &[], &mut found);
            file.handed_on.extend(named(&found));
        } else if !words.starts_with("mod ") && !words.starts_with("pub mod ") {
            file.code += statement;
        }
    }
    // What it hands on and names in its own code, it uses.
    let own: BTreeSet<&str> = (file.code)
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let used = file.handed_on.iter();
    let used = used.filter(|(name, _)| own.contains(name.as_str()));
    let used: String = used.map(|(_, path)| path.join("::") + ";").collect();
    file.code += &used;
    file
}

/// The names by which paths are handed on: their last words, or what stands behind `as`.
fn named(paths: &[Module]) -> Vec<(String, Module)> {
    let mut all: Vec<(String, Module)> = Vec::new();
    let mut words = paths.iter();
    while let Some(path) = words.next() {
        match path.last().map(String::as_str) {
            Some("as") => {
                if let (Some((name, _)), Some(new)) = (all.last_mut(), words.next()) {
                    *name = new.last().unwrap().clone();
                }
            }
            Some(name) => all.push((name.to_owned(), path.clone())),
            None => {}
        }
    }
    all
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
                if path.len() > before.len() {
                    found.push(std::mem::replace(&mut path, before.to_vec()));
                }
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

/// The file that a path in `module` leads to; `None` if it leads out of the crate.
fn file_of(path: &[String], module: &[String], files: &BTreeMap<Module, File>) -> Option<Module> {
    let mut absolute = module.to_vec();
    for (at, word) in path.iter().enumerate() {
        match word.as_str() {
            "crate" => absolute.clear(),
            "super" => drop(absolute.pop()),
            "self" => {}
            _ => {
                absolute.push(word.clone());
                if files.contains_key(&absolute) {
                    continue;
                }
                absolute.pop();
                let here = files.get(&absolute)?;
                let handed_on = here.handed_on.iter().find(|(name, _)| name == word);
                return match handed_on {
                    // A name of another crate, or of the file itself.
                    Some((_, to)) if !is_within(to, &absolute, files) => None,
                    Some((_, to)) => file_of(&[to, &path[at + 1..]].concat(), &absolute, files),
                    None => Some(absolute),
                };
            }
        }
    }
    Some(absolute)
}

/// Whether a path in `module` leads to a file of the crate.
fn is_within(path: &[String], module: &[String], files: &BTreeMap<Module, File>) -> bool {
    let child = || {
        let child = path
            .first()
            .map(|name| [module, std::slice::from_ref(name)].concat());
        child.is_some_and(|child| files.contains_key(&child))
    };
    path.len() > 1 && (matches!(path[0].as_str(), "crate" | "super" | "self") || child())
}

/// The files that each file uses.
fn graph(files: &BTreeMap<Module, File>) -> BTreeMap<Module, BTreeSet<Module>> {
    let uses = files.iter().map(|(module, file)| {
        let mut found = Vec::new();
        paths(&file.code, &[], &mut found);
        let found = found.iter().filter(|path| is_within(path, module, files));
        let used = found.filter_map(|path| file_of(path, module, files));
        (module.clone(), used.filter(|used| used != module).collect())
    });
    uses.collect()
}

/// Leaves of a graph what is part of a cycle, or lies between two.
fn keep_cycles(left: &mut BTreeMap<Module, BTreeSet<Module>>) {
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
}

#[test]
fn files_of_a_crate_use_each_other_in_one_direction() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        let entry = entry.unwrap();
        let (name, mut files) = (entry.file_name(), BTreeMap::new());
        read(&entry.path().join("src"), &[], &mut files);
        let mut left = graph(&files);
        for (_, cycle, _) in NATURAL.iter().filter(|(of, ..)| name == **of) {
            let of_cycle = |module: &Module| cycle.contains(&&*module.join("::"));
            let mut alone = left.clone();
            alone.retain(|module, _| of_cycle(module));
            alone.values_mut().for_each(|uses| uses.retain(of_cycle));
            keep_cycles(&mut alone);
            if alone.len() < cycle.len() {
                wrong.push(format!("{name:?}: no cycle any more: {}", cycle.join(", ")));
            }
            for (_, uses) in left.iter_mut().filter(|(module, _)| of_cycle(module)) {
                uses.retain(|used| !of_cycle(used));
            }
        }
        keep_cycles(&mut left);
        wrong.extend(left.iter().map(|(module, uses)| {
            let uses: Vec<String> = uses.iter().map(|used| used.join("::")).collect();
            let module = module.join("::");
            format!("{name:?}: {module} uses {}", uses.join(", "))
        }));
    }
    assert!(wrong.is_empty(), "cycles:\n{}", wrong.join("\n"));
}
