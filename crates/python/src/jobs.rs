//! The functions that start runs.

use super::asked::{not_built, rule_set, Asked, Reading};
use super::errors::{self, value, Failure};
use super::feed::{self, OnFailure};
use super::files::{Files, PassedOver};
use super::options::{each, extracted, Options};
use super::patterns::PatternSet;
use super::program;
use super::progress::Progress;
use super::stream::Stream;
use super::work::Work;
use gristmill::jobs::digest::{digest_schema, Algorithm, Algorithms, DigestJob, DigestRows};
use gristmill::jobs::run::{RunJob, RunRows};
use gristmill::jobs::scan::{ScanBuildError, ScanJob};
use gristmill::jobs::stats::{stats_schema, StatsJob, StatsRows};
use gristmill::jobs::sweep::findings::{finding_schema, Findings, Format};
use gristmill::jobs::sweep::{occurrence_schema, Case, SweepJob, SweepJobBuilder};
use gristmill::rows::arrow::schema as arrow_schema;
use gristmill::rules::RuleSet;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use std::sync::Arc;

/// How a run is told of.
pub struct Told {
    progress: Option<Progress>,
    on_failure: OnFailure,
}

impl Told {
    pub fn take(options: &mut Options<'_>) -> PyResult<Self> {
        let progress = options.object("progress")?;
        let progress = progress.as_ref().map(Progress::new).transpose()?.flatten();
        let on_failure = match options.take::<String>("errors")?.as_deref() {
            None | Some("warn") => OnFailure::Warn,
            Some("collect") => OnFailure::Collect,
            Some("raise") => OnFailure::Raise,
            Some(other) => {
                return Err(value(format!(
                    "errors='{other}': there are 'warn', 'collect' and 'raise'"
                )))
            }
        };
        Ok(Self {
            progress,
            on_failure,
        })
    }

    /// Starts a run of these jobs over files. Returns a stream for each, in their order.
    pub fn start(self, py: Python<'_>, files: Files, work: Vec<Work>) -> PyResult<Vec<Stream>> {
        let Files { source, mill } = files;
        let columns = work.iter().map(|work| Arc::new(arrow_schema(&work.schema)));
        let columns: Vec<_> = columns.collect();
        let feeds = feed::start(mill, source, work, self.progress, self.on_failure);
        let feeds =
            feeds.map_err(|error| errors::run(py, &format!("no thread to run in: {error}")))?;
        let streams = columns.into_iter().zip(feeds);
        Ok(streams
            .map(|(columns, feed)| Stream::new(columns, feed))
            .collect())
    }

    /// Starts a run of one job.
    fn start_one(self, py: Python<'_>, files: Files, work: Work) -> PyResult<Stream> {
        let started = self.start(py, files, vec![work])?.pop();
        started.ok_or_else(|| errors::run(py, "a run of no job"))
    }
}

/// What is searched for, and what is told of it: the arguments of `scan`, and the attributes of `Scan`. [`Reading`] has the rest.
#[derive(FromPyObject)]
pub struct ScanArguments<'py> {
    patterns: Option<Bound<'py, PyAny>>,
    rules: Option<Bound<'py, PyAny>>,
    context_bytes: Option<u64>,
    show_secrets: bool,
    max_match: Option<u64>,
    set_memory: Option<usize>,
}

/// Finds every match of every pattern, or what the rules of rule files find, in files.
///
/// The rows are those of `gristmill scan --all` or `--rules`: see docs/rows.md, and docs/rules.md for rule files. Whole
/// files are searched, as bytes; of a string each occurrence is a match, also those that overlap. Patterns are regexes
/// unless `fixed_strings` is true; text is searched for as UTF-8. A `PatternSet` is searched for as it was made. With
/// rules, patterns are rules, too, by their own name. Hidden files, and those that ignore files exclude, are passed
/// over unless `hidden` and `ignore` say otherwise.
#[pyfunction]
#[pyo3(signature = (
    paths, patterns=None, *, rules=None, fixed_strings=false, ignore_case=false, word_regexp=false, line_regexp=false,
    crlf=false, unicode=true, context_bytes=None, show_secrets=false, max_match=None, regex_size_limit=None,
    set_memory=None, **options
))]
#[allow(clippy::too_many_arguments)] // They are Python's keywords.
pub fn scan<'py>(
    py: Python<'py>,
    paths: &Bound<'py, PyAny>,
    patterns: Option<&Bound<'py, PyAny>>,
    rules: Option<&Bound<'py, PyAny>>,
    fixed_strings: bool,
    ignore_case: bool,
    word_regexp: bool,
    line_regexp: bool,
    crlf: bool,
    unicode: bool,
    context_bytes: Option<u64>,
    show_secrets: bool,
    max_match: Option<u64>,
    regex_size_limit: Option<usize>,
    set_memory: Option<usize>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Stream> {
    let mut options = Options::new("scan", options)?;
    let files = Files::take(&mut options, paths, PassedOver::AsScan)?;
    let told = Told::take(&mut options)?;
    options.end()?;
    let arguments = ScanArguments {
        patterns: patterns.cloned(),
        rules: rules.cloned(),
        context_bytes,
        show_secrets,
        max_match,
        set_memory,
    };
    let reading = Reading {
        fixed_strings,
        ignore_case,
        word_regexp,
        line_regexp,
        crlf,
        unicode,
        regex_size_limit,
    };
    let work = scan_work(py, &arguments, reading, false)?;
    told.start_one(py, files, work)
}

