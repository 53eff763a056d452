//! Patterns as they are asked for, and sets of them that are searched for in memory.

use super::batch::Batch;
use super::bytes::{Bytes, Changing};
use super::errors::{self, value};
use super::options::{self, each};
use arrow_array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill::jobs::sweep::findings::Findings;
use gristmill::jobs::sweep::{Case, LineSettings, PlainStrings};
use gristmill::rows::readable;
use gristmill::rules::{literal, Matched, RuleSet};
use gristmill_patterns::{
    Hit, Literals, Part, PatternError, RegexSet, RegexSetBuilder, RegexSetCache,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a search looks for signals.
const TICK: Duration = Duration::from_millis(100);

/// Bytes that are searched for strings before signals are looked for.
const PIECE: usize = 4 << 20;

/// Bytes that are copied at a time where they may change: few enough to be in the cache when they are searched.
const COPIED: usize = 256 << 10;

/// The most memory that a set takes if nothing is said, in bytes: as for files.
const MEMORY: usize = 1 << 30;

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
                    "{function}(): fixed_strings, ignore_case and unicode are about patterns, and none are given: what a \
                     rule file says of a rule is all that holds for it"
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
    let Some(asked) = asked else {
        return Ok(rules);
    };
    if !asked.settings.unicode {
        return Err(value(
            "unicode=False is not for rules; write (?-u) into the regexes",
        ));
    }
    let fold = asked.settings.case == Case::Insensitive;
    let prefix = if fold { "(?i)" } else { "" };
    for (number, pattern) in asked.patterns.iter().enumerate() {
        let refused = |reason: String| {
            errors::pattern(
                py,
                &PatternError {
                    pattern: Some(number),
                    place: None,
                    reason,
                },
            )
        };
        if pattern.is_empty() {
            return Err(refused(EMPTY.into()));
        }
        let regex = match (asked.settings.fixed_strings, std::str::from_utf8(pattern)) {
            (true, _) => literal(pattern),
            (false, Ok(text)) => text.to_owned(),
            (false, Err(_)) => {
                return Err(errors::pattern(
                    py,
                    &PatternError::not_utf8(number, pattern),
                ));
            }
        };
        let name = String::from_utf8_lossy(pattern);
        let added = rules.add_pattern(&name, &format!("{prefix}{regex}"));
        added.map_err(|error| refused(error.reason))?;
    }
    Ok(rules)
}

const EMPTY: &str = "an empty pattern, which would be found at every byte; leave it out";

/// A match.
#[derive(Debug, Clone, Copy)]
struct Found {
    start: usize,
    end: usize,
    pattern: u32,
}

/// Patterns, prepared for finding them in bytes that are in memory.
///
/// `scan` takes bytes and everything else that has the buffer protocol. Of a string each occurrence is found, also those
/// that overlap; of a regex what a search for it alone finds, from left to right; with rules what `gristmill.scan` finds
/// in a file that has no name. Patterns are regexes unless `fixed_strings` is true; text is searched for as UTF-8. A set
/// may be used by several threads at a time.
#[pyclass(frozen, module = "gristmill")]
pub struct PatternSet {
    names: Vec<String>,
    strings: Option<Literals>,
    /// The numbers of the patterns that are strings.
    of_strings: Vec<u32>,
    regexes: RegexSet,
    /// The numbers of the patterns that are regexes, those of keywords behind all others.
    of_regexes: Vec<u32>,
    /// What regexes need while they search.
    caches: Mutex<Vec<RegexSetCache>>,
    rules: Option<Findings>,
    /// The numbers of the patterns for keywords, by the keyword.
    keywords: HashMap<String, u32>,
    schema: SchemaRef,
}

