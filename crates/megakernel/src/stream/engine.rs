//! The search engines of SCAN. The set of patterns determines which one is used:
//!
//! - one byte: `memchr`; one pattern: `memmem`;
//! - few patterns, in a set for lines: `aho-corasick`'s packed searcher (Teddy), which examines 16 or 32 bytes at a
//!   time; if case is ignored, it searches for the first bytes of each pattern in every combination of cases, but a
//!   single pattern is left to a regex, which chooses rare bytes wherever they are in the pattern;
//! - more patterns, or a set for all occurrences: a [`Table`], with many runs searched side by side (`runs.rs`);
//! - many patterns, where that is expected to be faster than a table, and more than fit into a table of the allowed size
//!   ([`super::DEFAULT_TABLE_BYTES`] by default): a filter over sampled q-grams ([`Sampled`]);
//! - patterns of which too many hold each other for that, and that do not fit into a table: `aho-corasick`'s contiguous
//!   NFA, which is many times slower;
//! - regexes, in a set for lines: a [`Regex`], which finds lines.

use super::automaton::Table;
use super::mode::ScanMode;
use super::regex::Regex;
use super::runs::Search;
use super::sampled::Sampled;
use crate::KernelError;
use aho_corasick::{packed, AhoCorasick, AhoCorasickKind, MatchKind, StartKind};
use gristmill_patterns::{Case, LineMatcher, LineSettings};
use gristmill_protocol::PipelineError;
use memchr::{memchr, memchr2, memmem};
use std::collections::BTreeSet;

/// The largest number of patterns for which the packed searcher is mostly faster than the table. It accepts no more
/// than that.
const PACKED_PATTERNS: usize = 64;

/// The same limit if some pattern is shorter than [`PACKED_PREFIX`]: most candidates that the searcher then stops at
/// are no match.
const PACKED_SHORT_PATTERNS: usize = 24;

/// The number of first bytes of a pattern that the packed searcher examines.
const PACKED_PREFIX: usize = 4;

/// The largest number of case combinations for which the packed searcher is faster.
const FOLDED_PREFIXES: usize = 64;

/// How many first bytes of each pattern are searched for in every combination of cases.
const FOLDED_PREFIX: usize = 3;

/// How many consecutive candidates may fail before the table takes over for the rest. Where the first bytes are common,
/// the packed searcher stops all the time, and the table hardly looks at a byte twice.
const FOLDED_FAILURES: usize = 64;

/// From this number of patterns on, the filter over sampled q-grams is taken where it is expected to be faster than the
/// table.
const SAMPLED_PATTERNS: usize = 256;

/// Cycles for a byte of text with a table of up to so many bytes, as measured: the larger it is, the less of it stays in
/// the nearer caches.
const TABLE_CYCLES: [(usize, f32); 5] = [
    (512 << 10, 2.5),
    (1 << 20, 3.5),
    (2 << 20, 4.0),
    (4 << 20, 5.5),
    (LARGEST_COMPARED, 10.0),
];

/// The largest table that may be faster than the filter.
const LARGEST_COMPARED: usize = 16 << 20;

/// Cycles that a byte of text is expected to take.
fn table_cycles(table: &Table) -> f32 {
    let bytes = size_of_val(table.words());
    let measured = TABLE_CYCLES.iter().find(|(most, _)| bytes <= *most);
    measured.map_or(f32::INFINITY, |(_, cycles)| *cycles)
}

/// The most bytes of patterns that an automaton is built of, which takes up to some 64 times as much.
const MOST_AUTOMATON_BYTES: usize = 16 << 20;

pub(super) enum Engine {
    /// No pattern can occur in a line.
    Nothing,
    /// The empty pattern is in the set: everything matches.
    Everything,
    Byte(u8),
    EitherByte(u8, u8),
    One(Box<memmem::Finder<'static>>),
    /// The packed searcher, and the engine for spans that are too short for it.
    Packed(Box<packed::Searcher>, Box<Engine>),
    Folded(Box<Folded>),
    OneFolded(Box<LineMatcher>),
    Table(Box<Table>),
    Sampled(Box<Sampled>),
    Automaton(Box<AhoCorasick>),
    /// Finds lines, and not matches in them.
    Regex(Box<Regex>),
}

impl Engine {
    /// Chooses the engine for a set of patterns. There is at least one pattern, and none is empty.
    pub(super) fn new(
        patterns: &[&[u8]],
        case_insensitive: bool,
        mode: ScanMode,
        table_words: usize,
    ) -> Result<Self, PipelineError> {
        if mode == ScanMode::All {
            return Self::many(patterns, case_insensitive, mode, table_words);
        }
        if let Some(engine) = Self::one(patterns, case_insensitive) {
            return Ok(engine);
        }
        if let (true, Some(one)) = (case_insensitive, one_folded(patterns)) {
            return Ok(one);
        }
        let many = Self::many(patterns, case_insensitive, mode, table_words)?;
        if case_insensitive {
            return Ok(match prefixes(patterns) {
                Some(prefixes) => Self::Folded(Box::new(Folded {
                    prefixes,
                    patterns: patterns.iter().map(|pattern| pattern.to_vec()).collect(),
                    rest: many,
                })),
                None => many,
            });
        }
        let short = patterns.iter().any(|pattern| pattern.len() < PACKED_PREFIX);
        let most = if short {
            PACKED_SHORT_PATTERNS
        } else {
            PACKED_PATTERNS
        };
        if patterns.len() > most {
            return Ok(many);
        }
        let searcher = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(patterns)
            .build();
        Ok(match searcher {
            Some(searcher) => Self::Packed(Box::new(searcher), Box::new(many)),
            None => many,
        })
    }

