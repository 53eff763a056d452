//! The workers' half: what of the patterns matches in a chunk, as records.
//!
//! The matches that begin in the chunk's own bytes are told: of a string a record `(index, start)`, of a regex two,
//! `(REGEX | index, start)` and `(end, 0)`. `(OPEN | index, start)` tells that from this place on a regex's matches depend
//! on what the worker did not see. Places are counted from the chunk's first byte; the end may lie behind its last.

use super::device::{Candidates, OnDevice};
use crate::jobs::{Records, MAX_HALO};
use gristmill_megakernel::stream::{StreamOpcode, StreamSlot};
use gristmill_megakernel::{KernelError, StreamJob};
use gristmill_patterns::{Hit, Literals, Part, PatternSet, RegexSetCache};
use gristmill_protocol::stream::{StreamArgs, MODE_ALL};
use gristmill_protocol::{completion, fault};
use gristmill_ring::{lock, Outcome, RecordWriter};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

/// The opcode, of the user's range.
pub(super) const OPCODE: u32 = 0x1_0053;

/// Records of a regex's match.
const REGEX: u32 = 1 << 31;

/// The record of a regex whose matches from a place on are uncertain.
const OPEN: u32 = 1 << 30;

/// The bits of a record's first word that are an index.
const INDEX: u32 = OPEN - 1;

/// The bytes that are searched for strings before it is asked again whether the slot was cancelled.
const LOOK_BYTES: usize = 1 << 20;

/// The mode in which one match is enough.
pub(super) const MODE_ANY: u32 = 1;

/// The most records that one match takes.
pub(super) const RECORDS_OF_MATCH: usize = 2;

/// Patterns, prepared for searching by several threads.
pub(super) struct Patterns {
    pub set: Arc<PatternSet>,
    /// What searches for the regexes work in, while no search does.
    caches: Mutex<Vec<RegexSetCache>>,
    /// What a device does of the search, if it runs there.
    on_device: OnceLock<OnDevice>,
}

impl Patterns {
    pub fn new(set: Arc<PatternSet>) -> Self {
        Self {
            set,
            caches: Mutex::default(),
            on_device: OnceLock::new(),
        }
    }

    /// Calls `search` with memory for searches.
    pub fn with_cache<R>(&self, search: impl FnOnce(&mut RegexSetCache) -> R) -> R {
        let kept = lock(&self.caches).pop();
        let mut cache = kept.unwrap_or_else(|| self.set.regexes().cache());
        let result = search(&mut cache);
        lock(&self.caches).push(cache);
        result
    }

    fn strings(&self, own: &Own<'_>, candidates: Option<&[(u32, usize)]>) -> Result<(), u32> {
        let Some(strings) = self.set.strings() else {
            return Ok(());
        };
        if let Some(candidates) = candidates {
            let mut there = candidates.iter().filter(|(index, start)| {
                own.starts.contains(start)
                    && strings.stands_at(*index, own.text, *start)
                    && self
                        .set
                        .is_bounded(own.text, *start..*start + strings.pattern_len(*index))
            });
            return there.try_for_each(|(index, start)| match own.is_enough() {
                true => Ok(()),
                false => own.tell(*index, *start),
            });
        }
        for from in (own.starts.start..own.starts.end).step_by(LOOK_BYTES) {
            let to = (from + LOOK_BYTES).min(own.starts.end);
            let mut result = Ok(());
            self.set.find_strings(own.text, from..to, |at, index| {
                if result.is_ok() && !own.is_enough() {
                    result = own.tell(index, at.start);
                }
            });
            result?;
            if own.is_enough() {
                break;
            }
        }
        Ok(())
    }

    fn regexes(
        &self,
        own: &Own<'_>,
        near: Option<(&OnDevice, &[(u32, usize)])>,
    ) -> Result<(), u32> {
        if self.set.regexes().is_empty() || own.is_enough() {
            return Ok(());
        }
        let part = Part {
            text: own.text,
            starts: own.starts.clone(),
            ends: own.text.len() - own.starts.end < MAX_HALO,
        };
        let mut result = Ok(());
        let go_on = || !own.is_enough();
        let found = |index: usize, hit| {
            if own.is_enough() || result.is_err() {
                return;
            }
            result = u32::try_from(index)
                .map_err(|_| fault::INDEX_OUT_OF_RANGE)
                .and_then(|index| match hit {
                    Hit::Match { start, end } => own
                        .tell(REGEX | index, start)
                        .and_then(|()| own.push(own.place(end)?, 0)),
                    Hit::Open { from } => own.push(OPEN | index, own.place(from)?),
                });
        };
        let regexes = self.set.regexes();
        self.with_cache(|cache| match near {
            Some((on_device, places)) => {
                let places = places.iter().copied();
                regexes.find_near(cache, &on_device.near, &part, places, go_on, found);
            }
            None => regexes.find_in(cache, &part, go_on, found),
        });
        result
    }

