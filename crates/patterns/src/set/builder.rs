//! Preparing patterns.

use super::PatternSet;
use crate::literals::Stored;
use crate::{Boundary, BuildError, Literals, RegexSetBuilder, RegexSetError, DEFAULT_SIZE_LIMIT};
use std::fmt;

/// The most patterns of a set.
const MAX_PATTERNS: usize = 1_000_000;

/// The most memory that patterns may take if no other limit is set, in bytes: 1 GiB.
const DEFAULT_MEMORY: usize = 1 << 30;

/// Why patterns cannot be prepared. Numbers count all patterns, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternSetError {
    /// The string with this number is empty: it would occur at every byte.
    Empty(usize),
    /// The string with this number is longer than [`PatternSetBuilder::longest`] allows.
    Long(usize),
    /// There are more than 1,000,000 patterns, or more bytes of them than 32-bit numbers can name.
    TooMany,
    /// The strings would take more memory than they may: `needed` is an estimate, made before anything is built.
    Memory {
        /// Bytes that they would take.
        needed: usize,
        /// Bytes that they may take.
        allowed: usize,
    },
    /// A regex is refused.
    Regex {
        /// The regex's number.
        number: usize,
        /// What is wrong with it. The number in it counts regexes alone.
        error: RegexSetError,
    },
}

impl fmt::Display for PatternSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(number) => write!(f, "pattern {number} is empty, so it would occur everywhere"),
            Self::Long(number) => write!(f, "pattern {number} is longer than strings may be"),
            Self::TooMany => write!(f, "there are more than {MAX_PATTERNS} patterns"),
            Self::Memory { needed, allowed } => write!(
                f,
                "these strings would take up to {needed} bytes of memory, and may take {allowed}; give fewer, or allow more"
            ),
            Self::Regex { error, .. } => error.fmt(f),
        }
    }
}

impl std::error::Error for PatternSetError {}

/// How regexes are read and compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    pub case_insensitive: bool,
    pub unicode: bool,
    /// Whether CR LF ends a line, too.
    pub crlf: bool,
    /// What matches must lie between.
    pub boundary: Option<Boundary>,
    pub regex_size_limit: usize,
}

impl Settings {
    /// A builder for regexes that take no more memory than this together.
    pub fn regexes(&self, memory: usize) -> RegexSetBuilder {
        let mut builder = RegexSetBuilder::new();
        builder
            .case_insensitive(self.case_insensitive)
            .unicode(self.unicode)
            .crlf(self.crlf)
            .boundary(self.boundary)
            .size_limit(self.regex_size_limit)
            .total_size_limit(memory);
        builder
    }
}

#[derive(Debug, Clone)]
enum Pattern {
    String(Vec<u8>),
    Regex(String),
}

/// Builds a [`PatternSet`].
#[derive(Debug, Clone)]
pub struct PatternSetBuilder {
    names: Vec<Vec<u8>>,
    patterns: Vec<Pattern>,
    settings: Settings,
    memory: usize,
    longest: usize,
}

impl Default for PatternSetBuilder {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            patterns: Vec::new(),
            settings: Settings {
                case_insensitive: false,
                unicode: true,
                crlf: false,
                boundary: None,
                regex_size_limit: DEFAULT_SIZE_LIMIT,
            },
            memory: DEFAULT_MEMORY,
            longest: usize::MAX,
        }
    }
}

impl PatternSetBuilder {
    /// Adds a string of one byte or more, each of whose occurrences is found.
    #[must_use]
    pub fn string(mut self, name: impl Into<Vec<u8>>, string: impl Into<Vec<u8>>) -> Self {
        self.names.push(name.into());
        self.patterns.push(Pattern::String(string.into()));
        self
    }

    /// Adds a regex of Rust's syntax.
    #[must_use]
    pub fn regex(mut self, name: impl Into<Vec<u8>>, regex: impl Into<String>) -> Self {
        self.names.push(name.into());
        self.patterns.push(Pattern::Regex(regex.into()));
        self
    }

    /// Leaves out all patterns so far.
    #[must_use]
    pub fn clear(mut self) -> Self {
        (self.names, self.patterns) = (Vec::new(), Vec::new());
        self
    }

