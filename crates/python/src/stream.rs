//! The stream of a run's batches.

use super::batch::{check_requested, names, schema_capsule, Batch};
use super::errors::value;
use super::feed::{self, known, Feed, Shared};
use super::report::Report;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use gristmill::ring::lock;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::io;
use std::sync::Mutex;

/// Where a stream's batches are.
enum State {
    Here(Box<Feed>),
    /// A thread waits for one.
    Busy,
    /// They were given to another consumer, or the stream was closed.
    Gone,
}

/// The rows of a run, as Arrow record batches, while the run goes on.
///
/// Give it to whatever takes Arrow streams (`pyarrow.table(stream)`, `polars.DataFrame(stream)`,
/// `duckdb.from_arrow(...)`), or iterate over it for each `Batch`. It can be read once. The run waits where batches are
/// not taken, so that it takes little memory, however much is read; it ends when the stream is closed or dropped.
///
/// `with gristmill.scan(...) as stream:` closes it in any case.
#[pyclass(frozen, module = "gristmill")]
pub struct Stream {
    schema: SchemaRef,
    shared: Shared,
    state: Mutex<State>,
}

impl Stream {
    pub fn new(schema: SchemaRef, feed: Feed) -> Self {
        Self {
            schema,
            shared: feed.shared().clone(),
            state: Mutex::new(State::Here(Box::new(feed))),
        }
    }

    /// Takes the feed, and leaves `state` in its place.
    fn take(&self, state: State) -> PyResult<Box<Feed>> {
        let mut place = lock(&self.state);
        match std::mem::replace(&mut *place, state) {
            State::Here(feed) => Ok(feed),
            State::Busy => {
                *place = State::Busy;
                Err(value("another thread is reading this stream"))
            }
            State::Gone => {
                *place = State::Gone;
                Err(value(
                    "this stream was read or closed before, and can be read once; call the function again",
                ))
            }
        }
    }

    /// Takes the feed for another consumer.
    pub fn give(&self) -> PyResult<Feed> {
        Ok(*self.take(State::Gone)?)
    }

    fn put(&self, feed: Box<Feed>) {
        *lock(&self.state) = State::Here(feed);
    }
}

#[pymethods]
impl Stream {
    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        names(&self.schema)
    }

    /// The files and places that failed so far, each a `FileError`: at most 10,000.
    #[getter]
    fn failures<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        feed::failures(py, &self.shared)
    }

    /// How many files and places failed so far.
    #[getter]
    fn failure_count(&self) -> u64 {
        known(&self.shared).count
    }

    /// What else is to be said, such as of a rule in an ignore file that cannot be read; no failures.
    #[getter]
    fn notices(&self) -> Vec<String> {
        known(&self.shared).notices.clone()
    }

    /// What the run did; None while it goes on.
    #[getter]
    fn report(&self) -> Option<Report> {
        known(&self.shared).report.clone()
    }

    /// Ends the run, if it goes on, and waits for its end.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let gone = {
            let mut place = lock(&self.state);
            match &*place {
                State::Busy => return Err(value("another thread is reading this stream")),
                _ => std::mem::replace(&mut *place, State::Gone),
            }
        };
        if let State::Here(mut feed) = gone {
            feed.stop(py);
        }
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _exception: &Bound<'_, pyo3::types::PyTuple>,
    ) -> PyResult<()> {
        self.close(py)
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        let mut feed = self.take(State::Busy)?;
        let next = feed.next(py);
        self.put(feed);
        Ok(next?.map(Batch))
    }

    /// The schema, as a capsule named `arrow_schema`.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.schema)
    }

    /// The batches that were not read yet, as a capsule named `arrow_array_stream`.
    ///
    /// Columns are given as they are, whatever schema is asked for, which the interface allows.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        check_requested(requested_schema)?;
        let reader = Reader {
            feed: self.take(State::Gone)?,
            schema: self.schema.clone(),
        };
        let stream = FFI_ArrowArrayStream::new(Box::new(reader));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    fn __repr__(&self) -> String {
        format!("Stream({})", self.column_names().join(", "))
    }
}

/// Batches for a consumer that is not written in Python, on any thread, whether it holds the interpreter's lock or not.
struct Reader {
    feed: Box<Feed>,
    schema: SchemaRef,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let feed = &mut self.feed;
        let next = Python::try_attach(|py| {
            feed.next(py).map_err(|error| {
                if error.is_instance_of::<PyKeyboardInterrupt>(py) {
                    // The consumer raises an exception of its own; this one comes right behind it.
                    let again = py.import("_thread");
                    let _ = again.and_then(|thread| thread.call_method0("interrupt_main"));
                }
                // What goes through C ends at a NUL.
                let text = error.value(py).to_string().replace('\0', "\\0");
                let class = error.get_type(py).to_string();
                let text = if text.is_empty() { class } else { text };
                ArrowError::IoError(text.clone(), io::Error::other(text))
            })
        });
        match next {
            Some(next) => next.transpose(),
            None => {
                let text = "Python is shutting down".to_owned();
                Some(Err(ArrowError::IoError(
                    text.clone(),
                    io::Error::other(text),
                )))
            }
        }
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
