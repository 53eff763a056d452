//! Counts how many patterns can end at one byte: for each pattern this is the number of patterns in the set that it
//! ends with, itself included. Their records must fit into one record area, since records of the same end stay
//! together.

/// The most patterns of a set that can end at one byte.
///
/// Two patterns end at the same byte if one is a suffix of the other. When both are reversed, the suffix becomes a
/// prefix, and a prefix comes first in lexicographic order. So one pass over the sorted set finds, for each pattern,
/// all of those before it.
pub(super) fn most<'p>(patterns: impl Iterator<Item = &'p [u8]>, case_insensitive: bool) -> usize {
    let mut backwards: Vec<Vec<u8>> = patterns
        .map(|pattern| {
            let bytes = pattern.iter().rev();
            match case_insensitive {
                true => bytes.map(u8::to_ascii_lowercase).collect(),
                false => bytes.copied().collect(),
            }
        })
        .collect();
    backwards.sort_unstable();
    let mut most = 0;
    // A stack in which each pattern is a prefix of the next.
    let mut ends: Vec<&[u8]> = Vec::new();
    for pattern in &backwards {
        while ends.pop_if(|end| !pattern.starts_with(end)).is_some() {}
        ends.push(pattern);
        most = most.max(ends.len());
    }
    most
}

#[cfg(test)]
mod tests {
    use super::most;
    use proptest::prelude::*;

    #[test]
    fn patterns_that_are_the_same_end_together() {
        let of = |patterns: &[&str], fold| most(patterns.iter().map(|p| p.as_bytes()), fold);
        assert_eq!(of(&[], false), 0);
        assert_eq!(of(&["a", "a", "b"], false), 2);
        assert_eq!(of(&["a", "A", "bA"], false), 2);
        assert_eq!(of(&["a", "A", "bA"], true), 3);
        assert_eq!(of(&["c", "bc", "abc", "xc", "xbc"], false), 3);
    }

    proptest! {
        #[test]
        fn it_is_what_counting_finds(
            patterns in prop::collection::vec(prop::collection::vec(b'a'..b'c', 1..6), 1..30),
        ) {
            let ends = |whole: &Vec<u8>| patterns.iter().filter(|end| whole.ends_with(end)).count();
            let counted = patterns.iter().map(ends).max().unwrap_or(0);
            prop_assert_eq!(most(patterns.iter().map(Vec::as_slice), false), counted);
        }
    }
}
