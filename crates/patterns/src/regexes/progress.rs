//! How far the search for one regex has come in a text, and what it works in.

use regex_automata::hybrid::dfa;
use regex_automata::meta;

/// Bytes that tries may read in vain, besides as many as lie before the place: then tries cost more than a search.
pub(super) const VAIN: usize = 1 << 16;

/// Where a match may begin that has a literal at a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Starts {
    pub first: usize,
    pub last: usize,
    /// Where the literal is, or the first of some.
    pub place: usize,
    /// Whether there is one place alone.
    pub single: bool,
}

/// The memory that the search for one regex works in, made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub regex: Option<meta::Cache>,
    pub tries: Option<dfa::Cache>,
    pub rest: Option<dfa::Cache>,
    pub open: Option<dfa::Cache>,
}

impl Memory {
    /// Bytes that it takes.
    pub fn usage(&self) -> usize {
        let dfas = [&self.tries, &self.rest, &self.open];
        let dfas = dfas.into_iter().flatten();
        let regex = self.regex.as_ref().map_or(0, meta::Cache::memory_usage);
        regex + dfas.map(dfa::Cache::memory_usage).sum::<usize>()
    }
}

/// Whether a match may go on from a literal.
#[derive(Debug, Clone, Copy)]
pub(super) enum GoesOn {
    No,
    /// With where it ends, if that is known.
    Perhaps(Option<usize>),
}

/// How far the search for one regex has come in a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// All matches that begin before this are known, and none that is yet to come begins there.
    pub at: usize,
    /// No match that is wanted and certain begins here or later.
    pub limit: usize,
    /// Whether it is known which matches are certain.
    pub settled: bool,
    /// How often something was tried before that.
    pub early: u8,
    /// Bytes that tries have read in vain.
    pub vain: usize,
    /// Bytes that were read in vain behind literals.
    pub vain_rest: usize,
    /// Whether tries have turned out to cost too much in this text.
    pub search: bool,
    /// Whether no match is left.
    pub done: bool,
}

impl Progress {
    /// A search for the matches that begin from `at` on and before `limit`.
    pub fn new(at: usize, limit: usize) -> Self {
        Self {
            at,
            limit,
            settled: false,
            early: 0,
            vain: 0,
            vain_rest: 0,
            search: false,
            done: false,
        }
    }

    /// From where on matches that begin before `limit`, where the part does, are uncertain, if any are.
    pub fn open(&self, limit: usize) -> Option<usize> {
        let from = self.limit.max(self.at);
        (self.settled && from < limit).then_some(from)
    }
}
