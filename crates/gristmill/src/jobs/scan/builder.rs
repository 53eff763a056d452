//! The settings of a scan.

use super::job::{Engine, ScanJob};
use super::plan::Plan;
use super::printer::Style;
use super::report::Report;
use gristmill_megakernel::{ScanMode, DEFAULT_TABLE_BYTES, MAX_TABLE_BYTES};
use gristmill_protocol::{stream, PipelineError};
use std::sync::Arc;

/// The default length of the longest line that is shown, in bytes.
const MAX_LINE_BYTES: u64 = 16 << 20;

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
    binary: bool,
    mapped: bool,
    totals: bool,
    table_bytes: Option<usize>,
}

impl ScanJob {
    /// A builder with no patterns yet, for printing matching lines.
    pub fn builder() -> ScanJobBuilder {
        ScanJobBuilder::default()
    }
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

    /// Whether every occurrence is reported, including overlapping ones, in the bytes of each file without regard to
    /// lines and NULs. Rows are `path:offset:pattern`, ordered by where occurrences end. Default: no.
    #[must_use]
    pub fn all(mut self, yes: bool) -> Self {
        self.all = yes;
        self
    }

    /// What is reported of each file. Default: its matching lines.
    #[must_use]
    pub fn report(mut self, report: Report) -> Self {
        self.report = report;
        self
    }

    /// Whether rows begin with the path of their file. Default: no.
    #[must_use]
    pub fn with_path(mut self, yes: bool) -> Self {
        self.style.path = yes;
        self
    }

    /// Whether a file's path is a line of its own before its rows, and an empty line stands between files. Each file's
    /// rows then *begin* with an empty line: write them through [`Separated`](super::Separated), which leaves out the
    /// run's first.
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

    /// Whether rows say at which byte of the file they begin. Default: no.
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

    /// Ends a file after this number of matching lines; `None`, the default, is no limit.
    #[must_use]
    pub fn limit(mut self, lines: Option<u64>) -> Self {
        self.limit = lines;
        self
    }

    /// The longest matching line that is shown, in bytes, where a line spans chunks: the whole line is in memory while
    /// its row is made. For a longer one an error is reported instead of a row; it still counts. Default: 16 MiB.
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: u64) -> Self {
        self.max_line_bytes = Some(bytes);
        self
    }

    /// Whether NULs have no special meaning. Default: no, a file with NULs is binary, as in ripgrep.
    #[must_use]
    pub fn text(mut self, yes: bool) -> Self {
        self.text = yes;
        self
    }

    /// Whether files that a walk has found are searched beyond a NUL, as those that were named are: matching lines are
    /// then only noted. Default: no, such a file is left at its first NUL.
    #[must_use]
    pub fn binary(mut self, yes: bool) -> Self {
        self.binary = yes;
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

    /// Bytes of memory that the table of the patterns may take on the CPU, 1 GiB at most; while it is built it takes up
    /// to twice as much. Patterns that need more are searched for many times more slowly, and
    /// [`ScanJob::engine_report`] says so. Default: [`DEFAULT_TABLE_BYTES`].
    #[must_use]
    pub fn table_bytes(mut self, bytes: usize) -> Self {
        self.table_bytes = Some(bytes);
        self
    }

    /// Checks the settings and prepares the search.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for a pattern that no line can hold, or that occurs everywhere, and for a
    /// table that is larger than 1 GiB; the kernel's own error for too many patterns.
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
        plan.binary = self.binary;
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
        // A scan has at most 100,000 patterns.
        let record_words = u32::try_from(2 * together).unwrap_or(u32::MAX);
        Ok(ScanJob {
            plan,
            engine,
            set,
            record_words,
        })
    }
}
