//! A run on a thread of its own, and the batches that come from it.
//!
//! Batches go through a channel that holds [`WAITING`]: where nobody takes them, the run waits, and with it its reads. The
//! run ends when its [`Feed`] is dropped.

use super::errors::{self, Failure};
use super::progress::Progress;
use super::report::Report;
use arrow_array::RecordBatch;
use crossbeam_channel::{bounded, Receiver, RecvTimeoutError, Sender};
use gristmill::mill::{Control, FileErrorKind, MillError, RunReport};
use gristmill::rows::arrow::BatchBuilder;
use gristmill::rows::{RowReader, Schema};
use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use std::ffi::CString;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches that wait to be taken.
const WAITING: usize = 2;

/// How often a waiting thread looks for signals.
const TICK: Duration = Duration::from_millis(100);

/// How old rows become before they are given in a batch that is not full, once another row comes.
const OLD: Duration = Duration::from_millis(500);

/// The most failures, and the most notices, that are kept.
const MOST_KEPT: usize = 10_000;

/// What is to be run.
pub struct Work {
    pub schema: Schema,
    /// Runs it, with a control and an output for rows of a table. Returns the report, with failures that the control was not
    /// told of; none if there is nothing to do.
    pub run: Run,
}

/// Runs, given a control and an output for rows of a table.
pub type Run = Box<dyn FnOnce(&Control, &mut dyn Write) -> Outcome + Send>;

/// What [`Work::run`] returns.
pub type Outcome = Result<Option<(RunReport, Vec<Failure>)>, MillError>;

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
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A run, and the end of the channel at which its batches are taken.
pub struct Feed {
    batches: Receiver<RecordBatch>,
    /// None once it was joined.
    thread: Option<JoinHandle<()>>,
    control: Control,
    shared: Shared,
    progress: Option<Progress>,
    on_failure: OnFailure,
    signals: Instant,
}

impl Feed {
    /// Starts a run.
    ///
    /// # Errors
    /// Where there is no thread to be had.
    pub fn start(
        work: Work,
        progress: Option<Progress>,
        on_failure: OnFailure,
    ) -> io::Result<Self> {
        let (sender, batches) = bounded(WAITING);
        let shared = Shared::default();
        let failed = Arc::clone(&shared);
        let control = Control::default().on_error(move |error| {
            let mut known = known(&failed);
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
        });
        let (runs, told) = (control.clone(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("gristmill-run".into())
            .spawn(move || run(work, sender, &runs, &told))?;
        Ok(Self {
            batches,
            thread: Some(thread),
            control,
            shared,
            progress,
            on_failure,
            signals: Instant::now(),
        })
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The next batch; none behind the last.
    ///
    /// # Errors
    /// What a signal's handler or the progress function raises, after which the run ends; what ended the run; and, behind
    /// the last batch, what is to be raised of failures.
    pub fn next(&mut self, py: Python<'_>) -> PyResult<Option<RecordBatch>> {
        if self.thread.is_none() {
            return Ok(None);
        }
        loop {
            let batches = &self.batches;
            let taken = py.detach(|| batches.recv_timeout(TICK));
            if let Err(RecvTimeoutError::Disconnected) = taken {
                self.end(py)?;
                return Ok(None);
            }
            if let Err(error) = self.look(py) {
                self.stop(py);
                return Err(error);
            }
            if let Ok(batch) = taken {
                return Ok(Some(batch));
            }
        }
    }

    /// Looks for signals, and tells the progress.
    fn look(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.signals.elapsed() >= TICK {
            self.signals = Instant::now();
            py.check_signals()?;
        }
        match &mut self.progress {
            Some(progress) => progress.tick(py, self.control.progress()),
            None => Ok(()),
        }
    }

    /// Ends the run, and waits for its end. Batches that were not taken are lost.
    pub fn stop(&mut self, py: Python<'_>) {
        self.control.stop();
        // The sender's end fails once there is no receiver.
        self.batches = crossbeam_channel::never();
        self.join(py);
        if let Some(progress) = self.progress.take() {
            // An error of the bar's is of no interest any more.
            let _ = progress.close(py);
        }
    }

    fn join(&mut self, py: Python<'_>) {
        if let Some(thread) = self.thread.take() {
            // A panic was told by the thread's own error.
            let _ = py.detach(|| thread.join());
        }
    }

    /// The run has ended by itself.
    fn end(&mut self, py: Python<'_>) -> PyResult<()> {
        self.join(py);
        if let Some(progress) = self.progress.take() {
            progress.end(py, self.control.progress())?;
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
        self.control.stop();
    }
}

/// The failures as instances of `FileError`.
pub fn failures<'py>(py: Python<'py>, shared: &Shared) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let failures = known(shared).failures.clone();
    failures.iter().map(|failure| failure.object(py)).collect()
}

/// The thread of a run. The sender is dropped last, when all is known.
fn run(work: Work, sender: Sender<RecordBatch>, control: &Control, shared: &Shared) {
    let Work { schema, run } = work;
    let mut output = Output {
        reader: RowReader::new(&schema),
        builder: BatchBuilder::new(&schema),
        sender,
        rows: 0,
        given: Instant::now(),
    };
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(control, &mut output)));
    let mut error = match &ran {
        Ok(Ok(Some((report, _)))) => match &report.output {
            // Nobody takes batches any more.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Err(error) => Some(error.to_string()),
            Ok(()) => output.finish().err().map(|error| error.to_string()),
        },
        Ok(Ok(None)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the run panicked; its message says where, please report it".into()),
    };
    let mut known = known(shared);
    if let Ok(Ok(ran)) = ran {
        known.report = Some(match ran {
            None => Report::default(),
            Some((report, others)) => {
                let count = others.len() as u64;
                others.into_iter().for_each(|failure| known.fail(failure));
                if let Err(wrong) = report.validate() {
                    error.get_or_insert(wrong.to_string());
                }
                Report::new(&report, output.rows, count)
            }
        });
    }
    known.error = error.or(known.error.take());
}

/// Makes batches of rows.
struct Output {
    reader: RowReader,
    builder: BatchBuilder,
    sender: Sender<RecordBatch>,
    rows: u64,
    /// When the last batch was given.
    given: Instant,
}

impl Output {
    fn finish(&mut self) -> io::Result<()> {
        self.reader.finish()?;
        if !self.builder.is_empty() {
            send(&mut self.builder, &self.sender)?;
        }
        Ok(())
    }
}

fn send(builder: &mut BatchBuilder, sender: &Sender<RecordBatch>) -> io::Result<()> {
    let batch = builder.finish()?;
    let sent = sender.send(batch);
    sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self {
            reader,
            builder,
            sender,
            rows,
            given,
        } = self;
        reader.read(bytes, |row| {
            builder.push(row)?;
            *rows += 1;
            if builder.is_full() {
                send(builder, sender)?;
                *given = Instant::now();
            }
            Ok(())
        })?;
        if !builder.is_empty() && given.elapsed() >= OLD {
            send(builder, sender)?;
            *given = Instant::now();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
