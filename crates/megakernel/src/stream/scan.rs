//! SCAN: a set of byte strings, in a mode for each question.
//!
//! A chunk begins and ends in the middle of lines, so its bytes are three parts: the *head* up to the first newline, the
//! *tail* after the last, and the complete lines between. Head and tail are only tested, as their lines continue in
//! other chunks and the host joins them; the lines between are counted or recorded here. After a match the search goes
//! on in the next line, so that a pattern in every line costs one short search a line.
//!
//! What searches follows from the set:
//!
//! - one byte: `memchr`; one pattern: `memmem`;
//! - few patterns: `aho-corasick`'s packed searcher (Teddy), which looks at 16 or 32 bytes at a time; in either case, over
//!   the cases of their first bytes;
//! - more: its DFA, two to four times as fast as the NFA that the crate would choose to save memory, while its table
//!   stays in the cache or near it ([`DFA_PATTERN_BYTES`]); beyond that the contiguous NFA.

use super::runs::Search;
use super::table::Table;
use super::{word, StreamOpcode, StreamSlot};
use aho_corasick::{packed, AhoCorasick, AhoCorasickKind, Anchored, Input, MatchKind, StartKind};
use gristmill_protocol::{completion, fault, stream, PipelineError};
use gristmill_ring::{Outcome, RecordWriter};
use memchr::{memchr, memchr2, memmem, memrchr};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Most patterns in a set.
pub const MAX_PATTERNS: usize = 100_000;

/// Bytes of all patterns together up to which a DFA is built: its table takes about 128 to 1,024 bytes for each.
pub const DFA_PATTERN_BYTES: usize = 64 << 10;

/// Words of four bytes that the table of a set may take at most: 128 MiB.
const TABLE_WORDS: usize = 32 << 20;

/// Patterns up to which the packed searcher is tried; it takes no more than 64.
const PACKED_PATTERNS: usize = 32;

/// What is asked of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanMode {
    /// Which lines match: for `MODE_ANY`, `MODE_COUNT_LINES` and `MODE_LINES`.
    Lines,
    /// Every occurrence, overlapping ones too: for `MODE_ALL`.
    All,
}

enum Engine {
    /// No pattern can occur in a line.
    Nothing,
    /// The empty pattern is in the set: everything matches.
    Everything,
    Byte(u8),
    EitherByte(u8, u8),
    One(Box<memmem::Finder<'static>>),
    Packed(Box<packed::Searcher>, Box<AhoCorasick>),
    Folded(Box<Folded>),
    Automaton(Box<AhoCorasick>),
    Table(Box<Table>),
}

/// A set of byte strings, ready to be searched for.
pub struct ScanSet {
    engine: Engine,
    mode: ScanMode,
    longest: usize,
    patterns: Vec<Vec<u8>>,
    case_insensitive: bool,
}

impl std::fmt::Debug for ScanSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ScanSet({} patterns by {})",
            self.patterns.len(),
            self.engine_name()
        )
    }
}

