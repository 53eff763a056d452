//! The search for marks, and for literals where marks allow them.
//!
//! Rules whose marks are alike share a *gate* (`groups` tells which): what is found is a run of bytes of a class, by the bits that tell which bytes
//! belong to it. In the blocks of 64 bytes that such runs, which are rare, are near enough to, the rules' literals are looked
//! for. Where one stands, each rule that wants it is asked whether one of the runs is its own mark. A rule without a literal
//! is tried where the gate's mark allows a match.
//!
//! A literal is found where it begins, and once: the bits of a piece of text go on as far on both
//! sides as the marks of its literals may lie.

use super::bits::{keep_led, not_zero, shrink, shrunk, Classes};
use super::bytes::ByteSet;
use super::groups::{Gated, Gathered, Group};
use super::marks::Mark;
use super::sieve::Sieve;
use super::words::{first_clear, first_set, WORD};
use crate::unit::Unit;
use std::cmp::Reverse;

/// Bytes of text that are looked at together: their bits stay in the nearest cache.
const PIECE: usize = 1 << 14;

/// The most bytes of a run that are passed over to see what follows it.
const FOLLOWED: usize = 32;

/// The bytes that are looked at in a piece to see whether marks are rules' own: in a text that asks for more, all are taken
/// for such.
const ASKED: usize = PIECE;

/// The turns in which classes are looked up, at most.
const TURNS: usize = 3;

/// A length of runs at which it is asked on the way to longer ones whether there are any.
const HALFWAY: usize = 16;

/// Marks that are alike, and who wants them.
#[derive(Debug)]
struct Gate {
    mark: Mark,
    class: usize,
    /// The classes of the byte before, and of those between.
    lead: Option<(usize, usize)>,
    /// The literals, with the numbers in `rules` of those that want them. Without, rules are tried where the mark tells.
    literals: Option<Sieve>,
    rules: Vec<Wanted>,
}

/// A rule of a gate.
#[derive(Debug)]
struct Wanted {
    rule: usize,
    /// Its own mark, and the bytes of its class.
    mark: Mark,
    class: ByteSet,
}

/// All gates of a set.
#[derive(Debug)]
pub(super) struct Gates {
    classes: Classes,
    /// For each class those that lie within it, itself too: they have no run of a length that it has none of.
    within: Vec<Vec<usize>>,
    /// The class of all bytes that lie before runs, if it is looked up to know whether one does.
    leads: Option<usize>,
    /// Those of one class behind each other, the shortest runs first; the classes with most bytes first.
    gates: Vec<Gate>,
    /// The group of each.
    groups: Vec<Group>,
    /// How far before a piece of text, and behind it, the marks of its literals may reach, in bytes. The first is a multiple
    /// of a word's.
    before: usize,
    behind: usize,
}

/// The memory that the search works in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    words: Vec<u64>,
    /// The turns in which classes were looked up in the piece.
    turns: Vec<bool>,
    /// For each class, a length of which the piece has no run.
    none: Vec<usize>,
    runs: Vec<u64>,
    /// The bits where marks of a gate begin.
    marks: Vec<u64>,
    /// Which words of them are not zero, a bit for each.
    found: Vec<u64>,
    /// The blocks of a piece in which literals may be, a bit for each.
    blocks: Vec<u64>,
    /// The bits where literals may be.
    literals: Vec<u64>,
}

/// A place of a rule: its number, and the first and the last place that is meant.
pub(super) type Place = (usize, usize, usize);

