//! Searches with a [`Table`].
//!
//! Every step of a search waits for the one before it: the state, the load of the next, and so on. So the text is cut into
//! [`RUNS`] *runs*, one behind the other, and a step is made in each in turn. All but the first begin as if nothing lay
//! before them, and so miss patterns that begin in the run before. Once that run's last state is known the search goes over
//! the run again from there, until it comes into the same state as before; mostly that takes a few bytes.
//!
//! Runs are long where matches are rare. Who goes on behind the line of a match may skip much of what was searched: then
//! they become shorter.

use super::table::Table;
use super::word;
use gristmill_protocol::{completion, fault, stream};
use gristmill_ring::{Outcome, RecordWriter};

/// Runs that are searched together.
const RUNS: usize = 8;

/// Bytes of a run that are searched before the next look at what was found.
const BLOCK: usize = 8;

/// The longest run, in bytes: all of them stay in the nearest cache.
const LONGEST_RUN: usize = 1024;

/// The shortest run, in bytes: with shorter ones too much is searched twice.
const SHORTEST_RUN: usize = 64;

/// Bytes that are searched one by one before runs are tried.
const NEAR: usize = 128;

/// Where patterns end: behind which byte, and the state there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hit {
    pub(crate) end: usize,
    state: u32,
}

/// A search through bytes for all places where patterns end.
pub(crate) struct Search<'a> {
    table: &'a Table,
    bytes: &'a [u8],
    /// How far it has come, and the state there.
    at: usize,
    state: u32,
    /// Length of the next runs; below [`SHORTEST_RUN`], what is near comes first.
    run: usize,
    /// What was found before `at`, and how much of it was told.
    hits: Vec<Hit>,
    told: usize,
    /// Behind the place that was told last.
    last: usize,
    /// What was found in each run.
    found: [Vec<Hit>; RUNS],
}

impl<'a> Search<'a> {
    /// A search from `at` on, for patterns that begin there or later.
    pub(crate) fn new(table: &'a Table, bytes: &'a [u8], at: usize) -> Self {
        Self {
            table,
            bytes,
            at,
            state: 0,
            run: 0,
            hits: Vec::new(),
            told: 0,
            last: 0,
            found: Default::default(),
        }
    }

    /// The next place.
    pub(crate) fn next(&mut self) -> Option<Hit> {
        while self.told == self.hits.len() {
            if self.at >= self.bytes.len() {
                return None;
            }
            self.hits.clear();
            self.told = 0;
            self.go_on();
        }
        let hit = self.hits.get(self.told).copied()?;
        self.told += 1;
        self.last = hit.end;
        Some(hit)
    }

    /// The next place behind `at`, where no pattern can begin before it and end behind it.
    pub(crate) fn next_from(&mut self, at: usize) -> Option<Hit> {
        if at > self.at {
            if self.at - self.last > RUNS / 2 * self.run {
                // Half of the last runs or more are skipped.
                self.run /= 4;
            }
            (self.at, self.state) = (at, 0);
            self.told = self.hits.len();
        }
        while self.hits.get(self.told).is_some_and(|hit| hit.end <= at) {
            self.told += 1;
        }
        self.next()
    }

    /// The first match, of those that begin first: its start, and the end of one of them.
    pub(crate) fn first(mut self, longest: usize) -> Option<(usize, usize)> {
        let Hit { end, mut state } = self.next()?;
        let mut start = end - self.table.longest_end(state);
        // Another may begin before, and end later.
        let mut at = end;
        while at < self.bytes.len().min(start + longest - 1) {
            state = self.table.step(state, self.bytes[at]);
            at += 1;
            if state >= self.table.matching() {
                start = start.min(at - self.table.longest_end(state));
            }
        }
        Some((start, end))
    }

    /// Searches on, a bit.
    fn go_on(&mut self) {
        let left = self.bytes.len() - self.at;
        if self.run < SHORTEST_RUN || left < RUNS * SHORTEST_RUN {
            self.run = self.run.max(SHORTEST_RUN);
            self.near(left.min(NEAR));
        } else {
            let run = self.run.min(left / RUNS) & !(BLOCK - 1);
            self.window(run);
            self.run = (2 * self.run).min(LONGEST_RUN);
        }
    }

