//! Lines that are shown because of their position: before and after a match, or because all lines are shown.
//!
//! All lines of a file come by in order, those without a match as ranges of a chunk, which are looked into only where
//! they may have to be shown. What is shown goes through [`LinesFile::show`]: like matching lines elsewhere, it waits in
//! [`HeldLines`](crate::jobs::scan::held_lines::HeldLines) where a NUL may still undo it, as ripgrep would not have come
//! so far. How far ripgrep has read depends on the lines that it keeps in its buffer because they may have to be shown,
//! so its reads are followed after a chunk's lines are known (`settle`), and not before.
//!
//! The lines before a match may lie in earlier chunks: [`Kept`](crate::jobs::scan::kept::Kept) has them.

mod before;
mod certain;

use super::known::Around;
use super::LinesFile;
use crate::jobs::scan::binary::Binary;
use crate::jobs::scan::facts::View;
use crate::jobs::scan::held_lines::Kind;
use crate::jobs::scan::plan::Plan;
use memchr::memchr;
use std::ops::Range;

/// A line of the file. Without bytes, it was too long to keep.
#[derive(Clone, Copy)]
struct Piece<'a> {
    start: u64,
    end: u64,
    number: u64,
    bytes: Option<&'a [u8]>,
    /// Where the line begins because of which it is shown.
    cause: u64,
}

impl LinesFile {
    /// Takes a view of a chunk whose matching lines are known.
    pub(super) fn view_around(&mut self, plan: &Plan, view: &View<'_>, rows: &mut Vec<u8>) {
        let Some(mut around) = self.around.take() else {
            return;
        };
        if view.first {
            self.follow_mapped(view);
            self.release_around(plan, &mut around, rows);
            if !self.done {
                self.head_around(plan, &mut around, view, rows);
            }
        }
        if let (Some(first), Some(last)) = (view.facts.first_newline, view.facts.last_newline) {
            let begin = (first + 1).max(self.passed);
            self.passed = begin;
            if plan.every_line {
                self.lines_around(plan, &mut around, view, begin..last + 1, true, rows);
                self.passed = last + 1;
            }
            for index in 0..view.records.len() {
                if self.done || around.stopped.is_some() {
                    break;
                }
                let (start, end) = view.records.get(index);
                let (start, end) = (start as usize, end as usize);
                self.lines_around(plan, &mut around, view, self.passed..start, false, rows);
                self.lines_around(plan, &mut around, view, start..end, true, rows);
                self.passed = end;
            }
            if view.last {
                self.lines_around(plan, &mut around, view, self.passed..last + 1, false, rows);
            }
        }
        if view.last && !self.done {
            self.keep_around(plan, &mut around, view);
            self.settle(plan, &mut around, Some(view), rows);
        }
        if view.last && !self.done {
            if let Some(last) = view.facts.last_newline {
                let matched = plan.every_line || view.facts.tail_match;
                self.carry_on(plan, view, last + 1, matched);
                self.last_newline = Some(view.offset + last as u64);
            }
            self.newlines += view.facts.newlines;
        }
        if self.done {
            around.kept.clear(&plan.budget);
        }
        self.around = Some(around);
    }

    /// The file has ended after `bytes`.
    pub(super) fn close_around(&mut self, plan: &Plan, bytes: u64, rows: &mut Vec<u8>) {
        let Some(mut around) = self.around.take() else {
            return;
        };
        if self.carry.is_open() {
            self.carried_around(plan, &mut around, b"", bytes, plan.every_line, rows);
            self.carry.clear(self.keep(plan));
        }
        if let Some(fills) = &mut self.fills {
            fills.end_of_file(bytes, self.last_newline);
        }
        if self.nul.is_none() || !self.gated {
            self.bound = u64::MAX;
        }
        self.settle(plan, &mut around, None, rows);
        if !self.done {
            self.finish(plan, rows, Some(bytes), None);
        }
        around.kept.clear(&plan.budget);
    }

    /// The file was left early.
    pub(super) fn leave_around(&mut self, plan: &Plan) {
        if let Some(mut around) = self.around.take() {
            around.kept.clear(&plan.budget);
        }
    }

    /// Of a file that ripgrep maps, NULs are known before any line is shown.
    fn follow_mapped(&mut self, view: &View<'_>) {
        self.seen = view.offset + view.bytes.len() as u64;
        let nul = view.facts.first_nul.map(|at| view.offset + at as u64);
        if self.text.binary == Binary::Mapped {
            self.follow_prefix(nul);
        } else {
            self.nul = self.nul.or(nul);
        }
    }

