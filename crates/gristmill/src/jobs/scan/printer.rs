//! Rows as ripgrep prints them: paths, line numbers, offsets, lines, matches, colours.

use super::colored::{Colored, MATCH, NUMBER, PATH, RESET};
use super::decimal::decimal;
use super::json;
use super::line::Line;
use super::matcher::Matcher;
use super::table;
use crate::jobs::sweep::OccurrenceRows;

/// What stands between the parts of a row, and between groups of rows.
#[derive(Debug, Clone)]
pub(super) struct Separators {
    /// Behind each field of a row with a match.
    pub matching: Vec<u8>,
    /// Behind each field of a row of context.
    pub context: Vec<u8>,
    /// A row between lines that do not follow each other, where lines have context.
    pub groups: Option<Vec<u8>>,
}

impl Default for Separators {
    fn default() -> Self {
        Self {
            matching: b":".to_vec(),
            context: b"-".to_vec(),
            groups: Some(b"--".to_vec()),
        }
    }
}

impl Separators {
    fn field(&self, context: bool) -> &[u8] {
        if context {
            &self.context
        } else {
            &self.matching
        }
    }
}

/// How rows are composed.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// Whether rows name their file.
    pub path: bool,
    /// Whether the path is a line of its own before the file's first row, and an empty line stands between files.
    pub heading: bool,
    /// A file of which only a note is printed gets no empty line before it.
    pub sequential: bool,
    /// Rows begin with the number of their line.
    pub line_numbers: bool,
    /// Rows say where they are in the file, in bytes.
    pub byte_offsets: bool,
    /// A row for each match, rather than for each matching line.
    pub only_matching: bool,
    /// ANSI escapes.
    pub color: bool,
    /// Paths end with a NUL rather than `:` or a newline.
    pub null: bool,
    /// Records of JSON Lines rather than text.
    pub json: bool,
    /// Rows of a table rather than text.
    pub table: bool,
    /// Matches are to be counted, for the totals.
    pub count_matches: bool,
    /// The lines are those without a match.
    pub without: bool,
    /// Rows say at which byte of their line their first match begins, from 1.
    pub columns: bool,
    /// A row with the whole line for each match.
    pub each_match: bool,
    /// Lines lose their leading white space.
    pub trim: bool,
    /// Longer lines, in bytes, are left out.
    pub max_columns: Option<u64>,
    /// What fits is shown of lines that are left out.
    pub preview: bool,
    /// CR LF ends a line: rows of text end so too, unless a line's own end is there already.
    pub crlf: bool,
    pub separators: Separators,
    /// What is shown in the place of each match; `$1` and `$name` stand for groups.
    pub replacement: Option<Vec<u8>>,
    /// Lines have other lines around them: what separates groups of lines also separates files.
    pub around: bool,
}

/// What a printer remembers of a file.
#[derive(Debug)]
pub(super) struct FileRows {
    /// The path as it is shown.
    path: Vec<u8>,
    /// What every row begins with.
    prefix: Vec<u8>,
    /// The same of rows of context.
    context_prefix: Vec<u8>,
    /// Whether the file's first row has been made.
    begun: bool,
    /// Escapes in `prefix`, in bytes.
    prefix_escapes: u64,
    /// Bytes of rows that ripgrep does not count as printed: escapes, and empty lines between files.
    pub uncounted: u64,
}

impl FileRows {
    /// The path of the file.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// None of the rows so far is shown.
    pub fn begin_again(&mut self) {
        self.begun = false;
    }
}

impl Style {
    /// The rows of a file begin.
    pub fn file(&self, path: &[u8]) -> FileRows {
        let (mut prefix, mut context_prefix) = (Vec::new(), Vec::new());
        let mut prefix_escapes = 0;
        if self.path && !self.heading && !self.json {
            prefix_escapes = self.path_field(&mut prefix, path, self.separators.field(false));
            self.path_field(&mut context_prefix, path, self.separators.field(true));
        }
        FileRows {
            path: path.to_vec(),
            prefix,
            context_prefix,
            begun: false,
            prefix_escapes,
            uncounted: 0,
        }
    }

    /// Appends text in a colour. Returns the length of the escapes.
    fn colored(&self, rows: &mut Vec<u8>, color: &[u8], text: &[u8]) -> u64 {
        if !self.color {
            rows.extend_from_slice(text);
            return 0;
        }
        rows.extend_from_slice(color);
        rows.extend_from_slice(text);
        rows.extend_from_slice(RESET);
        (color.len() + RESET.len()) as u64
    }