#[pymethods]
impl PatternSet {
    #[new]
    #[pyo3(signature = (
        patterns=None, *, rules=None, fixed_strings=false, ignore_case=false, unicode=true, regex_size_limit=None,
        set_memory=None
    ))]
    #[allow(clippy::too_many_arguments)] // They are Python's keywords.
    fn new(
        py: Python<'_>,
        patterns: Option<&Bound<'_, PyAny>>,
        rules: Option<&Bound<'_, PyAny>>,
        fixed_strings: bool,
        ignore_case: bool,
        unicode: bool,
        regex_size_limit: Option<usize>,
        set_memory: Option<usize>,
    ) -> PyResult<Self> {
        let asked = Asked::new(
            "PatternSet",
            patterns,
            fixed_strings,
            ignore_case,
            unicode,
            regex_size_limit,
        )?;
        let memory = set_memory.unwrap_or(MEMORY);
        let set = match (rules, asked) {
            (Some(rules), asked) => Self::of_rules(
                rule_set(py, rules, asked.as_ref())?,
                regex_size_limit,
                memory,
            ),
            (None, Some(asked)) => py.detach(|| Self::of_patterns(asked, memory)),
            (None, None) => {
                return Err(PyTypeError::new_err(
                    "PatternSet() needs patterns, or rules, or both",
                ))
            }
        };
        set.map_err(|refused| match refused {
            Refused::Pattern(error) => errors::pattern(py, &error),
            Refused::Other(error) => value(error),
        })
    }

    /// Finds all matches in bytes: a `Batch` with the columns `pattern` (the pattern's number, from 0), `start` and
    /// `length` (bytes), ordered by start and then by pattern.
    ///
    /// `bytes`, and memoryviews of them, are searched where they are. All other memory may change while it is searched,
    /// so it is copied: 256 KiB at a time where all patterns are strings, and else as a whole.
    fn scan(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Batch> {
        let mut found = Vec::new();
        match Bytes::of(data)? {
            Bytes::Constant(bytes, range) => self.find(py, &bytes[range], &mut found)?,
            Bytes::Changing(bytes) if self.regexes.is_empty() => {
                self.find_in_copies(py, &bytes, &mut found)?;
            }
            Bytes::Changing(bytes) => {
                let copy = bytes.copy(py, 0..bytes.len())?;
                self.find(py, &copy, &mut found)?;
            }
        }
        let schema = Arc::clone(&self.schema);
        let batch = py.detach(|| batch(schema, &mut found));
        batch
            .map(Batch)
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }

    /// How the patterns are searched for, and how much memory they take, in words.
    fn explain(&self) -> String {
        let mut text = String::new();
        if let Some(strings) = &self.strings {
            text += &format!(
                "{} strings in {} KiB: {}\n",
                strings.len(),
                strings.memory().div_ceil(1024),
                strings.explain()
            );
        }
        let numbers = self.of_regexes.iter();
        for (number, plan) in numbers.zip(self.regexes.explain()) {
            if let Some(name) = self.names.get(*number as usize) {
                text += &format!("{name}: {plan}\n");
            }
        }
        if !self.regexes.is_empty() {
            text += &format!(
                "{} regexes in {} KiB\n",
                self.regexes.len(),
                self.regexes.memory_usage().div_ceil(1024)
            );
        }
        text
    }

    /// The patterns, or the ids of the rules, by their numbers. Bytes that are not UTF-8 are shown as `\xHH`.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn __len__(&self) -> usize {
        self.names.len()
    }

    fn __repr__(&self) -> String {
        format!("PatternSet({} patterns)", self.names.len())
    }
}

/// Why a set is refused.
enum Refused {
    Pattern(PatternError),
    Other(String),
}

