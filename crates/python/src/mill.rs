//! Several jobs over one read, and shares of a run.

use super::batch::Batch;
use super::errors::value;
use super::feed::Feed;
use super::files::{Files, PassedOver};
use super::jobs::{digest_work, run_work, scan_work, stats_work, Told};
use super::options::Options;
use super::stream::Stream;
use super::work::Work;
use gristmill::ring::lock;
use gristmill::source::{plan as divide, Cutting, FilePart, Share, SharePart, SortKey};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

/// Path, size, time of change, begin and end of a part, and why it could not be listed.
type PartFields<'py> = (
    Bound<'py, PyBytes>,
    u64,
    i64,
    Option<(u64, u64)>,
    Option<String>,
);

/// The jobs that are described, by name. They take parts of files, where that is asked for and they can.
fn prepared(py: Python<'_>, jobs: &Bound<'_, PyDict>, parts: bool) -> PyResult<Vec<Work>> {
    let classes = py.import("gristmill._jobs")?;
    let is = |job: &Bound<'_, PyAny>, name: &str| job.is_instance(&classes.getattr(name)?);
    let mut work = Vec::new();
    for (name, job) in jobs.iter() {
        let name: String = name
            .extract()
            .map_err(|_| PyTypeError::new_err("jobs: the name of a job is str"))?;
        let made = if is(&job, "Scan")? {
            scan_work(py, &job.extract()?, job.extract()?, parts)
        } else if is(&job, "Digest")? {
            let algorithms = job.getattr("algorithms")?;
            digest_work(Some(&algorithms).filter(|given| !given.is_none()))
        } else if is(&job, "Stats")? {
            Ok(stats_work())
        } else if is(&job, "Run")? {
            let args = job.getattr("args")?;
            let args = match args.is_none() {
                true => None,
                false => Some(
                    py.get_type::<PyDict>()
                        .call1((args,))?
                        .cast_into::<PyDict>()?,
                ),
            };
            run_work(&job.getattr("program")?, args.as_ref())
        } else {
            let kind = job.get_type();
            Err(PyTypeError::new_err(format!(
                "jobs: '{name}' is a Scan, Digest, Stats or Run, and not {kind}"
            )))
        };
        let made = made.inspect_err(|error| {
            // Which of the jobs it is stands beside the exception, whose type and fields stay what they are.
            let _ = error
                .value(py)
                .call_method1("add_note", (format!("in the job '{name}'"),));
        })?;
        work.push(made.named(&name));
    }
    if work.is_empty() {
        return Err(value("no jobs; give at least one"));
    }
    Ok(work)
}

/// Starts a mill: `gristmill.mill`.
#[pyfunction]
#[pyo3(signature = (paths, jobs, **options))]
pub fn start_mill<'py>(
    py: Python<'py>,
    paths: &Bound<'py, PyAny>,
    jobs: &Bound<'py, PyDict>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Vec<Stream>> {
    let mut options = Options::new("mill", options)?;
    let files = Files::take(&mut options, paths, PassedOver::Nothing)?;
    let told = Told::take(&mut options)?;
    options.end()?;
    told.start(py, files, prepared(py, jobs, false)?)
}

/// Divides files into shares: `gristmill.plan`. Returns the fields of each part of each share, and notices.
#[pyfunction]
#[pyo3(signature = (paths, jobs, share_bytes, most_files, cut, **options))]
#[allow(clippy::type_complexity)] // These are fields of Python's classes.
pub fn divided<'py>(
    py: Python<'py>,
    paths: &Bound<'py, PyAny>,
    jobs: &Bound<'py, PyDict>,
    share_bytes: u64,
    most_files: usize,
    cut: bool,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Vec<Vec<PartFields<'py>>>, Vec<String>)> {
    let mut options = Options::new("plan", options)?;
    let sorted = Some(SortKey::Path);
    let (mut source, _) = Files::source(&mut options, paths, PassedOver::Nothing, sorted)?;
    options.end()?;
    if share_bytes < 4096 || most_files == 0 {
        return Err(value("a share has at least 4,096 bytes and one file"));
    }
    let cutting = Cutting {
        share_bytes,
        most_files,
        cut: cut && prepared(py, jobs, true)?.iter().all(|work| work.cut),
    };
    let (shares, notices) = py.detach(|| divide(&mut source, &cutting));
    let fields = |part: SharePart| {
        let path = PyBytes::new(py, part.path.as_os_str().as_bytes());
        let range = part.part.map(|part| (part.begin, part.end));
        (path, part.size, part.modified, range, part.failed)
    };
    let shares = shares.into_iter();
    let shares = shares.map(|share| share.parts.into_iter().map(fields).collect());
    Ok((shares.collect(), notices))
}

/// Runs jobs over a share: `gristmill.run_share`.
#[pyfunction]
#[pyo3(signature = (parts, jobs, **options))]
pub fn start_share<'py>(
    py: Python<'py>,
    parts: Vec<PartFields<'py>>,
    jobs: &Bound<'py, PyDict>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Vec<Stream>> {
    let part = |(path, size, modified, range, failed): PartFields<'py>| SharePart {
        path: OsStr::from_bytes(path.as_bytes()).into(),
        size,
        modified,
        part: range.map(|(begin, end)| FilePart {
            begin,
            end,
            size,
            modified,
        }),
        failed,
    };
    let share = Share {
        parts: parts.into_iter().map(part).collect(),
    };
    let cut = share.parts.iter().any(|part| part.part.is_some());
    let mut options = Options::new("run_share", options)?;
    let files = Files::of_share(&mut options, share)?;
    let told = Told::take(&mut options)?;
    options.end()?;
    told.start(py, files, prepared(py, jobs, cut)?)
}

/// The batches of several streams of one run, as they come: pairs of a stream's place among them and a `Batch`.
#[pyclass(frozen, module = "gristmill")]
pub struct Pairs {
    /// None while a thread waits for a batch.
    feeds: Mutex<Option<Vec<Feed>>>,
}

impl Pairs {
    fn take(&self) -> PyResult<Vec<Feed>> {
        let taken = lock(&self.feeds).take();
        taken.ok_or_else(|| value("another thread is reading these batches"))
    }

    fn put(&self, feeds: Vec<Feed>) {
        *lock(&self.feeds) = Some(feeds);
    }
}

#[pymethods]
impl Pairs {
    #[new]
    fn new(streams: Vec<PyRef<'_, Stream>>) -> PyResult<Self> {
        let feeds = streams.iter().map(|stream| stream.give());
        Ok(Self {
            feeds: Mutex::new(Some(feeds.collect::<PyResult<_>>()?)),
        })
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<(usize, Batch)>> {
        let mut feeds = self.take()?;
        let next = Feed::next_of(py, &mut feeds);
        self.put(feeds);
        Ok(next?.map(|(place, batch)| (place, Batch(batch))))
    }

    /// Ends the run.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut feeds = self.take()?;
        feeds.iter_mut().for_each(|feed| feed.stop(py));
        self.put(feeds);
        Ok(())
    }
}
