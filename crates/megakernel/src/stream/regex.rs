//! SCAN for regexes: which of a chunk's complete lines hold a match.
//!
//! A regex may need the whole of a line, and it may find something in a part of one that is not found in the line. So a
//! chunk's first and last line, which may be parts, are not searched here, and the edges never match: the host joins
//! such lines and searches them itself.

use super::{word, StreamSlot, LOOK_BYTES};
use gristmill_patterns::{LineMatcher, LineSettings, PatternError};
use gristmill_protocol::fault;
use gristmill_protocol::stream::{self, ScanResults};
use gristmill_ring::{lock, RecordWriter};
use memchr::{memchr, memrchr};
use std::sync::{Arc, Mutex};
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
}

impl Regex {
    /// Compiles the alternation of the patterns.
    pub fn build(patterns: &[Vec<u8>], settings: &LineSettings) -> Result<Self, PatternError> {
        Ok(Self {
            matcher: LineMatcher::build(patterns, settings)?,
            settings: settings.clone(),
            until_nul: false,
            clones: Mutex::default(),
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
        let mut complete = bytes.get(..=last).unwrap_or_default();
        if self.until_nul && slot.mode & stream::WANT_NUL != 0 {
            let before = memchr(0, complete).and_then(|nul| complete.get(..nul));
            complete = match before {
                Some(before) => before
                    .get(..memrchr(b'\n', before).map_or(0, |newline| newline + 1))
                    .unwrap_or_default(),
                None => complete,
            };
        }
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
