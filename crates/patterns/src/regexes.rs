//! Sets of regexes, and every match of each of them.
//!
//! Each regex is found as if it were searched for alone. Most of those that people write for many files at once contain
//! something that is rare, which is derived from the regex (`required`, `marks`), and a regex is run only near it:
//!
//! - A *mark* is a run of bytes of a class, so long that few texts have it: 32 letters and digits, or ten behind a `=`. Runs
//!   are found by bits that tell of each byte which classes it is in (`bits`, with `tables`, `words` and the vector units'
//!   `x86`), for many regexes at once (`gates`); around them the regexes' literals are looked for (`sieve`), those that look
//!   alike together (`likeness`).
//! - A literal of a regex without a mark is looked for in all of the text: a few of them by `scout`, many as a set
//!   ([`Literals`]).
//! - Where that leads to, a regex (`rule`) is tried or searched for (`search`): first in few steps (`backtrack`), and where these do
//!   not do, by an automaton. It is compiled when that happens first (`compiled`), unless it may be too large (`size`).
//!   `head` is a faster way for regexes of a common form.
//! - Where something else looks for the literals, regexes are searched for near what it tells (`near`).
//! - `open` tells what of a text that goes on is still undecided, and `stream` decides it in bounded memory, however long the
//!   text is.

mod backtrack;
#[allow(unsafe_code)]
mod bits;
mod border;
mod builder;
mod bytes;
mod characters;
mod compiled;
mod cost;
mod endless;
mod error;
mod everywhere;
mod gates;
mod groups;
mod head;
mod likeness;
mod marks;
mod meaning;
mod near;
mod open;
mod part;
mod plan;
mod progress;
mod required;
mod rule;
mod saved;
mod scout;
mod search;
mod sieve;
mod size;
mod smart;
mod stream;
mod tables;
mod walk;
mod words;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86;

pub use backtrack::{Backtracker, Told};
pub use builder::RegexSetBuilder;
pub use error::RegexSetError;
pub use near::{line_literals, NearLiterals};
pub use part::Part;
pub use plan::RegexPlan;
pub use size::of_automaton as most_memory;
pub use smart::smart_case;
pub use stream::{StreamSearch, StreamState};

use crate::unit::Unit;
use crate::Literals;
use everywhere::{Everywhere, BLOCK};
use gates::{Gates, Place, Scratch};
use progress::{Memory, Progress};
use rule::{Rule, Way, SHORT_TAIL};
use scout::Scout;
use std::fmt;

/// Many regexes, prepared for finding every match of each in a text.
///
/// A regex's matches are those that `regex::bytes::Regex::find_iter` finds for it alone: from left to right, the first
/// alternative first, without overlaps. What others of the set match makes no difference.
///
/// ```
/// use gristmill_patterns::RegexSet;
///
/// let set = RegexSet::new(&[r"key-[0-9]{4}", r"\d+"])?;
/// let mut found = Vec::new();
/// set.find(&mut set.cache(), b"key-1234", |pattern, start, end| {
///     found.push((pattern, start, end));
/// });
/// found.sort();
/// assert_eq!(found, [(0, 0, 8), (1, 4, 8)]);
/// # Ok::<(), gristmill_patterns::RegexSetError>(())
/// ```
pub struct RegexSet {
    rules: Vec<Rule>,
    /// The rules to be looked at whatever literals a text holds, in order.
    always: Vec<usize>,
    /// What finds the rules that have marks.
    gates: Option<Gates>,
    /// The literals of the others, if they are few and there is a vector unit for them.
    scout: Option<Scout>,
    /// The sets that the scout has them in, wherever it has.
    scouted: Option<Vec<u8>>,
    /// The literals of the others, if they are many: exactly, and in either case.
    everywhere: [Everywhere; 2],
}

impl RegexSet {
    /// A set with the default options.
    ///
    /// # Errors
    /// See [`RegexSetBuilder::build`].
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self, RegexSetError> {
        RegexSetBuilder::new().build(patterns)
    }

