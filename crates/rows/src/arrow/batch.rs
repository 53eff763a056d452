//! Record batches of rows.

use super::layout;
use crate::escape::{escape, readable};
use crate::schema::{Kind, Schema};
use crate::value::Value;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    UInt64Builder,
};
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field as ArrowField, SchemaRef};
use std::io;
use std::sync::Arc;

/// The most rows of a batch.
const MOST_ROWS: usize = 64 << 10;

/// Bytes of values with which a batch is full.
const FULL_BYTES: usize = 4 << 20;

/// The most bytes of a value: the offsets in a column are numbers of 31 bits.
const MOST_BYTES: usize = 1 << 30;

/// A column while it grows. Rows without a value wait to be added at once: there may be columns of nothing else.
#[derive(Debug)]
struct Column {
    values: Values,
    nulls: usize,
}

#[derive(Debug)]
enum Values {
    U64(UInt64Builder),
    I64(Int64Builder),
    F64(Float64Builder),
    Bool(BooleanBuilder),
    /// As bytes, which are looked at together.
    Text(BinaryBuilder),
    Path(Box<PathColumn>),
    Bytes(BinaryBuilder),
    U64s(ListBuilder<UInt64Builder>),
    Texts(ListBuilder<StringBuilder>),
}

/// Paths, which come many times one after the other.
#[derive(Debug, Default)]
struct PathColumn {
    text: StringBuilder,
    bytes: BinaryBuilder,
    last: Vec<u8>,
    /// How many rows have the last path and are not in the columns yet.
    times: usize,
}

impl PathColumn {
    fn push(&mut self, path: &[u8]) {
        if self.times > 0 && self.last == path {
            self.times += 1;
            return;
        }
        self.settle();
        self.last.clear();
        self.last.extend_from_slice(path);
        self.times = 1;
    }

    fn settle(&mut self) {
        let times = std::mem::take(&mut self.times);
        if times > 0 {
            self.text.append_value_n(escape(&self.last), times);
            self.bytes.append_value_n(&self.last, times);
        }
    }

    fn nulls(&mut self, count: usize) {
        self.settle();
        self.text.append_nulls(count);
        self.bytes.append_nulls(count);
    }
}

impl Column {
    fn new(kind: Kind) -> Self {
        Self {
            values: Values::new(kind),
            nulls: 0,
        }
    }

    /// Adds a value. Returns the bytes that it takes, about.
    #[inline]
    fn push(&mut self, value: &Value<'_>) -> io::Result<usize> {
        if *value == Value::Null {
            self.nulls += 1;
            return Ok(8);
        }
        self.settle();
        self.values.push(value)
    }

    #[inline]
    fn settle(&mut self) {
        if self.nulls > 0 {
            self.values.nulls(std::mem::take(&mut self.nulls));
        }
    }

    fn finish(&mut self, arrays: &mut Vec<ArrayRef>) {
        self.settle();
        self.values.finish(arrays);
    }
}