impl Gates {
    /// Prepares groups of rules, each with its literals. `None` if there are none.
    pub fn new(gated: &[Gated<'_>], groups: Vec<Gathered>, unit: Unit) -> Option<Self> {
        let (sets, leads) = sets(&groups, unit);
        let class = |set: ByteSet| sets.iter().position(|(one, _)| *one == set).unwrap_or(0);
        let (mut gates, mut kept) = (Vec::new(), Vec::new());
        for Gathered { group, literals } in groups {
            let mark = group.mark;
            let rules = group.numbers.iter().filter_map(|number| gated.get(*number));
            let rules = rules.map(|one| Wanted {
                rule: one.rule,
                mark: one.mark,
                class: one.mark.class.bytes(),
            });
            let sieve = |literals| Sieve::new(literals, group.sets.as_deref(), unit);
            gates.push(Gate {
                class: class(mark.class.bytes()),
                lead: mark.lead.map(|lead| {
                    let leads = class(lead.bytes);
                    // Where nothing lies between, no class is asked.
                    (
                        leads,
                        if lead.reach > 1 {
                            class(lead.between)
                        } else {
                            leads
                        },
                    )
                }),
                literals: literals.map(sieve),
                rules: rules.collect(),
                mark,
            });
            kept.push(group);
        }
        gates.sort_by_key(|gate: &Gate| {
            let bytes = gate.mark.class.bytes().len();
            (Reverse(bytes), gate.class, gate.mark.run)
        });
        let within = sets.iter().map(|(of, _)| {
            let within = sets.iter().enumerate();
            let within = within.filter(|(_, (set, _))| set.is_within(of));
            within.map(|(class, _)| class).collect()
        });
        let marks = gates.iter().map(|gate| &gate.mark);
        let before = marks
            .clone()
            .map(|mark| usize::try_from(-mark.nearest).unwrap_or(0));
        let before = before.max().unwrap_or(0).next_multiple_of(WORD);
        let behind = marks.map(Mark::reach).max().unwrap_or(0) + WORD;
        (!gates.is_empty()).then(|| Self {
            classes: Classes::new(&sets, unit),
            within: within.collect(),
            leads,
            gates,
            groups: kept,
            before,
            behind,
        })
    }

    /// The groups that they were made of.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Bytes of memory that they take.
    pub fn memory(&self) -> usize {
        let gates = self.gates.iter().map(|gate| {
            let literals = gate.literals.as_ref().map_or(0, Sieve::memory);
            size_of::<Gate>() + literals + size_of_val(&gate.rules[..])
        });
        let within = self.within.iter().map(|within| size_of_val(&within[..]));
        self.classes.memory() + within.sum::<usize>() + gates.sum::<usize>()
    }

    /// Adds the places that marks lead to: literals that begin in `from..until`, and the marks there of rules without
    /// literals. Calls go through a text from where matches may `first` begin.
    pub fn find(
        &self,
        scratch: &mut Scratch,
        text: &[u8],
        first: usize,
        (from, until): (usize, usize),
        places: &mut Vec<Place>,
    ) {
        for from in (from..until).step_by(PIECE) {
            self.piece(
                scratch,
                text,
                first,
                (from, until.min(from + PIECE)),
                places,
            );
        }
    }

    fn piece(
        &self,
        scratch: &mut Scratch,
        text: &[u8],
        first: usize,
        (from, until): (usize, usize),
        places: &mut Vec<Place>,
    ) {
        // Where the bits begin. No match has bytes before the first; elsewhere there is a word before, in which a byte before
        // a run may be.
        let base = match from - first {
            near if near < self.before + WORD => first,
            _ => from - self.before,
        };
        let own = (text.len().min(until + self.behind) - base).div_ceil(WORD);
        let per_class = 1 + own;
        scratch.begin(per_class, &self.classes);
        // The class and the length of the runs that are known.
        let mut known = (usize::MAX, 0);
        let unit = self.classes.unit();
        for gate in &self.gates {
            if scratch.none[gate.class] <= gate.mark.run {
                continue;
            }
            scratch.look_up(&self.classes, gate.class, text, base, per_class);
            if known.0 != gate.class {
                known = (gate.class, 1);
                scratch.runs.resize(own, 0);
            }
            if !scratch.lengthen(unit, &mut known, gate.mark.run, per_class) {
                for within in &self.within[gate.class] {
                    scratch.none[*within] = scratch.none[*within].min(known.1);
                }
                continue;
            }
            let marks = match (&gate.lead, gate.mark.lead) {
                (Some((leads, between)), Some(lead)) => {
                    if let Some(all) = self.leads {
                        scratch.look_up(&self.classes, all, text, base, per_class);
                        if !any(of_class(&scratch.words, all, per_class)) {
                            continue;
                        }
                    }
                    for class in [*leads, *between] {
                        scratch.look_up(&self.classes, class, text, base, per_class);
                    }
                    let words = |class: usize| of_class(&scratch.words, class, per_class);
                    let leads = (words(*leads), words(*between));
                    if !any(leads.0) {
                        continue;
                    }
                    scratch.marks.resize(own, 0);
                    keep_led(unit, &scratch.runs, leads, lead.reach, &mut scratch.marks);
                    if !not_zero(unit, &scratch.marks, &mut scratch.found) {
                        continue;
                    }
                    &scratch.marks
                }
                _ => &scratch.runs,
            };
            let Some(literals) = &gate.literals else {
                let places_of = (base, from, until);
                let class = of_class(&scratch.words, gate.class, per_class);
                gate.rows(text, class, places_of, marks, places);
                continue;
            };
            let furthest = literals.furthest();
            let count = (until - from + furthest).div_ceil(WORD);
            let blocks = &mut scratch.blocks;
            gate.allow(
                &scratch.found,
                (from - base) / WORD,
                furthest,
                count,
                blocks,
            );
            let mut left = ASKED;
            literals.find(&mut scratch.literals, text, (from, blocks), |number, at| {
                let wanted = gate.rules.get(number);
                let wanted = wanted.filter(|_| (from..until).contains(&at));
                if let Some(one) =
                    wanted.filter(|one| one.is_marked(text, at, (base, marks), &mut left))
                {
                    places.push((one.rule, at, at));
                }
            });
        }
    }
}

/// The classes of groups, each with its turn: those first without whose runs it is not known that there are none of others,
/// and where there are turns that of all bytes that lie before runs, of which the number is told, too.
fn sets(groups: &[Gathered], unit: Unit) -> (Vec<(ByteSet, usize)>, Option<usize>) {
    let marks = || groups.iter().map(|gathered| &gathered.group.mark);
    let of_runs = marks().map(|mark| {
        let class = mark.class.bytes();
        let within = marks().any(|other| {
            let other = other.class.bytes();
            other != class && class.is_within(&other)
        });
        let of_class = marks().filter(|other| other.class == mark.class);
        let long = of_class.clone().all(|other| other.run >= HALFWAY);
        (class, usize::from(within && long))
    });
    let leads = || marks().filter_map(|mark| mark.lead);
    let all_leads = leads().map(|lead| lead.bytes);
    let all_leads = all_leads.reduce(|one, other| one.union(&other));
    let all_leads = all_leads.filter(|_| Classes::in_turns(unit));
    // Where nothing lies between, no class is asked.
    let of_leads = leads().flat_map(|lead| {
        let between = (lead.reach > 1).then_some(lead.between);
        [Some(lead.bytes), between].into_iter().flatten()
    });
    let mut sets: Vec<(ByteSet, usize)> = Vec::new();
    let of_leads = of_leads.map(|set| (set, 2));
    let all = all_leads.map(|set| (set, 0)).into_iter();
    for (set, turn) in all.chain(of_runs).chain(of_leads) {
        if !sets.iter().any(|(known, _)| *known == set) {
            sets.push((set, turn));
        }
    }
    sets.sort_by_key(|(_, turn)| *turn);
    let number = |all| sets.iter().position(|(set, _)| *set == all);
    let number = all_leads.and_then(number);
    (sets, number)
}

/// The words of a class.
fn of_class(words: &[u64], class: usize, per_class: usize) -> &[u64] {
    &words[class * per_class..(class + 1) * per_class]
}

/// Whether one of these words is not zero.
fn any(words: &[u64]) -> bool {
    let mut some = words.chunks(WORD / 2);
    some.any(|words| words.iter().fold(0, |all, word| all | word) != 0)
}

impl Scratch {
    /// Begins with a piece, of which nothing is known yet.
    fn begin(&mut self, per_class: usize, classes: &Classes) {
        self.words.resize(per_class * classes.len(), 0);
        self.turns.clear();
        self.turns.resize(TURNS, false);
        self.none.clear();
        self.none.resize(classes.len(), usize::MAX);
    }

