//! Searches with a [`Table`].
//!
//! Every step of a search waits for the one before it: the state, the load of the next, and so on. So the text is cut into
//! [`RUNS`] *runs*, one behind the other, and a step is made in each in turn. All but the first begin as if nothing lay
//! before them, and so miss patterns that begin in the run before. Once that run's last state is known the search goes over
//! the run again from there, until it comes into the same state as before; mostly that takes a few bytes.
//!
//! Runs are long where matches are rare. A caller that goes on behind the line of a match may skip much of what was
//! searched: then runs become shorter, and where most lines match, bytes are searched one by one.

use super::automaton::Table;
use super::{word, Cancel, StreamSlot, LOOK_BYTES};
use gristmill_protocol::{fault, stream::ScanResults};
use gristmill_ring::RecordWriter;

/// Runs that are searched together.
const RUNS: usize = 8;

/// Bytes of a run that are searched before the next look at what was found.
const BLOCK: usize = 8;

/// Blocks of a short run, a longer and the longest: all runs together stay in the nearest cache. Of shorter ones too much
/// would be searched twice.
const SHORT: usize = 8;
const LONGER: usize = 32;
const LONGEST: usize = 128;

/// As many runs of `BLOCKS` blocks as are searched together.
type Window<const BLOCKS: usize> = [[[u8; BLOCK]; BLOCKS]; RUNS];

/// Bytes that are searched one by one before runs are tried.
const NEAR: usize = 128;

/// Bytes for each match, below which bytes are searched one by one: much of a run would be skipped.
const DENSE: usize = 48;

/// Bytes searched behind a match and then skipped, above which runs become shorter.
const SKIPPED: usize = 128;

/// Where patterns end: behind which byte, and the state there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) end: usize,
    state: u32,
}

/// A search through bytes for all places where patterns end.
pub(super) struct Search<'a> {
    table: &'a Table,
    bytes: &'a [u8],
    /// How far it has come, and the state there.
    at: usize,
    state: u32,
    /// Whether the caller goes on behind the line of a match ([`Search::next_from`]).
    skips: bool,
    /// How long the next runs are; at 0 there are none and what is near comes first.
    level: u8,
    /// What was found before `at`, and how much of it was told.
    hits: Vec<Hit>,
    told: usize,
    /// Behind the place that was told last.
    last: usize,
    /// What was found in each run.
    found: [Vec<Hit>; RUNS],
    /// What ends the search early, and the position at which it is asked next.
    cancel: Cancel<'a>,
    look: usize,
}

/// Passes over blocks in which no pattern ends: to the first in which one does, or behind the last. The states are those in
/// front of it.
#[inline(never)]
fn pass<const BLOCKS: usize>(
    table: &Table,
    window: &Window<BLOCKS>,
    from: usize,
    states: &mut [u32; RUNS],
) -> usize {
    let (rows, classes) = (table.rows(), table.byte_classes());
    let min_match_state = table.min_match_state();
    let mut now = *states;
    for block in from..BLOCKS {
        // Its highest bit says whether a pattern ends in any state, as states are below it; a maximum would be a branch.
        let mut ends = 0;
        for at in 0..BLOCK {
            for run in 0..RUNS {
                let class = classes[usize::from(window[run][block][at])];
                now[run] = rows[now[run] as usize + usize::from(class)];
                ends |= (min_match_state - 1).wrapping_sub(now[run]);
            }
        }
        if ends >> 31 != 0 {
            return block;
        }
        *states = now;
    }
    BLOCKS
}

impl<'a> Search<'a> {
    /// A search from `at` on, for patterns that begin there or later.
    pub(super) fn new(table: &'a Table, bytes: &'a [u8], at: usize) -> Self {
        Self {
            table,
            bytes,
            at,
            state: 0,
            skips: true,
            level: 0,
            hits: Vec::new(),
            told: 0,
            last: at,
            found: Default::default(),
            cancel: Cancel::default(),
            look: at.saturating_add(LOOK_BYTES),
        }
    }

    /// The same, which finds no more once it is cancelled.
    pub(super) fn until(mut self, cancel: Cancel<'a>) -> Self {
        self.cancel = cancel;
        self
    }

    /// The next place.
    pub(super) fn next(&mut self) -> Option<Hit> {
        loop {
            if let Some(hit) = self.hits.get(self.told).copied() {
                self.told += 1;
                self.last = hit.end;
                return Some(hit);
            }
            if self.at >= self.bytes.len() {
                return None;
            }
            if self.at >= self.look {
                if self.cancel.is_cancelled() {
                    return None;
                }
                self.look = self.at.saturating_add(LOOK_BYTES);
            }
            self.hits.clear();
            self.told = 0;
            let from = self.at;
            let searched = match self.level {
                0 => false,
                1 => self.window::<SHORT>(),
                2 => self.window::<LONGER>(),
                _ => self.window::<LONGEST>(),
            };
            let dense = self.hits.len() > (self.at - from) / DENSE;
            if searched && dense && self.skips {
                self.level = 0;
            } else if searched {
                self.level = (self.level + 1).min(3);
            } else if self.level > 1 {
                // The rest is shorter.
                self.level -= 1;
            } else if let Some(hit) = self.near(NEAR) {
                self.last = hit.end;
                return Some(hit);
            } else {
                self.level = 1;
            }
        }
    }

