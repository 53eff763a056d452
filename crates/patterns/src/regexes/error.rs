//! Why a set of regexes could not be made.

use super::compiled::CompileError;
use crate::lines::{shown, PatternError, Place};
use regex_automata::meta;
use std::fmt;

/// Why a [`RegexSet`](crate::RegexSet) could not be made: which pattern, where in it, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegexSetError {
    number: usize,
    pattern: String,
    offset: Option<usize>,
    what: String,
}

impl RegexSetError {
    /// The number of the pattern, from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The byte of the pattern at which the error lies, if it lies at one.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.offset
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.what
    }

    fn new(number: usize, pattern: &str, offset: Option<usize>, what: String) -> Self {
        let pattern = pattern.to_owned();
        Self {
            number,
            pattern,
            offset,
            what,
        }
    }

    pub(super) fn syntax(number: usize, pattern: &str, error: &regex_syntax::Error) -> Self {
        let (offset, what) = match error {
            regex_syntax::Error::Parse(error) => {
                (Some(error.span().start.offset), error.kind().to_string())
            }
            regex_syntax::Error::Translate(error) => {
                (Some(error.span().start.offset), error.kind().to_string())
            }
            other => (None, other.to_string()),
        };
        Self::new(number, pattern, offset, what)
    }

    pub(super) fn compile(number: usize, pattern: &str, error: CompileError) -> Self {
        match error {
            CompileError::Regex(error) => Self::regex(number, pattern, &error),
            CompileError::Open(what) => Self::new(number, pattern, None, what),
            CompileError::Meaning => {
                let what = "it is no regex, or a larger one than the set says";
                Self::new(number, pattern, None, what.to_owned())
            }
        }
    }

    fn regex(number: usize, pattern: &str, error: &meta::BuildError) -> Self {
        let what = match error.size_limit() {
            Some(limit) => {
                format!("it takes more than the limit of {limit} bytes; repeat less, or raise it")
            }
            None => error.to_string(),
        };
        Self::new(number, pattern, None, what)
    }

    pub(super) fn total_size(number: usize, pattern: &str, limit: usize) -> Self {
        let what = format!(
            "up to it the patterns take more than the limit of {limit} bytes; use fewer, or raise it"
        );
        Self::new(number, pattern, None, what)
    }

    pub(super) fn too_many(number: usize, pattern: &str) -> Self {
        let what = "up to it the patterns have more literals than a set can hold; use fewer";
        Self::new(number, pattern, None, what.to_owned())
    }
}

impl fmt::Display for RegexSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pattern {}, {:?}", self.number, self.pattern)?;
        if let Some(offset) = self.offset {
            write!(f, ", at byte {offset}")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for RegexSetError {}

impl From<&RegexSetError> for PatternError {
    fn from(error: &RegexSetError) -> Self {
        let place = error.offset.and_then(|offset| {
            let before = error.pattern.get(..offset)?;
            let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
            let line = error.pattern.get(begin..)?.lines().next().unwrap_or("");
            Some(Place {
                line: before.matches('\n').count() + 1,
                column: error.pattern.get(begin..offset)?.chars().count() + 1,
                width: 0,
                text: shown(line),
            })
        });
        Self {
            pattern: Some(error.number),
            place,
            reason: error.what.clone(),
        }
    }
}
