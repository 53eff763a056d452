//! Files whose matching lines are needed one by one: lines are stitched together from chunks, held back while a NUL may
//! still undo them, and printed.
//!
//! A line that lies within a chunk comes from the slot's records. One that spans chunks is put together by
//! [`Carry`](super::carry::Carry): it matches if a fragment does, or if a match straddles a boundary. [`Fills`] decides
//! which lines ripgrep would not have printed because of a later NUL: lines that begin below `bound` are certain, and
//! later ones, at most those of one line buffer, wait in [`HeldLines`]. How a file ends is in `finish`.

mod around;
mod each;
mod finish;
mod known;

use super::binary::{Binary, Fills, MAPPED_PREFIX};
use super::carry::{Carry, Keep};
use super::error::ScanErrorKind;
use super::facts::View;
use super::held_lines::HeldLines;
use super::line::Line;
use super::plan::Plan;
use super::printer::FileRows;
use super::text::Text;
use crate::jobs::LandedChunk;
use crate::source::{Entry, FileFacts, Origin};
use known::Around;
use memchr::{memchr, memchr_iter};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Instant;

/// A matching line, and where it is in the file.
struct Found<'a> {
    start: u64,
    end: u64,
    number: u64,
    bytes: &'a [u8],
    may_hold_nul: bool,
}

pub(super) struct LinesFile {
    entry: Arc<Entry>,
    out: FileRows,
    text: Text,
    carry: Carry,
    held: HeldLines,
    fills: Option<Fills>,
    /// Whether lines wait until no NUL can undo them.
    gated: bool,
    /// Lines that begin before this are certain.
    bound: u64,
    /// The first NUL that ripgrep would see.
    nul: Option<u64>,
    last_newline: Option<u64>,
    /// The number of newlines before the current chunk.
    newlines: u64,
    /// The position in the current chunk up to which newlines are counted, and their number.
    counted: (usize, u64),
    /// Where lines without a match are looked for: the position in the current chunk up to which they were.
    passed: usize,
    lines: u64,
    matches: u64,
    printed: u64,
    /// Printed bytes that ripgrep does not count.
    uncounted: u64,
    /// Start and end of the last line that was certain.
    last_line: (u64, u64),
    /// The line that reached the limit, kept until it is known whether a NUL was seen.
    limited: Option<(u64, u64)>,
    /// Bytes seen, from the file's start.
    seen: u64,
    converted: bool,
    started: Option<Instant>,
    done: bool,
    /// Where other lines are shown beside those that are looked for: what is known of them.
    around: Option<Box<Around>>,
    /// Why the bytes of the current line are not there.
    lost: Option<ScanErrorKind>,
}

impl LinesFile {
    pub fn new(plan: &Plan, entry: &Arc<Entry>, facts: &FileFacts) -> Self {
        Self {
            entry: Arc::clone(entry),
            out: plan.style.file(entry.path.as_os_str().as_bytes()),
            text: Text::new(plan, entry, facts),
            carry: Carry::default(),
            held: HeldLines::default(),
            fills: None,
            gated: false,
            bound: u64::MAX,
            nul: None,
            last_newline: None,
            newlines: 0,
            counted: (0, 0),
            passed: 0,
            lines: 0,
            matches: 0,
            printed: 0,
            uncounted: 0,
            last_line: (0, 0),
            limited: None,
            seen: 0,
            converted: false,
            started: plan.timed().then(Instant::now),
            done: false,
            around: (plan.shown.is_any() && !plan.decides_only())
                .then(|| Box::new(Around::new(plan))),
            lost: None,
        }
    }