    /// A set of what was prepared. Where no scout looks for the literals that are looked for `everywhere`, these are left as
    /// they are.
    fn of(
        rules: Vec<Rule>,
        gates: Option<Gates>,
        (scouted, mut everywhere): (Option<Vec<u8>>, [Everywhere; 2]),
        unit: Unit,
    ) -> Self {
        let wanted = everywhere.iter().flat_map(Everywhere::wanted);
        let scout = scouted.as_deref();
        let scout = scout.and_then(|sets| Scout::new(wanted, sets, unit));
        if scout.is_some() {
            everywhere.iter_mut().for_each(Everywhere::leave);
        }
        let numbered = rules.iter().enumerate();
        let always = numbered.filter(|(_, rule)| rule.is_always());
        Self {
            always: always.map(|(number, _)| number).collect(),
            rules,
            gates,
            scout,
            scouted,
            everywhere,
        }
    }

    /// The number of patterns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether the set has no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Bytes of memory that the set takes, without what searches add.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        let literals: usize = self.literals().map(Literals::memory).sum();
        let gates = self.gates.as_ref().map_or(0, Gates::memory);
        let scout = self.scout.as_ref().map_or(0, Scout::memory);
        literals + gates + scout + self.rules.iter().map(Rule::memory_usage).sum::<usize>()
    }

    /// Memory for searches by one thread at a time. It grows as it is used, to some 32 MiB for all patterns and a few times
    /// 8 MiB more for one.
    #[must_use]
    pub fn cache(&self) -> RegexSetCache {
        let mut memory = Vec::new();
        memory.resize_with(self.rules.len(), Memory::default);
        RegexSetCache {
            memory,
            progress: Vec::new(),
            places: Vec::new(),
            scratch: Scratch::default(),
            words: Vec::new(),
        }
    }

    /// Calls `found` with the pattern's number, the start and the end (bytes, the end behind the last) of every match
    /// of every pattern in a whole text. The matches of one pattern come in ascending order, mixed with those of others.
    ///
    /// # Panics
    /// If `cache` was made by a set with another number of patterns; by one with other patterns, it may panic or find
    /// the wrong matches.
    pub fn find(
        &self,
        cache: &mut RegexSetCache,
        text: &[u8],
        mut found: impl FnMut(usize, usize, usize),
    ) {
        self.find_in(
            cache,
            &Part::whole(text),
            || true,
            |pattern, hit| {
                if let Hit::Match { start, end } = hit {
                    found(pattern, start, end);
                }
            },
        );
    }

    /// Searches a part of a longer text for the matches that begin in it, and calls `found` with the pattern's number and
    /// each [`Hit`]. Those of one pattern come in ascending order, mixed with those of others, an open one last.
    ///
    /// Each pattern's matches are those of a search that begins at the part's start: if a match of the bytes before
    /// reaches into the part, those that overlap it may not be the pattern's matches in the longer text.
    ///
    /// `go_on` is called every now and then; once it is false, the search ends without having found all.
    ///
    /// # Panics
    /// As [`find`](Self::find).
    pub fn find_in(
        &self,
        cache: &mut RegexSetCache,
        part: &Part<'_>,
        go_on: impl Fn() -> bool,
        found: impl FnMut(usize, Hit),
    ) {
        let (text, first) = (part.text, part.starts.start);
        self.find_by(cache, part, go_on, found, |cache, (from, until)| {
            let (scratch, places) = (&mut cache.scratch, &mut cache.places);
            if let Some(gates) = &self.gates {
                gates.find(scratch, text, first, (from, until), places);
            }
            if let Some(scout) = &self.scout {
                scout.find(&mut cache.words, text, (from, until), places);
            }
            for group in &self.everywhere {
                group.find(text, from, places);
            }
        });
    }

    /// Searches a part of a text as [`find_in`](Self::find_in) does. `gather` adds the places of each block of the text to
    /// those of the cache.
    fn find_by(
        &self,
        cache: &mut RegexSetCache,
        part: &Part<'_>,
        go_on: impl Fn() -> bool,
        mut found: impl FnMut(usize, Hit),
        mut gather: impl FnMut(&mut RegexSetCache, (usize, usize)),
    ) {
        assert_eq!(cache.memory.len(), self.rules.len(), "a cache of this set");
        cache.progress.clear();
        cache.progress.resize(
            self.rules.len(),
            Progress::new(part.starts.start, part.limit()),
        );
        let tail = part.text.len().saturating_sub(part.starts.end);
        let few = part.ends || tail >= SHORT_TAIL;
        let all = 0..if few { 0 } else { self.rules.len() };
        for number in self.always.iter().copied().filter(|_| few).chain(all) {
            if !go_on() {
                return;
            }
            let (rule, memory) = (&self.rules[number], &mut cache.memory[number]);
            let progress = &mut cache.progress[number];
            rule.settle(memory, progress, part);
            if matches!(rule.way, Way::Whole) {
                rule.whole(memory, progress, part.text, &go_on, |start, end| {
                    found(number, Hit::Match { start, end });
                });
            }
        }
        let text = part.text;
        let mut used = cache.memory_usage();
        for from in (part.starts.start..text.len()).step_by(BLOCK) {
            if !go_on() {
                return;
            }
            cache.places.clear();
            gather(cache, (from, text.len().min(from + BLOCK)));
            cache.places.sort_unstable();
            for places in cache.places.chunk_by(|one, other| one.0 == other.0) {
                if !go_on() {
                    return;
                }
                let number = places[0].0;
                let (rule, memory) = (&self.rules[number], &mut cache.memory[number]);
                let progress = &mut cache.progress[number];
                used -= memory.usage();
                rule.at(
                    memory,
                    progress,
                    part,
                    places.iter().map(|(_, first, last)| (*first, *last)),
                    |start, end| found(number, Hit::Match { start, end }),
                );
                used += memory.usage();
                if used > MOST_MEMORY {
                    cache.memory.fill_with(Memory::default);
                    used = 0;
                }
            }
        }
        for (number, progress) in cache.progress.iter().enumerate() {
            if let Some(from) = progress.open(part.limit()) {
                found(number, Hit::Open { from });
            }
        }
    }

    /// From which place on the matches of one pattern depend on bytes behind `text`, a part of a longer text that goes on:
    /// all that begin from `at` on and before this place are certain.
    ///
    /// # Panics
    /// As [`find`](Self::find); if there is no such pattern; if `at` lies behind the text.
    pub fn certain(
        &self,
        cache: &mut RegexSetCache,
        pattern: usize,
        text: &[u8],
        at: usize,
    ) -> usize {
        assert_eq!(cache.memory.len(), self.rules.len(), "a cache of this set");
        let (rule, memory) = (&self.rules[pattern], &mut cache.memory[pattern]);
        rule.certain(memory, text, at)
    }

    /// The first match of one pattern that begins from `at` on and before `limit`: start and end. Before `at` there should
    /// be at least the character before it, if there is one. A limit behind the text allows an empty match at its end.
    ///
    /// An empty match at `at` is one, even if a match ended there.
    ///
    /// # Panics
    /// As [`find`](Self::find); if there is no such pattern; if `at` lies behind the text.
    pub fn next(
        &self,
        cache: &mut RegexSetCache,
        pattern: usize,
        text: &[u8],
        at: usize,
        limit: usize,
    ) -> Option<(usize, usize)> {
        assert_eq!(cache.memory.len(), self.rules.len(), "a cache of this set");
        let (rule, memory) = (&self.rules[pattern], &mut cache.memory[pattern]);
        rule.first(memory, text, at, limit)
    }

    /// The last place up to `at` from which on a search of a longer text finds one pattern's matches, whatever it has found
    /// before: no match reaches over this place, and none ends there. `text` is the part of the longer text around `at`:
    /// behind `at` there are 4,096 bytes of it and a character, unless it ends before; before it as much as is at hand, and
    /// all of it if this is `whole`.
    ///
    /// `None` if the bytes before `text` decide, or if it would take too long to tell.
    ///
    /// # Panics
    /// As [`find`](Self::find); if there is no such pattern; if `at` lies behind the text.
    pub fn border(
        &self,
        cache: &mut RegexSetCache,
        pattern: usize,
        text: &[u8],
        at: usize,
        whole: bool,
    ) -> Option<usize> {
        assert_eq!(cache.memory.len(), self.rules.len(), "a cache of this set");
        let (rule, memory) = (&self.rules[pattern], &mut cache.memory[pattern]);
        rule.border(memory, text, at, whole)
    }

    /// Whether a match of some pattern may go on over any bytes, however many: as `(?s)a.*b` does.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.rules.iter().any(|rule| rule.length.endless)
    }

    /// The literals that are looked for in all of a text, in one search each: exactly, and in either case. There are none
    /// where they are so few that another search for them is faster; those near to runs of bytes are not among them.
    pub fn literals(&self) -> impl Iterator<Item = &Literals> {
        self.everywhere.iter().filter_map(Everywhere::set)
    }

    /// How the set finds each pattern, one for each, in order.
    pub fn explain(&self) -> impl Iterator<Item = RegexPlan<'_>> {
        self.rules.iter().map(|rule| RegexPlan { rule })
    }
}

