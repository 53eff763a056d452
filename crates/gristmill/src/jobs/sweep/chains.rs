//! The matches of a regex in a whole file, from what workers found in each chunk.
//!
//! A search of a chunk begins with its first byte. A search of the whole file comes from the bytes before: if a match of
//! those reaches into the chunk, the search goes on behind it, and where that lies within one of the worker's matches,
//! other matches may follow. It finds the same as the worker from the first place on at which both stand between two
//! matches, and at which both or neither had a match end.
//!
//! Where more bytes than the longest match may have do not decide what begins at a place, a regex is searched for byte by
//! byte, without the workers ([`StreamSearch`]), until all is decided again.

use super::error::SweepErrorKind;
use super::opcode::OfRegex;
use gristmill_patterns::{StreamSearch, StreamState};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How far the search for one regex has come in a file.
#[derive(Debug)]
enum Search {
    /// In the workers' chunks.
    Chunks(Chain),
    /// Byte by byte.
    Stream(Box<StreamSearch>),
}

/// How far the search for one regex has come in the workers' chunks.
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
#[derive(Debug)]
pub(super) struct Chains {
    searches: BTreeMap<u32, Search>,
    /// Regexes that are no longer searched for.
    given_up: BTreeSet<u32>,
    /// Where the first search begins.
    first: u64,
    /// Bytes of the longest match that is told.
    most: u64,
}

/// A regex that is no longer searched for from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GivenUp {
    pub index: u32,
    pub end: End,
}

/// From where on a regex is no longer searched for, and why: all matches that begin before are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub from: u64,
    pub why: SweepErrorKind,
}

impl End {
    /// The match that begins there has more than `most` bytes.
    fn too_long(from: u64, max_match: u64) -> Self {
        Self {
            from,
            why: SweepErrorKind::LongMatch { max_match },
        }
    }

    /// Of a search for matches of at most `max_match` bytes that came to this state, if it ends it before the text ends.
    fn of(state: StreamState, max_match: u64) -> Result<(), Self> {
        match state {
            StreamState::Open | StreamState::Ended => Ok(()),
            StreamState::TooLong { from } => Err(Self::too_long(from, max_match)),
            StreamState::TooManySteps { from } => Err(Self {
                from,
                why: SweepErrorKind::ManySteps { max_match },
            }),
        }
    }
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
    /// A search for a regex byte by byte, from `at` on, where the last match ended at `before`.
    fn stream(
        &mut self,
        index: u32,
        at: u64,
        before: Option<u64>,
        most: u64,
    ) -> Option<StreamSearch>;
    /// Goes on with such a search in what is there of the file, which ends there if it `ends`, and takes its matches.
    fn read(&mut self, index: u32, stream: &mut StreamSearch, ends: bool) -> StreamState;
}

impl Chains {
    /// Of a file that is read from before this place on, for matches of at most `most` bytes.
    pub fn new(first: u64, most: u64) -> Self {
        Self {
            searches: BTreeMap::new(),
            given_up: BTreeSet::new(),
            first,
            most,
        }
    }

    /// Takes what a worker found in a chunk. Tells which regexes are given up.
    pub fn chunk(
        &mut self,
        chunk: Range<u64>,
        told: Vec<OfRegex>,
        searching: &mut impl Searching,
    ) -> Vec<GivenUp> {
        let mut given_up = Vec::new();
        let others: Vec<u32> = self
            .searches
            .keys()
            .copied()
            .filter(|index| told.binary_search_by_key(index, |one| one.index).is_err())
            .collect();
        let others = others.into_iter().map(|index| OfRegex {
            index,
            ..OfRegex::default()
        });
        for one in told.into_iter().chain(others) {
            let index = one.index;
            if self.given_up.contains(&index) {
                continue;
            }
            let begin = Search::Chunks(Chain {
                at: chunk.start.max(self.first),
                before: None,
                retry: 0,
            });
            let search = self.searches.remove(&index).unwrap_or(begin);
            match search.chunk(&chunk, &one, self.most, searching) {
                Ok(Some(search)) => {
                    self.searches.insert(index, search);
                }
                Ok(None) => {}
                Err(end) => {
                    self.given_up.insert(index);
                    given_up.push(GivenUp { index, end });
                }
            }
        }
        given_up
    }

    /// The file has ended, with `end` bytes: finds the matches that are left. Tells which regexes are given up.
    pub fn end(&mut self, end: u64, searching: &mut impl Searching) -> Vec<GivenUp> {
        let searches = std::mem::take(&mut self.searches).into_iter();
        let given_up = searches.filter_map(|(index, search)| {
            let end = search.end(index, end, self.most, searching).err()?;
            Some(GivenUp { index, end })
        });
        given_up.collect()
    }

    /// The first place from which on matches are not known, in a file of which `end` bytes were read.
    pub fn known(&self, end: u64) -> u64 {
        let searches = self.searches.values().map(|search| match search {
            Search::Chunks(chain) => chain.at,
            Search::Stream(stream) => stream.needed(),
        });
        searches.min().map_or(end, |at| at.min(end))
    }

