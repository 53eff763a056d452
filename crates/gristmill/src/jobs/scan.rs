//! Scanning files for fixed strings, with ripgrep's answers.
//!
//! The device searches each chunk as it lands, without knowing its neighbours; this job, the host's half, is given the
//! chunks of a file in order and makes rows of them. The answers are those of `rg -F`: which lines, how they are printed
//! and counted, what happens to binary files. A file is followed by one of four, whichever is cheapest for what is
//! asked:
//!
//! - `lines`: every matching line is needed, to be printed or to have its matches counted;
//! - `count`: a number for each file ([`Report::Count`]), or whether there is a match ([`Report::Paths`],
//!   [`Report::Quiet`]); the host then does nothing for a line;
//! - `all`: every occurrence, overlapping ones too, without regard to lines.
//!
//! Around them: `facts` (what a slot's results say), `carry` (lines that span chunks), `binary` (how far ripgrep would
//! have read), `matcher` (searching on the host, where single matches are shown), `printer` and `json` (rows), `totals`,
//! `plan` (what was asked).
//!
//! What differs from ripgrep 15:
//!
//! - `case_insensitive` folds ASCII letters only.
//! - UTF-16 is not decoded, with a byte order mark or without. UTF-8's mark is taken off, as ripgrep does.
//! - Patterns are bytes, and need not be UTF-8; there may be 100,000.
//! - ripgrep's line buffer stays as large as the lines of earlier files made it, and then reads further into binary
//!   files before it decides; here each file begins with 64 KiB. A pipe is taken to deliver as much as is asked for.
//!
//! A line longer than 8 MiB is not kept while its end is awaited; if it matches it is read again, and is in memory whole
//! while its row is made. From a stream it cannot be read again: it counts, but instead of a row there is an error. So
//! there is for a line longer than [`max_line_bytes`](ScanJobBuilder::max_line_bytes), which bounds what rows cost.
//!
//! ```
//! use gristmill::jobs::scan::{Report, ScanJob};
//!
//! let job = ScanJob::builder()
//!     .pattern("needle")
//!     .pattern("pin")
//!     .report(Report::Count)
//!     .build()?;
//! assert!(!job.found());
//! # Ok::<(), gristmill::PipelineError>(())
//! ```

mod all;
mod binary;
mod carry;
mod count;
mod facts;
mod json;
mod lines;
mod matcher;
mod plan;
mod printer;
mod totals;

#[cfg(test)]
mod tests;

pub use totals::ScanTotals;

use super::{FileEnd, Flow, Job, LandedChunk};
use crate::jobs::{DEFAULT_CHUNK_BYTES, LARGE_CHUNK_BYTES};
use crate::source::Entry;
use all::AllFile;
use count::{AnyFile, CountFile};
use gristmill_megakernel::{ScanMode, ScanSet, StreamJob, DEFAULT_TABLE_BYTES, MAX_TABLE_BYTES};
use gristmill_protocol::{opcode, stream, PipelineError};
use lines::LinesFile;
use plan::{FirstRows, Plan};
use printer::Style;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// The longest line that is shown, in bytes, unless something else is asked for.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// What is said of each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Report {
    /// Its matching lines; with [`all`](ScanJobBuilder::all), its occurrences.
    #[default]
    Lines,
    /// Each match, without the rest of its line.
    Matches,
    /// The number of its matching lines; with [`all`](ScanJobBuilder::all), of its occurrences. Nothing if there is none.
    Count,
    /// The number of its matches. Nothing if there is none.
    CountMatches,
    /// Its path, if something matches.
    Paths,
    /// Nothing. The run ends with the first match, unless totals are wanted.
    Quiet,
}

impl Report {
    /// Whether a file gets one row at most.
    fn is_summary(self) -> bool {
        !matches!(self, Report::Lines | Report::Matches)
    }
}

/// A matching line, or a search, that failed on the host.
#[derive(Debug, Clone)]
pub struct ScanError {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What happened.
    pub error: PipelineError,
}

/// Settings of a [`ScanJob`].
#[derive(Debug, Clone, Default)]
pub struct ScanJobBuilder {
    patterns: Vec<Vec<u8>>,
    case_insensitive: bool,
    all: bool,
    report: Report,
    style: Style,
    limit: Option<u64>,
    max_line_bytes: Option<u64>,
    text: bool,
    mapped: bool,
    totals: bool,
    table_bytes: Option<usize>,
}

