//! Exceptions. Their classes are in `python/gristmill/_errors.py`, because a class in C that derives from an exception
//! needs Python 3.12.

use gristmill::jobs::scan::PatternError;
use gristmill::program::ProgramError;
use gristmill::rules::RuleError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A file, or a place of the source, that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    pub path: Option<PathBuf>,
    /// The offset in the file, in bytes, where it is known.
    pub offset: Option<u64>,
    pub reason: String,
}

impl Failure {
    /// A failure that is shown as `PATH: offset N: reason`.
    pub fn placed(path: &Path, offset: u64, shown: &str) -> Self {
        let place = format!("{}: offset {offset}: ", path.display());
        Self {
            path: Some(path.to_owned()),
            offset: Some(offset),
            reason: shown.strip_prefix(&place).unwrap_or(shown).to_owned(),
        }
    }

    /// An instance of `FileError`.
    pub fn object<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let path: Option<OsString> = self.path.as_ref().map(|path| path.clone().into());
        let args = (path, self.offset, &self.reason);
        class(py, "FileError")?.call1(args)
    }
}

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("gristmill._errors")?.getattr(name)
}

/// An exception of the class with this name.
pub fn exception<'py, A>(py: Python<'py>, name: &str, args: A) -> PyErr
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>, Error = PyErr>,
{
    let made = class(py, name).and_then(|class| {
        let args = args.into_pyobject(py)?;
        class.call1(args)
    });
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// A `ValueError`.
pub fn value(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A `RunError`: a run that could not start, or not go on.
pub fn run(py: Python<'_>, error: &str) -> PyErr {
    exception(py, "RunError", (error,))
}

/// Why a pattern is refused.
pub fn pattern(py: Python<'_>, error: &PatternError) -> PyErr {
    let place = error.place.as_ref().map(|place| (place.line, place.column));
    let (line, column) = place.unzip();
    let shown = error.to_string();
    exception(
        py,
        "PatternError",
        (shown, &error.reason, error.pattern, line, column),
    )
}

/// Why a rule file is refused.
pub fn rule(py: Python<'_>, error: &RuleError) -> PyErr {
    let (line, column) = error.place().unzip();
    let path = error.path().as_os_str();
    let shown = error.to_string();
    exception(py, "RuleError", (shown, error.reason(), path, line, column))
}

/// Why a compiled set is refused.
pub fn set(py: Python<'_>, path: &Path, reason: &str) -> PyErr {
    let shown = format!("{}: {reason}", path.display());
    exception(py, "SetError", (shown, reason, path.as_os_str()))
}

/// Why a program is refused.
pub fn program(py: Python<'_>, error: &ProgramError) -> PyErr {
    let placed = match error {
        ProgramError::Assemble(error) | ProgramError::Outside(error) => Some(error),
        ProgramError::Refused { place, .. } => place.as_deref(),
        _ => None,
    };
    let reason = match (placed, error) {
        (Some(placed), _) => placed.message.clone(),
        (None, ProgramError::Read { error, .. }) => error.to_string(),
        (None, ProgramError::Decode { error, .. }) => error.to_string(),
        (None, ProgramError::Refused { refusal, .. }) => format!("refused: {refusal}"),
        (None, other) => other.to_string(),
    };
    let name: OsString = match (placed, error) {
        (Some(placed), _) => placed.source_name.clone().into(),
        (
            None,
            ProgramError::Read { path, .. }
            | ProgramError::NotText { path, .. }
            | ProgramError::Decode { path, .. },
        ) => path.into(),
        (None, ProgramError::Refused { name, .. }) => name.into(),
        (None, _) => OsString::new(),
    };
    let refusal = match error {
        ProgramError::Refused { refusal, .. } => refusal.line.map(|line| line as usize),
        _ => None,
    };
    let line = placed.map(|placed| placed.line).or(refusal);
    let column = placed.map(|placed| placed.column);
    let shown = error.to_string();
    exception(py, "ProgramError", (shown, reason, name, line, column))
}
