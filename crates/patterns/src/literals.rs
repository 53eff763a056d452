//! Sets of byte strings.
//!
//! A set is divided into classes by length (`plan`), each searched by the way that is expected to cost least: few
//! patterns by a packed searcher (`few`), others by a filter over sampled q-grams (`class`, with `filter` and the inner
//! loop `probe`), which looks at every third byte or fewer where patterns are long enough, and a table of what to compare
//! (`members`). Which part of a pattern is looked for (`choice`), and at how many positions, is decided by how rare that
//! is in ordinary text (`rarity`) and in text like the patterns themselves (`likeness`). Where all patterns can be told by
//! a few rare bytes of each, a vector unit looks for those first (`gate`), and the classes look only around what it finds,
//! unless it finds so much that they are faster alone. `store` holds the patterns.

mod choice;
mod class;
mod error;
mod few;
mod filter;
#[allow(unsafe_code)]
mod gate;
mod likeness;
mod members;
mod plan;
#[allow(unsafe_code)]
mod probe;
mod rarity;
mod saved;
mod store;
mod window;

use crate::compare::stands_at;
use class::Class;
use few::Few;
use gate::{Gate, FURTHEST, ROUND_WORDS};
use plan::Part;
use std::ops::Range;
use store::Store;
use window::Shape;

pub use error::BuildError;
pub(crate) use store::Stored;

/// A set of byte strings, prepared for finding all their occurrences.
pub struct Literals {
    stored: Stored,
    ways: Vec<Way>,
    /// What tells where in a text the ways are to look.
    gate: Option<Gate>,
    /// The positions that all ways look at around a place that the gate tells, about.
    looks_around: usize,
    cost: f32,
    longest: usize,
}

/// Patterns of similar length, which are searched for in one way. It displays as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StringClass {
    /// The number of patterns.
    pub patterns: usize,
    /// Bytes that are looked for of each.
    pub gram: usize,
    /// The text is looked at at every position in so many.
    pub stride: usize,
    /// Whether a packed searcher (Teddy) looks for them, rather than a filter. That depends on the processor, too.
    pub packed: bool,
    /// Bytes of its tables.
    pub bytes: usize,
}

impl std::fmt::Display for StringClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (patterns, gram) = (self.patterns, self.gram);
        match self.packed {
            true => write!(f, "{patterns} by {gram} bytes with teddy"),
            false => {
                let stride = self.stride;
                write!(
                    f,
                    "{patterns} by {gram} bytes at every position in {stride}"
                )
            }
        }
    }
}

/// What a vector unit looks for before anything else: some rare bytes of each pattern, around which the patterns are looked
/// for then. It displays as words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RareBytes {
    /// The patterns whose bytes are looked for: all of the set.
    pub patterns: usize,
    /// The vector unit.
    pub unit: &'static str,
    /// The processor's cycles that a byte of ordinary text is expected to take, with all that it leaves to be done.
    pub cycles: f32,
    /// Bytes of its tables.
    pub bytes: usize,
}

impl std::fmt::Display for RareBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (patterns, unit, cycles) = (self.patterns, self.unit, self.cycles);
        write!(
            f,
            "{patterns} first by rare bytes with {unit}, {cycles:.1} cycles a byte of ordinary text"
        )
    }
}

/// How the patterns of a class are searched for.
enum Way {
    /// With the shape that a filter for them would have.
    Few(Few, Shape),
    Filter(Class),
}

