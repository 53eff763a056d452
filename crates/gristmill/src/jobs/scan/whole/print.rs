//! The search of a whole file, and its rows.

use super::WholeFile;
use crate::jobs::scan::binary::Binary;
use crate::jobs::scan::error::ScanErrorKind;
use crate::jobs::scan::plan::Plan;
use crate::jobs::scan::report::Report;
use crate::jobs::scan::room::Whole;
use crate::jobs::scan::totals::ScanTotals;
use grep_matcher::LineTerminator;
use grep_printer::{ColorSpecs, JSONBuilder, StandardBuilder, Stats, SummaryBuilder, SummaryKind};
use grep_searcher::{
    BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkFinish, SinkMatch,
};
use std::io::{self, Write};
use termcolor::{Ansi, NoColor, WriteColor};

/// The rows that one file may have, in files of the greatest length that is searched.
const FILES_OF_ROWS: u64 = 4;

/// Rows, up to a bound.
struct Bounded<'a> {
    rows: &'a mut Vec<u8>,
    room: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room = self
            .room
            .checked_sub(bytes.len() as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        self.rows.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that remembers whether a line was shown.
struct Watched<S> {
    sink: S,
    shown: bool,
}

impl<S: Sink> Sink for Watched<S> {
    type Error = S::Error;

    fn matched(&mut self, searcher: &Searcher, found: &SinkMatch<'_>) -> Result<bool, S::Error> {
        let goes_on = self.sink.matched(searcher, found)?;
        self.shown |= goes_on;
        Ok(goes_on)
    }

    fn context(&mut self, searcher: &Searcher, line: &SinkContext<'_>) -> Result<bool, S::Error> {
        let goes_on = self.sink.context(searcher, line)?;
        self.shown |= goes_on;
        Ok(goes_on)
    }

    fn context_break(&mut self, searcher: &Searcher) -> Result<bool, S::Error> {
        self.sink.context_break(searcher)
    }

    fn binary_data(&mut self, searcher: &Searcher, offset: u64) -> Result<bool, S::Error> {
        self.sink.binary_data(searcher, offset)
    }

    fn begin(&mut self, searcher: &Searcher) -> Result<bool, S::Error> {
        self.sink.begin(searcher)
    }

    fn finish(&mut self, searcher: &Searcher, end: &SinkFinish) -> Result<(), S::Error> {
        self.sink.finish(searcher, end)
    }
}

/// What came of a search.
struct Answer {
    found: bool,
    totals: ScanTotals,
    /// Whether a line is shown, and not only a note.
    shown: bool,
}

impl Answer {
    /// The answer of a search that shows no lines as text.
    fn new(found: bool, stats: Option<&Stats>) -> Self {
        Self {
            found,
            totals: totals(stats),
            shown: false,
        }
    }
}

fn totals(stats: Option<&Stats>) -> ScanTotals {
    stats.map_or_else(ScanTotals::default, |stats| ScanTotals {
        matches: stats.matches(),
        matched_lines: stats.matched_lines(),
        searches_with_match: stats.searches_with_match(),
        searches: stats.searches(),
        bytes_printed: stats.bytes_printed(),
        bytes_searched: stats.bytes_searched(),
        elapsed: stats.elapsed(),
    })
}

impl WholeFile {
    /// Searches the file and appends its rows.
    pub(super) fn search(
        &self,
        plan: &Plan,
        whole: &Whole,
        bytes: &[u8],
        rows: &mut Vec<u8>,
    ) -> Result<(), ScanErrorKind> {
        let mut own = Vec::new();
        let most = whole.most.saturating_mul(FILES_OF_ROWS);
        let target = Bounded {
            rows: &mut own,
            room: most,
        };
        let answer = match (plan.report, plan.style.json, plan.style.color) {
            (Report::Lines | Report::Matches, true, _) => self.records(plan, whole, bytes, target),
            (Report::Lines | Report::Matches, false, true) => {
                self.lines(plan, whole, bytes, Ansi::new(target))
            }
            (Report::Lines | Report::Matches, false, false) => {
                self.lines(plan, whole, bytes, NoColor::new(target))
            }
            (_, _, true) => self.summary(plan, whole, bytes, Ansi::new(target)),
            (_, _, false) => self.summary(plan, whole, bytes, NoColor::new(target)),
        };
        let mut answer = answer.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => ScanErrorKind::ManyRowsOfFile { most },
            _ => ScanErrorKind::FileUnsearched(error),
        })?;
        let style = &plan.style;
        let separates = !plan.report.is_summary() && (answer.shown || !style.sequential);
        if separates && !own.is_empty() {
            let separator = style.separate(rows);
            answer.totals.bytes_printed += if style.sequential { separator } else { 0 };
        }
        rows.extend_from_slice(&own);
        if plan.timed() {
            plan.add(&answer.totals);
        }
        plan.found(answer.found);
        Ok(())
    }

    fn searcher(&self, plan: &Plan) -> Searcher {
        let mut builder = SearcherBuilder::new();
        builder
            .line_terminator(if plan.style.crlf {
                LineTerminator::crlf()
            } else {
                LineTerminator::byte(b'\n')
            })
            .invert_match(plan.invert)
            .line_number(plan.style.line_numbers)
            .multi_line(true)
            .bom_sniffing(false)
            .max_matches(plan.limit)
            .binary_detection(match self.text.binary {
                Binary::Text => BinaryDetection::none(),
                Binary::Quit => BinaryDetection::quit(0),
                Binary::Stream | Binary::Mapped => BinaryDetection::convert(0),
            })
            .passthru(plan.shown.all);
        if !plan.shown.all {
            builder
                .before_context(plan.shown.before)
                .after_context(plan.shown.after);
        }
        builder.build()
    }

    /// Rows of text.
    fn lines<W: WriteColor>(
        &self,
        plan: &Plan,
        whole: &Whole,
        bytes: &[u8],
        output: W,
    ) -> io::Result<Answer> {
        let style = &plan.style;
        let mut printer = StandardBuilder::new()
            .color_specs(ColorSpecs::default_with_color())
            .byte_offset(style.byte_offsets)
            .column(style.columns)
            .heading(style.heading)
            .max_columns(style.max_columns)
            .max_columns_preview(style.preview)
            .only_matching(style.only_matching)
            .path(style.path)
            .path_terminator(style.null.then_some(0))
            .per_match(style.each_match)
            .per_match_one_line(true)
            .replacement(style.replacement.clone())
            .separator_context(style.separators.groups.clone())
            .separator_field_match(style.separators.matching.clone())
            .separator_field_context(style.separators.context.clone())
            .stats(plan.timed())
            .trim_ascii(style.trim)
            .build(output);
        let matcher = whole.matcher.regex();
        let sink = printer.sink_with_path(matcher, &self.entry.path);
        let mut watched = Watched { sink, shown: false };
        self.searcher(plan)
            .search_slice(matcher, bytes, &mut watched)?;
        Ok(Answer {
            shown: watched.shown,
            ..Answer::new(watched.sink.has_match(), watched.sink.stats())
        })
    }

    /// Records of JSON Lines.
    fn records(
        &self,
        plan: &Plan,
        whole: &Whole,
        bytes: &[u8],
        output: Bounded<'_>,
    ) -> io::Result<Answer> {
        let mut printer = JSONBuilder::new()
            .replacement(plan.style.replacement.clone())
            .build(output);
        let matcher = whole.matcher.regex();
        let mut sink = printer.sink_with_path(matcher, &self.entry.path);
        self.searcher(plan)
            .search_slice(matcher, bytes, &mut sink)?;
        Ok(Answer::new(sink.has_match(), Some(sink.stats())))
    }

    /// A count, a path or nothing.
    fn summary<W: WriteColor>(
        &self,
        plan: &Plan,
        whole: &Whole,
        bytes: &[u8],
        output: W,
    ) -> io::Result<Answer> {
        let style = &plan.style;
        let mut printer = SummaryBuilder::new()
            .color_specs(ColorSpecs::default_with_color())
            .exclude_zero(!plan.include_zero)
            .kind(match plan.report {
                Report::Count => SummaryKind::Count,
                Report::CountMatches => SummaryKind::CountMatches,
                Report::Paths => SummaryKind::PathWithMatch,
                Report::PathsWithout => SummaryKind::PathWithoutMatch,
                Report::QuietWithout => SummaryKind::QuietWithoutMatch,
                Report::Quiet | Report::Lines | Report::Matches => SummaryKind::QuietWithMatch,
            })
            .path(style.path)
            .path_terminator(style.null.then_some(0))
            .separator_field(b":".to_vec())
            .stats(plan.timed())
            .build(output);
        let matcher = whole.matcher.regex();
        let mut sink = printer.sink_with_path(matcher, &self.entry.path);
        self.searcher(plan)
            .search_slice(matcher, bytes, &mut sink)?;
        Ok(Answer::new(sink.has_match(), sink.stats()))
    }
}
