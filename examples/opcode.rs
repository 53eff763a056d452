//! A custom opcode, with a job that uses it: which line ends each file has, CRLF or only LF.
//!
//!     cargo run --release --example opcode -- FOLDER
//!
//! A pair of bytes may straddle two chunks. So the job asks for a *halo* of one byte of the file behind each chunk. The
//! opcode sees that byte, and it is an own byte of the next chunk.

use gristmill::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk};
use gristmill::megakernel::{StreamJob, StreamOpcode, StreamSlot};
use gristmill::mill::{Control, Mill};
use gristmill::ring::{Outcome, RecordWriter};
use gristmill::source::{Entry, FileFacts, Tree};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

/// The opcode's number: any of `gristmill::megakernel::protocol::opcode::USER_HIGH`.
const LINE_ENDS: u32 = 0x1_0000;

/// Counts CRLF in its first result word and LF in its second. It runs on many workers at the same time.
struct LineEnds;

impl StreamOpcode for LineEnds {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        // The chunk's own bytes, and the byte behind them if the file has one.
        let visible = slot.around.get(slot.before..).unwrap_or(bytes);
        let pairs = visible.windows(2).filter(|pair| pair == b"\r\n").count();
        let newlines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let mut outcome = Outcome::default();
        // Chunks are far smaller than 4 GiB.
        outcome.results[0] = u32::try_from(pairs).unwrap_or(u32::MAX);
        outcome.results[1] = u32::try_from(newlines).unwrap_or(u32::MAX);
        Ok(outcome)
    }
}

/// The job that uses the opcode.
struct Ends;

/// A file's path, and its numbers of CRLF and of LF so far.
type Counted = (Arc<Entry>, u64, u64);

impl Job for Ends {
    type File = Counted;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Custom(LINE_ENDS, Arc::new(LineEnds)))
    }

    fn opcode(&self) -> u32 {
        LINE_ENDS
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            after: 1,
            ..Geometry::default()
        }
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> Counted {
        (Arc::clone(entry), 0, 0)
    }

    fn chunk(&self, file: &mut Counted, chunk: &LandedChunk<'_>, _rows: &mut Vec<u8>) -> Flow {
        file.1 += u64::from(chunk.results[0]);
        file.2 += u64::from(chunk.results[1]);
        Flow::Continue
    }

    fn close(&self, file: Counted, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        if matches!(end, FileEnd::Complete { .. }) {
            let (entry, pairs, newlines) = file;
            rows.extend(entry.path.as_os_str().as_encoded_bytes());
            rows.extend(format!(": {pairs} CRLF, {} LF\n", newlines - pairs).into_bytes());
        }
        Flow::Continue
    }
}

/// Writes a row for each file of a folder. Returns how many could not be read.
pub fn line_ends(mill: &Mill, folder: &str, rows: &mut dyn Write) -> Result<u64, Box<dyn Error>> {
    let control = Control::default().on_error(|error| eprintln!("{error}"));
    let files = Tree::new([folder]).walk()?;
    let report = mill.run(files, Arc::new(Ends), rows, &control)?;
    report.output?;
    Ok(report.failures)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder")?;
    let mill = Mill::builder().ordered(true).build()?;
    let failures = line_ends(&mill, &folder, &mut std::io::stdout())?;
    std::process::exit(i32::from(failures > 0));
}
