//! The search for marks, and for literals where a mark allows them.
//!
//! Rules whose marks are alike share a *gate*: what is found is a run of bytes of a class, by the bits that tell which bytes
//! belong to it, and around such runs, which are rare, the rules' literals are looked for. A rule without a literal is
//! tried where the gate's mark allows a match.

use super::bits::{keep_led, shrink, Classes};
use super::bytes::ByteSet;
use super::marks::Mark;
use super::sieve::Sieve;
use crate::unit::Unit;

/// Bytes of text that are looked at together: their bits stay in the nearest cache.
const PIECE: usize = 1 << 13;

/// Bytes of a word of bits.
const WORD: usize = 64;

/// What a rule is found by, besides literals in all of the text.
#[derive(Debug)]
pub(super) struct Gated<'a> {
    pub rule: usize,
    pub mark: Mark,
    /// The literals of which one lies where the mark tells, with whether ASCII letters of them stand for either case.
    /// Without, the mark tells of the matches' starts.
    pub literals: Option<(&'a [Vec<u8>], bool)>,
}

/// Marks that are alike, and who wants them.
#[derive(Debug)]
struct Gate {
    mark: Mark,
    class: usize,
    /// The classes of the byte before, and of those between.
    lead: Option<(usize, usize)>,
    literals: Option<Sieve>,
    /// For each byte, whether it may lie between literal and mark; none if all may.
    between: Option<Box<[bool; 256]>>,
    /// For each byte, whether it may follow a run; none if all may.
    behind: Option<Box<[bool; 256]>>,
    rules: Vec<usize>,
}

/// All gates of a set.
#[derive(Debug)]
pub(super) struct Gates {
    classes: Classes,
    /// Those of one class behind each other, the shortest runs first.
    gates: Vec<Gate>,
}

/// The memory that the search works in.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    words: Vec<u64>,
    runs: Vec<u64>,
    led: Vec<u64>,
    /// For each gate, up to where literals were looked for.
    done: Vec<usize>,
}

/// A place of a rule: its number, and the first and the last place that is meant.
pub(super) type Place = (usize, usize, usize);

/// Cycles for a byte of text that a gate costs where there is no mark, about.
const GATE: f64 = 0.02;

impl Gates {
    /// Divides rules among gates. `None` if there are none.
    pub fn new(gated: &[Gated<'_>], unit: Unit) -> Option<Self> {
        let mut groups: Vec<(Mark, Vec<usize>)> = Vec::new();
        for (number, one) in gated.iter().enumerate() {
            let direct = one.literals.is_none();
            let known = groups.iter_mut().find(|(mark, numbers)| {
                gated[numbers[0]].literals.is_none() == direct
                    && (mark.class, mark.run, mark.lead)
                        == (one.mark.class, one.mark.run, one.mark.lead)
                    && mark.behind.is_some() == one.mark.behind.is_some()
            });
            match known {
                Some((mark, numbers)) => {
                    *mark = mark.union(&one.mark);
                    numbers.push(number);
                }
                None => groups.push((one.mark, vec![number])),
            }
        }
        while let Some((one, other)) = cheaper(gated, &groups) {
            let (mark, numbers) = groups.swap_remove(other);
            groups[one].0 = groups[one].0.union(&mark);
            groups[one].1.extend(numbers);
        }
        groups.sort_by_key(|(mark, _)| (mark.class, mark.run));
        let mut sets: Vec<ByteSet> = Vec::new();
        let mut class = |set: ByteSet| {
            let known = sets.iter().position(|one| *one == set);
            known.unwrap_or_else(|| {
                sets.push(set);
                sets.len() - 1
            })
        };
        let mut gates = Vec::new();
        for (mark, numbers) in groups {
            let of_rules = numbers.iter().map(|number| &gated[*number]);
            let literals = of_rules.clone().filter_map(|one| {
                let (literals, fold) = one.literals?;
                Some(
                    literals
                        .iter()
                        .map(move |literal| (&literal[..], fold, one.rule)),
                )
            });
            let direct = gated[numbers[0]].literals.is_none();
            gates.push(Gate {
                between: (mark.between != ByteSet::all()).then(|| table(&mark.between)),
                behind: mark.behind.as_ref().map(table),
                class: class(mark.class.bytes()),
                lead: mark
                    .lead
                    .map(|lead| (class(lead.bytes), class(lead.between))),
                literals: (!direct).then(|| Sieve::new(literals.flatten(), unit)),
                rules: of_rules.map(|one| one.rule).collect(),
                mark,
            });
        }
        (!gates.is_empty()).then(|| Self {
            classes: Classes::new(&sets, unit),
            gates,
        })
    }

    /// Bytes of memory that they take.
    pub fn memory(&self) -> usize {
        let gates = self.gates.iter().map(|gate| {
            let literals = gate.literals.as_ref().map_or(0, Sieve::memory);
            size_of::<Gate>() + literals + size_of_val(&gate.rules[..])
        });
        self.classes.memory() + gates.sum::<usize>()
    }

    /// A search of another text begins, in which matches begin from `first` on.
    pub fn begin(&self, scratch: &mut Scratch, first: usize) {
        scratch.done.clear();
        scratch.done.resize(self.gates.len(), first);
    }

    /// Adds the places that marks in `from..until` lead to. Calls go through a text from where matches may `first` begin.
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
        // A word before, where a byte before a run may be, and one behind, where a run may end. No match has bytes before
        // the first word of all.
        let own = (until - from).div_ceil(WORD);
        let per_class = 1 + own + 1;
        scratch.words.resize(per_class * self.classes.len(), 0);
        self.classes.fill(text, from, per_class, &mut scratch.words);
        // The class and the length of the runs that are known.
        let mut known = (usize::MAX, 0);
        for (number, gate) in self.gates.iter().enumerate() {
            let words = |class: usize| &scratch.words[class * per_class..(class + 1) * per_class];
            if known.0 != gate.class {
                scratch.runs.clear();
                scratch.runs.extend_from_slice(&words(gate.class)[1..]);
                known = (gate.class, 1);
            }
            while known.1 < gate.mark.run {
                let more = known.1.min(gate.mark.run - known.1);
                shrink(self.classes.unit(), &mut scratch.runs, more);
                known.1 += more;
            }
            let bits = match (&gate.lead, gate.mark.lead) {
                (Some((leads, between)), Some(lead)) if any(&scratch.runs[..own]) => {
                    scratch.led.clear();
                    scratch.led.extend_from_slice(&scratch.runs[..own]);
                    let leads = (words(*leads), words(*between));
                    keep_led(self.classes.unit(), &mut scratch.led, leads, lead.reach);
                    &scratch.led
                }
                _ => &scratch.runs[..own],
            };
            let done = &mut scratch.done[number];
            let class = words(gate.class);
            let mut row_ends = |(start, last): (usize, usize)| {
                if gate.may_end(text, from, class, last) {
                    gate.row(text, first, (start, last), done, places);
                }
            };
            // The first and the last place of a row of marks.
            let mut row: Option<(usize, usize)> = None;
            for (eight, words) in bits.chunks(8).enumerate() {
                if !any(words) {
                    continue;
                }
                for (word, bits) in words.iter().enumerate() {
                    if *bits == 0 {
                        continue;
                    }
                    let start = from + (8 * eight + word) * WORD;
                    let mut bits = *bits;
                    if until - start < WORD {
                        bits &= (1 << (until - start)) - 1;
                    }
                    while bits != 0 {
                        let skip = bits.trailing_zeros();
                        let length = (bits >> skip).trailing_ones();
                        bits &= u64::MAX.checked_shl(skip + length).unwrap_or(0);
                        let here = start + skip as usize;
                        let last = here + length as usize - 1;
                        match &mut row {
                            Some((_, end)) if *end + 1 == here => *end = last,
                            _ => {
                                row.replace((here, last))
                                    .into_iter()
                                    .for_each(&mut row_ends);
                            }
                        }
                    }
                }
            }
            row.into_iter().for_each(row_ends);
        }
    }
}

