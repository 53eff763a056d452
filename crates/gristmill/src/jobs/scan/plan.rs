//! The settings, fixed when the job is built, and the results so far, which all files share.

use super::carry::Budget;
use super::error::{ScanBuildError, ScanError, ScanErrorKind};
use super::fold;
use super::line::Line;
use super::matcher::Matcher;
use super::printer::{FileRows, Style};
use super::report::Report;
use super::room::Whole;
use super::shown::Shown;
use super::totals::ScanTotals;
use crate::source::{Entry, Origin};
use aho_corasick::{AhoCorasick, BuildError};
use gristmill_megakernel::{ScanMode, ScanSet};
use gristmill_patterns::LineSettings;
use gristmill_ring::lock;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// The first file, in the source's order, that has rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstRows {
    pub sequence: u64,
    /// Bytes of its rows.
    pub bytes: u64,
    /// Whether its rows begin with the empty line between files.
    pub separated: bool,
    /// Whether its search was completed.
    pub done: bool,
}

/// The rows that one line may have, in lines of the greatest length that is shown.
const LINES_OF_ROWS: u64 = 4;

pub(super) struct Plan {
    pub patterns: Vec<Vec<u8>>,
    pub case_insensitive: bool,
    pub report: Report,
    pub style: Style,
    /// Which lines are shown beside those that are looked for.
    pub shown: Shown,
    /// Matching lines of a file after which it is answered.
    pub limit: Option<u64>,
    /// The length in bytes beyond which a line that spans chunks is not shown.
    pub max_line_bytes: u64,
    /// NULs mean nothing.
    pub text: bool,
    /// Files that a walk has found are searched beyond a NUL.
    pub binary: bool,
    /// Named files are treated as ripgrep treats those that it maps.
    pub mapped: bool,
    /// A byte order mark of UTF-8 is not looked for: it is text.
    pub keep_mark: bool,
    /// The lines without a match are those that are looked for.
    pub invert: bool,
    /// Counts of nothing are shown.
    pub include_zero: bool,
    /// Totals are wanted.
    pub totals_wanted: bool,
    /// One of the patterns is empty.
    pub every_line: bool,
    /// One of the patterns holds a NUL.
    pub nul_pattern: bool,
    /// One of the patterns holds a newline.
    pub newline_pattern: bool,
    /// Bytes before a chunk boundary in which a match may begin that ends after it.
    pub reach: usize,
    /// Whether the letters of [`fold`] are a `k` and an `s`, which the device does not know.
    letters: bool,
    /// How the patterns are read, if they are regexes: a line that spans chunks is then searched as a whole, by the
    /// host.
    pub regex: Option<LineSettings>,
    pub budget: Budget,
    /// Where a match may span lines.
    pub whole: Option<Box<Whole>>,
    /// The device's set, if the host searches with it, too.
    shared: Option<Arc<ScanSet>>,
    matcher: OnceLock<Matcher>,
    overlapping: OnceLock<Option<AhoCorasick>>,
    found: AtomicBool,
    first_rows: Mutex<Option<FirstRows>>,
    totals: Mutex<ScanTotals>,
    errors: Mutex<Vec<ScanError>>,
}

impl Plan {
    pub fn new(patterns: Vec<Vec<u8>>, report: Report, style: Style) -> Self {
        Self {
            case_insensitive: false,
            report,
            style,
            shown: Shown::default(),
            limit: None,
            max_line_bytes: u64::MAX,
            text: false,
            binary: false,
            mapped: false,
            keep_mark: false,
            invert: false,
            include_zero: false,
            totals_wanted: false,
            every_line: patterns.iter().any(Vec::is_empty),
            nul_pattern: patterns.iter().any(|pattern| pattern.contains(&0)),
            newline_pattern: patterns.iter().any(|pattern| pattern.contains(&b'\n')),
            reach: patterns
                .iter()
                .map(Vec::len)
                .max()
                .unwrap_or(0)
                .saturating_sub(1),
            letters: false,
            regex: None,
            budget: Budget::default(),
            whole: None,
            shared: None,
            matcher: OnceLock::new(),
            overlapping: OnceLock::new(),
            found: AtomicBool::new(false),
            first_rows: Mutex::default(),
            totals: Mutex::default(),
            errors: Mutex::default(),
            patterns,
        }
    }

    /// The matcher for the host's own searches, built when it is first needed.
    pub fn matcher(&self) -> &Matcher {
        self.matcher.get_or_init(|| {
            let matcher = match &self.shared {
                Some(set) => Matcher::shared(Arc::clone(set)),
                None => {
                    Matcher::new(&self.patterns, self.case_insensitive).unwrap_or_else(|error| {
                        self.unsearchable(error);
                        Matcher::never()
                    })
                }
            };
            matcher.with_letters(self.letters)
        })
    }

