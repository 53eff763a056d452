//! What a regex means. Of a regex of a stored set that is found out when it is first needed: of many regexes few are.
//!
//! The set says what its regexes require and how large they are. Neither is believed: of a regex that is larger, or is none,
//! there is no meaning, so that it matches nothing; and where it requires something else, no more is derived from it, and
//! it is searched for wherever the set says.

use super::backtrack::Backtracker;
use super::head::Head;
use super::required::{derived, Derived, Required};
use super::size::Size;
use crate::Boundary;
use regex_syntax::hir::Hir;
use regex_syntax::{ast, ParserBuilder};

/// How regexes are read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Syntax {
    pub case_insensitive: bool,
    pub unicode: bool,
    pub multi_line: bool,
    pub crlf: bool,
    pub boundary: Option<Boundary>,
}

impl Syntax {
    /// What a regex means.
    pub fn parse(&self, pattern: &str) -> Result<Hir, Box<regex_syntax::Error>> {
        let hir = ParserBuilder::new()
            .case_insensitive(self.case_insensitive)
            .unicode(self.unicode)
            .multi_line(self.multi_line)
            .crlf(self.crlf)
            .utf8(false)
            .build()
            .parse(pattern)?;
        Ok(match self.boundary {
            Some(boundary) => {
                let [start, end] = boundary.looks(self.unicode, self.crlf);
                Hir::concat(vec![Hir::look(start), hir, Hir::look(end)])
            }
            None => hir,
        })
    }
}

/// Whether a regex has the form of one. It may have a class that there is not, and then means nothing.
pub(super) fn check(pattern: &str) -> Result<(), Box<regex_syntax::Error>> {
    let parsed = ast::parse::Parser::new().parse(pattern);
    parsed.map(|_| ()).map_err(|error| Box::new(error.into()))
}

/// What a regex means.
#[derive(Debug)]
pub(super) struct Meaning {
    pub hir: Hir,
    /// What a match goes on with from a literal on, if that is known.
    pub rest: Option<Hir>,
    /// The characters before a literal, if it begins with some: see [`head`](super::head).
    pub head: Option<Head>,
}

impl Meaning {
    /// `in_steps`: whether all of it is matched in few steps, as soon as what goes on from a literal would be.
    pub fn new(hir: Hir, derived: Option<Derived>, in_steps: bool) -> Self {
        let (rest, head) = match derived {
            Some(derived) => (Some(derived.rest).filter(|_| !in_steps), derived.head),
            None => (None, None),
        };
        Self { hir, rest, head }
    }
}

/// A regex of a stored set, and what that says of it.
#[derive(Debug)]
pub(super) struct Unread {
    pub text: Box<str>,
    pub syntax: Syntax,
    pub required: Option<Required>,
    pub size: Size,
}

impl Unread {
    /// What it means. `None` if it is no regex, or larger than it is said to be.
    pub fn read(&self) -> Option<Meaning> {
        let hir = self.syntax.parse(&self.text).ok()?;
        let size = Size::of(&hir);
        if size.automaton > self.size.automaton || size.all > self.size.all {
            return None;
        }
        let in_steps = self.size.steps.is_some();
        if in_steps
            && Backtracker::of_sequence(&hir).is_none_or(|bytes| Some(bytes) > self.size.steps)
        {
            return None;
        }
        // Where no literals are looked for, nothing goes on from one.
        let required = self.required.as_ref();
        let required = required.filter(|one| !one.literals.is_empty());
        let derived = required.and_then(|required| {
            let derived = derived(&hir)?;
            (derived.required == *required).then_some(derived)
        });
        Some(Meaning::new(hir, derived, in_steps))
    }
}
