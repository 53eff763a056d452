//! The threads of a search: the states of a regex's automaton in which it is at one place of the text.

use regex_automata::nfa::thompson::{State, NFA};
use regex_automata::util::primitives::StateID;
use std::collections::HashMap;

/// The most bytes that the lists take for which bytes are remembered that leave them as they are.
const MOST_LISTS: usize = 1 << 20;

/// A way through the automaton, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thread {
    /// A state that reads a byte, or that of a match.
    state: StateID,
    /// Where the match would begin.
    pub start: u64,
}

/// What a list is known by: of each thread its state, and whether it began where the one before it in the list began.
///
/// That decides whether a byte leaves a list as it is. The states, in their order, decide which states follow, and from which
/// thread each of these comes, and so its start. Starts ascend in a list, so two threads have the same start if all from the
/// one to the other began where the one before them did. Threads that begin at this very place come last and have a start
/// that no other has; so a list is not left as it is if one of them comes into it.
type Place = (StateID, bool);

/// The threads at one place of a text, those that the regex prefers first. No two are in the same state.
#[derive(Debug)]
pub(super) struct Threads {
    nfa: NFA,
    list: Vec<Thread>,
    /// Of each state, the round in which it was entered last.
    entered: Vec<u64>,
    round: u64,
    /// Whether a thread has come to a match.
    matched: bool,
    /// Whether a look-around was asked since the last step.
    looked: bool,
    /// The threads that `begin` added are those from here on.
    begun: usize,
    /// The bytes with which a match can begin.
    first: Box<[bool; 256]>,
    /// Whether a match can be empty.
    can_be_empty: bool,
    /// The lists that a byte left as they were, and for each of them all bytes for which that is so.
    lists: HashMap<Vec<Place>, usize>,
    unchanged: Vec<[bool; 256]>,
    /// Bytes that these take.
    lists_bytes: usize,
    /// The number of the list as it is, if it is known.
    number: Option<usize>,
    /// The list that is made of `list`, and the states that are still to be entered.
    next: Vec<Thread>,
    stack: Vec<StateID>,
    /// States that were asked what follows, and bytes that were passed over.
    steps: u64,
}

impl Threads {
    pub fn new(nfa: NFA) -> Self {
        let (first, can_be_empty) = beginnings(&nfa);
        Self {
            list: Vec::new(),
            entered: vec![0; nfa.states().len()],
            nfa,
            round: 1,
            matched: false,
            looked: false,
            begun: 0,
            first: Box::new(first),
            can_be_empty,
            lists: HashMap::new(),
            unchanged: Vec::new(),
            lists_bytes: 0,
            number: None,
            next: Vec::new(),
            stack: Vec::new(),
            steps: 0,
        }
    }

