//! Record batches as rows.

use crate::encode::RowWriter;
use crate::error::{wanted, TableError};
use crate::escape::unescape;
use crate::schema::{Field, Kind, Schema};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use std::io;

/// The columns of a schema in record batches.
pub struct Columns<'s> {
    schema: &'s Schema,
    /// Rows before the batch.
    rows: u64,
}

impl<'s> Columns<'s> {
    pub fn new(schema: &'s Schema) -> Self {
        Self { schema, rows: 0 }
    }

    /// Gives the rows of a batch, some at a time.
    pub fn give(
        &mut self,
        batch: &RecordBatch,
        give: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), TableError> {
        let fields = self.schema.fields().iter();
        let columns = fields.map(|field| {
            let column = column(batch, field)?;
            Ok((field, column))
        });
        let columns: Vec<(&Field, ArrayRef)> = columns.collect::<Result<_, TableError>>()?;
        let mut bytes = Vec::new();
        for index in 0..batch.num_rows() {
            self.rows += 1;
            let mut row = RowWriter::row(&mut bytes);
            for (field, column) in &columns {
                row = value(row, column, index, field).ok_or_else(|| TableError::Value {
                    row: self.rows,
                    column: field.name().to_owned(),
                    wanted: wanted(field.kind()),
                })?;
            }
            row.end();
            if bytes.len() >= 64 << 10 {
                give(&bytes)?;
                bytes.clear();
            }
        }
        Ok(give(&bytes)?)
    }
}

/// The column of a field. Of a path it is the one with the bytes, if there is one.
fn column(batch: &RecordBatch, field: &Field) -> Result<ArrayRef, TableError> {
    let named = |name: &str| batch.column_by_name(name);
    let plain = named(field.name()).ok_or_else(|| TableError::damaged("a batch lacks columns"))?;
    let bytes = match field.kind() {
        Kind::Path => named(&format!("{}_bytes", field.name())),
        _ => None,
    };
    let column = bytes.unwrap_or(plain);
    let is = |kind: &DataType| match field.kind() {
        Kind::U64 | Kind::I64 => matches!(kind, DataType::UInt64 | DataType::Int64),
        Kind::F64 => *kind == DataType::Float64,
        Kind::Bool => *kind == DataType::Boolean,
        Kind::Text => is_text(kind),
        Kind::Path => is_text(kind) || is_binary(kind),
        Kind::Bytes => is_binary(kind),
        Kind::U64s => item(kind).is_some_and(|item| *item == DataType::UInt64),
        Kind::Texts => item(kind).is_some_and(is_text),
    };
    match is(column.data_type()) {
        true => Ok(column.clone()),
        false => Err(TableError::Type {
            column: field.name().to_owned(),
            found: column.data_type().to_string(),
            wanted: wanted(field.kind()),
        }),
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn is_binary(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    )
}

/// The type of a list's items.
fn item(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(item) | DataType::LargeList(item) => Some(item.data_type()),
        _ => None,
    }
}

/// The text of a column of texts.
fn text(column: &ArrayRef, index: usize) -> Option<&str> {
    Some(match column.data_type() {
        DataType::Utf8 => column.as_string_opt::<i32>()?.value(index),
        DataType::LargeUtf8 => column.as_string_opt::<i64>()?.value(index),
        _ => column.as_string_view_opt()?.value(index),
    })
}

/// The bytes of a column of bytes.
fn binary(column: &ArrayRef, index: usize) -> Option<&[u8]> {
    Some(match column.data_type() {
        DataType::Binary => column.as_binary_opt::<i32>()?.value(index),
        DataType::LargeBinary => column.as_binary_opt::<i64>()?.value(index),
        _ => column.as_binary_view_opt()?.value(index),
    })
}

/// The items of a list.
fn list(column: &ArrayRef, index: usize) -> Option<ArrayRef> {
    let items = match column.data_type() {
        DataType::List(_) => column.as_list_opt::<i32>()?.value(index),
        _ => column.as_list_opt::<i64>()?.value(index),
    };
    (items.null_count() == 0).then_some(items)
}

/// Adds a value; `None` if it is none of the field's kind.
fn value<'a>(
    row: RowWriter<'a>,
    column: &ArrayRef,
    index: usize,
    field: &Field,
) -> Option<RowWriter<'a>> {
    if column.is_null(index) {
        return field.nullable.then(|| row.null());
    }
    // Other programs may have no unsigned numbers.
    let unsigned = || column.as_primitive_opt::<UInt64Type>();
    let signed = || column.as_primitive_opt::<Int64Type>();
    Some(match field.kind() {
        Kind::U64 => row.u64(match unsigned() {
            Some(column) => column.value(index),
            None => u64::try_from(signed()?.value(index)).ok()?,
        }),
        Kind::I64 => row.i64(match signed() {
            Some(column) => column.value(index),
            None => i64::try_from(unsigned()?.value(index)).ok()?,
        }),
        Kind::F64 => row.f64(column.as_primitive_opt::<Float64Type>()?.value(index)),
        Kind::Bool => row.bool(column.as_boolean_opt()?.value(index)),
        Kind::Text => row.bytes(text(column, index)?.as_bytes()),
        Kind::Bytes => row.bytes(binary(column, index)?),
        Kind::Path => match is_binary(column.data_type()) {
            true => row.bytes(binary(column, index)?),
            false => row.bytes(&unescape(text(column, index)?)?),
        },
        Kind::U64s => {
            let items = list(column, index)?;
            let numbers = items.as_primitive_opt::<UInt64Type>()?;
            row.u64s(numbers.values().iter().copied())
        }
        Kind::Texts => {
            let items = list(column, index)?;
            let texts: Option<Vec<&str>> = (0..items.len()).map(|at| text(&items, at)).collect();
            row.texts(texts?.into_iter().map(str::as_bytes))
        }
    })
}
