//! What is shown, and what a NUL undoes of it.

use super::Piece;
use crate::jobs::scan::binary::{Binary, MAPPED_PREFIX};
use crate::jobs::scan::error::ScanErrorKind;
use crate::jobs::scan::facts::View;
use crate::jobs::scan::held_lines::Kind;
use crate::jobs::scan::line::Line;
use crate::jobs::scan::lines::known::Around;
use crate::jobs::scan::lines::LinesFile;
use crate::jobs::scan::plan::Plan;
use memchr::memchr;

impl LinesFile {
    /// A line after which ripgrep would stop, and how far it would say that it searched.
    fn stop(&self, around: &Around, (start, end): (u64, u64)) -> (u64, u64) {
        if around.by_line {
            return (start, end);
        }
        let read = self.fills.as_ref().filter(|_| !self.text.mapped);
        let begin = read.map_or(0, |fills| fills.fill_of(start).0);
        (start, around.matched.max(begin))
    }

    /// Shows a line, or holds it while a NUL may undo it.
    pub(super) fn show(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        piece: Piece<'_>,
        kind: Kind,
        rows: &mut Vec<u8>,
    ) {
        let gap = around.shown.groups() && around.any && around.upto < piece.start;
        around.upto = piece.end;
        around.any = true;
        let line = Line {
            bytes: piece.bytes.unwrap_or_default(),
            offset: piece.start.saturating_sub(self.text.origin),
            number: piece.number,
            context: kind == Kind::Context,
            replaced: None,
        };
        if self.text.binary == Binary::Mapped && self.nul.is_none() && piece.cause < self.bound {
            self.nul = memchr(0, line.bytes).map(|at| piece.start + at as u64);
        }
        // Where ripgrep's reads are followed, it is known only later what they bring.
        let holds = self.fills.is_some() || piece.cause >= self.bound;
        let certain = !(holds || self.gated && self.nul.is_some());
        let target = if certain {
            &mut *rows
        } else {
            &mut self.held.rows
        };
        let before = target.len();
        if gap && !plan.report.is_summary() {
            plan.style.gap(target);
        }
        let separator = target.len() - before;
        let mut matches = 0;
        if piece.bytes.is_some() {
            matches = plan.print(target, &mut self.out, line);
        } else if !plan.report.is_summary() {
            let bytes = piece.end - piece.start;
            let lost = self
                .lost
                .take()
                .unwrap_or(ScanErrorKind::LongLine { bytes });
            let lost = match kind {
                Kind::Found => lost,
                Kind::Context => lost.of_context(),
            };
            plan.error(&self.entry.path, piece.start, lost);
        }
        let printed = target.len() - before;
        let uncounted = std::mem::take(&mut self.out.uncounted);
        if certain {
            self.printed += printed as u64;
            self.uncounted += uncounted;
            around.certain = piece.end;
            if kind == Kind::Found {
                around.matched = piece.end;
                self.lines += 1;
                self.matches += matches;
            }
            return;
        }
        self.held
            .push_kind(piece.cause, piece.end, matches, uncounted, kind, separator);
        if !holds {
            self.undo_around(plan, around, rows);
        }
    }

    /// Follows ripgrep's reads through a chunk, or to the file's end, and lets go of the lines that become certain.
    pub(super) fn settle(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        view: Option<&View<'_>>,
        rows: &mut Vec<u8>,
    ) {
        if let (Some(view), Some(mut fills)) = (view, self.fills.take()) {
            let end = view.offset + view.bytes.len() as u64;
            let (offset, newline) = (view.offset, self.last_newline);
            let limit = self.nul.filter(|_| self.gated).unwrap_or(end).min(end);
            if limit >= view.offset {
                while fills.step(view.bytes, offset, newline, limit, around.certain) {
                    self.certain_upto(around, fills.start(), rows);
                }
                if view.stream && limit == end {
                    let last = view.facts.last_newline.map(|at| offset + at as u64);
                    fills.short_read(end, last.or(newline));
                    self.certain_upto(around, fills.start(), rows);
                }
                fills.leave(view.bytes, offset);
            }
            if plan.limit.is_none() || !plan.timed() {
                fills.forget_before(fills.start());
            }
            if self.gated {
                self.bound = fills.start();
            }
            self.fills = Some(fills);
        }
        if self.done {
            return;
        }
        if view.is_none() {
            self.certain_upto(around, self.bound, rows);
        }
        if let (Some(stopped), true, false) = (around.stopped, self.held.len() == 0, self.done) {
            let waits = plan.style.json
                && self.text.binary == Binary::Mapped
                && self.nul.is_none()
                && self.seen < MAPPED_PREFIX;
            if !waits || view.is_none() {
                let stopped = self.stop(around, stopped);
                self.finish(plan, rows, None, Some(stopped));
            }
        }
        self.undo_around(plan, around, rows);
    }

    /// Lets go of the lines that begin before `bound`.
    fn certain_upto(&mut self, around: &mut Around, bound: u64, rows: &mut Vec<u8>) {
        if self.done {
            return;
        }
        let (lines, matches, uncounted) = (&mut self.lines, &mut self.matches, &mut self.uncounted);
        let printed = self.held.release(bound, rows, |line| {
            if line.kind == Kind::Found {
                *lines += 1;
                *matches += line.matches;
                around.matched = line.end;
            }
            *uncounted += line.uncounted;
            around.certain = line.end;
        });
        self.printed += printed as u64;
    }

    /// Lines of a mapped file that have become certain, or that a NUL has undone.
    pub(super) fn release_around(&mut self, plan: &Plan, around: &mut Around, rows: &mut Vec<u8>) {
        if self.fills.is_none() {
            self.certain_upto(around, self.bound, rows);
            self.undo_around(plan, around, rows);
        }
    }

    /// Drops the lines that a NUL has undone. At the first of them ripgrep stops.
    fn undo_around(&mut self, plan: &Plan, around: &mut Around, rows: &mut Vec<u8>) {
        if self.nul.is_none() || !self.gated || self.done {
            return;
        }
        let undone = self.held.undo_after_gap();
        if self.printed == 0 {
            self.out.begin_again();
        }
        if self.text.binary == Binary::Quit {
            return self.finish(plan, rows, None, None);
        }
        let Some((line, separator)) = undone else {
            return;
        };
        rows.extend_from_slice(&separator);
        self.printed += separator.len() as u64;
        if line.kind == Kind::Found {
            self.noted(plan, rows, line.start, line.end, line.matches);
        } else {
            let stopped = self.stop(around, (line.start, line.end));
            self.finish(plan, rows, None, Some(stopped));
        }
    }
}
