//! Colours of rows, as ANSI escapes.

pub(in crate::jobs) const RESET: &[u8] = b"\x1b[0m";
pub(in crate::jobs) const PATH: &[u8] = b"\x1b[0m\x1b[35m";
pub(in crate::jobs) const NUMBER: &[u8] = b"\x1b[0m\x1b[32m";
pub(in crate::jobs) const MATCH: &[u8] = b"\x1b[0m\x1b[1m\x1b[31m";

/// A text of which marks are coloured, from a byte on; adjacent marks share their escapes.
pub(super) struct Colored<'a> {
    rows: &'a mut Vec<u8>,
    /// Bytes of rows that are escapes.
    uncounted: &'a mut u64,
    text: &'a [u8],
    /// What comes before this byte was appended.
    at: usize,
    inside: bool,
}

impl<'a> Colored<'a> {
    pub fn new(rows: &'a mut Vec<u8>, uncounted: &'a mut u64, text: &'a [u8], at: usize) -> Self {
        Self {
            rows,
            uncounted,
            text,
            at,
            inside: false,
        }
    }

    /// Appends the text to the end of a mark, or nothing if no byte of the mark is left.
    pub fn mark(&mut self, from: usize, upto: usize) {
        let (from, upto) = (from.max(self.at), upto.min(self.text.len()));
        if from >= upto {
            return;
        }
        if from > self.at || !self.inside {
            self.reset();
            self.rows.extend_from_slice(&self.text[self.at..from]);
            self.rows.extend_from_slice(MATCH);
            *self.uncounted += (MATCH.len() + RESET.len()) as u64;
            self.inside = true;
        }
        self.rows.extend_from_slice(&self.text[from..upto]);
        self.at = upto;
    }

    /// Appends the rest of the text.
    pub fn end(mut self) {
        self.reset();
        self.rows.extend_from_slice(&self.text[self.at..]);
    }

    fn reset(&mut self) {
        if self.inside {
            self.rows.extend_from_slice(RESET);
        }
    }
}