    /// The engine for exactly one pattern, which searches for it as a string; `None` if there are several patterns, or
    /// if one of several bytes matches in either case.
    fn one(patterns: &[&[u8]], case_insensitive: bool) -> Option<Self> {
        let [pattern] = *patterns else { return None };
        let cased = case_insensitive && pattern.iter().any(u8::is_ascii_alphabetic);
        match pattern {
            [byte] if cased => Some(Self::EitherByte(
                byte.to_ascii_lowercase(),
                byte.to_ascii_uppercase(),
            )),
            [byte] => Some(Self::Byte(*byte)),
            _ if cased => None,
            _ => Some(Self::One(Box::new(
                memmem::Finder::new(pattern).into_owned(),
            ))),
        }
    }

    /// The engine for any number of patterns.
    fn many(
        patterns: &[&[u8]],
        case_insensitive: bool,
        mode: ScanMode,
        table_words: usize,
    ) -> Result<Self, PipelineError> {
        let sampled = || Sampled::build(patterns, case_insensitive, mode);
        let many = patterns.len() >= SAMPLED_PATTERNS;
        let filter = if many { sampled()? } else { None };
        let cycles = filter.as_ref().map(|filter| filter.literals().cycles());
        let words = match cycles {
            // No table is as fast.
            Some(cycles) if cycles < TABLE_CYCLES[0].1 => 0,
            Some(_) => table_words.min(LARGEST_COMPARED / 4),
            None => table_words,
        };
        if words > 0 {
            let given = patterns.iter().copied();
            if let Some(table) = Table::build(given, case_insensitive, mode, words) {
                if cycles.is_none_or(|cycles| table_cycles(&table) < cycles) {
                    return Ok(Self::Table(Box::new(table)));
                }
            }
        }
        let filter = if many { filter } else { sampled()? };
        if let Some(filter) = filter {
            return Ok(Self::Sampled(Box::new(filter)));
        }
        Self::automaton(patterns, case_insensitive, mode)
    }

    /// An engine for any set, many times slower than the others.
    pub(super) fn automaton(
        patterns: &[&[u8]],
        case_insensitive: bool,
        mode: ScanMode,
    ) -> Result<Self, PipelineError> {
        let bytes: usize = patterns.iter().map(|pattern| pattern.len()).sum();
        if bytes > MOST_AUTOMATON_BYTES {
            return Err(KernelError::Patterns(format!(
                "{} patterns of {bytes} bytes, of which too many hold each other to be searched for without a table: \
                 allow a larger table, or give fewer",
                patterns.len()
            ))
            .into());
        }
        let build = |kind| {
            AhoCorasick::builder()
                .ascii_case_insensitive(case_insensitive)
                .match_kind(match mode {
                    ScanMode::Lines => MatchKind::LeftmostFirst,
                    ScanMode::All => MatchKind::Standard,
                })
                .start_kind(StartKind::Unanchored)
                .kind(Some(kind))
                .build(patterns)
        };
        build(AhoCorasickKind::ContiguousNFA)
            .or_else(|_| build(AhoCorasickKind::NoncontiguousNFA))
            .map(|automaton| Self::Automaton(Box::new(automaton)))
            .map_err(|error| KernelError::Patterns(error.to_string()).into())
    }

