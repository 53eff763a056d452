//! One file: its chunks in order, and the matches in them.

use super::chains::{Chains, GivenUp, Searching};
use super::context::{Bytes, Context};
use super::error::{SweepError, SweepErrorKind};
use super::judged::Judged;
use super::kept::Kept;
use super::opcode::{OfRegex, Told};
use super::order::{Match, Order};
use super::plan::{Plan, SweepReport};
use super::rows::Occurrence;
use crate::jobs::scan::ScanTotals;
use crate::jobs::{FileEnd, LandedChunk};
use crate::source::{Entry, FileFacts, FilePart};
use gristmill_patterns::{RegexSetCache, StreamSearch, StreamState};
use gristmill_protocol::opcode::RESULT_VALUE;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Instant;

/// Bytes before a place that a look-around may need.
pub(super) const LOOK: u64 = gristmill_patterns::LOOK as u64;

/// A file while it is read.
pub(super) struct FileSweep {
    entry: Arc<Entry>,
    facts: FileFacts,
    /// Where its rows begin.
    part: FilePart,
    chains: Chains,
    kept: Kept,
    order: Order,
    /// Bytes read so far.
    end: u64,
    count: u64,
    printed: u64,
    started: Option<Instant>,
    /// What the rules make of it, if they do.
    judged: Option<Judged>,
    /// The bytes around its matches, if they are shown.
    context: Option<Context>,
}

impl FileSweep {
    pub fn new(plan: &Plan, entry: &Arc<Entry>, facts: &FileFacts) -> Self {
        Self {
            entry: Arc::clone(entry),
            facts: facts.clone(),
            part: entry.part.unwrap_or_default(),
            chains: Chains::new(0, plan.max_match),
            kept: Kept::default(),
            order: Order::default(),
            end: 0,
            count: 0,
            printed: 0,
            started: plan.totals_wanted.then(Instant::now),
            judged: plan
                .rules
                .as_ref()
                .map(|rules| Judged::new(rules, &entry.path)),
            context: plan.context.map(Context::new),
        }
    }

