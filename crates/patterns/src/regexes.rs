//! Sets of regexes, and every match of each of them.
//!
//! Each regex is found as if it were searched for alone. Most of those that people write for many files at once contain
//! some literal that is rare: one search finds the literals of all regexes, and a regex is run only near its own.

#[allow(unsafe_code)]
mod bits;
mod compiled;
mod error;
mod gates;
mod marks;
mod open;
mod required;
mod scout;
mod search;
mod sieve;
mod size;
mod smart;

pub use error::RegexSetError;
pub use smart::smart_case;

use crate::Literals;
use bits::Unit;
use gates::{Gated, Gates, Place, Scratch};
use marks::Mark;
use regex_syntax::hir::Hir;
use regex_syntax::ParserBuilder;
use required::Required;
use scout::Scout;
use search::{Memory, Progress, Rule, Way, SHORT_TAIL};
use std::fmt;
use std::ops::Range;

/// The most literals that are looked for only where marks allow them.
const MOST_GATED: usize = 4096;

/// Regexes of which an automaton may take more bytes are compiled when the set is built.
const COMPILED_NOW: usize = 64 << 20;

/// Bytes of text whose candidates are gathered at once, so that the memory for them is bounded.
const BLOCK: usize = 1 << 16;

/// Builds a [`RegexSet`]. The options hold for all its patterns; `(?i)` and the like set them within a pattern.
#[derive(Debug, Clone)]
pub struct RegexSetBuilder {
    case_insensitive: bool,
    unicode: bool,
    multi_line: bool,
    size_limit: usize,
    total_size_limit: usize,
}

impl Default for RegexSetBuilder {
    fn default() -> Self {
        Self {
            case_insensitive: false,
            unicode: true,
            multi_line: false,
            size_limit: 10 << 20,
            total_size_limit: 1 << 30,
        }
    }
}

impl RegexSetBuilder {
    /// A builder for regexes as the `regex` crate takes them by default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether letters match in either case, as with `(?i)`. Default: no.
    pub fn case_insensitive(&mut self, yes: bool) -> &mut Self {
        self.case_insensitive = yes;
        self
    }

    /// Whether classes and `.` match characters of Unicode rather than bytes, as with `(?u)`. Default: yes.
    pub fn unicode(&mut self, yes: bool) -> &mut Self {
        self.unicode = yes;
        self
    }

    /// Whether `^` and `$` match at lines' ends too, as with `(?m)`. Default: no.
    pub fn multi_line(&mut self, yes: bool) -> &mut Self {
        self.multi_line = yes;
        self
    }

    /// The most bytes that one pattern's program may take. Default: 10 MiB, as in the `regex` crate.
    pub fn size_limit(&mut self, bytes: usize) -> &mut Self {
        self.size_limit = bytes;
        self
    }

    /// The most bytes that all patterns may take, without their literals and what searches add. Default: 1 GiB.
    pub fn total_size_limit(&mut self, bytes: usize) -> &mut Self {
        self.total_size_limit = bytes;
        self
    }

    /// Builds the set. Patterns are numbered from 0 in the order given.
    ///
    /// # Errors
    /// Names the pattern that is no regex, or with which a limit is exceeded.
    pub fn build<P: AsRef<str>>(&self, patterns: &[P]) -> Result<RegexSet, RegexSetError> {
        let unit = Unit::all().last().copied().unwrap_or(Unit::Portable);
        self.build_on(patterns, unit)
    }

