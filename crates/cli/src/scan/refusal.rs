//! Why nothing is searched, or compiled.

use super::patterns::Patterns;
use crate::advice;
use crate::messages::{self, escaped};
use gristmill::jobs::scan::{PatternError, ScanBuildError};
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
            ScanBuildError::Pattern(error) => Self::Lines(of_pattern(&error, patterns)),
            error @ ScanBuildError::Memory { .. } => Self::Line(advice::set_memory(&error)),
            error => Self::Line(error.to_string()),
        }
    }

    /// Why these patterns are no set to search for.
    pub fn of_sweep(error: SweepBuildError, patterns: &Patterns) -> Self {
        match error {
            SweepBuildError::Pattern(error) => Self::Lines(of_pattern(&error, patterns)),
            error @ SweepBuildError::Memory { .. } => Self::Line(advice::set_memory(&error)),
            error => Self::Line(error.to_string()),
        }
    }

    /// Says why, and returns the exit code.
    pub fn tell(&self) -> ExitCode {
        match self {
            Self::Line(error) => messages::complain(error),
            Self::Lines(error) => messages::complain_in_lines(error),
        }
        ExitCode::from(2)
    }
}

/// Why a pattern is refused, with the file and line from which it was read.
fn of_pattern(error: &PatternError, patterns: &Patterns) -> String {
    let mut text = String::new();
    let column = error.place.as_ref().map(|place| place.column);
    match error.pattern.map(|number| (number, patterns.place(number))) {
        Some((_, Some((file, line)))) => {
            text += &format!("{}:{line}", escaped(file));
            if let Some(column) = column {
                text += &format!(":{column}");
            }
            text += ": ";
        }
        Some((number, None)) if column.is_some() || !patterns.is_one_argument() => {
            text += "pattern";
            if !patterns.is_one_argument() {
                text += &format!(" {}", number + 1);
            }
            if let Some(place) = &error.place {
                text += &format!(", line {}, column {}", place.line, place.column);
            }
            text += ": ";
        }
        _ => {}
    }
    text += &error.reason;
    for (word, flags) in [
        ("size limit", "--regex-size-limit"),
        ("search files as text", "-a"),
    ] {
        if error.reason.contains(word) {
            text += &format!(" ({flags})");
        }
    }
    if let Some(place) = &error.place {
        text += &format!("\n{place}");
    }
    text
}
