//! Programs that the compiler must refuse. Each wrong line names the expected error in a comment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The mark of a line that the compiler must refuse. The error's code follows, as in `//~ E0382`.
const MARK: &str = "//~ ";

/// Compiles every `*.rs` in `directory` as a library that uses `crates`, and compares the errors: each line that ends
/// with `//~ E0382` must have an error with this code, and there may be no other errors. So a program that is refused
/// for another reason, such as a function that was renamed, also fails the test. The compiler's wording is not
/// compared.
///
/// The first of the crates is the one whose tests call; the others are those with which it was compiled. If no compiler
/// can be run, or only one that did not compile these crates, the test is [skipped](crate::skipped).
///
/// # Panics
/// If a program's errors differ from its marks, or if the directory has no program.
pub fn refused(directory: impl AsRef<Path>, crates: &[&str]) {
    let directory = directory.as_ref();
    let entries = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut programs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    programs.sort();
    assert!(
        !programs.is_empty(),
        "no program in {}",
        directory.display()
    );
    let test = std::env::current_exe().expect("the test's own path");
    let libraries = test.parent().expect("a directory of the test");
    let crates = consistent(libraries, crates);
    let mut wrong = Vec::new();
    for program in &programs {
        let source = std::fs::read_to_string(program).expect("the program");
        let Some(errors) = errors(program, libraries, &crates) else {
            return;
        };
        let told = marked(&source);
        assert!(!told.is_empty(), "{} marks no line", program.display());
        for (line, code) in told.difference(&errors) {
            wrong.push(format!("{}:{line}: no {code}", program.display()));
        }
        for (line, code) in errors.difference(&told) {
            wrong.push(format!("{}:{line}: an unmarked {code}", program.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The libraries of crates that were built together, as rustc's `--extern` takes them: of the first crate the newest, and
/// of the others those that the first one was compiled with. Crates may lie there several times, built with other
/// features, and their types are not the same.
fn consistent(libraries: &Path, crates: &[&str]) -> Vec<String> {
    let mut compiled = Vec::new();
    let mut found = Vec::new();
    for name in crates {
        let mut built = built(libraries, name);
        if found.is_empty() {
            compiled = std::fs::read(&built[0]).expect("a library that was built");
        } else if built.len() > 1 {
            // A library names the files of its dependencies by what follows their names.
            built.retain(|path| {
                let file = path.file_stem().unwrap_or_default().to_string_lossy();
                let suffix = &file[file.rfind('-').unwrap_or(0)..];
                compiled
                    .windows(suffix.len())
                    .any(|bytes| bytes == suffix.as_bytes())
            });
        }
        let path = built
            .first()
            .unwrap_or_else(|| panic!("no library of {name} was compiled into {}", crates[0]));
        found.push(format!("{name}={}", path.display()));
    }
    found
}

/// The libraries of a crate, the newest first.
fn built(libraries: &Path, name: &str) -> Vec<PathBuf> {
    let prefix = format!("lib{name}-");
    let mut found: Vec<PathBuf> = std::fs::read_dir(libraries)
        .expect("the directory of the test")
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(&prefix) && name.ends_with(".rlib")
        })
        .map(|entry| entry.path())
        .collect();
    let changed = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    found.sort_by_key(|path| std::cmp::Reverse(changed(path)));
    assert!(
        !found.is_empty(),
        "no library of {name} in {}",
        libraries.display()
    );
    found
}

/// The numbers of marked lines, counted from 1, with their codes.
fn marked(source: &str) -> BTreeSet<(usize, String)> {
    source
        .lines()
        .zip(1..)
        .filter_map(|(text, line)| Some((line, text.split_once(MARK)?.1.trim().to_owned())))
        .collect()
}

/// The lines of the program that the compiler refuses, with the errors' codes; `None` if the compiler cannot be used.
fn errors(
    program: &Path,
    libraries: &Path,
    crates: &[String],
) -> Option<BTreeSet<(usize, String)>> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = std::env::temp_dir().join(format!("gristmill-refused-{}", std::process::id()));
    let compiled = Command::new(compiler)
        .args([
            "--edition",
            "2021",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .args([
            "--error-format",
            "short",
            "--crate-name",
            "refused",
            "-A",
            "warnings",
        ])
        .arg("-L")
        .arg(format!("dependency={}", libraries.display()))
        .args(crates.iter().flat_map(|found| ["--extern", found]))
        .arg("-o")
        .arg(&output)
        .arg(program)
        .output();
    let _ = std::fs::remove_file(&output);
    let said = match compiled {
        Ok(compiled) => String::from_utf8_lossy(&compiled.stderr).into_owned(),
        Err(error) => {
            crate::skipped(format_args!("rustc cannot be run: {error}"));
            return None;
        }
    };
    if said.contains("E0514") || said.contains("rustup could not") {
        crate::skipped("rustc here is not the compiler that built the tests");
        return None;
    }
    let prefix = format!("{}:", program.display());
    Some(
        said.lines()
            .filter_map(|line| {
                // PATH:LINE:COLUMN: error[CODE]: TEXT, or the same without a code.
                let mut parts = line.strip_prefix(&prefix)?.splitn(3, ':');
                let number = parts.next()?.parse().ok()?;
                let error = parts.nth(1)?.trim_start().strip_prefix("error")?;
                let code = error
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .map_or("error without a code", |(code, _)| code);
                Some((number, code.to_owned()))
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares a program that uses no other crates.
    fn compare(name: &str, source: &str) -> std::thread::Result<()> {
        let directory = std::env::temp_dir().join(format!("refused-{name}-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("program.rs"), source).unwrap();
        let compared = std::panic::catch_unwind(|| refused(&directory, &[]));
        std::fs::remove_dir_all(&directory).unwrap();
        compared
    }

    #[test]
    fn only_the_marked_error_on_the_marked_line_will_do() {
        let moved = "pub fn f(a: String) {\n    drop(a);\n    drop(a); //~ E0382\n}\n";
        assert!(compare("good", moved).is_ok());
        if !crate_can_compile() {
            return;
        }
        assert!(compare("mended", &moved.replace("    drop(a);\n", "")).is_err());
        assert!(compare("code", &moved.replace("E0382", "E0499")).is_err());
        assert!(compare("line", &format!("{moved}pub fn g() {{ missing() }}\n")).is_err());
        assert!(compare("unmarked", "pub fn f() {}\n").is_err());
    }

    fn crate_can_compile() -> bool {
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Command::new(compiler)
            .arg("--version")
            .output()
            .is_ok_and(|said| said.status.success())
    }
}
