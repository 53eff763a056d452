//! How the settings of a scan become the job.

use super::ScanJobBuilder;
use crate::jobs::scan::error::ScanBuildError;
use crate::jobs::scan::job::{Engine, ScanJob};
use crate::jobs::scan::plan::Plan;
use crate::jobs::scan::report::Report;
use crate::jobs::scan::room::Whole;
use gristmill_megakernel::{ScanMode, DEFAULT_TABLE_BYTES, MAX_TABLE_BYTES};
use gristmill_patterns::{LineMatcher, LineSettings, Literals, PlainStrings};
use gristmill_protocol::{stream, PipelineError};
use std::sync::Arc;

/// The default length of the longest line that is shown, in bytes.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// The memory that patterns may take if no other limit is set, in bytes: 1 GiB.
const MAX_SET_BYTES: usize = 1 << 30;

/// The copies of the patterns that a job holds: as they were given, as they are searched for, and on the device.
const COPIES: usize = 3;

/// Bytes that a vector and its place in the heap take beside its elements.
const VECTOR: usize = 48;

/// The memory, in bytes, that patterns take with what is built of them.
fn memory(patterns: &[Vec<u8>]) -> usize {
    let bytes: usize = patterns.iter().map(Vec::len).sum();
    let copy = bytes.saturating_add(VECTOR * patterns.len());
    Literals::estimate(patterns.len(), bytes).saturating_add(copy.saturating_mul(COPIES))
}

/// The default number of bytes of files that are searched as a whole.
const MAX_MULTILINE_BYTES: u64 = 1 << 30;

impl ScanJobBuilder {
    /// How the patterns are read.
    fn line_settings(&self) -> LineSettings {
        LineSettings {
            fixed_strings: !self.regex,
            text: self.text,
            ..self.settings.clone()
        }
    }

    /// Checks the settings and prepares the search.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for a pattern that no line can hold, or that occurs everywhere, and for a
    /// table that is larger than 1 GiB; [`PipelineError::Backend`] for a regex that is refused; the kernel's own error
    /// for too many patterns; [`PipelineError::Backend`] for patterns that would take more memory than they may.
    pub fn build(self) -> Result<ScanJob, PipelineError> {
        self.build_or_place().map_err(PipelineError::from)
    }

    /// The same as [`build`](Self::build), with the place of a fault in a pattern.
    ///
    /// # Errors
    /// The same, but [`ScanBuildError::Pattern`] for a regex that is refused, and [`ScanBuildError::Memory`] for patterns
    /// that would take too much memory.
    pub fn build_or_place(mut self) -> Result<ScanJob, ScanBuildError> {
        let table_bytes = self.table_bytes.unwrap_or(DEFAULT_TABLE_BYTES);
        let allowed = self.set_bytes.unwrap_or(MAX_SET_BYTES);
        let needed = memory(&self.patterns);
        if needed > allowed {
            return Err(ScanBuildError::Memory { needed, allowed });
        }
        let every_line = self.invert && self.patterns.is_empty();
        if every_line {
            // No line has a match: each is looked for, as if it had an empty one.
            (self.regex, self.multiline, self.settings.boundary) = (false, false, None);
            self.patterns.push(Vec::new());
        }
        let settings = self.line_settings();
        let plain = PlainStrings::of(&self.patterns, &settings);
        self.check(&settings, plain.is_some())?;
        let whole = match plain {
            None if self.multiline => LineMatcher::build_across_lines(
                &self.patterns,
                &settings,
                self.dot_matches_newline,
            )?,
            _ => None,
        };
        let mut style = self.style;
        // Rows of a table are those of JSON.
        style.json |= style.table && !self.all;
        style.line_numbers |= style.table;
        style.json &= !self.report.is_summary();
        style.only_matching = self.report == Report::Matches;
        style.count_matches = self.totals;
        style.crlf = settings.crlf;
        style.without = self.invert;
        style.around = self.shown.groups() && !self.report.is_summary();
        let letters = plain.as_ref().is_some_and(|plain| plain.fold_beyond_ascii) && !self.all;
        let (patterns, fold, regex) = match plain {
            Some(plain) => (plain.strings, plain.fold, None),
            None if self.all => {
                let fold = settings.case.folds(&self.patterns);
                (self.patterns, fold, None)
            }
            None => (self.patterns, false, Some(settings)),
        };
        let mut plan = Plan::new(patterns, self.report, style);
        plan.case_insensitive = fold;
        if letters {
            plan.fold_letters();
        }
        let most = self.max_multiline_bytes.unwrap_or(MAX_MULTILINE_BYTES);
        plan.whole = whole.map(|matcher| Box::new(Whole::new(matcher, most)));
        if let (Some(settings), None) = (regex, &plan.whole) {
            plan.search_regexes(settings);
        }
        plan.shown = self.shown;
        plan.limit = self.limit;
        plan.max_line_bytes = self.max_line_bytes.unwrap_or(MAX_LINE_BYTES);
        plan.text = self.text;
        plan.binary = self.binary;
        plan.mapped = self.mapped;
        plan.keep_mark = self.keep_mark;
        plan.totals_wanted = self.totals;
        plan.invert = self.invert && !every_line;
        plan.include_zero = self.include_zero;
        if plan.invert && plan.decides_only() {
            // As in ripgrep: without a limit, a file is searched to its end, and a NUL there undoes the first line.
            plan.limit = plan.limit.filter(|&limit| limit == 1);
        }
        let engine = engine(&plan, self.all);
        let mode = match engine.mode(&plan) {
            stream::MODE_ALL => ScanMode::All,
            _ => ScanMode::Lines,
        };
        let set = Arc::new(plan.scan_set(mode, table_bytes)?);
        plan.match_with(&set);
        let together = match mode {
            ScanMode::All => set.most_together(),
            ScanMode::Lines => 0,
        };
        // A scan has at most 1,000,000 patterns.
        let record_words = u32::try_from(2 * together).unwrap_or(u32::MAX);
        Ok(ScanJob {
            plan,
            engine,
            set,
            record_words,
        })
    }

