//! A run on a thread of its own, and the batches that come from it: those of each job through a [`Feed`].
//!
//! Where nobody takes batches, the run waits, and with it its reads. It ends when all its feeds are dropped.

use super::errors::{self, Failure};
use super::progress::Progress;
use super::queue::{Queues, Taken};
use super::report::Report;
use super::work::Work;
use arrow_array::RecordBatch;
use gristmill::mill::{Control, FileError, FileErrorKind, JobReport, Mill};
use gristmill::ring::lock;
use gristmill::rows::arrow::BatchBuilder;
use gristmill::rows::RowReader;
use gristmill::source::Source;
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use std::ffi::CString;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a waiting thread looks for signals.
const TICK: Duration = Duration::from_millis(100);

/// How old rows become before they are given in a batch that is not full, once another row comes.
const OLD: Duration = Duration::from_millis(500);

/// The most failures, and the most notices, that are kept.
const MOST_KEPT: usize = 10_000;

/// What is done about files that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    Warn,
    Collect,
    Raise,
}

/// What is known of a run besides its rows.
#[derive(Debug, Default)]
pub struct Known {
    pub failures: Vec<Failure>,
    /// Failures so far, also those that are not kept.
    pub count: u64,
    pub notices: Vec<String>,
    pub report: Option<Report>,
    /// Why the run could not start, or not go on.
    error: Option<String>,
}

impl Known {
    fn fail(&mut self, failure: Failure) {
        self.count += 1;
        if self.failures.len() < MOST_KEPT {
            self.failures.push(failure);
        }
    }
}

/// What is known of a run, for all who ask.
pub type Shared = Arc<Mutex<Known>>;

/// Takes the lock, which no code holds while it waits.
pub fn known(shared: &Shared) -> MutexGuard<'_, Known> {
    lock(shared)
}

/// What the feeds of a run share.
struct Running {
    queues: Queues,
    control: Control,
    /// None once it was joined.
    thread: Mutex<Option<JoinHandle<()>>>,
    progress: Mutex<Option<Progress>>,
}

/// The place at which the batches of one job of a run are taken.
pub struct Feed {
    running: Arc<Running>,
    number: usize,
    shared: Shared,
    on_failure: OnFailure,
    signals: Instant,
    over: bool,
}

/// Starts a run of these jobs over a source. Returns a feed for each, in their order.
///
/// # Errors
/// Where there is no thread to be had.
pub fn start(
    mill: Mill,
    source: Box<dyn Source>,
    work: Vec<Work>,
    progress: Option<Progress>,
    on_failure: OnFailure,
) -> io::Result<Vec<Feed>> {
    let names: Vec<String> = work.iter().map(|work| work.name.clone()).collect();
    let shared: Vec<Shared> = names.iter().map(|_| Shared::default()).collect();
    let told = shared.clone();
    let control = Control::default().on_error(move |error| {
        for (shared, name) in told.iter().zip(&names) {
            // A failure of one job's is that job's alone.
            if error.job.as_deref().is_none_or(|job| job == name) {
                tell(&mut known(shared), error);
            }
        }
    });
    let running = Arc::new(Running {
        queues: Queues::new(work.len()),
        control,
        thread: Mutex::default(),
        progress: Mutex::new(progress),
    });
    let (runs, told) = (Arc::clone(&running), shared.clone());
    let thread = std::thread::Builder::new()
        .name("gristmill-run".into())
        .spawn(move || run(&mill, source, work, &runs, &told))?;
    *lock(&running.thread) = Some(thread);
    let feeds = shared.into_iter().enumerate().map(|(number, shared)| Feed {
        running: Arc::clone(&running),
        number,
        shared,
        on_failure,
        signals: Instant::now(),
        over: false,
    });
    Ok(feeds.collect())
}

fn tell(known: &mut Known, error: &FileError) {
    if error.is_notice() {
        if known.notices.len() < MOST_KEPT {
            known.notices.push(error.to_string());
        }
        return;
    }
    if matches!(
        error.kind,
        FileErrorKind::KernelFailed(_) | FileErrorKind::ReaderPanicked
    ) {
        known.error.get_or_insert(error.to_string());
    }
    known.fail(Failure {
        path: error.path.clone(),
        offset: error.offset,
        reason: error.kind.to_string(),
    });
}

