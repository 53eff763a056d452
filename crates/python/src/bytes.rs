//! Bytes that Python has in memory.
//!
//! The memory of a `bytes` object never changes, so that it is searched where it is, without the interpreter's lock; so is
//! that of a memoryview of one. All other memory may be written while it is looked at: by another thread, or, where it is
//! a mapped file, by another process. No `&[u8]` may exist of such memory, so it is copied, a piece at a time where that
//! will do.

use pyo3::buffer::{PyBuffer, PyUntypedBuffer};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

/// Bytes to search.
pub enum Bytes {
    /// Those of a `bytes` object, from one place to another.
    Constant(PyBackedBytes, std::ops::Range<usize>),
    /// Those that a memoryview shows, which may change.
    Changing(Changing),
}

impl Bytes {
    /// The bytes of an object that has the buffer protocol.
    ///
    /// # Errors
    /// `TypeError` for one that has not, `ValueError` for one whose bytes do not lie one behind the other.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self::constant(bytes));
        }
        if object.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(
                "text is not searched, but bytes: encode it, as text.encode()",
            ));
        }
        let view = PyMemoryView::from(object).map_err(|_| {
            let kind = object.get_type();
            PyTypeError::new_err(format!(
                "bytes, or what has the buffer protocol, and not {kind}"
            ))
        })?;
        let buffer = PyUntypedBuffer::get(&view)?;
        if !buffer.is_c_contiguous() {
            return Err(PyValueError::new_err(
                "the bytes do not lie one behind the other; copy them, as numpy.ascontiguousarray does",
            ));
        }
        if buffer.len_bytes() == 0 {
            return Ok(Self::constant(&PyBytes::new(object.py(), b"")));
        }
        let view = view.call_method1("cast", ("B",))?;
        if let Some(constant) = constant(&view)? {
            return Ok(constant);
        }
        Ok(Self::Changing(Changing {
            length: buffer.len_bytes(),
            view: view.unbind(),
        }))
    }

    fn constant(bytes: &Bound<'_, PyBytes>) -> Self {
        let all = 0..bytes.as_bytes().len();
        Self::Constant(bytes.clone().into(), all)
    }
}

/// The bytes that a view shows, if they are those of a `bytes` object.
fn constant(view: &Bound<'_, PyAny>) -> PyResult<Option<Bytes>> {
    let owner = view.getattr("obj")?;
    let Ok(owner) = owner.cast_into::<PyBytes>() else {
        return Ok(None);
    };
    let shown: PyBuffer<u8> = view.extract()?;
    let all = owner.as_bytes();
    let start = (shown.buf_ptr() as usize).checked_sub(all.as_ptr() as usize);
    let range = start.map(|start| start..start + shown.len_bytes());
    let range = range.filter(|range| range.end <= all.len());
    Ok(range.map(|range| Bytes::Constant(owner.into(), range)))
}

/// Bytes that may change. As long as this exists, they stay where they are.
pub struct Changing {
    length: usize,
    view: Py<PyAny>,
}

impl Changing {
    pub fn len(&self) -> usize {
        self.length
    }

    /// Copies these bytes, as they are now.
    pub fn copy(&self, py: Python<'_>, range: std::ops::Range<usize>) -> PyResult<Vec<u8>> {
        let part = pyo3::types::PySlice::new(
            py,
            isize::try_from(range.start)?,
            isize::try_from(range.end)?,
            1,
        );
        let part: PyBuffer<u8> = self.view.bind(py).get_item(part)?.extract()?;
        part.to_vec(py)
    }
}
