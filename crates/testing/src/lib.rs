//! Helpers for the tests of all crates.
//!
//! - [`Patience`]: waits that end when nothing moves any more, rather than because a machine is slow;
//! - [`peers`]: programs of others, with which answers are compared;
//! - [`planted`]: texts with what regexes match, and gitleaks' rules;
//! - [`refused`]: programs that must not compile;
//! - [`ripgrep`]: the ripgrep with which `scan` is compared;
//! - [`seed`], [`noise`]: the seed of a random test, which the test prints, and random bytes;
//! - [`cuda_driver`]: a driver of CUDA where there is no GPU;
//! - [`store`]: an object store that fails as it is told;
//! - [`skipped`]: records why a test does not run here, in a place where `scripts/test` finds it.

#![forbid(unsafe_code)]

mod patience;
pub mod planted;
mod random;
mod refused;
pub mod ripgrep;
mod stand_in;
pub mod store;

pub use patience::Patience;
pub use random::{noise, seed};
pub use refused::refused;
pub use stand_in::cuda_driver;

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The environment variable with the name of the file that collects skipped tests.
pub const SKIPPED_VARIABLE: &str = "GRISTMILL_SKIPPED";

/// Reports why the calling test, or a part of it, does not run here. The report goes to standard output, which cargo
/// does not show when a test passes, and as a line `PROGRAM::TEST: WHY` to the end of the file that
/// [`SKIPPED_VARIABLE`] names, if the variable is set. The file must already exist, because the test may run as a user
/// who may append to it but may not create it.
///
/// # Panics
/// If that file cannot be written, because a skip that goes unnoticed would look like a test that passed.
pub fn skipped(why: impl Display) {
    let why = why.to_string().replace('\n', " ");
    println!("skipped: {why}");
    let Some(path) = std::env::var_os(SKIPPED_VARIABLE) else {
        return;
    };
    let mut file = OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // The line is written at once, so that lines of tests that run concurrently are not mixed.
    file.write_all(format!("{}: {why}\n", test()).as_bytes())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The directory of this name among what `scripts/test peers` installs. If it is not there as a whole, that is reported
/// as of [`skipped`], with what is missing because of it.
///
/// # Panics
/// As [`skipped`].
#[must_use]
pub fn peers(name: &str, missing: &str) -> Option<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
    let directory = peers.join(name);
    // This file is written last.
    if directory.join("packages").exists() {
        return Some(directory);
    }
    skipped(format_args!("{missing}; `scripts/test peers` installs it"));
    None
}

/// The calling test, as `PROGRAM::TEST`.
fn test() -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_stem());
    let program = program.unwrap_or_default().to_string_lossy();
    // Cargo appends a hash to the name.
    let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    // The test harness names a thread after its test. If it uses the main thread, the test's name is the argument.
    let thread = std::thread::current();
    let test = match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => std::env::args()
            .skip(1)
            .find(|argument| !argument.starts_with('-'))
            .unwrap_or_default(),
    };
    format!("{program}::{test}")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    const CHILD: &str = "GRISTMILL_TESTING_CHILD";

    /// The test runs twice: skips are collected in the second process.
    #[test]
    fn a_skip_is_collected_with_its_test_and_reason() {
        if std::env::var_os(CHILD).is_some() {
            return super::skipped("no such thing,\non this machine");
        }
        let name = format!("gristmill-skipped-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for threads in ["1", "2"] {
            std::fs::write(&path, "").unwrap();
            let test = "tests::a_skip_is_collected_with_its_test_and_reason";
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--test-threads", threads])
                .env(CHILD, "1")
                .env(super::SKIPPED_VARIABLE, &path)
                .output()
                .unwrap()
                .status;
            let collected = std::fs::read_to_string(&path);
            let _ = std::fs::remove_file(&path);
            assert!(status.success());
            assert_eq!(
                collected.unwrap(),
                format!("gristmill_testing::{test}: no such thing, on this machine\n")
            );
        }
    }
}
