//! The settings of a sweep.

use super::context::MAX_CONTEXT;
use super::file::LOOK;
use super::findings::{Findings, Sought};
use super::job::SweepJob;
use super::judged::Rules;
use super::opcode::{Patterns, RECORDS_OF_MATCH};
use super::plan::{Plan, SweepReport};
use super::rows::OccurrenceRows;
use super::set::SweepSet;
use crate::jobs::MAX_HALO;
use crate::setters::setters;
use gristmill_patterns::{
    smart_case, Boundary, Case, LineSettings, PatternError, PatternSet, PatternSetBuilder,
    PatternSetError, PlainStrings,
};
use gristmill_protocol::PipelineError;
use std::sync::{Arc, Mutex};

/// The longest match of a regex that is found wherever it lies, if no other is set, in bytes: 1 MiB.
pub const DEFAULT_MAX_MATCH: u64 = 1 << 20;

/// Why a sweep cannot be prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepBuildError {
    /// A pattern is refused. Its number counts all patterns in the order in which they were given.
    #[error(transparent)]
    Pattern(PatternError),
    /// The strings would take more memory than they may: `needed` is an estimate, made before anything is built.
    #[error(
        "these strings would take up to {needed} bytes of memory, and may take {allowed}; give fewer, or allow more"
    )]
    Memory {
        /// Bytes that they would take.
        needed: usize,
        /// Bytes that they may take.
        allowed: usize,
    },
    /// A setting is refused, or there are too many patterns.
    #[error(transparent)]
    Other(#[from] PipelineError),
}

impl From<PatternSetError> for SweepBuildError {
    fn from(error: PatternSetError) -> Self {
        let (what, fix) = match error {
            PatternSetError::Regex { number, error } => {
                let mut placed = PatternError::from(&error);
                placed.pattern = Some(number);
                return Self::Pattern(placed);
            }
            PatternSetError::Memory { needed, allowed } => {
                return Self::Memory { needed, allowed };
            }
            PatternSetError::Empty(_) => (
                "an empty string, which occurs at every byte",
                "give strings of one byte or more",
            ),
            PatternSetError::Long(_) => (
                "a string of more than 4,096 bytes together with regexes, or of more than 4,092 as a word or a line",
                "search for it with other strings only, and wherever it stands",
            ),
            _ => (
                "more than 1,000,000 patterns",
                "give fewer, and search again for the rest",
            ),
        };
        Self::Other(PipelineError::InvalidArgument { what, fix })
    }
}

impl From<SweepBuildError> for PipelineError {
    fn from(error: SweepBuildError) -> Self {
        match error {
            SweepBuildError::Other(error) => error,
            error => PipelineError::Backend(error.to_string()),
        }
    }
}

/// Settings of a [`SweepJob`].
#[derive(Debug, Clone)]
pub struct SweepJobBuilder {
    patterns: PatternSetBuilder,
    compiled: Option<SweepSet>,
    report: SweepReport,
    rows: OccurrenceRows,
    max_match: u64,
    context: Option<u64>,
    totals: bool,
    findings: Option<Arc<Findings>>,
}

impl Default for SweepJobBuilder {
    fn default() -> Self {
        Self {
            patterns: PatternSet::builder().longest(MAX_HALO),
            compiled: None,
            report: SweepReport::default(),
            rows: OccurrenceRows::default(),
            max_match: DEFAULT_MAX_MATCH,
            context: None,
            totals: false,
            findings: None,
        }
    }
}

impl SweepJob {
    /// Settings of a sweep.
    #[must_use]
    pub fn builder() -> SweepJobBuilder {
        SweepJobBuilder::default()
    }
}

impl SweepJobBuilder {
    /// Adds a string of 1 to 4,096 bytes (4,092 with a [`boundary`](Self::boundary)), each of whose occurrences is found. Its name is shown with them.
    #[must_use]
    pub fn string(mut self, name: impl Into<Vec<u8>>, string: impl Into<Vec<u8>>) -> Self {
        self.patterns = self.patterns.string(name, string);
        self
    }

    /// Adds a regex of Rust's syntax. Its name is shown with its matches.
    #[must_use]
    pub fn regex(mut self, name: impl Into<Vec<u8>>, regex: impl Into<String>) -> Self {
        self.patterns = self.patterns.regex(name, regex);
        self
    }

