//! The job itself: how each file is followed, and the state that all files share.

use super::all::AllFile;
use super::count::{AnyFile, CountFile};
use super::error::ScanError;
use super::lines::LinesFile;
use super::plan::{FirstRows, Plan};
use super::printer::Style;
use super::separated;
use super::totals::ScanTotals;
use super::whole::WholeFile;
use crate::jobs::{FileEnd, Flow, Job, LandedChunk, DEFAULT_CHUNK_BYTES, LARGE_CHUNK_BYTES};
use crate::source::{Entry, FileFacts};
use gristmill_megakernel::{ScanSet, StreamJob};
use gristmill_protocol::{opcode, stream};
use std::sync::Arc;

/// How a file is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Lines,
    Count,
    Any,
    All,
    Whole,
}

impl Engine {
    /// The device's mode.
    pub fn mode(self, plan: &Plan) -> u32 {
        match self {
            // The host searches.
            Engine::Any | Engine::Whole => stream::MODE_ANY,
            Engine::All if plan.decides_only() && !plan.newline_pattern => stream::MODE_ANY,
            Engine::All => stream::MODE_ALL,
            // Every line matches: where lines end says it all.
            Engine::Lines | Engine::Count if plan.every_line => stream::MODE_ANY,
            Engine::Lines => stream::MODE_LINES,
            Engine::Count => stream::MODE_COUNT_LINES,
        }
    }
}

/// A scan of files for strings or regexes.
pub struct ScanJob {
    pub(super) plan: Plan,
    pub(super) engine: Engine,
    pub(super) set: Arc<ScanSet>,
    /// The words that all occurrences that end at the same byte can need: their records must not be separated.
    pub(super) record_words: u32,
}

/// The rows of a file that were made so far.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    bytes: u64,
    /// Whether the rows begin with the empty line between files.
    separated: bool,
}

impl Written {
    fn add(&mut self, rows: &[u8], style: &Style) {
        if let (0, Some(separator)) = (self.bytes, style.between_files()) {
            self.separated |= separated::after(rows, separator).is_some();
        }
        self.bytes += rows.len() as u64;
    }
}

/// What a scan remembers of a file.
pub struct ScanFile {
    way: Following,
    /// Its place in the source's order.
    sequence: u64,
    rows: Written,
    /// Whether the file is answered, so that no more of its chunks are needed.
    answered: bool,
}

/// The state of a file, by the way in which it is followed.
enum Following {
    Lines(Box<LinesFile>),
    Count(Box<CountFile>),
    Any(Box<AnyFile>),
    All(Box<AllFile>),
    Whole(Box<WholeFile>),
}

impl ScanJob {
    /// Whether anything was found so far.
    pub fn found(&self) -> bool {
        self.plan.has_found()
    }

    /// The bytes of rows of the first file, in the source's order, that has rows. `None` if no file has rows, or if the
    /// search of this one ended too early.
    pub fn first_rows(&self) -> Option<u64> {
        let first = self.plan.first_rows()?;
        first.done.then_some(first.bytes)
    }

    /// What the rows of each file begin with to separate them from those of the file before, as a line without its end.
    /// The first file's rows should be written without it, as [`Separated`](super::Separated) does. `None` if nothing
    /// separates files.
    pub fn between_files(&self) -> Option<&[u8]> {
        let lines = !self.plan.report.is_summary() && self.engine != Engine::All;
        self.plan.style.between_files().filter(|_| lines)
    }

    /// What was found so far, if totals were asked for.
    pub fn totals(&self) -> ScanTotals {
        let mut totals = self.plan.totals();
        // The empty line that `Separated` leaves out.
        let style = &self.plan.style;
        let first = self.plan.first_rows();
        if style.sequential && first.is_some_and(|first| first.separated) {
            let separator = style.between_files().map_or(0, <[u8]>::len) + style.end().len();
            totals.bytes_printed = totals.bytes_printed.saturating_sub(separator as u64);
        }
        totals
    }

    /// Which engine searches on the CPU, how much memory it takes, and why no faster engine was chosen.
    pub fn engine_report(&self) -> String {
        match &self.plan.whole {
            Some(_) => "one regex over whole files, on the host".to_owned(),
            None => self.set.engine_report(),
        }
    }