    /// Lets the letters of [`fold`] match as a `k` and an `s`.
    pub fn fold_letters(&mut self) {
        self.letters = true;
        self.reach = (self.reach + 1) * fold::LONGER - 1;
    }

    /// Whether the device's results do not hold for these bytes.
    pub fn knows_better(&self, bytes: &[u8]) -> bool {
        self.letters && self.matcher().knows_better(bytes)
    }

    /// Takes the patterns as regexes, `settings` as they say.
    pub fn search_regexes(&mut self, settings: LineSettings) {
        // A match may hold what a pattern does not.
        (self.every_line, self.nul_pattern, self.newline_pattern) = (false, true, false);
        self.reach = 0;
        self.regex = Some(settings);
    }

    /// Lets the host search with the device's set, where that can do it.
    pub fn match_with(&mut self, set: &Arc<ScanSet>) {
        if set.line_settings().is_some() {
            self.matcher = OnceLock::from(Matcher::regex(Arc::clone(set)));
        } else if set.literals().is_some() && !self.every_line {
            self.shared = Some(Arc::clone(set));
        }
    }

    /// The patterns as the device searches for them. On the CPU their table takes at most `table_bytes`.
    ///
    /// # Errors
    /// The device's error, for more patterns than it takes, and for a regex that is refused.
    pub fn scan_set(&self, mode: ScanMode, table_bytes: usize) -> Result<ScanSet, ScanBuildError> {
        if let Some(settings) = &self.regex {
            // A NUL ends the search of a file that was found in a walk, and of other files the host searches again what
            // holds one; but for files that ripgrep maps.
            let set = ScanSet::regex(self.patterns.clone(), settings)?;
            return Ok(set.until_nul(!self.mapped));
        }
        if self.every_line || self.whole.is_some() {
            // The device only looks for newlines and NULs.
            return Ok(ScanSet::build(&[b"\n"], false, mode)?);
        }
        let fold = self.case_insensitive;
        Ok(ScanSet::build_within(
            &self.patterns,
            fold,
            mode,
            table_bytes,
        )?)
    }

    /// Calls `found` with start, end and pattern of every occurrence, overlapping ones too.
    pub fn overlapping(&self, haystack: &[u8], mut found: impl FnMut(usize, usize, u32)) {
        if let Some(literals) = self.shared.as_ref().and_then(|set| set.literals()) {
            return literals.find(haystack, 0..haystack.len(), |start, pattern| {
                found(start, start + literals.pattern_len(pattern), pattern);
            });
        }
        let automaton = self.overlapping.get_or_init(|| {
            AhoCorasick::builder()
                .ascii_case_insensitive(self.case_insensitive)
                .build(&self.patterns)
                .map_err(|error| self.unsearchable(error))
                .ok()
        });
        for occurrence in automaton
            .iter()
            .flat_map(|automaton| automaton.find_overlapping_iter(haystack))
        {
            found(
                occurrence.start(),
                occurrence.end(),
                occurrence.pattern().as_u32(),
            );
        }
    }

    fn unsearchable(&self, error: BuildError) {
        self.error(Path::new("-"), 0, ScanErrorKind::Unsearchable(error));
    }

    /// The bytes of a pattern; empty if no pattern has this number.
    pub fn pattern(&self, index: u32) -> &[u8] {
        self.patterns.get(index as usize).map_or(&[], Vec::as_slice)
    }

    /// Length of a pattern.
    pub fn length(&self, index: u32) -> u64 {
        self.pattern(index).len() as u64
    }

    /// Whether only the existence of a match matters.
    pub fn decides_only(&self) -> bool {
        matches!(self.report, Report::Paths | Report::Quiet) && !self.timed()
    }

    /// Whether the totals of each file are wanted.
    pub fn timed(&self) -> bool {
        self.totals_wanted || self.style.json
    }

    /// Whether ripgrep maps the file, if it has a length and no byte order mark.
    pub fn maps(&self, entry: &Entry) -> bool {
        self.mapped && entry.explicit && entry.origin != Origin::Stdin
    }

    /// Whether binary files are only noted, rather than counted or printed.
    pub fn notes_binaries(&self) -> bool {
        !self.report.is_summary() && !self.style.json
    }

    /// Prints a line, if lines are printed. Returns the number of its matches, if they are counted.
    #[inline]
    pub fn print(&self, rows: &mut Vec<u8>, file: &mut FileRows, line: Line<'_>) -> u64 {
        match self.report {
            Report::Lines | Report::Matches if self.style.replacement.is_some() => {
                self.print_replaced(rows, file, line)
            }
            Report::Lines | Report::Matches => self.print_as_it_is(rows, file, line),
            _ if line.context => 0,
            // As in ripgrep: an empty match at the very end of a file is none, but its line matches.
            Report::CountMatches if self.style.without => 1,
            Report::CountMatches => self.matcher().count(line.bytes).max(1),
            _ => self.count_in(line.bytes),
        }
    }

