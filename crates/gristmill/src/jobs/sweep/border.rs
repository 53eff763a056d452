//! Where a search must begin that finds in a part of a file what a search of the whole file finds there.

use crate::jobs::MAX_HALO;
use crate::source::read_at;
use gristmill_patterns::{RegexSet, RegexSetCache};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;

/// Bytes before a place that are looked at, and those that are tried next if they do not tell.
const WINDOWS: [u64; 2] = [1 << 16, 1 << 20];

/// The least bytes that are looked at before the search begins with the file instead, and the most.
const LAST_WINDOW: RangeInclusive<u64> = 16 << 20..=1 << 30;

/// Bytes behind the place that matches may need that begin before it, with a character for look-arounds.
const BEHIND: u64 = MAX_HALO as u64 + 4;

/// A byte up to `begin` from which on a search for these regexes finds what a search of the whole file finds. It is 0 if
/// the bytes near `begin` do not tell.
///
/// A search of the whole file finds no match of more than `longest` bytes: where there is one, it gives the regex up, and
/// tells so. So no match that begins earlier reaches up to `begin`, whatever the bytes say.
pub(super) fn before(
    regexes: &RegexSet,
    cache: &mut RegexSetCache,
    file: &OwnedFd,
    begin: u64,
    longest: u64,
) -> io::Result<u64> {
    let mut from = begin;
    let mut left: Vec<usize> = (0..regexes.len()).collect();
    let last = (longest.saturating_mul(2)).clamp(*LAST_WINDOW.start(), *LAST_WINDOW.end());
    for window in WINDOWS.into_iter().chain([last]) {
        if left.is_empty() {
            return Ok(from);
        }
        let low = begin.saturating_sub(window);
        let text = read(file, low, begin + BEHIND)?;
        let at = usize::try_from(begin - low).unwrap_or(usize::MAX);
        if text.len() < at {
            // It has become shorter, which reading it will tell.
            return Ok(from);
        }
        let all = low == 0;
        let enough = window == last;
        left.retain(|&number| {
            let border = regexes.border(cache, number, &text, at, all || enough);
            let border = border.map(|border| border as u64);
            match border.filter(|border| all || !enough || *border >= longest) {
                Some(border) => {
                    from = from.min(low + border);
                    false
                }
                None => true,
            }
        });
    }
    Ok(if left.is_empty() { from } else { 0 })
}

/// The bytes of a range, as far as the file has them.
fn read(file: &OwnedFd, begin: u64, end: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(end - begin).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    let there = read_at(file, &mut bytes, begin)?;
    bytes.truncate(there);
    Ok(bytes)
}