    /// The first place from `at` on, before those that are not known, at which a match may begin that is too long.
    pub fn watched(&self, at: u64) -> Option<u64> {
        let searches = self.searches.values().filter_map(|search| match search {
            Search::Chunks(_) => None,
            Search::Stream(stream) => stream.watched(at),
        });
        searches.min()
    }
}

impl Search {
    /// Goes on through a chunk, in which a worker found `told`. `None` if the search stands where the next chunk begins.
    fn chunk(
        self,
        chunk: &Range<u64>,
        told: &OfRegex,
        most: u64,
        searching: &mut impl Searching,
    ) -> Result<Option<Self>, End> {
        let index = told.index;
        let mut stream = match self {
            Self::Stream(stream) => stream,
            Self::Chunks(mut chain) => {
                chain.follow(chunk, told, most, searching)?;
                if chunk.end.saturating_sub(chain.at) <= most {
                    let is_behind = chain.at != chunk.end || chain.before == Some(chunk.end);
                    return Ok(is_behind.then_some(Self::Chunks(chain)));
                }
                let stream = searching.stream(index, chain.at, chain.before, most);
                let why = SweepErrorKind::UnknownLength { max_match: most };
                Box::new(stream.ok_or(End {
                    from: chain.at,
                    why,
                })?)
            }
        };
        End::of(searching.read(index, &mut stream, false), most)?;
        Ok(Some(match stream.rest() {
            Some((at, before)) => Self::Chunks(Chain {
                at,
                before,
                retry: 0,
            }),
            None => Self::Stream(stream),
        }))
    }

    /// Finds the matches that are left in a file of `end` bytes.
    fn end(
        self,
        index: u32,
        end: u64,
        most: u64,
        searching: &mut impl Searching,
    ) -> Result<(), End> {
        match self {
            Self::Chunks(mut chain) => {
                // An empty match may begin at the very end.
                while let Some(found) = searching.next(index, chain.at, end + 1) {
                    chain.take(index, found, most, searching)?;
                }
                Ok(())
            }
            Self::Stream(mut stream) => End::of(searching.read(index, &mut stream, true), most),
        }
    }
}

impl Chain {
    /// Takes a match: start and end.
    fn take(
        &mut self,
        index: u32,
        (start, end): (u64, u64),
        most: u64,
        searching: &mut impl Searching,
    ) -> Result<(), End> {
        // As in any search for all matches, an empty one directly behind another is none.
        if start == end && self.before == Some(start) {
            self.at = end + 1;
            return Ok(());
        }
        if end - start > most {
            return Err(End::too_long(start, most));
        }
        searching.found(index, start, end);
        self.before = Some(end);
        self.at = end;
        Ok(())
    }

    /// Goes on through a chunk, in which a worker found `told`.
    fn follow(
        &mut self,
        chunk: &Range<u64>,
        told: &OfRegex,
        most: u64,
        searching: &mut impl Searching,
    ) -> Result<(), End> {
        let mut certain = None;
        while self.at < chunk.start || !self.joins(chunk, told, most, searching)? {
            let length = chunk.end.saturating_sub(self.at);
            if self.at >= chunk.end || (chunk.end < self.retry && length <= most) {
                return Ok(());
            }
            let limit = *certain.get_or_insert_with(|| searching.certain(told.index, self.at));
            match searching.next(told.index, self.at, limit) {
                Some(found) => self.take(told.index, found, most, searching)?,
                None if limit > self.at => self.at = limit,
                None => {
                    // Searched again when there is twice as much, so that no byte is read often.
                    self.retry = chunk.end + length;
                    return Ok(());
                }
            }
        }
        self.retry = 0;
        Ok(())
    }

    /// Takes the worker's matches from here on, if both searches stand between two matches at this place.
    ///
    /// They don't where the place lies within one of the worker's matches, and neither do they where one ends that the search
    /// of the file does not have: an empty match directly behind another is none, so that the worker tells none here, and the
    /// file may have one. The search of the file then takes it, or another that begins later, or learns that there is none
    /// up to a later place; each time, this place is a later one or one where a match of the file ends, too.
    fn joins(
        &mut self,
        chunk: &Range<u64>,
        told: &OfRegex,
        most: u64,
        searching: &mut impl Searching,
    ) -> Result<bool, End> {
        let first = told.matches.partition_point(|found| found.0 < self.at);
        let within = first
            .checked_sub(1)
            .and_then(|last| told.matches.get(last))
            .is_some_and(|last| {
                let ends_here = last.1 == self.at && last.0 < last.1;
                last.1 > self.at || (ends_here && self.before != Some(self.at))
            });
        if within {
            return Ok(false);
        }
        for &(start, end) in told.matches.get(first..).unwrap_or_default() {
            if start >= self.at {
                self.take(told.index, (start, end), most, searching)?;
            }
        }
        self.at = self.at.max(told.open.unwrap_or(chunk.end));
        Ok(true)
    }
}
