//! Literals of regexes without marks, which are looked for in all of a text.

use super::gates::Place;
use super::rule::Rule;
use super::scout::Wanted;
use crate::{BuildError, Literals};

/// The literals that are looked for in one search, exactly or in either case.
#[derive(Debug, Default)]
pub(super) struct Everywhere {
    /// What looks for them, once it is prepared.
    set: Option<Literals>,
    fold: bool,
    /// The literals, until then.
    literals: Vec<Vec<u8>>,
    /// The rule of each literal.
    rules: Vec<usize>,
    /// Bytes of the longest literal.
    longest: usize,
}

/// Bytes of text whose candidates are gathered at once, so that the memory for them is bounded.
pub(super) const BLOCK: usize = 1 << 16;

impl Everywhere {
    /// The literals of rules: those that are looked for exactly, and those in either case.
    pub fn of(rules: &[Rule]) -> [Self; 2] {
        let mut both = [false, true].map(|fold| Self {
            fold,
            ..Self::default()
        });
        for (number, rule) in rules.iter().enumerate() {
            let required = rule.required().filter(|_| rule.mark.is_none());
            let Some(required) = required else { continue };
            let group = &mut both[usize::from(required.fold)];
            for literal in &required.literals {
                group.longest = group.longest.max(literal.len());
                group.literals.push(literal.clone());
                group.rules.push(number);
            }
        }
        both
    }

    /// The literals, and who wants them.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted<'_>> + Clone {
        let literals = self.literals.iter().zip(&self.rules);
        literals.map(|(literal, rule)| (&literal[..], self.fold, *rule))
    }

    /// Whether there are literals that nothing looks for yet.
    pub fn is_open(&self) -> bool {
        !self.literals.is_empty()
    }

    /// Leaves the literals to something else that looks for them.
    pub fn leave(&mut self) {
        *self = Self::default();
    }

    /// Prepares what looks for them, if there are some.
    pub fn build(&mut self) -> Result<(), BuildError> {
        if self.is_open() {
            self.set = Some(Literals::build(&self.literals, self.fold)?);
            self.literals = Vec::new();
        }
        Ok(())
    }

    /// Takes what looks for them; not if it looks for others.
    pub fn take(&mut self, set: Literals) -> bool {
        let mut all = (0..).zip(&self.literals);
        let same = set.folds() == self.fold
            && set.len() == self.literals.len()
            && all.all(|(number, literal)| match self.fold {
                true => literal.eq_ignore_ascii_case(set.pattern(number)),
                false => literal == set.pattern(number),
            });
        if same {
            self.set = Some(set);
            self.literals = Vec::new();
        }
        same
    }

    /// What looks for the literals.
    pub fn set(&self) -> Option<&Literals> {
        self.set.as_ref()
    }

    /// Adds rule and place of each literal that begins in the block from `from` on.
    pub fn find(&self, text: &[u8], from: usize, places: &mut Vec<Place>) {
        let Some(set) = &self.set else { return };
        let starts = BLOCK.min(text.len() - from);
        let end = (from + starts + self.longest - 1).min(text.len());
        set.find(&text[from..end], 0..starts, |start, literal| {
            let place = from + start;
            places.push((self.rules[literal as usize], place, place));
        });
    }
}
