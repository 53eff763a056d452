//! The lines around matches, and their numbers.
//!
//! Matches come in the order of rows, mostly while their chunk is at hand, and wait until the rest of their last line
//! is, too. Of a line no more than [`LINE_BYTES`] on each side of the match are shown, so that what is kept is bounded,
//! and what is shown does not depend on how the file is cut.

use super::order::Match;
use super::tail::{index, Tail, Text};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

/// The most bytes of a line that are shown before a match, and behind it.
pub(super) const LINE_BYTES: u64 = 4096;

/// A match with what is around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    pub hit: Match,
    /// The lines on which the match lies, without the newlines around them, and no more than [`LINE_BYTES`] on each side.
    pub lines: Cow<'a, [u8]>,
    /// Where the match is in `lines`.
    pub range: Range<usize>,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The byte of that line at which it begins, from 1.
    pub column: u64,
}

/// A place, and the line on which it lies.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    at: u64,
    /// From 1.
    line: u64,
    /// Where the line begins.
    begin: u64,
}

impl Cursor {
    /// The place behind `text`, which begins here.
    fn behind(self, text: &[u8]) -> Self {
        let at = self.at + text.len() as u64;
        match memchr::memrchr(b'\n', text) {
            None => Self { at, ..self },
            Some(last) => Self {
                at,
                line: self.line + memchr::memchr_iter(b'\n', text).count() as u64,
                begin: self.at + last as u64 + 1,
            },
        }
    }
}

/// A file's last bytes, and the matches that wait for the rest of their line.
#[derive(Debug)]
pub(super) struct Around {
    tail: Tail,
    waiting: VecDeque<Match>,
    /// No later match begins before this place.
    base: Cursor,
    /// A place that was asked for, not before `base`.
    last: Cursor,
}

impl Default for Around {
    fn default() -> Self {
        let start = Cursor {
            at: 0,
            line: 1,
            begin: 0,
        };
        Self {
            tail: Tail::default(),
            waiting: VecDeque::new(),
            base: start,
            last: start,
        }
    }
}

impl Around {
    /// Takes a match that is known since the last chunk.
    pub fn push(&mut self, hit: Match) {
        self.waiting.push_back(hit);
    }