    /// Builds the set for a vector unit that the processor has.
    fn build_on<P: AsRef<str>>(
        &self,
        patterns: &[P],
        unit: Unit,
    ) -> Result<RegexSet, RegexSetError> {
        let mut set = RegexSet {
            rules: Vec::with_capacity(patterns.len()),
            always: Vec::new(),
            gates: None,
            scout: None,
            exact: Group::default(),
            folded: Group::default(),
        };
        let mut gated = 0;
        let mut most = 0_usize;
        for (number, pattern) in patterns.iter().enumerate() {
            let pattern = pattern.as_ref();
            let rule = self.rule(number, pattern, MOST_GATED - gated)?;
            most = most.saturating_add(rule.compiled.most_memory().1);
            let plain = rule.required().filter(|_| rule.mark.is_none());
            if let (Some(_), Some(required)) = (rule.mark, rule.required()) {
                gated += required.literals.len();
            }
            if let Some(required) = plain {
                let group = match required.fold {
                    true => &mut set.folded,
                    false => &mut set.exact,
                };
                for literal in &required.literals {
                    group.literals.push(literal.clone());
                    group.rules.push(number);
                }
            }
            if rule.is_always() {
                set.always.push(number);
            }
            set.rules.push(rule);
        }
        if most > self.total_size_limit {
            self.check_total(&set.rules, patterns)?;
        }
        let marked: Vec<Gated<'_>> = set
            .rules
            .iter()
            .enumerate()
            .filter_map(gated_rule)
            .collect();
        set.gates = Gates::new(&marked, unit);
        let last = patterns.last().map_or("", |pattern| pattern.as_ref());
        let of_groups = [(&set.exact, false), (&set.folded, true)].into_iter();
        let of_groups = of_groups.flat_map(|(group, fold)| {
            let literals = group.literals.iter().zip(&group.rules);
            literals.map(move |(literal, rule)| (&literal[..], fold, *rule))
        });
        set.scout = Scout::new(of_groups, unit);
        for (group, fold) in [(&mut set.exact, false), (&mut set.folded, true)] {
            if set.scout.is_some() {
                break;
            }
            group.longest = group.literals.iter().map(Vec::len).max().unwrap_or(0);
            if !group.literals.is_empty() {
                let set = Literals::build(&group.literals, fold)
                    .map_err(|_| RegexSetError::too_many(patterns.len() - 1, last))?;
                group.set = Some(set);
            }
            group.literals = Vec::new();
        }
        Ok(set)
    }

    fn rule(&self, number: usize, pattern: &str, gated: usize) -> Result<Rule, RegexSetError> {
        let hir: Hir = ParserBuilder::new()
            .case_insensitive(self.case_insensitive)
            .unicode(self.unicode)
            .multi_line(self.multi_line)
            .utf8(false)
            .build()
            .parse(pattern)
            .map_err(|error| RegexSetError::syntax(number, pattern, &error))?;
        let mut required = required::required(&hir);
        let mark = mark(&hir, &mut required, gated);
        let rule = Rule::new(hir, required, mark, self.size_limit);
        // What may be too large is compiled now, so that it is known; the others when they are first needed.
        if rule.compiled.most_memory().0 > self.size_limit.min(COMPILED_NOW) {
            let compiled = rule.compile();
            compiled.map_err(|error| RegexSetError::compile(number, pattern, error))?;
        }
        Ok(rule)
    }

    /// Compiles all rules, and refuses the first with which they take too much memory together.
    fn check_total<P: AsRef<str>>(
        &self,
        rules: &[Rule],
        patterns: &[P],
    ) -> Result<(), RegexSetError> {
        let mut size = 0_usize;
        for (number, (rule, pattern)) in rules.iter().zip(patterns).enumerate() {
            let (pattern, limit) = (pattern.as_ref(), self.total_size_limit);
            let compiled = rule.compile();
            compiled.map_err(|error| RegexSetError::compile(number, pattern, error))?;
            size = size.saturating_add(rule.memory_usage());
            if size > limit {
                return Err(RegexSetError::total_size(number, pattern, limit));
            }
        }
        Ok(())
    }
}

/// The mark by which a regex is found, if there is one and no more literals than `gated` would be looked for near it.
/// Without literals, the mark tells how far it is from a match's start.
fn mark(hir: &Hir, required: &mut Option<Required>, gated: usize) -> Option<Mark> {
    match required {
        Some(required) => {
            let rest = required.rest.as_ref();
            let mark = marks::of_literal(hir, rest, (required.nearest, required.furthest))?;
            let shortest = required.literals.iter().map(Vec::len).min();
            let wanted = required.literals.len() <= gated && shortest >= Some(sieve::SHORTEST);
            wanted.then_some(mark)
        }
        None => {
            let mark = marks::of_start(hir)?;
            *required = Some(Required {
                literals: Vec::new(),
                fold: false,
                nearest: usize::try_from(mark.nearest).ok()?,
                furthest: Some(usize::try_from(mark.furthest).ok()?),
                rest: None,
            });
            Some(mark)
        }
    }
}

