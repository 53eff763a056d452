//! Files for which only a count, or only the existence of a match, is reported: the host does no work for single lines.

use super::binary::{Binary, Fills};
use super::carry::{Carry, Keep};
use super::facts::Converted;
use super::plan::{Plan, Text};
use super::report::Report;
use crate::jobs::{FileEnd, LandedChunk};
use crate::source::{Entry, Origin};
use memchr::memchr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

fn keep(plan: &Plan) -> Keep<'static> {
    Keep {
        reach: plan.reach,
        show: None,
    }
}

/// A file whose matching lines are counted.
pub(super) struct CountFile {
    entry: Arc<Entry>,
    text: Text,
    carry: Carry,
    lines: u64,
    /// A NUL ended the file, which gets no row.
    dropped: bool,
}

impl CountFile {
    pub fn new(plan: &Plan, entry: &Arc<Entry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            text: Text::new(plan, entry),
            carry: Carry::default(),
            lines: 0,
            dropped: false,
        }
    }

    /// Takes the next chunk; whether the file is answered.
    pub fn chunk(&mut self, plan: &Plan, chunk: &LandedChunk<'_>) -> bool {
        if chunk.offset == 0 && chunk.first_part {
            self.text.sniff(chunk);
        }
        let begin = self.text.begin(chunk.offset);
        let mut facts = self.text.facts(plan, chunk);
        if self.text.binary == Binary::Stream && plan.maps(&self.entry) {
            // The device was not asked for NULs: that the file has a byte order mark or no length, and so is not
            // mapped, was found only now.
            facts.first_nul = memchr(0, chunk.bytes);
        }
        let mut bytes = chunk.bytes;
        let converted;
        if facts.first_nul.is_some() {
            match self.text.binary {
                Binary::Quit => {
                    self.dropped = true;
                    return true;
                }
                Binary::Stream => {
                    converted = Converted::new(chunk.bytes, begin, plan.matcher());
                    facts = converted.facts;
                    bytes = &converted.bytes;
                }
                Binary::Text | Binary::Mapped => {}
            }
        }
        let end = facts.first_newline.unwrap_or(bytes.len());
        let head = &bytes[begin.min(end)..end];
        let matched = plan.every_line
            || facts.head_match
            || self.carry.matched()
            || self
                .carry
                .straddles(head, plan.reach, |window| plan.matcher().is_match(window));
        let (Some(first), Some(last)) = (facts.first_newline, facts.last_newline) else {
            self.carry
                .extend(chunk.offset, &bytes[begin..], matched, false, keep(plan));
            return false;
        };
        self.lines += u64::from(matched);
        self.lines += if plan.every_line {
            facts.newlines - 1
        } else {
            facts.interior
        };
        debug_assert!(first <= last);
        self.carry.clear(keep(plan));
        let matched = plan.every_line || facts.tail_match;
        self.carry.extend(
            chunk.offset + last as u64 + 1,
            &bytes[last + 1..],
            matched,
            false,
            keep(plan),
        );
        false
    }

    /// Ends the file: writes its count, if the whole file was counted.
    pub fn close(mut self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        if self.dropped || !matches!(end, FileEnd::Complete { .. }) {
            return;
        }
        self.lines += u64::from(self.carry.is_open() && self.carry.matched());
        if self.lines > 0 {
            let path = self.entry.path.as_os_str().as_bytes();
            plan.style.count(rows, path, self.lines);
            plan.found(true);
        }
    }
}

/// A file of which only the existence of a match matters.
pub(super) struct AnyFile {
    entry: Arc<Entry>,
    text: Text,
    carry: Carry,
    fills: Option<Fills>,
    last_newline: Option<u64>,
    /// A match that a NUL may still undo.
    first_match: Option<u64>,
    answer: Option<bool>,
}

impl AnyFile {
    pub fn new(plan: &Plan, entry: &Arc<Entry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            text: Text::new(plan, entry),
            carry: Carry::default(),
            fills: None,
            last_newline: None,
            first_match: None,
            answer: None,
        }
    }

    /// Takes the next chunk; whether the file is answered.
    pub fn chunk(&mut self, plan: &Plan, chunk: &LandedChunk<'_>) -> bool {
        if chunk.offset == 0 && chunk.first_part {
            self.text.sniff(chunk);
            if self.text.binary == Binary::Quit {
                let stdin = self.entry.origin == Origin::Stdin;
                self.fills = Some(Fills::new(self.text.origin, stdin));
            }
        }
        let begin = self.text.begin(chunk.offset);
        let mut facts = self.text.facts(plan, chunk);
        let mut bytes = chunk.bytes;
        let converted;
        if self.text.binary == Binary::Stream && facts.first_nul.is_some() {
            converted = Converted::new(chunk.bytes, begin, plan.matcher());
            facts = converted.facts;
            bytes = &converted.bytes;
        }
        let end = facts.first_newline.unwrap_or(bytes.len());
        let head = &bytes[begin.min(end)..end];
        let at = if plan.every_line {
            (begin < bytes.len()).then_some(chunk.offset + begin as u64)
        } else if self
            .carry
            .straddles(head, plan.reach, |window| plan.matcher().is_match(window))
        {
            // The byte before the boundary belongs to the matching line.
            Some(chunk.offset - 1)
        } else {
            facts.first_match.map(|at| chunk.offset + at as u64)
        };
        self.first_match = self.first_match.or(at);
        let upto = chunk.offset + bytes.len() as u64;
        match (&mut self.fills, self.first_match) {
            (None, found) => self.answer = found.map(|_| true),
            (Some(fills), found) => {
                let nul = facts.first_nul.map(|at| chunk.offset + at as u64);
                fills.advance(bytes, chunk.offset, self.last_newline, nul.unwrap_or(upto));
                if chunk.stream && nul.is_none() {
                    let last = facts.last_newline.map(|at| chunk.offset + at as u64);
                    fills.short_read(upto, last.or(self.last_newline));
                }
                fills.forget_before(fills.start());
                if found.is_some_and(|at| at < fills.start()) {
                    self.answer = Some(true);
                } else if nul.is_some() {
                    self.answer = Some(false);
                }
            }
        }
        if self.answer.is_some() {
            return true;
        }
        let from = match facts.last_newline {
            Some(last) => {
                self.last_newline = Some(chunk.offset + last as u64);
                self.carry.clear(keep(plan));
                last + 1
            }
            None => begin,
        };
        let position = chunk.offset + from as u64;
        self.carry
            .extend(position, &bytes[from..], false, false, keep(plan));
        false
    }

    /// Ends the file: writes its path, if it has a match.
    pub fn close(self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        let complete = matches!(end, FileEnd::Complete { .. });
        let found = self
            .answer
            .unwrap_or(complete && self.first_match.is_some());
        if found {
            if plan.report == Report::Paths {
                let path = self.entry.path.as_os_str().as_bytes();
                plan.style.path_line(rows, path);
            }
            plan.found(true);
        }
    }
}