impl Values {
    fn new(kind: Kind) -> Self {
        let item = |kind| ArrowField::new("item", kind, false);
        match kind {
            Kind::U64 => Self::U64(UInt64Builder::new()),
            Kind::I64 => Self::I64(Int64Builder::new()),
            Kind::F64 => Self::F64(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Text => Self::Text(BinaryBuilder::new()),
            Kind::Path => Self::Path(Box::default()),
            Kind::Bytes => Self::Bytes(BinaryBuilder::new()),
            Kind::U64s => Self::U64s(
                ListBuilder::new(UInt64Builder::new()).with_field(item(DataType::UInt64)),
            ),
            Kind::Texts => {
                Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8)))
            }
        }
    }

    /// Adds a value. Returns the bytes that it takes, about.
    fn push(&mut self, value: &Value<'_>) -> io::Result<usize> {
        match (self, *value) {
            (Self::U64(column), Value::U64(value)) => column.append_value(value),
            (Self::I64(column), Value::I64(value)) => column.append_value(value),
            (Self::F64(column), Value::F64(value)) => column.append_value(value),
            (Self::Bool(column), Value::Bool(value)) => column.append_value(value),
            (Self::Text(column), Value::Bytes(bytes)) => {
                // A byte that is not UTF-8 becomes four.
                bounded(bytes.len().saturating_mul(4))?;
                column.append_value(bytes);
                return Ok(bytes.len() + 4);
            }
            (Self::Path(column), Value::Bytes(bytes)) => {
                bounded(bytes.len().saturating_mul(4))?;
                column.push(bytes);
                return Ok(2 * bytes.len() + 8);
            }
            (Self::Bytes(column), Value::Bytes(bytes)) => {
                bounded(bytes.len())?;
                column.append_value(bytes);
                return Ok(bytes.len() + 4);
            }
            (Self::U64s(column), Value::U64s(list)) => {
                bounded(list.0.len().saturating_mul(8))?;
                list.iter()
                    .for_each(|value| column.values().append_value(value));
                column.append(true);
                return Ok(8 * list.0.len() + 4);
            }
            (Self::Texts(column), Value::Texts(list)) => {
                bounded(list.0.len().saturating_mul(4))?;
                list.iter()
                    .for_each(|text| column.values().append_value(readable(text)));
                column.append(true);
                return Ok(list.0.len() + 4);
            }
            // A reader of rows gives no value of another kind.
            (values, _) => values.nulls(1),
        }
        Ok(8)
    }

    fn nulls(&mut self, count: usize) {
        match self {
            Self::U64(column) => column.append_nulls(count),
            Self::I64(column) => column.append_nulls(count),
            Self::F64(column) => column.append_nulls(count),
            Self::Bool(column) => column.append_nulls(count),
            Self::Text(column) => column.append_nulls(count),
            Self::Path(column) => column.nulls(count),
            Self::Bytes(column) => column.append_nulls(count),
            Self::U64s(column) => column.append_nulls(count),
            Self::Texts(column) => column.append_nulls(count),
        }
    }

    fn finish(&mut self, arrays: &mut Vec<ArrayRef>) {
        let array: ArrayRef = match self {
            Self::U64(column) => Arc::new(column.finish()),
            Self::I64(column) => Arc::new(column.finish()),
            Self::F64(column) => Arc::new(column.finish()),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(texts(&column.finish())),
            Self::Bytes(column) => Arc::new(column.finish()),
            Self::U64s(column) => Arc::new(column.finish()),
            Self::Texts(column) => Arc::new(column.finish()),
            Self::Path(column) => {
                column.settle();
                arrays.push(Arc::new(column.text.finish()));
                Arc::new(column.bytes.finish())
            }
        };
        arrays.push(array);
    }
}

/// Texts for reading. Most often all of them are UTF-8.
fn texts(bytes: &BinaryArray) -> StringArray {
    StringArray::try_from_binary(bytes.clone()).unwrap_or_else(|_| {
        let readable = bytes.iter().map(|bytes| bytes.map(readable));
        readable.collect()
    })
}

fn bounded(bytes: usize) -> io::Result<()> {
    match bytes > MOST_BYTES {
        false => Ok(()),
        true => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a value of {bytes} bytes, where a table takes {MOST_BYTES}"),
        )),
    }
}

/// Gathers rows into record batches.
#[derive(Debug)]
pub struct BatchBuilder {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
    /// The rows and bytes of values with which a batch is full.
    full: (usize, usize),
}