    /// Looks up a class, and all of its turn, from `base` on, if that was not done yet.
    fn look_up(
        &mut self,
        classes: &Classes,
        class: usize,
        text: &[u8],
        base: usize,
        per_class: usize,
    ) {
        let turn = classes.turn(class);
        if !std::mem::replace(&mut self.turns[turn], true) {
            classes.fill(turn, text, base, per_class, &mut self.words);
        }
    }

    /// Goes on from the runs of a class and a length that are `known` to those of a length that is not less. False if there
    /// are none of the length that is known then.
    fn lengthen(
        &mut self,
        unit: Unit,
        known: &mut (usize, usize),
        length: usize,
        per_class: usize,
    ) -> bool {
        let class = of_class(&self.words, known.0, per_class);
        if length <= 1 {
            self.runs.copy_from_slice(&class[1..]);
        }
        while known.1 < length {
            let halfway = known.1 < HALFWAY && length > HALFWAY;
            let next = if halfway { HALFWAY } else { length };
            while known.1 < next {
                let more = known.1.min(next - known.1);
                match known.1 {
                    1 => shrunk(unit, &class[1..], more, &mut self.runs),
                    _ => shrink(unit, &mut self.runs, more),
                }
                known.1 += more;
            }
            if halfway && !any(&self.runs) {
                return false;
            }
        }
        not_zero(unit, &self.runs, &mut self.found)
    }
}

impl Gate {
    /// The blocks, of so many, in which a literal's bytes may be by which it is found, up to `furthest` bytes behind its start.
    /// `found` tells which words of bits have marks; so many of these are `skipped` before the first block.
    fn allow(
        &self,
        found: &[u64],
        skipped: usize,
        furthest: usize,
        count: usize,
        blocks: &mut Vec<u64>,
    ) {
        blocks.clear();
        blocks.resize(count.div_ceil(WORD), 0);
        let block = WORD.cast_signed();
        let skipped = skipped.cast_signed();
        let first = (-self.mark.furthest).div_euclid(block) - skipped;
        let last = block - 1 - self.mark.nearest + furthest.cast_signed();
        for by in first..=last.div_euclid(block) - skipped {
            add_moved(blocks, found, by);
        }
        let rest = count % WORD;
        if let (Some(last), 1..) = (blocks.last_mut(), rest) {
            *last &= (1 << rest) - 1;
        }
    }

