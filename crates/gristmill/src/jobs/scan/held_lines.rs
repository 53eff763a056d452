//! Finished rows of matching lines that a later NUL may still undo.

/// Why a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is looked for.
    Found,
    /// Because of where it stands.
    Context,
}

/// A line whose rows are held.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldLine {
    /// Where it begins in the file.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    pub matches: u64,
    /// Bytes of its rows that ripgrep does not count.
    pub uncounted: u64,
    pub kind: Kind,
    /// Bytes of its rows that only separate it from the line before.
    separator: usize,
    /// Where its rows end in [`HeldLines::rows`].
    rows_end: usize,
}

/// Matching lines in the order of the file, with their rows.
#[derive(Debug, Default)]
pub(super) struct HeldLines {
    /// Where the rows of the next line go, before it is [pushed](Self::push).
    pub rows: Vec<u8>,
    lines: Vec<HeldLine>,
}

impl HeldLines {
    /// How many lines are held.
    pub fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Holds a line that is looked for, from `start` to `end`, whose rows were just appended.
    pub fn push(&mut self, start: u64, end: u64, matches: u64, uncounted: u64) {
        self.push_kind(start, end, matches, uncounted, Kind::Found, 0);
    }

    /// Holds a line whose rows were just appended, the first `separator` bytes of which separate it from the line before.
    pub fn push_kind(
        &mut self,
        start: u64,
        end: u64,
        matches: u64,
        uncounted: u64,
        kind: Kind,
        separator: usize,
    ) {
        self.lines.push(HeldLine {
            start,
            end,
            matches,
            uncounted,
            kind,
            separator,
            rows_end: self.rows.len(),
        });
    }

    /// Moves the rows of the lines that begin before `bound` to `rows`, and calls `each` with each of these lines.
    /// Returns the number of bytes of rows moved.
    pub fn release(
        &mut self,
        bound: u64,
        rows: &mut Vec<u8>,
        mut each: impl FnMut(&HeldLine),
    ) -> usize {
        let certain = self.lines.partition_point(|line| line.start < bound);
        let mut bytes = 0;
        for line in self.lines.drain(..certain) {
            bytes = line.rows_end;
            each(&line);
        }
        rows.extend_from_slice(&self.rows[..bytes]);
        self.rows.drain(..bytes);
        for line in &mut self.lines {
            line.rows_end -= bytes;
        }
        bytes
    }

    /// Drops all lines, and returns the first of them, with what separates it from the line before.
    pub fn undo_after_gap(&mut self) -> Option<(HeldLine, Vec<u8>)> {
        let separator = self.lines.first()?.separator;
        let separator = self.rows.get(..separator).unwrap_or_default().to_vec();
        self.undo().map(|line| (line, separator))
    }

    /// Drops all lines, and returns the first of them.
    pub fn undo(&mut self) -> Option<HeldLine> {
        let first = self.lines.first().copied();
        *self = Self::default();
        first
    }
}
