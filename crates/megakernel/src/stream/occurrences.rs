//! MODE_ALL for engines that do not find occurrences in the order of their records: by end, and then by pattern.
//!
//! Occurrences that end at the same byte are recorded together or not at all, since a request continues at a byte.

use super::sampled::{Sampled, LARGEST_PIECE};
use super::slot::{word, StreamSlot, LOOK_BYTES};
use aho_corasick::AhoCorasick;
use gristmill_protocol::{fault, stream::ScanResults};
use gristmill_ring::RecordWriter;

/// The fewest starts that are looked for together.
const SMALLEST_PIECE: usize = 512;

/// An occurrence by its end and pattern, in this order.
fn key(end: u32, pattern: u32) -> u64 {
    u64::from(end) << 32 | u64::from(pattern)
}

/// The end, and the pattern.
fn parts(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

/// Records what ends at one byte. Returns false if it does not fit.
///
/// # Errors
/// AREA_TOO_SMALL if it would fit into no area of this size.
fn record(
    group: &[u64],
    len: impl Fn(u32) -> usize,
    records: &mut RecordWriter<'_>,
    results: &mut ScanResults,
) -> Result<bool, u32> {
    if group.len() > records.capacity() {
        return Err(fault::AREA_TOO_SMALL);
    }
    if records.len() as usize + group.len() > records.capacity() {
        results.resume = group.first().map_or(0, |first| parts(*first).0);
        return Ok(false);
    }
    for (end, pattern) in group.iter().map(|key| parts(*key)) {
        records.push(end - word(len(pattern))?, pattern);
    }
    Ok(true)
}

impl Sampled {
    /// Records all occurrences that end at `resume` or later, as many as fit. Returns whether some did not fit.
    ///
    /// # Errors
    /// AREA_TOO_SMALL if the area is too small for occurrences that end at the same byte.
    pub(super) fn all(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
        results: &mut ScanResults,
    ) -> Result<bool, u32> {
        let literals = self.literals();
        let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
        word(bytes.len())?;
        let mut at = resume.saturating_sub(literals.longest());
        let mut piece = LARGEST_PIECE;
        // Occurrences that may have to wait for others that end before them.
        let mut kept: Vec<u64> = Vec::new();
        while at < bytes.len() && !slot.cancel.is_cancelled() {
            let until = bytes.len().min(at + piece);
            let before = kept.len();
            literals.find(bytes, at..until, |start, pattern| {
                let end = start + literals.pattern_len(pattern);
                if end >= resume {
                    // The length of all bytes fits into a word.
                    kept.push(key(end as u32, pattern));
                }
            });
            let found = kept.len() - before;
            kept.sort_unstable();
            // What begins later ends behind `until`.
            let known = if until < bytes.len() {
                until
            } else {
                usize::MAX
            };
            let ready = kept.partition_point(|key| parts(*key).0 as usize <= known);
            for group in kept[..ready].chunk_by(|a, b| parts(*a).0 == parts(*b).0) {
                if !record(
                    group,
                    |number| literals.pattern_len(number),
                    records,
                    results,
                )? {
                    results.matches = records.len();
                    return Ok(true);
                }
            }
            kept.drain(..ready);
            // What does not fit into the area is looked for again.
            let room = records.capacity() - records.len() as usize;
            piece = if found > room / 2 {
                piece / 2
            } else {
                piece * 2
            };
            piece = piece.clamp(SMALLEST_PIECE, LARGEST_PIECE);
            at = until;
        }
        results.matches = records.len();
        Ok(false)
    }
}

/// The same by an automaton of `patterns`.
///
/// # Errors
/// The same.
pub(super) fn by_automaton(
    automaton: &AhoCorasick,
    patterns: &[Vec<u8>],
    bytes: &[u8],
    slot: &StreamSlot<'_>,
    records: &mut RecordWriter<'_>,
    results: &mut ScanResults,
) -> Result<bool, u32> {
    let resume = usize::try_from(slot.resume).map_err(|_| fault::BAD_ARGUMENT)?;
    let len = |pattern: u32| patterns.get(pattern as usize).map_or(0, Vec::len);
    let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
    // The occurrences that end at one position.
    let mut group: Vec<u64> = Vec::new();
    let mut group_end = 0;
    let mut flush = |group: &mut Vec<u64>| -> Result<bool, u32> {
        group.sort_unstable();
        let fits = record(group, len, records, results)?;
        group.clear();
        Ok(fits)
    };
    // Each part also includes the bytes before it in which an occurrence can begin.
    let mut overflowed = false;
    let mut part = resume.saturating_sub(1);
    while part < bytes.len() && !overflowed && !slot.cancel.is_cancelled() {
        let until = bytes.len().min(part + LOOK_BYTES.max(longest));
        let from = (part + 1).saturating_sub(longest);
        let within = bytes.get(from..until).unwrap_or(&[]);
        for found in automaton
            .try_find_overlapping_iter(within)
            .map_err(|_| fault::BAD_ARGUMENT)?
        {
            let end = from + found.end();
            if end <= part {
                continue;
            }
            if end != group_end {
                if !flush(&mut group)? {
                    overflowed = true;
                    break;
                }
                group_end = end;
            }
            group.push(key(word(end)?, found.pattern().as_u32()));
        }
        part = until;
    }
    if !overflowed {
        overflowed = !flush(&mut group)?;
    }
    results.matches = records.len();
    Ok(overflowed)
}