    /// Appends the path and a separator. Returns the length of the escapes.
    fn path_field(&self, rows: &mut Vec<u8>, path: &[u8], separator: &[u8]) -> u64 {
        let escapes = self.colored(rows, PATH, path);
        rows.extend_from_slice(if self.null { b"\0" } else { separator });
        escapes
    }

    /// Appends a number and a separator. Returns the length of the escapes.
    fn number_field(&self, rows: &mut Vec<u8>, color: &[u8], number: u64, separator: &[u8]) -> u64 {
        if !self.color {
            decimal(rows, number);
            rows.extend_from_slice(separator);
            return 0;
        }
        rows.extend_from_slice(color);
        decimal(rows, number);
        rows.extend_from_slice(RESET);
        rows.extend_from_slice(separator);
        (color.len() + RESET.len()) as u64
    }

    /// What a file's rows begin with, to separate them from those of the file before, as a line without its end; `None`
    /// if nothing separates files.
    pub fn between_files(&self) -> Option<&[u8]> {
        if self.json {
            None
        } else if self.heading {
            Some(b"")
        } else if self.around {
            self.separators.groups.as_deref()
        } else {
            None
        }
    }

    /// Appends what separates files. Returns its length.
    pub(super) fn separate(&self, rows: &mut Vec<u8>) -> u64 {
        let Some(separator) = self.between_files() else {
            return 0;
        };
        // With several threads, ripgrep's printer does not write these lines.
        let end = if self.sequential { self.end() } else { b"\n" };
        rows.extend_from_slice(separator);
        rows.extend_from_slice(end);
        (separator.len() + end.len()) as u64
    }

    /// Appends what stands between lines that do not follow each other.
    pub fn gap(&self, rows: &mut Vec<u8>) {
        if let (Some(separator), false) = (&self.separators.groups, self.json) {
            rows.extend_from_slice(separator);
            rows.extend_from_slice(self.end());
        }
    }