/// The job of a scan. It takes parts of files if that is asked for and can be.
pub fn scan_work(
    py: Python<'_>,
    arguments: &ScanArguments<'_>,
    reading: Reading,
    parts: bool,
) -> PyResult<Work> {
    let (patterns, rules) = (arguments.patterns.as_ref(), arguments.rules.as_ref());
    let (context_bytes, show_secrets) = (arguments.context_bytes, arguments.show_secrets);
    let (regex_size_limit, set_memory) = (reading.regex_size_limit, arguments.set_memory);
    let compiled = patterns.and_then(|patterns| patterns.cast::<PatternSet>().ok());
    let asked = Asked::new("scan", patterns.filter(|_| compiled.is_none()), reading)?;
    let mut job = SweepJob::builder();
    if let Some(bytes) = arguments.max_match {
        job = job.max_match(bytes);
    }
    if let Some(bytes) = set_memory {
        job = job.memory(bytes);
    }
    if let Some(bytes) = regex_size_limit {
        job = job.regex_size_limit(bytes);
    }
    let judged = if let Some(compiled) = compiled {
        if rules.is_some() {
            return Err(value(
                "rules together with a PatternSet, which holds all that is searched for; make it with the rules",
            ));
        }
        if regex_size_limit.is_some() || set_memory.is_some() {
            return Err(value(
                "regex_size_limit and set_memory are for patterns that are not compiled yet; give them to PatternSet",
            ));
        }
        let set = compiled.get().set();
        job = job.set(set.clone());
        set.rules().map(Arc::clone)
    } else {
        let rules = rules.map(|rules| rule_set(py, rules, asked.as_ref()));
        rules.transpose()?.map(Arc::new)
    };
    if let Some(rules) = judged {
        if context_bytes.is_some() {
            return Err(value(
                "context_bytes is about patterns; what rules find has lines and columns instead",
            ));
        }
        return findings(py, job, rules, show_secrets);
    }
    if show_secrets {
        return Err(value("show_secrets is about rules, and none are given"));
    }
    let nothing = match (&asked, compiled) {
        (Some(asked), _) => asked.patterns.is_empty(),
        (None, Some(compiled)) => compiled.get().set().patterns().is_empty(),
        (None, None) => {
            return Err(PyTypeError::new_err(
                "scan() needs patterns, or rules, or both",
            ))
        }
    };
    if nothing {
        return Ok(Work::nothing(occurrence_schema()));
    }
    if let Some(asked) = asked {
        if !parts && context_bytes.is_none() && asked.are_plain() {
            return strings(py, asked, set_memory);
        }
        let with = py.detach(|| job.patterns(asked.patterns, &asked.settings));
        job = with.map_err(|error| not_built(py, error))?;
    }
    job = job.table(true).with_path(true).context_bytes(context_bytes);
    let job = py.detach(|| job.build());
    let job = job.map_err(|error| not_built(py, error))?;
    let cut = job.can_be_cut();
    Ok(Work::new(occurrence_schema(), job, swept).cut(cut))
}

/// Searches for what rules find.
fn findings(
    py: Python<'_>,
    job: SweepJobBuilder,
    rules: Arc<RuleSet>,
    show_secrets: bool,
) -> PyResult<Work> {
    if rules.rules().is_empty() {
        return Ok(Work::nothing(finding_schema()));
    }
    let findings = Findings::new(rules)
        .format(Format::Table)
        .show_secrets(show_secrets);
    let findings = Arc::new(findings);
    let job = job.findings(Arc::clone(&findings));
    let job = py.detach(|| job.build());
    let job = job.map_err(|error| not_built(py, error))?;
    Ok(Work::new(finding_schema(), job, move |job| {
        let mut failed = swept(job);
        let unshown = findings.take_errors().into_iter();
        failed.extend(unshown.map(|one| Failure::placed(&one.path, one.offset, &one.to_string())));
        failed
    }))
}

/// Searches for nothing but strings.
fn strings(py: Python<'_>, asked: Asked, memory: Option<usize>) -> PyResult<Work> {
    let Asked { patterns, settings } = asked;
    let mut job = ScanJob::builder()
        .patterns(patterns)
        .all(true)
        .regex(!settings.fixed_strings)
        .case_insensitive(settings.case == Case::Insensitive)
        .unicode(settings.unicode)
        .with_path(true)
        .table(true);
    if let Some(bytes) = memory {
        job = job.set_bytes(bytes);
    }
    let job = py.detach(|| job.build_or_place());
    let job = job.map_err(|error| match error {
        ScanBuildError::Pattern(error) => errors::pattern(py, &error),
        error @ ScanBuildError::Memory { .. } => value(format!("{error} (set_memory)")),
        error => value(error),
    })?;
    Ok(Work::new(occurrence_schema(), job, |job| {
        let failed = job.take_errors().into_iter();
        failed
            .map(|error| Failure::placed(&error.path, error.offset, &error.to_string()))
            .collect()
    }))
}