    /// The number of patterns so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.patterns.len()
    }

    /// Whether letters match in either case: those of regexes by Unicode's simple case folding, those of strings that are
    /// ASCII. Default: no.
    #[must_use]
    pub fn case_insensitive(mut self, yes: bool) -> Self {
        self.settings.case_insensitive = yes;
        self
    }

    /// Whether classes, `.`, word boundaries and case of regexes know Unicode; else they know ASCII only. Default: yes.
    #[must_use]
    pub fn unicode(mut self, yes: bool) -> Self {
        self.settings.unicode = yes;
        self
    }

    /// Whether CR LF ends a line as LF does: for `^` and `$` of regexes with `(?m)`, for `.`, and for whole lines. Default:
    /// no.
    #[must_use]
    pub fn crlf(mut self, yes: bool) -> Self {
        self.settings.crlf = yes;
        self
    }

    /// What matches must lie between. Of a string the occurrences that do so are found; a regex is searched for as if
    /// what must hold were written before and behind it. Default: anything.
    #[must_use]
    pub fn boundary(mut self, boundary: Option<Boundary>) -> Self {
        self.settings.boundary = boundary;
        self
    }

    /// The most memory that one compiled regex may take, in bytes. Default: 100 MiB.
    #[must_use]
    pub fn regex_size_limit(mut self, bytes: usize) -> Self {
        self.settings.regex_size_limit = bytes;
        self
    }

    /// The most memory that all regexes together may take, and strings with what is prepared for searching them, in bytes.
    /// Default: 1 GiB.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The most bytes that a string may have. Default: no limit.
    #[must_use]
    pub fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Prepares the patterns.
    ///
    /// # Errors
    /// A [`PatternSetError`] for a pattern that is refused, and for too many.
    pub fn build(self) -> Result<PatternSet, PatternSetError> {
        if self.patterns.len() > MAX_PATTERNS {
            return Err(PatternSetError::TooMany);
        }
        let (mut strings, mut texts, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (number, pattern) in self.patterns.into_iter().enumerate() {
            match pattern {
                Pattern::String(string) if string.is_empty() => {
                    return Err(PatternSetError::Empty(number))
                }
                Pattern::String(string) if string.len() > self.longest => {
                    return Err(PatternSetError::Long(number))
                }
                Pattern::String(string) => strings.push(string),
                Pattern::Regex(text) => {
                    texts.push(text);
                    // There are no more than a million.
                    numbers.push(u32::try_from(number).unwrap_or(u32::MAX));
                }
            }
        }
        let needed = Literals::estimate(strings.len(), strings.iter().map(Vec::len).sum());
        if needed > self.memory {
            let allowed = self.memory;
            return Err(PatternSetError::Memory { needed, allowed });
        }
        let regexes = self.settings.regexes(self.memory).build(&texts);
        let regexes = regexes.map_err(|error| PatternSetError::Regex {
            number: numbers
                .get(error.number())
                .map_or(0, |number| *number as usize),
            error,
        })?;
        let fold = self.settings.case_insensitive;
        let literals = (!strings.is_empty()).then(|| Literals::build(&strings, fold));
        let strings = literals.transpose().map_err(|error| match error {
            BuildError::Empty(number) => PatternSetError::Empty(number as usize),
            BuildError::TooMany => PatternSetError::TooMany,
        })?;
        let named_alike = texts.is_empty()
            && strings.as_ref().is_none_or(|strings| {
                let mut names = (0..).zip(&self.names);
                names.all(|(number, name)| strings.pattern(number) == name)
            });
        let names = match named_alike {
            true => None,
            false => Some(Stored::texts(&self.names).ok_or(PatternSetError::TooMany)?),
        };
        let together = strings.as_ref().map_or(0, most_together);
        Ok(PatternSet {
            names,
            strings,
            regexes,
            texts,
            settings: self.settings,
            numbers,
            together: u32::try_from(together).unwrap_or(u32::MAX),
        })
    }
}

/// The most of these strings that occur at the same place: each of them begins with the one before.
fn most_together(strings: &Literals) -> usize {
    let all = (0..).take(strings.len());
    let mut sorted: Vec<&[u8]> = all.map(|number| strings.pattern(number)).collect();
    sorted.sort_unstable();
    let mut begun: Vec<&[u8]> = Vec::new();
    let mut most = 0;
    for string in &sorted {
        while begun.pop_if(|last| !string.starts_with(last)).is_some() {}
        begun.push(string);
        most = most.max(begun.len());
    }
    most
}
