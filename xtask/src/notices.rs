//! `cargo xtask notices PACKAGE...`: the licences and notices of everything that is linked into what these packages build,
//! as a text for the files of a release. A test demands them of the packages that a release has, so that a dependency
//! whose licence nobody has agreed to, or that brings no text of it, fails before a release does.
//!
//! Linked are the dependencies of the target that runs the task, with the features that the packages turn on, but neither
//! procedural macros nor build scripts, whose code is not in the result; and the standard library, whose notices come
//! with the toolchain.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The licences that dependencies may have, by their names in SPDX's list: those that let a program be given on in any
/// form, if it comes with their texts.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "bzip2-1.0.6",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// An addition to a licence that takes nothing away.
const ADDITION: &str = "LLVM-exception";

/// Packages that bring no text of their licence, and the file that has it: of another package by the same authors, or of
/// this repository, if it names no owner. Each was looked at.
const TEXTS: [(&str, Text); 3] = [
    ("alloc-stdlib", Text::Of("alloc-no-stdlib")),
    ("dlopen2", Text::Mit),
    ("flatbuffers", Text::Apache),
];

/// Where the text of a licence is.
#[derive(Clone, Copy)]
enum Text {
    /// With this package.
    Of(&'static str),
    /// The one of the MIT licence here, with the package's authors as owners.
    Mit,
    /// The one of the Apache licence here.
    Apache,
}

/// Prints the notices of what these packages link.
pub(crate) fn print(packages: &[String]) -> Result<(), String> {
    let target = Toolchain::new()?;
    let linked = linked(packages, &target)?;
    let faults = faults(&linked);
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    print!("{}", text(&linked, &target)?);
    Ok(())
}

/// The compiler that builds here.
struct Toolchain {
    /// As `rustc 1.95.0`.
    version: String,
    triple: String,
    root: PathBuf,
}

impl Toolchain {
    fn new() -> Result<Self, String> {
        let told = output(Command::new("rustc").arg("-vV"))?;
        let after = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name));
            line.map(|rest| rest.trim().to_owned())
                .ok_or(format!("rustc -vV says no {name}"))
        };
        let root = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        Ok(Self {
            version: after("release:")?,
            triple: after("host:")?,
            root: root.trim().into(),
        })
    }

    /// The notices of the standard library, as text.
    fn notices(&self) -> Result<String, String> {
        let path = self.root.join("share/doc/rust/COPYRIGHT-library.html");
        let page = std::fs::read_to_string(&path).map_err(|error| {
            format!(
                "{}: {error}; a toolchain that rustup installs has it",
                path.display()
            )
        })?;
        Ok(plain(&page))
    }
}

/// The text of a page: without tags, and with the characters that entities stand for.
fn plain(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim_end) {
        let blank = line.is_empty() && lines.last().is_none_or(|last| last.is_empty());
        if !blank {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// A package that is linked.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    /// As its manifest says it.
    licence: String,
    authors: String,
    repository: String,
    /// The files with licences and notices, each by its name in the package.
    files: BTreeMap<String, String>,
}

impl Package {
    fn shown(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = format!("{command:?}");
    let done = command
        .current_dir(crate::root())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !done.status.success() {
        return Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&done.stderr)
        ));
    }
    String::from_utf8(done.stdout).map_err(|error| format!("{program}: {error}"))
}

