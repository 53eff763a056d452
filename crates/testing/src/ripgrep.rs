//! Finds the ripgrep with which `scan` is compared. Tests and benchmarks share this file.
//!
//! Its output changes between versions, so only the version that `scripts/test peers` builds is used: the one in the
//! environment variable `GRISTMILL_RG`, or `target/peers/bin/rg`. Another ripgrep that happens to be installed is never
//! used.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The prefix of the versions that may be used.
const VERSIONS: &str = "ripgrep 15.";

/// The program.
///
/// # Errors
/// Why there is no usable ripgrep, and what to do. This is the text after `skipped: `.
pub fn program() -> Result<&'static Path, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(find).as_deref().map_err(Clone::clone)
}

fn find() -> Result<PathBuf, String> {
    let named = std::env::var_os("GRISTMILL_RG").map(PathBuf::from);
    let path = named
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/bin/rg"));
    let build = "`scripts/test peers` builds it";
    let output = Command::new(&path)
        .arg("--version")
        .output()
        .map_err(|error| format!("{}: {error}; {build}", path.display()))?;
    let version = String::from_utf8_lossy(&output.stdout);
    let version = version.lines().next().unwrap_or_default();
    if !version.starts_with(VERSIONS) {
        return Err(format!(
            "{} says {version:?}, and what is compared with is {VERSIONS}x; {build}",
            path.display()
        ));
    }
    Ok(path)
}
