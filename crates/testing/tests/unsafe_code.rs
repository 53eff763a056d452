//! Checks that `docs/soundness.md` lists every file with unsafe code and every door, and nothing that no longer exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Rust sources below a folder, as paths relative to the repository's root.
fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root().join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                // These hold programs that must not compile, and cargo's output.
                if !path.ends_with("/refused") && !path.ends_with("/target") {
                    folders.push(path);
                }
            } else if path.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The length of the token at the beginning of `rest`: a comment, a literal, a word, or a single character.
fn token_length(rest: &str) -> usize {
    let raw = rest.strip_prefix('b').unwrap_or(rest);
    if let Some(raw) = raw.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let begin = rest.len() - raw.len() + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            let length = rest[begin..].find(&end);
            return length.map_or(rest.len(), |at| begin + at + end.len());
        }
    }
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    if let Some(string) = rest.strip_prefix('"') {
        let mut escaped = false;
        let close = string.find(|next| {
            let ends = next == '"' && !escaped;
            escaped = next == '\\' && !escaped;
            ends
        });
        return close.map_or(rest.len(), |at| at + 2);
    }
    for quote in ["'\"'", "'\\\"'"] {
        if rest.starts_with(quote) {
            return quote.len();
        }
    }
    let word = |next: char| next.is_alphanumeric() || next == '_';
    match rest.find(|next| !word(next)) {
        Some(0) => rest.chars().next().map_or(0, char::len_utf8),
        Some(length) => length,
        None => rest.len(),
    }
}

/// The words and marks of a source, without comments and strings.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while !rest.is_empty() {
        let (token, behind) = rest.split_at(token_length(rest));
        let plain = !token.contains('"') && !token.starts_with("//") && !token.starts_with("/*");
        if plain && !token.trim().is_empty() {
            tokens.push(token.to_owned());
        }
        rest = behind;
    }
    tokens
}

