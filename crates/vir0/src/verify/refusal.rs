//! Why a program is refused.

use super::rule::Rule;
use std::fmt;
use thiserror::Error;

/// The reason why a program is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refusal {
    /// The rule that it breaks.
    pub rule: Rule,
    /// The number of the instruction that breaks it, for rules about single instructions.
    pub instruction: Option<usize>,
    /// The line of that instruction in the source, if it is known.
    pub line: Option<u32>,
    /// What the program has instead of what the rule requires.
    pub found: String,
}

impl Refusal {
    pub(super) fn new(rule: Rule, found: impl Into<String>) -> Self {
        Self {
            rule,
            instruction: None,
            line: None,
            found: found.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.instruction, self.line) {
            (Some(index), Some(line)) => write!(f, "instruction {index} (line {line}): ")?,
            (Some(index), None) => write!(f, "instruction {index}: ")?,
            _ => {}
        }
        write!(f, "{}; {}", self.found, self.rule)
    }
}
