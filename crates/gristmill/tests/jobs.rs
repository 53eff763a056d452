//! The promises of `jobs::Job` to a custom job: the parts of a chunk that overflows, and the files that it sees.

use gristmill::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk};
use gristmill::megakernel::protocol::{completion, stream};
use gristmill::megakernel::stream::{StreamOpcode, StreamSlot};
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, Mill};
use gristmill::ring::{Outcome, RecordWriter};
use gristmill::source::{Entry, FileFacts, FileList};
use std::io::Cursor;
use std::sync::{Arc, Mutex};

const OPCODE: u32 = 0x1_0000;

/// An opcode that records the position of each newline, and counts them in its first result word.
struct Newlines;

impl StreamOpcode for Newlines {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let newlines = memchr::memchr_iter(b'\n', bytes);
        let mut outcome = Outcome::value(newlines.clone().count() as u32);
        for at in newlines.skip_while(|at| *at < slot.resume as usize) {
            if !records.push(at as u32, 0) {
                outcome.flags = completion::FLAG_OVERFLOW;
                outcome.results[stream::RESULT_RESUME] = at as u32;
                break;
            }
        }
        outcome.records = records.len();
        Ok(outcome)
    }
}

/// What a job has seen, in order.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Open(String),
    Part(Part),
    Close(String, u64),
}

/// A part of a chunk.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    offset: u64,
    bytes: usize,
    count: u32,
    records: Vec<u64>,
    first: bool,
    last: bool,
}

struct Watching {
    split: bool,
    seen: Mutex<Vec<Seen>>,
}

impl Watching {
    fn saw(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
    }
}

impl Job for Watching {
    type File = String;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Custom(OPCODE, Arc::new(Newlines)))
    }

    fn opcode(&self) -> u32 {
        OPCODE
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            split: self.split,
            ..Geometry::default()
        }
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> String {
        let name = entry.path.file_name().unwrap().to_str().unwrap().to_owned();
        self.saw(Seen::Open(name.clone()));
        name
    }

    fn chunk(&self, _: &mut String, chunk: &LandedChunk<'_>, _: &mut Vec<u8>) -> Flow {
        let records = (0..chunk.records.len())
            .map(|index| chunk.offset + u64::from(chunk.records.get(index).0))
            .collect();
        self.saw(Seen::Part(Part {
            offset: chunk.offset,
            bytes: chunk.bytes.len(),
            count: chunk.results[0],
            records,
            first: chunk.first_part,
            last: chunk.last_part,
        }));
        Flow::Continue
    }

    fn close(&self, file: String, end: &FileEnd, _: &mut Vec<u8>) -> Flow {
        let FileEnd::Complete { bytes } = *end else {
            panic!("{end:?}");
        };
        self.saw(Seen::Close(file, bytes));
        Flow::Continue
    }
}

/// Runs over an empty file, a file that does not exist, and one that holds only newlines. Returns what the job saw, and
/// the errors that were reported.
fn watch(split: bool, newlines: usize) -> (Vec<Seen>, Vec<String>) {
    let scratch = tempfile::tempdir().unwrap();
    let named = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(named("empty"), "").unwrap();
    std::fs::write(named("full"), "\n".repeat(newlines)).unwrap();
    let list = ["empty", "absent", "full"].map(named).join("\n");
    let job = Arc::new(Watching {
        split,
        seen: Mutex::default(),
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let control =
        Control::default().on_error(move |error| tell.lock().unwrap().push(error.to_string()));
    let mill = Mill::builder().workers(1).chunk_bytes(64 << 10);
    let mill = mill.ordered(true).build().unwrap();
    let files = FileList::new(Cursor::new(list));
    let report = mill
        .run(files, Arc::clone(&job), &mut std::io::sink(), &control)
        .unwrap();
    assert_eq!((report.files, report.failures), (2, 1));
    let (seen, told) = (job.seen.lock().unwrap(), told.lock().unwrap());
    (seen.clone(), told.clone())
}

#[test]
fn a_file_that_cannot_be_opened_is_told_and_neither_opened_nor_closed() {
    let (seen, told) = watch(false, 3);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("absent: "), "{told:?}");
    let expected = [
        Seen::Open("empty".into()),
        Seen::Close("empty".into(), 0),
        Seen::Open("full".into()),
        Seen::Part(Part {
            offset: 0,
            bytes: 3,
            count: 3,
            records: vec![0, 1, 2],
            first: true,
            last: true,
        }),
        Seen::Close("full".into(), 3),
    ];
    // Files are alive at the same time.
    for seen in &seen {
        assert!(expected.contains(seen), "{seen:?}");
    }
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
}

/// The parts of the one chunk of a file of newlines.
fn parts(split: bool, newlines: usize) -> Vec<Part> {
    let (seen, _) = watch(split, newlines);
    let part = |seen| match seen {
        Seen::Part(part) => Some(part),
        _ => None,
    };
    seen.into_iter().filter_map(part).collect()
}

#[test]
fn a_chunk_that_overflows_is_resumed_with_all_of_its_bytes_in_every_part() {
    let newlines = 60_000;
    let parts = parts(false, newlines);
    assert!(parts.len() > 1);
    let mut all: Vec<u64> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(
            (part.offset, part.bytes, part.count as usize),
            (0, newlines, newlines)
        );
        assert_eq!(
            (part.first, part.last),
            (index == 0, index + 1 == parts.len())
        );
        all.extend(&part.records);
    }
    assert!(all.into_iter().eq(0..newlines as u64));
}

#[test]
fn a_chunk_that_overflows_is_split_into_parts_with_bytes_of_their_own() {
    let newlines = 60_000;
    let parts = parts(true, newlines);
    assert!(parts.len() > 1);
    let (mut all, mut ended) = (Vec::<u64>::new(), 0);
    for (index, part) in parts.iter().enumerate() {
        assert_eq!((part.offset, part.count as usize), (ended, part.bytes));
        assert_eq!(
            (part.first, part.last),
            (index == 0, index + 1 == parts.len())
        );
        ended += part.bytes as u64;
        all.extend(&part.records);
    }
    assert_eq!(ended, newlines as u64);
    assert!(all.into_iter().eq(0..newlines as u64));
}
