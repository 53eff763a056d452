//! The search with an Aho-Corasick [`Table`], in several runs of a chunk side by side.
//!
//! Every step of a search depends on the one before it: the state selects the load that gives the next state, and so
//! on. So the text is cut into [`RUNS`] consecutive *runs*, and the search advances by one step in each of them in
//! turn. All runs but the first begin as if no text came before them, so they miss patterns that begin in the run
//! before. Once that run's last state is known, the search repeats this run from that state until it reaches the same
//! state as the first time; mostly that takes a few bytes.
//!
//! Runs are long where matches are rare. A caller that continues behind the line of a match may skip much of what was
//! searched. Then runs become shorter, and where most lines match, bytes are searched one by one.

use super::automaton::Table;
use super::slot::{word, Cancel, StreamSlot, LOOK_BYTES};
use gristmill_protocol::{fault, stream::ScanResults};
use gristmill_ring::RecordWriter;

/// The number of runs that are searched together.
const RUNS: usize = 8;

/// How many bytes of a run are searched between two checks for matches.
const BLOCK: usize = 8;

/// The number of blocks in a short, a longer and the longest run. All runs together fit into the nearest cache. With
/// shorter runs, too much would be searched twice.
const SHORT: usize = 8;
const LONGER: usize = 32;
const LONGEST: usize = 128;

/// The text of the runs that are searched together, with `BLOCKS` blocks in each.
type Window<const BLOCKS: usize> = [[[u8; BLOCK]; BLOCKS]; RUNS];

/// How many bytes are searched one by one before runs are tried.
const NEAR: usize = 128;

/// If there are fewer bytes than this for each match, bytes are searched one by one, since much of a run would be
/// skipped.
const DENSE: usize = 48;

/// If more bytes than this were searched behind a match and then skipped, runs become shorter.
const SKIPPED: usize = 128;

/// A place where patterns end: the offset behind the last byte, and the state there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) end: usize,
    state: u32,
}

/// A search through bytes for all places where patterns end.
pub(super) struct Search<'a> {
    table: &'a Table,
    bytes: &'a [u8],
    /// How far the search has come, and the state there.
    at: usize,
    state: u32,
    /// Whether the caller continues behind the line of a match ([`Search::next_from`]).
    skips: bool,
    /// How long the next runs are. At 0 there are none, and the next bytes are searched one by one first.
    level: u8,
    /// The places found before `at`, and how many of them were returned.
    hits: Vec<Hit>,
    told: usize,
    /// The offset behind the place that was returned last.
    last: usize,
    /// The places found in each run.
    found: [Vec<Hit>; RUNS],
    /// The flag that ends the search early, and the position at which it is checked next.
    cancel: Cancel<'a>,
    look: usize,
}

/// Passes over blocks in which no pattern ends. Returns the first block in which one does, or `BLOCKS` if there is
/// none. The states are left as they are at the beginning of that block.
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
        // The highest bit of `ends` says whether a pattern ends in any state, since state numbers lie below that bit.
        // Computing a maximum instead would take a branch.
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
    /// Begins a search at `at`, for patterns that begin there or later.
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

    /// The same search, which finds nothing more once it is cancelled.
    pub(super) fn until(mut self, cancel: Cancel<'a>) -> Self {
        self.cancel = cancel;
        self
    }

    /// Returns the next place.
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
                // The rest is shorter than a window of this level, so shorter runs are tried.
                self.level -= 1;
            } else if let Some(hit) = self.near(NEAR) {
                self.last = hit.end;
                return Some(hit);
            } else {
                self.level = 1;
            }
        }
    }

    /// Returns the next place behind `at`. No pattern may begin before `at` and end behind it.
    pub(super) fn next_from(&mut self, at: usize) -> Option<Hit> {
        if at > self.at {
            // If much of what was searched is skipped, runs become shorter.
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

    /// Finds a match such that none begins earlier. Returns its start and end.
    pub(super) fn first(mut self) -> Option<(usize, usize)> {
        let Hit { end, mut state } = self.next()?;
        let mut start = end - self.table.max_match_len(state);
        // Another match may begin earlier and end later.
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

    /// Searches bytes one by one, at most `count` of them, up to the first place.
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

    /// Searches [`RUNS`] runs of `BLOCKS` blocks each. Returns false without searching if fewer bytes are left.
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

    /// Appends the results of a run to those of the runs before it. `last` is the run's last state if no text came
    /// before it.
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
    /// The state after a byte.
    #[inline]
    fn step(&self, state: u32, byte: u8) -> u32 {
        self.rows()[state as usize + usize::from(self.byte_classes()[usize::from(byte)])]
    }

    /// Records all occurrences that end at `resume` or later, as many as fit. Occurrences that end at the same byte are
    /// recorded together or not at all. Returns whether some did not fit.
    ///
    /// # Errors
    /// AREA_TOO_SMALL if the area is too small for occurrences that end at the same byte.
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
