//! SCAN: searches for a set of byte strings, or for regexes, in one of several modes.
//!
//! A chunk begins and ends in the middle of lines, so its bytes have three parts: the *head* up to the first newline,
//! the *tail* after the last newline, and the complete lines between them. Head and tail are only tested for matches,
//! since their lines continue in other chunks and the host joins them. The complete lines are counted or recorded here.
//! After a match the search continues in the next line, so a pattern that occurs in every line costs one short search
//! for each line. The search engines are in `engine.rs`. For regexes, `regex.rs` takes the place of this.

use super::automaton::Table;
use super::engine::Engine;
use super::mode::ScanMode;
use super::regex::Regex;
use super::runs::Search;
use super::sampled::{Sampled, Starts};
use super::slot::{word, StreamSlot, LOOK_BYTES};
use super::{occurrences, together, StreamJob, StreamOpcode};
use crate::KernelError;
use gristmill_patterns::{LineMatcher, LineSettings, Literals, PatternError};
use gristmill_protocol::stream::{self, ScanResults, StreamArgs};
use gristmill_protocol::{completion, fault, PipelineError};
use gristmill_ring::{Outcome, RecordWriter};
use memchr::{memchr, memrchr};
use std::borrow::Cow;
use std::sync::Arc;

/// The largest number of patterns in a set.
pub const MAX_PATTERNS: usize = 1_000_000;

/// The number of bytes that a set's table may take on the CPU if no other limit is set: 128 MiB. While the table is
/// built, it takes up to twice as much.
pub const DEFAULT_TABLE_BYTES: usize = 128 << 20;

/// The most bytes that a set's table can take: 1 GiB.
pub const MAX_TABLE_BYTES: usize = 1 << 30;

/// A set of byte strings, or of regexes, prepared for searching.
pub struct ScanSet {
    engine: Engine,
    mode: ScanMode,
    longest: usize,
    patterns: Vec<Vec<u8>>,
    case_insensitive: bool,
    table_bytes: usize,
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
    /// Prepares a set. `case_insensitive` affects only ASCII letters. In [`ScanMode::Lines`] a pattern that contains a
    /// newline is left out, since it cannot occur in a line.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] if there are no patterns, more than [`MAX_PATTERNS`], or an empty one in
    /// [`ScanMode::All`]; [`PipelineError::Backend`] if the automaton cannot be built.
    pub fn build<P: AsRef<[u8]>>(
        patterns: &[P],
        case_insensitive: bool,
        mode: ScanMode,
    ) -> Result<Self, PipelineError> {
        Self::build_within(patterns, case_insensitive, mode, DEFAULT_TABLE_BYTES)
    }

