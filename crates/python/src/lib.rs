//! The Python module `gristmill`: what the library does, as streams of Arrow record batches.
//!
//! - `scan`, `digest`, `stats` and `run` (`jobs`) start a run on a thread of its own and return a `stream::Stream`,
//!   to which at most three batches are on their way. The stream is what Arrow calls a PyCapsule interface, so that
//!   pyarrow, Polars, DuckDB and others take its batches as they lie in memory.
//! - `mill` starts runs of several jobs, and of shares of files. `work` is a job that is prepared, `feed` a run and where
//!   the batches of each of its jobs are taken, `queue` what lies between.
//! - `options` reads keyword arguments; `files` makes of them the files of a run, and how they are read.
//! - `asked` is what is searched for; `patterns` searches bytes that Python has in memory, which `bytes` gives;
//!   `program` has VIR0 programs.
//! - `errors` makes exceptions, whose classes are Python's (`python/gristmill/_errors.py`).
//!
//! The thread of a run knows nothing of Python. Whoever waits for a batch has released the interpreter's lock, and takes
//! it some ten times a second to look for signals and to call the progress function.

#![forbid(unsafe_code)]
// What Python sees is documented; Rust sees nothing of it.
#![allow(missing_docs)]

mod asked;
mod batch;
mod bytes;
mod errors;
mod feed;
mod files;
mod jobs;
mod mill;
mod options;
mod patterns;
mod program;
mod progress;
mod queue;
mod report;
mod stream;
mod work;

/// What the package `gristmill` is made of.
#[pyo3::pymodule]
mod _gristmill {
    #[pymodule_export]
    use super::batch::Batch;
    #[pymodule_export]
    use super::files::is_url;
    #[pymodule_export]
    use super::jobs::{digest, run, scan, stats};
    #[pymodule_export]
    use super::mill::{divided, start_mill, start_share, Pairs};
    #[pymodule_export]
    use super::patterns::PatternSet;
    #[pymodule_export]
    use super::program::Program;
    #[pymodule_export]
    use super::report::Report;
    #[pymodule_export]
    use super::stream::Stream;

    #[pymodule_export]
    const __VERSION__: &str = env!("CARGO_PKG_VERSION");
}