    /// Searches bytes one by one, up to the next match.
    fn near(&mut self, count: usize) {
        for byte in &self.bytes[self.at..self.at + count] {
            self.state = self.table.step(self.state, *byte);
            self.at += 1;
            if self.state >= self.table.matching() {
                self.hits.push(Hit {
                    end: self.at,
                    state: self.state,
                });
                // It was near.
                self.run = 0;
                return;
            }
        }
    }

    /// Searches runs of `run` bytes, a multiple of blocks.
    fn window(&mut self, run: usize) {
        let (rows, classes) = (self.table.rows(), self.table.classes());
        let matching = self.table.matching();
        let mut runs = self.bytes[self.at..self.at + RUNS * run].chunks_exact(run);
        let runs: [&[[u8; BLOCK]]; RUNS] =
            std::array::from_fn(|_| runs.next().map_or(&[][..], |run| run.as_chunks().0));
        let mut states = [0; RUNS];
        states[0] = self.state;
        for block in 0..run / BLOCK {
            let blocks: [&[u8; BLOCK]; RUNS] = std::array::from_fn(|run| &runs[run][block]);
            let before = states;
            let mut top = 0;
            for at in 0..BLOCK {
                for run in 0..RUNS {
                    let class = classes[usize::from(blocks[run][at])];
                    states[run] = rows[states[run] as usize + usize::from(class)];
                    top = top.max(states[run]);
                }
            }
            if top >= matching {
                for index in 0..RUNS {
                    let mut state = before[index];
                    let from = self.at + index * run + block * BLOCK;
                    for (byte, end) in blocks[index].iter().zip(from + 1..) {
                        state = self.table.step(state, *byte);
                        if state >= matching {
                            self.found[index].push(Hit { end, state });
                        }
                    }
                }
            }
        }
        self.state = states[0];
        self.at += run;
        self.hits.append(&mut self.found[0]);
        for index in 1..RUNS {
            self.join(run, index, states[index]);
        }
    }

    /// Adds a run to those before it: `last` is the state behind it, if nothing lay before it.
    fn join(&mut self, run: usize, index: usize, last: u32) {
        let end = self.at + run;
        let mut alone = 0;
        while alone != self.state && self.at < end {
            let byte = self.bytes[self.at];
            alone = self.table.step(alone, byte);
            self.state = self.table.step(self.state, byte);
            self.at += 1;
            if self.state >= self.table.matching() {
                self.hits.push(Hit {
                    end: self.at,
                    state: self.state,
                });
            }
        }
        let at = self.at;
        self.hits
            .extend(self.found[index].drain(..).filter(|hit| hit.end > at));
        if alone == self.state {
            self.state = last;
        }
        self.at = end;
    }
}

impl Table {
    /// The state behind a byte.
    #[inline]
    fn step(&self, state: u32, byte: u8) -> u32 {
        self.rows()[state as usize + usize::from(self.classes()[usize::from(byte)])]
    }

    /// All occurrences that end behind `from` or later, as far as they fit; those that end together stay together.
    ///
    /// # Errors
    /// BAD_ARGUMENT where the area is too small for those that end together.
    pub(crate) fn all(
        &self,
        bytes: &[u8],
        resume: usize,
        longest: usize,
        records: &mut RecordWriter<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), u32> {
        let at = resume.saturating_sub(1).min(bytes.len());
        let mut search = Search::new(self, bytes, at);
        search.run = LONGEST_RUN;
        search.state = bytes[at.saturating_sub(longest)..at]
            .iter()
            .fold(0, |state, byte| self.step(state, *byte));
        while let Some(hit) = search.next() {
            let ends = self.ends(hit.state);
            if ends.len() > records.capacity() {
                return Err(fault::BAD_ARGUMENT);
            }
            if records.len() as usize + ends.len() > records.capacity() {
                outcome.flags |= completion::FLAG_OVERFLOW;
                outcome.results[stream::RESULT_RESUME] = word(hit.end)?;
                break;
            }
            let end = word(hit.end)?;
            for [pattern, length] in ends {
                records.push(end - length, *pattern);
            }
        }
        outcome.results[stream::RESULT_MATCHES] = records.len();
        Ok(())
    }
}
