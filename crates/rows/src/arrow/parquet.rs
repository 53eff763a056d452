//! Parquet files.

use super::layout;
use crate::schema::{Kind, Schema};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::io::{self, Write};
use std::sync::Arc;

/// Bytes with which a row group ends. They are in memory until then, encoded and compressed.
const GROUP_BYTES: usize = 24 << 20;

/// Rows with which a row group ends.
const GROUP_ROWS: usize = 1 << 20;

/// Writes batches as a Parquet file.
pub(crate) struct ParquetWriter<W: Write + Send> {
    file: ArrowWriter<W>,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// `of` is the schema of the rows, and `batches` that of the batches.
    pub fn new(of: &Schema, batches: &SchemaRef, output: W) -> io::Result<Self> {
        let file = ArrowWriter::try_new(output, Arc::clone(batches), Some(properties(of)));
        let file = file.map_err(error)?;
        Ok(Self { file })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.file.write(batch).map_err(error)?;
        if self.file.memory_size() >= GROUP_BYTES {
            self.file.flush().map_err(error)?;
        }
        Ok(())
    }

    /// `last` is metadata of the file's end.
    pub fn finish(mut self, last: Vec<(&'static str, String)>) -> io::Result<()> {
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
