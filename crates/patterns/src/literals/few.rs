//! Few patterns, found by a packed searcher (Teddy) for a part of each.

use super::rarity;
use super::store::Store;
use super::window::Shape;
use aho_corasick::packed;
use std::collections::BTreeMap;
use std::ops::Range;

/// The most patterns that are searched for in this way.
pub(super) const MOST: usize = 48;

/// The bytes of a pattern that are searched for.
pub(super) const NEEDLE: usize = 4;

pub(super) struct Few {
    searcher: packed::Searcher,
    /// For each needle the patterns that it stands for, and where it begins in them.
    patterns: Vec<Vec<(u32, usize)>>,
    furthest: usize,
}

impl Few {
    /// Prepares the patterns with these numbers, none shorter than [`NEEDLE`]. `None` where the processor has no unit
    /// for it.
    pub fn new(store: &Store<'_>, numbers: &[u32]) -> Option<Self> {
        let mut needles: BTreeMap<&[u8], Vec<(u32, usize)>> = BTreeMap::new();
        for number in numbers {
            let pattern = store.pattern(*number);
            let at = (0..=pattern.len() - NEEDLE)
                .max_by(|a, b| {
                    let bits = |at: usize| rarity::bits(&pattern[at..at + NEEDLE]);
                    bits(*a).total_cmp(&bits(*b)).then(b.cmp(a))
                })
                .unwrap_or(0);
            let needle = &pattern[at..at + NEEDLE];
            needles.entry(needle).or_default().push((*number, at));
        }
        let searcher = packed::Config::new()
            .builder()
            .extend(needles.keys())
            .build()?;
        let patterns: Vec<_> = needles.into_values().collect();
        let furthest = patterns.iter().flatten().map(|(_, at)| *at).max();
        Some(Self {
            searcher,
            patterns,
            furthest: furthest.unwrap_or(0),
        })
    }

    pub fn shape(&self) -> Shape {
        Shape {
            window: NEEDLE,
            gram: NEEDLE,
        }
    }

    pub fn len(&self) -> usize {
        self.patterns.iter().map(Vec::len).sum()
    }

    /// The patterns' numbers, in no particular order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.patterns.iter().flatten().map(|(number, _)| *number)
    }

    pub fn bytes(&self) -> usize {
        self.searcher.memory_usage()
    }

    /// Calls `found` with start and number of every occurrence that begins in `starts`.
    pub fn find(
        &self,
        store: &Store<'_>,
        text: &[u8],
        starts: &Range<usize>,
        found: &mut impl FnMut(usize, u32),
    ) {
        let until = (starts.end + self.furthest + NEEDLE - 1).min(text.len());
        let mut at = starts.start;
        while at < until {
            let span = aho_corasick::Span::from(at..until);
            let Some(needle) = self.searcher.find_in(text, span) else {
                return;
            };
            for (pattern, offset) in &self.patterns[needle.pattern().as_usize()] {
                if let Some(start) = needle.start().checked_sub(*offset) {
                    if starts.contains(&start) && store.stands_at(text, start, *pattern) {
                        found(start, *pattern);
                    }
                }
            }
            at = needle.start() + 1;
        }
    }
}
