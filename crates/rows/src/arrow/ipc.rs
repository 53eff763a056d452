//! Arrow IPC files.

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, SchemaRef};
use std::io::{self, BufWriter, Write};

/// Writes batches as a file of Arrow's IPC format.
pub(crate) struct IpcWriter<W: Write> {
    file: FileWriter<BufWriter<W>>,
}

impl<W: Write> IpcWriter<W> {
    pub fn new(schema: &SchemaRef, output: W) -> io::Result<Self> {
        let file = FileWriter::try_new_buffered(output, schema).map_err(error)?;
        Ok(Self { file })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.file.write(batch).map_err(error)
    }

    /// `last` is metadata of the file's end.
    pub fn finish(mut self, last: Vec<(&'static str, String)>) -> io::Result<()> {
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