impl ScanJobBuilder {
    /// Adds a pattern: bytes that are searched for as they are.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<Vec<u8>>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Adds patterns.
    #[must_use]
    pub fn patterns<P: Into<Vec<u8>>>(mut self, patterns: impl IntoIterator<Item = P>) -> Self {
        self.patterns.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Whether ASCII letters match in either case. Default: no.
    #[must_use]
    pub fn case_insensitive(mut self, yes: bool) -> Self {
        self.case_insensitive = yes;
        self
    }

    /// Whether every occurrence is wanted, overlapping ones too, over the bytes of each file without regard to lines
    /// and NULs. Rows are `path:offset:pattern`, ordered by where occurrences end. Default: no.
    #[must_use]
    pub fn all(mut self, yes: bool) -> Self {
        self.all = yes;
        self
    }

    /// What is said of each file. Default: its matching lines.
    #[must_use]
    pub fn report(mut self, report: Report) -> Self {
        self.report = report;
        self
    }

    /// Whether rows say which file they are of. Default: no.
    #[must_use]
    pub fn with_path(mut self, yes: bool) -> Self {
        self.style.path = yes;
        self
    }

    /// Whether a file's path is a line of its own before its rows, and an empty line stands between files. Each file's
    /// rows then *begin* with an empty line: write them through [`Separated`], which leaves out the run's first.
    #[must_use]
    pub fn heading(mut self, yes: bool) -> Self {
        self.style.heading = yes;
        self
    }

    /// Whether, under [`heading`](Self::heading), a file of which only a note is printed gets no empty line before it,
    /// as when ripgrep searches with one thread (`--sort`, a single file). Default: no.
    #[must_use]
    pub fn sequential(mut self, yes: bool) -> Self {
        self.style.sequential = yes;
        self
    }

    /// Whether rows begin with line numbers. Default: no.
    #[must_use]
    pub fn line_numbers(mut self, yes: bool) -> Self {
        self.style.line_numbers = yes;
        self
    }

    /// Whether rows say how many bytes of the file are before them. Default: no.
    #[must_use]
    pub fn byte_offsets(mut self, yes: bool) -> Self {
        self.style.byte_offsets = yes;
        self
    }

    /// Whether rows have ANSI colours, ripgrep's. Default: no.
    #[must_use]
    pub fn color(mut self, yes: bool) -> Self {
        self.style.color = yes;
        self
    }

    /// Whether paths end with a NUL instead of `:` or a newline. Default: no.
    #[must_use]
    pub fn null(mut self, yes: bool) -> Self {
        self.style.null = yes;
        self
    }

    /// Whether rows are ripgrep's JSON Lines; with [`all`](Self::all), records of type `occurrence` with `path`,
    /// `absolute_offset`, `pattern_index` and `pattern`. Applies to [`Report::Lines`] and [`Report::Matches`].
    /// Default: no.
    #[must_use]
    pub fn json(mut self, yes: bool) -> Self {
        self.style.json = yes;
        self
    }

    /// Ends a file after so many matching lines.
    #[must_use]
    pub fn limit(mut self, lines: Option<u64>) -> Self {
        self.limit = lines;
        self
    }

    /// The longest matching line that is shown, in bytes, where a line spans chunks: it is in memory whole while its row is
    /// made. Of a longer one an error is reported instead, and it still counts. Default: 16 MiB.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: u64) -> Self {
        self.max_line_bytes = Some(bytes);
        self
    }

    /// Whether NULs mean nothing. Default: no: a file with NULs is binary, as for ripgrep.
    #[must_use]
    pub fn text(mut self, yes: bool) -> Self {
        self.text = yes;
        self
    }

    /// Whether named files are treated as ripgrep treats files that it maps: a NUL counts if it is in the first 64 KiB
    /// or in a matching line. ripgrep maps if there are ten paths at most and all are files. Default: no.
    #[must_use]
    pub fn mapped(mut self, yes: bool) -> Self {
        self.mapped = yes;
        self
    }

    /// Whether [`ScanJob::totals`] are counted; they need every matching line. Always on for JSON. Default: no.
    #[must_use]
    pub fn totals(mut self, yes: bool) -> Self {
        self.totals = yes;
        self
    }

    /// Bytes of memory that the table of the patterns may take on the CPU, 1 GiB at most; while it is built it takes up to
    /// twice as much. Patterns that need more are searched for many times more slowly: [`ScanJob::engine_report`] says so.
    /// Default: [`DEFAULT_TABLE_BYTES`].
    #[must_use]
    pub fn table_bytes(mut self, bytes: usize) -> Self {
        self.table_bytes = Some(bytes);
        self
    }

