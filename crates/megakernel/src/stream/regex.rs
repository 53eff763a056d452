//! SCAN for regexes: which of a chunk's complete lines hold a match.
//!
//! A regex may need the whole of a line, and it may find something in a part of one that is not found in the line. So a
//! chunk's first and last line, which may be parts, are not searched here, and the edges never match: the host joins
//! such lines and searches them itself.
//!
//! A device finds the lines that hold a literal of a regex ([`Regex::on_device`]), and the host searches these
//! ([`Regex::finish`]).

use super::mode::ScanMode;
use super::scan::ScanSet;
use super::slot::{word, StreamSlot, LOOK_BYTES};
use crate::KernelError;
use gristmill_patterns::{line_literals, LineMatcher, LineSettings, PatternError};
use gristmill_protocol::fault;
use gristmill_protocol::stream::{self, ScanResults};
use gristmill_ring::{lock, Outcome, RecordWriter};
use memchr::{memchr, memrchr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};

/// The number of threads for which clones are kept.
const MOST_CLONES: usize = 256;

/// Regexes, prepared for searching by several threads.
pub(super) struct Regex {
    matcher: LineMatcher,
    settings: LineSettings,
    /// Whether lines from a NUL on are not searched, where the request asks for NULs.
    until_nul: bool,
    /// Each thread's own clone: what a search needs to remember is then the thread's, and threads never wait for each
    /// other.
    clones: Mutex<Vec<(ThreadId, Arc<LineMatcher>)>>,
    on_device: OnceLock<OnDevice>,
}

/// What a device does of a search for lines, and what came of it.
struct OnDevice {
    /// The literals of which each line that matches holds one.
    literals: Arc<ScanSet>,
    chunks: AtomicU64,
    candidates: AtomicU64,
    matched: AtomicU64,
    /// Chunks with more candidates than could be told.
    overflowed: AtomicU64,
}

impl Regex {
    /// Compiles the alternation of the patterns.
    pub fn build(patterns: &[Vec<u8>], settings: &LineSettings) -> Result<Self, PatternError> {
        Ok(Self {
            matcher: LineMatcher::build(patterns, settings)?,
            settings: settings.clone(),
            until_nul: false,
            clones: Mutex::default(),
            on_device: OnceLock::new(),
        })
    }

    /// Whether lines from a NUL on are not searched, where the request asks for NULs.
    pub fn until_nul(&self) -> bool {
        self.until_nul
    }

    /// Sets that.
    pub fn set_until_nul(&mut self, yes: bool) {
        self.until_nul = yes;
    }

    /// How the patterns were read.
    pub fn settings(&self) -> &LineSettings {
        &self.settings
    }

    /// The matcher of the calling thread.
    pub fn own(&self) -> Arc<LineMatcher> {
        let thread = thread::current().id();
        let mut clones = lock(&self.clones);
        if let Some((_, matcher)) = clones.iter().find(|(owner, _)| *owner == thread) {
            return Arc::clone(matcher);
        }
        if clones.len() >= MOST_CLONES {
            // Most of these threads have ended.
            clones.clear();
        }
        let matcher = Arc::new(self.matcher.clone());
        clones.push((thread, Arc::clone(&matcher)));
        matcher
    }

    /// Searches a chunk's complete lines. Returns whether the records are full before its end.
    pub fn lines(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        results: &mut ScanResults,
    ) -> Result<bool, u32> {
        let mode = slot.mode & stream::MODE_MASK;
        let (Some(first), Some(last)) = (memchr(b'\n', bytes), memrchr(b'\n', bytes)) else {
            return Ok(false);
        };
        results.first_newline = word(first)?;
        results.last_newline = word(last)?;
        let matcher = self.own();
        let begin = first + 1;
        let complete = self.complete(bytes.get(..=last).unwrap_or_default(), slot);
        let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
        let mut lines = Lines {
            matcher: &matcher,
            complete,
            slot,
        };
        // Every part of a chunk tells the first match of the whole.
        let at_first = lines.next(begin);
        results.first_match = match &at_first {
            Some((start, _)) => word(*start)?,
            None => stream::NONE,
        };
        if mode == stream::MODE_ANY {
            results.matches = u32::from(at_first.is_some());
            return Ok(false);
        }
        let mut next = if resume > begin {
            lines.next(resume)
        } else {
            at_first
        };
        let mut count = 0_u32;
        let mut overflowed = false;
        while let Some((start, end)) = next {
            if mode == stream::MODE_LINES && !records.push(word(start)?, word(end)?) {
                overflowed = true;
                results.resume = word(start)?;
                break;
            }
            count += 1;
            next = lines.next(end);
        }
        results.matches = count;
        Ok(overflowed)
    }

    /// The lines that are searched, of those of a chunk that are complete.
    fn complete<'a>(&self, complete: &'a [u8], slot: &StreamSlot<'_>) -> &'a [u8] {
        if !self.until_nul || slot.mode & stream::WANT_NUL == 0 {
            return complete;
        }
        let before = memchr(0, complete).and_then(|nul| complete.get(..nul));
        match before {
            Some(before) => before
                .get(..memrchr(b'\n', before).map_or(0, |newline| newline + 1))
                .unwrap_or_default(),
            None => complete,
        }
    }

