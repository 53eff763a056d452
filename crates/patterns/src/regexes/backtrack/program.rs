//! What a regex is put into for backtracking.

use super::super::bytes::ByteSet;
use super::super::characters::Characters;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// The most nodes of one regex.
const MOST_NODES: usize = 1024;

/// The most nodes of a sequence. It is tried wherever its literal stands, which in a text that was made to be slow may be
/// everywhere: then each place takes so many steps.
const MOST_OF_SEQUENCE: usize = 64;

/// Bytes of a program, of a node and of a set of characters, at most, and of a range of these: numbers that are the same on
/// every processor, since compiled sets have sums of them.
const PROGRAM: usize = 64;
const NODE: usize = 96;
const CHARACTERS: usize = 56;
const RANGE: usize = 8;
const _: () = assert!(
    size_of::<Program>() <= PROGRAM
        && size_of::<Node>() <= NODE
        && size_of::<Characters>() <= CHARACTERS
        && size_of::<(char, char)>() <= RANGE
);

/// A repetition of what is no class is written out if there are no more of it.
const MOST_COPIES: u32 = 8;

/// A regex as nodes, which lead to each other.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub nodes: Vec<Node>,
    pub sets: Vec<Characters>,
    /// The first node.
    pub start: usize,
    /// Groups, the whole match not among them.
    pub groups: usize,
}

/// A part of a regex, and the node with which a match goes on behind it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub kind: Kind,
    /// Bytes of which one stands where the rest of a match begins that is not empty.
    pub first: ByteSet,
    /// Whether the rest of a match may be empty.
    pub empty: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Match,
    Literal(Box<[u8]>, usize),
    Class(Repeated),
    /// The nodes of which one follows, those that are preferred first.
    Split(Box<[usize]>),
    /// Where a group begins (even) or ends.
    Slot(usize, usize),
    Look(Look, usize),
}

/// Some characters of a class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeated {
    pub set: usize,
    pub min: u32,
    pub max: u32,
    pub greedy: bool,
    /// Whether no character of the class begins what follows.
    pub exclusive: bool,
    pub next: usize,
}

/// The end of a regex.
const END: usize = 0;

impl Program {
    /// Prepares a regex, and if wanted its groups. `None` if it has parts that are not known here.
    pub fn new(hir: &Hir, groups: bool) -> Option<Self> {
        let mut one = Self {
            nodes: Vec::new(),
            sets: Vec::new(),
            start: END,
            groups: if groups {
                hir.properties().explicit_captures_len()
            } else {
                0
            },
        };
        one.push(Kind::Match)?;
        one.start = one.part(hir, END)?;
        one.nodes.shrink_to_fit();
        one.sets.shrink_to_fit();
        Some(one)
    }

    /// Bytes of memory that a regex takes at most that is a short sequence: literals, classes and look-arounds, one behind
    /// the other. `None` for others.
    pub fn of_sequence(hir: &Hir) -> Option<usize> {
        let mut nodes = 1;
        let parts = of_sequence(hir, &mut nodes)?;
        (nodes <= MOST_OF_SEQUENCE).then_some(PROGRAM + nodes * NODE + parts)
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        let sets = self.sets.iter();
        let sets = sets.map(|set| set.memory());
        let nodes = self.nodes.iter().map(|node| match &node.kind {
            Kind::Literal(bytes, _) => bytes.len(),
            Kind::Split(branches) => size_of_val(&branches[..]),
            _ => 0,
        });
        size_of::<Self>() + size_of_val(&self.nodes[..]) + sets.chain(nodes).sum::<usize>()
    }

    /// The node of a part before `next`.
    fn part(&mut self, hir: &Hir, next: usize) -> Option<usize> {
        match hir.kind() {
            HirKind::Empty => Some(next),
            HirKind::Literal(literal) => self.push(Kind::Literal(literal.0.clone(), next)),
            HirKind::Class(class) => self.class(class, (1, 1, true), next),
            HirKind::Look(look) => self.push(Kind::Look(*look, next)),
            HirKind::Repetition(repetition) => self.repetition(repetition, next),
            HirKind::Capture(capture) if self.groups > 0 => {
                let slot = 2 * (capture.index as usize - 1);
                let end = self.push(Kind::Slot(slot + 1, next))?;
                let part = self.part(&capture.sub, end)?;
                self.push(Kind::Slot(slot, part))
            }
            HirKind::Capture(capture) => self.part(&capture.sub, next),
            HirKind::Concat(parts) => {
                let mut parts = parts.iter().rev();
                parts.try_fold(next, |next, part| self.part(part, next))
            }
            HirKind::Alternation(branches) => {
                let branches = branches.iter().map(|branch| self.part(branch, next));
                let branches: Option<Box<[usize]>> = branches.collect();
                self.push(Kind::Split(branches?))
            }
        }
    }