/// What a rule that has a mark is found by.
fn gated_rule((number, rule): (usize, &Rule)) -> Option<Gated<'_>> {
    let (mark, required) = (rule.mark?, rule.required()?);
    let literals =
        (!required.literals.is_empty()).then_some((&required.literals[..], required.fold));
    Some(Gated {
        rule: number,
        mark,
        literals,
    })
}

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
    /// The literals of the others, if they are few.
    scout: Option<Scout>,
    /// The literals of the others, if they are many.
    exact: Group,
    folded: Group,
}

/// The literals that are looked for in one search, exactly or in either case.
#[derive(Default)]
struct Group {
    set: Option<Literals>,
    /// The literals, while the set is built.
    literals: Vec<Vec<u8>>,
    /// The rule of each literal.
    rules: Vec<usize>,
    /// Bytes of the longest literal.
    longest: usize,
}

impl RegexSet {
    /// A set with the default options.
    ///
    /// # Errors
    /// See [`RegexSetBuilder::build`].
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Result<Self, RegexSetError> {
        RegexSetBuilder::new().build(patterns)
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
        let groups = [&self.exact, &self.folded].into_iter();
        let literals: usize = groups
            .filter_map(|group| group.set.as_ref().map(Literals::memory))
            .sum();
        let gates = self.gates.as_ref().map_or(0, Gates::memory);
        let scout = self.scout.as_ref().map_or(0, Scout::memory);
        literals + gates + scout + self.rules.iter().map(Rule::memory_usage).sum::<usize>()
    }

    /// Memory for searches by one thread at a time. It grows as it is used: up to some MiB for each pattern.
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
        mut found: impl FnMut(usize, Hit),
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
                rule.whole(memory, progress, part.text, |start, end| {
                    found(number, Hit::Match { start, end });
                });
            }
        }
        let (text, first) = (part.text, part.starts.start);
        if let Some(gates) = &self.gates {
            gates.begin(&mut cache.scratch, first);
        }
        for from in (part.starts.start..text.len()).step_by(BLOCK) {
            if !go_on() {
                return;
            }
            cache.places.clear();
            let until = text.len().min(from + BLOCK);
            let (scratch, places) = (&mut cache.scratch, &mut cache.places);
            if let Some(gates) = &self.gates {
                gates.find(scratch, text, first, (from, until), places);
            }
            if let Some(scout) = &self.scout {
                scout.find(&mut cache.words, text, (from, until), places);
            }
            for group in [&self.exact, &self.folded] {
                group.find(text, from, &mut cache.places);
            }
            cache.places.sort_unstable();
            for places in cache.places.chunk_by(|one, other| one.0 == other.0) {
                let number = places[0].0;
                let (rule, memory) = (&self.rules[number], &mut cache.memory[number]);
                let progress = &mut cache.progress[number];
                rule.at(
                    memory,
                    progress,
                    part,
                    places.iter().map(|(_, first, last)| (*first, *last)),
                    |start, end| found(number, Hit::Match { start, end }),
                );
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

    /// How the set finds each pattern, one for each, in order.
    pub fn explain(&self) -> impl Iterator<Item = RegexPlan<'_>> {
        self.rules.iter().map(|rule| RegexPlan { rule })
    }
}

/// A part of a longer text, for [`RegexSet::find_in`].
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The bytes that are there: those in which matches may begin, and some around them, which matches may reach into and
    /// which look-arounds see. If there are bytes before these in the longer text, at least 4 of them should be here.
    pub text: &'a [u8],
    /// Where in `text` matches may begin.
    pub starts: Range<usize>,
    /// Whether the longer text ends where `text` does.
    pub ends: bool,
}

impl<'a> Part<'a> {
    /// All of a text.
    #[must_use]
    pub fn whole(text: &'a [u8]) -> Self {
        Self {
            text,
            starts: 0..text.len(),
            ends: true,
        }
    }

    /// No match that is wanted begins here or later. An empty one may begin at the very end.
    fn limit(&self) -> usize {
        if self.ends && self.starts.end >= self.text.len() {
            self.text.len() + 1
        } else {
            self.starts.end
        }
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

impl Group {
    /// Adds rule and place of each literal that begins in the block from `from` on.
    fn find(&self, text: &[u8], from: usize, places: &mut Vec<Place>) {
        let Some(set) = &self.set else { return };
        let starts = BLOCK.min(text.len() - from);
        let end = (from + starts + self.longest - 1).min(text.len());
        set.find(&text[from..end], 0..starts, |start, literal| {
            let place = from + start;
            places.push((self.rules[literal as usize], place, place));
        });
    }
}

impl fmt::Debug for RegexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegexSet({} patterns)", self.rules.len())
    }
}

