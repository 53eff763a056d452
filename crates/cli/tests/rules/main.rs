//! `gristmill scan --rules` end to end: beside a reference that has each file in memory and tries one regex after the
//! other, beside gitleaks, and in all its formats.

mod corpus;
mod flags;
mod formats;
mod reference;
mod sets;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// The rules of the repository's own.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

fn gristmill(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

/// A run whose standard input is written while it goes on.
fn piped(directory: &Path, arguments: &[&str]) -> Child {
    let mut command = command(directory, arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

/// The rows of a run that found something, without errors.
fn rows(directory: &Path, arguments: &[&str]) -> String {
    let output = gristmill(directory, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*told), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}
