//! Rows of text that are more than a line and its matches: with columns, one for each match, without leading white
//! space, or cut where a line is too long.

use super::decimal::decimal;
use super::matcher::Matcher;
use super::printer::{FileRows, Line, Style, MATCH, RESET};
use bstr::ByteSlice;
use std::ops::Range;

/// Start and end of a match in its line.
type Found = (usize, usize);

impl Style {
    /// Whether lines are shown in a way that only [`shaped`](Self::shaped) knows.
    pub(super) fn shapes_lines(&self) -> bool {
        self.without || self.columns || self.each_match || self.trim || self.max_columns.is_some()
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
        if needed && !self.without {
            matcher().each(line.bytes, |start, end| matches.push((start, end)));
        }
        let Some(first) = matches.first() else {
            self.prelude(rows, file, line.number, None, line.offset);
            self.plain(rows, file, line.bytes, &[]);
            return 0;
        };
        if self.only_matching || self.each_match {
            for &(start, end) in &matches {
                let offset = line.offset + start as u64;
                self.prelude(rows, file, line.number, Some(start), offset);
                if self.only_matching {
                    let text = &line.bytes[start..end];
                    self.marked(rows, file, text, &[(0, text.len())], &matches);
                } else {
                    self.marked(rows, file, line.bytes, &[(start, end)], &matches);
                }
            }
        } else {
            self.prelude(rows, file, line.number, Some(first.0), line.offset);
            self.marked(rows, file, line.bytes, &matches, &matches);
        }
        matches.len() as u64
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

    /// Appends a line without colours. `matches` are all of its line.
    fn plain(&self, rows: &mut Vec<u8>, file: &mut FileRows, line: &[u8], matches: &[Found]) {
        let line = &line[self.trimmed(line)];
        if self.too_long(line.len()) {
            self.cut(rows, file, line, 0..line.len(), matches, matches.len());
        } else {
            self.whole(rows, line);
        }
    }

    /// Appends a line, or a part of one, in which `marks` are coloured. `matches` are all of the line.
    fn marked(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        text: &[u8],
        marks: &[Found],
        matches: &[Found],
    ) {
        if !self.color {
            return self.plain(rows, file, text, matches);
        }
        let part = self.trimmed(text);
        if self.too_long(text.len()) {
            return self.cut(rows, file, text, part, marks, matches.len());
        }
        self.coloured_part(rows, file, text, part, marks);
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
        let (mut at, mut inside) = (part.start, false);
        for &(from, upto) in marks.iter().filter(|_| self.color) {
            let (from, upto) = (from.max(at), upto.min(end));
            if from >= upto {
                continue;
            }
            if from > at || !inside {
                if inside {
                    rows.extend_from_slice(RESET);
                }
                rows.extend_from_slice(&text[at..from]);
                rows.extend_from_slice(MATCH);
                file.uncounted += (MATCH.len() + RESET.len()) as u64;
                inside = true;
            }
            rows.extend_from_slice(&text[from..upto]);
            at = upto;
        }
        if inside {
            rows.extend_from_slice(RESET);
        }
        rows.extend_from_slice(&text[at..end]);
    }

    /// Appends what stands for a line that is too long: the characters that fit, or only that there is one. `matches`
    /// is the number of all its matches.
    fn cut(
        &self,
        rows: &mut Vec<u8>,
        file: &mut FileRows,
        text: &[u8],
        part: Range<usize>,
        marks: &[Found],
        matches: usize,
    ) {
        if self.preview {
            let most = usize::try_from(self.max_columns.unwrap_or(0)).unwrap_or(usize::MAX);
            let shown = text[part.clone()].grapheme_indices().take(most).last();
            let end = part.start + shown.map_or(0, |(_, end, _)| end);
            self.coloured_part(rows, file, text, part.start..end, marks);
            if marks.is_empty() {
                rows.extend_from_slice(b" [... omitted end of long line]");
            } else {
                let rest = marks
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
        } else if matches == 0 || self.only_matching {
            rows.extend_from_slice(b"[Omitted long matching line]");
        } else {
            rows.extend_from_slice(b"[Omitted long line with ");
            decimal(rows, matches as u64);
            rows.extend_from_slice(b" matches]");
        }
        rows.extend_from_slice(self.end());
    }
}
