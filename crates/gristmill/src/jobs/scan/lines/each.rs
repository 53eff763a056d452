//! Lines that must be looked at one by one: where those without a match are looked for, or all match.

use super::LinesFile;
use crate::jobs::scan::facts::View;
use crate::jobs::scan::plan::Plan;
use memchr::memchr_iter;
use std::ops::Range;

impl LinesFile {
    /// The lines between the first and the last newline that are not among the matching ones, as far as it is known of
    /// them: a part of a chunk ends with its last record.
    pub(super) fn lines_without(&mut self, plan: &Plan, view: &View<'_>, rows: &mut Vec<u8>) {
        let (Some(first), Some(last)) = (view.facts.first_newline, view.facts.last_newline) else {
            return;
        };
        if plan.every_line {
            return;
        }
        self.passed = self.passed.max(first + 1);
        for index in 0..view.records.len() {
            let (start, end) = view.records.get(index);
            self.lines_within(plan, view, self.passed..start as usize, rows);
            self.passed = end as usize;
        }
        if view.last {
            self.lines_within(plan, view, self.passed..last + 1, rows);
        }
    }

    /// All lines in a range that begins and ends where lines do.
    fn lines_within(
        &mut self,
        plan: &Plan,
        view: &View<'_>,
        range: Range<usize>,
        rows: &mut Vec<u8>,
    ) {
        let mut start = range.start;
        let bytes = view.bytes.get(range).unwrap_or_default();
        let begin = start;
        for at in memchr_iter(b'\n', bytes) {
            if self.done {
                return;
            }
            let end = begin + at + 1;
            self.line_at(plan, view, start, end, rows);
            start = end;
        }
    }

    /// Every line between the first and the last newline.
    pub(super) fn every_line(&mut self, plan: &Plan, view: &View<'_>, rows: &mut Vec<u8>) {
        let (Some(first), Some(last)) = (view.facts.first_newline, view.facts.last_newline) else {
            return;
        };
        self.lines_within(plan, view, first + 1..last + 1, rows);
    }
}