    /// What a row ends with.
    pub(super) fn end(&self) -> &'static [u8] {
        if self.crlf {
            b"\r\n"
        } else {
            b"\n"
        }
    }

    /// A line without its end.
    pub(super) fn text<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        match line.strip_suffix(b"\n") {
            None => line,
            Some(text) if self.crlf => text.strip_suffix(b"\r").unwrap_or(text),
            Some(text) => text,
        }
    }

    /// Appends a line with its end.
    pub(super) fn whole(&self, rows: &mut Vec<u8>, line: &[u8]) {
        rows.extend_from_slice(line);
        if line.last() != Some(&b'\n') {
            rows.extend_from_slice(self.end());
        }
    }

    fn begin(&self, rows: &mut Vec<u8>, file: &mut FileRows) {
        if std::mem::replace(&mut file.begun, true) {
            return;
        }
        if self.json {
            if !self.table {
                json::begin(rows, &file.path);
            }
            return;
        }
        let separator = self.separate(rows);
        file.uncounted += if self.sequential { 0 } else { separator };
        if self.heading && self.path {
            file.uncounted += self.path_field(rows, &file.path, self.end());
        }
    }

    /// What stands before a line. `column` is where its first match begins, from 0, if a match is shown.
    #[inline]
    pub(super) fn prelude(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        line: Line<'_>,
        column: Option<usize>,
        offset: u64,
    ) {
        let separator = self.separators.field(line.context);
        rows.extend_from_slice(if line.context {
            &file.context_prefix
        } else {
            &file.prefix
        });
        file.uncounted += file.prefix_escapes;
        if self.line_numbers {
            file.uncounted += self.number_field(rows, NUMBER, line.number, separator);
        }
        if let (true, Some(column)) = (self.columns, column) {
            file.uncounted += self.number_field(rows, RESET, column as u64 + 1, separator);
        }
        if self.byte_offsets {
            file.uncounted += self.number_field(rows, RESET, offset, separator);
        }
    }

    /// Appends the rows of a matching line. Returns the number of its matches, if they are counted. `matcher` is called
    /// only where matches are shown or counted one by one.
    #[inline]
    pub fn line<'m>(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        line: Line<'_>,
        matcher: impl FnOnce() -> &'m Matcher,
    ) -> u64 {
        self.begin(rows, file);
        if self.json {
            return self.json_line(rows, file, line, matcher());
        }
        if line.context || self.shapes_lines() {
            return self.shaped(rows, file, line, matcher);
        }
        if self.only_matching {
            return self.matches(rows, file, line, matcher());
        }
        self.prelude(rows, file, line, None, line.offset);
        if self.color {
            return self.colored_line(rows, file, line.bytes, matcher());
        }
        self.whole(rows, line.bytes);
        if self.count_matches {
            matcher().count(line.bytes)
        } else {
            0
        }
    }

    /// Whether a line may hold matches, if they are shown: where the lines without a match are looked for, those around
    /// them may.
    pub(super) fn shows_matches(&self, line: Line<'_>) -> bool {
        self.without == line.context
    }

    fn json_line(
        &self,
        rows: &mut Vec<u8>,
        file: &FileRows,
        line: Line<'_>,
        matcher: &Matcher,
    ) -> u64 {
        if self.table {
            return self.table_line(rows, file, line, matcher);
        }
        let mut count = 0_usize;
        let number = self.line_numbers.then_some(line.number);
        json::line(rows, &file.path, line, number, |found| {
            if !self.shows_matches(line) {
                return;
            }
            matcher.each(line.bytes, |start, end| {
                let new = line.replaced.and_then(|new| new.nth(count));
                count += 1;
                found((start, end), new);
            });
        });
        count as u64
    }

    fn table_line(
        &self,
        rows: &mut Vec<u8>,
        file: &FileRows,
        line: Line<'_>,
        matcher: &Matcher,
    ) -> u64 {
        let mut found = Vec::new();
        if self.shows_matches(line) {
            matcher.each(line.bytes, |start, end| found.push((start, end)));
        }
        table::line(rows, &file.path, line, &found);
        found.len() as u64
    }

    fn matches(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        line: Line<'_>,
        matcher: &Matcher,
    ) -> u64 {
        let mut count = 0;
        matcher.each(line.bytes, |start, end| {
            count += 1;
            let offset = line.offset + start as u64;
            self.prelude(rows, file, line, None, offset);
            if start < end {
                file.uncounted += self.colored(rows, MATCH, &line.bytes[start..end]);
            }
            rows.extend_from_slice(self.end());
        });
        if count == 0 {
            // As in ripgrep: all that matched is empty and at the line's very end.
            self.prelude(rows, file, line, None, line.offset);
            self.whole(rows, line.bytes);
        }
        count
    }

    /// Appends a line whose matches are coloured; adjacent matches share their escapes.
    fn colored_line(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        line: &[u8],
        matcher: &Matcher,
    ) -> u64 {
        let mut count = 0;
        let mut colored = Colored::new(rows, &mut file.uncounted, self.text(line), 0);
        matcher.each(line, |start, end| {
            count += 1;
            colored.mark(start, end);
        });
        colored.end();
        rows.extend_from_slice(self.end());
        count
    }

    /// Appends the note on a binary file that has a match.
    pub fn binary_note(&self, rows: &mut Vec<u8>, file: &mut FileRows, quit: bool, offset: u64) {
        if !file.begun && !self.sequential {
            file.uncounted += self.separate(rows);
        }
        if self.path {
            file.uncounted += self.colored(rows, PATH, &file.path);
            rows.extend_from_slice(b": ");
        }
        rows.extend_from_slice(if quit {
            b"WARNING: stopped searching binary file after match (found \"\\0\" byte around offset "
        } else {
            b"binary file matches (found \"\\0\" byte around offset "
        });
        decimal(rows, offset);
        rows.extend_from_slice(b")\n");
    }

    /// A file's count, as `-c` prints it.
    pub fn count(&self, rows: &mut Vec<u8>, path: &[u8], count: u64) {
        if self.path {
            self.path_field(rows, path, b":");
        }
        decimal(rows, count);
        rows.extend_from_slice(self.end());
    }

    /// A file's path, as `-l` prints it.
    pub fn path_line(&self, rows: &mut Vec<u8>, path: &[u8]) {
        self.path_field(rows, path, self.end());
    }

    /// How rows of all occurrences are composed.
    pub fn occurrences(&self) -> OccurrenceRows {
        OccurrenceRows {
            path: self.path,
            color: self.color,
            null: self.null,
            json: self.json,
            table: self.table,
        }
    }
}
