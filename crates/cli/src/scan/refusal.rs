//! Why nothing is searched, or compiled.

use crate::common;
use std::process::ExitCode;

/// Why nothing is searched, or compiled.
#[derive(Debug)]
pub enum Refusal {
    /// An error in one line.
    Line(String),
    /// An error that shows a place in a text.
    Lines(String),
}

impl From<String> for Refusal {
    fn from(error: String) -> Self {
        Self::Line(error)
    }
}

impl Refusal {
    /// Says why, and returns the exit code.
    pub fn tell(&self) -> ExitCode {
        match self {
            Self::Line(error) => common::complain(error),
            Self::Lines(error) => common::complain_in_lines(error),
        }
        ExitCode::from(2)
    }
}