    /// Adds patterns as a command line takes them, each under its own text as its name: those that are nothing but a string
    /// are strings, the others regexes. Of `settings` the size limit of a regex, case, Unicode, boundary and line ends
    /// hold for all patterns of the sweep, and whether these patterns are fixed strings.
    ///
    /// # Errors
    /// [`SweepBuildError::Pattern`] for a regex that is not UTF-8.
    pub fn patterns(
        mut self,
        patterns: Vec<Vec<u8>>,
        settings: &LineSettings,
    ) -> Result<Self, SweepBuildError> {
        let fold = match settings.case {
            Case::Smart => smart_case(&patterns, settings),
            case => case == Case::Insensitive,
        };
        let each = LineSettings {
            case: match fold {
                true => Case::Insensitive,
                false => Case::Sensitive,
            },
            text: true,
            boundary: None,
            ..settings.clone()
        };
        for pattern in patterns {
            let plain = PlainStrings::of(&[&pattern], &each).and_then(|mut one| one.strings.pop());
            self = match plain {
                Some(string) if !string.is_empty() => self.string(pattern, string),
                // Of strings that are asked for, letters of ASCII alone are folded.
                _ if settings.fixed_strings => self.string(pattern.clone(), pattern),
                _ => match String::from_utf8(pattern) {
                    Ok(regex) => self.regex(regex.clone(), regex),
                    Err(error) => {
                        let number = self.patterns.count();
                        let error = PatternError::not_utf8(number, error.as_bytes());
                        return Err(SweepBuildError::Pattern(error));
                    }
                },
            };
        }
        Ok(self
            .regex_size_limit(settings.size_limit)
            .case_insensitive(fold)
            .unicode(settings.unicode)
            .crlf(settings.crlf)
            .boundary(settings.boundary))
    }

    /// Whether letters match in either case: those of regexes by Unicode's simple case folding, those of strings that are
    /// ASCII. Default: no.
    #[must_use]
    pub fn case_insensitive(mut self, yes: bool) -> Self {
        self.patterns = self.patterns.case_insensitive(yes);
        self
    }

    /// Whether classes, `.`, word boundaries and case of regexes know Unicode; else they know ASCII only. Default: yes.
    #[must_use]
    pub fn unicode(mut self, yes: bool) -> Self {
        self.patterns = self.patterns.unicode(yes);
        self
    }

    /// Whether CR LF ends a line as LF does: for `^` and `$` of regexes with `(?m)`, for `.`, and for whole lines. Default:
    /// no.
    #[must_use]
    pub fn crlf(mut self, yes: bool) -> Self {
        self.patterns = self.patterns.crlf(yes);
        self
    }

    /// What matches must lie between: of strings the occurrences that do so are found, regexes are searched for as if
    /// what must hold were written before and behind them. Strings have at most 4,092 bytes then. Default: anything.
    #[must_use]
    pub fn boundary(mut self, boundary: Option<Boundary>) -> Self {
        let looked_at = if boundary.is_some() { LOOK as usize } else { 0 };
        self.patterns = self
            .patterns
            .boundary(boundary)
            .longest(MAX_HALO - looked_at);
        self
    }

    setters! {
        /// What is reported of each file. Default: its matches.
        report(report: SweepReport) { report = report }

        /// Whether rows begin with the file's path. Default: no.
        with_path(yes: bool) { rows.path = yes }

        /// Whether rows have ANSI colours. Default: no.
        color(yes: bool) { rows.color = yes }

        /// Whether paths end with a NUL instead of `:` or a newline. Default: no.
        null(yes: bool) { rows.null = yes }

        /// Whether matches are JSON Lines: records of type `occurrence` with `path`, `absolute_offset`, `length`,
        /// `pattern_index` and `pattern`, the pattern's name. Default: no.
        json(yes: bool) { rows.json = yes }

        /// Whether rows are those of a table with the columns of [`occurrence_schema`](super::occurrence_schema), as
        /// [`RowWriter`](gristmill_rows::RowWriter) writes them; only matches can be. Default: no.
        table(yes: bool) { rows.table = yes }

        /// Shows the bytes of each match and this many of the file before and behind it, at most 4,096: in a table, and
        /// in JSON as `before`, `match` and `after`. Default: not at all.
        context_bytes(bytes: Option<u64>) { context = bytes }

        /// The longest match of a regex, in bytes, that is found. Where a longer one begins, an error tells so, and the
        /// regex is not searched for in the rest of the file. Default: [`DEFAULT_MAX_MATCH`].
        max_match(bytes: u64) { max_match = bytes }
    }

