//! Row groups, encoded and compressed but not written: they have no output, so that another thread can make them.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_writer::{
    compute_leaves, ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory,
};
use parquet::errors::Result;

/// With what a row group ends.
#[derive(Debug, Clone, Copy)]
pub struct Full {
    pub rows: usize,
    /// They are in memory until then, encoded and compressed.
    pub bytes: usize,
}

impl Default for Full {
    fn default() -> Self {
        Self {
            rows: 1 << 20,
            bytes: 24 << 20,
        }
    }
}

/// The columns of a row group, to be appended to the file in this order.
pub type Group = Vec<ArrowColumnChunk>;

/// Encodes batches to row groups.
#[derive(Debug)]
pub struct Encoder {
    schema: SchemaRef,
    factory: ArrowRowGroupWriterFactory,
    full: Full,
    /// The columns of the row group that grows: none before its first row.
    columns: Vec<ArrowColumnWriter>,
    /// The rows of that row group.
    rows: usize,
    /// The row groups that ended.
    ended: usize,
}

impl Encoder {
    /// For batches of `schema`.
    pub fn new(schema: SchemaRef, factory: ArrowRowGroupWriterFactory, full: Full) -> Self {
        Self {
            schema,
            factory,
            full,
            columns: Vec::new(),
            rows: 0,
            ended: 0,
        }
    }

    /// Encodes a batch. Returns the row groups that ended, of which there is none most often.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Group>> {
        let mut groups = Vec::new();
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = (batch.num_rows() - from).min(self.full.rows - self.rows);
            self.add(&batch.slice(from, rows))?;
            from += rows;
            if self.rows == self.full.rows || self.memory() >= self.full.bytes {
                groups.extend(self.end()?);
            }
        }
        Ok(groups)
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.columns.is_empty() {
            self.columns = self.factory.create_column_writers(self.ended)?;
        }
        let mut columns = self.columns.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
            for (leaf, column) in compute_leaves(field, array)?.iter().zip(&mut columns) {
                column.write(leaf)?;
            }
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    fn memory(&self) -> usize {
        self.columns
            .iter()
            .map(ArrowColumnWriter::memory_size)
            .sum()
    }

    /// Ends the row group that grows, if it has rows.
    pub fn end(&mut self) -> Result<Option<Group>> {
        if self.columns.is_empty() {
            return Ok(None);
        }
        self.rows = 0;
        self.ended += 1;
        let columns = std::mem::take(&mut self.columns).into_iter();
        columns
            .map(ArrowColumnWriter::close)
            .collect::<Result<_>>()
            .map(Some)
    }
}
