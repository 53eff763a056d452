//! The settings of a scan.

mod build;

use super::job::ScanJob;
use super::printer::Style;
use super::report::Report;
use super::shown::Shown;
use crate::setters::setters;
use gristmill_patterns::{Boundary, Case, LineSettings};

/// Settings of a [`ScanJob`].
#[derive(Debug, Clone, Default)]
pub struct ScanJobBuilder {
    patterns: Vec<Vec<u8>>,
    regex: bool,
    settings: LineSettings,
    all: bool,
    report: Report,
    style: Style,
    shown: Shown,
    limit: Option<u64>,
    max_line_bytes: Option<u64>,
    text: bool,
    binary: bool,
    mapped: bool,
    keep_mark: bool,
    multiline: bool,
    dot_matches_newline: bool,
    max_multiline_bytes: Option<u64>,
    invert: bool,
    include_zero: bool,
    totals: bool,
    table_bytes: Option<usize>,
    set_bytes: Option<usize>,
}

impl ScanJob {
    /// A builder with no patterns yet, for printing matching lines.
    pub fn builder() -> ScanJobBuilder {
        ScanJobBuilder::default()
    }
}

impl ScanJobBuilder {
    /// Adds a pattern: bytes that are searched for as they are; with [`regex`](Self::regex), a regex.
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

    /// Whether the patterns are regexes, of the `regex` crate's syntax, rather than bytes that are searched for as they
    /// are. Several are searched for as their alternation; a match lies within a line, and `^` and `$` match at a line's
    /// ends. Default: no.
    #[must_use]
    pub fn regex(mut self, yes: bool) -> Self {
        self.regex = yes;
        self
    }

    /// Whether letters match in either case, by Unicode's simple case folding; for [`all`](Self::all), and among strings of
    /// which one is not UTF-8, ASCII letters only. Default: no.
    #[must_use]
    pub fn case_insensitive(mut self, yes: bool) -> Self {
        self.settings.case = if yes {
            Case::Insensitive
        } else {
            Case::Sensitive
        };
        self
    }

    /// Whether letters match in either case if the patterns hold letters, but no upper-case one. Default: no.
    #[must_use]
    pub fn smart_case(mut self, yes: bool) -> Self {
        self.settings.case = if yes { Case::Smart } else { Case::Sensitive };
        self
    }

    setters! {
        /// Whether a match must begin and end where no word goes on. Default: no.
        words(yes: bool) { settings.boundary = yes.then_some(Boundary::Word) }

        /// Whether a match must be a whole line. Default: no.
        whole_lines(yes: bool) { settings.boundary = yes.then_some(Boundary::Line) }

        /// Whether patterns know Unicode: in classes, `.`, word boundaries and case. Default: yes.
        unicode(yes: bool) { settings.unicode = yes }

        /// Whether CR LF ends a line as LF does: no match holds either, and `$` matches before both. Default: no.
        crlf(yes: bool) { settings.crlf = yes }

        /// Whether a match may span lines. Files whose lines the patterns do not keep apart are then searched as a
        /// whole, by the host. Default: no.
        multiline(yes: bool) { multiline = yes }

        /// Whether `.` matches a line end, where [a match may span lines](Self::multiline). Default: no.
        dot_matches_newline(yes: bool) { dot_matches_newline = yes }

        /// The most bytes of files that are in memory because [a match may span lines](Self::multiline), of one file
        /// and of all together. A file that finds no room is read again at its end, alone; one that is larger is an
        /// error, and so is one whose rows are longer than four times as many bytes. Default: 1 GiB.
        max_multiline_bytes(bytes: u64) { max_multiline_bytes = Some(bytes) }

        /// Bytes of memory that a compiled regex may take. Default:
        /// [`DEFAULT_SIZE_LIMIT`](gristmill_patterns::DEFAULT_SIZE_LIMIT).
        regex_size_limit(bytes: usize) { settings.size_limit = bytes }

        /// Bytes of memory that each thread may take for the automaton which it builds while it searches for a regex; a
        /// regex that needs more is searched for more slowly. Default:
        /// [`DEFAULT_DFA_SIZE_LIMIT`](gristmill_patterns::DEFAULT_DFA_SIZE_LIMIT).
        dfa_size_limit(bytes: usize) { settings.dfa_size_limit = bytes }

        /// Whether every occurrence is reported, including overlapping ones, in the bytes of each file without regard
        /// to lines and NULs. Rows are `path:offset:length:pattern`, ordered by where occurrences end. Default: no.
        all(yes: bool) { all = yes }

        /// What is reported of each file. Default: its matching lines.
        report(report: Report) { report = report }

        /// Whether rows begin with the path of their file. Default: no.
        with_path(yes: bool) { style.path = yes }

        /// Whether a file's path is a line of its own before its rows, and an empty line stands between files. Each
        /// file's rows then *begin* with an empty line: write them through [`Separated`](super::Separated), which
        /// leaves out the run's first.
        heading(yes: bool) { style.heading = yes }

        /// Whether, under [`heading`](Self::heading), a file of which only a note is printed gets no empty line before
        /// it, as when ripgrep searches with one thread (`--sort`, a single file). Default: no.
        sequential(yes: bool) { style.sequential = yes }

        /// Whether rows begin with line numbers. Default: no.
        line_numbers(yes: bool) { style.line_numbers = yes }

        /// Whether rows say at which byte of the file they begin. Default: no.
        byte_offsets(yes: bool) { style.byte_offsets = yes }

        /// Whether rows have ANSI colours, ripgrep's. Default: no.
        color(yes: bool) { style.color = yes }

        /// Whether paths end with a NUL instead of `:` or a newline. Default: no.
        null(yes: bool) { style.null = yes }

        /// Whether rows are ripgrep's JSON Lines; with [`all`](Self::all), records of type `occurrence` with `path`,
        /// `absolute_offset`, `length`, `pattern_index` and `pattern`. Applies to [`Report::Lines`] and
        /// [`Report::Matches`]. Default: no.
        json(yes: bool) { style.json = yes }

        /// Whether rows are those of a table with the columns of
        /// [`occurrence_schema`](crate::jobs::sweep::occurrence_schema), or for lines of
        /// [`line_schema`](super::line_schema), as [`RowWriter`](gristmill_rows::RowWriter) writes them. There are none
        /// of counts and paths, of matches that span lines and of what replaces matches. Default: no.
        table(yes: bool) { style.table = yes }

        /// Whether the lines that are looked for are those without a match. Default: no.
        invert(yes: bool) { invert = yes }

        /// Whether counts of nothing are shown. Default: no.
        include_zero(yes: bool) { include_zero = yes }

        /// Whether rows with a match say at which byte of their line it begins, from 1; the first match, if a row shows
        /// several. Default: no.
        columns(yes: bool) { style.columns = yes }

        /// Whether a matching line is shown once for each of its matches. Default: no.
        each_match(yes: bool) { style.each_match = yes }

        /// Whether lines are shown without the ASCII white space that they begin with. Default: no.
        trim(yes: bool) { style.trim = yes }

        /// The longest line, in bytes, that is shown; of longer ones a note says that they match. `None`, the default,
        /// is no limit.
        max_columns(bytes: Option<u64>) { style.max_columns = bytes }

        /// Whether the first characters of lines longer than [`max_columns`](Self::max_columns) are shown, as many as
        /// that limit says. Default: no.
        max_columns_preview(yes: bool) { style.preview = yes }
    }