    /// The memory that the engine takes, in bytes; 0 if it takes a negligible amount.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Automaton(automaton) => automaton.memory_usage(),
            Self::Sampled(sampled) => sampled.literals().memory(),
            _ => self.table().map_or(0, |table| size_of_val(table.words())),
        }
    }

    /// The filter over q-grams, if the set is searched with one.
    pub(super) fn sampled(&self) -> Option<&Sampled> {
        match self {
            Self::Sampled(sampled) => Some(sampled),
            _ => None,
        }
    }

    /// The table of the set, if it has one.
    pub(super) fn table(&self) -> Option<&Table> {
        match self {
            Self::Table(table) => Some(table),
            Self::Packed(_, rest) => rest.table(),
            Self::Folded(folded) => folded.rest.table(),
            _ => None,
        }
    }

    /// The name of the engine, for reports.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing matches",
            Self::Everything => "everything matches",
            Self::Byte(_) | Self::EitherByte(..) => "memchr",
            Self::One(_) => "memmem",
            Self::Packed(..) => "teddy",
            Self::Folded(_) => "teddy over both cases",
            Self::OneFolded(_) => "regex over both cases",
            Self::Table(_) => "aho-corasick table",
            Self::Sampled(_) => "sampled q-grams",
            Self::Automaton(_) => "aho-corasick nfa",
            Self::Regex(_) => "regex",
        }
    }

    /// Finds a match in `bytes[from..until]` such that none begins earlier. Returns its start and end.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8], from: usize, until: usize) -> Option<(usize, usize)> {
        let within = bytes.get(from..until)?;
        let (start, end) = match self {
            Self::Nothing => None,
            Self::Everything => Some((0, 0)),
            Self::Byte(byte) => memchr(*byte, within).map(|at| (at, at + 1)),
            Self::EitherByte(a, b) => memchr2(*a, *b, within).map(|at| (at, at + 1)),
            Self::One(finder) => finder
                .find(within)
                .map(|at| (at, at + finder.needle().len())),
            // On short spans the packed searcher would fall back to a slow search.
            Self::Packed(searcher, rest) if within.len() < searcher.minimum_len() => {
                rest.find(within, 0, within.len())
            }
            Self::Packed(searcher, _) => searcher
                .find(within)
                .map(|found| (found.start(), found.end())),
            Self::Folded(folded) => folded.find(within),
            Self::OneFolded(pattern) => pattern.find(within).map(|found| (found.start, found.end)),
            Self::Table(table) => Search::new(table, within, 0).first(),
            Self::Sampled(sampled) => {
                let literals = sampled.literals();
                let found = literals.find_first(within, 0);
                found.map(|(start, pattern)| (start, start + literals.pattern_len(pattern)))
            }
            Self::Automaton(automaton) => automaton
                .find(within)
                .map(|found| (found.start(), found.end())),
            Self::Regex(regex) => regex
                .own()
                .find_line(within, 0)
                .map(|line| (line.start, line.end)),
        }?;
        Some((from + start, from + end))
    }
}

/// The engine for exactly one pattern in either case; `None` if it is too short to hold a rare byte, or not ASCII.
fn one_folded(patterns: &[&[u8]]) -> Option<Engine> {
    let [pattern] = *patterns else { return None };
    if pattern.len() < FOLDED_PREFIX || !pattern.is_ascii() {
        return None;
    }
    let settings = LineSettings {
        fixed_strings: true,
        case: Case::Insensitive,
        unicode: false,
        // Here a NUL is a byte as others are.
        text: true,
        ..LineSettings::default()
    };
    let matcher = LineMatcher::build(&[pattern], &settings).ok()?;
    Some(Engine::OneFolded(Box::new(matcher)))
}

/// A search for few patterns that ignores case: the packed searcher looks for the first bytes of each pattern in every
/// combination of cases, and each candidate is then compared in full.
pub(super) struct Folded {
    prefixes: packed::Searcher,
    patterns: Vec<Vec<u8>>,
    rest: Engine,
}

/// Makes a searcher for the first bytes of the patterns; `None` if they have too many case combinations for it.
fn prefixes(patterns: &[&[u8]]) -> Option<packed::Searcher> {
    let shortest = patterns.iter().map(|pattern| pattern.len()).min()?;
    let mut prefixes = BTreeSet::new();
    for pattern in patterns {
        let mut cases = vec![Vec::new()];
        for byte in pattern.get(..shortest.min(FOLDED_PREFIX))? {
            let both = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
            let choices = if both[0] == both[1] {
                &both[..1]
            } else {
                &both[..]
            };
            cases = cases
                .iter()
                .flat_map(|case| {
                    choices.iter().map(move |choice| {
                        let mut longer = case.clone();
                        longer.push(*choice);
                        longer
                    })
                })
                .collect();
        }
        prefixes.extend(cases);
        if prefixes.len() > FOLDED_PREFIXES {
            return None;
        }
    }
    packed::Config::new().builder().extend(prefixes).build()
}

impl Folded {
    fn find(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        let mut at = 0;
        for _ in 0..FOLDED_FAILURES {
            let rest = bytes.get(at..)?;
            if rest.len() < self.prefixes.minimum_len() {
                break;
            }
            let start = at + self.prefixes.find(rest)?.start();
            let here = bytes.get(start..)?;
            let matched = self.patterns.iter().find(|pattern| {
                here.get(..pattern.len())
                    .is_some_and(|candidate| candidate.eq_ignore_ascii_case(pattern))
            });
            if let Some(pattern) = matched {
                return Some((start, start + pattern.len()));
            }
            at = start + 1;
        }
        self.rest.find(bytes, at, bytes.len())
    }
}
