//! Record batches of rows that come as bytes.

use super::batch::BatchBuilder;
use crate::decode::RowReader;
use crate::schema::Schema;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use std::io::{self, Read};

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