    /// Checks the settings and prepares the search.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for a pattern that no line can hold, or that occurs everywhere, and for a table
    /// that is larger than 1 GiB; the kernel's own error for too many patterns.
    pub fn build(self) -> Result<ScanJob, PipelineError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        let table_bytes = self.table_bytes.unwrap_or(DEFAULT_TABLE_BYTES);
        if table_bytes > MAX_TABLE_BYTES {
            return invalid(
                "a table of patterns that is larger than 1 GiB",
                "allow at most 1 GiB",
            );
        }
        if self.all {
            if self.patterns.iter().any(Vec::is_empty) {
                return invalid(
                    "an empty pattern, which occurs at every byte",
                    "give patterns of one byte or more, or search lines",
                );
            }
            if matches!(self.report, Report::Matches | Report::CountMatches) || self.limit.is_some()
            {
                return invalid(
                    "every occurrence together with a report or limit that is about lines",
                    "ask for lines, a count, paths or nothing, without a limit",
                );
            }
        } else if self.patterns.iter().any(|p| p.contains(&b'\n')) {
            return invalid(
                "a newline in a pattern, which no line can hold",
                "give the lines as patterns of their own, or ask for all occurrences",
            );
        }
        let mut style = self.style;
        style.json &= !self.report.is_summary();
        style.only_matching = self.report == Report::Matches;
        style.count_matches = self.totals;
        let mut plan = Plan::new(self.patterns, self.report, style);
        plan.case_insensitive = self.case_insensitive;
        plan.limit = self.limit;
        plan.max_line_bytes = self.max_line_bytes.unwrap_or(MAX_LINE_BYTES);
        plan.text = self.text;
        plan.mapped = self.mapped;
        plan.totals_wanted = self.totals;
        let engine = if self.all {
            Engine::All
        } else if plan.decides_only() && plan.limit != Some(0) {
            // The first match decides, whatever the limit.
            Engine::Any
        } else if plan.report == Report::Count && plan.limit.is_none() && !plan.timed() {
            Engine::Count
        } else {
            Engine::Lines
        };
        let mode = match engine.mode(&plan) {
            stream::MODE_ALL => ScanMode::All,
            _ => ScanMode::Lines,
        };
        let set = Arc::new(plan.scan_set(mode, table_bytes)?);
        let together = match mode {
            ScanMode::All => set.most_together(),
            ScanMode::Lines => 0,
        };
        // Patterns are 100,000 at most.
        let record_words = u32::try_from(2 * together).unwrap_or(u32::MAX);
        Ok(ScanJob {
            plan,
            engine,
            set,
            record_words,
        })
    }
}

/// How a file is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Lines,
    Count,
    Any,
    All,
}

impl Engine {
    /// The device's mode.
    fn mode(self, plan: &Plan) -> u32 {
        match self {
            Engine::Any => stream::MODE_ANY,
            Engine::All if plan.decides_only() && !plan.newline_pattern => stream::MODE_ANY,
            Engine::All => stream::MODE_ALL,
            // Every line matches: where lines end says it all.
            Engine::Lines | Engine::Count if plan.every_line => stream::MODE_ANY,
            Engine::Lines => stream::MODE_LINES,
            Engine::Count => stream::MODE_COUNT_LINES,
        }
    }
}

/// A scan of files for fixed strings.
pub struct ScanJob {
    plan: Plan,
    engine: Engine,
    set: Arc<ScanSet>,
    /// What the occurrences need that may end at one byte: they stay together.
    record_words: u32,
}

/// The rows of a file, as far as they are made.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    bytes: u64,
    /// They begin with the empty line between files.
    separated: bool,
}

impl Written {
    fn add(&mut self, rows: &[u8]) {
        self.separated |= self.bytes == 0 && rows.first() == Some(&b'\n');
        self.bytes += rows.len() as u64;
    }
}

/// What a scan remembers of a file.
pub struct ScanFile {
    file: File,
    /// Its place in the source's order.
    sequence: u64,
    rows: Written,
    /// Nothing more of it is wanted.
    answered: bool,
}

enum File {
    Lines(Box<LinesFile>),
    Count(Box<CountFile>),
    Any(Box<AnyFile>),
    All(Box<AllFile>),
}

impl ScanJob {
    /// A builder with no patterns yet, for printing matching lines.
    pub fn builder() -> ScanJobBuilder {
        ScanJobBuilder::default()
    }

    /// Whether anything was found so far.
    pub fn found(&self) -> bool {
        self.plan.has_found()
    }

