//! How the caller of a run follows and ends it.

use crate::error::FileError;
use crate::source::FileId;
use gristmill_ring::lock;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Counters that move while a run goes on, for progress displays.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes landed.
    pub bytes: AtomicU64,
    /// Files finished.
    pub files: AtomicU64,
}

type ErrorSink = Box<dyn FnMut(&FileError) + Send>;

/// Where a ring log goes.
pub(super) type LogOutput = Box<dyn Write + Send>;

/// How the caller of a run follows and ends it. Clones are handles to the same run.
#[derive(Clone, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    errors: Option<Arc<Mutex<ErrorSink>>>,
    written: Arc<Vec<(FileId, bool)>>,
    record: Arc<Mutex<Option<LogOutput>>>,
}

impl Control {
    /// A control whose run ends soon after `stop` becomes true.
    pub fn with_stop(stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// Calls `sink` with each file that failed, as the run goes on. The thread in [`Mill::run`](super::Mill::run) calls
    /// it.
    #[must_use]
    pub fn on_error(mut self, sink: impl FnMut(&FileError) + Send + 'static) -> Self {
        self.errors = Some(Arc::new(Mutex::new(Box::new(sink))));
        self
    }

    /// Records every slot of the next run in a ring log, which [`Replay`](crate::replay::Replay) runs again; the log's
    /// format is that of [`gristmill_megakernel::log`]. The run ends when `log` cannot be written: see
    /// [`RunReport::record`](super::RunReport::record).
    #[must_use]
    pub fn record(self, log: impl Write + Send + 'static) -> Self {
        *lock(&self.record) = Some(Box::new(log));
        self
    }

    /// Names a file that the run writes, such as its log, so that the run does not read it. A walk passes over it. If
    /// the user named the file as an input, that is a failure, unless the file was `empty` when the run began: then it
    /// is read as an empty file. The source must be told, too ([`Source::written`](crate::source::Source::written)).
    #[must_use]
    pub fn writing(mut self, file: FileId, empty: bool) -> Self {
        Arc::make_mut(&mut self.written).push((file, empty));
        self
    }

    /// Whether the run writes a file, and if so whether it was empty when the run began.
    pub(super) fn writes(&self, file: FileId) -> Option<bool> {
        let written = self.written.iter().find(|(written, _)| *written == file);
        written.map(|(_, empty)| *empty)
    }

    /// The run's counters.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Asks the run to end. The results so far are kept.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Calls the sink of [`Control::on_error`].
    pub(super) fn report(&self, error: &FileError) {
        if let Some(sink) = &self.errors {
            (*lock(sink))(error);
        }
    }

    /// The log that [`Control::record`] asked for; the next run has none.
    pub(super) fn take_log(&self) -> Option<LogOutput> {
        lock(&self.record).take()
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("stopped", &self.stopped())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
