//! A custom job over an existing opcode: how many bytes of each file are not ASCII.
//!
//!     cargo run --release --example job -- FOLDER
//!
//! A job has two halves. The *device's half*, here the opcode HISTOGRAM, runs on workers, over chunks in any order as
//! they land. The *host's half* sees the chunks of each file in the file's order, with the results of the opcode, and
//! makes rows.

use gristmill::jobs::{FileEnd, Flow, Job, LandedChunk};
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, Mill};
use gristmill::source::{Entry, FileFacts, Tree};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

/// The job. State that its files share would be stored in its fields, behind a lock, since several files are processed
/// at the same time.
struct NotAscii;

/// The state of a file while it is read.
struct File {
    entry: Arc<Entry>,
    not_ascii: u64,
}

impl Job for NotAscii {
    type File = File;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Histogram)
    }

    fn opcode(&self) -> u32 {
        StreamJob::Histogram.opcode()
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> File {
        File {
            entry: Arc::clone(entry),
            not_ascii: 0,
        }
    }

    fn chunk(&self, file: &mut File, chunk: &LandedChunk<'_>, _rows: &mut Vec<u8>) -> Flow {
        // HISTOGRAM writes one word for each byte value to the slot's record area, which always has room for them.
        let counts = (0x80..=0xFF).map(|value| u64::from(chunk.records.word(value)));
        file.not_ascii += counts.sum::<u64>();
        Flow::Continue
    }

    fn close(&self, file: File, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        // A file that failed or was left early has no answer; `Control::on_error` receives the failure.
        if let FileEnd::Complete { bytes } = end {
            rows.extend(file.entry.path.as_os_str().as_encoded_bytes());
            rows.extend(format!(": {} of {bytes} bytes\n", file.not_ascii).into_bytes());
        }
        Flow::Continue
    }
}

/// Writes a row for each file of a folder, in the order of their names. Returns how many could not be read.
pub fn not_ascii(folder: &str, rows: &mut dyn Write) -> Result<u64, Box<dyn Error>> {
    let control = Control::default().on_error(|error| eprintln!("{error}"));
    let files = Tree::new([folder]).walk()?;
    let mill = Mill::builder().ordered(true).build()?;
    let report = mill.run(files, Arc::new(NotAscii), rows, &control)?;
    report.output?;
    Ok(report.failures)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder")?;
    let failures = not_ascii(&folder, &mut std::io::stdout())?;
    std::process::exit(i32::from(failures > 0));
}