    /// Takes the next part of the next chunk. Returns whether the file is answered.
    pub fn chunk(&mut self, plan: &Plan, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> bool {
        if self.end == 0 && chunk.offset > 0 {
            self.begin_at(plan, chunk.offset);
        }
        if plan.decides_only() && self.entry.part.is_none() && chunk.results[RESULT_VALUE] > 0 {
            // A regex that matches in a chunk matches in the file, if perhaps elsewhere.
            self.count += 1;
            return true;
        }
        let told = Told::decode(&chunk.records, chunk.offset);
        self.end = chunk.offset + chunk.bytes.len() as u64;
        for (index, start) in told.strings {
            let (pattern, length) = plan.string(index);
            self.order.add(Match {
                pattern,
                start,
                end: start + length,
            });
        }
        self.follow(plan, chunk, told.regexes);
        let known = self.chains.known(self.end);
        self.rows(plan, known, rows);
        let first = self.order.first_start();
        let needed = first.map_or(known, |start| start.min(known));
        if let (Some(judged), Some(rules)) = (&mut self.judged, &plan.rules) {
            return judged.chunk(rules, chunk.bytes, needed, rows);
        }
        if let Some(context) = &mut self.context {
            let before = rows.len();
            let path = self.entry.path.as_os_str().as_bytes();
            context.chunk(chunk.bytes, needed, |found, around| {
                row(plan, path, found, around, before, rows);
            });
            self.printed += (rows.len() - before) as u64;
        }
        let waits = self.context.as_ref().is_some_and(Context::waits);
        let first = self.order.first_start().unwrap_or(known).min(known);
        let watched = self.chains.watched(self.part.begin);
        let is_open = watched.is_some_and(|start| self.part.has(start));
        (plan.decides_only() && self.count > 0)
            || (self.part.is_before(first) && !waits && !is_open)
    }

    /// The first chunk of a part begins at `offset`.
    fn begin_at(&mut self, plan: &Plan, offset: u64) {
        self.end = offset;
        self.kept = Kept::at(offset);
        // What the bytes before the chunk are is known from here on.
        self.chains = Chains::new(offset + LOOK, plan.max_match);
        if let Some(context) = &mut self.context {
            context.begin_at(offset);
        }
    }

    /// Takes the regexes' matches in a chunk.
    fn follow(&mut self, plan: &Plan, chunk: &LandedChunk<'_>, told: Vec<OfRegex>) {
        if plan.patterns.set.regexes().is_empty() {
            return;
        }
        let mut text = Text {
            kept: &mut self.kept,
            own: Some(chunk.bytes),
            facts: &self.facts,
        };
        let given_up = plan.patterns.with_cache(|cache| {
            let mut searching = Search {
                plan,
                cache,
                text: &mut text,
                order: &mut self.order,
            };
            self.chains
                .chunk(chunk.offset..self.end, told, &mut searching)
        });
        let needed = self.chains.known(self.end).saturating_sub(LOOK);
        text.keep(needed, self.end);
        self.give_up(plan, given_up);
    }

    /// Tells which regexes are no longer searched for.
    fn give_up(&self, plan: &Plan, given_up: Vec<GivenUp>) {
        for GivenUp { index, end } in given_up {
            // A match that is too long is told by the part in which it begins. Otherwise nothing is known from there on, in
            // this part, too.
            let from = match end.why {
                SweepErrorKind::LongMatch { .. } => end.from,
                _ => end.from.max(self.part.begin),
            };
            if !self.part.has(from) {
                continue;
            }
            let name = plan.name(plan.regex(index));
            plan.error(SweepError {
                path: self.entry.path.to_path_buf(),
                offset: from,
                pattern: String::from_utf8_lossy(name).into_owned(),
                kind: end.why,
            });
        }
    }

    /// Writes the rows of the matches that end before `horizon`.
    fn rows(&mut self, plan: &Plan, horizon: u64, rows: &mut Vec<u8>) {
        let before = rows.len();
        let path = self.entry.path.as_os_str().as_bytes();
        let mut count = 0;
        let part = self.part;
        self.order.take(horizon, |found| {
            if !part.has(found.start) {
                return;
            }
            count += 1;
            if let (Some(judged), Some(rules)) = (&mut self.judged, &plan.rules) {
                judged.push(rules, found);
                return;
            }
            match &mut self.context {
                _ if plan.report != SweepReport::Matches => {}
                Some(context) => context.push(found),
                None => row(plan, path, found, None, before, rows),
            }
        });
        self.count += count;
        self.printed += (rows.len() - before) as u64;
    }

    /// Ends the file.
    pub fn close(mut self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        let complete = matches!(end, FileEnd::Complete { .. });
        if complete && !(plan.decides_only() && self.count > 0) {
            self.end_of_file(plan);
        }
        // What was found in a file that failed later was found.
        self.rows(plan, u64::MAX, rows);
        if let (Some(judged), Some(rules)) = (self.judged.take(), &plan.rules) {
            judged.close(rules, complete, rows);
        }
        let path = self.entry.path.as_os_str().as_bytes();
        let before = rows.len();
        if let Some(context) = &mut self.context {
            context.end(|found, around| row(plan, path, found, around, before, rows));
        }
        if self.count > 0 {
            match plan.report {
                SweepReport::Count if complete => plan.rows.count(rows, path, self.count),
                SweepReport::Paths => plan.rows.path_line(rows, path),
                _ => {}
            }
        }
        self.printed += (rows.len() - before) as u64;
        let bytes = match end {
            FileEnd::Complete { bytes } | FileEnd::Skipped { bytes } => *bytes,
            FileEnd::Failed { offset, .. } => *offset,
        };
        plan.add(
            &ScanTotals {
                matches: self.count,
                matched_lines: 0,
                searches_with_match: u64::from(self.count > 0),
                searches: 1,
                bytes_printed: self.printed,
                bytes_searched: bytes,
                elapsed: self.started.map(|at| at.elapsed()).unwrap_or_default(),
            },
            self.count > 0,
        );
    }

    /// Finds the matches that only the end of the file decides.
    fn end_of_file(&mut self, plan: &Plan) {
        let given_up = plan.patterns.with_cache(|cache| {
            if self.end == 0 {
                // An empty file has no chunk.
                plan.patterns.set.regexes().find(cache, b"", |index, _, _| {
                    let index = u32::try_from(index).unwrap_or(u32::MAX);
                    self.order.add(Match {
                        pattern: plan.regex(index),
                        start: 0,
                        end: 0,
                    });
                });
                return Vec::new();
            }
            let mut text = Text {
                kept: &mut self.kept,
                own: None,
                facts: &self.facts,
            };
            let mut searching = Search {
                plan,
                cache,
                text: &mut text,
                order: &mut self.order,
            };
            self.chains.end(self.end, &mut searching)
        });
        self.give_up(plan, given_up);
    }
}

/// Appends the row of a match. `piece` is where the rows that are made at this time begin.
fn row(
    plan: &Plan,
    path: &[u8],
    found: Match,
    around: Bytes<'_>,
    piece: usize,
    rows: &mut Vec<u8>,
) {
    let around = around.as_ref();
    let occurrence = Occurrence {
        path,
        offset: found.start,
        length: found.end - found.start,
        index: found.pattern,
        name: plan.name(found.pattern),
        around: around.map(|bytes| bytes.each_ref().map(|bytes| &**bytes)),
    };
    plan.rows.occurrence(rows, piece, &occurrence);
}

/// The bytes of a file so far: what is kept, and behind it the current chunk, which is copied only if it is needed.
struct Text<'a> {
    kept: &'a mut Kept,
    own: Option<&'a [u8]>,
    /// The file, which tells whether they are still wanted.
    facts: &'a FileFacts,
}

