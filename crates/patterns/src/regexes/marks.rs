//! Runs of bytes that every match of a regex contains: at least so many bytes in a row of a class of bytes, perhaps
//! behind a byte of another class. Such a *mark* is rare in most texts, and is found faster than any literal.
//!
//! A mark is taken from what follows each other in a regex, so it is true of every match; that it is not all that is
//! true only means that something is looked at in vain. Classes are widened to a few, so that many regexes share one.

use super::bytes::ByteSet;
use super::required::flatten;
use super::words::MOST_REACH;
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use std::fmt;
use std::sync::LazyLock;

/// The fewest bytes of a run.
pub(super) const SHORTEST: usize = 8;

/// The most bytes of a run that are looked at.
pub(super) const LONGEST: usize = 64;

/// The furthest that a run may lie from a literal or from a match's start.
const FURTHEST: usize = 1024;

/// The same of any mark: that of a literal may begin so far before it as both are from a match's start.
pub(super) const FURTHEST_OF_ALL: usize = 2 * FURTHEST;

/// A class of bytes of which runs are looked for: one of few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunClass {
    /// 0 to 3: digits of numbers to base 16; and other ASCII letters; and `_` and `-`; and what else tokens consist of.
    chars: u8,
    /// Whether all bytes that are not ASCII belong to it, or only those of the letters that are `k` and `s` in other case.
    wide: bool,
}

impl RunClass {
    /// All of them, each behind those that it contains.
    const ALL: [Self; 8] = [
        Self::new(0, false),
        Self::new(1, false),
        Self::new(2, false),
        Self::new(3, false),
        Self::new(0, true),
        Self::new(1, true),
        Self::new(2, true),
        Self::new(3, true),
    ];

    const fn new(chars: u8, wide: bool) -> Self {
        Self { chars, wide }
    }

    /// Its number in a stored set.
    pub fn number(self) -> u8 {
        self.chars | u8::from(self.wide) << 2
    }

    /// The class with a number.
    pub fn of_number(number: u8) -> Option<Self> {
        (number < 8).then_some(Self::new(number & 3, number & 4 > 0))
    }

    /// The smallest that contains both.
    pub fn union(self, other: Self) -> Self {
        Self::new(self.chars.max(other.chars), self.wide || other.wide)
    }

    /// Its bytes.
    pub fn bytes(self) -> ByteSet {
        static BYTES: LazyLock<[ByteSet; 8]> =
            LazyLock::new(|| RunClass::ALL.map(RunClass::listed));
        BYTES[usize::from(self.chars) + 4 * usize::from(self.wide)]
    }

    fn listed(self) -> ByteSet {
        let mut set = ByteSet::default();
        set.add_range(b'0', b'9');
        let last = if self.chars == 0 { 5 } else { 25 };
        set.add_range(b'a', b'a' + last);
        set.add_range(b'A', b'A' + last);
        if self.chars >= 2 {
            b"_-".iter().for_each(|byte| set.add(*byte));
        }
        if self.chars >= 3 {
            b".+/=~%".iter().for_each(|byte| set.add(*byte));
        }
        if self.wide {
            set.add_range(0x80, 0xFF);
        } else {
            // U+017F and U+212A, which are letters without regard to case.
            b"\xC5\xBF\xE2\x84\xAA"
                .iter()
                .for_each(|byte| set.add(*byte));
        }
        set
    }

    /// How often a run of so many bytes begins at a place, about, in prose and in source text.
    fn rate(self, run: usize) -> f64 {
        #[allow(clippy::cast_precision_loss)] // At most `LONGEST`.
        let more = (run.max(SHORTEST) - SHORTEST) as f64;
        let (first, per) =
            [(5e-5, 4.0), (0.05, 2.2), (0.06, 4.3), (0.08, 4.3)][usize::from(self.chars)];
        first * (-more / per).exp()
    }
}

/// A run of bytes that every match contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub class: RunClass,
    /// Its bytes, at least.
    pub run: usize,
    /// A byte before it.
    pub lead: Option<Lead>,
    /// The fewest bytes from what it is told of to the run's start, negative if the run is before that.
    pub nearest: isize,
    /// The most.
    pub furthest: isize,
    /// All bytes that may lie between, from what it is told of up to the run, if the run is not before that.
    pub between: ByteSet,
    /// If it is known: behind all bytes of the class that follow each other, one of these comes, or the text's end. None of
    /// them is of the class.
    pub behind: Option<ByteSet>,
}

