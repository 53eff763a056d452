//! `cargo xtask TASK`: tasks for developers of Gristmill. `cargo xtask` alone lists them.

#![forbid(unsafe_code)]

mod header;
mod notices;
mod repeated;

use std::path::PathBuf;
use std::process::ExitCode;

const TASKS: &str = "cargo xtask TASK

header      write kernel/numbers.h from the constants of the crates; run scripts/ptx afterwards
repeated    list places of the tree that share six lines or more
notices     print the licences of what the packages that are named link";

/// The repository's root.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["header"] => header::write(),
        ["repeated"] => repeated::list(),
        ["notices", _, ..] => notices::print(&arguments[1..]),
        _ => Err(TASKS.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
