//! A record batch, as Arrow's PyCapsule interface gives it to others.

use arrow_array::ffi::FFI_ArrowArray;
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::Schema;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyTuple};

/// Rows of a table, as columns in memory: what a `Stream` iterates over, and what `PatternSet.scan` returns.
///
/// Whoever takes Arrow takes it without a copy: `pyarrow.record_batch(batch)`, `polars.DataFrame(batch)`.
#[pyclass(frozen, sequence, module = "gristmill")]
pub struct Batch(pub RecordBatch);

#[pymethods]
impl Batch {
    /// The number of rows.
    #[getter]
    fn num_rows(&self) -> usize {
        self.0.num_rows()
    }

    /// The names of the columns.
    #[getter]
    fn column_names(&self) -> Vec<String> {
        names(&self.0.schema())
    }

    /// The bytes of the columns.
    #[getter]
    fn nbytes(&self) -> usize {
        self.0.get_array_memory_size()
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }

    fn __repr__(&self) -> String {
        format!(
            "Batch({} rows: {})",
            self.0.num_rows(),
            self.column_names().join(", ")
        )
    }

    /// The schema, as a capsule named `arrow_schema`.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        schema_capsule(py, &self.0.schema())
    }

    /// Schema and columns, as capsules named `arrow_schema` and `arrow_array`.
    ///
    /// Columns are given as they are, whatever schema is asked for, which the interface allows.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        check_requested(requested_schema)?;
        let schema = schema_capsule(py, &self.0.schema())?;
        let columns = StructArray::from(self.0.clone());
        let columns = FFI_ArrowArray::new(&columns.to_data());
        let columns = PyCapsule::new_with_value(py, columns, c"arrow_array")?;
        (schema, columns).into_pyobject(py)
    }
}

/// The names of a schema's columns.
pub fn names(schema: &Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

/// A schema as Arrow's C data interface has it.
pub fn schema_capsule<'py>(py: Python<'py>, schema: &Schema) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = FFI_ArrowSchema::try_from(schema);
    let schema = schema.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    PyCapsule::new_with_value(py, schema, c"arrow_schema")
}

/// Checks that what was asked for is a schema. What it says is a wish, which is not fulfilled: the interface lets a
/// producer give its own schema.
pub fn check_requested(requested: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(requested) = requested.filter(|requested| !requested.is_none()) else {
        return Ok(());
    };
    let is_schema = requested
        .cast::<PyCapsule>()
        .is_ok_and(|capsule| capsule.is_valid_checked(Some(c"arrow_schema")));
    match is_schema {
        true => Ok(()),
        false => Err(PyTypeError::new_err(
            "requested_schema is None or a capsule named arrow_schema",
        )),
    }
}