/// A byte of a set lies before a run, from one byte before its start on up to `reach` bytes, with no other bytes than
/// `between` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lead {
    pub bytes: ByteSet,
    pub reach: usize,
    pub between: ByteSet,
}

impl Lead {
    /// The share of runs that lie behind such a byte, about.
    #[allow(clippy::cast_precision_loss)] // At most `MOST_REACH`.
    fn share(self) -> f64 {
        (0.2 * self.bytes.rate() * self.reach as f64).min(1.0)
    }

    /// What both allow.
    fn union(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.union(&other.bytes),
            reach: self.reach.max(other.reach),
            between: self.between.union(&other.between),
        }
    }
}

impl Mark {
    /// What either is.
    pub fn union(&self, other: &Self) -> Self {
        let leads = self.lead.zip(other.lead);
        let behind = self.behind.zip(other.behind);
        let class = self.class.union(other.class);
        Self {
            class,
            run: self.run.min(other.run),
            lead: leads.map(|(one, other)| one.union(other)),
            nearest: self.nearest.min(other.nearest),
            furthest: self.furthest.max(other.furthest),
            between: self.between.union(&other.between),
            behind: behind
                .map(|(one, other)| one.union(&other))
                .filter(|behind| !behind.meets(&class.bytes())),
        }
    }

    /// The same, of a class that contains its own.
    fn widened(&self, class: RunClass) -> Self {
        Self {
            class,
            behind: self.behind.filter(|behind| !behind.meets(&class.bytes())),
            ..*self
        }
    }

    /// The same, from a place that lies `nearest` to `furthest` bytes before, with `between` between them.
    fn shifted(&self, nearest: usize, furthest: usize, between: &ByteSet) -> Option<Self> {
        let add = |to: isize, more: usize| to.checked_add(isize::try_from(more).ok()?);
        let mark = Self {
            nearest: add(self.nearest, nearest)?,
            furthest: add(self.furthest, furthest)?,
            between: self.between.union(between),
            ..*self
        };
        (mark.furthest.unsigned_abs() <= FURTHEST).then_some(mark)
    }

    /// Bytes from what it is told of to the run's end, at most.
    pub fn reach(&self) -> usize {
        usize::try_from(self.furthest).unwrap_or(0) + self.run
    }

    /// How often it occurs at a place, about.
    fn rate(&self) -> f64 {
        let behind = if self.behind.is_some() { 0.4 } else { 1.0 };
        self.class.rate(self.run) * self.lead.map_or(1.0, Lead::share) * behind
    }

    /// About how many cycles for a byte of text it takes to look at the bytes around such marks.
    pub fn cost(&self) -> f64 {
        #[allow(clippy::cast_precision_loss)] // At most some thousands.
        let span = (self.furthest - self.nearest) as f64;
        self.rate() * (30.0 + 2.0 * (span + 1.0))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = [
            "digits to base 16",
            "letters and digits",
            "letters, digits, _ and -",
            "letters, digits and _-.+/=~%",
        ][usize::from(self.class.chars)];
        write!(f, "{} or more {what} in a row", self.run)?;
        match self.lead {
            Some(lead) => {
                f.write_str(" behind one of ")?;
                let bytes = (0..=u8::MAX).filter(|byte| lead.bytes.has(*byte));
                write!(f, "{}", bytes.collect::<Vec<u8>>().escape_ascii())
            }
            None => Ok(()),
        }
    }
}

/// Marks that cost as many cycles for a byte of text are not looked for. Those behind a byte that is rare in prose may
/// cost more.
const MOST_COST: f64 = 0.1;
const MOST_COST_BEHIND: f64 = 1.5;