impl PatternSet {
    fn of_patterns(asked: Asked, memory: usize) -> Result<Self, Refused> {
        let Asked { patterns, settings } = asked;
        let (mut strings, mut of_strings) = (Vec::new(), Vec::new());
        let (mut regexes, mut of_regexes) = (Vec::new(), Vec::new());
        for (number, pattern) in (0_u32..).zip(&patterns) {
            let refused = |reason: &str| {
                Refused::Pattern(PatternError {
                    pattern: Some(number as usize),
                    place: None,
                    reason: reason.into(),
                })
            };
            if pattern.is_empty() {
                return Err(refused(EMPTY));
            }
            let plain = PlainStrings::of(&[pattern], &settings);
            match plain.and_then(|mut one| one.strings.pop()) {
                Some(string) if !string.is_empty() => {
                    strings.push(string);
                    of_strings.push(number);
                }
                _ => {
                    let regex = std::str::from_utf8(pattern).map_err(|_| {
                        Refused::Pattern(PatternError::not_utf8(number as usize, pattern))
                    })?;
                    regexes.push(regex);
                    of_regexes.push(number);
                }
            }
        }
        let fold = settings.case == Case::Insensitive;
        let needed = Literals::estimate(strings.len(), strings.iter().map(Vec::len).sum());
        if needed > memory {
            return Err(Refused::Other(format!(
                "these patterns would take up to {needed} bytes of memory, and may take {memory}; give fewer, or a larger \
                 set_memory"
            )));
        }
        let strings = (!strings.is_empty()).then(|| Literals::build(&strings, fold));
        let strings = strings.transpose();
        let strings = strings.map_err(|error| Refused::Other(error.to_string()))?;
        let set = RegexSetBuilder::new()
            .case_insensitive(fold)
            .unicode(settings.unicode)
            .size_limit(settings.size_limit)
            .total_size_limit(memory)
            .build(&regexes);
        let regexes = set.map_err(|error| {
            let number = of_regexes
                .get(error.number())
                .map(|number| *number as usize);
            Refused::Pattern(PatternError {
                pattern: number,
                ..PatternError::from(&error)
            })
        })?;
        let names = patterns
            .iter()
            .map(|pattern| readable(pattern).into_owned());
        Ok(Self {
            names: names.collect(),
            strings,
            of_strings,
            regexes,
            of_regexes,
            caches: Mutex::default(),
            rules: None,
            keywords: HashMap::new(),
            schema: schema(),
        })
    }

    fn of_rules(rules: RuleSet, size_limit: Option<usize>, memory: usize) -> Result<Self, Refused> {
        let findings = Findings::new(Arc::new(rules));
        let rules = findings.rules().rules();
        let (mut regexes, mut of_regexes) = (Vec::new(), Vec::new());
        for (number, rule) in (0_u32..).zip(rules) {
            if let Some(pattern) = rule.pattern() {
                regexes.push(pattern.to_owned());
                of_regexes.push(number);
            }
        }
        let mut keywords = HashMap::new();
        let behind = u32::try_from(rules.len()).unwrap_or(u32::MAX);
        for (number, word) in (behind..).zip(findings.keywords()) {
            regexes.push(Findings::keyword_regex(word));
            of_regexes.push(number);
            keywords.insert(word.clone(), number);
        }
        let mut set = RegexSetBuilder::new();
        set.total_size_limit(memory);
        if let Some(bytes) = size_limit {
            set.size_limit(bytes);
        }
        let regexes = set.build(&regexes).map_err(|error| {
            let number = of_regexes
                .get(error.number())
                .map(|number| *number as usize);
            Refused::Pattern(PatternError {
                pattern: number,
                ..PatternError::from(&error)
            })
        })?;
        Ok(Self {
            names: rules.iter().map(|rule| rule.id().to_owned()).collect(),
            strings: None,
            of_strings: Vec::new(),
            regexes,
            of_regexes,
            caches: Mutex::default(),
            keywords,
            schema: schema(),
            rules: Some(findings),
        })
    }

    /// Finds what is in bytes that do not change.
    fn find(&self, py: Python<'_>, bytes: &[u8], found: &mut Vec<Found>) -> PyResult<()> {
        if let Some(strings) = &self.strings {
            let mut from = 0;
            while from < bytes.len() {
                let until = bytes.len().min(from.saturating_add(PIECE));
                py.detach(|| self.find_strings(strings, bytes, from..until, 0, found));
                py.check_signals()?;
                from = until;
            }
        }
        if self.regexes.is_empty() {
            return Ok(());
        }
        py.detach(|| self.find_regexes(bytes, found))?;
        if let Some(rules) = &self.rules {
            py.detach(|| self.judge(rules, bytes, found));
        }
        Ok(())
    }

    fn find_strings(
        &self,
        strings: &Literals,
        bytes: &[u8],
        starts: Range<usize>,
        offset: usize,
        found: &mut Vec<Found>,
    ) {
        strings.find(bytes, starts, |start, number| {
            found.push(Found {
                start: offset + start,
                end: offset + start + strings.pattern_len(number),
                pattern: self.of_strings[number as usize],
            });
        });
    }

