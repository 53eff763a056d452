//! Parquet files.
//!
//! Encoding takes most of the time: once there is more than one batch, it is done on a [thread](thread) of its own. Its owner
//! writes what that gives back.

mod encoder;
#[cfg(test)]
mod tests;
mod thread;

use super::layout;
use crate::schema::{Kind, Schema};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use encoder::{Encoder, Full, Group};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use std::io::{self, Write};
use std::sync::Arc;
use thread::{EncoderThread, Spawn};

/// Writes batches as a Parquet file. After an error, it takes nothing more.
pub(crate) struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    encoding: Work,
    spawn: Spawn,
}

/// Where batches are encoded.
enum Work {
    /// Here, until there is a whole batch.
    Begin(Box<Encoder>),
    /// Here, as there is no thread.
    Here(Box<Encoder>),
    Thread(EncoderThread),
    Failed,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// `of` is the schema of the rows, and `batches` that of the batches.
    pub fn new(of: &Schema, batches: &SchemaRef, output: W) -> io::Result<Self> {
        let options = ArrowWriterOptions::new().with_properties(properties(of));
        Self::with(batches, output, options, Full::default(), thread::spawn)
    }

    fn with(
        batches: &SchemaRef,
        output: W,
        options: ArrowWriterOptions,
        full: Full,
        spawn: Spawn,
    ) -> io::Result<Self> {
        let file = ArrowWriter::try_new_with_options(output, Arc::clone(batches), options);
        let parts = file.and_then(ArrowWriter::into_serialized_writer);
        let (file, factory) = parts.map_err(error)?;
        let encoder = Encoder::new(Arc::clone(batches), factory, full);
        Ok(Self {
            file,
            encoding: Work::Begin(Box::new(encoder)),
            spawn,
        })
    }

    /// Writes a batch after which others may come.
    pub fn write(&mut self, batch: RecordBatch) -> io::Result<()> {
        let work = match self.begin() {
            Work::Begin(encoder) => match EncoderThread::start(*encoder, self.spawn) {
                Ok(thread) => Work::Thread(thread),
                Err(encoder) => Work::Here(Box::new(encoder)),
            },
            work => work,
        };
        self.encode(work, batch)
    }

    /// Writes the last batch.
    pub fn write_last(&mut self, batch: RecordBatch) -> io::Result<()> {
        let work = self.begin();
        self.encode(work, batch)
    }

    /// Takes the work, which is put back where it succeeds.
    fn begin(&mut self) -> Work {
        std::mem::replace(&mut self.encoding, Work::Failed)
    }

    fn encode(&mut self, mut work: Work, batch: RecordBatch) -> io::Result<()> {
        match &mut work {
            Work::Begin(encoder) | Work::Here(encoder) => {
                let groups = encoder.encode(&batch).map_err(error)?;
                append(&mut self.file, groups)?;
            }
            Work::Thread(thread) => {
                thread.encode(batch, |groups| append(&mut self.file, groups))?;
            }
            Work::Failed => return Err(failed()),
        }
        self.encoding = work;
        Ok(())
    }

    /// `last` is metadata of the file's end.
    pub fn finish(mut self, last: Vec<(&'static str, String)>) -> io::Result<()> {
        let mut encoder = match self.begin() {
            Work::Begin(encoder) | Work::Here(encoder) => *encoder,
            Work::Thread(thread) => thread.finish(|groups| append(&mut self.file, groups))?,
            Work::Failed => return Err(failed()),
        };
        append(&mut self.file, encoder.end().map_err(error)?)?;
        for (key, value) in last {
            let pair = KeyValue::new(key.to_owned(), value);
            self.file.append_key_value_metadata(pair);
        }
        self.file.finish().map_err(error)?;
        self.file.inner_mut().flush()
    }
}

fn append<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    groups: impl IntoIterator<Item = Group>,
) -> io::Result<()> {
    for columns in groups {
        let mut group = file.next_row_group().map_err(error)?;
        for column in columns {
            column.append_to_row_group(&mut group).map_err(error)?;
        }
        group.close().map_err(error)?;
    }
    Ok(())
}

fn failed() -> io::Error {
    io::Error::other("the table has failed before")
}

fn properties(schema: &Schema) -> WriterProperties {
    let metadata = layout::metadata(schema)
        .into_iter()
        .map(|(key, value)| KeyValue::new(key.to_owned(), value));
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("gristmill {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(metadata.collect()))
        .set_compression(Compression::ZSTD(ZstdLevel::default()));
    for field in schema.fields() {
        // Readers prune row groups and pages by the least and greatest value. Rows lie together by their paths: of other
        // texts there are all kinds in each page, and of a path one column is enough.
        let name = match field.kind {
            Kind::Path => format!("{}_bytes", field.name),
            Kind::Text | Kind::Bytes => field.name.to_string(),
            _ => continue,
        };
        properties = properties.set_column_statistics_enabled(name.into(), EnabledStatistics::None);
    }
    for field in schema.fields().iter().filter(|field| field.distinct) {
        let column = ColumnPath::from(field.name.as_ref());
        properties = properties.set_column_dictionary_enabled(column.clone(), false);
        if matches!(field.kind, Kind::U64 | Kind::I64) {
            // Offsets grow, so that their differences are small.
            properties = properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

fn error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