    /// Adds the rows of marks that begin in `from..until`, for rules without literals. `marks` begin at `base`.
    fn rows(
        &self,
        text: &[u8],
        class: &[u64],
        (base, from, until): (usize, usize, usize),
        marks: &[u64],
        places: &mut Vec<Place>,
    ) {
        let mut at = from - base;
        while let Some(start) = first_set(marks, at).filter(|start| start + base < until) {
            let end = first_clear(marks, start)
                .unwrap_or(marks.len() * WORD)
                .min(until - base);
            if self.may_end(text, base, class, end - 1) {
                let place = (start + base, end - 1 + base);
                places.extend(self.rules.iter().map(|one| (one.rule, place.0, place.1)));
            }
            at = end;
        }
    }

    /// Whether what follows the run of the mark at `last` may. `class` tells what is of the class, from a word before `base`
    /// on.
    fn may_end(&self, text: &[u8], base: usize, class: &[u64], last: usize) -> bool {
        let Some(behind) = &self.mark.behind else {
            return true;
        };
        let end = first_clear(class, WORD + last + self.mark.run);
        // Where the bits end nothing is known.
        let end = end.filter(|end| *end < class.len() * WORD);
        let byte = end.and_then(|end| text.get(base + end - WORD));
        byte.is_none_or(|byte| behind.has(*byte))
    }
}

impl Wanted {
    /// Whether the rule's mark may lie where it must for a literal at `at`. `marks` are the gate's, from `base` on.
    fn is_marked(
        &self,
        text: &[u8],
        at: usize,
        (base, marks): (usize, &[u64]),
        left: &mut usize,
    ) -> bool {
        let mark = &self.mark;
        let last = at.saturating_add_signed(mark.furthest);
        let words = last.checked_sub(base).map_or(0, |last| last / WORD + 1);
        let marks = &marks[..words.min(marks.len())];
        *left = left.saturating_sub(1);
        let mut from = at.saturating_add_signed(mark.nearest).max(base);
        let mut between = at;
        loop {
            let start = first_set(marks, from - base).map(|start| start + base);
            let Some(start) = start.filter(|start| *start <= last) else {
                return false;
            };
            *left = left.saturating_sub(start.saturating_sub(between) + mark.run);
            if *left == 0 {
                return true;
            }
            if mark.between != ByteSet::all() && between < start {
                let bytes = text.get(between..start).unwrap_or_default();
                if !bytes.iter().all(|byte| mark.between.has(*byte)) {
                    return false;
                }
                between = start;
            }
            let run = text.get(start..).unwrap_or_default();
            let mut run = run.iter().take(mark.run + FOLLOWED);
            let length = run
                .clone()
                .take_while(|byte| self.class.has(**byte))
                .count();
            if length >= mark.run {
                let next = run.nth(length);
                match (&mark.behind, next) {
                    (Some(behind), Some(next)) if !behind.has(*next) => {}
                    _ => return true,
                }
            }
            from = start + length + 1;
        }
    }
}

/// Adds to `words` the bits of `from`, each by so many places further.
fn add_moved(words: &mut [u64], from: &[u64], by: isize) {
    let whole = by.div_euclid(WORD.cast_signed());
    let bits = by.rem_euclid(WORD.cast_signed());
    let at = |index: isize| {
        usize::try_from(index)
            .ok()
            .and_then(|index| from.get(index))
    };
    for (number, word) in (0..).zip(words) {
        let here = at(number - whole).copied().unwrap_or(0);
        let before = at(number - whole - 1).copied().unwrap_or(0);
        *word |= here << bits | (before >> 1) >> (63 - bits);
    }
}
