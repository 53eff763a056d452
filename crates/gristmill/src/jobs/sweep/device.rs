//! A sweep on a device: the device looks for the strings and for the literals of regexes, over all bytes, and the host
//! searches for regexes near what it tells, and for those without literals in all of the chunk.
//!
//! The device's part is SCAN for every occurrence, in the own bytes and in those behind them, where a match may have its
//! literal, too. Its records are candidates: the host compares each with the bytes. Where a chunk has more than its slot's
//! area holds, the host searches the chunk as if there were no device.

use gristmill_megakernel::{KernelError, ScanMode, ScanSet};
use gristmill_patterns::{Literals, NearLiterals, PatternSet};
use gristmill_ring::RecordWriter;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// What is looked for on a device, for a sweep's patterns.
pub(super) struct OnDevice {
    /// What the device looks for.
    pub sought: Arc<ScanSet>,
    /// Whom each pattern of it is for.
    wanted: Vec<Wanted>,
    pub near: NearLiterals,
    chunks: AtomicU64,
    candidates: AtomicU64,
    /// Chunks with more candidates than could be told.
    overflowed: AtomicU64,
}

/// Whom a pattern on the device is for.
#[derive(Default)]
struct Wanted {
    /// Strings, by their indexes.
    strings: Vec<u32>,
    /// Literals of regexes, by their numbers.
    literals: Vec<u32>,
}

/// The candidates of a chunk: numbers and places in the bytes that the worker saw.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub strings: Vec<(u32, usize)>,
    pub literals: Vec<(u32, usize)>,
}

/// The most names of regexes that are told.
const MOST_NAMES: usize = 5;

impl OnDevice {
    /// Divides the search for these patterns.
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] if there is nothing that a device could look for, or if it is too much.
    pub fn new(patterns: &PatternSet) -> Result<Self, KernelError> {
        let near = patterns.regexes().near();
        let strings = patterns.strings();
        let fold = strings.is_some_and(Literals::folds) || near.literals().any(|(_, fold)| fold);
        let mut sought: BTreeMap<Vec<u8>, Wanted> = BTreeMap::new();
        let key = |bytes: &[u8]| match fold {
            true => bytes.to_ascii_lowercase(),
            false => bytes.to_vec(),
        };
        for index in 0..strings.map_or(0, count) {
            let string = strings.map_or(&[][..], |strings| strings.pattern(index));
            sought.entry(key(string)).or_default().strings.push(index);
        }
        for (number, (literal, _)) in (0..).zip(near.literals()) {
            sought
                .entry(key(literal))
                .or_default()
                .literals
                .push(number);
        }
        let (sought, wanted): (Vec<_>, Vec<_>) = sought.into_iter().unzip();
        let too_many = KernelError::Unsupported {
            what: "a device looks for 100,000 strings and literals of regexes at most",
            fix: "give fewer patterns",
        };
        if sought.is_empty() {
            return Err(KernelError::Unsupported {
                what: "a device looks for strings and for literals of regexes, and none of these regexes has a literal",
                fix: "give others beside them",
            });
        }
        let sought = ScanSet::build(&sought, fold, ScanMode::All).map_err(|_| too_many)?;
        Ok(Self {
            sought: Arc::new(sought),
            wanted,
            near,
            chunks: AtomicU64::new(0),
            candidates: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        })
    }

    /// The candidates in a chunk whose own bytes begin at `before` in what the worker saw. A device may have written
    /// anything: the caller compares them with the bytes.
    pub fn candidates(&self, records: &RecordWriter<'_>, count: u32, before: usize) -> Candidates {
        let mut found = Candidates::default();
        let told = (0..count).map_while(|index| records.left(index));
        for (start, pattern) in told {
            let Some(wanted) = self.wanted.get(pattern as usize) else {
                continue;
            };
            let place = before.saturating_add(start as usize);
            let at = |number: &u32| (*number, place);
            found.strings.extend(wanted.strings.iter().map(at));
            found.literals.extend(wanted.literals.iter().map(at));
        }
        found
            .strings
            .sort_unstable_by_key(|(index, place)| (*place, *index));
        found.strings.dedup();
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.candidates
            .fetch_add(u64::from(count), Ordering::Relaxed);
        found
    }

    /// Notes a chunk with more candidates than could be told.
    pub fn overflowed(&self) {
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.overflowed.fetch_add(1, Ordering::Relaxed);
    }

    /// Who has looked for what.
    pub fn explain(&self, patterns: &PatternSet) -> String {
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (others, regexes) = (self.near.others(), patterns.regexes().len());
        let mut told = format!(
            "the device looked for {} strings and literals in {} chunks; the host compared {} candidates, and searched near \
             them for {} regexes",
            self.wanted.len(),
            counted(&self.chunks),
            counted(&self.candidates),
            regexes - others.len()
        );
        let overflowed = counted(&self.overflowed);
        if overflowed > 0 {
            told += &format!(
                "; {overflowed} of the chunks had more candidates than a slot's area holds, and the host searched all of these"
            );
        }
        if !others.is_empty() {
            let names = others.iter().take(MOST_NAMES).map(|index| {
                let number = patterns.regex_number(u32::try_from(*index).unwrap_or(u32::MAX));
                let name = patterns.name(number);
                String::from_utf8_lossy(name).escape_debug().to_string()
            });
            let names: Vec<String> = names.collect();
            let more = match others.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            told += &format!(
                "; the host searched all bytes for {} regexes without a literal that is rare: {}{more}",
                others.len(),
                names.join(", ")
            );
        }
        told
    }
}

/// The number of strings, of which there are a million at most.
fn count(strings: &Literals) -> u32 {
    u32::try_from(strings.len()).unwrap_or(u32::MAX)
}
