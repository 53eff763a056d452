//! Parquet files, read.

use super::pages;
use super::read::names;
use super::rows::Columns;
use crate::error::TableError;
use crate::schema::{Kind, Schema};
use crate::told::Told;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::ProjectionMask;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// A file of which no bytes are asked for that it does not have.
pub(super) struct Sized {
    pub(super) file: File,
    pub(super) length: u64,
}

impl Length for Sized {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Sized {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(ParquetError::General(format!(
                "{length} bytes from {start} on, where it has {}",
                self.length
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A Parquet file.
pub(crate) struct ParquetFile {
    file: Sized,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    pub fn open(file: File, length: u64) -> Result<(Self, Told), TableError> {
        let file = Sized { file, length };
        // The types are those of Parquet. What Arrow had before, such as dictionaries and long texts, is no matter here.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options);
        let metadata = metadata.map_err(TableError::damaged)?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let pairs = pairs.into_iter().flatten();
        let told = pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?)));
        let told = Told {
            metadata: told.collect(),
            columns: names(metadata.schema()),
        };
        Ok((Self { file, metadata }, told))
    }

    pub fn read(
        self,
        schema: &Schema,
        give: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), TableError> {
        let wanted = |name: &str| {
            let mut fields = schema.fields().iter();
            fields.any(|field| match name.strip_prefix(field.name()) {
                Some(rest) => rest.is_empty() || field.kind() == Kind::Path && rest == "_bytes",
                None => false,
            })
        };
        let fields = self.metadata.schema().fields().iter().enumerate();
        let roots = fields.filter(|(_, field)| wanted(field.name()));
        let roots: Vec<usize> = roots.map(|(place, _)| place).collect();
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        for group in self.metadata.metadata().row_groups() {
            let columns = group.columns().iter().enumerate();
            for (_, column) in columns.filter(|(place, _)| mask.leaf_included(*place)) {
                let pages = column.data_page_offset();
                let start = column.dictionary_page_offset().unwrap_or(pages).min(pages);
                let range = u64::try_from(start)
                    .ok()
                    .zip(column.compressed_size().try_into().ok());
                let fits = |(start, length): &(u64, u64)| {
                    let end = start.checked_add(*length);
                    end.is_some_and(|end| end <= self.file.length)
                };
                let (start, length) = range
                    .filter(fits)
                    .ok_or_else(|| TableError::damaged("a column lies outside of the file"))?;
                pages::check(&self.file, column, start, length)?;
            }
        }
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata);
        let batches = reader.with_projection(mask).with_batch_size(8192).build();
        let mut columns = Columns::new(schema);
        for batch in batches.map_err(TableError::damaged)? {
            columns.give(&batch.map_err(TableError::damaged)?, give)?;
        }
        Ok(())
    }
}