/// The memory in which [`RegexSet::find`] works.
#[derive(Debug)]
pub struct RegexSetCache {
    memory: Vec<Memory>,
    progress: Vec<Progress>,
    places: Vec<Place>,
    scratch: Scratch,
    words: Vec<u64>,
}

/// How one pattern of a [`RegexSet`] is found. It displays as a sentence.
#[derive(Debug, Clone, Copy)]
pub struct RegexPlan<'a> {
    rule: &'a Rule,
}

impl<'a> RegexPlan<'a> {
    /// The literals of which every match contains one, if the pattern is found by these. Without, it is searched for
    /// alone over the whole text.
    #[must_use]
    pub fn literals(&self) -> Option<&'a [Vec<u8>]> {
        let literals = &self.rule.required()?.literals[..];
        (!literals.is_empty()).then_some(literals)
    }

    /// Whether it is searched for alone over the whole text.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.rule.required().is_none()
    }

    /// Whether it is found by a run of bytes, which is looked for before any literals.
    #[must_use]
    pub fn by_run(&self) -> bool {
        self.rule.mark.is_some()
    }

    /// Whether ASCII letters of the literals stand for either case.
    #[must_use]
    pub fn either_case(&self) -> bool {
        self.rule.required().is_some_and(|required| required.fold)
    }
}

impl fmt::Display for RegexPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule.way {
            Way::Whole => {
                return f.write_str("searched alone over the whole text: no literal is rare enough")
            }
            Way::Window(_, longest) => write!(f, "searched in windows for {longest} bytes")?,
            Way::Tries(_) if self.rule.trying().is_some() => {
                f.write_str("tried where a match would begin")?
            }
            Way::Gate(_) | Way::Tries(_) => {
                f.write_str("searched from the first place on that allows a match")?
            }
        }
        if let Some(mark) = &self.rule.mark {
            write!(f, ", found by {mark}")?;
        }
        if self.literals().is_none() {
            return Ok(());
        }
        f.write_str(if self.either_case() {
            ", found by literals in either case:"
        } else {
            ", found by literals:"
        })?;
        for literal in self.literals().unwrap_or_default() {
            write!(f, " {:?}", literal.escape_ascii().to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector_unit_finds_the_same() {
        let patterns = [
            r"(?i)[\w.-]{0,50}?(?:secret|key)[ \w.-]{0,20}(?:=|:=|,)['\s]{0,5}([a-z0-9]{10,16})(?:['\s;]|$)",
            r"\bkey-[0-9a-f]{16}\b",
            r"[0-9]{15}[|%][a-z_-]{27}",
            r"sk_[A-Za-z0-9]{9,}",
            r"curl\b.*\n",
            r"[0-9a-f]{40}",
        ];
        let seed = gristmill_testing::seed("GRISTMILL_UNITS_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..60 {
            let mut text = Vec::new();
            for _ in 0..random.usize(..3000) {
                let parts: [&[u8]; 12] = [
                    b"secret", b"KEY", b" = ", b",'", b"key-", b"sk_", b"curl ", b"\n", b"|",
                    b"\xE9", b"'", b"%",
                ];
                text.extend(*random.choice(&parts).unwrap());
                let digits = random.choice([&b"0123456789abcdef"[..], b"0123456789", b"az_-"]);
                let digits = digits.unwrap();
                let count = random.usize(..44);
                text.extend((0..count).map(|_| *random.choice(digits).unwrap()));
            }
            let start = text.len() + 1;
            text.extend(b" key-0123456789abcdef ");
            let mut expected = None;
            for unit in Unit::all() {
                let set = RegexSetBuilder::new().build_on(&patterns, unit).unwrap();
                let mut found = Vec::new();
                set.find(&mut set.cache(), &text, |pattern, start, end| {
                    found.push((pattern, start, end));
                });
                found.sort_unstable();
                assert!(found.contains(&(1, start, start + 20)), "{unit:?}");
                assert_eq!(*expected.get_or_insert(found.clone()), found, "{unit:?}");
            }
        }
    }
}
