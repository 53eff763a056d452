//! Which rules share a gate: those whose marks are alike, and those that cost less together.

use super::bytes::ByteSet;
use super::marks::{Lead, Mark};
use super::sieve::{Literal, Sieve};

/// What a rule is found by, besides literals in all of the text.
#[derive(Debug)]
pub(super) struct Gated<'a> {
    pub rule: usize,
    pub mark: Mark,
    /// The literals of which one lies where the mark tells, with whether ASCII letters of them stand for either case.
    /// Without, the mark tells of the matches' starts.
    pub literals: Option<(&'a [Vec<u8>], bool)>,
}

/// Rules that share a gate.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// What all their marks are.
    pub mark: Mark,
    /// Their numbers among those that have marks.
    pub numbers: Vec<usize>,
    /// The set of each of their literals, if a vector unit is to tell where these may be.
    pub sets: Option<Vec<u8>>,
}

/// A group, and its literals, if its rules have some.
#[derive(Debug)]
pub(super) struct Gathered {
    pub group: Group,
    pub literals: Option<Vec<Literal>>,
}

/// Cycles for a byte of text that a gate costs where there is no mark, about.
const GATE: f64 = 0.02;

/// Divides rules among gates.
pub(super) fn divide(gated: &[Gated<'_>]) -> Vec<Gathered> {
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
    share_leads(&mut groups);
    let gathered = groups.into_iter().map(|(mark, numbers)| {
        let literals = literals(gated, &numbers);
        let sets = literals.as_deref().and_then(Sieve::divide);
        let group = Group {
            mark,
            numbers,
            sets,
        };
        Gathered { group, literals }
    });
    gathered.collect()
}

/// The literals of rules with these numbers. `None` if the first has none.
pub(super) fn literals(gated: &[Gated<'_>], numbers: &[usize]) -> Option<Vec<Literal>> {
    let of_rules = || numbers.iter().filter_map(|number| gated.get(*number));
    of_rules().next()?.literals?;
    let literals = of_rules().enumerate().filter_map(|(number, one)| {
        let (literals, fold) = one.literals?;
        let literals = literals.iter();
        Some(literals.map(move |literal| (&literal[..], fold, number)))
    });
    Some(Sieve::literals(literals.flatten()))
}

/// Widens leads to those of others that have hardly any bytes more, so that there are fewer classes.
fn share_leads(groups: &mut [(Mark, Vec<usize>)]) {
    const MORE: f64 = 0.01;
    for number in 0..groups.len() {
        let Some(lead) = groups[number].0.lead else {
            continue;
        };
        let wider = |set: &ByteSet, other: &ByteSet| {
            set.is_within(other) && other.rate() - set.rate() < MORE
        };
        let others = groups.iter().filter_map(|(mark, _)| mark.lead);
        let widest = |of: fn(&Lead) -> ByteSet| {
            let set = of(&lead);
            let others = others.clone().map(|other| of(&other));
            let others = others.filter(|other| wider(&set, other));
            others
                .max_by(|one, other| one.rate().total_cmp(&other.rate()))
                .unwrap_or(set)
        };
        groups[number].0.lead = Some(Lead {
            bytes: widest(|lead| lead.bytes),
            between: widest(|lead| lead.between),
            ..lead
        });
    }
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