    /// Takes the next part of the next chunk. Returns whether the file is answered.
    pub fn chunk(&mut self, plan: &Plan, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> bool {
        if self.done {
            return true;
        }
        if chunk.first_part {
            if chunk.offset == 0 {
                self.begin(plan, chunk);
            }
            self.counted = (0, 0);
            self.passed = 0;
            self.converted = false;
        }
        let begin = self.text.begin(chunk.offset);
        let facts = self.text.facts(plan, chunk);
        if chunk.first_part {
            // All parts of the chunk at once: the device's records do not apply.
            let needed = self.text.converted(plan, chunk.bytes, begin, &facts);
            if let Some(converted) = needed {
                self.converted = true;
                let view = View::of_converted(chunk, begin, &converted);
                self.view(plan, &view, rows);
            }
        }
        if self.converted {
            return self.done;
        }
        let view = View::of_part(chunk, begin, facts);
        self.view(plan, &view, rows);
        self.done
    }

    /// The file's first bytes decide how it is read.
    fn begin(&mut self, plan: &Plan, chunk: &LandedChunk<'_>) {
        self.text.sniff(chunk);
        let notes = plan.notes_binaries();
        self.gated = match self.text.binary {
            Binary::Text => false,
            Binary::Quit => true,
            Binary::Stream | Binary::Mapped => notes,
        };
        if self.gated {
            self.bound = 0;
        }
        let follows = self.gated || (plan.timed() && plan.limit.is_some());
        if follows && !self.text.mapped {
            let stdin = self.entry.origin == Origin::Stdin;
            self.fills = Some(Fills::new(self.text.origin, stdin, plan.shown.kept()));
        }
    }

    fn view(&mut self, plan: &Plan, view: &View<'_>, rows: &mut Vec<u8>) {
        if self.around.is_some() {
            return self.view_around(plan, view, rows);
        }
        if view.first {
            self.follow(plan, view);
            self.release(plan, rows);
            if let Some(line) = self.limited {
                self.limit_reached(plan, rows, line);
            } else if !self.done {
                self.head(plan, view, rows);
            }
        }
        if plan.invert {
            self.lines_without(plan, view, rows);
        } else if plan.every_line {
            self.every_line(plan, view, rows);
        } else {
            for index in 0..view.records.len() {
                if self.done {
                    return;
                }
                let (start, end) = view.records.get(index);
                self.line_at(plan, view, start as usize, end as usize, rows);
            }
        }
        if self.done || !view.last {
            return;
        }
        if self.nul.is_some() && self.text.binary == Binary::Quit {
            return self.finish(plan, rows, None, None);
        }
        if let Some(last) = view.facts.last_newline {
            let matched = plan.every_line || view.facts.tail_match;
            self.carry_on(plan, view, last + 1, matched);
            self.last_newline = Some(view.offset + last as u64);
        }
        self.newlines += view.facts.newlines;
    }

    /// Follows ripgrep's reads through the chunk, to find how far lines are certain and whether a NUL was seen.
    fn follow(&mut self, plan: &Plan, view: &View<'_>) {
        let end = view.offset + view.bytes.len() as u64;
        let nul = view.facts.first_nul.map(|at| view.offset + at as u64);
        self.seen = end;
        if self.text.binary == Binary::Mapped {
            return self.follow_prefix(nul);
        }
        if let Some(fills) = &mut self.fills {
            if self.nul.is_none() {
                let limit = nul.unwrap_or(end);
                fills.advance(view.bytes, view.offset, self.last_newline, limit);
                if view.stream && nul.is_none() {
                    let last = view.facts.last_newline.map(|at| view.offset + at as u64);
                    fills.short_read(end, last.or(self.last_newline));
                }
                if self.gated {
                    self.bound = fills.start();
                }
            }
            if self.text.binary != Binary::Quit {
                fills.advance(view.bytes, view.offset, self.last_newline, end);
            }
            if plan.limit.is_none() || !plan.timed() {
                fills.forget_before(self.bound.min(fills.start()));
            }
        }
        self.nul = self.nul.or(nul);
    }

    /// Of a file that ripgrep maps, `nul` is the current chunk's first NUL.
    fn follow_prefix(&mut self, nul: Option<u64>) {
        self.nul = self.nul.or(nul.filter(|&at| at < MAPPED_PREFIX));
        if self.nul.is_none() && self.seen >= MAPPED_PREFIX {
            self.bound = u64::MAX;
        }
    }

    /// Prints the lines that have become certain, and drops those that a NUL has undone.
    fn release(&mut self, plan: &Plan, rows: &mut Vec<u8>) {
        let mut certain = None;
        let printed = self.held.release(self.bound, rows, |line| {
            self.lines += 1;
            self.matches += line.matches;
            self.uncounted += line.uncounted;
            certain = Some((line.start, line.end));
        });
        self.printed += printed as u64;
        if let Some(line) = certain {
            self.last_line = line;
            if plan.limit.is_some_and(|limit| self.lines >= limit) {
                return self.limit_reached(plan, rows, line);
            }
        }
        if self.nul.is_some() && self.gated {
            let undone = self.held.undo();
            if let (Some(line), Binary::Stream | Binary::Mapped) = (undone, self.text.binary) {
                self.noted(plan, rows, line.start, line.end, line.matches);
            }
        }
    }

    /// The line that the chunk begins with.
    fn head(&mut self, plan: &Plan, view: &View<'_>, rows: &mut Vec<u8>) {
        let end = view.facts.first_newline.unwrap_or(view.bytes.len());
        let head = &view.bytes[view.begin.min(end)..end];
        let has_nul = view.facts.first_nul.is_some();
        let mut matched = plan.every_line || view.facts.head_match;
        if let (Some(_), Some(newline)) = (&plan.regex, view.facts.first_newline) {
            // What is carried decides together with the rest of the line.
            matched = self.carry.is_open()
                || view
                    .bytes
                    .get(view.begin..=newline)
                    .is_some_and(|line| plan.matcher().is_match(line));
        }
        if !self.carry.is_open() {
            match view.facts.first_newline {
                None => self.carry_on(plan, view, view.begin, matched),
                Some(newline) if plan.wants(matched) => {
                    self.line_at(plan, view, view.begin, newline + 1, rows);
                }
                Some(_) => {}
            }
            return;
        }
        matched = matched
            || self.carry.matched()
            || self
                .carry
                .straddles(head, plan.reach, |window| plan.matcher().is_match(window));
        if view.facts.first_newline.is_none() {
            return self.carry_on(plan, view, view.begin, matched);
        }
        if plan.wants(matched) || plan.regex.is_some() {
            let rest = &view.bytes[..end + 1];
            self.carried(plan, rest, view.offset + end as u64 + 1, has_nul, rows);
        }
        self.carry.clear(self.keep(plan));
    }

    fn keep<'p>(&self, plan: &'p Plan) -> Keep<'p> {
        Keep {
            reach: plan.reach,
            show: Some(&plan.budget),
        }
    }

    /// Adds the chunk's bytes from `from` on to the unfinished line, or begins one with them.
    fn carry_on(&mut self, plan: &Plan, view: &View<'_>, from: usize, matched: bool) {
        let piece = view.bytes.get(from..).unwrap_or_default();
        let nul = self.text.binary == Binary::Mapped
            && view.facts.first_nul.is_some()
            && memchr(0, piece).is_some();
        let keep = self.keep(plan);
        self.carry
            .extend(view.offset + from as u64, piece, matched, nul, keep);
    }

    /// Handles an unfinished line that ends with `rest` and matches, or, where a regex is searched for, may match.
    fn carried(&mut self, plan: &Plan, rest: &[u8], end: u64, nul: bool, rows: &mut Vec<u8>) {
        let mut carry = std::mem::take(&mut self.carry);
        let (start, number) = (carry.start(), self.newlines + 1);
        let may_hold_nul = nul || carry.nul();
        let file = self.text.again().cloned();
        let shown = carry.complete(rest, end, file.as_ref(), plan.max_line_bytes, |bytes| {
            if plan.regex.is_some() && !plan.wants(plan.matcher().is_match(bytes)) {
                return;
            }
            let found = Found {
                start,
                end,
                number,
                bytes,
                may_hold_nul,
            };
            self.matched(plan, &found, rows);
        });
        match shown {
            Ok(()) => {}
            Err(lost) if plan.regex.is_some() => {
                plan.error(&self.entry.path, start, lost.unsearched());
            }
            Err(lost) => {
                self.lines += 1;
                self.last_line = (start, end);
                plan.error(&self.entry.path, start, lost);
            }
        }
        self.carry = carry;
    }

    /// A matching line that lies within the chunk.
    #[inline]
    fn line_at(
        &mut self,
        plan: &Plan,
        view: &View<'_>,
        start: usize,
        end: usize,
        rows: &mut Vec<u8>,
    ) {
        let Some(bytes) = view.bytes.get(start..end) else {
            return;
        };
        let number = self.number_at(plan, view, start);
        let found = Found {
            start: view.offset + start as u64,
            end: view.offset + end as u64,
            number,
            bytes,
            may_hold_nul: view.facts.first_nul.is_some(),
        };
        self.matched(plan, &found, rows);
    }

    /// The number of the line that begins at `start` in a chunk, if numbers are shown.
    #[inline]
    fn number_at(&mut self, plan: &Plan, view: &View<'_>, start: usize) -> u64 {
        if !plan.style.line_numbers {
            return 0;
        }
        let (upto, count) = self.counted;
        let newlines = |range: Range<usize>| {
            let between = view.bytes.get(range).unwrap_or_default();
            memchr_iter(b'\n', between).count() as u64
        };
        let count = if start < upto {
            count - newlines(start..upto)
        } else {
            count + newlines(upto..start)
        };
        self.counted = (start, count);
        self.newlines + count + 1
    }

    /// Handles a matching line: it is printed, held, or undone by a NUL.
    fn matched(&mut self, plan: &Plan, found: &Found<'_>, rows: &mut Vec<u8>) {
        let waiting = self.held.len();
        if plan
            .limit
            .is_some_and(|limit| self.lines + waiting >= limit)
        {
            return;
        }
        let line = Line {
            bytes: found.bytes,
            offset: found.start - self.text.origin,
            number: found.number,
            context: false,
            replaced: None,
        };
        if found.start >= self.bound {
            if self.nul.is_none() {
                let matches = plan.print(&mut self.held.rows, &mut self.out, line);
                let uncounted = std::mem::take(&mut self.out.uncounted);
                self.held.push(found.start, found.end, matches, uncounted);
                return;
            }
            return match self.text.binary {
                Binary::Quit => self.finish(plan, rows, None, None),
                _ => {
                    let matches = plan.count_in(found.bytes);
                    self.noted(plan, rows, found.start, found.end, matches);
                }
            };
        }
        if self.text.binary == Binary::Mapped && found.may_hold_nul && self.nul.is_none() {
            self.nul = memchr(0, found.bytes).map(|at| found.start + at as u64);
            if self.nul.is_some() && self.gated {
                let matches = plan.count_in(found.bytes);
                return self.noted(plan, rows, found.start, found.end, matches);
            }
        }
        let before = rows.len();
        self.matches += plan.print(rows, &mut self.out, line);
        self.lines += 1;
        self.printed += (rows.len() - before) as u64;
        self.uncounted += std::mem::take(&mut self.out.uncounted);
        self.last_line = (found.start, found.end);
        if plan.limit.is_some_and(|limit| self.lines >= limit) {
            self.limit_reached(plan, rows, self.last_line);
        }
    }

    /// Ends the search after this line. JSON also says whether ripgrep saw a NUL by then, which may only be known
    /// later.
    fn limit_reached(&mut self, plan: &Plan, rows: &mut Vec<u8>, line: (u64, u64)) {
        let known = match self.text.binary {
            _ if !plan.style.json || self.gated || self.nul.is_some() => true,
            Binary::Text | Binary::Quit => true,
            Binary::Mapped => self.seen >= MAPPED_PREFIX,
            Binary::Stream => self
                .fills
                .as_ref()
                .is_none_or(|fills| fills.start() > line.0),
        };
        if known {
            self.finish(plan, rows, None, Some(line));
        } else {
            self.limited = Some(line);
        }
    }

    /// Handles a matching line of a file that is known to be binary: a note replaces the file's rows, and the search
    /// ends.
    fn noted(&mut self, plan: &Plan, rows: &mut Vec<u8>, start: u64, end: u64, matches: u64) {
        self.lines += 1;
        self.matches += matches;
        self.finish(plan, rows, None, Some((start, end)));
    }
}
