//! Sets of patterns that are searched for in memory.

use super::asked::{not_built, rule_set, Asked, Reading};
use super::batch::Batch;
use super::bytes::{Bytes, Changing};
use super::errors;
use super::options;
use arrow_array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use gristmill::jobs::sweep::findings::Findings;
use gristmill::jobs::sweep::{SetError, SweepJob, SweepSet, SweepSetError};
use gristmill::ring::lock;
use gristmill::rows::readable;
use gristmill::rules::{Matched, RuleSet};
use gristmill_patterns::{Hit, Part, RegexSetCache, LOOK};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::Permissions;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a search looks for signals.
const TICK: Duration = Duration::from_millis(100);

/// Bytes that are searched for strings before signals are looked for.
const PIECE: usize = 4 << 20;

/// Bytes that are copied at a time where they may change: few enough to be in the cache when they are searched.
const COPIED: usize = 256 << 10;

/// The most memory that a set takes if nothing is said, in bytes: as for files.
const MEMORY: usize = 1 << 30;

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
    set: SweepSet,
    /// The numbers of the patterns, or of the rules, by those of the regexes; keywords of rules are behind all others.
    of_regexes: Vec<u32>,
    /// What regexes need while they search.
    caches: Mutex<Vec<RegexSetCache>>,
    /// The numbers of the keywords of rules.
    keywords: HashMap<String, u32>,
    schema: SchemaRef,
}

#[pymethods]
impl PatternSet {
    #[new]
    #[pyo3(signature = (
        patterns=None, *, rules=None, fixed_strings=false, ignore_case=false, word_regexp=false, line_regexp=false,
        crlf=false, unicode=true, regex_size_limit=None, set_memory=None
    ))]
    #[allow(clippy::too_many_arguments)] // They are Python's keywords.
    fn new(
        py: Python<'_>,
        patterns: Option<&Bound<'_, PyAny>>,
        rules: Option<&Bound<'_, PyAny>>,
        fixed_strings: bool,
        ignore_case: bool,
        word_regexp: bool,
        line_regexp: bool,
        crlf: bool,
        unicode: bool,
        regex_size_limit: Option<usize>,
        set_memory: Option<usize>,
    ) -> PyResult<Self> {
        let reading = Reading {
            fixed_strings,
            ignore_case,
            word_regexp,
            line_regexp,
            crlf,
            unicode,
            regex_size_limit,
        };
        let asked = Asked::new("PatternSet", patterns, reading)?;
        let mut job = SweepJob::builder().memory(set_memory.unwrap_or(MEMORY));
        if let Some(bytes) = regex_size_limit {
            job = job.regex_size_limit(bytes);
        }
        let set = match (rules, asked) {
            (Some(rules), asked) => {
                let rules = Arc::new(rule_set(py, rules, asked.as_ref())?);
                let findings = Arc::new(Findings::new(rules));
                let compiled = py.detach(|| job.findings(findings).compile());
                compiled.map_err(|error| not_built(py, error))?
            }
            (None, Some(asked)) => asked.compile(py, job)?,
            (None, None) => {
                return Err(PyTypeError::new_err(
                    "PatternSet() needs patterns, or rules, or both",
                ))
            }
        };
        Ok(Self::of(set))
    }

    /// Loads a set that `save`, or `gristmill compile`, has written. It is checked, and takes a small part of the time
    /// that it takes to compile it. The set, and beside it its regexes, may take `set_memory` bytes.
    #[staticmethod]
    #[pyo3(signature = (file, *, set_memory=None))]
    fn load(py: Python<'_>, file: &Bound<'_, PyAny>, set_memory: Option<usize>) -> PyResult<Self> {
        let path = options::path(file)?;
        let set = py.detach(|| SweepSet::read(&path, set_memory.unwrap_or(MEMORY)));
        set.map(Self::of).map_err(|error| {
            let advice = match error {
                SweepSetError::Set(SetError::Memory { .. } | SetError::Regex(_)) => " (set_memory)",
                _ => "",
            };
            errors::set(py, &path, &format!("{error}{advice}"))
        })
    }

    /// Writes the set to a file, which `load` and `gristmill scan --set` read. It is there with all its bytes or not at
    /// all; what was there before is replaced.
    fn save(&self, py: Python<'_>, file: &Bound<'_, PyAny>) -> PyResult<()> {
        let path = options::path(file)?;
        py.detach(|| write(&path, &self.set.save()))?;
        Ok(())
    }

    /// The set as bytes, as `save` writes them: the same on every processor. A set is pickled so.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = py.detach(|| self.set.save());
        PyBytes::new(py, &bytes)
    }

    /// The set that `to_bytes` has given. It, and beside it its regexes, may take `set_memory` bytes.
    #[staticmethod]
    #[pyo3(signature = (data, *, set_memory=None))]
    fn from_bytes(py: Python<'_>, data: &[u8], set_memory: Option<usize>) -> PyResult<Self> {
        let memory = set_memory.unwrap_or(MEMORY);
        let set = py.detach(|| SweepSet::read_from(data, data.len(), memory));
        set.map(Self::of)
            .map_err(|error| errors::set(py, Path::new("(bytes)"), &error.to_string()))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let py = slf.py();
        Ok((
            slf.get_type().getattr("from_bytes")?,
            (slf.get().to_bytes(py),),
        ))
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
            Bytes::Changing(bytes) if self.set.patterns().regexes().is_empty() => {
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
        let patterns = self.set.patterns();
        let mut text = format!(
            "{} patterns in {} KiB\n",
            self.count(),
            patterns.memory().div_ceil(1024)
        );
        if let Some(strings) = patterns.strings() {
            text += &format!("{} strings: {}\n", strings.len(), strings.explain());
        }
        let numbers = self.of_regexes.iter();
        for (number, plan) in numbers.zip(patterns.regexes().explain()) {
            if (*number as usize) < self.count() {
                text += &format!("{}: {plan}\n", self.name(*number));
            }
        }
        text
    }

    /// The patterns, or the ids of the rules, by their numbers. Bytes that are not UTF-8 are shown as `\xHH`.
    #[getter]
    fn names(&self) -> Vec<String> {
        let numbers = (0..).take(self.count());
        numbers.map(|number| self.name(number)).collect()
    }

    fn __len__(&self) -> usize {
        self.count()
    }

    fn __repr__(&self) -> String {
        format!("PatternSet({} patterns)", self.count())
    }
}

