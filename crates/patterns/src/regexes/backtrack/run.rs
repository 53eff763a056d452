//! The search for a match that begins at a place.

use super::super::characters::{At, Characters};
use super::super::open::LOOK;
use super::program::{Kind, Program, Repeated};
use regex_automata::util::look::{self, LookMatcher};
use regex_syntax::hir::Look;

/// What is known of a match that begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// There is one.
    Match {
        /// Behind its last byte.
        end: usize,
        /// Whether bytes behind the text might give another answer.
        at_end: bool,
    },
    /// There is none.
    Nothing {
        /// Whether bytes behind the text might give another answer.
        at_end: bool,
    },
    /// The steps did not do.
    Unknown,
}

/// Bytes of a run of characters that are one step.
const BYTES_OF_STEP: usize = 8;

/// Where a group is that takes no part in a match.
pub(super) const NOWHERE: usize = usize::MAX;

/// What is tried next if a way leads nowhere.
enum Other {
    /// Branches of a split, from this one on.
    Branch {
        node: usize,
        branch: usize,
        at: usize,
    },
    /// Fewer characters of a class than up to `at`, but no fewer than up to `least`.
    Fewer {
        class: Repeated,
        least: usize,
        at: usize,
    },
    /// More characters of a class than the `count` up to `at`.
    More {
        class: Repeated,
        count: u32,
        at: usize,
    },
    /// A slot has the place that it had.
    Slot { slot: usize, place: usize },
}

/// A search.
struct Run<'a> {
    text: &'a [u8],
    steps: &'a mut usize,
    at_end: bool,
    others: Vec<Other>,
}

/// The steps are used up.
struct UsedUp;

/// Tells of a match that begins at `start`, and where its groups are. The steps that are taken are subtracted from
/// `steps`.
pub(super) fn run(
    program: &Program,
    text: &[u8],
    start: usize,
    steps: &mut usize,
    slots: &mut [usize],
) -> Told {
    // Filling nothing is a call into the C library, which is slow where there is no memory.
    if !slots.is_empty() {
        slots.fill(NOWHERE);
    }
    let mut run = Run {
        text,
        steps,
        at_end: false,
        others: Vec::new(),
    };
    match run.from(program, start, slots) {
        Ok(Some(end)) => Told::Match {
            end,
            at_end: run.at_end,
        },
        Ok(None) => Told::Nothing { at_end: run.at_end },
        Err(UsedUp) => Told::Unknown,
    }
}

