//! The search for marks, and for literals where marks allow them.
//!
//! Rules whose marks are alike share a *gate* (`groups` tells which): what is found is a run of bytes of a class, by the bits that tell which bytes
//! belong to it. In the blocks of 64 bytes that such runs, which are rare, are near enough to, the rules' literals are looked
//! for. Where one stands, each rule that wants it is asked whether one of the runs is its own mark. A rule without a literal
//! is tried where the gate's mark allows a match.
//!
//! A literal is found where it begins, and once: the bits of a piece of text go on as far on both
//! sides as the marks of its literals may lie.

use super::bits::{keep_led, not_zero, shrink, Classes};
use super::bytes::ByteSet;
use super::groups::{Gated, Gathered, Group};
use super::marks::Mark;
use super::sieve::Sieve;
use super::words::{first_clear, first_set, WORD};
use crate::unit::Unit;

/// Bytes of text that are looked at together: their bits stay in the nearest cache.
const PIECE: usize = 1 << 14;

/// The most bytes of a run that are passed over to see what follows it.
const FOLLOWED: usize = 32;

/// The bytes that are looked at in a piece to see whether marks are rules' own: in a text that asks for more, all are taken
/// for such.
const ASKED: usize = PIECE;

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
    /// Those of one class behind each other, the shortest runs first.
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
        let mut sets: Vec<ByteSet> = Vec::new();
        let mut class = |set: ByteSet| {
            let known = sets.iter().position(|one| *one == set);
            known.unwrap_or_else(|| {
                sets.push(set);
                sets.len() - 1
            })
        };
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
        let marks = gates.iter().map(|gate: &Gate| &gate.mark);
        let before = marks
            .clone()
            .map(|mark| usize::try_from(-mark.nearest).unwrap_or(0));
        let before = before.max().unwrap_or(0).next_multiple_of(WORD);
        let behind = marks.map(Mark::reach).max().unwrap_or(0) + WORD;
        (!gates.is_empty()).then(|| Self {
            classes: Classes::new(&sets, unit),
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
        self.classes.memory() + gates.sum::<usize>()
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
        scratch.words.resize(per_class * self.classes.len(), 0);
        self.classes.fill(text, base, per_class, &mut scratch.words);
        // The class and the length of the runs that are known, and whether there are any.
        let mut known = (usize::MAX, 0, false);
        let unit = self.classes.unit();
        for gate in &self.gates {
            let words = |class: usize| &scratch.words[class * per_class..(class + 1) * per_class];
            if known.0 != gate.class {
                scratch.runs.clear();
                scratch.runs.extend_from_slice(&words(gate.class)[1..]);
                known = (gate.class, 1, true);
            }
            while known.1 < gate.mark.run && known.2 {
                let more = known.1.min(gate.mark.run - known.1);
                shrink(unit, &mut scratch.runs, more);
                known.1 += more;
            }
            known.2 = known.2 && not_zero(unit, &scratch.runs, &mut scratch.found);
            if !known.2 {
                continue;
            }
            let marks = match (&gate.lead, gate.mark.lead) {
                (Some((leads, between)), Some(lead)) => {
                    scratch.marks.clear();
                    scratch.marks.extend_from_slice(&scratch.runs);
                    let leads = (words(*leads), words(*between));
                    keep_led(unit, &mut scratch.marks, leads, lead.reach);
                    if !not_zero(unit, &scratch.marks, &mut scratch.found) {
                        continue;
                    }
                    &scratch.marks
                }
                _ => &scratch.runs,
            };
            let Some(literals) = &gate.literals else {
                let places_of = (base, from, until);
                gate.rows(text, words(gate.class), places_of, marks, places);
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