impl ScanSet {
    /// Prepares a set. `case_insensitive` is for ASCII letters only. In [`ScanMode::Lines`] a pattern that holds a newline
    /// is left out, as it occurs in no line.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for no patterns, more than [`MAX_PATTERNS`], or an empty one in
    /// [`ScanMode::All`]; [`PipelineError::Backend`] where the automaton cannot be built.
    pub fn build<P: AsRef<[u8]>>(
        patterns: &[P],
        case_insensitive: bool,
        mode: ScanMode,
    ) -> Result<Self, PipelineError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        if patterns.is_empty() || patterns.len() > MAX_PATTERNS {
            return invalid(
                "a set of no patterns, or of more than 100,000",
                "give 1 to 100,000 patterns",
            );
        }
        let all = patterns
            .iter()
            .map(|pattern| pattern.as_ref().to_vec())
            .collect();
        let patterns: Vec<&[u8]> = searched(patterns, mode).collect();
        let longest = patterns.iter().map(|pattern| pattern.len()).max();
        let empty = patterns.iter().any(|pattern| pattern.is_empty());
        if empty && mode == ScanMode::All {
            return invalid(
                "an empty pattern, which occurs everywhere",
                "leave the empty pattern out",
            );
        }
        let engine = if patterns.is_empty() {
            Engine::Nothing
        } else if empty {
            Engine::Everything
        } else {
            engine(&patterns, case_insensitive, mode)?
        };
        Ok(Self {
            engine,
            mode,
            longest: longest.unwrap_or(0),
            patterns: all,
            case_insensitive,
        })
    }

    /// The patterns as they were given, by number.
    pub fn patterns(&self) -> &[Vec<u8>] {
        &self.patterns
    }

    /// Those that can occur.
    pub(crate) fn searched(&self) -> impl Iterator<Item = &[u8]> + Clone {
        searched(&self.patterns, self.mode)
    }

    /// The automaton of the set as a table; `None` if it takes more than `max_words` words.
    pub(crate) fn table(&self, max_words: usize) -> Option<Cow<'_, Table>> {
        if let Engine::Table(table) = &self.engine {
            return (table.words().len() <= max_words).then_some(Cow::Borrowed(table));
        }
        let (fold, mode) = (self.case_insensitive, self.mode);
        Table::build(self.searched(), fold, mode, max_words).map(Cow::Owned)
    }

    /// Whether ASCII letters match in either case.
    pub fn case_insensitive(&self) -> bool {
        self.case_insensitive
    }

    /// What may be asked of the set.
    pub fn mode(&self) -> ScanMode {
        self.mode
    }

    /// Length of the longest pattern, in bytes: a match that straddles two chunks lies within one byte less than that on
    /// either side.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// What searches, for reports.
    pub fn engine_name(&self) -> &'static str {
        match &self.engine {
            Engine::Nothing => "nothing matches",
            Engine::Everything => "everything matches",
            Engine::Byte(_) | Engine::EitherByte(..) => "memchr",
            Engine::One(_) => "memmem",
            Engine::Packed(..) => "teddy",
            Engine::Folded(_) => "teddy over both cases",
            Engine::Automaton(automaton) => match automaton.kind() {
                AhoCorasickKind::DFA => "aho-corasick dfa",
                _ => "aho-corasick nfa",
            },
            Engine::Table(_) => "aho-corasick table",
        }
    }

    /// The first match at or after `from`, in `bytes[..until]`: its start and end.
    #[inline]
    fn find(&self, bytes: &[u8], from: usize, until: usize) -> Option<(usize, usize)> {
        let within = bytes.get(from..until)?;
        match &self.engine {
            Engine::Nothing => None,
            Engine::Everything => Some((from, from)),
            Engine::Byte(byte) => memchr(*byte, within).map(|at| (from + at, from + at + 1)),
            Engine::EitherByte(a, b) => {
                memchr2(*a, *b, within).map(|at| (from + at, from + at + 1))
            }
            Engine::One(finder) => finder
                .find(within)
                .map(|at| (from + at, from + at + finder.needle().len())),
            Engine::Packed(searcher, automaton) => {
                // The packed searcher falls back to something slow on short spans.
                let found = if within.len() < searcher.minimum_len() {
                    automaton.find(within)
                } else {
                    searcher.find(within)
                };
                found.map(|found| (from + found.start(), from + found.end()))
            }
            Engine::Folded(folded) => folded
                .find(within)
                .map(|(start, end)| (from + start, from + end)),
            Engine::Automaton(automaton) => automaton
                .find(Input::new(within).anchored(Anchored::No))
                .map(|found| (from + found.start(), from + found.end())),
            Engine::Table(table) => {
                Search::new(table, bytes.get(..until)?, from).first(self.longest)
            }
        }
    }

    fn lines(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), u32> {
        let results = &mut outcome.results;
        let mode = slot.mode & stream::MODE_MASK;
        let newline = memchr(b'\n', bytes);
        let Some(first) = newline else {
            if let Some((start, _)) = self.find(bytes, 0, bytes.len()) {
                results[7] = word(start)?;
                results[4] = stream::HEAD_MATCH | stream::TAIL_MATCH;
                results[0] = u32::from(mode == stream::MODE_ANY);
            }
            return Ok(());
        };
        let last = memrchr(b'\n', bytes).unwrap_or(first);
        results[2] = word(first)?;
        results[3] = word(last)?;
        let head = self.find(bytes, 0, first);
        if let Some((start, _)) = head {
            results[7] = word(start)?;
            results[4] |= stream::HEAD_MATCH;
        }
        let tail = self.find(bytes, last + 1, bytes.len());
        if tail.is_some() && last + 1 < bytes.len() {
            results[4] |= stream::TAIL_MATCH;
        }
        let end = last + 1;
        let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
        let mut at = (first + 1).max(resume);
        if at > first + 1 && results[7] == stream::NONE {
            // Of the whole chunk, so that every part says the same.
            if let Some((start, _)) = self.find(bytes, first + 1, end) {
                results[7] = word(start)?;
            }
        }
        let mut count = 0_u32;
        let mut search = match &self.engine {
            Engine::Table(table) => Some(Search::new(table, bytes.get(..end).unwrap_or(&[]), at)),
            _ => None,
        };
        let answered = |results: &[u32; 8]| mode == stream::MODE_ANY && results[7] != stream::NONE;
        while at < end && !answered(results) {
            let found = match &mut search {
                // Where in the line it lies matters only for the first match of all.
                Some(search) if results[7] != stream::NONE => {
                    search.next_from(at).map(|hit| (hit.end - 1, hit.end))
                }
                _ => self.find(bytes, at, end),
            };
            let Some((start, after)) = found else {
                break;
            };
            if results[7] == stream::NONE {
                results[7] = word(start)?;
            }
            if mode == stream::MODE_ANY {
                continue;
            }
            let line_end = bytes
                .get(after..end)
                .and_then(|rest| memchr(b'\n', rest))
                .map_or(end, |newline| after + newline + 1);
            if mode == stream::MODE_LINES {
                let line_start = bytes
                    .get(at..start)
                    .and_then(|before| memrchr(b'\n', before))
                    .map_or(at, |newline| at + newline + 1);
                if !records.push(word(line_start)?, word(line_end)?) {
                    outcome.flags |= completion::FLAG_OVERFLOW;
                    results[6] = word(line_start)?;
                    break;
                }
            }
            count += 1;
            at = line_end;
        }
        if let (stream::NONE, Some((start, _))) = (results[7], tail) {
            if last + 1 < bytes.len() {
                results[7] = word(start)?;
            }
        }
        results[0] = if mode == stream::MODE_ANY {
            u32::from(results[7] != stream::NONE)
        } else {
            count
        };
        Ok(())
    }

    fn all(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), u32> {
        let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
        // Matches that end where the last part stopped, or later: they begin less than the longest pattern before it.
        let from = resume.saturating_sub(self.longest);
        let Some(within) = bytes.get(from..) else {
            return Err(fault::BAD_ARGUMENT);
        };
        let automaton = match &self.engine {
            Engine::Automaton(automaton) => automaton,
            Engine::Table(table) => {
                return table.all(bytes, resume, self.longest, records, outcome)
            }
            _ => return Err(fault::BAD_ARGUMENT),
        };
        let capacity = records.capacity();
        // The matches that end at one position, in the order of their patterns.
        let mut group: Vec<(u32, u32)> = Vec::new();
        let mut group_end = 0;
        let mut flush = |group: &mut Vec<(u32, u32)>, end: usize| -> Result<bool, u32> {
            if group.len() > capacity {
                return Err(fault::BAD_ARGUMENT);
            }
            if records.len() as usize + group.len() > capacity {
                outcome.flags |= completion::FLAG_OVERFLOW;
                outcome.results[6] = word(end)?;
                return Ok(false);
            }
            group.sort_unstable_by_key(|(_, pattern)| *pattern);
            for (pattern, start) in group.drain(..).map(|(start, pattern)| (pattern, start)) {
                records.push(start, pattern);
            }
            Ok(true)
        };
        let mut overflowed = false;
        for found in automaton
            .try_find_overlapping_iter(within)
            .map_err(|_| fault::BAD_ARGUMENT)?
        {
            let (start, end) = (from + found.start(), from + found.end());
            if end < resume.max(1) {
                continue;
            }
            if end != group_end {
                if !flush(&mut group, group_end)? {
                    overflowed = true;
                    break;
                }
                group_end = end;
            }
            group.push((word(start)?, found.pattern().as_u32()));
        }
        if !overflowed {
            flush(&mut group, group_end)?;
        }
        outcome.results[0] = records.len();
        Ok(())
    }
}