impl Run<'_> {
    /// Whether a match may go on at `at` with this node.
    fn may_begin(&mut self, of: &Program, node: usize, at: usize) -> bool {
        let node = &of.nodes[node];
        match self.text.get(at) {
            Some(byte) => node.empty || node.first.has(*byte),
            None => {
                self.at_end = true;
                node.empty
            }
        }
    }

    fn from(
        &mut self,
        of: &Program,
        start: usize,
        slots: &mut [usize],
    ) -> Result<Option<usize>, UsedUp> {
        let (mut node, mut at) = (of.start, start);
        loop {
            self.step(1)?;
            let next = match &of.nodes[node].kind {
                Kind::Match => return Ok(Some(at)),
                Kind::Literal(bytes, next) => {
                    let here = &self.text[at..self.text.len().min(at + bytes.len())];
                    self.at_end |= here.len() < bytes.len();
                    (here == &**bytes).then_some((*next, at + bytes.len()))
                }
                Kind::Class(class) if class.greedy => self.most(of, class, at)?,
                Kind::Class(class) => self.fewest(of, class, (0, at))?,
                Kind::Split(_) => self.branch(of, (node, 0), at),
                Kind::Slot(slot, next) => {
                    if let Some(place) = slots.get_mut(*slot) {
                        let (slot, place) = (*slot, std::mem::replace(place, at));
                        self.others.push(Other::Slot { slot, place });
                    }
                    Some((*next, at))
                }
                Kind::Look(look, next) => self.stands(*look, at).then_some((*next, at)),
            };
            (node, at) = match next {
                Some(next) => next,
                None => match self.other(of, slots)? {
                    Some(next) => next,
                    None => return Ok(None),
                },
            };
        }
    }

    /// Takes another way, if one is left.
    fn other(
        &mut self,
        of: &Program,
        slots: &mut [usize],
    ) -> Result<Option<(usize, usize)>, UsedUp> {
        while let Some(other) = self.others.pop() {
            let next = match other {
                Other::Branch { node, branch, at } => self.branch(of, (node, branch), at),
                Other::Fewer { class, least, at } => {
                    let at = of.sets[class.set].before(self.text, at);
                    self.fewer(of, &class, least, at)?
                }
                Other::More { class, count, at } => match self.character(&of.sets[class.set], at) {
                    Some(length) => self.fewest(of, &class, (count + 1, at + length))?,
                    None => None,
                },
                Other::Slot { slot, place } => {
                    slots[slot] = place;
                    None
                }
            };
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
    }

    fn step(&mut self, steps: usize) -> Result<(), UsedUp> {
        *self.steps = self.steps.saturating_sub(steps);
        if *self.steps == 0 {
            return Err(UsedUp);
        }
        Ok(())
    }

    /// The first branch from this one on that may lead on.
    fn branch(
        &mut self,
        of: &Program,
        (node, from): (usize, usize),
        at: usize,
    ) -> Option<(usize, usize)> {
        let Kind::Split(branches) = &of.nodes[node].kind else {
            return None;
        };
        let mut left = (from..).zip(&branches[from..]);
        let (branch, next) = left.find(|(_, next)| self.may_begin(of, **next, at))?;
        if branch + 1 < branches.len() {
            self.others.push(Other::Branch {
                node,
                branch: branch + 1,
                at,
            });
        }
        Some((*next, at))
    }

    /// As many characters as there are, behind which a match may go on.
    fn most(
        &mut self,
        of: &Program,
        class: &Repeated,
        from: usize,
    ) -> Result<Option<(usize, usize)>, UsedUp> {
        let set = &of.sets[class.set];
        let Some(least) = self.characters(set, class.min, class.min, from)? else {
            return Ok(None);
        };
        let most = self.characters(set, 0, class.max - class.min, least)?;
        self.fewer(of, class, least, most.unwrap_or(least))
    }

    /// Characters up to `at`, or up to the last place before it behind which a match may go on.
    fn fewer(
        &mut self,
        of: &Program,
        class: &Repeated,
        least: usize,
        mut at: usize,
    ) -> Result<Option<(usize, usize)>, UsedUp> {
        let (set, last) = (&of.sets[class.set], at);
        while at >= least {
            if self.may_begin(of, class.next, at) {
                self.step((last - at) / BYTES_OF_STEP)?;
                if at > least && !class.exclusive {
                    let class = *class;
                    self.others.push(Other::Fewer { class, least, at });
                }
                return Ok(Some((class.next, at)));
            }
            if at == least || class.exclusive {
                break;
            }
            at = set.before(self.text, at);
        }
        self.step((last - at.max(least)) / BYTES_OF_STEP)?;
        Ok(None)
    }

    /// No more characters than are needed for a match to go on, of which `count` are known, up to `at`.
    fn fewest(
        &mut self,
        of: &Program,
        class: &Repeated,
        (mut count, mut at): (u32, usize),
    ) -> Result<Option<(usize, usize)>, UsedUp> {
        let (set, from) = (&of.sets[class.set], at);
        while count < class.min || !self.may_begin(of, class.next, at) {
            let more = (count < class.max).then(|| self.character(set, at));
            let Some(length) = more.flatten() else {
                self.step((at - from) / BYTES_OF_STEP)?;
                return Ok(None);
            };
            count += 1;
            at += length;
        }
        self.step((at - from) / BYTES_OF_STEP)?;
        if count < class.max {
            let class = *class;
            self.others.push(Other::More { class, count, at });
        }
        Ok(Some((class.next, at)))
    }

    /// Where `most` characters end, or all that there are. `None` if they are fewer than `min`.
    fn characters(
        &mut self,
        set: &Characters,
        min: u32,
        most: u32,
        from: usize,
    ) -> Result<Option<usize>, UsedUp> {
        let (mut at, mut count) = (from, 0);
        // There is no run of more bytes than steps allow.
        let bound = from.saturating_add(self.steps.saturating_mul(BYTES_OF_STEP));
        while count < most && at <= bound {
            let left = usize::try_from(most - count).unwrap_or(usize::MAX);
            let here = self.text.get(at..).unwrap_or_default().iter();
            let bytes = here.take(left.min(bound - at + 1));
            let single = bytes.take_while(|byte| set.has_byte(**byte)).count();
            at += single;
            count += single as u32;
            if count == most {
                break;
            }
            let Some(length) = self.character(set, at) else {
                break;
            };
            at += length;
            count += 1;
        }
        self.step((at - from) / BYTES_OF_STEP)?;
        Ok((count >= min).then_some(at))
    }

    /// Bytes of the character at `at`, if it is one of the class.
    fn character(&mut self, set: &Characters, at: usize) -> Option<usize> {
        match set.at(self.text, at) {
            At::One(length) => Some(length),
            At::Other => None,
            At::End => {
                self.at_end = true;
                None
            }
        }
    }

    fn stands(&mut self, look: Look, at: usize) -> bool {
        let before = at.checked_sub(1).map(|before| self.text[before]);
        let behind = self.text.get(at).copied();
        self.at_end |= match look {
            Look::Start | Look::StartLF => false,
            Look::End | Look::EndLF | Look::WordAscii | Look::WordAsciiNegate => behind.is_none(),
            // They may need the character that follows.
            _ => self.text.len() - at < LOOK,
        };
        let is_word = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match look {
            Look::Start => before.is_none(),
            Look::StartLF => matches!(before, None | Some(b'\n')),
            Look::End => behind.is_none(),
            Look::EndLF => matches!(behind, None | Some(b'\n')),
            Look::WordAscii => is_word(before) != is_word(behind),
            Look::WordAsciiNegate => is_word(before) == is_word(behind),
            _ => as_of_automata(look)
                .is_some_and(|look| LookMatcher::new().matches(look, self.text, at)),
        }
    }
}

/// The same look-around: `regex-automata` numbers them as `regex-syntax` does.
fn as_of_automata(look: Look) -> Option<look::Look> {
    look::Look::from_repr(look.as_repr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_arounds_have_the_same_numbers() {
        let all = (0..32).map_while(|bit| Look::from_repr(1 << bit));
        let count = all.inspect(|look| {
            let other = as_of_automata(*look).map(|other| format!("{other:?}"));
            assert_eq!(other, Some(format!("{look:?}")));
        });
        assert_eq!(count.count(), 18);
    }
}