/// What a sweep could not search.
fn swept(job: &SweepJob) -> Vec<Failure> {
    let failed = job.take_errors().into_iter();
    failed
        .map(|error| Failure::placed(&error.path, error.offset, &error.to_string()))
        .collect()
}

/// Makes digests of files.
///
/// The rows are those of `gristmill digest`: path, algorithm, digest and length of each file, once for each algorithm.
/// `algorithms` names one or several of blake3, sha256, sha1, md5, xxh3-128, xxh3-64 and crc32c; each file is read once.
/// All files are read, also hidden ones, unless `hidden` and `ignore` say otherwise.
#[pyfunction]
#[pyo3(signature = (paths, algorithms=None, **options))]
pub fn digest<'py>(
    py: Python<'py>,
    paths: &Bound<'py, PyAny>,
    algorithms: Option<&Bound<'py, PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Stream> {
    let mut options = Options::new("digest", options)?;
    let files = Files::take(&mut options, paths, PassedOver::Nothing)?;
    let told = Told::take(&mut options)?;
    options.end()?;
    let work = digest_work(algorithms)?;
    told.start_one(py, files, work)
}

/// The job of digests by the algorithms that are named.
pub fn digest_work(algorithms: Option<&Bound<'_, PyAny>>) -> PyResult<Work> {
    let named = match algorithms {
        None => vec![Algorithm::Blake3],
        Some(algorithms) => each(algorithms, |one| {
            let name: String = extracted("digest", "algorithms", one)?;
            let found = name.parse();
            found.map_err(|error| value(format!("algorithms: '{name}' is {error}")))
        })?,
    };
    if named.is_empty() {
        return Err(value("algorithms is empty; name one, such as 'blake3'"));
    }
    let job = DigestJob::new(Algorithms::from_iter(named), DigestRows::Table);
    Ok(Work::new(digest_schema(), job, |_| Vec::new()))
}

/// Summarises files: bytes, lines, entropy, and how often each byte value occurs.
///
/// The rows are those of `gristmill stats`. All files are read, also hidden ones, unless `hidden` and `ignore` say
/// otherwise.
#[pyfunction]
#[pyo3(signature = (paths, **options))]
pub fn stats<'py>(
    py: Python<'py>,
    paths: &Bound<'py, PyAny>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Stream> {
    let mut options = Options::new("stats", options)?;
    let files = Files::take(&mut options, paths, PassedOver::Nothing)?;
    let told = Told::take(&mut options)?;
    options.end()?;
    told.start_one(py, files, stats_work())
}

/// The job of summaries.
pub fn stats_work() -> Work {
    Work::new(stats_schema(), StatsJob::new(StatsRows::Table), |_| {
        Vec::new()
    })
}

/// Runs a VIR0 program over files.
///
/// `program` is a `Program`, or the path of one. `args` has values for its arguments: numbers of 32 bits, also negative
/// ones. The rows are those of `gristmill run`, whose columns depend on the program. All files are read, also hidden
/// ones, unless `hidden` and `ignore` say otherwise.
#[pyfunction]
#[pyo3(signature = (program, paths, args=None, **options))]
pub fn run<'py>(
    py: Python<'py>,
    program: &Bound<'py, PyAny>,
    paths: &Bound<'py, PyAny>,
    args: Option<&Bound<'py, PyDict>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Stream> {
    let mut options = Options::new("run", options)?;
    let files = Files::take(&mut options, paths, PassedOver::Nothing)?;
    let told = Told::take(&mut options)?;
    options.end()?;
    let work = run_work(program, args)?;
    told.start_one(py, files, work)
}

/// The job of a program, with values for its arguments.
pub fn run_work(program: &Bound<'_, PyAny>, args: Option<&Bound<'_, PyDict>>) -> PyResult<Work> {
    let mut job = RunJob::builder(program::given(program)?).rows(RunRows::Table);
    for (name, number) in args.into_iter().flat_map(|args| args.iter()) {
        let name: String = extracted("run", "args", &name)?;
        job = job.arg(name.clone(), word(&name, &number)?);
    }
    let job = job
        .build()
        .map_err(|error| value(format!("args: {error}")))?;
    let schema = job.schema();
    Ok(Work::new(schema, job, |_| Vec::new()))
}

/// A number of 32 bits, of either sign.
fn word(name: &str, number: &Bound<'_, PyAny>) -> PyResult<u32> {
    let wrong = || format!("args: '{name}' is a number from -2147483648 to 4294967295");
    if number.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err(wrong()));
    }
    let number: i64 = number
        .extract()
        .map_err(|_| PyTypeError::new_err(wrong()))?;
    let unsigned = u32::try_from(number).ok();
    let signed = || i32::try_from(number).ok().map(i32::cast_unsigned);
    unsigned.or_else(signed).ok_or_else(|| value(wrong()))
}