impl StreamOpcode for ScanSet {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let mut outcome = Outcome::default();
        outcome.results[2] = stream::NONE;
        outcome.results[3] = stream::NONE;
        outcome.results[5] = stream::NONE;
        outcome.results[7] = stream::NONE;
        match (slot.mode & stream::MODE_MASK, self.mode) {
            (stream::MODE_ANY | stream::MODE_COUNT_LINES | stream::MODE_LINES, ScanMode::Lines) => {
                self.lines(bytes, slot, records, &mut outcome)?;
            }
            (stream::MODE_ALL, ScanMode::All) => self.all(bytes, slot, records, &mut outcome)?,
            _ => return Err(fault::BAD_ARGUMENT),
        }
        if slot.mode & stream::WANT_NEWLINES != 0 {
            outcome.results[1] = word(memchr::memchr_iter(b'\n', bytes).count())?;
        }
        if slot.mode & stream::WANT_NUL != 0 {
            if let Some(at) = memchr(0, bytes) {
                outcome.results[5] = word(at)?;
            }
        }
        outcome.records = records.len();
        Ok(outcome)
    }
}

/// The patterns that can occur: no line holds a newline.
fn searched<P: AsRef<[u8]>>(patterns: &[P], mode: ScanMode) -> impl Iterator<Item = &[u8]> + Clone {
    patterns
        .iter()
        .map(AsRef::as_ref)
        .filter(move |pattern| mode == ScanMode::All || !pattern.contains(&b'\n'))
}