    /// The steps that were taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn last(&self) -> Option<&Thread> {
        self.list.last()
    }

    /// Where the threads began, in ascending order.
    pub fn starts(&self) -> impl Iterator<Item = u64> + '_ {
        self.list.iter().map(|thread| thread.start)
    }

    /// The number of bytes of `text`, from its first on, that change nothing, as far as that is known.
    pub fn same(&mut self, text: &[u8]) -> usize {
        let Some(number) = self.number else { return 0 };
        let unchanged = &self.unchanged[number];
        let other = text.iter().position(|byte| !unchanged[usize::from(*byte)]);
        let same = other.unwrap_or(text.len());
        self.steps += same as u64;
        same
    }

    /// Adds the threads of a match that would begin here, at the byte `index` of `text`. They come last.
    pub fn begin(&mut self, start: u64, text: &[u8], index: usize) {
        let may_begin = |byte: &u8| self.first[usize::from(*byte)];
        if self.can_be_empty || text.get(index).is_some_and(may_begin) {
            std::mem::swap(&mut self.list, &mut self.next);
            self.enter(self.nfa.start_anchored(), start, text, index);
            std::mem::swap(&mut self.list, &mut self.next);
        }
    }

    /// Where the first thread that has come to a match began, if one has. It and those behind it end.
    pub fn matched(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.matched) {
            return None;
        }
        let is_match =
            |thread: &Thread| matches!(self.nfa.state(thread.state), State::Match { .. });
        let first = self.list.iter().position(is_match)?;
        let start = self.list[first].start;
        self.list.truncate(first);
        self.shortened();
        Some(start)
    }

    /// Ends all threads but those that began before this place.
    pub fn keep_before(&mut self, place: u64) {
        self.list.retain(|thread| thread.start < place);
        self.shortened();
    }

    fn shortened(&mut self) {
        self.begun = self.begun.min(self.list.len());
        self.number = None;
    }

    pub fn copy_to(&self, list: &mut Vec<Thread>) {
        list.clone_from(&self.list);
    }

    /// Takes threads that were copied, at the place where they were.
    pub fn restore(&mut self, list: &[Thread]) {
        self.list.clear();
        self.list.extend_from_slice(list);
        self.round += 1;
        for thread in &self.list {
            self.entered[thread.state.as_usize()] = self.round;
        }
        self.matched = false;
        self.looked = false;
        self.begun = self.list.len();
        self.number = None;
    }

    /// Goes on over the byte `index` of `text`. That it changed nothing is remembered if the step `is_plain`: if nothing but
    /// byte and list decides what follows.
    pub fn step(&mut self, text: &[u8], index: usize, is_plain: bool) {
        let byte = text[index];
        self.round += 1;
        self.next.clear();
        self.steps += 1 + self.list.len() as u64;
        for number in 0..self.list.len() {
            let thread = self.list[number];
            let next = match self.nfa.state(thread.state) {
                State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
                State::Sparse(sparse) => sparse.matches_byte(byte),
                State::Dense(dense) => dense.matches_byte(byte),
                _ => None,
            };
            if let Some(next) = next {
                self.enter(next, thread.start, text, index + 1);
            }
        }
        let is_same = self.next[..] == self.list[..self.begun];
        std::mem::swap(&mut self.list, &mut self.next);
        self.begun = self.list.len();
        let looked = std::mem::take(&mut self.looked);
        if !is_same {
            self.number = None;
        } else if is_plain && !looked && !self.matched {
            self.number = self.number();
            if let Some(number) = self.number {
                self.unchanged[number][usize::from(byte)] = true;
            }
        }
    }

    /// The number of the list as it is. `None` if it is too long for one.
    fn number(&mut self) -> Option<usize> {
        if self.number.is_some() {
            return self.number;
        }
        let bytes = std::mem::size_of_val(&[false; 256]) + self.list.len() * size_of::<Place>();
        if bytes > MOST_LISTS {
            return None;
        }
        let mut before = None;
        let places = self.list.iter().map(|thread| {
            let start = before.replace(thread.start);
            (thread.state, start == Some(thread.start))
        });
        let places: Vec<Place> = places.collect();
        if let Some(number) = self.lists.get(&places) {
            return Some(*number);
        }
        if self.lists_bytes + bytes > MOST_LISTS {
            self.lists.clear();
            self.unchanged.clear();
            self.lists_bytes = 0;
        }
        let number = self.unchanged.len();
        self.lists.insert(places, number);
        self.unchanged.push([false; 256]);
        self.lists_bytes += bytes;
        Some(number)
    }

    /// Adds to `next` the threads of a state, and of all that it leads to without a byte, at `index` of `text`.
    fn enter(&mut self, state: StateID, start: u64, text: &[u8], index: usize) {
        self.stack.push(state);
        while let Some(state) = self.stack.pop() {
            self.steps += 1;
            let entered = &mut self.entered[state.as_usize()];
            if std::mem::replace(entered, self.round) == self.round {
                continue;
            }
            match self.nfa.state(state) {
                State::Fail => {}
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => {
                    self.next.push(Thread { state, start });
                }
                State::Match { .. } => {
                    self.matched = true;
                    self.next.push(Thread { state, start });
                }
                State::Look { look, next } => {
                    self.looked = true;
                    if self.nfa.look_matcher().matches(*look, text, index) {
                        self.stack.push(*next);
                    }
                }
                State::Capture { next, .. } => self.stack.push(*next),
                // The last that is pushed is entered first.
                State::Union { alternates } => self.stack.extend(alternates.iter().rev()),
                State::BinaryUnion { alt1, alt2 } => self.stack.extend([*alt2, *alt1]),
            }
        }
    }
}

/// The bytes with which a match can begin, and whether it can be empty, whatever look-arounds say.
fn beginnings(nfa: &NFA) -> ([bool; 256], bool) {
    let (mut first, mut can_be_empty) = ([false; 256], false);
    let mut seen = vec![false; nfa.states().len()];
    let mut left = vec![nfa.start_anchored()];
    while let Some(id) = left.pop() {
        if std::mem::replace(&mut seen[id.as_usize()], true) {
            continue;
        }
        let mut read = |reads: &dyn Fn(u8) -> bool| {
            for byte in 0..=u8::MAX {
                first[usize::from(byte)] |= reads(byte);
            }
        };
        match nfa.state(id) {
            State::Fail => {}
            State::ByteRange { trans } => read(&|byte| trans.matches_byte(byte)),
            State::Sparse(sparse) => read(&|byte| sparse.matches_byte(byte).is_some()),
            State::Dense(dense) => read(&|byte| dense.matches_byte(byte).is_some()),
            State::Match { .. } => can_be_empty = true,
            State::Look { next, .. } | State::Capture { next, .. } => left.push(*next),
            State::Union { alternates } => left.extend_from_slice(alternates),
            State::BinaryUnion { alt1, alt2 } => left.extend([*alt1, *alt2]),
        }
    }
    (first, can_be_empty)
}