    #[inline]
    fn print_as_it_is(&self, rows: &mut Vec<u8>, file: &mut FileRows, line: Line<'_>) -> u64 {
        if self.style.each_match && self.has_many_rows(file, line) {
            return 0;
        }
        self.style.line(rows, file, line, || self.matcher())
    }

    /// Prints a line with what is shown in the place of its matches.
    fn print_replaced(&self, rows: &mut Vec<u8>, file: &mut FileRows, line: Line<'_>) -> u64 {
        let new = match &self.style.replacement {
            Some(replacement) if self.style.shows_matches(line) => {
                let most = self.max_line_bytes.saturating_mul(LINES_OF_ROWS);
                let new = self.matcher().replaced(line.bytes, replacement, most);
                if new.is_none() {
                    let path = Path::new(OsStr::from_bytes(file.path()));
                    self.error(
                        path,
                        line.offset,
                        ScanErrorKind::LongReplacement { bytes: most },
                    );
                    return 0;
                }
                new
            }
            _ => None,
        };
        let replaced = new.as_ref().filter(|new| !new.places.is_empty());
        self.print_as_it_is(rows, file, Line { replaced, ..line })
    }

    /// Whether a row for each match of a line would take too much memory, because each has the whole line. Then an error
    /// is left.
    fn has_many_rows(&self, file: &FileRows, line: Line<'_>) -> bool {
        if self.style.json || self.style.only_matching || !self.style.shows_matches(line) {
            return false;
        }
        let bytes = line.replaced.map_or(line.bytes, |new| &new.text);
        let shown = bytes.len() as u64;
        let row = self.style.max_columns.map_or(shown, |most| shown.min(most));
        let most = self.max_line_bytes.saturating_mul(LINES_OF_ROWS);
        if shown.saturating_mul(row) <= most {
            return false;
        }
        let matches = self.matcher().count(line.bytes);
        let bytes = matches.saturating_mul(row);
        if bytes > most {
            let path = Path::new(OsStr::from_bytes(file.path()));
            self.error(
                path,
                line.offset,
                ScanErrorKind::ManyRows { matches, bytes },
            );
        }
        bytes > most
    }

    /// Number of matches in a line, if totals are wanted.
    pub fn count_in(&self, line: &[u8]) -> u64 {
        if self.timed() {
            let least = u64::from(self.report.is_summary());
            if self.style.without {
                return least;
            }
            self.matcher().count(line).max(least)
        } else {
            0
        }
    }

    /// Whether a line is one of those that are looked for.
    pub fn wants(&self, matched: bool) -> bool {
        matched != self.invert
    }

    /// Ends a file whose lines, or `matches`, were counted: writes its row and notes whether it counts as found.
    /// `ended_by_nul` is whether a NUL ended it.
    pub fn summary(
        &self,
        rows: &mut Vec<u8>,
        path: &[u8],
        lines: u64,
        matches: u64,
        ended_by_nul: bool,
    ) {
        if self.report.is_without() {
            if lines == 0 && !ended_by_nul && self.report == Report::PathsWithout {
                self.style.path_line(rows, path);
            }
            return self.found(lines == 0 || ended_by_nul);
        }
        if ended_by_nul {
            return;
        }
        let shown = lines > 0 || self.include_zero;
        match self.report {
            Report::Count if shown => self.style.count(rows, path, lines),
            Report::CountMatches if shown => self.style.count(rows, path, matches),
            Report::Paths if lines > 0 => self.style.path_line(rows, path),
            _ => {}
        }
        self.found(lines > 0);
    }

    pub fn found(&self, yes: bool) {
        if yes {
            self.found.store(true, Ordering::Relaxed);
        }
    }

    pub fn has_found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    /// A file has rows.
    pub fn has_rows(&self, rows: FirstRows) {
        let mut first = lock(&self.first_rows);
        if first.is_none_or(|first| rows.sequence < first.sequence) {
            *first = Some(rows);
        }
    }

    pub fn first_rows(&self) -> Option<FirstRows> {
        *lock(&self.first_rows)
    }

    pub fn add(&self, totals: &ScanTotals) {
        *lock(&self.totals) += *totals;
    }

    pub fn totals(&self) -> ScanTotals {
        *lock(&self.totals)
    }

    pub fn error(&self, path: &Path, offset: u64, kind: ScanErrorKind) {
        lock(&self.errors).push(ScanError {
            path: path.to_path_buf(),
            offset,
            kind,
        });
    }

    pub fn take_errors(&self) -> Vec<ScanError> {
        let mut errors = std::mem::take(&mut *lock(&self.errors));
        // Workers find errors in any order.
        errors.sort_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
        errors
    }
}
