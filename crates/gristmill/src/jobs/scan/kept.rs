//! Lines of earlier chunks that may have to be shown before a match.

use super::carry::Budget;
use std::collections::VecDeque;

/// The most bytes of lines that a file keeps. Where they are more, the longest ago are read again if they are shown.
const MOST_BYTES: usize = 1 << 20;

/// The most lines of which a file knows where they are.
const MOST_LINES: usize = 1 << 20;

/// A line.
#[derive(Debug)]
pub(super) struct KeptLine {
    /// Where it begins in the file.
    pub start: u64,
    /// Where it ends, with its line end.
    pub end: u64,
    bytes: Option<Box<[u8]>>,
}

impl KeptLine {
    /// Its bytes, if they were kept.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }
}

/// Lines that follow each other, the last of which lies directly before what is looked at.
#[derive(Debug, Default)]
pub(super) struct Kept {
    lines: VecDeque<KeptLine>,
    bytes: usize,
    /// Whether lines before these were given up because they were too many.
    forgotten: bool,
}

impl Kept {
    /// Adds a line behind the others. Without bytes, it is read again if it is shown.
    pub fn push(&mut self, start: u64, end: u64, bytes: Option<&[u8]>, budget: &Budget) {
        let fits =
            |bytes: &&[u8]| self.bytes + bytes.len() <= MOST_BYTES && budget.charge(bytes.len());
        let bytes = bytes.filter(fits);
        self.bytes += bytes.map_or(0, <[u8]>::len);
        let bytes = bytes.map(Box::from);
        self.lines.push_back(KeptLine { start, end, bytes });
        if self.lines.len() > MOST_LINES {
            self.trim(MOST_LINES, budget);
            self.forgotten = true;
        }
    }

    /// Keeps the last `most` lines.
    pub fn trim(&mut self, most: usize, budget: &Budget) {
        while self.lines.len() > most {
            let bytes = self.lines.pop_front().and_then(|line| line.bytes);
            let bytes = bytes.map_or(0, |bytes| bytes.len());
            self.bytes -= bytes;
            budget.refund(bytes);
        }
    }

    /// Forgets all lines, as none of them can be shown any more.
    pub fn clear(&mut self, budget: &Budget) {
        self.trim(0, budget);
        self.forgotten = false;
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there were more lines, of which some are asked for by the last `wanted`.
    pub fn is_short(&self, wanted: usize) -> bool {
        self.forgotten && self.lines.len() < wanted
    }

    /// Of the last `wanted` lines those that begin at byte `from` or later, and how far back each is: 1 for the last.
    pub fn last(&self, wanted: usize, from: u64) -> impl Iterator<Item = (&KeptLine, usize)> {
        let count = self.lines.len();
        self.lines
            .iter()
            .enumerate()
            .skip(count.saturating_sub(wanted))
            .map(move |(index, line)| (line, count - index))
            .filter(move |(line, _)| line.start >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let budget = Budget::default();
        let mut kept = Kept::default();
        for line in 0..5 {
            kept.push(10 * line, 10 * line + 10, Some(b"012345678\n"), &budget);
        }
        kept.trim(3, &budget);
        let last = |kept: &Kept, wanted, from| -> Vec<(u64, usize)> {
            kept.last(wanted, from)
                .map(|(line, back)| (line.start, back))
                .collect()
        };
        assert_eq!(last(&kept, 9, 0), [(20, 3), (30, 2), (40, 1)]);
        assert_eq!(last(&kept, 2, 0), [(30, 2), (40, 1)]);
        assert_eq!(last(&kept, 9, 40), [(40, 1)]);
        kept.push(
            50,
            60 + MOST_BYTES as u64,
            Some(&vec![0; MOST_BYTES]),
            &budget,
        );
        let bytes: Vec<Option<usize>> = kept
            .last(9, 0)
            .map(|(line, _)| line.bytes().map(<[u8]>::len))
            .collect();
        assert_eq!(bytes, [Some(10), Some(10), Some(10), None]);
        kept.clear(&budget);
        assert!(
            kept.len() == 0 && kept.bytes == 0 && budget.charge(super::super::carry::CARRY_BYTES)
        );
    }

    #[test]
    fn lines_that_were_too_many_are_missed() {
        let budget = Budget::default();
        let mut kept = Kept::default();
        for line in 0..MOST_LINES as u64 + 1 {
            kept.push(line, line + 1, None, &budget);
        }
        assert!(kept.is_short(MOST_LINES + 1) && !kept.is_short(MOST_LINES));
        kept.clear(&budget);
        assert!(!kept.is_short(1));
    }
}