/// The best mark that is told of a literal from whose start on a match goes on with `rest`, and which begins from
/// `literal` on: the fewest and the most bytes behind the start of a match of `whole`.
pub(super) fn of_literal(whole: &Hir, rest: &Hir, literal: (usize, Option<usize>)) -> Option<Mark> {
    let behind = marks(rest);
    let before: Vec<Mark> = match literal {
        (nearest, Some(furthest)) if furthest <= FURTHEST => {
            let (nearest, furthest) = (nearest as isize, furthest as isize);
            let shifted = marks(whole).into_iter().map(|mark| Mark {
                nearest: mark.nearest - furthest,
                furthest: mark.furthest - nearest,
                // The literal's own place is unknown.
                between: ByteSet::all(),
                ..mark
            });
            shifted.collect()
        }
        _ => Vec::new(),
    };
    worthwhile(best(behind.into_iter().chain(before)))
}

/// The best mark that is told of the start of a match.
pub(super) fn of_start(whole: &Hir) -> Option<Mark> {
    worthwhile(best(marks(whole).into_iter()))
}

fn best(marks: impl Iterator<Item = Mark>) -> Option<Mark> {
    marks.min_by(|one, other| one.cost().total_cmp(&other.cost()))
}

/// The mark if it is worth looking for.
fn worthwhile(mark: Option<Mark>) -> Option<Mark> {
    mark.filter(|mark| {
        let most = mark.lead.map_or(MOST_COST, |_| MOST_COST_BEHIND);
        mark.cost() < most
    })
}

/// Marks of every match, told of its start.
fn marks(hir: &Hir) -> Vec<Mark> {
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    let parts: Vec<&Hir> = parts
        .into_iter()
        .filter(|part| part.properties().maximum_len() != Some(0))
        .collect();
    let bytes: Vec<ByteSet> = parts.iter().map(|part| bytes(part)).collect();
    let mut found = Vec::new();
    // Fewest and most bytes before each part.
    let mut offsets = Vec::with_capacity(parts.len());
    let mut offset = (0_usize, Some(0_usize));
    // All bytes of the parts before each.
    let mut befores = Vec::with_capacity(parts.len());
    let mut before = ByteSet::default();
    for (part, bytes) in parts.iter().zip(&bytes) {
        offsets.push(offset);
        befores.push(before);
        if let (nearest, Some(furthest)) = offset {
            let inner = within(part).into_iter();
            found.extend(inner.filter_map(|mark| mark.shifted(nearest, furthest, &before)));
        }
        let properties = part.properties();
        let Some(least) = properties.minimum_len() else {
            return Vec::new();
        };
        let most = properties.maximum_len();
        before = before.union(bytes);
        offset.0 = offset.0.saturating_add(least);
        offset.1 = offset
            .1
            .zip(most)
            .and_then(|(one, other)| one.checked_add(other));
    }
    for class in RunClass::ALL {
        let set = class.bytes();
        let mut from = 0;
        for run in bytes.chunk_by(|one, other| one.is_within(&set) == other.is_within(&set)) {
            let parts_of_run = from..from + run.len();
            from = parts_of_run.end;
            if !run[0].is_within(&set) {
                continue;
            }
            let lengths = parts[parts_of_run.clone()].iter();
            let lengths = lengths.filter_map(|part| part.properties().minimum_len());
            let length = lengths.fold(0_usize, usize::saturating_add);
            if length < SHORTEST {
                continue;
            }
            let (nearest, Some(furthest)) = offsets[parts_of_run.start] else {
                continue;
            };
            let mark = Mark {
                class,
                run: rounded(length),
                lead: lead(&parts[..parts_of_run.start]),
                nearest: 0,
                furthest: 0,
                between: ByteSet::default(),
                behind: first_bytes(&parts[from..]).filter(|behind| !behind.meets(&set)),
            };
            found.extend(mark.shifted(nearest, furthest, &befores[parts_of_run.start]));
        }
    }
    found
}

/// A length of runs that is not more: there are few, so that regexes share them.
fn rounded(length: usize) -> usize {
    match length.min(LONGEST) {
        few @ ..16 => few / 2 * 2,
        some @ 16..40 => some / 4 * 4,
        many => many / 8 * 8,
    }
}

