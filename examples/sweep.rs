//! Reports every match of many strings and regexes in all files below a folder, with its place.
//!
//!     cargo run --release --example sweep -- FOLDER
//!
//! A real list has up to a million strings. `SweepJobBuilder::findings` takes the rules of a whole rule file instead, and
//! `SweepSet` keeps patterns compiled, for many runs.

use gristmill::jobs::sweep::SweepJob;
use gristmill::mill::{Control, Mill};
use gristmill::source::Tree;
use std::{error::Error, io::Write, sync::Arc};

/// Writes a row `PATH:OFFSET:LENGTH:NAME` for each match. Returns how many files, or patterns in a file, could not be searched
/// to the end.
pub fn sweep(folder: &str, rows: &mut dyn Write) -> Result<u64, Box<dyn Error>> {
    let job = SweepJob::builder()
        .string("bad-host", "update.evil.example")
        .string("bad-hash", "275a021bbfb6489e54d471899f7db9d1")
        .regex("ticket", r"\b[A-Z]{2,5}-\d{3,6}\b")
        .with_path(true)
        .build()?;
    let job = Arc::new(job);
    // A file that fails does not end the run: the failure is reported here, and counted.
    let control = Control::default().on_error(|error| eprintln!("{error}"));
    let files = Tree::new([folder]).walk()?;
    let report = Mill::builder()
        .build()?
        .run(files, Arc::clone(&job), rows, &control)?;
    report.output?;
    // A match longer than the limit (1 MiB by default) is never dropped in silence.
    let unsearched = job.take_errors();
    for error in &unsearched {
        eprintln!("{error}");
    }
    Ok(report.failures + unsearched.len() as u64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = std::env::args().nth(1) else {
        return Err("give a folder".into());
    };
    let failures = sweep(&folder, &mut std::io::stdout())?;
    std::process::exit(i32::from(failures > 0));
}
