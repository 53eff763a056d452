//! How patterns of a set hold each other: how many can end at one byte, since records of the same end stay together and
//! must fit into one record area, and how many bytes those have that can begin at one, since each is compared there.

use std::cmp::Ordering;

/// The most patterns of a set that can end at one byte.
///
/// Two patterns end at the same byte if one is a suffix of the other. Read from their ends, suffixes are prefixes, and a
/// prefix comes first in lexicographic order. So one pass over the sorted set finds, for each pattern, all of those
/// before it.
pub(super) fn most_ends<'p>(patterns: impl Iterator<Item = &'p [u8]>, fold: bool) -> usize {
    let mut most = 0;
    chains(patterns, fold, true, |chain| most = most.max(chain.len()));
    most
}

/// The most bytes that patterns have together which can begin at one byte.
pub(super) fn most_begun<'p>(patterns: impl Iterator<Item = &'p [u8]>, fold: bool) -> usize {
    let mut most = 0;
    let (mut lens, mut bytes) = (Vec::new(), 0);
    chains(patterns, fold, false, |chain| {
        while lens.len() >= chain.len() {
            bytes -= lens.pop().unwrap_or(0);
        }
        let last = chain.last().map_or(0, |pattern| pattern.len());
        lens.push(last);
        bytes += last;
        most = most.max(bytes);
    });
    most
}

/// The bytes of a pattern in the order in which it is compared.
#[inline]
fn bytes(pattern: &[u8], fold: bool, backwards: bool) -> impl Iterator<Item = u8> + '_ {
    (0..pattern.len()).map(move |at| {
        let byte = pattern[if backwards {
            pattern.len() - 1 - at
        } else {
            at
        }];
        if fold {
            byte.to_ascii_lowercase()
        } else {
            byte
        }
    })
}

/// Calls `found` for each pattern, with the patterns that are a prefix of it, shortest first and itself last.
fn chains<'p>(
    patterns: impl Iterator<Item = &'p [u8]>,
    fold: bool,
    backwards: bool,
    mut found: impl FnMut(&[&'p [u8]]),
) {
    // The first bytes as a number decide most comparisons.
    let mut sorted: Vec<(u64, &[u8])> = patterns
        .map(|pattern| {
            let mut first = [0; 8];
            for (to, byte) in first.iter_mut().zip(bytes(pattern, fold, backwards)) {
                *to = byte;
            }
            (u64::from_be_bytes(first), pattern)
        })
        .collect();
    sorted.sort_unstable_by(|(a, one), (b, other)| match a.cmp(b) {
        Ordering::Equal => bytes(one, fold, backwards).cmp(bytes(other, fold, backwards)),
        decided => decided,
    });
    // A stack in which each pattern is a prefix of the next.
    let mut chain: Vec<&[u8]> = Vec::new();
    for (_, pattern) in sorted {
        let holds = |begin: &&[u8]| {
            begin.len() <= pattern.len()
                && bytes(begin, fold, backwards)
                    .zip(bytes(pattern, fold, backwards))
                    .all(|(a, b)| a == b)
        };
        while chain.pop_if(|begin| !holds(begin)).is_some() {}
        chain.push(pattern);
        found(&chain);
    }
}

#[cfg(test)]
mod tests {
    use super::{most_begun, most_ends};
    use proptest::prelude::*;

    #[test]
    fn patterns_that_are_the_same_end_together() {
        let of = |patterns: &[&str], fold| {
            most_ends(patterns.iter().map(|pattern| pattern.as_bytes()), fold)
        };
        assert_eq!(of(&[], false), 0);
        assert_eq!(of(&["a", "a", "b"], false), 2);
        assert_eq!(of(&["a", "A", "bA"], false), 2);
        assert_eq!(of(&["a", "A", "bA"], true), 3);
        assert_eq!(of(&["c", "bc", "abc", "xc", "xbc"], false), 3);
        assert_eq!(of(&["0123456789\0", "0123456789", "9", "\09"], false), 2);
    }

    proptest! {
        #[test]
        fn it_is_what_counting_finds(
            patterns in prop::collection::vec(prop::collection::vec(b'a'..b'c', 1..12), 1..30),
        ) {
            let ends = |whole: &Vec<u8>| patterns.iter().filter(|end| whole.ends_with(end)).count();
            let starts = |whole: &Vec<u8>| -> usize {
                patterns.iter().filter(|begin| whole.starts_with(begin)).map(Vec::len).sum()
            };
            let all = || patterns.iter().map(Vec::as_slice);
            prop_assert_eq!(most_ends(all(), false), patterns.iter().map(ends).max().unwrap_or(0));
            prop_assert_eq!(most_begun(all(), false), patterns.iter().map(starts).max().unwrap_or(0));
        }
    }
}
