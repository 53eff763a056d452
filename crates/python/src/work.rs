//! Jobs that are prepared for a run.

use super::errors::Failure;
use gristmill::jobs::Job;
use gristmill::mill::Task;
use gristmill::rows::Schema;
use std::io::Write;
use std::sync::Arc;

/// A task whose rows go to an output.
type ToTask = Box<dyn for<'a> FnOnce(&'a mut dyn Write) -> Task<'a> + Send>;

/// What a job has to tell of failures when the run has ended.
type ToFailures = Box<dyn FnOnce() -> Vec<Failure> + Send>;

/// A job of a run.
pub struct Work {
    pub name: String,
    /// The columns of its rows.
    pub schema: Schema,
    /// None if there is nothing to do, and so no row.
    pub made: Option<Made>,
    /// Whether it gives the rows of parts of files, so that large files may be cut.
    pub cut: bool,
}

/// A job.
pub struct Made {
    pub task: ToTask,
    pub failures: ToFailures,
}

impl Work {
    /// A job whose rows have these columns. `failures` takes what it has to tell besides.
    pub fn new<J: Job + 'static>(
        schema: Schema,
        job: J,
        failures: impl FnOnce(&J) -> Vec<Failure> + Send + 'static,
    ) -> Self {
        let job = Arc::new(job);
        let same = Arc::clone(&job);
        Self {
            name: String::new(),
            schema,
            made: Some(Made {
                task: Box::new(move |output| Task::new(job, output)),
                failures: Box::new(move || failures(&same)),
            }),
            cut: false,
        }
    }

    /// No job: there is nothing to search for.
    pub fn nothing(schema: Schema) -> Self {
        Self {
            name: String::new(),
            schema,
            made: None,
            cut: true,
        }
    }

    pub fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    /// Says whether it gives the rows of parts of files.
    pub fn cut(self, cut: bool) -> Self {
        Self { cut, ..self }
    }
}
