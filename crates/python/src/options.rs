//! Keyword arguments that several functions share.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The keyword arguments of a call that have not been taken yet.
pub struct Options<'py> {
    function: &'static str,
    given: Option<Bound<'py, PyDict>>,
    known: Vec<&'static str>,
}

impl<'py> Options<'py> {
    pub fn new(function: &'static str, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        Ok(Self {
            function,
            given: given.map(|given| given.copy()).transpose()?,
            known: Vec::new(),
        })
    }

    /// Takes an argument; none if it was not given, or is None.
    pub fn object(&mut self, name: &'static str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.known.push(name);
        let Some(given) = &self.given else {
            return Ok(None);
        };
        let value = given.get_item(name)?;
        if value.is_some() {
            given.del_item(name)?;
        }
        Ok(value.filter(|value| !value.is_none()))
    }

    /// Takes an argument of a type.
    pub fn take<T>(&mut self, name: &'static str) -> PyResult<Option<T>>
    where
        T: for<'a> FromPyObject<'a, 'py>,
    {
        let value = self.object(name)?;
        value
            .map(|value| extracted(self.function, name, &value))
            .transpose()
    }

    /// Takes a switch.
    pub fn flag(&mut self, name: &'static str, default: bool) -> PyResult<bool> {
        Ok(self.take(name)?.unwrap_or(default))
    }

    /// Takes a string or several.
    pub fn strings(&mut self, name: &'static str) -> PyResult<Vec<String>> {
        let function = self.function;
        let Some(value) = self.object(name)? else {
            return Ok(Vec::new());
        };
        each(&value, |one| extracted(function, name, one))
    }

    /// Takes a path or several.
    pub fn paths(&mut self, name: &'static str) -> PyResult<Vec<PathBuf>> {
        let value = self.object(name)?;
        value.map_or(Ok(Vec::new()), |value| paths(&value))
    }

    /// All arguments have been taken.
    ///
    /// # Errors
    /// `TypeError` if there is another.
    pub fn end(self) -> PyResult<()> {
        let Some(given) = self.given else {
            return Ok(());
        };
        match given.keys().iter().next() {
            None => Ok(()),
            Some(unknown) => Err(PyTypeError::new_err(format!(
                "{}() got an unexpected keyword argument '{}'; beside those of its own it takes {}",
                self.function,
                unknown.str()?,
                self.known.join(", ")
            ))),
        }
    }
}

/// The value of an argument.
///
/// # Errors
/// `TypeError` or `ValueError` with the names of function and argument.
pub fn extracted<'py, T>(function: &str, name: &str, value: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    let taken = value.extract::<T>().map_err(Into::<PyErr>::into);
    taken.map_err(|error| {
        let py = value.py();
        let text = format!("{function}(): argument '{name}': {}", error.value(py));
        match error.is_instance_of::<PyOverflowError>(py) {
            true => PyValueError::new_err(text),
            false => PyTypeError::new_err(text),
        }
    })
}

/// Calls `read` with each of several values: those of an iterable, or the only one if it is a string, bytes or a path.
pub fn each<'py, T>(
    value: &Bound<'py, PyAny>,
    read: impl Fn(&Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let single = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.hasattr("__fspath__")?
        || !value.hasattr("__iter__")?;
    if single {
        return Ok(vec![read(value)?]);
    }
    value.try_iter()?.map(|one| read(&one?)).collect()
}

/// A path: text, bytes, or what `os.fspath` takes.
pub fn path(value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let named = value.py().import("os")?.call_method1("fspath", (value,))?;
    let path = match named.cast::<PyBytes>() {
        Ok(bytes) => OsString::from_vec(bytes.as_bytes().to_vec()),
        Err(_) => named.extract::<OsString>()?,
    };
    if path.is_empty() {
        return Err(PyValueError::new_err(
            "an empty path; name a file or a directory, such as '.'",
        ));
    }
    if path.as_encoded_bytes().contains(&0) {
        return Err(PyValueError::new_err(
            "a path with a NUL, which no file has; name another",
        ));
    }
    Ok(path.into())
}

/// A path or several.
pub fn paths(value: &Bound<'_, PyAny>) -> PyResult<Vec<PathBuf>> {
    each(value, path)
}

/// A pattern: bytes, or text, which is searched for as UTF-8.
pub fn pattern(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    let text = value.cast::<PyString>().map_err(|_| {
        let kind = value.get_type();
        PyTypeError::new_err(format!("a pattern is str or bytes, and not {kind}"))
    })?;
    Ok(text.to_cow()?.into_owned().into_bytes())
}