    /// Takes the bytes that follow, once the matches that they make known were pushed, and calls `placed` with those
    /// that need no others, in their order. Later matches begin at `needed` or behind it.
    pub fn chunk(&mut self, bytes: &[u8], needed: u64, placed: impl FnMut(Placed<'_>)) {
        self.place(bytes, false, placed);
        let text = self.tail.text(bytes);
        let starts = self.waiting.iter().map(|hit| hit.start);
        let needed = starts
            .fold(needed.min(text.end()), u64::min)
            .max(self.base.at);
        self.base = text.cursor(self.base, needed);
        if self.last.at < needed {
            self.last = self.base;
        }
        self.tail.advance(bytes, needed.saturating_sub(LINE_BYTES));
    }

    /// The file has ended: calls `placed` with the matches that are left.
    pub fn end(&mut self, placed: impl FnMut(Placed<'_>)) {
        self.place(&[], true, placed);
    }

    fn place(&mut self, bytes: &[u8], ended: bool, mut placed: impl FnMut(Placed<'_>)) {
        let text = self.tail.text(bytes);
        while let Some(&hit) = self.waiting.front() {
            let end = text.line_end(hit.end, ended);
            if end.is_none() && !ended {
                break;
            }
            self.waiting.pop_front();
            let Some(end) = end else { continue };
            if hit.start >= self.last.at {
                self.last = text.cursor(self.last, hit.start);
            }
            let place = text.back(self.last, self.base, hit.start);
            let begin = place.begin.max(hit.start.saturating_sub(LINE_BYTES));
            placed(Placed {
                hit,
                lines: text.get(begin..end),
                range: index(hit.start, begin)..index(hit.end, begin),
                line: place.line,
                column: hit.start - place.begin + 1,
            });
        }
    }
}

impl Text<'_> {
    /// Moves a cursor on.
    fn cursor(&self, cursor: Cursor, to: u64) -> Cursor {
        let [first, second] = self.parts(cursor.at..to);
        cursor.behind(first).behind(second)
    }

    /// The place `to`, which is not behind `last` and not before `base`.
    fn back(&self, last: Cursor, base: Cursor, to: u64) -> Cursor {
        let newlines = |part: &[u8]| memchr::memchr_iter(b'\n', part).count() as u64;
        let [first, second] = self.parts(to..last.at);
        let line = last.line - newlines(first) - newlines(second);
        let begin = if line == last.line {
            last.begin
        } else {
            let [first, second] = self.parts(base.at..to);
            let newline = memchr::memrchr(b'\n', second).map(|at| {
                let begin = self.border().max(base.at);
                begin + at as u64
            });
            let newline = newline.or_else(|| {
                let begin = self.from.max(base.at);
                memchr::memrchr(b'\n', first).map(|at| begin + at as u64)
            });
            newline.map_or(base.begin, |newline| newline + 1)
        };
        Cursor {
            at: to,
            line,
            begin,
        }
    }

    /// Where the line behind a match ends, as far as it is shown; none if that is not known yet.
    fn line_end(&self, end: u64, ended: bool) -> Option<u64> {
        if end > self.end() {
            // The bytes of a match that reaches beyond what could be read are not there.
            return None;
        }
        let [first, second] = self.parts(end..end + LINE_BYTES);
        let newline = memchr::memchr(b'\n', first).or_else(|| {
            let at = memchr::memchr(b'\n', second)?;
            Some(first.len() + at)
        });
        let shown = (first.len() + second.len()) as u64;
        match newline {
            Some(newline) => Some(end + newline as u64),
            None if shown == LINE_BYTES || ended => Some(end + shown),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is around a match, from the whole text.
    fn expected(text: &[u8], hit: Match) -> Placed<'_> {
        let (start, end) = (hit.start as usize, hit.end as usize);
        let most = LINE_BYTES as usize;
        let line = memchr::memrchr(b'\n', &text[..start]).map_or(0, |at| at + 1);
        let begin = line.max(start.saturating_sub(most));
        let rest = memchr::memchr(b'\n', &text[end..]).unwrap_or(text.len() - end);
        Placed {
            hit,
            lines: Cow::Borrowed(&text[begin..end + rest.min(most)]),
            range: start - begin..end - begin,
            line: 1 + memchr::memchr_iter(b'\n', &text[..start]).count() as u64,
            column: (start - line + 1) as u64,
        }
    }

    #[test]
    fn lines_do_not_depend_on_how_a_text_is_cut() {
        let seed = gristmill_testing::seed("GRISTMILL_AROUND_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..300 {
            let length = random.usize(..40_000);
            let rare = *random.choice(&[3, 60, 3000, 100_000]).unwrap();
            let byte = |random: &mut fastrand::Rng| match random.u32(..rare) {
                0 => b'\n',
                _ => b'x',
            };
            let text: Vec<u8> = (0..length).map(|_| byte(&mut random)).collect();
            let mut hits: Vec<Match> = (0..random.usize(..60))
                .map(|pattern| {
                    let most = *random.choice(&[0, 10, 9000]).unwrap();
                    let start = random.usize(..=length);
                    let end = random.usize(start..=length.min(start + most));
                    Match {
                        pattern: pattern as u32,
                        start: start as u64,
                        end: end as u64,
                    }
                })
                .collect();
            hits.sort_by_key(|hit| (hit.end, hit.pattern));
            let mut around = Around::default();
            let mut placed = Vec::new();
            let (mut at, mut told) = (0, 0);
            let chunk = random.usize(1..9000);
            while at < length {
                let bytes = &text[at..length.min(at + random.usize(1..=chunk))];
                at += bytes.len();
                // Matches may be known up to a halo before their bytes, or late.
                let known = (at as u64 + 100).saturating_sub(random.u64(..300));
                while told < hits.len() && hits[told].end < known {
                    around.push(hits[told]);
                    told += 1;
                }
                let needed = hits[told..].iter().map(|hit| hit.start).min();
                around.chunk(bytes, needed.unwrap_or(u64::MAX), |one| {
                    placed.push((one.hit, one.lines.to_vec(), one.range, one.line, one.column));
                });
                let kept = around.tail.text(&[]);
                assert!(kept.end() - kept.from <= 25_000, "{kept:?}");
            }
            hits[told..].iter().for_each(|hit| around.push(*hit));
            around.end(|one| {
                placed.push((one.hit, one.lines.to_vec(), one.range, one.line, one.column));
            });
            assert_eq!(placed.len(), hits.len());
            for (one, hit) in placed.into_iter().zip(&hits) {
                let expected = expected(&text, *hit);
                let place = (expected.line, expected.column, expected.range);
                assert_eq!((one.3, one.4, one.2), place, "{hit:?}");
                assert!(one.1 == *expected.lines, "{hit:?}");
            }
        }
    }

    #[test]
    fn what_a_cut_file_does_not_hold_is_not_shown() {
        let mut around = Around::default();
        for (start, end) in [(0, 9), (1, 3)] {
            around.push(Match {
                pattern: 0,
                start,
                end,
            });
        }
        let mut ends = Vec::new();
        around.chunk(b"abc", 0, |one| ends.push(one.hit.end));
        around.end(|one| ends.push(one.hit.end));
        assert_eq!(ends, [3]);
    }
}
