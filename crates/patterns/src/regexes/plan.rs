//! How the patterns of a set are found, in words.

use super::cost;
use super::rule::{Rule, Way};
use std::fmt;

/// How one pattern of a [`RegexSet`](crate::RegexSet) is found. It displays as a sentence.
#[derive(Debug, Clone, Copy)]
pub struct RegexPlan<'a> {
    pub(super) rule: &'a Rule,
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

    /// The processor's cycles that the pattern is expected to take for a byte of ordinary text, beside the search for
    /// runs and literals, which all patterns share: a rough estimate, by which patterns can be compared.
    #[must_use]
    pub fn cycles(&self) -> f64 {
        cost::cycles(self.rule.required(), self.rule.mark.as_ref())
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
            write!(f, " \"{}\"", literal.escape_ascii())?;
        }
        Ok(())
    }
}
