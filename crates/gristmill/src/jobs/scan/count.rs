//! Files for which only a count, or only the existence of a match, is reported: the host does no work for single lines.

use super::binary::{Binary, Fills};
use super::carry::{Carry, Keep};
use super::facts::Facts;
use super::plan::Plan;
use super::report::Report;
use super::text::Text;
use crate::jobs::{FileEnd, LandedChunk};
use crate::source::{Entry, FileFacts, Origin};
use memchr::memchr;
use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

fn keep(plan: &Plan) -> Keep<'_> {
    Keep {
        reach: plan.reach,
        // A regex needs the whole line.
        show: plan.regex.is_some().then_some(&plan.budget),
    }
}

/// A chunk's bytes and the facts about them: the device's, unless they do not hold.
fn known<'a>(
    plan: &Plan,
    text: &Text,
    chunk: &LandedChunk<'a>,
    begin: usize,
    facts: Facts,
) -> (Cow<'a, [u8]>, Facts) {
    match text.converted(plan, chunk.bytes, begin, &facts) {
        Some(searched) => (Cow::Owned(searched.bytes), searched.facts),
        None => (Cow::Borrowed(chunk.bytes), facts),
    }
}

/// The bytes from `begin` up to the first newline.
fn head<'a>(bytes: &'a [u8], begin: usize, facts: &Facts) -> &'a [u8] {
    let end = facts.first_newline.unwrap_or(bytes.len());
    &bytes[begin.min(end)..end]
}

/// The same with the newline; `None` where there is none.
fn first_line<'a>(bytes: &'a [u8], begin: usize, facts: &Facts) -> Option<&'a [u8]> {
    bytes.get(begin..=facts.first_newline?)
}

/// Whether a line that ends with `rest`, before byte `end` of the file, holds a match of a regex. It begins with what is
/// carried. If it cannot be searched, an error is left.
fn whole_line_matches(
    plan: &Plan,
    text: &Text,
    entry: &Entry,
    carry: &mut Carry,
    rest: &[u8],
    end: u64,
) -> bool {
    if !carry.is_open() {
        return plan.matcher().is_match(rest);
    }
    let file = text.again();
    let start = carry.start();
    carry
        .complete(rest, end, file, plan.max_line_bytes, |line| {
            plan.matcher().is_match(line)
        })
        .unwrap_or_else(|lost| {
            plan.error(&entry.path, start, lost.unsearched());
            // It does not count, either way.
            plan.invert
        })
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
    pub fn new(plan: &Plan, entry: &Arc<Entry>, facts: &FileFacts) -> Self {
        Self {
            entry: Arc::clone(entry),
            text: Text::new(plan, entry, facts),
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
        if facts.first_nul.is_some() && self.text.binary == Binary::Quit {
            self.dropped = true;
            return true;
        }
        let (bytes, facts) = known(plan, &self.text, chunk, begin, facts);
        let matched = if plan.regex.is_some() {
            first_line(&bytes, begin, &facts).is_some_and(|rest| {
                let end = chunk.offset + (begin + rest.len()) as u64;
                whole_line_matches(plan, &self.text, &self.entry, &mut self.carry, rest, end)
            })
        } else {
            self.edge_matches(plan, head(&bytes, begin, &facts), facts.head_match)
        };
        let (Some(first), Some(last)) = (facts.first_newline, facts.last_newline) else {
            self.carry.extend(
                chunk.offset + begin as u64,
                &bytes[begin..],
                matched,
                false,
                keep(plan),
            );
            return false;
        };
        self.lines += u64::from(plan.wants(matched));
        let matching = if plan.every_line {
            facts.newlines - 1
        } else {
            facts.interior
        };
        self.lines += if plan.invert {
            (facts.newlines - 1).saturating_sub(matching)
        } else {
            matching
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

    /// Whether the line that goes on with `head` matches in what was seen of it so far.
    fn edge_matches(&self, plan: &Plan, head: &[u8], head_match: bool) -> bool {
        plan.every_line
            || head_match
            || self.carry.matched()
            || self
                .carry
                .straddles(head, plan.reach, |window| plan.matcher().is_match(window))
    }

    /// Ends the file: writes its count, if the whole file was counted.
    pub fn close(mut self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        let path = Arc::clone(&self.entry);
        let path = path.path.as_os_str().as_bytes();
        if self.dropped {
            plan.summary(rows, path, self.lines, 0, true);
        } else if let FileEnd::Complete { bytes } = end {
            self.complete(plan, *bytes);
            plan.summary(rows, path, self.lines, 0, false);
        }
        self.carry.clear(keep(plan));
    }

    /// The last line, if no newline ends it.
    fn complete(&mut self, plan: &Plan, bytes: u64) {
        if self.carry.is_open() {
            let matched = match plan.regex {
                Some(_) => {
                    whole_line_matches(plan, &self.text, &self.entry, &mut self.carry, b"", bytes)
                }
                None => self.carry.matched(),
            };
            self.lines += u64::from(plan.wants(matched));
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
    pub fn new(plan: &Plan, entry: &Arc<Entry>, facts: &FileFacts) -> Self {
        Self {
            entry: Arc::clone(entry),
            text: Text::new(plan, entry, facts),
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
                self.fills = Some(Fills::new(self.text.origin, stdin, plan.shown.kept()));
            }
        }
        let begin = self.text.begin(chunk.offset);
        let facts = self.text.facts(plan, chunk);
        let (bytes, facts) = known(plan, &self.text, chunk, begin, facts);
        let at = if plan.every_line {
            (begin < bytes.len()).then_some(chunk.offset + begin as u64)
        } else if plan.regex.is_some() {
            let start = match self.carry.is_open() {
                true => self.carry.start(),
                false => chunk.offset + begin as u64,
            };
            let head_matches = self.first_match.is_none()
                && first_line(&bytes, begin, &facts).is_some_and(|rest| {
                    let end = chunk.offset + (begin + rest.len()) as u64;
                    whole_line_matches(plan, &self.text, &self.entry, &mut self.carry, rest, end)
                });
            head_matches
                .then_some(start)
                .or(facts.first_match.map(|at| chunk.offset + at as u64))
        } else if self
            .carry
            .straddles(head(&bytes, begin, &facts), plan.reach, |window| {
                plan.matcher().is_match(window)
            })
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
                fills.advance(&bytes, chunk.offset, self.last_newline, nul.unwrap_or(upto));
                if chunk.stream && nul.is_none() {
                    let last = facts.last_newline.map(|at| chunk.offset + at as u64);
                    fills.short_read(upto, last.or(self.last_newline));
                }
                fills.leave(&bytes, chunk.offset);
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
    pub fn close(mut self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        let found = match (self.answer, end) {
            (Some(answer), _) => answer,
            (None, FileEnd::Complete { .. }) if self.first_match.is_some() => true,
            (None, FileEnd::Complete { bytes }) => {
                plan.regex.is_some()
                    && self.carry.is_open()
                    && whole_line_matches(
                        plan,
                        &self.text,
                        &self.entry,
                        &mut self.carry,
                        b"",
                        *bytes,
                    )
            }
            _ => false,
        };
        self.carry.clear(keep(plan));
        if found {
            if plan.report == Report::Paths {
                let path = self.entry.path.as_os_str().as_bytes();
                plan.style.path_line(rows, path);
            }
            plan.found(true);
        }
    }
}