    /// Checks settings that exclude each other. `plain` says whether all patterns are strings.
    fn check(&self, settings: &LineSettings, plain: bool) -> Result<(), ScanBuildError> {
        let invalid = |what, fix| {
            let error = PipelineError::InvalidArgument { what, fix };
            Err(ScanBuildError::Other(error))
        };
        if self.table_bytes > Some(MAX_TABLE_BYTES) {
            return invalid(
                "a table of patterns that is larger than 1 GiB",
                "allow at most 1 GiB",
            );
        }
        if self.all {
            if settings.boundary.is_some() || (self.regex && !plain) {
                return invalid(
                    "regexes, words or whole lines together with every occurrence",
                    "use a SweepJob for these, or search lines",
                );
            }
            if self.multiline {
                return invalid(
                    "every occurrence together with matches that span lines",
                    "use only one of them: occurrences may contain newlines",
                );
            }
            if self.patterns.iter().any(Vec::is_empty) {
                return invalid(
                    "an empty pattern, which occurs at every byte",
                    "give patterns of one byte or more, or search lines",
                );
            }
            if matches!(self.report, Report::Matches | Report::CountMatches)
                || self.report.is_without()
                || self.limit.is_some()
                || self.invert
                || self.shown.is_any()
                || self.style.replacement.is_some()
            {
                return invalid(
                    "every occurrence together with a report or limit that is about lines",
                    "ask for lines, a count, paths or nothing, without a limit",
                );
            }
        } else if !self.regex && !self.multiline && self.patterns.iter().any(|p| p.contains(&b'\n'))
        {
            return invalid(
                "a newline in a pattern, which no line can contain",
                "give the lines as patterns of their own, or ask for all occurrences",
            );
        }
        if self.style.table {
            if !matches!(self.report, Report::Lines | Report::Matches) {
                return invalid(
                    "a table of counts or paths",
                    "ask for lines or occurrences, or for rows of text",
                );
            }
            if self.multiline || self.style.replacement.is_some() {
                return invalid(
                    "a table of lines together with matches that span lines, or what replaces them",
                    "ask for rows of text or JSON",
                );
            }
        }
        Ok(())
    }
}

/// What searches by this plan.
fn engine(plan: &Plan, all: bool) -> Engine {
    if all {
        Engine::All
    } else if plan.whole.is_some() {
        Engine::Whole
    } else if plan.decides_only() && plan.limit != Some(0) && !plan.invert {
        // The first match decides, whatever the limit.
        Engine::Any
    } else if (plan.report == Report::Count
        || plan.report.is_without()
        || (plan.invert && plan.decides_only()))
        && plan.limit.is_none()
        && !plan.timed()
    {
        Engine::Count
    } else {
        Engine::Lines
    }
}
