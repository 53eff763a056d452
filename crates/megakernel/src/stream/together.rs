//! How many patterns can end at one byte: as many as one of them has among its ends, itself included. Their records must
//! fit into one record area, as those that end together stay together.

/// The most patterns of a set that can end at one byte.
///
/// A pattern ends where another does if it is the other's end. Read backwards it is the other's beginning then, and comes
/// before it in the order of words: so one pass over the sorted set finds, for each, all of those before it.
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
    // Each the beginning of the next.
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