    /// The most memory that one compiled regex may take, in bytes. Default: 100 MiB.
    #[must_use]
    pub fn regex_size_limit(mut self, bytes: usize) -> Self {
        self.patterns = self.patterns.regex_size_limit(bytes);
        self
    }

    /// The most memory that all regexes together may take, and strings with what is prepared for searching them, in bytes.
    /// Default: 1 GiB.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.patterns = self.patterns.memory(bytes);
        self
    }

    setters! {
        /// Whether [`SweepJob::totals`] are counted; they need every match. Default: no.
        totals(yes: bool) { totals = yes }

        /// Finds what rules find: they take the place of the patterns, and their rows that of the matches'. Default: no
        /// rules.
        findings(findings: Arc<Findings>) { findings = Some(findings) }

        /// Searches for what a set holds that was compiled before: it takes the place of the patterns. Of a set of
        /// rules [`findings`](Self::findings) must be given, too, which judge them. Default: no set.
        set(set: SweepSet) { compiled = Some(set) }
    }

    /// Prepares what is searched for, without the other settings.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn compile(self) -> Result<SweepSet, SweepBuildError> {
        if let Some(set) = self.compiled {
            return Ok(set);
        }
        let mut patterns = self.patterns;
        if let Some(findings) = &self.findings {
            patterns = patterns.clear().case_insensitive(false).unicode(true);
            patterns = patterns.crlf(false).boundary(None).longest(MAX_HALO);
            for (sought, pattern) in findings.patterns() {
                let name = match sought {
                    Sought::Rule(number) => findings.rules().rules()[number as usize].id(),
                    Sought::Keyword(number) => &findings.keywords()[number as usize],
                };
                patterns = patterns.regex(name, pattern);
            }
        }
        let rules = self.findings.map(|findings| findings.shared_rules());
        Ok(SweepSet::new(patterns.build()?, rules))
    }

    /// Checks the settings and prepares the search.
    ///
    /// # Errors
    /// [`SweepBuildError::Pattern`] for a regex that is refused, with its place; [`PipelineError`] for a string that is
    /// empty or longer than 4,096 bytes, for more than 1,000,000 patterns, and for a set of rules without findings of
    /// them; [`SweepBuildError::Memory`] for strings that would take too much memory.
    pub fn build(self) -> Result<SweepJob, SweepBuildError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix }.into());
        if self.context.is_some_and(|bytes| bytes > MAX_CONTEXT) {
            return invalid(
                "more than 4,096 bytes around a match",
                "ask for fewer, and read the file for more",
            );
        }
        let findings = self.findings.clone();
        if self.rows.table && findings.is_none() && self.report != SweepReport::Matches {
            return invalid(
                "a table of counts or paths",
                "ask for matches, or for rows of text",
            );
        }
        let (mut report, mut totals) = (self.report, self.totals);
        let (rows, max_match) = (self.rows, self.max_match);
        let context = self.context.filter(|_| findings.is_none());
        let compiled = self.compile()?;
        let same = match (compiled.rules(), &findings) {
            (Some(rules), Some(findings)) => Arc::ptr_eq(rules, &findings.shared_rules()),
            (None, None) => true,
            _ => false,
        };
        if !same {
            return invalid(
                "a set of rules, and findings that are not of these rules",
                "give the findings of the rules that the set holds",
            );
        }
        let rules = findings.map(|findings| {
            (report, totals) = (SweepReport::Matches, false);
            Rules {
                sought: findings.patterns().map(|(sought, _)| sought).collect(),
                findings,
            }
        });
        let set = compiled.shared_patterns();
        // At one place each regex may match, and be uncertain from there on, and each string that begins another.
        let records = set.most_together() + (RECORDS_OF_MATCH + 1) * set.regexes().len();
        Ok(SweepJob {
            plan: Plan {
                patterns: Arc::new(Patterns::new(set)),
                report,
                rows: OccurrenceRows {
                    json: rows.json && report == SweepReport::Matches,
                    ..rows
                },
                max_match,
                context,
                totals_wanted: totals,
                found: false.into(),
                totals: Mutex::default(),
                errors: Mutex::default(),
                rules,
            },
            record_words: u32::try_from(2 * records).unwrap_or(u32::MAX),
        })
    }
}
