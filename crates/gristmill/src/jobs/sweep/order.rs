//! Matches that wait until all that come before them in the order of rows are known.

use std::collections::BTreeSet;

/// A match. Offsets are those in the file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    /// The pattern's number.
    pub pattern: u32,
    pub start: u64,
    /// Behind its last byte.
    pub end: u64,
}

/// By end, pattern and start: the order of rows.
type Key = (u64, u32, u64);

/// The most matches that wait.
const MOST: usize = 1 << 20;

/// Matches in the order of rows: by where they end, and those that end at the same byte by pattern.
#[derive(Debug, Default)]
pub(super) struct Order {
    waiting: BTreeSet<Key>,
    /// Matches that were added since the last call of `take`.
    fresh: Vec<Key>,
}

impl Order {
    /// Adds a match.
    pub fn add(&mut self, found: Match) {
        self.fresh.push((found.end, found.pattern, found.start));
    }

    /// Where the first of those that wait begins.
    pub fn first_start(&self) -> Option<u64> {
        self.waiting.iter().map(|key| key.2).min()
    }

    /// Takes the matches that end before `horizon`, in order: none that is still to come ends there. Where more than
    /// about a million others would be left waiting, these are taken, too, out of order.
    pub fn take(&mut self, horizon: u64, mut row: impl FnMut(Match)) {
        self.fresh.sort_unstable();
        let mut give = |(end, pattern, start): Key| {
            row(Match {
                pattern,
                start,
                end,
            });
        };
        let known = self.fresh.partition_point(|key| key.0 < horizon);
        let later = self.fresh.split_off(known);
        for key in std::mem::take(&mut self.fresh) {
            while let Some(first) = self.waiting.first().copied().filter(|first| *first < key) {
                self.waiting.pop_first();
                give(first);
            }
            give(key);
        }
        while let Some(first) = self.waiting.first().copied().filter(|key| key.0 < horizon) {
            self.waiting.pop_first();
            give(first);
        }
        self.waiting.extend(later);
        if self.waiting.len() > MOST {
            std::mem::take(&mut self.waiting).into_iter().for_each(give);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_come_by_end_and_pattern_whenever_they_were_found() {
        let mut order = Order::default();
        let mut taken = Vec::new();
        let found = |end, pattern| Match {
            pattern,
            start: end - 1,
            end,
        };
        order.add(found(9, 1));
        order.add(found(3, 1));
        order.add(found(3, 0));
        order.take(4, |one| taken.push((one.end, one.pattern)));
        assert_eq!(taken, [(3, 0), (3, 1)]);
        order.add(found(10, 0));
        order.add(found(9, 0));
        order.add(found(5, 7));
        order.take(10, |one| taken.push((one.end, one.pattern)));
        assert_eq!(taken[2..], [(5, 7), (9, 0), (9, 1)]);
        order.take(u64::MAX, |one| taken.push((one.end, one.pattern)));
        assert_eq!(taken[5..], [(10, 0)]);
    }

    #[test]
    fn no_more_than_a_million_wait() {
        let mut order = Order::default();
        let mut taken = 0;
        for start in 0..2 * MOST as u64 {
            order.add(Match {
                pattern: 0,
                start,
                end: start + 1,
            });
        }
        order.take(10, |_| taken += 1);
        assert!(taken >= MOST);
        order.take(u64::MAX, |_| taken += 1);
        assert_eq!(taken, 2 * MOST);
    }
}