impl Way {
    /// How a part is searched for. It depends on the processor.
    fn new(store: &Store<'_>, part: &Part, bits: u64, gate: Option<&Gate>) -> Self {
        let few = part.numbers.len() <= few::MOST
            && gate.is_none_or(|gate| !gate.is_fast())
            && bits == 0
            && part.shape.window >= few::NEEDLE
            && part.shape.stride() < FEW_BELOW;
        let few = few.then(|| Few::new(store, &part.numbers)).flatten();
        match few {
            Some(few) => Self::Few(few, part.shape),
            None => {
                let how = (part.shape, bits);
                Self::Filter(Class::new(store, &part.numbers, how, gate))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few(few, _) => few.len(),
            Self::Filter(class) => class.len(),
        }
    }
}

/// The bytes of text that all classes look at before the next: few enough to stay in the nearest cache.
const PIECE: usize = 16 << 10;

/// Words of bits for a piece of text, and for what of a string may lie behind it.
const GATED_WORDS: usize = (PIECE + FURTHEST)
    .div_ceil(64)
    .next_multiple_of(ROUND_WORDS);

/// The ways look around needles only where that is at most at one position in so many bytes of text.
const MOST_LOOKED: usize = 16;

/// Pieces of text for which the gate is not asked where it has left too much, at least and at most.
const LEAST_PAUSE: usize = 4;
const MOST_PAUSE: usize = 64;

/// The bytes that a search for one occurrence looks at first, since that is often near.
const FIRST_PIECE: usize = 256;

/// The bit in which letters of either case differ, in each byte.
const CASE_BITS: u64 = 0x2020_2020_2020_2020;

impl Literals {
    /// Prepares a set. `fold` makes ASCII letters match in either case.
    ///
    /// # Errors
    /// [`BuildError::Empty`] for an empty pattern, [`BuildError::TooMany`] for a set that is too large.
    pub fn build<P: AsRef<[u8]>>(patterns: &[P], fold: bool) -> Result<Self, BuildError> {
        let stored = Stored::new(patterns, fold)?;
        let store = stored.view();
        let bits = if fold { CASE_BITS } else { 0 };
        let (parts, cost) = plan::plan(&store, bits);
        let gate = Gate::new(&store);
        let ways = parts.iter();
        let ways = ways.map(|part| Way::new(&store, part, bits, gate.as_ref()));
        let (ways, longest) = (ways.collect(), store.lengths().1);
        Ok(Self::of(stored, ways, gate, (cost, longest)))
    }

    /// A set of what was prepared, with its cost and the length of its longest pattern.
    fn of(
        stored: Stored,
        ways: Vec<Way>,
        gate: Option<Gate>,
        (cost, longest): (f32, usize),
    ) -> Self {
        let looks = |way: &Way| match way {
            Way::Few(..) => 0,
            Way::Filter(class) => class.looks(),
        };
        Self {
            looks_around: ways.iter().map(looks).sum(),
            stored,
            ways,
            gate,
            cost,
            longest,
        }
    }

    /// The memory, in bytes, that a set of `count` patterns of `bytes` bytes together takes at most while it is built.
    /// Less than half of it is [kept](Self::memory).
    pub fn estimate(count: usize, bytes: usize) -> usize {
        // Members and their lists, made from windows; the patterns and where they end; filters; and what is counted.
        bytes.saturating_add(count.saturating_mul(20 + 2 * 16 + 24 + 4 + 40 + 64))
    }

    /// Calls `found` with start and number of every occurrence in `text` whose first byte lies in `starts`: overlapping
    /// ones too, in no particular order. `text` ends after the last byte that an occurrence may have.
    pub fn find(&self, text: &[u8], starts: Range<usize>, mut found: impl FnMut(usize, u32)) {
        let store = self.stored.view();
        let end = starts.end.min(text.len());
        let mut from = starts.start;
        let gate = self.gate.as_ref().filter(|gate| gate.is_fast());
        // Pieces of text for which the gate is not asked, as it left too much before.
        let (mut pause, mut last_pause) = (0_usize, 0_usize);
        while from < end {
            let until = end.min(from + PIECE);
            let starts = from..until;
            from = until;
            match gate.filter(|_| pause == 0) {
                Some(gate) => {
                    let mut needles = [0; GATED_WORDS];
                    let words = (starts.len() + gate.furthest()).div_ceil(64);
                    let needles = &mut needles[..words.next_multiple_of(ROUND_WORDS)];
                    gate.fill(&text[starts.start..], needles);
                    // To count takes longer than to look whether there is anything.
                    if needles.iter().fold(0, |all, word| all | word) == 0 {
                        last_pause = 0;
                        continue;
                    }
                    let left: u32 = needles.iter().map(|word| word.count_ones()).sum();
                    if left as usize * self.looks_around <= starts.len() / MOST_LOOKED {
                        last_pause = 0;
                        for way in &self.ways {
                            if let Way::Filter(class) = way {
                                class.find_around(&store, text, &starts, needles, &mut found);
                            }
                        }
                        continue;
                    }
                    last_pause = (2 * last_pause).clamp(LEAST_PAUSE, MOST_PAUSE);
                    pause = last_pause;
                }
                None => pause = pause.saturating_sub(1),
            }
            for way in &self.ways {
                match way {
                    Way::Few(few, _) => few.find(&store, text, &starts, &mut found),
                    Way::Filter(class) => class.find(&store, text, &starts, &mut found),
                }
            }
        }
    }