    /// The set that a device searches lines for: it finds every line that matches, and others.
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] if some regex has no literal.
    pub fn on_device(&self, patterns: &[Vec<u8>]) -> Result<Arc<ScanSet>, KernelError> {
        if let Some(known) = self.on_device.get() {
            return Ok(Arc::clone(&known.literals));
        }
        let refused = || {
            KernelError::Unsupported {
            what: "a device looks for lines with literals of regexes, and one of these regexes has none that is rare",
            fix: "search for fixed strings",
        }
        };
        let (literals, fold) = line_literals(patterns, &self.settings).ok_or_else(refused)?;
        let set = ScanSet::build(&literals, fold, ScanMode::Lines).map_err(|_| refused())?;
        let on_device = self.on_device.get_or_init(|| OnDevice {
            literals: Arc::new(set),
            chunks: AtomicU64::new(0),
            candidates: AtomicU64::new(0),
            matched: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        });
        Ok(Arc::clone(&on_device.literals))
    }

    /// Searches the lines that a device has told, which has left `part` and records in the slot's area. `None` if it could
    /// not tell all: then the chunk is to be searched as if there were no device.
    pub fn finish(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        part: &Outcome,
        records: &mut RecordWriter<'_>,
    ) -> Option<Outcome> {
        let on_device = self.on_device.get()?;
        if slot.resume != 0 {
            return None;
        }
        on_device.chunks.fetch_add(1, Ordering::Relaxed);
        if part.flags != 0 {
            on_device.overflowed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let candidates = u64::from(part.records);
        on_device
            .candidates
            .fetch_add(candidates, Ordering::Relaxed);
        let mut results = ScanResults {
            matches: 0,
            edges: 0,
            resume: 0,
            first_match: stream::NONE,
            ..ScanResults::decode(&part.results)
        };
        let complete = memrchr(b'\n', bytes).and_then(|last| bytes.get(..=last));
        let complete = self.complete(complete.unwrap_or_default(), slot);
        let (mode, matcher) = (slot.mode & stream::MODE_MASK, self.own());
        let mut at = 0;
        for index in 0..part.records {
            let Some((start, end)) = records.left(index) else {
                break;
            };
            if slot.cancel.is_cancelled() {
                break;
            }
            // What a device tells is compared with the bytes: a line that begins behind those before it.
            let line = complete.get(start as usize..end as usize);
            let line = line.filter(|line| start >= at && line.ends_with(b"\n"));
            let Some(line) = line.filter(|_| bytes.get(..start as usize).is_some_and(ends_line))
            else {
                continue;
            };
            at = end;
            if !matcher.is_match(line) {
                continue;
            }
            if results.first_match == stream::NONE {
                results.first_match = start;
            }
            results.matches += 1;
            if mode == stream::MODE_ANY {
                break;
            }
            // There are no more of them than of the candidates.
            if mode == stream::MODE_LINES {
                records.push(start, end);
            }
        }
        let matched = u64::from(results.matches);
        on_device.matched.fetch_add(matched, Ordering::Relaxed);
        Some(Outcome {
            results: results.encode(),
            records: records.len(),
            ..Outcome::default()
        })
    }

    /// Who has looked for what.
    pub fn explain_parts(&self) -> String {
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Some(on_device) = self.on_device.get() else {
            return String::new();
        };
        let mut told = format!(
            "the device looked for {} literals in {} chunks; the host searched the {} lines that hold one, of which {} match",
            on_device.literals.patterns().len(),
            counted(&on_device.chunks),
            counted(&on_device.candidates),
            counted(&on_device.matched)
        );
        let overflowed = counted(&on_device.overflowed);
        if overflowed > 0 {
            told += &format!(
                "; {overflowed} times a chunk had more such lines than a slot's area holds, and the host searched all of it"
            );
        }
        told
    }
}

/// Whether a line ends where these bytes do.
fn ends_line(before: &[u8]) -> bool {
    before.ends_with(b"\n")
}

/// The matching lines of a chunk.
struct Lines<'a> {
    matcher: &'a LineMatcher,
    /// The chunk up to its last line end.
    complete: &'a [u8],
    slot: &'a StreamSlot<'a>,
}

impl Lines<'_> {
    /// Start and end of the next matching line that begins at `at`, where a line begins, or later; `None` if there is
    /// none or the slot was cancelled meanwhile.
    fn next(&mut self, mut at: usize) -> Option<(usize, usize)> {
        while at < self.complete.len() {
            let look = (at + LOOK_BYTES).min(self.complete.len());
            // Whole lines.
            let until = self
                .complete
                .get(look..)
                .and_then(|rest| memchr(b'\n', rest))
                .map_or(self.complete.len(), |newline| look + newline + 1);
            if let Some(line) = self.matcher.find_line(self.complete.get(..until)?, at) {
                return Some((line.start, line.end));
            }
            if self.slot.cancel.is_cancelled() {
                return None;
            }
            at = until;
        }
        None
    }
}
