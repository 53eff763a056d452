//! Lines that are shown because of where they stand: before and after a line that is looked for, or because all lines
//! are shown.
//!
//! All lines of a file come by in order, those without a match as ranges of a chunk, which are looked into only where
//! they may have to be shown. What is shown goes through [`LinesFile::show`]: like matching lines elsewhere, it waits in
//! [`HeldLines`](crate::jobs::scan::held_lines::HeldLines) where a NUL may still undo it, as ripgrep would not have come
//! so far. How far ripgrep has read depends on the lines that it keeps in its buffer because they may have to be shown,
//! so its reads are followed after a chunk's lines are known (`settle`), and not before.
//!
//! The lines before a match may lie in earlier chunks: [`Kept`] has them.

use super::LinesFile;
use crate::jobs::scan::binary::Binary;
use crate::jobs::scan::carry::read_again;
use crate::jobs::scan::error::ScanErrorKind;
use crate::jobs::scan::facts::View;
use crate::jobs::scan::held_lines::Kind;
use crate::jobs::scan::kept::Kept;
use crate::jobs::scan::plan::Plan;
use crate::jobs::scan::printer::Line;
use crate::source::Origin;
use memchr::{memchr, memchr_iter, memrchr};
use std::ops::Range;
use std::path::PathBuf;

/// Which lines are shown beside those that are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::jobs::scan) struct Shown {
    pub before: usize,
    pub after: usize,
    /// All lines are shown. Then the others are 0.
    pub all: bool,
}

impl Shown {
    /// Whether any are.
    pub fn is_any(self) -> bool {
        self.all || self.groups()
    }

    /// Whether lines come in groups.
    pub fn groups(self) -> bool {
        self.before > 0 || self.after > 0
    }

    /// How many lines ripgrep keeps in its buffer before those that it has not searched, if it keeps any.
    pub fn kept(self) -> Option<usize> {
        self.groups().then_some(self.before)
    }
}

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

/// What is known of the lines so far.
#[derive(Debug, Default)]
pub(super) struct Around {
    shown: Shown,
    /// Whether ripgrep would look at each line by itself. Then it takes no line for a match after the limit.
    by_line: bool,
    /// Lines that were looked for and found.
    found: u64,
    /// How many more lines are shown after the last one that was found.
    left: usize,
    /// End of the last line that was shown.
    upto: u64,
    /// End of the last line that was shown and has been certain.
    certain: u64,
    /// Whether any was shown.
    any: bool,
    /// End of the last line that ripgrep would have taken for a match.
    matched: u64,
    /// Start and end of the last line that was looked at: nothing after it is shown.
    stopped: Option<(u64, u64)>,
    kept: Kept,
    /// Where the current chunk's lines begin that lie wholly in it.
    from: usize,
}

impl Around {
    pub fn new(plan: &Plan) -> Self {
        let by_line = || {
            let matcher = plan.matcher().line_matcher();
            matcher.is_some_and(|regex| regex.is_by_line())
        };
        Self {
            shown: plan.shown,
            by_line: plan.shown.all || by_line(),
            ..Self::default()
        }
    }

    fn at_limit(&self, plan: &Plan) -> bool {
        plan.limit.is_some_and(|limit| self.found >= limit)
    }