    /// Finds the strings in bytes that may change, in copies of a piece at a time.
    fn find_in_copies(
        &self,
        py: Python<'_>,
        bytes: &Changing,
        found: &mut Vec<Found>,
    ) -> PyResult<()> {
        let Some(strings) = &self.strings else {
            return Ok(());
        };
        let (mut from, mut looked) = (0, Instant::now());
        while from < bytes.len() {
            let until = bytes.len().min(from + COPIED);
            // An occurrence may reach into the next piece.
            let end = bytes.len().min(until + strings.longest().saturating_sub(1));
            let copy = bytes.copy(py, from..end)?;
            py.detach(|| self.find_strings(strings, &copy, 0..until - from, from, found));
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                py.check_signals()?;
            }
            from = until;
        }
        Ok(())
    }

    fn find_regexes(&self, bytes: &[u8], found: &mut Vec<Found>) -> PyResult<()> {
        let caches = || self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = caches().pop();
        let mut cache = kept.unwrap_or_else(|| self.regexes.cache());
        let looked = RefCell::new((Instant::now(), Ok(())));
        let go_on = || {
            let (last, signals) = &mut *looked.borrow_mut();
            if signals.is_ok() && last.elapsed() >= TICK {
                *last = Instant::now();
                *signals = Python::attach(|py| py.check_signals());
            }
            signals.is_ok()
        };
        self.regexes
            .find_in(&mut cache, &Part::whole(bytes), go_on, |regex, hit| {
                if let Hit::Match { start, end } = hit {
                    found.push(Found {
                        start,
                        end,
                        pattern: self.of_regexes[regex],
                    });
                }
            });
        caches().push(cache);
        looked.into_inner().1
    }

    /// Leaves of the rules' matches what is a finding.
    fn judge(&self, findings: &Findings, bytes: &[u8], found: &mut Vec<Found>) {
        let rules = findings.rules();
        let path = rules.at_path(b"");
        let seen: std::collections::HashSet<u32> = found
            .iter()
            .map(|found| found.pattern)
            .filter(|number| *number as usize >= self.names.len())
            .collect();
        found.retain_mut(|found| {
            let Some(rule) = rules.rules().get(found.pattern as usize) else {
                return false;
            };
            let begin = memchr::memrchr(b'\n', &bytes[..found.start]).map_or(0, |at| at + 1);
            let end = memchr::memchr(b'\n', &bytes[found.end..]);
            let end = end.map_or(bytes.len(), |at| found.end + at);
            let judged = rules.judge(
                &path,
                &Matched {
                    rule: found.pattern,
                    text: &bytes[found.start..found.end],
                    line: &bytes[begin..end],
                },
            );
            let Some(finding) = judged else { return false };
            found.end = found.start + finding.matched.end;
            found.start += finding.matched.start;
            let mut words = rule.keywords_of_file().iter();
            !finding.needs_keyword
                || words.any(|word| {
                    let number = self.keywords.get(word);
                    number.is_some_and(|number| seen.contains(number))
                })
        });
    }
}

fn schema() -> SchemaRef {
    let column = |name, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        column("pattern", DataType::UInt32),
        column("start", DataType::UInt64),
        column("length", DataType::UInt64),
    ]))
}

/// The matches as a batch.
fn batch(schema: SchemaRef, found: &mut [Found]) -> Result<RecordBatch, arrow_schema::ArrowError> {
    // Most are in order, which this sort makes use of.
    found.sort_by_key(|found| (found.start, found.pattern));
    let patterns: UInt32Array = found
        .iter()
        .map(|found| found.pattern)
        .collect::<Vec<_>>()
        .into();
    let starts: Vec<u64> = found.iter().map(|found| found.start as u64).collect();
    let lengths = found.iter().map(|found| (found.end - found.start) as u64);
    let lengths: Vec<u64> = lengths.collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(patterns),
        Arc::new(UInt64Array::from(starts)),
        Arc::new(UInt64Array::from(lengths)),
    ];
    RecordBatch::try_new(schema, columns)
}