    /// Prepares a set whose table on the CPU may take `table_bytes`, or [`MAX_TABLE_BYTES`] if that is less. A set that
    /// needs more is searched by another engine: see [`ScanSet::engine_report`].
    ///
    /// # Errors
    /// The same as [`ScanSet::build`].
    pub fn build_within<P: AsRef<[u8]>>(
        patterns: &[P],
        case_insensitive: bool,
        mode: ScanMode,
        table_bytes: usize,
    ) -> Result<Self, PipelineError> {
        let table_bytes = table_bytes.min(MAX_TABLE_BYTES);
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        if patterns.is_empty() || patterns.len() > MAX_PATTERNS {
            return invalid(
                "a set of no patterns, or of more than 1,000,000",
                "give 1 to 1,000,000 patterns",
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
            Engine::new(&patterns, case_insensitive, mode, table_bytes / 4)?
        };
        Ok(Self {
            engine,
            mode,
            longest: longest.unwrap_or(0),
            patterns: all,
            case_insensitive,
            table_bytes,
        })
    }

    /// The same set, searched by another engine.
    #[cfg(test)]
    pub(super) fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Prepares a set for [`ScanMode::Lines`] of regexes, or of strings that only a regex can search for as `settings`
    /// ask. A device cannot search for it.
    ///
    /// # Errors
    /// [`PatternError`] as from [`LineMatcher::build`].
    pub fn regex(patterns: Vec<Vec<u8>>, settings: &LineSettings) -> Result<Self, PatternError> {
        Ok(Self {
            engine: Engine::Regex(Box::new(Regex::build(&patterns, settings)?)),
            mode: ScanMode::Lines,
            longest: 0,
            patterns,
            case_insensitive: false,
            table_bytes: 0,
        })
    }

    /// Whether a set of regexes leaves out a chunk's lines from the first NUL on, where the request asks for NULs: for
    /// files whose search a NUL ends. Default: no.
    #[must_use]
    pub fn until_nul(mut self, yes: bool) -> Self {
        if let Engine::Regex(regex) = &mut self.engine {
            regex.set_until_nul(yes);
        }
        self
    }

    /// Whether lines from a NUL on are left out.
    pub fn is_until_nul(&self) -> bool {
        matches!(&self.engine, Engine::Regex(regex) if regex.until_nul())
    }

    /// The matcher of the calling thread, where the set is one of regexes: a thread that searches again finds what it
    /// has built.
    pub fn line_matcher(&self) -> Option<Arc<LineMatcher>> {
        match &self.engine {
            Engine::Regex(regex) => Some(regex.own()),
            _ => None,
        }
    }

    /// How the patterns are read, where the set is one of regexes.
    pub fn line_settings(&self) -> Option<&LineSettings> {
        match &self.engine {
            Engine::Regex(regex) => Some(regex.settings()),
            _ => None,
        }
    }

    /// What finds the patterns, where they are searched for by a filter over sampled q-grams. Numbers are those of the
    /// patterns that can occur: in [`ScanMode::Lines`] those with a newline are left out, and have none.
    pub fn literals(&self) -> Option<&Literals> {
        self.engine.sampled().map(Sampled::literals)
    }

    /// The patterns as they were given, by number.
    pub fn patterns(&self) -> &[Vec<u8>] {
        &self.patterns
    }

    /// The patterns that can occur.
    pub(crate) fn searched(&self) -> impl Iterator<Item = &[u8]> + Clone {
        searched(&self.patterns, self.mode)
    }

    /// The automaton of the set as a table; `None` if the table takes more than `max_words` words.
    pub(crate) fn table(&self, max_words: usize) -> Option<Cow<'_, Table>> {
        if let Some(table) = self.engine.table() {
            return (table.words().len() <= max_words).then_some(Cow::Borrowed(table));
        }
        let (fold, mode) = (self.case_insensitive, self.mode);
        Table::build(self.searched(), fold, mode, max_words).map(Cow::Owned)
    }

    /// Whether ASCII case is ignored.
    pub fn case_insensitive(&self) -> bool {
        self.case_insensitive
    }

    /// The kind of request for which the set was prepared.
    pub fn mode(&self) -> ScanMode {
        self.mode
    }