impl Gate {
    /// Whether what follows the run of the mark at `last` may. `words` tell from a word before `from` on what is of the
    /// class.
    fn may_end(&self, text: &[u8], from: usize, words: &[u64], last: usize) -> bool {
        let Some(behind) = &self.behind else {
            return true;
        };
        let end = first_clear(words, WORD + last - from + self.mark.run);
        // Where the bits end nothing is known.
        let end = end.filter(|end| *end < words.len() * WORD);
        let byte = end.and_then(|end| text.get(from + end - WORD));
        byte.is_none_or(|byte| behind[usize::from(*byte)])
    }

    /// Adds the places that marks from `start` to `last` lead to.
    fn row(
        &self,
        text: &[u8],
        first: usize,
        (start, last): (usize, usize),
        done: &mut usize,
        places: &mut Vec<Place>,
    ) {
        match &self.literals {
            Some(literals) => {
                let from = start.saturating_add_signed(-self.mark.furthest).max(*done);
                let from = match &self.between {
                    Some(between) if from < start => {
                        let before = text[from..start].iter().rev();
                        start
                            - before
                                .take_while(|byte| between[usize::from(**byte)])
                                .count()
                    }
                    _ => from,
                };
                let until = last
                    .saturating_add_signed(1 - self.mark.nearest)
                    .min(text.len());
                if from < until {
                    literals.find(text, from, until, |rule, at| places.push((rule, at, at)));
                    *done = until;
                }
            }
            None => {
                let start = start.max(first);
                places.extend(self.rules.iter().map(|rule| (*rule, start, last)));
            }
        }
    }
}

/// For each byte, whether the set has it.
fn table(set: &ByteSet) -> Box<[bool; 256]> {
    let mut table = Box::new([false; 256]);
    let bytes = table.iter_mut().zip(0..=u8::MAX);
    bytes.for_each(|(one, byte)| *one = set.has(byte));
    table
}

/// The first bit from `at` on that is not set; none if all are.
fn first_clear(words: &[u64], at: usize) -> Option<usize> {
    let mut word = at / WORD;
    let mut clear = !*words.get(word)? & (u64::MAX << (at % WORD));
    while clear == 0 {
        word += 1;
        clear = !*words.get(word)?;
    }
    Some(word * WORD + clear.trailing_zeros() as usize)
}

/// Whether any bit is set.
fn any(words: &[u64]) -> bool {
    words.iter().fold(0, |all, word| all | word) != 0
}

/// Which two gates cost less as one, if any do.
fn cheaper(gated: &[Gated<'_>], groups: &[(Mark, Vec<usize>)]) -> Option<(usize, usize)> {
    let direct = |numbers: &[usize]| gated[numbers[0]].literals.is_none();
    let mut best: Option<(f64, (usize, usize))> = None;
    for (other, (mark, numbers)) in groups.iter().enumerate() {
        for (one, (before, of_before)) in groups[..other].iter().enumerate() {
            if direct(numbers) != direct(of_before) {
                continue;
            }
            let more = before.union(mark).cost() - before.cost() - mark.cost() - GATE;
            if more < 0.0 && best.is_none_or(|(least, _)| more < least) {
                best = Some((more, (one, other)));
            }
        }
    }
    best.map(|(_, pair)| pair)
}
