//! What tells a user how far a run is: a function, or a bar of tqdm.

use gristmill::mill::Progress as Counters;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least time between two calls.
const INTERVAL: Duration = Duration::from_millis(100);

enum Shown {
    /// A function of bytes and files.
    Function(Py<PyAny>),
    /// What makes a bar.
    Tqdm(Py<PyAny>),
    /// A bar, and the bytes that it has been told.
    Bar(Py<PyAny>, u64),
}

/// Tells of a run's counters.
pub struct Progress {
    shown: Shown,
    last: Option<Instant>,
}

impl Progress {
    /// What the argument `progress` asks for: a function, or True for a bar of tqdm.
    pub fn new(asked: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let py = asked.py();
        let shown = if let Ok(yes) = asked.cast::<PyBool>() {
            if !yes.is_true() {
                return Ok(None);
            }
            let tqdm = py.import("tqdm.auto").map_err(|error| {
                let text = "progress=True needs the package tqdm; install it, or give a function of bytes and files";
                let missing = pyo3::exceptions::PyModuleNotFoundError::new_err(text);
                missing.set_cause(py, Some(error));
                missing
            })?;
            Shown::Tqdm(tqdm.getattr("tqdm")?.unbind())
        } else if asked.is_callable() {
            Shown::Function(asked.clone().unbind())
        } else {
            return Err(PyTypeError::new_err(
                "progress is a function of bytes and files, or True for a bar of tqdm",
            ));
        };
        Ok(Some(Self { shown, last: None }))
    }

    /// Tells the counters, if that is due.
    pub fn tick(&mut self, py: Python<'_>, counters: &Arc<Counters>) -> PyResult<()> {
        if self.last.is_some_and(|last| last.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        self.tell(py, counters)
    }

    fn tell(&mut self, py: Python<'_>, counters: &Arc<Counters>) -> PyResult<()> {
        let bytes = counters.bytes.load(Ordering::Relaxed);
        let files = counters.files.load(Ordering::Relaxed);
        if let Shown::Tqdm(tqdm) = &self.shown {
            // Not before the run goes on: a call that is refused shows no bar.
            let settings = PyDict::new(py);
            settings.set_item("unit", "B")?;
            settings.set_item("unit_scale", true)?;
            settings.set_item("unit_divisor", 1024)?;
            let bar = tqdm.bind(py).call((), Some(&settings))?;
            self.shown = Shown::Bar(bar.unbind(), 0);
        }
        match &mut self.shown {
            Shown::Tqdm(_) => {}
            Shown::Function(function) => {
                function.bind(py).call1((bytes, files))?;
            }
            Shown::Bar(bar, told) => {
                bar.bind(py)
                    .call_method1("update", (bytes.saturating_sub(*told),))?;
                *told = bytes;
            }
        }
        Ok(())
    }

    /// The run has ended: tells the last counters.
    pub fn end(mut self, py: Python<'_>, counters: &Arc<Counters>) -> PyResult<()> {
        let told = self.tell(py, counters);
        self.close(py)?;
        told
    }

    /// Nothing more is told.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Shown::Bar(bar, _) = &self.shown {
            bar.bind(py).call_method0("close")?;
        }
        Ok(())
    }
}