    /// Length of the longest pattern, in bytes. A match that straddles two chunks extends at most one byte less than
    /// that to either side of the boundary. 0 for regexes.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The name of the search engine, for reports.
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }

    /// For reports: the search engine on the CPU, how much memory it takes, and why it is not a faster one.
    pub fn engine_report(&self) -> String {
        let mut report = format!(
            "{} for {} patterns",
            self.engine.name(),
            self.patterns.len()
        );
        if self.engine.bytes() > 0 {
            report += &format!(", {} bytes", self.engine.bytes());
        }
        if let Engine::Automaton(_) = self.engine {
            report += &format!(
                ": the faster table would take more than the {} bytes that it may, and too many patterns hold each other \
                 for sampled q-grams",
                self.table_bytes
            );
        }
        if let Some(sampled) = self.engine.sampled() {
            report += &format!(": {}", sampled.literals().explain());
        }
        report
    }

    /// The largest number of patterns that can end at one byte. For `MODE_ALL` a slot's record area must have room for
    /// at least this many records, of two words each; otherwise the slot faults with [`fault::AREA_TOO_SMALL`].
    pub fn most_together(&self) -> usize {
        let known = self.engine.sampled().and_then(Sampled::most_ends);
        known.unwrap_or_else(|| together::most_ends(self.searched(), self.case_insensitive))
    }

    /// Finds a match in `bytes[from..until]` such that none begins earlier. Returns its start and end, or `None` if
    /// there is none or the slot was cancelled meanwhile.
    #[inline]
    fn find(
        &self,
        bytes: &[u8],
        from: usize,
        until: usize,
        slot: &StreamSlot<'_>,
    ) -> Option<(usize, usize)> {
        if until.saturating_sub(from) <= LOOK_BYTES {
            return self.engine.find(bytes, from, until);
        }
        self.find_in_parts(bytes, from, until, slot)
    }

    /// The same search, part by part. Each part includes as many bytes of the next part as a match that begins in it
    /// can extend into, so the first match found is the same as in a search of all bytes at once.
    fn find_in_parts(
        &self,
        bytes: &[u8],
        mut from: usize,
        until: usize,
        slot: &StreamSlot<'_>,
    ) -> Option<(usize, usize)> {
        let reach = self.longest.saturating_sub(1);
        while !slot.cancel.is_cancelled() {
            let part = from + LOOK_BYTES.max(self.longest);
            let found = self.engine.find(bytes, from, until.min(part + reach));
            if found.is_some() || part >= until {
                return found;
            }
            from = part;
        }
        None
    }

    fn lines(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        results: &mut ScanResults,
    ) -> Result<bool, u32> {
        if let Engine::Regex(regex) = &self.engine {
            return regex.lines(bytes, slot, records, results);
        }
        let mode = slot.mode & stream::MODE_MASK;
        let newline = memchr(b'\n', bytes);
        let Some(first) = newline else {
            if let Some((start, _)) = self.find(bytes, 0, bytes.len(), slot) {
                results.first_match = word(start)?;
                results.edges = stream::HEAD_MATCH | stream::TAIL_MATCH;
                results.matches = u32::from(mode == stream::MODE_ANY);
            }
            return Ok(false);
        };
        let last = memrchr(b'\n', bytes).unwrap_or(first);
        results.first_newline = word(first)?;
        results.last_newline = word(last)?;
        let head = self.find(bytes, 0, first, slot);
        if let Some((start, _)) = head {
            results.first_match = word(start)?;
            results.edges |= stream::HEAD_MATCH;
        }
        let tail = self.find(bytes, last + 1, bytes.len(), slot);
        if tail.is_some() && last + 1 < bytes.len() {
            results.edges |= stream::TAIL_MATCH;
        }
        let end = last + 1;
        let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
        let mut at = (first + 1).max(resume);
        if at > first + 1 && results.first_match == stream::NONE {
            // This covers the whole chunk, so that every part gives the same answer.
            if let Some((start, _)) = self.find(bytes, first + 1, end, slot) {
                results.first_match = word(start)?;
            }
        }
        let mut count = 0_u32;
        let mut overflowed = false;
        let mut search = match &self.engine {
            Engine::Table(table) => {
                let bytes = bytes.get(..end).unwrap_or(&[]);
                Some(Search::new(table, bytes, at).until(slot.cancel))
            }
            _ => None,
        };
        let mut starts = self.engine.sampled().map(|sampled| {
            let bytes = bytes.get(..end).unwrap_or(&[]);
            Starts::new(sampled, bytes, at, slot.cancel)
        });
        let answered =
            |results: &ScanResults| mode == stream::MODE_ANY && results.first_match != stream::NONE;
        let mut look = at + LOOK_BYTES;
        while at < end && !answered(results) {
            if at >= look {
                if slot.cancel.is_cancelled() {
                    break;
                }
                look = at + LOOK_BYTES;
            }
            let found = match (&mut search, &mut starts) {
                (_, Some(starts)) => starts.next_from(at).map(|start| (start, start + 1)),
                // The position of a match within its line matters only for the first match in the chunk.
                (Some(search), _) if results.first_match != stream::NONE => {
                    search.next_from(at).map(|hit| (hit.end - 1, hit.end))
                }
                _ => self.find(bytes, at, end, slot),
            };
            let Some((start, after)) = found else {
                break;
            };
            if results.first_match == stream::NONE {
                results.first_match = word(start)?;
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
                    overflowed = true;
                    results.resume = word(line_start)?;
                    break;
                }
            }
            count += 1;
            at = line_end;
        }
        if let (stream::NONE, Some((start, _))) = (results.first_match, tail) {
            if last + 1 < bytes.len() {
                results.first_match = word(start)?;
            }
        }
        results.matches = if mode == stream::MODE_ANY {
            u32::from(results.first_match != stream::NONE)
        } else {
            count
        };
        Ok(overflowed)
    }

    fn all(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        results: &mut ScanResults,
    ) -> Result<bool, u32> {
        let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
        if resume.saturating_sub(self.longest) > bytes.len() {
            return Err(fault::BAD_ARGUMENT);
        }
        match &self.engine {
            Engine::Automaton(automaton) => {
                occurrences::by_automaton(automaton, &self.patterns, bytes, slot, records, results)
            }
            Engine::Sampled(sampled) => sampled.all(bytes, slot, records, results),
            Engine::Table(table) => table.all(bytes, slot, records, results),
            _ => Err(fault::BAD_ARGUMENT),
        }
    }
}

