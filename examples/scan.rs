//! Counts the lines in which a word occurs, for every file below a folder.
//!
//!     cargo run --release --example scan -- WORD FOLDER

use gristmill::jobs::scan::{Report, ScanJob};
use gristmill::mill::{Control, Mill};
use gristmill::source::Tree;
use std::{error::Error, io::Write, sync::Arc};

/// Writes a row `PATH:COUNT` for each file that has such lines. Returns how many files could not be read.
pub fn scan(word: &str, folder: &str, rows: &mut dyn Write) -> Result<u64, Box<dyn Error>> {
    let job = ScanJob::builder()
        .pattern(word)
        .report(Report::Count)
        .with_path(true)
        .build()?;
    // A file that fails does not end the run: the failure is reported here, and counted.
    let control = Control::default().on_error(|error| eprintln!("{error}"));
    let files = Tree::new([folder]).walk()?;
    let report = Mill::builder()
        .build()?
        .run(files, Arc::new(job), rows, &control)?;
    report.output?;
    Ok(report.failures)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(word), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("give a word and a folder".into());
    };
    let failures = scan(&word, &folder, &mut std::io::stdout())?;
    std::process::exit(i32::from(failures > 0));
}