impl Feed {
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The next batch; none behind the last.
    ///
    /// # Errors
    /// What a signal's handler or the progress function raises, after which the run ends; what ended the run; and, behind
    /// the last batch, what is to be raised of failures.
    pub fn next(&mut self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        let next = Self::next_of(py, std::slice::from_mut(self))?;
        Ok(next.map(|(_, batch)| batch))
    }

    /// The next batch of any of these feeds of one run, with the feed's place among them; none behind the last of all.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_of(py: Python<'_>, feeds: &mut [Self]) -> PyResult<Option<(usize, RecordBatch)>> {
        let open = feeds.iter().filter(|feed| !feed.over);
        let numbers: Vec<usize> = open.map(|feed| feed.number).collect();
        let Some(running) = feeds.first().map(|feed| Arc::clone(&feed.running)) else {
            return Ok(None);
        };
        while !numbers.is_empty() {
            let taken = py.detach(|| running.queues.take(&numbers, TICK));
            let looked = feeds[0].look(py);
            if let Err(error) = looked {
                feeds.iter_mut().for_each(|feed| feed.stop(py));
                return Err(error);
            }
            match taken.map_err(|error| errors::run(py, &error.to_string()))? {
                Taken::Nothing => {}
                Taken::Batch(number, batch) => {
                    let place = feeds.iter().position(|feed| feed.number == number);
                    return Ok(place.map(|place| (place, batch)));
                }
                Taken::End => {
                    let ended = feeds.iter_mut().filter(|feed| !feed.over);
                    let ended = ended.map(|feed| {
                        feed.over = true;
                        feed.end(py)
                    });
                    // All come to their ends; the first exception is raised.
                    return ended.fold(Ok(()), Result::and).map(|()| None);
                }
            }
        }
        Ok(None)
    }

    /// Looks for signals, and tells the progress.
    fn look(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.signals.elapsed() >= TICK {
            self.signals = Instant::now();
            py.check_signals()?;
        }
        // A thread that tells it already may wait for the interpreter's lock, which this one has.
        let Ok(mut progress) = self.running.progress.try_lock() else {
            return Ok(());
        };
        match &mut *progress {
            Some(progress) => progress.tick(py, self.running.control.progress()),
            None => Ok(()),
        }
    }

    /// Takes no more batches; those that were not taken are lost. Ends the run, and waits for its end, if no other feed
    /// takes any.
    pub fn stop(&mut self, py: Python<'_>) {
        self.over = true;
        if !self.running.queues.close(self.number) {
            return;
        }
        self.running.control.stop();
        self.join(py);
        if let Some(progress) = self.take_progress() {
            // An error of the bar's is of no interest any more.
            let _ = progress.close(py);
        }
    }

    fn take_progress(&self) -> Option<Progress> {
        // Where it is being told, that thread will come to the run's end, too.
        self.running.progress.try_lock().ok()?.take()
    }

    fn join(&mut self, py: Python<'_>) {
        let thread = lock(&self.running.thread).take();
        if let Some(thread) = thread {
            // A panic was told by the thread's own error.
            let _ = py.detach(|| thread.join());
        }
    }

    /// The run has ended by itself.
    fn end(&mut self, py: Python<'_>) -> PyResult<()> {
        self.join(py);
        if let Some(progress) = self.take_progress() {
            progress.end(py, self.running.control.progress())?;
        }
        let (error, count, first) = {
            let known = known(&self.shared);
            let first = known.failures.first().cloned();
            (known.error.clone(), known.count, first)
        };
        if let Some(error) = error {
            return Err(errors::run(py, &error));
        }
        let Some(first) = first.filter(|_| self.on_failure != OnFailure::Collect) else {
            return Ok(());
        };
        let first = first.object(py)?.str()?;
        let failed = match count {
            1 => first.to_string(),
            _ => format!("{count} failures, the first of which is: {first}"),
        };
        if self.on_failure == OnFailure::Warn {
            let class = py.import("gristmill._errors")?.getattr("FileWarning")?;
            let class = class
                .cast_into()
                .unwrap_or_else(|_| py.get_type::<PyUserWarning>());
            let text = format!("{failed} (all are in the stream's `failures`)");
            let text = CString::new(text.replace('\0', "\\0"))?;
            return PyErr::warn(py, &class, &text, 1);
        }
        let failures = failures(py, &self.shared)?;
        let text = format!(
            "{failed} (raised behind the last row, as errors='raise'; errors='collect' leaves it to `failures`)"
        );
        Err(errors::exception(py, "FilesError", (text, failures, count)))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.running.queues.close(self.number) {
            self.running.control.stop();
        }
    }
}