#[test]
fn comments_and_strings_hold_no_code() {
    let source = r###"
        // unsafe
        /* unsafe */ let a = "\"unsafe"; let b = r#"" unsafe"#; let c = '"'; /// unsafe
        fn d<'a>() { unsafe_code; b"unsafe"; '\"' }
    "###;
    assert!(!tokens(source).iter().any(|token| token == "unsafe"));
    let source = format!("{source} unsafe fn e() {{}}");
    let found = tokens(&source);
    let place = found.iter().position(|token| token == "unsafe").unwrap();
    assert_eq!(found[place + 1..place + 3], ["fn", "e"]);
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The part of the document below a heading.
fn section(heading: &str) -> String {
    let document = read("docs/soundness.md");
    let heading = format!("\n## {heading}\n");
    let (_, section) = document.split_once(&heading).expect("the heading");
    section.split("\n## ").next().unwrap().to_owned()
}

/// The names in backquotes in the first column of a section's table.
fn first_column(heading: &str) -> BTreeSet<String> {
    section(heading)
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The folders that are searched for unsafe code: everything that is built, and its tests.
const FOLDERS: [&str; 6] = ["crates", "bench", "vm", "examples", "fuzz", "xtask"];

#[test]
fn every_file_that_holds_unsafe_code_is_listed() {
    let listed = first_column("Files");
    let (mut unlisted, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for path in FOLDERS.iter().flat_map(|folder| sources(folder)) {
        if !tokens(&read(&path)).iter().any(|token| token == "unsafe") {
            continue;
        }
        let folder = path.find("/tests/").map(|at| path[..at + 7].to_owned());
        let row = folder.unwrap_or(path);
        if listed.contains(&row) {
            seen.insert(row);
        } else {
            unlisted.insert(row);
        }
    }
    let gone: Vec<_> = listed.difference(&seen).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "docs/soundness.md, Files: not listed: {unlisted:#?}; listed without unsafe code: {gone:#?}"
    );
}

#[test]
fn every_unsafe_function_and_trait_is_a_door_that_is_listed() {
    let named: BTreeSet<String> = tokens(&section("Doors")).into_iter().collect();
    let mut missing = Vec::new();
    for path in sources("crates") {
        if !path.contains("/src/") {
            continue;
        }
        for window in tokens(&read(&path)).windows(3) {
            let door = window[0] == "unsafe" && ["fn", "trait"].contains(&window[1].as_str());
            if door && !named.contains(&window[2]) {
                missing.push(format!("{path}: {} {}", window[1], window[2]));
            }
        }
    }
    assert!(missing.is_empty(), "docs/soundness.md, Doors: {missing:#?}");
}

#[test]
fn every_other_crate_forbids_unsafe_code() {
    let allowed = first_column("Where unsafe code may stand");
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("crates/{name}");
        let source = ["lib.rs", "main.rs"].iter().find_map(|file| {
            std::fs::read_to_string(root().join(&path).join("src").join(file)).ok()
        });
        let Some(source) = source else { continue };
        let words = tokens(&source);
        let says = |level: &str| {
            let attribute = [level, "(", "unsafe_code"];
            words.windows(3).any(|window| window == attribute)
        };
        // Two crates are made of unsafe code.
        let fine = match name.as_str() {
            "ring" | "ingest" => allowed.contains(&path),
            _ if allowed.contains(&path) => says("deny"),
            _ => says("forbid"),
        };
        if !fine {
            wrong.push(path);
        }
    }
    assert!(
        wrong.is_empty(),
        "without forbid or deny(unsafe_code): {wrong:?}"
    );
}

#[test]
fn every_test_that_the_document_names_exists() {
    let tests: BTreeSet<String> = ["ring", "ingest", "megakernel"]
        .iter()
        .flat_map(|name| sources(&format!("crates/{name}")))
        .flat_map(|path| tokens(&read(&path)))
        .collect();
    let mut named = 0;
    for row in section("What tries to break it").lines() {
        let Some((_, column)) = row.rsplit_once(" | ") else {
            continue;
        };
        for name in column.split('`').skip(1).step_by(2) {
            // Names of tests are sentences with underscores; other names are those of files.
            if name.matches('_').count() < 3 {
                continue;
            }
            let begin = name.trim_end_matches('…');
            let found = tests.iter().any(|test| test.starts_with(begin));
            assert!(found, "docs/soundness.md names {name}, which is no test");
            named += 1;
        }
    }
    assert!(named > 10, "{named}");
}

/// This ensures that the soundness of each new type is considered. `api.txt` is the crate's public API (`scripts/api`).
#[test]
fn every_public_type_of_a_crate_that_is_made_of_unsafe_code_is_in_the_table() {
    let named: BTreeSet<String> = tokens(&section("What tries to break it"))
        .into_iter()
        .collect();
    let mut missing = BTreeSet::new();
    for name in ["ring", "ingest", "megakernel"] {
        let mut seen = 0;
        for line in read(&format!("crates/{name}/api.txt")).lines() {
            let words = tokens(line);
            let kind = words
                .iter()
                .position(|word| ["struct", "enum", "trait", "union"].contains(&word.as_str()));
            // `pub struct gristmill_ring::live::Submission`, or `pub unsafe trait ...`.
            let Some(kind) = kind.filter(|kind| *kind <= 2 && words[0] == "pub") else {
                continue;
            };
            let path = words[kind + 1..]
                .split(|word| word == "<" || word == "{")
                .next();
            let path = path.unwrap_or_default();
            let last = path
                .iter()
                .enumerate()
                .take_while(|(at, word)| at % 3 == 0 || *word == ":")
                .filter(|(at, _)| at % 3 == 0)
                .last();
            if let Some((_, last)) = last {
                seen += 1;
                if !named.contains(last) {
                    missing.insert(format!("{name}: {last}"));
                }
            }
        }
        assert!(seen > 10, "{name}: {seen}");
    }
    assert!(
        missing.is_empty(),
        "docs/soundness.md, What tries to break it: {missing:#?}"
    );
}