    /// Bytes of the rows of the first file, in the source's order, that has any; `None` also where it was not searched as far
    /// as was wanted.
    pub fn first_rows(&self) -> Option<u64> {
        let first = self.plan.first_rows()?;
        first.done.then_some(first.bytes)
    }

    /// What was found so far, where totals were asked for.
    pub fn totals(&self) -> ScanTotals {
        let mut totals = self.plan.totals();
        // The empty line that `Separated` leaves out.
        let style = &self.plan.style;
        let first = self.plan.first_rows();
        if style.heading && style.sequential && first.is_some_and(|first| first.separated) {
            totals.bytes_printed = totals.bytes_printed.saturating_sub(1);
        }
        totals
    }

    /// What searches on the CPU, how much memory it takes, and why it is nothing faster.
    pub fn engine_report(&self) -> String {
        self.set.engine_report()
    }

    /// Takes what failed on the host so far, by path and offset.
    pub fn take_errors(&self) -> Vec<ScanError> {
        self.plan.take_errors()
    }

    /// Whether the whole run is answered.
    fn answered(&self) -> bool {
        self.plan.report == Report::Quiet && !self.plan.totals_wanted && self.plan.has_found()
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
            Engine::Count => LARGE_CHUNK_BYTES,
            Engine::Any | Engine::Lines | Engine::All => DEFAULT_CHUNK_BYTES,
        }
    }

    fn mode(&self, entry: &Entry, _offset: u64) -> u32 {
        let plan = &self.plan;
        let mut mode = self.engine.mode(plan);
        if self.engine == Engine::All {
            return mode;
        }
        if plan.style.line_numbers || (plan.every_line && self.engine == Engine::Count) {
            mode |= stream::WANT_NEWLINES;
        }
        let nul = match (self.engine, plan.text, entry.explicit) {
            (_, true, _) => false,
            (_, _, false) | (Engine::Lines, ..) => true,
            (Engine::Any, ..) => plan.nul_pattern,
            // Of a mapped file ripgrep counts the lines whatever NULs it holds; one that is not mapped after all, the
            // host searches for them.
            (Engine::Count, ..) => !plan.maps(entry),
            (Engine::All, ..) => true,
        };
        if nul {
            mode |= stream::WANT_NUL;
        }
        mode
    }

    fn open(&self, entry: &Arc<Entry>) -> ScanFile {
        let plan = &self.plan;
        ScanFile {
            file: match self.engine {
                Engine::Lines => File::Lines(Box::new(LinesFile::new(plan, entry))),
                Engine::Count => File::Count(Box::new(CountFile::new(plan, entry))),
                Engine::Any => File::Any(Box::new(AnyFile::new(plan, entry))),
                Engine::All => File::All(Box::new(AllFile::new(plan, entry))),
            },
            sequence: entry.sequence,
            rows: Written::default(),
            answered: false,
        }
    }

    fn chunk(&self, file: &mut ScanFile, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        let plan = &self.plan;
        let before = rows.len();
        file.answered = match &mut file.file {
            File::Lines(file) => file.chunk(plan, chunk, rows),
            File::Count(file) => file.chunk(plan, chunk),
            File::Any(file) => file.chunk(plan, chunk),
            File::All(file) => file.chunk(plan, chunk, rows),
        };
        file.rows.add(rows.get(before..).unwrap_or_default());
        if file.answered {
            Flow::SkipFile
        } else {
            Flow::Continue
        }
    }

    fn close(&self, file: ScanFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        let plan = &self.plan;
        let before = rows.len();
        match file.file {
            File::Lines(file) => file.close(plan, end, rows),
            File::Count(file) => file.close(plan, end, rows),
            File::Any(file) => file.close(plan, end, rows),
            File::All(file) => file.close(plan, end, rows),
        }
        let mut written = file.rows;
        written.add(rows.get(before..).unwrap_or_default());
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

/// A writer for rows with headings: it leaves out the empty line that the run's first file begins with.
#[derive(Debug)]
pub struct Separated<W> {
    output: W,
    begun: bool,
}

impl<W: Write> Separated<W> {
    /// Writes to `output`.
    pub fn new(output: W) -> Self {
        Self {
            output,
            begun: false,
        }
    }
}

impl<W: Write> Write for Separated<W> {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        if !self.begun {
            if let Some(rest) = rows.strip_prefix(b"\n") {
                self.begun = true;
                return Ok(1 + if rest.is_empty() {
                    0
                } else {
                    self.output.write(rest)?
                });
            }
            self.begun = !rows.is_empty();
        }
        self.output.write(rows)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