/// The failures as instances of `FileError`.
pub fn failures<'py>(py: Python<'py>, shared: &Shared) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let failures = known(shared).failures.clone();
    failures.iter().map(|failure| failure.object(py)).collect()
}

/// The thread of a run. That no batch comes any more is said last, when all is known.
fn run(
    mill: &Mill,
    source: Box<dyn Source>,
    work: Vec<Work>,
    running: &Running,
    shared: &[Shared],
) {
    let mut outputs: Vec<Output<'_>> = (0..)
        .zip(&work)
        .map(|(number, work)| Output {
            reader: RowReader::new(&work.schema),
            builder: BatchBuilder::new(&work.schema),
            queues: &running.queues,
            number,
            rows: 0,
            given: Instant::now(),
        })
        .collect();
    let mut tasks = Vec::new();
    // Of each job that runs, its place among the tasks, and what it has to tell of failures.
    let mut ran = Vec::new();
    for (work, output) in work.into_iter().zip(&mut outputs) {
        ran.push(work.made.map(|made| {
            tasks.push((made.task)(output).named(work.name));
            (tasks.len() - 1, made.failures)
        }));
    }
    if tasks.is_empty() {
        for shared in shared {
            known(shared).report = Some(Report::default());
        }
        return running.queues.end();
    }
    let run = || mill.run_all(source, tasks, &running.control);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let wrong = match &ended {
        Ok(Ok(report)) => report.validate().err().map(|error| error.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the run panicked; its message says where, please report it".into()),
    };
    let report = ended.ok().and_then(Result::ok);
    for ((shared, output), ran) in shared.iter().zip(&mut outputs).zip(ran) {
        let Some((place, failures)) = ran else {
            known(shared).report = Some(Report::default());
            continue;
        };
        let job = report.as_ref().map(|report| &report.jobs[place]);
        let error = job.and_then(|job| finish(job, output));
        let mut known = known(shared);
        failures()
            .into_iter()
            .for_each(|failure| known.fail(failure));
        let told = report.as_ref().zip(job);
        known.report =
            told.map(|(report, job)| Report::new(report, job.bytes, output.rows, known.count));
        known.error = error.or_else(|| wrong.clone()).or(known.error.take());
    }
    running.queues.end();
}

/// A job has ended: gives its last rows. Returns why they could not be given.
fn finish(job: &JobReport, output: &mut Output<'_>) -> Option<String> {
    let given = match &job.output {
        Ok(()) => output
            .finish()
            .map_err(|error| (error.kind(), error.to_string())),
        Err(error) => Err((error.kind(), error.to_string())),
    };
    match given {
        Ok(()) => None,
        // Nobody takes batches any more.
        Err((io::ErrorKind::BrokenPipe, _)) => None,
        Err((_, error)) => Some(error),
    }
}

/// Makes batches of rows.
struct Output<'a> {
    reader: RowReader,
    builder: BatchBuilder,
    queues: &'a Queues,
    number: usize,
    rows: u64,
    /// When the last batch was given.
    given: Instant,
}

impl Output<'_> {
    fn finish(&mut self) -> io::Result<()> {
        self.reader.finish()?;
        match self.builder.is_empty() {
            true => Ok(()),
            false => self.queues.put(self.number, self.builder.finish()?),
        }
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self {
            reader,
            builder,
            queues,
            number,
            rows,
            given,
        } = self;
        reader.read(bytes, |row| {
            builder.push(row)?;
            *rows += 1;
            if builder.is_full() {
                queues.put(*number, builder.finish()?)?;
                *given = Instant::now();
            }
            Ok(())
        })?;
        if !builder.is_empty() && given.elapsed() >= OLD {
            queues.put(*number, builder.finish()?)?;
            *given = Instant::now();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
