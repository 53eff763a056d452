//! Parquet files.

use super::batch::BatchBuilder;
use super::layout;
use crate::schema::{Kind, Schema};
use crate::value::Value;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::io::{self, Write};

/// Bytes with which a row group ends. They are in memory until then, encoded and compressed.
const GROUP_BYTES: usize = 24 << 20;

/// Rows with which a row group ends.
const GROUP_ROWS: usize = 1 << 20;

/// Writes rows as a Parquet file.
pub(crate) struct ParquetWriter<W: Write + Send> {
    batch: BatchBuilder,
    file: ArrowWriter<W>,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub fn new(schema: &Schema, output: W) -> io::Result<Self> {
        let batch = BatchBuilder::new(schema);
        let file = ArrowWriter::try_new(output, batch.schema().clone(), Some(properties(schema)));
        Ok(Self {
            batch,
            file: file.map_err(error)?,
        })
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
        self.file.write(&batch).map_err(error)?;
        if self.file.memory_size() >= GROUP_BYTES {
            self.file.flush().map_err(error)?;
        }
        Ok(())
    }

    /// `last` is metadata of the file's end.
    pub fn finish(mut self, last: Vec<(&'static str, String)>) -> io::Result<()> {
        if !self.batch.is_empty() {
            self.give()?;
        }
        for (key, value) in last {
            let pair = KeyValue::new(key.to_owned(), value);
            self.file.append_key_value_metadata(pair);
        }
        self.file.finish().map_err(error)?;
        self.file.inner_mut().flush()
    }
}

fn properties(schema: &Schema) -> WriterProperties {
    let metadata = layout::metadata(schema)
        .into_iter()
        .map(|(key, value)| KeyValue::new(key.to_owned(), value));
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("gristmill {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(metadata.collect()))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for field in schema.fields().iter().filter(|f| f.kind == Kind::Path) {
        // Readers prune row groups by the least and greatest text, and need not know those of the bytes, too.
        let bytes = ColumnPath::from(format!("{}_bytes", field.name));
        properties = properties.set_column_statistics_enabled(bytes, EnabledStatistics::None);
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
