//! Record areas. Each slot has one, in which an opcode leaves the results that do not fit in a completion entry.
//!
//! The worker that owns a slot writes its area before it completes the slot; the host reads it after it has seen the
//! completion entry and before it publishes the slot again. In between the area is the host's, which may write to it, too,
//! where it does the rest of an opcode of which a device has done a part. The words are atomics, so a reader that breaks
//! this order gets stale numbers and nothing worse.

use crate::memory::SharedWords;
use crate::sync::Ordering::Relaxed;
use gristmill_protocol::PipelineError;

/// Areas of equal size, one for each slot, touched lazily.
#[derive(Clone, Debug)]
pub struct RecordMemory {
    words: SharedWords,
    area_words: usize,
}

impl RecordMemory {
    /// Maps `areas` areas of `area_words` words each.
    ///
    /// # Errors
    /// [`PipelineError`] where memory cannot be mapped.
    pub fn new(areas: u32, area_words: u32) -> Result<Self, PipelineError> {
        let area_words = area_words as usize;
        let total =
            (areas as usize)
                .checked_mul(area_words)
                .ok_or(PipelineError::InvalidArgument {
                    what: "record areas whose size overflows",
                    fix: "use fewer slots or smaller areas",
                })?;
        Ok(Self {
            words: SharedWords::map(total)?,
            area_words,
        })
    }

    /// Words in each area.
    pub fn area_words(&self) -> usize {
        self.area_words
    }

    /// Areas of `area_words` words each over words that a device sees.
    pub fn over(words: SharedWords, area_words: u32) -> Self {
        Self {
            words,
            area_words: area_words as usize,
        }
    }

    fn area(&self, area: u32) -> Option<&[crate::sync::AtomicU32]> {
        let start = (area as usize).checked_mul(self.area_words)?;
        self.words.get(start..start.checked_add(self.area_words)?)
    }

    /// An empty writer over one area, for the worker that owns its slot, or for the host once the slot has completed; `None`
    /// where there is no such area.
    pub fn writer(&self, area: u32) -> Option<RecordWriter<'_>> {
        Some(RecordWriter {
            words: self.area(area)?,
            records: 0,
        })
    }

    /// The host's side: record `index` of `area`, a pair of words; zeros out of range.
    pub fn get(&self, area: u32, index: u32) -> (u32, u32) {
        let first = (index as usize).saturating_mul(2);
        (
            self.word(area, first),
            self.word(area, first.saturating_add(1)),
        )
    }

    /// The host's side: word `index` of `area`; zero out of range.
    pub fn word(&self, area: u32, index: usize) -> u32 {
        self.area(area)
            .and_then(|words| words.get(index))
            .map_or(0, |word| word.load(Relaxed))
    }
}

/// Writes the records of one slot, in order.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    words: &'a [crate::sync::AtomicU32],
    records: u32,
}

impl RecordWriter<'_> {
    /// Appends a record; false, and nothing written, where the area is full.
    #[inline]
    pub fn push(&mut self, a: u32, b: u32) -> bool {
        let first = self.records as usize * 2;
        match self.words.get(first..first + 2) {
            Some([x, y]) => {
                x.store(a, Relaxed);
                y.store(b, Relaxed);
                self.records += 1;
                true
            }
            _ => false,
        }
    }

    /// Stores one word of the area by its index; false out of range. For opcodes whose result is an array.
    pub fn set_word(&mut self, index: usize, value: u32) -> bool {
        match self.words.get(index) {
            Some(word) => {
                word.store(value, Relaxed);
                true
            }
            None => false,
        }
    }

    /// Record `index` as the slot's last writer has left it, if it was not written over since; `None` out of range.
    pub fn left(&self, index: u32) -> Option<(u32, u32)> {
        let first = (index as usize).checked_mul(2)?;
        match self.words.get(first..first.checked_add(2)?) {
            Some([a, b]) => Some((a.load(Relaxed), b.load(Relaxed))),
            _ => None,
        }
    }

    /// Records appended so far.
    pub fn len(&self) -> u32 {
        self.records
    }

    /// Whether no record was appended.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Records that the area holds at most.
    pub fn capacity(&self) -> usize {
        self.words.len() / 2
    }
}
