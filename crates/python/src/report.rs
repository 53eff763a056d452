//! What a run did.

use gristmill::mill::RunReport;
use pyo3::prelude::*;

/// What a run did: `Stream.report`.
#[pyclass(frozen, get_all, module = "gristmill")]
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Files that were opened.
    files: u64,
    /// Bytes of these that were searched or summed.
    bytes: u64,
    /// Files and places that failed.
    failures: u64,
    /// Rows of the stream's batches.
    rows: u64,
    /// How long the run took, in seconds.
    seconds: f64,
    /// Worker threads.
    workers: usize,
    /// How files were read.
    read_paths: Vec<&'static str>,
    /// Why something else was done than was asked for.
    fallbacks: Vec<String>,
    /// Whether the run was ended early.
    stopped: bool,
}

#[pymethods]
impl Report {
    fn __repr__(&self) -> String {
        let Self {
            files,
            bytes,
            failures,
            rows,
            seconds,
            ..
        } = self;
        format!(
            "Report(files={files}, bytes={bytes}, failures={failures}, rows={rows}, seconds={seconds:.3}, stopped={})",
            if self.stopped { "True" } else { "False" }
        )
    }
}

impl Report {
    /// What a run did for a job that has seen `bytes`, with this number of rows and of failures.
    pub fn new(report: &RunReport, bytes: u64, rows: u64, failures: u64) -> Self {
        Self {
            files: report.files,
            bytes,
            failures,
            rows,
            seconds: report.elapsed.as_secs_f64(),
            workers: report.workers,
            read_paths: report.read_paths.clone(),
            fallbacks: report.fallbacks.clone(),
            stopped: report.stopped,
        }
    }
}