impl StreamOpcode for ScanSet {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let mut results = ScanResults {
            first_newline: stream::NONE,
            last_newline: stream::NONE,
            first_nul: stream::NONE,
            first_match: stream::NONE,
            ..ScanResults::default()
        };
        let overflowed = match (slot.mode & stream::MODE_MASK, self.mode) {
            (stream::MODE_ANY | stream::MODE_COUNT_LINES | stream::MODE_LINES, ScanMode::Lines) => {
                self.lines(bytes, slot, records, &mut results)?
            }
            (stream::MODE_ALL, ScanMode::All) => self.all(bytes, slot, records, &mut results)?,
            _ => return Err(fault::BAD_ARGUMENT),
        };
        if slot.mode & stream::WANT_NEWLINES != 0 {
            results.newlines = word(memchr::memchr_iter(b'\n', bytes).count())?;
        }
        if slot.mode & stream::WANT_NUL != 0 {
            if let Some(at) = memchr(0, bytes) {
                results.first_nul = word(at)?;
            }
        }
        Ok(Outcome {
            results: results.encode(),
            records: records.len(),
            flags: u32::from(overflowed) * completion::FLAG_OVERFLOW,
            ..Outcome::default()
        })
    }

    fn device_part(&self) -> Result<Option<StreamJob>, KernelError> {
        match &self.engine {
            Engine::Regex(regex) => {
                let literals = regex.on_device(&self.patterns)?;
                Ok(Some(StreamJob::Scan(literals)))
            }
            // A device runs all of it.
            _ => Ok(None),
        }
    }

    fn part_args(&self, args: StreamArgs) -> StreamArgs {
        // Whatever is asked for, the host must know which lines may match.
        StreamArgs {
            mode: args.mode & !stream::MODE_MASK | stream::MODE_LINES,
            resume: 0,
            ..args
        }
    }

    fn finish(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        part: &Outcome,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let finished = match &self.engine {
            Engine::Regex(regex) => regex.finish(bytes, slot, part, records),
            _ => None,
        };
        finished.map_or_else(|| self.run(bytes, slot, records), Ok)
    }

    fn explain_parts(&self) -> String {
        match &self.engine {
            Engine::Regex(regex) => regex.explain_parts(),
            _ => String::new(),
        }
    }
}

/// The patterns that can occur: for lines, those that contain no newline.
fn searched<P: AsRef<[u8]>>(patterns: &[P], mode: ScanMode) -> impl Iterator<Item = &[u8]> + Clone {
    patterns
        .iter()
        .map(AsRef::as_ref)
        .filter(move |pattern| mode == ScanMode::All || !pattern.contains(&b'\n'))
}