/// Writes a file that is there with all its bytes or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl PatternSet {
    fn of(set: SweepSet) -> Self {
        let (mut of_regexes, mut keywords) = (Vec::new(), HashMap::new());
        let patterns = set.patterns();
        if let Some(rules) = set.rules() {
            for (number, rule) in (0..).zip(rules.rules()) {
                of_regexes.extend(rule.pattern().map(|_| number));
            }
            let behind = u32::try_from(rules.rules().len()).unwrap_or(u32::MAX);
            let findings = Findings::new(Arc::clone(rules));
            for (number, word) in (behind..).zip(findings.keywords()) {
                of_regexes.push(number);
                keywords.insert(word.clone(), number);
            }
        } else {
            let indices = (0..).take(patterns.regexes().len());
            of_regexes.extend(indices.map(|index| patterns.regex_number(index)));
        }
        Self {
            of_regexes,
            caches: Mutex::default(),
            keywords,
            schema: schema(),
            set,
        }
    }

    /// What is searched for.
    pub fn set(&self) -> &SweepSet {
        &self.set
    }

    /// The number of patterns or rules.
    fn count(&self) -> usize {
        match self.set.rules() {
            Some(rules) => rules.rules().len(),
            None => self.set.patterns().len(),
        }
    }

    /// The pattern, or the rule's id, with this number.
    fn name(&self, number: u32) -> String {
        match self.set.rules() {
            Some(rules) => rules.rules()[number as usize].id().to_owned(),
            None => readable(self.set.patterns().name(number)).into_owned(),
        }
    }

    /// Finds what is in bytes that do not change.
    fn find(&self, py: Python<'_>, bytes: &[u8], found: &mut Vec<Found>) -> PyResult<()> {
        if self.set.patterns().strings().is_some() {
            let mut from = 0;
            while from < bytes.len() {
                let until = bytes.len().min(from.saturating_add(PIECE));
                py.detach(|| self.find_strings(bytes, from..until, 0, found));
                py.check_signals()?;
                from = until;
            }
        }
        if self.set.patterns().regexes().is_empty() {
            return Ok(());
        }
        py.detach(|| self.find_regexes(bytes, found))?;
        if let Some(rules) = self.set.rules() {
            py.detach(|| self.judge(rules, bytes, found));
        }
        Ok(())
    }

    /// Finds the strings that begin in these of the bytes, of which the first has this offset.
    fn find_strings(
        &self,
        bytes: &[u8],
        starts: Range<usize>,
        offset: usize,
        found: &mut Vec<Found>,
    ) {
        let patterns = self.set.patterns();
        patterns.find_strings(bytes, starts, |at, number| {
            found.push(Found {
                start: offset + at.start,
                end: offset + at.end,
                pattern: patterns.string_number(number),
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
        let Some(strings) = self.set.patterns().strings() else {
            return Ok(());
        };
        let (mut from, mut looked) = (0, Instant::now());
        while from < bytes.len() {
            let until = bytes.len().min(from + COPIED);
            // An occurrence may reach into the next piece, and what is beside it may count.
            let begin = from.saturating_sub(LOOK);
            let end = until + strings.longest().saturating_sub(1) + LOOK;
            let copy = bytes.copy(py, begin..end.min(bytes.len()))?;
            py.detach(|| self.find_strings(&copy, from - begin..until - begin, begin, found));
            if looked.elapsed() >= TICK {
                looked = Instant::now();
                py.check_signals()?;
            }
            from = until;
        }
        Ok(())
    }

    fn find_regexes(&self, bytes: &[u8], found: &mut Vec<Found>) -> PyResult<()> {
        let caches = || lock(&self.caches);
        let kept = caches().pop();
        let regexes = self.set.patterns().regexes();
        let mut cache = kept.unwrap_or_else(|| regexes.cache());
        let looked = RefCell::new((Instant::now(), Ok(())));
        let go_on = || {
            let (last, signals) = &mut *looked.borrow_mut();
            if signals.is_ok() && last.elapsed() >= TICK {
                *last = Instant::now();
                *signals = Python::attach(|py| py.check_signals());
            }
            signals.is_ok()
        };
        regexes.find_in(&mut cache, &Part::whole(bytes), go_on, |regex, hit| {
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
    fn judge(&self, rules: &RuleSet, bytes: &[u8], found: &mut Vec<Found>) {
        let path = rules.at_path(b"");
        let seen: HashSet<u32> = found
            .iter()
            .map(|found| found.pattern)
            .filter(|number| *number as usize >= self.count())
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
