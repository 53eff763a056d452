//! VIR0 programs.

use super::errors;
use super::options::{path, paths};
use gristmill::megakernel::vir0::{container, disasm, Work};
use gristmill::program::{Loader, Program as Verified, ProgramError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::Path;

/// A verified VIR0 program: a few lines of text that say what is computed of each byte or window of bytes.
///
/// `Program(text)` assembles a text; `Program.load(path)` reads one, or an assembled program. docs/vir0.md is the
/// specification. A program that is wrong raises `ProgramError`, with line and column.
#[pyclass(frozen, module = "gristmill")]
pub struct Program(Verified);

#[pymethods]
impl Program {
    /// Assembles and verifies a text. `name` is the file that errors show, and below whose directory the files lie that
    /// the text names.
    #[new]
    #[pyo3(signature = (text, name="program.vasm"))]
    fn new(py: Python<'_>, text: &str, name: &str) -> PyResult<Self> {
        let program = Verified::from_source(name, text);
        program
            .map(Self)
            .map_err(|error| errors::program(py, &error))
    }

    /// Reads a program, assembled or as text, and verifies it. A text may name files below its own directory, and below
    /// those of `allow_include`.
    #[staticmethod]
    #[pyo3(signature = (file, *, allow_include=None))]
    fn load(file: &Bound<'_, PyAny>, allow_include: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let allowed = allow_include.map(paths).transpose()?.unwrap_or_default();
        let loader = allowed.into_iter().fold(Loader::new(), Loader::allow);
        load(file, &loader).map(Self)
    }

    /// The program in an assembled program's bytes: what `to_bytes` returns, and what a `.vir0` file holds.
    #[staticmethod]
    #[pyo3(signature = (data, name="program.vir0"))]
    fn from_bytes(py: Python<'_>, data: &[u8], name: &str) -> PyResult<Self> {
        let program = container::decode(data).map_err(|error| ProgramError::Decode {
            path: name.into(),
            error,
        });
        let verified = program.and_then(Verified::new);
        verified
            .map(Self)
            .map_err(|error| errors::program(py, &error))
    }

    /// The assembled program, as a `.vir0` file holds it.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = container::encode(self.0.verified().program());
        let bytes = bytes.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[allow(clippy::type_complexity)] // It is pickle's.
    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>, String))> {
        let this = slf.get();
        let given = (this.to_bytes(slf.py())?, this.name().to_owned());
        Ok((slf.get_type().getattr("from_bytes")?, given))
    }

    /// The program as text.
    fn disassemble(&self) -> String {
        disasm::disassemble(self.0.verified().program())
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.0.verified().program().name
    }

    /// Its arguments by name, with their defaults; None for one that must be given.
    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let arguments = PyDict::new(py);
        for argument in &self.0.verified().program().args {
            arguments.set_item(&argument.name, argument.default)?;
        }
        Ok(arguments)
    }

    /// Its accumulators by name, with the number of their elements.
    #[getter]
    fn accumulators<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let accumulators = PyDict::new(py);
        for array in &self.0.verified().program().accs {
            accumulators.set_item(&array.name, array.len)?;
        }
        Ok(accumulators)
    }

    /// The largest chunk that it takes, in bytes.
    #[getter]
    fn chunk(&self) -> u32 {
        self.0.verified().program().chunk
    }

    /// The number of its instructions.
    #[getter]
    fn instructions(&self) -> usize {
        self.0.verified().program().code.len()
    }

    /// The most instructions that are executed for a chunk of this many bytes; without a number for the largest.
    #[pyo3(signature = (size=None))]
    fn cost(&self, size: Option<u32>) -> u64 {
        let verified = self.0.verified();
        verified.cost().at(size.unwrap_or(verified.program().chunk))
    }

    /// The seconds of one core that a chunk of this many bytes takes at most, about; without a number the largest.
    #[pyo3(signature = (size=None))]
    fn seconds(&self, size: Option<u32>) -> f64 {
        let verified = self.0.verified();
        Work::seconds(verified.work().at(size.unwrap_or(verified.program().chunk)))
    }

    fn __repr__(&self) -> String {
        format!(
            "Program({:?}, {} instructions)",
            self.name(),
            self.instructions()
        )
    }
}

/// The program that an argument gives: a `Program`, or the path of one.
pub fn given(program: &Bound<'_, PyAny>) -> PyResult<Verified> {
    match program.cast::<Program>() {
        Ok(program) => Ok(program.get().0.clone()),
        Err(_) => load(program, &Loader::new()),
    }
}

fn load(file: &Bound<'_, PyAny>, loader: &Loader) -> PyResult<Verified> {
    let path = path(file)?;
    let loaded = Verified::load(loader, Path::new(&path));
    loaded.map_err(|error| errors::program(file.py(), &error))
}
