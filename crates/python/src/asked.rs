//! Patterns and rules as they are asked for.

use super::errors::{self, value};
use super::options::{self, each};
use gristmill::jobs::sweep::{
    Boundary, Case, LineSettings, PlainStrings, SweepBuildError, SweepJobBuilder, SweepSet,
};
use gristmill::rules::{literal, RuleSet};
use gristmill_patterns::PatternError;
use pyo3::prelude::*;

const EMPTY: &str = "an empty pattern, which would be found at every byte; leave it out";

/// How patterns are read: arguments of that name, and attributes of `Scan`.
#[derive(Clone, Copy, FromPyObject)]
pub struct Reading {
    pub fixed_strings: bool,
    pub ignore_case: bool,
    pub word_regexp: bool,
    pub line_regexp: bool,
    pub crlf: bool,
    pub unicode: bool,
    pub regex_size_limit: Option<usize>,
}

impl Reading {
    /// Whether anything is said about patterns that is not the default.
    fn is_said(self) -> bool {
        self.fixed_strings
            || self.ignore_case
            || self.word_regexp
            || self.line_regexp
            || self.crlf
            || !self.unicode
    }
}

/// Patterns as arguments give them.
pub struct Asked {
    pub patterns: Vec<Vec<u8>>,
    pub settings: LineSettings,
}

impl Asked {
    /// The patterns of a call, if it gives any.
    ///
    /// # Errors
    /// `ValueError` for settings of patterns that are not there, or that contradict each other.
    pub fn new(
        function: &str,
        patterns: Option<&Bound<'_, PyAny>>,
        reading: Reading,
    ) -> PyResult<Option<Self>> {
        let Some(patterns) = patterns else {
            if reading.is_said() {
                return Err(value(format!(
                    "{function}(): fixed_strings, ignore_case, word_regexp, line_regexp, crlf and unicode apply to patterns, \
                     and none are given: a rule file or a set defines everything about its rules"
                )));
            }
            return Ok(None);
        };
        let boundary = match (reading.word_regexp, reading.line_regexp) {
            (true, true) => {
                return Err(value(format!(
                    "{function}(): both word_regexp and line_regexp are given; a whole line is bounded in any case, so give one of them"
                )))
            }
            (true, false) => Some(Boundary::Word),
            (false, true) => Some(Boundary::Line),
            (false, false) => None,
        };
        let patterns = each(patterns, options::pattern)?;
        let default = LineSettings::default();
        let settings = LineSettings {
            fixed_strings: reading.fixed_strings,
            case: match reading.ignore_case {
                true => Case::Insensitive,
                false => Case::Sensitive,
            },
            boundary,
            crlf: reading.crlf,
            unicode: reading.unicode,
            text: true,
            size_limit: reading.regex_size_limit.unwrap_or(default.size_limit),
            ..default
        };
        Ok(Some(Self { patterns, settings }))
    }

    /// Whether they are strings, each occurrence of which counts.
    pub fn are_plain(&self) -> bool {
        let fixed = self.settings.fixed_strings && self.settings.boundary.is_none();
        fixed || PlainStrings::of(&self.patterns, &self.settings).is_some()
    }

    /// Prepares what is searched for.
    pub fn compile(self, py: Python<'_>, job: SweepJobBuilder) -> PyResult<SweepSet> {
        let Self { patterns, settings } = self;
        if let Some(number) = patterns.iter().position(Vec::is_empty) {
            return Err(refused(py, number, EMPTY));
        }
        let compiled = py.detach(|| job.patterns(patterns, &settings)?.compile());
        compiled.map_err(|error| not_built(py, error))
    }
}

/// The rules of rule files, and behind them the patterns.
pub fn rule_set(
    py: Python<'_>,
    files: &Bound<'_, PyAny>,
    asked: Option<&Asked>,
) -> PyResult<RuleSet> {
    let mut rules = RuleSet::default();
    for path in options::paths(files)? {
        let read = py.detach(|| rules.read(&path));
        read.map_err(|error| errors::rule(py, &error))?;
    }
    let Some(Asked { patterns, settings }) = asked else {
        return Ok(rules);
    };
    if !settings.unicode {
        return Err(value(
            "unicode=False is not for rules; write (?-u) into the regexes",
        ));
    }
    if settings.boundary.is_some() || settings.crlf {
        return Err(value(
            r"word_regexp, line_regexp and crlf are not for rules; write \b, (?m)^ or (?R) into the regexes",
        ));
    }
    let prefix = match settings.case {
        Case::Insensitive => "(?i)",
        _ => "",
    };
    for (number, pattern) in patterns.iter().enumerate() {
        if pattern.is_empty() {
            return Err(refused(py, number, EMPTY));
        }
        let regex = match (settings.fixed_strings, std::str::from_utf8(pattern)) {
            (true, _) => literal(pattern),
            (false, Ok(text)) => text.to_owned(),
            (false, Err(_)) => {
                let error = PatternError::not_utf8(number, pattern);
                return Err(errors::pattern(py, &error));
            }
        };
        let name = String::from_utf8_lossy(pattern);
        let added = rules.add_pattern(&name, &format!("{prefix}{regex}"));
        added.map_err(|error| refused(py, number, &error.reason))?;
    }
    Ok(rules)
}

/// The error of the pattern with this number.
fn refused(py: Python<'_>, number: usize, reason: &str) -> PyErr {
    let error = PatternError {
        pattern: Some(number),
        place: None,
        reason: reason.into(),
    };
    errors::pattern(py, &error)
}

/// Why patterns or rules cannot be searched for.
pub fn not_built(py: Python<'_>, error: SweepBuildError) -> PyErr {
    match error {
        SweepBuildError::Pattern(error) => errors::pattern(py, &error),
        error @ SweepBuildError::Memory { .. } => value(format!("{error} (set_memory)")),
        error => value(error),
    }
}
