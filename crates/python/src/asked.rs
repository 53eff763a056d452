//! Patterns and rules as they are asked for.

use super::errors::{self, value};
use super::options::{self, each};
use gristmill::jobs::sweep::{
    Case, LineSettings, PlainStrings, SweepBuildError, SweepJobBuilder, SweepSet,
};
use gristmill::rules::{literal, RuleSet};
use gristmill_patterns::PatternError;
use pyo3::prelude::*;

const EMPTY: &str = "an empty pattern, which would be found at every byte; leave it out";

/// Patterns as arguments give them.
pub struct Asked {
    pub patterns: Vec<Vec<u8>>,
    pub settings: LineSettings,
}

impl Asked {
    /// The patterns of a call, if it gives any.
    ///
    /// # Errors
    /// `ValueError` for settings of patterns that are not there.
    pub fn new(
        function: &str,
        patterns: Option<&Bound<'_, PyAny>>,
        fixed_strings: bool,
        ignore_case: bool,
        unicode: bool,
        size_limit: Option<usize>,
    ) -> PyResult<Option<Self>> {
        let Some(patterns) = patterns else {
            if fixed_strings || ignore_case || !unicode {
                return Err(value(format!(
                    "{function}(): fixed_strings, ignore_case and unicode apply to patterns, and none are given: a rule file \
                     or a set defines everything about its rules"
                )));
            }
            return Ok(None);
        };
        let patterns = each(patterns, options::pattern)?;
        let default = LineSettings::default();
        let settings = LineSettings {
            fixed_strings,
            case: match ignore_case {
                true => Case::Insensitive,
                false => Case::Sensitive,
            },
            unicode,
            text: true,
            size_limit: size_limit.unwrap_or(default.size_limit),
            ..default
        };
        Ok(Some(Self { patterns, settings }))
    }

    /// Whether no regex is needed.
    pub fn are_strings(&self) -> bool {
        self.settings.fixed_strings || PlainStrings::of(&self.patterns, &self.settings).is_some()
    }

    /// Prepares what is searched for.
    pub fn compile(self, py: Python<'_>, job: SweepJobBuilder) -> PyResult<SweepSet> {
        let Self { patterns, settings } = self;
        if let Some(number) = patterns.iter().position(Vec::is_empty) {
            return Err(refused(py, number, EMPTY));
        }
        let compiled = py.detach(|| {
            if !settings.fixed_strings {
                return job.patterns(patterns, &settings)?.compile();
            }
            // Of strings only letters of ASCII match in either case.
            let job = job.case_insensitive(settings.case == Case::Insensitive);
            let strings = patterns.into_iter();
            let job = strings.fold(job, |job, string| job.string(string.clone(), string));
            job.compile()
        });
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