    /// Finds the first occurrence that begins at `from` or later: its start and number. Of several that begin there, it is
    /// the one with the lowest number.
    pub fn find_first(&self, text: &[u8], from: usize) -> Option<(usize, u32)> {
        let (mut from, mut piece) = (from, FIRST_PIECE);
        while from < text.len() {
            let until = text.len().min(from + piece);
            let mut first: Option<(usize, u32)> = None;
            self.find(text, from..until, |start, number| {
                let here = (start, number);
                first = Some(first.map_or(here, |first| first.min(here)));
            });
            if first.is_some() {
                return first;
            }
            from = until;
            piece = (2 * piece).min(PIECE);
        }
        None
    }

    /// The number of patterns.
    pub fn len(&self) -> usize {
        self.stored.view().len()
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of pattern `number`, in lower case where case is folded; none if there is none.
    pub fn pattern(&self, number: u32) -> &[u8] {
        self.stored.view().pattern(number)
    }

    /// Whether pattern `number` occurs in `text` with its first byte at `start`; not if there is none, or no such place.
    pub fn stands_at(&self, number: u32, text: &[u8], start: usize) -> bool {
        let pattern = self.pattern(number);
        !pattern.is_empty() && stands_at(text, start, pattern, self.folds())
    }

    /// Bytes of pattern `number`, or 0 if there is none.
    pub fn pattern_len(&self, number: u32) -> usize {
        self.pattern(number).len()
    }

    /// Bytes of the longest pattern.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The memory that the set takes, in bytes.
    pub fn memory(&self) -> usize {
        let classes = self.classes().map(|class| class.bytes);
        let gate = self.gate.as_ref().map_or(0, Gate::bytes);
        self.stored.view().bytes() + classes.sum::<usize>() + gate
    }

    /// The processor's cycles that a byte of text is expected to take, in text that is half ordinary and half like the
    /// patterns: a rough estimate, to choose among ways to search.
    pub fn cycles(&self) -> f32 {
        match self.rare_bytes() {
            // Text like the patterns has so many of these bytes that they are not looked for.
            Some(rare) => rare.cycles.min(self.cost).midpoint(self.cost),
            None => self.cost,
        }
    }

    /// What is looked for before anything else; `None` if no vector unit of this processor makes that worth it.
    pub fn rare_bytes(&self) -> Option<RareBytes> {
        let gate = self.gate.as_ref()?;
        Some(RareBytes {
            patterns: self.len(),
            unit: gate.unit(),
            cycles: gate.cycles()?,
            bytes: gate.bytes(),
        })
    }

    /// Whether ASCII letters match in either case.
    pub fn folds(&self) -> bool {
        self.stored.view().folds()
    }

    /// How the patterns are searched for, in words.
    pub fn explain(&self) -> String {
        let ways = self.classes().map(|class| class.to_string());
        let ways = ways.collect::<Vec<_>>().join(", ");
        match self.gate.as_ref().filter(|gate| gate.is_fast()) {
            Some(_) => format!("{ways}, around rare bytes"),
            None => ways,
        }
    }

    /// The classes into which the patterns are divided, by length.
    pub fn classes(&self) -> impl Iterator<Item = StringClass> + '_ {
        self.ways.iter().map(|way| match way {
            Way::Few(few, _) => StringClass {
                patterns: few.len(),
                gram: few.shape().gram,
                stride: 1,
                packed: true,
                bytes: few.bytes(),
            },
            Way::Filter(class) => StringClass {
                patterns: class.len(),
                gram: class.shape().gram,
                stride: class.shape().stride(),
                packed: false,
                bytes: class.bytes(),
            },
        })
    }
}

/// Where the filter looks at no more than one position in so many, it is faster than the packed searcher.
const FEW_BELOW: usize = 7;

impl std::fmt::Debug for Literals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Literals({} patterns: {})", self.len(), self.explain())
    }
}
