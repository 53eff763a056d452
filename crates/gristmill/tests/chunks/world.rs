//! Files whose bytes depend on their position, an opcode that looks at all bytes it may see, and a job that records
//! what it was shown.

use gristmill::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk};
use gristmill::megakernel::protocol::completion;
use gristmill::megakernel::stream::{StreamOpcode, StreamSlot};
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, FileError, Mill, RunReport};
use gristmill::ring::{Outcome, RecordWriter};
use gristmill::source::{Entry, FileFacts, Source};
use gristmill::uring::reader::{ReadPath, ReadPathChoice};
use gristmill::PipelineError;
use gristmill_testing::Patience;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{mpsc, Arc, Mutex, OnceLock};

/// The first opcode that users may choose.
const OPCODE: u32 = 0x1_0000;

/// The size of a file whose size is not known to the opcode.
pub const UNKNOWN: u32 = u32::MAX;

/// The numbers of bytes seen before and behind chunks, and the chunks' alignment.
pub const AROUND: [(usize, usize, usize); 8] = [
    (0, 0, 1),
    (1, 0, 1),
    (0, 3, 1),
    (64, 64, 4096),
    (100, 0, 64),
    (0, 4096, 1),
    (4095, 1, 512),
    (4096, 4096, 4096),
];

/// The first bytes of every file. Each follows from its position, so that no two places look alike.
pub fn content(len: usize) -> &'static [u8] {
    static ALL: OnceLock<Vec<u8>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let byte = |at: u64| {
            let mixed = (at + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed ^ mixed >> 29)
                .wrapping_mul(0xBF58_476D_1CE4_E5B9)
                .to_be_bytes()[0]
        };
        (0..1 << 20).map(byte).collect()
    });
    &all[..len]
}

/// Geometry without limits of its own.
pub fn halo(before: usize, after: usize, align: usize) -> Geometry {
    Geometry {
        before,
        after,
        align,
        ..Geometry::default()
    }
}

/// An opcode that compares the bytes that it is shown with those of the file.
struct Looker {
    geometry: Geometry,
    overflows: Box<dyn Fn(Range<u64>) -> bool + Send + Sync>,
    wrong: Mutex<Vec<String>>,
}

impl Looker {
    /// Checks a slot; the error says what is wrong.
    fn look(&self, bytes: &[u8], slot: &StreamSlot<'_>) -> Result<(), String> {
        let offset = usize::try_from(slot.offset).map_err(|_| "a position".to_owned())?;
        let end = offset + bytes.len();
        let before = offset.min(self.geometry.before);
        let after = slot.around.len().checked_sub(slot.before + bytes.len());
        let after = after.ok_or_else(|| "around is less than the own bytes".to_owned())?;
        let expected = match slot.mode {
            UNKNOWN => after.min(self.geometry.after),
            size => (size as usize - end).min(self.geometry.after),
        };
        let place = format!("{offset}..{end} of {}", slot.mode);
        if (slot.before, after) != (before, expected) {
            let shown = (slot.before, after);
            return Err(format!(
                "{place}: {shown:?} around and not {:?}",
                (before, expected)
            ));
        }
        if slot.around != &content(end + after)[offset - before..] {
            return Err(format!("{place}: other bytes than the file's"));
        }
        if slot.around[slot.before..][..bytes.len()] != *bytes {
            return Err(format!(
                "{place}: the own bytes are not where they should be"
            ));
        }
        Ok(())
    }
}

impl StreamOpcode for Looker {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        if let Err(wrong) = self.look(bytes, slot) {
            self.wrong.lock().unwrap().push(wrong);
        }
        let len = u32::try_from(bytes.len()).unwrap();
        let overflows = (self.overflows)(slot.offset..slot.offset + u64::from(len));
        Ok(Outcome {
            flags: if overflows {
                completion::FLAG_OVERFLOW
            } else {
                0
            },
            ..Outcome::value(len)
        })
    }
}

