//! Arrow IPC files.

use super::batch::BatchBuilder;
use crate::schema::Schema;
use crate::value::Value;
use arrow_ipc::writer::FileWriter;
use arrow_schema::ArrowError;
use std::io::{self, BufWriter, Write};

/// Writes rows as a file of Arrow's IPC format.
pub(crate) struct IpcWriter<W: Write> {
    batch: BatchBuilder,
    file: FileWriter<BufWriter<W>>,
}

impl<W: Write> IpcWriter<W> {
    pub fn new(schema: &Schema, output: W) -> io::Result<Self> {
        let batch = BatchBuilder::new(schema);
        let file = FileWriter::try_new_buffered(output, batch.schema()).map_err(error)?;
        Ok(Self { batch, file })
    }

    pub fn row(&mut self, row: &[Value<'_>]) -> io::Result<()> {
        self.batch.push(row)?;
        if self.batch.is_full() {
            self.give()?;
        }
        Ok(())
    }

    fn give(&mut self) -> io::Result<()> {
        let batch = self.batch.finish()?;
        self.file.write(&batch).map_err(error)
    }

    /// `last` is metadata of the file's end.
    pub fn finish(mut self, last: Vec<(&'static str, String)>) -> io::Result<()> {
        if !self.batch.is_empty() {
            self.give()?;
        }
        for (key, value) in last {
            self.file.write_metadata(key, value);
        }
        self.file.finish().map_err(error)
    }
}

fn error(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}