    /// Whether a line without a match, if nothing looks for such, need not be looked at.
    fn passes(&self, plan: &Plan) -> bool {
        !plan.invert && self.left == 0 && !self.shown.all && !self.at_limit(plan)
    }
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
        let path = self.path_to_read();
        let most = plan.max_line_bytes;
        let shown = carry.complete(rest, end, path.as_deref(), most, |bytes| {
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

    /// The path from which lines can be read again.
    fn path_to_read(&self) -> Option<PathBuf> {
        (self.entry.origin != Origin::Stdin).then(|| self.entry.path.clone())
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

    /// A line after which ripgrep would stop, and how far it would say that it searched.
    fn stop(&self, around: &Around, (start, end): (u64, u64)) -> (u64, u64) {
        if around.by_line {
            return (start, end);
        }
        let read = self.fills.as_ref().filter(|_| !self.text.mapped);
        let begin = read.map_or(0, |fills| fills.fill_of(start).0);
        (start, around.matched.max(begin))
    }

    /// Shows the lines before one that was found.
    fn before(
        &mut self,
        plan: &Plan,
        around: &mut Around,
        view: Option<&View<'_>>,
        piece: Piece<'_>,
        rows: &mut Vec<u8>,
    ) {
        let (wanted, cause) = (around.shown.before, piece.start);
        let (mut lines, mut number) = (0, piece.number);
        let mut here = 0..0;
        if let Some(view) = view {
            let upto = usize::try_from(piece.start - view.offset).unwrap_or(0);
            let low = around.lowest(view).min(upto);
            here = lines_before(view.bytes, low..upto, wanted, &mut lines);
            number = self.newlines + 2;
        }
        let all = around.shown_from(view);
        if lines < wanted && all {
            let upto = around.upto;
            let path = self.path_to_read();
            let kept = std::mem::take(&mut around.kept);
            if kept.is_short(wanted - lines) && !self.done {
                let kind = ScanErrorKind::ContextForgotten { lines: kept.len() };
                plan.error(&self.entry.path, piece.start, kind);
            }
            for (line, back) in kept.last(wanted - lines, upto) {
                if self.done {
                    break;
                }
                let again;
                let bytes = match line.bytes() {
                    Some(bytes) => Ok(bytes),
                    None if plan.report.is_summary() => Ok(&b""[..]),
                    None => match read_context(plan, path.as_deref(), line.start, line.end) {
                        Ok(read) => {
                            again = self.as_read(read);
                            Ok(again.as_slice())
                        }
                        Err(kind) => Err(kind),
                    },
                };
                if let Err(kind) = bytes {
                    plan.error(&self.entry.path, line.start, kind);
                    around.upto = line.end;
                    continue;
                }
                let piece = Piece {
                    start: line.start,
                    end: line.end,
                    number: number.saturating_sub(back as u64),
                    bytes: bytes.ok(),
                    cause,
                };
                self.show(plan, around, piece, Kind::Context, rows);
            }
            around.kept = kept;
        }
        if let Some(view) = view {
            let mut start = here.start;
            let bytes = view.bytes.get(here.clone()).unwrap_or_default();
            for at in memchr_iter(b'\n', bytes) {
                if self.done {
                    return;
                }
                let end = here.start + at + 1;
                let piece = self.piece_at(plan, view, start..end);
                self.show(plan, around, Piece { cause, ..piece }, Kind::Context, rows);
                start = end;
            }
        }
        around.kept.clear(&plan.budget);
    }

    /// Bytes that were read again, as ripgrep sees them.
    fn as_read(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.text.binary == Binary::Stream {
            for byte in bytes.iter_mut().filter(|byte| **byte == 0) {
                *byte = b'\n';
            }
        }
        bytes
    }

    /// The chunk's last lines, of which some may have to be shown before a line in the next chunk.
    fn keep_around(&mut self, plan: &Plan, around: &mut Around, view: &View<'_>) {
        let wanted = around.shown.before;
        let Some(last) = view.facts.last_newline.filter(|_| wanted > 0) else {
            return;
        };
        let low = around.lowest(view).min(last + 1);
        let mut lines = 0;
        let here = lines_before(view.bytes, low..last + 1, wanted, &mut lines);
        if lines >= wanted || !around.shown_from(Some(view)) {
            around.kept.clear(&plan.budget);
        }
        let mut start = here.start;
        for at in memchr_iter(b'\n', view.bytes.get(here.clone()).unwrap_or_default()) {
            let end = here.start + at + 1;
            let bytes = view.bytes.get(start..end);
            let (from, upto) = (view.offset + start as u64, view.offset + end as u64);
            around.kept.push(from, upto, bytes, &plan.budget);
            start = end;
        }
        around.kept.trim(wanted, &plan.budget);
    }

    /// Shows a line, or holds it while a NUL may undo it.
    fn show(
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
        if kind == Kind::Found {
            around.matched = piece.end;
        }
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
        let certain = !holds && !(self.gated && self.nul.is_some());
        let target = if certain { &mut *rows } else { &mut self.held.rows };
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
            let lost = self.lost.take().unwrap_or(ScanErrorKind::LongLine { bytes });
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
    fn settle(
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
        self.undo_around(plan, around, rows);
        if let (Some(stopped), true, false) = (around.stopped, self.held.len() == 0, self.done) {
            let waits = plan.style.json
                && self.text.binary == Binary::Mapped
                && self.nul.is_none()
                && self.seen < super::MAPPED_PREFIX;
            if !waits || view.is_none() {
                let stopped = self.stop(around, stopped);
                self.finish(plan, rows, None, Some(stopped));
            }
        }
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
            }
            *uncounted += line.uncounted;
            around.certain = line.end;
        });
        self.printed += printed as u64;
    }

    /// Lines of a mapped file that have become certain, or that a NUL has undone.
    fn release_around(&mut self, plan: &Plan, around: &mut Around, rows: &mut Vec<u8>) {
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

impl Around {
    /// The first place of a chunk from which lines may have to be shown before a line.
    fn lowest(&self, view: &View<'_>) -> usize {
        let shown = usize::try_from(self.upto.saturating_sub(view.offset)).unwrap_or(usize::MAX);
        self.from.max(shown)
    }

    /// Whether no line of the chunk's own was shown so far, so that lines before the chunk may have to be.
    fn shown_from(&self, view: Option<&View<'_>>) -> bool {
        view.is_none_or(|view| self.lowest(view) == self.from)
    }
}

/// The last lines, `wanted` of them at most, of a range that begins and ends where lines do. Adds their number to
/// `lines`.
fn lines_before(
    bytes: &[u8],
    range: Range<usize>,
    wanted: usize,
    lines: &mut usize,
) -> Range<usize> {
    let mut start = range.end;
    while *lines < wanted && start > range.start {
        let before = bytes.get(range.start..start - 1).unwrap_or_default();
        start = memrchr(b'\n', before).map_or(range.start, |at| range.start + at + 1);
        *lines += 1;
    }
    start..range.end
}

/// Reads a line again that is shown because of where it stands.
fn read_context(
    plan: &Plan,
    path: Option<&std::path::Path>,
    start: u64,
    end: u64,
) -> Result<Vec<u8>, ScanErrorKind> {
    let bytes = end - start;
    if bytes > plan.max_line_bytes {
        return Err(ScanErrorKind::LongContext { bytes });
    }
    read_again(path, start, bytes).map_err(ScanErrorKind::of_context)
}
