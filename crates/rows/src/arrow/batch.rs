//! Record batches of rows.

use super::layout;
use crate::decode::RowReader;
use crate::escape::{escape, readable};
use crate::schema::{Kind, Schema};
use crate::value::Value;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
    UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field as ArrowField, SchemaRef};
use std::io::{self, Read};
use std::sync::Arc;

/// The most rows of a batch.
const MOST_ROWS: usize = 64 << 10;

/// Bytes of values with which a batch is full.
const FULL_BYTES: usize = 4 << 20;

/// The most bytes of a value: the offsets in a column are numbers of 31 bits.
const MOST_BYTES: usize = 1 << 30;

/// A column while it grows.
#[derive(Debug)]
enum Column {
    U64(UInt64Builder),
    I64(Int64Builder),
    F64(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
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

    fn null(&mut self) {
        self.settle();
        self.text.append_null();
        self.bytes.append_null();
    }
}

impl Column {
    fn new(kind: Kind) -> Self {
        let item = |kind| ArrowField::new("item", kind, false);
        match kind {
            Kind::U64 => Self::U64(UInt64Builder::new()),
            Kind::I64 => Self::I64(Int64Builder::new()),
            Kind::F64 => Self::F64(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
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
                column.append_value(readable(bytes));
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
            (Self::U64(column), _) => column.append_null(),
            (Self::I64(column), _) => column.append_null(),
            (Self::F64(column), _) => column.append_null(),
            (Self::Bool(column), _) => column.append_null(),
            (Self::Text(column), _) => column.append_null(),
            (Self::Path(column), _) => column.null(),
            (Self::Bytes(column), _) => column.append_null(),
            (Self::U64s(column), _) => column.append_null(),
            (Self::Texts(column), _) => column.append_null(),
        }
        Ok(8)
    }

    fn finish(&mut self, arrays: &mut Vec<ArrayRef>) {
        let array: ArrayRef = match self {
            Self::U64(column) => Arc::new(column.finish()),
            Self::I64(column) => Arc::new(column.finish()),
            Self::F64(column) => Arc::new(column.finish()),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(column.finish()),
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
        }
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds a row: a value for each column of the schema, as a [`RowReader`] gives them. A value of another type than its
    /// column's counts as none.
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
        self.rows >= MOST_ROWS || self.bytes >= FULL_BYTES
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

/// Record batches of rows that are read from somewhere: an iterator.
#[derive(Debug)]
pub struct Batches<R> {
    input: R,
    reader: RowReader,
    builder: BatchBuilder,
    /// Batches that are full.
    ready: std::collections::VecDeque<RecordBatch>,
    ended: bool,
}

impl<R: Read> Batches<R> {
    /// Reads rows of this schema, as bytes of a [`RowWriter`](crate::RowWriter), from `input`.
    #[must_use]
    pub fn new(schema: &Schema, input: R) -> Self {
        Self {
            input,
            reader: RowReader::new(schema),
            builder: BatchBuilder::new(schema),
            ready: std::collections::VecDeque::new(),
            ended: false,
        }
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.builder.schema()
    }

    fn step(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; 64 << 10];
        let count = match self.input.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            read => read?,
        };
        let (builder, ready) = (&mut self.builder, &mut self.ready);
        let mut take = |batch| {
            ready.push_back(batch);
            Ok(())
        };
        self.reader
            .read(&bytes[..count], |row| builder.add(row, &mut take))?;
        if count > 0 {
            return Ok(());
        }
        self.ended = true;
        self.reader.finish()?;
        builder.end(take)
    }
}

impl<R: Read> Iterator for Batches<R> {
    type Item = io::Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.step() {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
