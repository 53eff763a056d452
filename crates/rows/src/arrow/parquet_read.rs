//! Parquet files, read.

use super::pages;
use super::read::names;
use super::rows::Columns;
use super::sized::Sized;
use crate::error::TableError;
use crate::schema::{Kind, Schema};
use crate::told::Told;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::ProjectionMask;
use std::fs::File;

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
                let (start, length) = pages::range(column, self.file.length)?;
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