/// What lies before a run, if the last of the parts before it tells of a byte that is rare.
fn lead(before: &[&Hir]) -> Option<Lead> {
    let mut reach = 1_usize;
    let mut between = ByteSet::default();
    for part in before.iter().rev() {
        if part.properties().minimum_len()? > 0 {
            let last = last_bytes(part);
            let mut common = RunClass::new(2, true).bytes();
            b" \n.".iter().for_each(|byte| common.add(*byte));
            return (!last.meets(&common)).then_some(Lead {
                bytes: last,
                reach,
                between,
            });
        }
        between = between.union(&bytes(part));
        reach = reach.checked_add(part.properties().maximum_len()?)?;
        if reach > MOST_REACH {
            return None;
        }
    }
    None
}

/// Marks of every match of one part, if it is one that has others in it.
fn within(part: &Hir) -> Vec<Mark> {
    match part.kind() {
        HirKind::Repetition(repetition) if repetition.min > 0 => marks(&repetition.sub),
        HirKind::Alternation(branches) => {
            let branches: Vec<Vec<Mark>> = branches.iter().map(marks).collect();
            let in_all = |class: RunClass| {
                let of_branch = |marks: &Vec<Mark>| {
                    let marks = marks.iter().filter(|mark| mark.class.union(class) == class);
                    best(marks.map(|mark| mark.widened(class)))
                };
                let mut all = branches.iter().map(of_branch);
                let first = all.next()??;
                all.try_fold(first, |one, other| Some(one.union(&other?)))
            };
            RunClass::ALL.into_iter().filter_map(in_all).collect()
        }
        _ => Vec::new(),
    }
}

/// All bytes that a match may hold.
fn bytes(hir: &Hir) -> ByteSet {
    let all = |subs: &[Hir]| {
        let sets = subs.iter().map(bytes);
        sets.fold(ByteSet::default(), |all, one| all.union(&one))
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => ByteSet::default(),
        HirKind::Literal(literal) => {
            let mut set = ByteSet::default();
            literal.0.iter().for_each(|byte| set.add(*byte));
            set
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut set = ByteSet::default();
            let ranges = class.ranges().iter();
            ranges.for_each(|range| set.add_range(range.start(), range.end()));
            set
        }
        HirKind::Class(Class::Unicode(class)) => ByteSet::of_characters(class),
        HirKind::Repetition(repetition) => match repetition.max {
            Some(0) => ByteSet::default(),
            _ => bytes(&repetition.sub),
        },
        HirKind::Capture(capture) => bytes(&capture.sub),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => all(subs),
    }
}

/// Bytes with one of which every match of these parts begins, unless it is empty and the text ends there. `None` if a match
/// may be empty elsewhere.
fn first_bytes(parts: &[&Hir]) -> Option<ByteSet> {
    let mut all = ByteSet::default();
    for part in parts {
        match part.kind() {
            HirKind::Empty => continue,
            HirKind::Look(Look::End) => return Some(all),
            HirKind::Look(_) => return None,
            HirKind::Literal(literal) => literal.0.iter().take(1).for_each(|byte| all.add(*byte)),
            HirKind::Class(_) => all = all.union(&bytes(part)),
            HirKind::Capture(capture) => all = all.union(&first_bytes(&[&capture.sub])?),
            HirKind::Concat(subs) => {
                all = all.union(&first_bytes(&subs.iter().collect::<Vec<_>>())?);
            }
            HirKind::Alternation(subs) => {
                for sub in subs {
                    all = all.union(&first_bytes(&[sub])?);
                }
            }
            HirKind::Repetition(repetition) => {
                all = all.union(&first_bytes(&[&repetition.sub])?);
                if repetition.min == 0 {
                    continue;
                }
            }
        }
        return Some(all);
    }
    None
}

/// Bytes with one of which every match ends; its matches are not empty.
fn last_bytes(hir: &Hir) -> ByteSet {
    match hir.kind() {
        HirKind::Literal(literal) => {
            let mut set = ByteSet::default();
            literal.0.last().into_iter().for_each(|byte| set.add(*byte));
            set
        }
        HirKind::Capture(capture) => last_bytes(&capture.sub),
        HirKind::Alternation(subs) => {
            let sets = subs.iter().map(last_bytes);
            sets.fold(ByteSet::default(), |all, one| all.union(&one))
        }
        HirKind::Concat(subs) => match subs.last() {
            Some(last) if last.properties().minimum_len() > Some(0) => last_bytes(last),
            _ => bytes(hir),
        },
        _ => bytes(hir),
    }
}
