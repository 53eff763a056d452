//! Named strings and regexes, prepared together: what one sweep over a text searches for.

mod builder;
mod stored;

pub use builder::{PatternSetBuilder, PatternSetError};
pub use stored::Attached;

use crate::literals::Stored;
use crate::{Boundary, Literals, RegexSet};
use builder::Settings;
use std::ops::Range;

/// So many bytes before and behind an occurrence of a string say whether it is bounded: those of one character of UTF-8.
pub const LOOK: usize = 4;

/// Patterns, each a string or a regex with a name, prepared for searching.
///
/// It can be [saved](Self::save), and [loaded](Self::load) in far less time than it takes to prepare it.
///
/// ```
/// use gristmill_patterns::{saved, PatternSet};
///
/// let set = PatternSet::builder()
///     .string("host", "evil.example")
///     .regex("key", "key-[0-9]{4}")
///     .build()?;
/// let saved = set.save(None); // Usually to a file.
/// let bytes = saved::read(&saved[..], saved.len())?;
/// let (loaded, _) = PatternSet::load(bytes, 1 << 20)?;
/// assert_eq!((loaded.len(), loaded.name(1)), (2, &b"key"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PatternSet {
    /// None if all patterns are strings that are named as they are searched for.
    names: Option<Stored>,
    strings: Option<Literals>,
    regexes: RegexSet,
    /// The regexes as they were given.
    texts: Vec<String>,
    settings: Settings,
    /// The number of each regex among all patterns, ascending. The strings have the others.
    numbers: Vec<u32>,
    together: u32,
}

impl PatternSet {
    /// A set without patterns yet.
    #[must_use]
    pub fn builder() -> PatternSetBuilder {
        PatternSetBuilder::default()
    }

    /// The number of patterns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.strings.as_ref().map_or(0, Literals::len) + self.regexes.len()
    }

    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The strings, if there are any.
    #[must_use]
    pub fn strings(&self) -> Option<&Literals> {
        self.strings.as_ref()
    }

    /// Whether a string that stands in these bytes of a text lies between what matches must lie
    /// [between](PatternSetBuilder::boundary). [`LOOK`] bytes before and behind it are looked at.
    #[must_use]
    pub fn is_bounded(&self, text: &[u8], at: Range<usize>) -> bool {
        let settings = &self.settings;
        settings
            .boundary
            .is_none_or(|boundary| boundary.holds(settings.unicode, settings.crlf, text, at))
    }

    /// Calls `found` for each occurrence of a string that begins in `starts` and [is bounded](Self::is_bounded), with where it
    /// is and its number among [strings](Self::strings), in no particular order. The text around `starts` is seen, too: an
    /// occurrence may end there, and [`LOOK`] bytes beside it may count.
    pub fn find_strings(
        &self,
        text: &[u8],
        starts: Range<usize>,
        mut found: impl FnMut(Range<usize>, u32),
    ) {
        let Some(strings) = &self.strings else { return };
        strings.find(text, starts, |start, index| {
            let at = start..start + strings.pattern_len(index);
            if self.is_bounded(text, at.clone()) {
                found(at, index);
            }
        });
    }

    /// What matches must lie between, if they must.
    #[must_use]
    pub fn boundary(&self) -> Option<Boundary> {
        self.settings.boundary
    }

    /// The regexes.
    #[must_use]
    pub fn regexes(&self) -> &RegexSet {
        &self.regexes
    }

    /// The texts of the regexes, in their order.
    #[must_use]
    pub fn regex_texts(&self) -> &[String] {
        &self.texts
    }

    /// The name of the pattern with this number; empty if there is none.
    #[must_use]
    pub fn name(&self, number: u32) -> &[u8] {
        match (&self.names, &self.strings) {
            (Some(names), _) => names.view().pattern(number),
            (None, Some(strings)) => strings.pattern(number),
            (None, None) => &[],
        }
    }

    /// The number of a string among all patterns, by its number among [strings](Self::strings).
    #[must_use]
    pub fn string_number(&self, index: u32) -> u32 {
        // So many strings are before a regex; so many regexes are before the string.
        let before = |(place, number): (usize, u32)| (number as usize) - place <= index as usize;
        let (mut low, mut high) = (0, self.numbers.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if before((middle, self.numbers[middle])) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        index.saturating_add(u32::try_from(low).unwrap_or(u32::MAX))
    }

    /// The number of a regex among all patterns, by its number among [regexes](Self::regexes). 0 if there is none.
    #[must_use]
    pub fn regex_number(&self, index: u32) -> u32 {
        let number = self.numbers.get(index as usize);
        number.copied().unwrap_or_default()
    }

    /// No more strings than this begin at the same place of a text.
    #[must_use]
    pub fn most_together(&self) -> usize {
        self.together as usize
    }

    /// Bytes of memory that the set takes, without what searches add.
    #[must_use]
    pub fn memory(&self) -> usize {
        let names = self.names.as_ref().map_or(0, |names| names.view().bytes());
        let strings = self.strings.as_ref().map_or(0, Literals::memory);
        names + strings + self.regexes.memory_usage()
    }
}

impl std::fmt::Debug for PatternSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PatternSet")
            .field("strings", &self.strings)
            .field("regexes", &self.regexes)
            .finish_non_exhaustive()
    }
}
