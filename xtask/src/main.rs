//! `cargo xtask TASK`: tasks for developers of Gristmill. `cargo xtask` alone lists them.

#![forbid(unsafe_code)]

mod header;
mod repeated;

use std::path::PathBuf;
use std::process::ExitCode;

const TASKS: &str = "cargo xtask TASK

header      write kernel/numbers.h from the constants of the crates; run scripts/ptx afterwards
repeated    list places of the tree that share six lines or more";

/// The repository's root.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = (arguments.next(), arguments.next());
    let done = match (task.0.as_deref(), task.1) {
        (Some("header"), None) => header::write(),
        (Some("repeated"), None) => repeated::list(),
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