/// A part of a chunk, as the job got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub own: Range<u64>,
    pub first: bool,
    pub last: bool,
}

/// The parts of a file that the job got.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub parts: Vec<Part>,
    pub end: Option<FileEnd>,
}

impl Seen {
    /// Returns the number of bytes, and checks that they came in order, each once, from the beginning on, in aligned
    /// parts that are not empty.
    #[track_caller]
    pub fn bytes(&self, align: usize) -> u64 {
        let mut reached = 0;
        for (index, part) in self.parts.iter().enumerate() {
            assert_eq!(part.own.start, reached, "{self:?}");
            assert!(part.own.end > reached, "{self:?}");
            assert!(reached.is_multiple_of(align as u64), "{self:?}");
            let begins = index == 0 || self.parts[index - 1].last;
            assert_eq!(part.first, begins, "{self:?}");
            reached = part.own.end;
        }
        reached
    }
}

/// A test's settings for its job.
pub struct Asked {
    pub geometry: Geometry,
    /// Sizes of files by path; [`UNKNOWN`] for those that are not here.
    pub sizes: BTreeMap<PathBuf, u32>,
    /// Which ranges of own bytes overflow.
    pub overflows: Box<dyn Fn(Range<u64>) -> bool + Send + Sync>,
    /// Called with each part. Returns whether to go on.
    pub flow: Box<dyn Fn(&Part) -> Flow + Send + Sync>,
    /// Whether a ring log is asked for, which an opcode of the user's cannot have.
    pub record: bool,
}

impl Asked {
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            sizes: BTreeMap::new(),
            overflows: Box::new(|_| false),
            flow: Box::new(|_| Flow::Continue),
            record: false,
        }
    }
}

struct LookJob {
    opcode: Arc<Looker>,
    sizes: BTreeMap<PathBuf, u32>,
    flow: Box<dyn Fn(&Part) -> Flow + Send + Sync>,
    seen: Mutex<BTreeMap<PathBuf, Seen>>,
}

impl Job for LookJob {
    type File = (PathBuf, Seen);

    fn stream_job(&self) -> Option<StreamJob> {
        let opcode = Arc::clone(&self.opcode) as Arc<dyn StreamOpcode>;
        Some(StreamJob::Custom(OPCODE, opcode))
    }

    fn opcode(&self) -> u32 {
        OPCODE
    }

    fn geometry(&self) -> Geometry {
        self.opcode.geometry
    }

    fn mode(&self, entry: &Entry, _offset: u64) -> u32 {
        self.sizes.get(&entry.path).copied().unwrap_or(UNKNOWN)
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> Self::File {
        (entry.path.clone(), Seen::default())
    }

    fn chunk(&self, file: &mut Self::File, chunk: &LandedChunk<'_>, _: &mut Vec<u8>) -> Flow {
        let own = chunk.offset..chunk.offset + chunk.bytes.len() as u64;
        let held = usize::try_from(own.end).is_ok_and(|end| {
            let start = end - chunk.bytes.len();
            content(end)[start..] == *chunk.bytes && chunk.results[0] as usize == end - start
        });
        if !held {
            let mut wrong = self.opcode.wrong.lock().unwrap();
            wrong.push(format!("{own:?}: the job got something else"));
        }
        let part = Part {
            own,
            first: chunk.first_part,
            last: chunk.last_part,
        };
        let flow = (self.flow)(&part);
        file.1.parts.push(part);
        flow
    }

    fn close(&self, file: Self::File, end: &FileEnd, _: &mut Vec<u8>) -> Flow {
        let (path, mut seen) = file;
        seen.end = Some(end.clone());
        self.seen.lock().unwrap().insert(path, seen);
        Flow::Continue
    }
}

/// How a run is done.
#[derive(Debug, Clone, Copy)]
pub struct How {
    pub workers: usize,
    pub depth: u32,
    pub chunk: usize,
    pub path: ReadPathChoice,
    pub direct: bool,
}

impl How {
    /// Both read paths, and past the page cache, each with one worker and with several.
    pub fn all(chunk: usize) -> impl Iterator<Item = How> {
        let paths = [
            (ReadPathChoice::Auto, false),
            (ReadPathChoice::Only(ReadPath::PositionedRead), false),
            (ReadPathChoice::Auto, true),
        ];
        paths.into_iter().flat_map(move |(path, direct)| {
            [1, 3].map(|workers| How {
                workers,
                depth: 8,
                chunk,
                path,
                direct,
            })
        })
    }

