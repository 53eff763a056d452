//! Rows of text that are more than a line and its matches: with columns, one for each match, without leading white
//! space, or cut where a line is too long.

use super::colored::Colored;
use super::decimal::decimal;
use super::line::Line;
use super::matcher::Matcher;
use super::printer::{FileRows, Style};
use bstr::ByteSlice;
use std::ops::Range;

/// Start and end of a match in its line.
type Found = (usize, usize);

/// A line as it is shown, or a part of one.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    context: bool,
}

impl<'a> Text<'a> {
    fn of(line: Line<'_>, bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            context: line.context,
        }
    }
}

/// The matches of a row: those that are coloured, and the number of all that the line had before any was replaced.
#[derive(Clone, Copy, Default)]
struct Marks<'a> {
    shown: &'a [Found],
    all: usize,
}

impl Style {
    /// Whether lines are shown in a way that only [`shaped`](Self::shaped) knows.
    pub(super) fn shapes_lines(&self) -> bool {
        self.without
            || self.columns
            || self.each_match
            || self.trim
            || self.max_columns.is_some()
            || self.replacement.is_some()
    }

    /// Appends the rows of a line. Returns the number of its matches, if they are counted.
    pub(super) fn shaped<'m>(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        line: Line<'_>,
        matcher: impl FnOnce() -> &'m Matcher,
    ) -> u64 {
        let needed = self.color
            || self.columns
            || self.each_match
            || self.only_matching
            || self.count_matches;
        let mut matches = Vec::new();
        if needed && self.shows_matches(line) && line.replaced.is_none() {
            matcher().each(line.bytes, |start, end| matches.push((start, end)));
        }
        let (text, matches) = match line.replaced {
            Some(replaced) => (replaced.text.as_slice(), replaced.places.as_slice()),
            None => (line.bytes, matches.as_slice()),
        };
        let count = matches.len();
        let Some(first) = matches.first() else {
            self.prelude(rows, file, line, None, line.offset);
            let text = Text::of(line, text);
            self.plain(rows, file, text, Marks::default());
            return 0;
        };
        let marks = Marks {
            shown: matches,
            all: count,
        };
        if self.only_matching || self.each_match {
            for &(start, end) in matches {
                let offset = line.offset + start as u64;
                self.prelude(rows, file, line, Some(start), offset);
                let (text, place) = if self.only_matching {
                    (&text[start..end], (0, end - start))
                } else {
                    (text, (start, end))
                };
                let marks = Marks {
                    shown: &[place],
                    ..marks
                };
                self.marked(rows, file, Text::of(line, text), marks, matches);
            }
        } else {
            self.prelude(rows, file, line, Some(first.0), line.offset);
            self.marked(rows, file, Text::of(line, text), marks, matches);
        }
        count as u64
    }

    /// The part of a line that is left without its leading white space.
    fn trimmed(&self, line: &[u8]) -> Range<usize> {
        let space = |byte: &u8| match byte {
            b'\t' | 0x0b | 0x0c | b' ' => true,
            b'\r' => !self.crlf,
            _ => false,
        };
        let start = match self.trim {
            true => line.iter().take_while(|byte| space(byte)).count(),
            false => 0,
        };
        start..line.len()
    }

    fn too_long(&self, bytes: usize) -> bool {
        self.max_columns.is_some_and(|most| bytes as u64 > most)
    }

    /// Appends a line without colours.
    fn plain(&self, rows: &mut Vec<u8>, file: &mut FileRows, line: Text<'_>, marks: Marks<'_>) {
        let part = self.trimmed(line.bytes);
        let line = Text {
            bytes: &line.bytes[part],
            ..line
        };
        if self.too_long(line.bytes.len()) {
            self.cut(rows, file, line, 0..line.bytes.len(), marks);
        } else {
            self.whole(rows, line.bytes);
        }
    }

    /// Appends a line, or a part of one, with colours. `matches` are all of the line.
    fn marked(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        line: Text<'_>,
        marks: Marks<'_>,
        matches: &[Found],
    ) {
        if !self.color {
            let shown = matches;
            return self.plain(rows, file, line, Marks { shown, ..marks });
        }
        let part = self.trimmed(line.bytes);
        if self.too_long(line.bytes.len()) {
            return self.cut(rows, file, line, part, marks);
        }
        self.coloured_part(rows, file, line.bytes, part, marks.shown);
        rows.extend_from_slice(self.end());
    }

    /// Appends a part of a line without its end; adjacent marks share their escapes.
    fn coloured_part(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        text: &[u8],
        part: Range<usize>,
        marks: &[Found],
    ) {
        let end = part.start + self.text(&text[part.clone()]).len();
        let mut colored = Colored::new(rows, &mut file.uncounted, &text[..end], part.start);
        for &(from, upto) in marks.iter().filter(|_| self.color) {
            colored.mark(from, upto);
        }
        colored.end();
    }

    /// Appends what stands for a line that is too long: the characters that fit, or only that there is one.
    fn cut(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        line: Text<'_>,
        part: Range<usize>,
        marks: Marks<'_>,
    ) {
        let (text, shown_marks) = (line.bytes, marks.shown);
        if self.preview {
            let most = usize::try_from(self.max_columns.unwrap_or(0)).unwrap_or(usize::MAX);
            let shown = text[part.clone()].grapheme_indices().take(most).last();
            let end = part.start + shown.map_or(0, |(_, end, _)| end);
            self.coloured_part(rows, file, text, part.start..end, shown_marks);
            if shown_marks.is_empty() {
                rows.extend_from_slice(b" [... omitted end of long line]");
            } else {
                let rest = shown_marks
                    .iter()
                    .filter(|mark| mark.0 >= end && mark.0 < part.end)
                    .count();
                rows.extend_from_slice(b" [... ");
                decimal(rows, rest as u64);
                rows.extend_from_slice(if rest == 1 {
                    b" more match]"
                } else {
                    b" more matches]"
                });
            }
        } else if marks.all == 0 || self.only_matching {
            rows.extend_from_slice(if line.context {
                b"[Omitted long context line]"
            } else {
                b"[Omitted long matching line]"
            });
        } else {
            rows.extend_from_slice(b"[Omitted long line with ");
            decimal(rows, marks.all as u64);
            rows.extend_from_slice(b" matches]");
        }
        rows.extend_from_slice(self.end());
    }
}