impl Text<'_> {
    /// All of it, in one piece.
    fn whole(&mut self) -> &Kept {
        if let Some(own) = self.own.take() {
            self.kept.push(own);
        }
        self.kept
    }

    /// Keeps what follows `from`, of a file of `end` bytes.
    fn keep(&mut self, from: u64, end: u64) {
        match self.own.take() {
            Some(own) if end - from <= own.len() as u64 => {
                let count = usize::try_from(end - from).unwrap_or(own.len());
                self.kept
                    .reset(own.get(own.len() - count..).unwrap_or_default(), end);
            }
            own => {
                self.kept.push(own.unwrap_or_default());
                self.kept.drop_before(from);
            }
        }
    }
}

/// The host's own searches in a file.
struct Search<'a, 'b> {
    plan: &'a Plan,
    cache: &'a mut RegexSetCache,
    text: &'a mut Text<'b>,
    order: &'a mut Order,
}

impl Searching for Search<'_, '_> {
    fn certain(&mut self, index: u32, at: u64) -> u64 {
        let kept = self.text.whole();
        let regexes = self.plan.patterns.set.regexes();
        let certain = regexes.certain(self.cache, index as usize, kept.bytes(), kept.index(at));
        kept.start() + certain as u64
    }

    fn next(&mut self, index: u32, at: u64, limit: u64) -> Option<(u64, u64)> {
        let kept = self.text.whole();
        if at > kept.end() {
            return None;
        }
        // One behind the text's end allows an empty match there.
        let limit = kept.index(limit) + usize::from(limit > kept.end());
        let regexes = self.plan.patterns.set.regexes();
        let (start, end) = regexes.next(
            self.cache,
            index as usize,
            kept.bytes(),
            kept.index(at),
            limit,
        )?;
        Some((kept.start() + start as u64, kept.start() + end as u64))
    }

    fn found(&mut self, index: u32, start: u64, end: u64) {
        self.order.add(Match {
            pattern: self.plan.regex(index),
            start,
            end,
        });
    }

    fn stream(
        &mut self,
        index: u32,
        at: u64,
        before: Option<u64>,
        most: u64,
    ) -> Option<StreamSearch> {
        let regexes = self.plan.patterns.set.regexes();
        regexes.stream(index as usize, at, before, most)
    }

    fn read(&mut self, index: u32, stream: &mut StreamSearch, ends: bool) -> StreamState {
        let facts = self.text.facts;
        let kept = self.text.whole();
        let pattern = self.plan.regex(index);
        // What is not read then is of a run that has ended early, and says so.
        let go_on = || !facts.is_ending();
        stream.read(kept.bytes(), kept.start(), ends, go_on, |start, end| {
            self.order.add(Match {
                pattern,
                start,
                end,
            });
        })
    }
}