/// What is found in a part of a text. Places are those in [`Part::text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// A match, whatever follows the part.
    Match {
        /// Its first byte.
        start: usize,
        /// Behind its last byte.
        end: usize,
    },
    /// All matches that begin before `from` are known. What begins there or later depends on the bytes behind the part.
    Open {
        /// Where that begins.
        from: usize,
    },
}

impl fmt::Debug for RegexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegexSet({} patterns)", self.rules.len())
    }
}

/// The bytes of memory that searches keep for all patterns together; above, it is given back, and grows anew.
const MOST_MEMORY: usize = 32 << 20;

/// The memory in which [`RegexSet::find`] works.
#[derive(Debug)]
pub struct RegexSetCache {
    memory: Vec<Memory>,
    progress: Vec<Progress>,
    places: Vec<Place>,
    scratch: Scratch,
    words: Vec<u64>,
}

impl RegexSetCache {
    /// Bytes of memory that searches have made for the patterns so far.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        self.memory.iter().map(Memory::usage).sum()
    }
}

/// Regexes that are found in all ways, for the tests of the modules.
#[cfg(test)]
const MIXED: [&str; 6] = [
    r"(?i)[\w.-]{0,50}?(?:secret|key)[ \w.-]{0,20}(?:=|:=|,)['\s]{0,5}([a-z0-9]{10,16})(?:['\s;]|$)",
    r"\bkey-[0-9a-f]{16}\b",
    r"[0-9]{15}[|%][a-z_-]{27}",
    r"sk_[A-Za-z0-9]{9,}",
    r"curl\b.*\n",
    r"[0-9a-f]{40}",
];

/// A text of up to `most` words and digits near which [`MIXED`] matches.
#[cfg(test)]
fn mixed(random: &mut fastrand::Rng, most: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.usize(..most) {
        let parts: [&[u8]; 12] = [
            b"secret", b"KEY", b" = ", b",'", b"key-", b"sk_", b"curl ", b"\n", b"|", b"\xE9",
            b"'", b"%",
        ];
        text.extend(*random.choice(&parts).unwrap());
        let digits = random.choice([&b"0123456789abcdef"[..], b"0123456789", b"az_-"]);
        let digits = digits.unwrap();
        let count = random.usize(..44);
        text.extend((0..count).map(|_| *random.choice(digits).unwrap()));
    }
    text
}

/// What a regex means, for the tests of the modules.
#[cfg(test)]
fn parsed(pattern: &str) -> regex_syntax::hir::Hir {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    parser.parse(pattern).unwrap()
}