/// What these packages link, other than what is in this repository.
fn linked(packages: &[String], target: &Toolchain) -> Result<Vec<Package>, String> {
    let cargo = || Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The tree of one package has the features that this package turns on; the metadata have those of all together.
    let mut names = BTreeSet::new();
    for package in packages {
        let mut tree = cargo();
        tree.args(["tree", "--quiet", "--locked", "--package", package])
            .args([
                "--edges",
                "normal,no-proc-macro",
                "--target",
                &target.triple,
            ])
            .args(["--prefix", "none", "--format", "{p}"]);
        for line in output(&mut tree)?.lines() {
            let mut words = line.split(' ');
            if let (Some(name), Some(version)) = (words.next(), words.next()) {
                let version = version.trim_start_matches('v');
                names.insert((name.to_owned(), version.to_owned()));
            }
        }
    }
    let mut metadata = cargo();
    metadata
        .args(["metadata", "--quiet", "--locked", "--format-version", "1"])
        .args(["--filter-platform", &target.triple]);
    let metadata: Value = serde_json::from_str(&output(&mut metadata)?)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let mut linked = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let of = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let named = (of("name"), of("version"));
        // What has no source is in this repository.
        if package["source"].is_null() || !names.contains(&named) {
            continue;
        }
        let manifest = PathBuf::from(of("manifest_path"));
        let root = manifest.parent().unwrap_or(Path::new("/"));
        let mut files = BTreeMap::new();
        gather(root, root, &mut files).map_err(|error| format!("{}: {error}", root.display()))?;
        if let Some(file) = package["license_file"].as_str() {
            read(root, &root.join(file), &mut files)
                .map_err(|error| format!("{}: {file}: {error}", root.display()))?;
        }
        let authors = package["authors"].as_array().into_iter().flatten();
        let authors: Vec<&str> = authors.filter_map(Value::as_str).collect();
        linked.push(Package {
            name: named.0,
            version: named.1,
            licence: of("license"),
            authors: authors.join(", "),
            repository: of("repository"),
            files,
        });
    }
    linked.sort_by_cached_key(|package| (package.name.clone(), package.version.clone()));
    Ok(linked)
}

/// Whether a file of this name is about licences.
fn is_notice(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let starts = [
        "license",
        "licence",
        "copying",
        "copyright",
        "notice",
        "unlicense",
    ];
    let source = [".rs", ".toml", ".json", ".html", ".py"];
    starts.iter().any(|start| name.starts_with(start))
        && !source.iter().any(|end| name.ends_with(end))
}

/// Takes the files about licences in a directory and below: what a package has of others has its own there.
fn gather(
    root: &Path,
    directory: &Path,
    files: &mut BTreeMap<String, String>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        // A link names what is beside it, if anything.
        if entry.file_type()?.is_dir() {
            gather(root, &path, files)?;
        } else if path.is_file() && is_notice(&entry.file_name().to_string_lossy()) {
            read(root, &path, files)?;
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path, files: &mut BTreeMap<String, String>) -> std::io::Result<()> {
    let bytes = std::fs::read(path)?;
    let name = path.strip_prefix(root).unwrap_or(path);
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    files.insert(name.display().to_string(), text.trim_end().to_owned());
    Ok(())
}

/// What is wrong with the licences of packages, a line for each fault.
fn faults(linked: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in linked {
        let shown = package.shown();
        if let Err(why) = agreed(&package.licence) {
            faults.push(format!("{shown}: {why}"));
        }
        let text = TEXTS.iter().find(|(name, _)| *name == package.name);
        match (package.files.is_empty(), text) {
            (true, None) => faults.push(format!(
                "{shown}: it brings no text of its licence ({}); say in xtask/src/notices.rs where it is",
                package.licence
            )),
            (false, Some(_)) => faults.push(format!(
                "{shown}: it brings the text of its licence; xtask/src/notices.rs need not say where it is"
            )),
            _ => {}
        }
    }
    faults
}

/// Whether what is allowed suffices for a licence, as a manifest says it.
fn agreed(licence: &str) -> Result<(), String> {
    let parsed = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX).map_err(|error| {
        format!(
            "its licence {licence:?} is none of SPDX's: {}",
            error.reason
        )
    })?;
    let allows = parsed.evaluate(|wanted| {
        let name = wanted.license.id().map(|id| id.name);
        let addition = wanted.addition.as_ref().map(ToString::to_string);
        name.is_some_and(|name| ALLOWED.contains(&name))
            && addition.is_none_or(|addition| addition == ADDITION)
    });
    if allows {
        Ok(())
    } else {
        Err(format!(
            "its licence {licence:?} is not among those that xtask/src/notices.rs allows"
        ))
    }
}