    fn repetition(&mut self, repetition: &Repetition, next: usize) -> Option<usize> {
        let (min, greedy) = (repetition.min, repetition.greedy);
        let mut sub = &*repetition.sub;
        while let (HirKind::Capture(capture), 0) = (sub.kind(), self.groups) {
            sub = &capture.sub;
        }
        let max = repetition.max.unwrap_or(u32::MAX);
        match sub.kind() {
            HirKind::Class(class) => return self.class(class, (min, max, greedy), next),
            HirKind::Literal(literal) if literal.0.len() == 1 => {
                let set = Characters::byte(literal.0[0]);
                return self.set(set, (min, max, greedy), next);
            }
            _ => {}
        }
        // What is empty may not be repeated as often as it is written.
        let copied = max <= MOST_COPIES && sub.properties().minimum_len() > Some(0);
        copied.then_some(())?;
        let mut node = next;
        for _ in min..max {
            let more = self.part(sub, node)?;
            let branches = if greedy { [more, next] } else { [next, more] };
            node = self.push(Kind::Split(Box::new(branches)))?;
        }
        (0..min).try_fold(node, |node, _| self.part(sub, node))
    }

    fn class(&mut self, class: &Class, count: (u32, u32, bool), next: usize) -> Option<usize> {
        self.set(Characters::new(class), count, next)
    }

    fn set(
        &mut self,
        set: Characters,
        (min, max, greedy): (u32, u32, bool),
        next: usize,
    ) -> Option<usize> {
        let follows = &self.nodes[next];
        let exclusive = !follows.empty && !set.first().meets(&follows.first);
        let known = self.sets.iter().position(|one| *one == set);
        let set = known.unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        self.push(Kind::Class(Repeated {
            set,
            min,
            max,
            greedy,
            exclusive,
            next,
        }))
    }

    fn push(&mut self, kind: Kind) -> Option<usize> {
        let of = |node: &usize| (self.nodes[*node].first, self.nodes[*node].empty);
        let either = |one: (ByteSet, bool), other: (ByteSet, bool)| {
            (one.0.union(&other.0), one.1 || other.1)
        };
        let nothing = (ByteSet::default(), false);
        let (first, empty) = match &kind {
            Kind::Match => (ByteSet::all(), true),
            Kind::Literal(bytes, next) => match bytes.first() {
                Some(byte) => {
                    let mut first = ByteSet::default();
                    first.add(*byte);
                    (first, false)
                }
                None => of(next),
            },
            Kind::Class(Repeated { max: 0, next, .. }) => of(next),
            Kind::Class(class) => {
                let first = (self.sets[class.set].first(), false);
                let next = if class.min == 0 {
                    of(&class.next)
                } else {
                    nothing
                };
                either(first, next)
            }
            Kind::Split(branches) => branches.iter().map(of).fold(nothing, either),
            Kind::Slot(_, next) | Kind::Look(_, next) => of(next),
        };
        self.nodes.push(Node { kind, first, empty });
        (self.nodes.len() <= MOST_NODES).then_some(self.nodes.len() - 1)
    }
}

/// Bytes of memory beside the nodes, which are counted.
fn of_sequence(hir: &Hir, nodes: &mut usize) -> Option<usize> {
    *nodes += 1;
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(literal) => Some(literal.0.len()),
        HirKind::Class(class) => {
            let ranges = match class {
                Class::Unicode(class) => class.ranges().len(),
                Class::Bytes(_) => 0,
            };
            Some(CHARACTERS + ranges * RANGE)
        }
        HirKind::Capture(capture) => of_sequence(&capture.sub, nodes),
        HirKind::Concat(parts) => {
            let mut parts = parts.iter().map(|part| of_sequence(part, nodes));
            parts.try_fold(0, |all, one| Some(all + one?))
        }
        HirKind::Repetition(_) | HirKind::Alternation(_) => None,
    }
}