    /// One worker that has one chunk in flight.
    pub fn slow(chunk: usize) -> How {
        How {
            workers: 1,
            depth: 1,
            chunk,
            path: ReadPathChoice::Auto,
            direct: false,
        }
    }
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Done {
    pub seen: BTreeMap<PathBuf, Seen>,
    pub report: RunReport,
    pub errors: Vec<FileError>,
}

/// Runs until the run ends or the test's patience does. Everything that the opcode and the job were shown must be
/// right.
#[track_caller]
pub fn run(source: impl Source + 'static, asked: Asked, how: How) -> Done {
    let (done, wrong) = Patience::new()
        .receive(&start(source, asked, how))
        .expect("the run hangs")
        .unwrap();
    assert!(wrong.is_empty(), "{how:?}: {wrong:#?}");
    done
}

/// The outcome of a run on a thread of its own, and the errors in what it was shown.
pub type Ending = Result<(Done, Vec<String>), PipelineError>;

/// Begins a run on a thread of its own.
pub fn start(source: impl Source + 'static, asked: Asked, how: How) -> mpsc::Receiver<Ending> {
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let _gone = sender.send(run_here(source, asked, how));
    });
    ended
}

fn run_here(source: impl Source + 'static, asked: Asked, how: How) -> Ending {
    let job = Arc::new(LookJob {
        opcode: Arc::new(Looker {
            geometry: asked.geometry,
            overflows: asked.overflows,
            wrong: Mutex::default(),
        }),
        sizes: asked.sizes,
        flow: asked.flow,
        seen: Mutex::default(),
    });
    let errors = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&errors);
    let control =
        Control::default().on_error(move |error| told.lock().unwrap().push(error.clone()));
    let control = if asked.record {
        control.record(Vec::new())
    } else {
        control
    };
    let mill = Mill::builder()
        .workers(how.workers)
        .depth(how.depth)
        .chunk_bytes(how.chunk)
        .read_path(how.path)
        .direct(how.direct)
        .build()?;
    let report = mill.run(source, Arc::clone(&job), &mut Vec::new(), &control)?;
    let done = Done {
        seen: std::mem::take(&mut *job.seen.lock().unwrap()),
        report,
        errors: std::mem::take(&mut *errors.lock().unwrap()),
    };
    let wrong = std::mem::take(&mut *job.opcode.wrong.lock().unwrap());
    Ok((done, wrong))
}

/// Writes files of these sizes. Returns their sizes by path.
pub fn write_files(directory: &Path, sizes: &[usize]) -> BTreeMap<PathBuf, u32> {
    let write = |size: &usize| {
        let path = directory.join(format!("{size:08}"));
        std::fs::write(&path, content(*size)).unwrap();
        (path, u32::try_from(*size).unwrap())
    };
    sizes.iter().map(write).collect()
}

/// File sizes close to the limits of chunks.
pub fn sizes(geometry: Geometry, chunk: usize) -> Vec<usize> {
    let Geometry { before, after, .. } = geometry;
    let mut sizes = vec![
        0,
        1,
        before,
        chunk - 1,
        chunk,
        chunk + 1,
        (chunk + after).saturating_sub(1),
        chunk + after,
        chunk + after + 1,
        2 * chunk,
        2 * chunk + before,
        3 * chunk + 17,
    ];
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}