impl BatchBuilder {
    /// Batches of this schema, as [`schema`](super::schema) shows it.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self {
            schema: Arc::new(layout::schema(schema)),
            columns: schema
                .fields()
                .iter()
                .map(|field| Column::new(field.kind))
                .collect(),
            rows: 0,
            bytes: 0,
            full: (MOST_ROWS, FULL_BYTES),
        }
    }

    /// Small batches: what takes one at a time, and keeps none, finds it in the processor's caches, and new memory for the
    /// next is that of the last.
    pub(crate) fn small(schema: &Schema) -> Self {
        Self {
            full: (MOST_ROWS / 16, FULL_BYTES / 16),
            ..Self::new(schema)
        }
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds a row: a value for each column of the schema, as a [`RowReader`](crate::RowReader) gives them. A value of another
    /// type than its column's counts as none.
    ///
    /// # Errors
    /// A value of more than 1 GiB. The batch cannot be used afterwards.
    pub fn push(&mut self, row: &[Value<'_>]) -> io::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(row) {
            self.bytes += column.push(value)?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds a row, and gives the batch to `take` if it is full then.
    pub(crate) fn add(
        &mut self,
        row: &[Value<'_>],
        take: impl FnOnce(RecordBatch) -> io::Result<()>,
    ) -> io::Result<()> {
        self.push(row)?;
        if self.is_full() {
            take(self.finish()?)?;
        }
        Ok(())
    }

    /// Gives the last batch to `take`, if there are rows left.
    pub(crate) fn end(
        &mut self,
        take: impl FnOnce(RecordBatch) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.is_empty() {
            true => Ok(()),
            false => take(self.finish()?),
        }
    }

    /// Whether the batch should be taken: at 65,536 rows, or 4 MiB of values.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows >= self.full.0 || self.bytes >= self.full.1
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes the rows as a batch, and begins another.
    ///
    /// # Errors
    /// Rows that are not of the schema: fewer values than columns, or none where there must be one.
    pub fn finish(&mut self) -> io::Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        self.columns
            .iter_mut()
            .for_each(|column| column.finish(&mut arrays));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrow::Batches;
    use crate::{Field, RowWriter};
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt64Type;
    use arrow_array::Array;

    fn schema() -> Schema {
        let fields = [
            Field::new("path", Kind::Path, ""),
            Field::new("number", Kind::U64, "").nullable(),
            Field::new("list", Kind::Texts, "").nullable(),
        ];
        Schema::new("test", 1, "", fields)
    }

    #[test]
    fn batches_have_all_rows_and_are_bounded() {
        let mut rows = Vec::new();
        for number in 0..150_000_u64 {
            if number % 1000 == 0 {
                let path = format!("{}\\", number / 2000);
                RowWriter::common(&mut rows).bytes(path.as_bytes()).end();
            }
            let row = RowWriter::rest(&mut rows);
            match number % 3 {
                0 => row.null().null(),
                _ => row.u64(number).texts([&b"x"[..], b"\xff"]),
            }
            .end();
        }
        let mut number = 0;
        for batch in Batches::new(&schema(), &*rows) {
            let batch = batch.unwrap();
            assert!(batch.num_rows() <= MOST_ROWS);
            let text = batch.column(0).as_string::<i32>();
            let bytes = batch.column(1).as_binary::<i32>();
            let numbers = batch.column(2).as_primitive::<UInt64Type>();
            let lists = batch.column(3).as_list::<i32>();
            for row in 0..batch.num_rows() {
                let path = format!("{}\\", number / 2000);
                assert_eq!(bytes.value(row), path.as_bytes());
                assert_eq!(text.value(row), format!("{path}\\"));
                assert_eq!(numbers.is_null(row), number % 3 == 0);
                assert_eq!(lists.is_null(row), number % 3 == 0);
                if number % 3 > 0 {
                    assert_eq!(numbers.value(row), number);
                    let list = lists.value(row);
                    assert_eq!(list.as_string::<i32>().value(1), "\\xff");
                }
                number += 1;
            }
        }
        assert_eq!(number, 150_000);
    }

    #[test]
    fn texts_are_readable_however_their_bytes_lie_together() {
        let fields = [
            Field::new("a", Kind::Text, "").nullable(),
            Field::new("b", Kind::Text, "").nullable(),
        ];
        let mut rows = Vec::new();
        // The two halves of a character, which are one where they lie side by side.
        let texts: [&[u8]; 6] = [b"plain\\", b"\xc3", b"\xa4", "ä".as_bytes(), b"", b"x\xff"];
        for text in texts {
            RowWriter::row(&mut rows).bytes(text).null().end();
            RowWriter::row(&mut rows).null().bytes(b"ascii").end();
        }
        let batch = Batches::new(&Schema::new("test", 1, "", fields), &*rows)
            .next()
            .unwrap()
            .unwrap();
        let found = |column: usize| -> Vec<Option<String>> {
            let texts = batch.column(column).as_string::<i32>().iter();
            texts.map(|text| text.map(str::to_owned)).collect()
        };
        let expected = texts
            .iter()
            .flat_map(|text| [Some(readable(text).into_owned()), None]);
        assert_eq!(found(0), expected.collect::<Vec<_>>());
        let ascii = || [None, Some("ascii".to_owned())];
        assert_eq!(
            found(1),
            texts.iter().flat_map(|_| ascii()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn rows_that_are_cut_off_end_the_batches_with_an_error() {
        let mut rows = Vec::new();
        RowWriter::row(&mut rows).bytes(b"p").null().null().end();
        let mut batches = Batches::new(&schema(), &rows[..rows.len() - 1]);
        assert!(batches.next().unwrap().is_err());
        assert!(batches.next().is_none());
        let batches: Vec<_> = Batches::new(&schema(), &*rows).collect();
        assert_eq!(batches.len(), 1);
        assert_eq!(Batches::new(&schema(), &b""[..]).count(), 0);
    }

    #[test]
    fn a_value_that_no_column_takes_is_told() {
        assert!(bounded(MOST_BYTES).is_ok());
        let error = bounded(MOST_BYTES + 1).unwrap_err().to_string();
        assert!(error.contains("1073741824"), "{error}");
    }
}