/// Few patterns in either case: the packed searcher looks for the first bytes of each in every combination of cases, and
/// what it finds is compared in full.
struct Folded {
    prefixes: packed::Searcher,
    patterns: Vec<Vec<u8>>,
    automaton: AhoCorasick,
}

/// Candidates in a row that may fail before the automaton, which never looks at a byte twice, takes over for the rest:
/// where first bytes are common the packed searcher stops all the time.
const FOLDED_FAILURES: usize = 64;

/// First bytes of each pattern that are looked for.
const FOLDED_PREFIX: usize = 3;

impl Folded {
    /// `None` where there are too many combinations for the packed searcher.
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
            if prefixes.len() > PACKED_PATTERNS {
                return None;
            }
        }
        packed::Config::new().builder().extend(prefixes).build()
    }

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
        let found = self.automaton.find(bytes.get(at..)?)?;
        Some((at + found.start(), at + found.end()))
    }
}

fn engine(
    patterns: &[&[u8]],
    case_insensitive: bool,
    mode: ScanMode,
) -> Result<Engine, PipelineError> {
    if mode == ScanMode::Lines {
        if let Some(engine) = few(patterns, case_insensitive)? {
            return Ok(engine);
        }
    }
    let all = patterns.iter().copied();
    if let Some(table) = Table::build(all, case_insensitive, mode, TABLE_WORDS) {
        return Ok(Engine::Table(Box::new(table)));
    }
    let kind = match mode {
        ScanMode::Lines => MatchKind::LeftmostFirst,
        ScanMode::All => MatchKind::Standard,
    };
    let automaton = automaton(patterns, case_insensitive, kind)?;
    Ok(Engine::Automaton(Box::new(automaton)))
}

/// What searches for few patterns in lines; `None` for others.
fn few(patterns: &[&[u8]], case_insensitive: bool) -> Result<Option<Engine>, PipelineError> {
    if let [pattern] = *patterns {
        let cased = case_insensitive && pattern.iter().any(u8::is_ascii_alphabetic);
        let engine = match pattern {
            [byte] if cased => {
                Engine::EitherByte(byte.to_ascii_lowercase(), byte.to_ascii_uppercase())
            }
            [byte] => Engine::Byte(*byte),
            _ if !cased => Engine::One(Box::new(memmem::Finder::new(pattern).into_owned())),
            _ => Engine::Nothing,
        };
        if !matches!(engine, Engine::Nothing) {
            return Ok(Some(engine));
        }
    }
    let automaton = || automaton(patterns, case_insensitive, MatchKind::LeftmostFirst);
    if case_insensitive {
        return Ok(match Folded::prefixes(patterns) {
            Some(prefixes) => Some(Engine::Folded(Box::new(Folded {
                prefixes,
                patterns: patterns.iter().map(|pattern| pattern.to_vec()).collect(),
                automaton: automaton()?,
            }))),
            None => None,
        });
    }
    if patterns.len() > PACKED_PATTERNS {
        return Ok(None);
    }
    let searcher = packed::Config::new()
        .match_kind(packed::MatchKind::LeftmostFirst)
        .builder()
        .extend(patterns)
        .build();
    Ok(match searcher {
        Some(searcher) => Some(Engine::Packed(Box::new(searcher), Box::new(automaton()?))),
        None => None,
    })
}

fn automaton<P: AsRef<[u8]>>(
    patterns: &[P],
    case_insensitive: bool,
    kind: MatchKind,
) -> Result<AhoCorasick, PipelineError> {
    let bytes: usize = patterns.iter().map(|pattern| pattern.as_ref().len()).sum();
    let engine = if bytes <= DFA_PATTERN_BYTES {
        AhoCorasickKind::DFA
    } else {
        AhoCorasickKind::ContiguousNFA
    };
    let build = |engine| {
        AhoCorasick::builder()
            .ascii_case_insensitive(case_insensitive)
            .match_kind(kind)
            .start_kind(StartKind::Unanchored)
            .kind(Some(engine))
            .build(patterns.iter().map(AsRef::as_ref))
    };
    build(engine)
        .or_else(|_| build(AhoCorasickKind::NoncontiguousNFA))
        .map_err(|error| {
            PipelineError::Backend(format!(
                "the patterns cannot be compiled: {error}; use fewer or shorter ones"
            ))
        })
}