    /// Whether a device does a part of the search at most, and the host the rest.
    pub fn is_shared(&self) -> bool {
        self.set.line_settings().is_some()
    }

    /// Whether the host searches, and the device does not, because a match may span lines.
    pub fn searches_on_host(&self) -> bool {
        self.plan.whole.is_some()
    }

    /// Takes the errors on the host so far, ordered by path and offset.
    pub fn take_errors(&self) -> Vec<ScanError> {
        self.plan.take_errors()
    }

    /// Whether the whole run is answered.
    fn answered(&self) -> bool {
        self.plan.report.is_quiet() && !self.plan.totals_wanted && self.plan.has_found()
    }
}

impl Job for ScanJob {
    type File = ScanFile;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Scan(Arc::clone(&self.set)))
    }

    fn opcode(&self) -> u32 {
        opcode::SCAN
    }

    fn record_words(&self) -> u32 {
        self.record_words
    }

    fn chunk_bytes(&self) -> usize {
        match self.engine {
            Engine::Count | Engine::Whole => LARGE_CHUNK_BYTES,
            Engine::Any | Engine::Lines | Engine::All => DEFAULT_CHUNK_BYTES,
        }
    }

    fn mode(&self, entry: &Entry, _offset: u64) -> u32 {
        let plan = &self.plan;
        let mut mode = self.engine.mode(plan);
        if matches!(self.engine, Engine::All | Engine::Whole) {
            return mode;
        }
        if plan.style.line_numbers
            || ((plan.every_line || plan.invert) && self.engine == Engine::Count)
        {
            mode |= stream::WANT_NEWLINES;
        }
        let nul = match (self.engine, plan.text, entry.explicit) {
            (_, true, _) => false,
            (_, _, false) | (Engine::Lines, ..) => true,
            (Engine::Any, ..) => plan.nul_pattern,
            // ripgrep counts the lines of a mapped file whatever NULs it holds. Where the file turns out not to be
            // mapped, the host searches for them.
            (Engine::Count, ..) => !plan.maps(entry),
            (Engine::All | Engine::Whole, ..) => true,
        };
        if nul {
            mode |= stream::WANT_NUL;
        }
        mode
    }

    fn open(&self, entry: &Arc<Entry>, facts: &FileFacts) -> ScanFile {
        let plan = &self.plan;
        ScanFile {
            way: match self.engine {
                Engine::Lines => Following::Lines(Box::new(LinesFile::new(plan, entry, facts))),
                Engine::Count => Following::Count(Box::new(CountFile::new(plan, entry, facts))),
                Engine::Any => Following::Any(Box::new(AnyFile::new(plan, entry, facts))),
                Engine::All => Following::All(Box::new(AllFile::new(plan, entry))),
                Engine::Whole => Following::Whole(Box::new(WholeFile::new(plan, entry, facts))),
            },
            sequence: entry.sequence,
            rows: Written::default(),
            answered: false,
        }
    }

    fn chunk(&self, file: &mut ScanFile, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        let plan = &self.plan;
        let before = rows.len();
        file.answered = match &mut file.way {
            Following::Lines(file) => file.chunk(plan, chunk, rows),
            Following::Count(file) => file.chunk(plan, chunk),
            Following::Any(file) => file.chunk(plan, chunk),
            Following::All(file) => file.chunk(plan, chunk, rows),
            Following::Whole(file) => file.chunk(plan, chunk),
        };
        file.rows
            .add(rows.get(before..).unwrap_or_default(), &plan.style);
        if file.answered {
            Flow::SkipFile
        } else {
            Flow::Continue
        }
    }

    fn close(&self, file: ScanFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        let plan = &self.plan;
        let before = rows.len();
        match file.way {
            Following::Lines(file) => file.close(plan, end, rows),
            Following::Count(file) => file.close(plan, end, rows),
            Following::Any(file) => file.close(plan, end, rows),
            Following::All(file) => file.close(plan, end, rows),
            Following::Whole(file) => file.close(plan, end, rows),
        }
        let mut written = file.rows;
        written.add(rows.get(before..).unwrap_or_default(), &plan.style);
        if written.bytes > 0 {
            plan.has_rows(FirstRows {
                sequence: file.sequence,
                bytes: written.bytes,
                separated: written.separated,
                done: file.answered || matches!(end, FileEnd::Complete { .. }),
            });
        }
        if self.answered() {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }
}