    /// The line that a chunk begins with.
    fn head_around(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        view: &View<'_>,
        rows: &mut Vec<u8>,
    ) {
        let newline = view.facts.first_newline;
        around.from = newline.map_or(view.bytes.len(), |newline| newline + 1);
        let end = newline.unwrap_or(view.bytes.len());
        let head = view.bytes.get(view.begin.min(end)..end).unwrap_or_default();
        let matched = plan.every_line
            || view.facts.head_match
            || self.carry.matched()
            || self
                .carry
                .straddles(head, plan.reach, |window| plan.matcher().is_match(window));
        if newline.is_none() {
            return self.carry_on(plan, view, view.begin, matched);
        }
        if self.carry.is_open() {
            let rest = view.bytes.get(..=end).unwrap_or_default();
            let until = view.offset + end as u64 + 1;
            self.carried_around(plan, around, rest, until, matched, rows);
        } else {
            let bytes = view.bytes.get(view.begin..=end).unwrap_or_default();
            let matched = match plan.regex {
                Some(_) => plan.matcher().is_match(bytes),
                None => matched,
            };
            let piece = Piece {
                start: view.offset + view.begin as u64,
                end: view.offset + end as u64 + 1,
                number: self.newlines + 1,
                bytes: Some(bytes),
                cause: view.offset + view.begin as u64,
            };
            self.alone(plan, around, piece, matched, rows);
        }
        self.carry.clear(self.keep(plan));
    }

    /// The line that spans chunks, which ends with `rest`. `matched` is whether it has a match, unless it is searched for
    /// a regex.
    fn carried_around(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        rest: &[u8],
        end: u64,
        matched: bool,
        rows: &mut Vec<u8>,
    ) {
        let mut carry = std::mem::take(&mut self.carry);
        let matched = matched || carry.matched();
        let piece = Piece {
            start: carry.start(),
            end,
            number: self.newlines + 1,
            bytes: None,
            cause: carry.start(),
        };
        let file = self.text.again().cloned();
        let most = plan.max_line_bytes;
        let shown = carry.complete(rest, end, file.as_ref(), most, |bytes| {
            let matched = match plan.regex {
                Some(_) => plan.matcher().is_match(bytes),
                None => matched,
            };
            let bytes = Some(bytes);
            self.alone(plan, around, Piece { bytes, ..piece }, matched, rows);
        });
        if let Err(lost) = shown {
            if plan.regex.is_some() {
                plan.error(&self.entry.path, piece.start, lost.unsearched());
                // It does not count, either way.
                around.kept.push(piece.start, piece.end, None, &plan.budget);
            } else {
                self.lost = Some(lost);
                self.alone(plan, around, piece, matched, rows);
                self.lost = None;
            }
        }
        self.carry = carry;
    }

    /// A line that does not lie wholly in a chunk, or is the first of one.
    fn alone(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        piece: Piece<'_>,
        matched: bool,
        rows: &mut Vec<u8>,
    ) {
        self.line_around(plan, around, None, piece, matched, rows);
        if around.upto < piece.end && around.shown.before > 0 {
            around
                .kept
                .push(piece.start, piece.end, piece.bytes, &plan.budget);
            around.kept.trim(around.shown.before, &plan.budget);
        }
    }

    /// All lines in a range of a chunk that begins and ends where lines do, all of which match or none.
    fn lines_around(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        view: &View<'_>,
        range: Range<usize>,
        matched: bool,
        rows: &mut Vec<u8>,
    ) {
        let mut start = range.start;
        while start < range.end && !self.done && around.stopped.is_none() {
            if !matched && around.passes(plan) {
                return;
            }
            let rest = view.bytes.get(start..range.end).unwrap_or_default();
            let end = memchr(b'\n', rest).map_or(range.end, |at| start + at + 1);
            let piece = self.piece_at(plan, view, start..end);
            self.line_around(plan, around, Some(view), piece, matched, rows);
            start = end;
        }
    }

    /// A line of a chunk. Lines come in order.
    fn piece_at<'v>(&mut self, plan: &Plan, view: &View<'v>, range: Range<usize>) -> Piece<'v> {
        let (start, end) = (range.start, range.end);
        Piece {
            start: view.offset + start as u64,
            end: view.offset + end as u64,
            number: self.number_at(plan, view, start),
            bytes: view.bytes.get(range),
            cause: view.offset + start as u64,
        }
    }

    /// Handles a line: shows it, if it is looked for or near one that is. `view` is the chunk in which it lies, if it
    /// lies in one.
    fn line_around(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        view: Option<&View<'_>>,
        piece: Piece<'_>,
        matched: bool,
        rows: &mut Vec<u8>,
    ) {
        let over = around.at_limit(plan);
        if around.stopped.is_some() || self.done {
            return;
        }
        // As in ripgrep: where it looks at each line by itself, no line has a match any more.
        let success = (matched && !(over && around.by_line)) != plan.invert;
        if success && over && !around.by_line {
            let left = around.left;
            self.show(plan, around, piece, Kind::Found, rows);
            around.left = left.saturating_sub(1);
        } else if success {
            around.found += 1;
            if around.shown.before > 0 {
                self.before(plan, around, view, piece, rows);
            }
            self.show(plan, around, piece, Kind::Found, rows);
            around.left = around.shown.after;
        } else if around.left > 0 {
            self.show(plan, around, piece, Kind::Context, rows);
            around.left -= 1;
        } else if around.shown.all {
            self.show(plan, around, piece, Kind::Context, rows);
        }
        if !self.done && around.at_limit(plan) && around.left == 0 && !around.shown.all {
            around.stopped = Some((piece.start, piece.end));
        }
    }
}