    /// The next place behind `at`, where no pattern can begin before it and end behind it.
    pub(super) fn next_from(&mut self, at: usize) -> Option<Hit> {
        if at > self.at {
            // Much of what was searched is skipped.
            if self.at - self.last > SKIPPED {
                self.level = self.level.saturating_sub(2);
            }
            (self.at, self.state) = (at, 0);
            self.told = self.hits.len();
        }
        while self.hits.get(self.told).is_some_and(|hit| hit.end <= at) {
            self.told += 1;
        }
        self.next()
    }

    /// A match that begins as early as any: its start and end.
    pub(super) fn first(mut self) -> Option<(usize, usize)> {
        let Hit { end, mut state } = self.next()?;
        let mut start = end - self.table.max_match_len(state);
        // Another may begin before, and end later.
        let mut at = end;
        while at < self.bytes.len().min(start + self.table.longest() - 1) {
            state = self.table.step(state, self.bytes[at]);
            at += 1;
            if state >= self.table.min_match_state() {
                start = start.min(at - self.table.max_match_len(state));
            }
        }
        Some((start, end))
    }

    /// Searches bytes one by one, at most `count` and up to the first place.
    fn near(&mut self, count: usize) -> Option<Hit> {
        let mut state = self.state;
        for (byte, end) in self.bytes[self.at..].iter().take(count).zip(self.at + 1..) {
            state = self.table.step(state, *byte);
            if state >= self.table.min_match_state() {
                (self.at, self.state) = (end, state);
                return Some(Hit { end, state });
            }
        }
        self.state = state;
        self.at = self.bytes.len().min(self.at + count);
        None
    }

    /// Searches [`RUNS`] runs of `BLOCKS` blocks each; false, and nothing searched, where fewer bytes are left.
    fn window<const BLOCKS: usize>(&mut self) -> bool {
        let (blocks, _) = self.bytes[self.at..].as_chunks::<BLOCK>();
        let Some(window) = blocks.as_chunks::<BLOCKS>().0.first_chunk::<RUNS>() else {
            return false;
        };
        let run = BLOCKS * BLOCK;
        let mut states = [0; RUNS];
        states[0] = self.state;
        let mut block = 0;
        loop {
            block = pass(self.table, window, block, &mut states);
            if block == BLOCKS {
                break;
            }
            for index in 0..RUNS {
                let from = self.at + index * run + block * BLOCK;
                for (byte, end) in window[index][block].iter().zip(from + 1..) {
                    states[index] = self.table.step(states[index], *byte);
                    if states[index] >= self.table.min_match_state() {
                        let state = states[index];
                        self.found[index].push(Hit { end, state });
                    }
                }
            }
            block += 1;
        }
        self.state = states[0];
        self.at += run;
        self.hits.append(&mut self.found[0]);
        for (index, last) in states.into_iter().enumerate().skip(1) {
            self.join(run, index, last);
        }
        true
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
            if self.state >= self.table.min_match_state() {
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
        self.rows()[state as usize + usize::from(self.byte_classes()[usize::from(byte)])]
    }

    /// Records all occurrences that end at `resume` or later, as far as they fit; those that end together stay together.
    /// Returns whether some did not fit.
    ///
    /// # Errors
    /// AREA_TOO_SMALL where the area is too small for those that end together.
    pub(super) fn all(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        results: &mut ScanResults,
    ) -> Result<bool, u32> {
        let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
        let at = resume.saturating_sub(1).min(bytes.len());
        let mut search = Search::new(self, bytes, at).until(slot.cancel);
        search.level = 1;
        search.skips = false;
        search.state = bytes[at.saturating_sub(self.longest())..at]
            .iter()
            .fold(0, |state, byte| self.step(state, *byte));
        let mut overflowed = false;
        while let Some(hit) = search.next() {
            let (ends, end) = (self.ends(hit.state), word(hit.end)?);
            if ends.len() > records.capacity() {
                return Err(fault::AREA_TOO_SMALL);
            }
            if records.len() as usize + ends.len() > records.capacity() {
                results.resume = end;
                overflowed = true;
                break;
            }
            for [pattern, length] in ends {
                records.push(end - length, *pattern);
            }
        }
        results.matches = records.len();
        Ok(overflowed)
    }
}
