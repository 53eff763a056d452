//! Why nothing is searched, or compiled.

use super::patterns::Patterns;
use crate::{advice, common};
use gristmill::jobs::scan::ScanBuildError;
use gristmill::jobs::sweep::SweepBuildError;
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
    /// Why these patterns are no lines to search for.
    pub fn of_scan(error: ScanBuildError, patterns: &Patterns) -> Self {
        match error {
            ScanBuildError::Pattern(error) => Self::Lines(advice::pattern(&error, patterns)),
            error @ ScanBuildError::Memory { .. } => Self::Line(advice::set_memory(&error)),
            error => Self::Line(error.to_string()),
        }
    }

    /// Why these patterns are no set to search for.
    pub fn of_sweep(error: SweepBuildError, patterns: &Patterns) -> Self {
        match error {
            SweepBuildError::Pattern(error) => Self::Lines(advice::pattern(&error, patterns)),
            error @ SweepBuildError::Memory { .. } => Self::Line(advice::set_memory(&error)),
            error => Self::Line(error.to_string()),
        }
    }

    /// Says why, and returns the exit code.
    pub fn tell(&self) -> ExitCode {
        match self {
            Self::Line(error) => common::complain(error),
            Self::Lines(error) => common::complain_in_lines(error),
        }
        ExitCode::from(2)
    }
}
