//! The matches of a regex in a whole file, from what workers found in each chunk.
//!
//! A search of a chunk begins with its first byte. A search of the whole file comes from the bytes before: if a match of
//! those reaches into the chunk, the search goes on behind it, and where that lies within one of the worker's matches,
//! other matches may follow. It finds the same as the worker from the first place on at which both stand between two
//! matches.

use super::opcode::OfRegex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How far the search for one regex has come in a file.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// All matches that begin before this are known.
    at: u64,
    /// Where the last match ended.
    before: Option<u64>,
    /// The length of the file from which on searching again is worth it.
    retry: u64,
}

/// The regexes of a file whose search does not stand where the next chunk begins.
#[derive(Debug, Default)]
pub(super) struct Chains {
    chains: BTreeMap<u32, Chain>,
    /// Regexes that are no longer searched for.
    given_up: BTreeSet<u32>,
    /// Where the first search begins.
    first: u64,
}

/// A regex that is no longer searched for from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub index: u32,
    pub from: u64,
}

/// What chains are given, and what they give.
pub(super) trait Searching {
    /// From where on the matches of a regex depend on bytes of the file that are not there yet; those before, from `at`
    /// on, are certain.
    fn certain(&mut self, index: u32, at: u64) -> u64;
    /// The first match of a regex that begins from `at` on and before `limit`: start and end.
    fn next(&mut self, index: u32, at: u64, limit: u64) -> Option<(u64, u64)>;
    /// A match of the file.
    fn found(&mut self, index: u32, start: u64, end: u64);
}

impl Chains {
    /// Of a file that is read from before this place on.
    pub fn from(first: u64) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// Takes what a worker found in a chunk. Regexes that need more than `most` bytes for one match are given up.
    pub fn chunk(
        &mut self,
        chunk: Range<u64>,
        told: Vec<OfRegex>,
        most: u64,
        searching: &mut impl Searching,
    ) -> Vec<GivenUp> {
        let mut given_up = Vec::new();
        let others: Vec<u32> = self
            .chains
            .keys()
            .copied()
            .filter(|index| told.binary_search_by_key(index, |one| one.index).is_err())
            .collect();
        let others = others.into_iter().map(|index| OfRegex {
            index,
            ..OfRegex::default()
        });
        for one in told.into_iter().chain(others) {
            if self.given_up.contains(&one.index) {
                continue;
            }
            let mut chain = self.chains.remove(&one.index).unwrap_or(Chain {
                at: chunk.start.max(self.first),
                before: None,
                retry: 0,
            });
            chain.follow(&chunk, &one, most, searching);
            if chunk.end.saturating_sub(chain.at) > most {
                self.given_up.insert(one.index);
                given_up.push(GivenUp {
                    index: one.index,
                    from: chain.at,
                });
            } else if chain.at != chunk.end || chain.before == Some(chunk.end) {
                self.chains.insert(one.index, chain);
            }
        }
        given_up
    }

    /// The file has ended, with `end` bytes: finds the matches that are left.
    pub fn end(&mut self, end: u64, searching: &mut impl Searching) {
        for (index, mut chain) in std::mem::take(&mut self.chains) {
            // An empty match may begin at the very end.
            while let Some((start, end)) = searching.next(index, chain.at, end + 1) {
                chain.take(index, start, end, searching);
            }
        }
    }

    /// The first place from which on matches are not known, in a file of which `end` bytes were read.
    pub fn known(&self, end: u64) -> u64 {
        let chains = self.chains.values().map(|chain| chain.at);
        chains.min().map_or(end, |at| at.min(end))
    }
}

impl Chain {
    /// Takes a match.
    fn take(&mut self, index: u32, start: u64, end: u64, searching: &mut impl Searching) {
        // As in any search for all matches, an empty one directly behind another is none.
        if start == end && self.before == Some(start) {
            self.at = end + 1;
            return;
        }
        searching.found(index, start, end);
        self.before = Some(end);
        self.at = end;
    }

    /// Goes on through a chunk, in which a worker found `told`.
    fn follow(
        &mut self,
        chunk: &Range<u64>,
        told: &OfRegex,
        most: u64,
        searching: &mut impl Searching,
    ) {
        let mut certain = None;
        while self.at < chunk.start || !self.joins(chunk, told, searching) {
            let length = chunk.end.saturating_sub(self.at);
            if self.at >= chunk.end || (chunk.end < self.retry && length <= most) {
                return;
            }
            let limit = *certain.get_or_insert_with(|| searching.certain(told.index, self.at));
            match searching.next(told.index, self.at, limit) {
                Some((start, end)) => self.take(told.index, start, end, searching),
                None if limit > self.at => self.at = limit,
                None => {
                    // Searched again when there is twice as much, so that no byte is read often.
                    self.retry = chunk.end + length;
                    return;
                }
            }
        }
        self.retry = 0;
    }

    /// Takes the worker's matches from here on, if this place does not lie within one of them.
    fn joins(
        &mut self,
        chunk: &Range<u64>,
        told: &OfRegex,
        searching: &mut impl Searching,
    ) -> bool {
        let first = told.matches.partition_point(|found| found.0 < self.at);
        let within = first
            .checked_sub(1)
            .and_then(|last| told.matches.get(last))
            .is_some_and(|last| last.1 > self.at);
        if within {
            return false;
        }
        for &(start, end) in told.matches.get(first..).unwrap_or_default() {
            if start >= self.at {
                self.take(told.index, start, end, searching);
            }
        }
        self.at = self.at.max(told.open.unwrap_or(chunk.end));
        true
    }
}
