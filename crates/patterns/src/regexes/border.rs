//! Places in a text over which no match of a regex reaches: a search that begins at one finds what a search of the whole
//! text finds from there on.
//!
//! A search for all matches goes from left to right, and what it finds behind a place depends on what came before only by
//! a match that reaches over the place, or that ends there (an empty match directly behind another is none). Which match
//! begins at a given place does not depend on where the search began. So where none that begins before a place comes up
//! to it, every search stands at that place between two matches.

use super::open::Reach;
use super::open::LOOK;
use super::progress::Memory;
use super::rule::Rule;

/// The most bytes that are looked at to find such a place.
const MOST_READ: usize = 64 << 20;

impl Rule {
    /// The last place up to `at` over which no match reaches, wherever its search began, and at which none ends. `None` if
    /// bytes before the text decide, or if it takes too long to tell.
    pub fn border(
        &self,
        memory: &mut Memory,
        text: &[u8],
        at: usize,
        whole: bool,
    ) -> Option<usize> {
        let mut place = at;
        let mut left = MOST_READ;
        loop {
            let Reach { first, read } = match self.length.window() {
                Some(longest) => self.reaches(memory, text, place, longest, whole),
                _ => {
                    let open = self.compiled.open()?;
                    let cache = memory.open.get_or_insert_with(|| open.cache());
                    open.reach(cache, &text[..place], whole)
                }
            };
            let first = first?;
            if first == place {
                return Some(place);
            }
            left = left.checked_sub(read)?;
            place = first;
        }
    }

    /// Where a match of at most `longest` bytes begins that reaches to `place` or over it; `place` if there is none.
    fn reaches(
        &self,
        memory: &mut Memory,
        text: &[u8],
        place: usize,
        longest: usize,
        whole: bool,
    ) -> Reach {
        // A look-around needs the character before a match.
        let mut at = match place.checked_sub(longest + LOOK) {
            Some(from) => from + LOOK,
            None if whole => place.saturating_sub(longest),
            None => {
                return Reach {
                    first: None,
                    read: 0,
                }
            }
        };
        let mut read = 0;
        // Of matches with the same start there is one, whatever came before it.
        while let Some((start, end)) = self.first(memory, text, at, place) {
            read += end - at + 1;
            if end >= place && end > start {
                let first = Some(start);
                return Reach { first, read };
            }
            at = start + 1;
        }
        Reach {
            first: Some(place),
            read: read + longest,
        }
    }
}