    /// Tells what matches in a chunk: near the candidates of a device, if it has told some.
    fn search(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        near: Option<(&OnDevice, &Candidates)>,
    ) -> Result<Outcome, u32> {
        let mut count = 0;
        let mut push = |a, b| {
            let pushed = records.push(a, b);
            count += u32::from(pushed);
            pushed
        };
        let own = Own {
            text: slot.around,
            starts: slot.before..slot.before + bytes.len(),
            slot,
            records: Cell::new(Some(&mut push)),
            full: Cell::new(false),
            matches: Cell::new(0),
        };
        self.strings(&own, near.map(|(_, candidates)| &candidates.strings[..]))?;
        self.regexes(
            &own,
            near.map(|(on_device, candidates)| (on_device, &candidates.literals[..])),
        )?;
        let (full, matches) = (own.full.get(), own.matches.get());
        let mut outcome = Outcome::value(matches);
        outcome.records = count;
        outcome.flags = u32::from(full) * completion::FLAG_OVERFLOW;
        Ok(outcome)
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patterns")
            .field("strings", &self.set.strings().map(Literals::len))
            .field("regexes", &self.set.regexes().len())
            .finish_non_exhaustive()
    }
}

/// The search of a chunk.
struct Own<'a> {
    text: &'a [u8],
    /// The chunk's own bytes.
    starts: std::ops::Range<usize>,
    slot: &'a StreamSlot<'a>,
    records: Cell<Option<&'a mut dyn FnMut(u32, u32) -> bool>>,
    /// Whether the records are full.
    full: Cell<bool>,
    matches: Cell<u32>,
}

impl Own<'_> {
    /// A place in the text as a record tells it.
    fn place(&self, at: usize) -> Result<u32, u32> {
        let place = at.saturating_sub(self.starts.start);
        u32::try_from(place).map_err(|_| fault::INDEX_OUT_OF_RANGE)
    }

    fn push(&self, a: u32, b: u32) -> Result<(), u32> {
        if let Some(records) = self.records.take() {
            if !records(a, b) {
                self.full.set(true);
            }
            self.records.set(Some(records));
        }
        Ok(())
    }

    /// Tells a match.
    fn tell(&self, first: u32, start: usize) -> Result<(), u32> {
        self.matches.set(self.matches.get().saturating_add(1));
        self.push(first, self.place(start)?)
    }

    /// Whether nothing more needs to be found.
    fn is_enough(&self) -> bool {
        self.full.get()
            || (self.slot.mode == MODE_ANY && self.matches.get() > 0)
            || self.slot.cancel.is_cancelled()
    }
}

impl StreamOpcode for Patterns {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        self.search(bytes, slot, records, None)
    }

    fn device_part(&self) -> Result<Option<StreamJob>, KernelError> {
        let on_device = match self.on_device.get() {
            Some(known) => known,
            None => {
                let divided = OnDevice::new(&self.set)?;
                self.on_device.get_or_init(|| divided)
            }
        };
        Ok(Some(StreamJob::Scan(Arc::clone(&on_device.sought))))
    }

    fn part_args(&self, args: StreamArgs) -> StreamArgs {
        // A match that begins in the own bytes may have its literal behind them.
        StreamArgs {
            len: args.len.saturating_add(args.after),
            mode: MODE_ALL,
            resume: 0,
            after: 0,
            before: 0,
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
        let Some(on_device) = self.on_device.get() else {
            return self.search(bytes, slot, records, None);
        };
        if part.flags & completion::FLAG_OVERFLOW != 0 {
            on_device.overflowed();
            return self.search(bytes, slot, records, None);
        }
        let candidates = on_device.candidates(records, part.records, slot.before);
        self.search(bytes, slot, records, Some((on_device, &candidates)))
    }

    fn explain_parts(&self) -> String {
        let on_device = self.on_device.get();
        on_device.map_or_else(String::new, |on_device| on_device.explain(&self.set))
    }
}

/// What a chunk's records say of one regex. Offsets are those in the file.
#[derive(Debug, Default)]
pub(super) struct OfRegex {
    pub index: u32,
    /// Start and end of each match, ascending.
    pub matches: Vec<(u64, u64)>,
    /// From where on its matches are uncertain, if they are.
    pub open: Option<u64>,
}

/// What a chunk's records say.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Index and start of each string that was found.
    pub strings: Vec<(u32, u64)>,
    /// In order of their indexes.
    pub regexes: Vec<OfRegex>,
}

impl Told {
    /// Reads the records of a chunk that begins at `offset` of its file.
    pub fn decode(records: &Records<'_>, offset: u64) -> Self {
        let mut told = Self::default();
        let mut hits: Vec<(u32, u64, Option<u64>)> = Vec::new();
        let mut number = 0;
        while number < records.len() {
            let (first, place) = records.get(number);
            number += 1;
            let (index, start) = (first & INDEX, offset + u64::from(place));
            match (first & REGEX != 0, first & OPEN != 0) {
                (true, _) => {
                    let (end, _) = records.get(number);
                    number += 1;
                    hits.push((index, start, Some(offset + u64::from(end))));
                }
                (false, true) => hits.push((index, start, None)),
                (false, false) => told.strings.push((index, start)),
            }
        }
        // Those of one regex are in order already.
        hits.sort_by_key(|hit| hit.0);
        for (index, start, end) in hits {
            if told.regexes.last().is_none_or(|last| last.index != index) {
                told.regexes.push(OfRegex {
                    index,
                    ..OfRegex::default()
                });
            }
            if let Some(last) = told.regexes.last_mut() {
                match end {
                    Some(end) => last.matches.push((start, end)),
                    None => last.open = Some(start),
                }
            }
        }
        told
    }
}