/// All notices in one text.
fn text(linked: &[Package], target: &Toolchain) -> Result<String, String> {
    let mut text = format!(
        "What is linked into Gristmill {} for {}, and the notices of its authors.\n\n\
         Gristmill's own licences are the MIT License and the Apache License 2.0, at your choice.\n\n",
        env!("CARGO_PKG_VERSION"),
        target.triple
    );
    let _ = writeln!(
        text,
        "the standard library of Rust {}: MIT OR Apache-2.0",
        target.version
    );
    // Many packages have the same text, but for how its lines are broken.
    let mut texts: BTreeMap<String, (Vec<String>, String)> = BTreeMap::new();
    let mut order = Vec::new();
    for package in linked {
        let shown = package.shown();
        let _ = writeln!(
            text,
            "{shown}: {} ({})",
            package.licence, package.repository
        );
        for (name, content) in notices(package, linked)? {
            let key: String = content.split_whitespace().collect::<Vec<_>>().join(" ");
            let known = texts.entry(key.clone()).or_insert_with(|| {
                order.push(key);
                (Vec::new(), content)
            });
            known.0.push(format!("{shown}: {name}"));
        }
    }
    let line = "=".repeat(80);
    for key in order {
        let (names, content) = &texts[&key];
        let _ = write!(text, "\n{line}\n{}\n\n{content}\n", names.join("\n"));
    }
    let library = target.notices()?;
    let _ = write!(
        text,
        "\n{line}\nthe standard library of Rust {}\n\n{library}\n",
        target.version
    );
    Ok(text)
}

/// The notices of a package: each with the name of its file.
fn notices(package: &Package, linked: &[Package]) -> Result<Vec<(String, String)>, String> {
    let own = |name: &str| {
        let path = crate::root().join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let named = TEXTS.iter().find(|(name, _)| *name == package.name);
    Ok(match named {
        Some((_, Text::Of(other))) => {
            let other = linked.iter().find(|linked| linked.name == *other);
            let other = other.ok_or(format!(
                "{}: the package with its licence is not linked",
                package.name
            ))?;
            other.files.clone().into_iter().collect()
        }
        Some((_, Text::Mit)) => {
            let (_, terms) = own("LICENSE-MIT")?
                .split_once("Permission is")
                .map(|(head, terms)| (head.to_owned(), terms.to_owned()))
                .ok_or("LICENSE-MIT has no terms")?;
            let owners = &package.authors;
            vec![(
                "the MIT License".to_owned(),
                format!(
                    "Copyright (c) {owners}\n\nPermission is{}",
                    terms.trim_end()
                ),
            )]
        }
        Some((_, Text::Apache)) => vec![(
            "the Apache License 2.0".to_owned(),
            own("LICENSE-APACHE")?.trim_end().to_owned(),
        )],
        None => package.files.clone().into_iter().collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packages whose results a release has.
    const RELEASED: [&str; 2] = ["gristmill-cli", "gristmill-python"];

    #[test]
    fn what_a_release_links_has_licences_that_were_agreed_to_and_brings_their_texts() {
        let target = Toolchain::new().unwrap();
        let linked = linked(&RELEASED.map(str::to_owned), &target).unwrap();
        assert_eq!(faults(&linked), Vec::<String>::new());
        for package in &linked {
            assert_ne!(
                notices(package, &linked).unwrap(),
                [],
                "{}",
                package.shown()
            );
        }
        let of = |name: &str| linked.iter().find(|package| package.name == name);
        // The library in C that a package carries has a licence of its own.
        let zstd = of("zstd-sys").unwrap();
        assert!(
            zstd.files.contains_key("zstd/LICENSE"),
            "{:?}",
            zstd.files.keys()
        );
        // What runs when it is built is not linked.
        assert!(of("syn").is_none() && of("cc").is_none());
    }

    #[test]
    fn a_licence_that_nobody_agreed_to_is_a_fault() {
        for licence in [
            "MIT/Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "GPL-2.0-only OR MIT",
        ] {
            assert_eq!(agreed(licence), Ok(()));
        }
        for licence in [
            "GPL-3.0-or-later",
            "MIT AND LGPL-2.1-only",
            "",
            "Somebody's own",
        ] {
            assert!(agreed(licence).is_err(), "{licence}");
        }
        let package = |licence: &str, files: &[&str]| Package {
            name: "one".to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.to_owned(),
            authors: String::new(),
            repository: String::new(),
            files: files
                .iter()
                .map(|name| ((*name).to_owned(), String::new()))
                .collect(),
        };
        assert_eq!(
            faults(&[package("MIT", &["LICENSE"])]),
            Vec::<String>::new()
        );
        assert!(faults(&[package("MIT", &[])])[0].contains("no text"));
        assert!(faults(&[package("AGPL-3.0-only", &["LICENSE"])])[0].contains("AGPL"));
    }
}