    /// How many lines are shown before and after each line that is looked for. Rows of these have `-` where the others
    /// have `:`, and `--` stands between groups of lines, and between files. Default: none.
    #[must_use]
    pub fn context(mut self, before: usize, after: usize) -> Self {
        self.shown = Shown {
            before,
            after,
            all: false,
        };
        self
    }

    /// Whether all lines are shown, those that are looked for and the others as [`context`](Self::context) shows lines;
    /// undone by that. Default: no.
    #[must_use]
    pub fn all_lines(mut self, yes: bool) -> Self {
        self.shown = Shown {
            all: yes,
            ..Shown::default()
        };
        self
    }

    setters! {
        /// What stands between groups of lines where lines have context, and between files, as a line; `None` for
        /// nothing. Default: `--`.
        context_separator(separator: Option<Vec<u8>>) { style.separators.groups = separator }

        /// What follows each field, such as a line number, before a line that is looked for. Default: `:`.
        field_match_separator(separator: impl Into<Vec<u8>>) { style.separators.matching = separator.into() }

        /// What follows each field before other lines. Default: `-`.
        field_context_separator(separator: impl Into<Vec<u8>>) { style.separators.context = separator.into() }

        /// What is shown in the place of each match. `$1` and `$name` in it stand for groups, `$0` for the match, and
        /// `$$` for a dollar sign. `None`, the default, shows matches as they are.
        replacement(replacement: Option<Vec<u8>>) { style.replacement = replacement }

        /// Ends a file after this number of matching lines; `None`, the default, is no limit.
        limit(lines: Option<u64>) { limit = lines }

        /// The longest matching line that is shown, in bytes, where a line spans chunks: the whole line is in memory
        /// while its row is made. For a longer one an error is reported instead of a row; it still counts. Default: 16
        /// MiB.
        max_line_bytes(bytes: u64) { max_line_bytes = Some(bytes) }

        /// Whether NULs have no special meaning. Default: no, a file with NULs is binary, as in ripgrep.
        text(yes: bool) { text = yes }

        /// Whether files that a walk has found are searched beyond a NUL, as those that were named are: matching lines
        /// are then only noted. Default: no, such a file is left at its first NUL.
        binary(yes: bool) { binary = yes }

        /// Whether named files are treated as ripgrep treats files that it maps: a NUL counts if it is in the first 64
        /// KiB or in a matching line. ripgrep maps if there are ten paths at most and all are files. Default: no.
        mapped(yes: bool) { mapped = yes }

        /// Whether a byte order mark of UTF-8 is part of the first line. Default: no, it is left out.
        keep_mark(yes: bool) { keep_mark = yes }

        /// Whether [`ScanJob::totals`] are counted; they need every matching line. Always on for JSON. Default: no.
        totals(yes: bool) { totals = yes }

        /// Bytes of memory that the table of the patterns may take on the CPU, 1 GiB at most; while it is built it
        /// takes up to twice as much. Patterns that need more are searched for by a filter over sampled q-grams, as
        /// large sets are anyway; [`ScanJob::engine_report`](super::ScanJob::engine_report) tells. Default:
        /// [`DEFAULT_TABLE_BYTES`](gristmill_megakernel::DEFAULT_TABLE_BYTES).
        table_bytes(bytes: usize) { table_bytes = Some(bytes) }

        /// Bytes of memory that the patterns may take with all that is prepared for searching them, but for their table
        /// ([`table_bytes`](Self::table_bytes)) and compiled regexes, which have limits of their own. Patterns that
        /// need more are refused before anything is built. Default: 1 GiB.
        set_bytes(bytes: usize) { set_bytes = Some(bytes) }
    }
}
