//! Parquet files, read.

use super::bounds::MOST_AT_ONCE;
use super::pages::{self, Most};
use super::read::{is_wanted, names};
use super::rows::Columns;
use super::sized::Sized;
use crate::error::TableError;
use crate::schema::Schema;
use crate::told::Told;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::ProjectionMask;
use std::fs::File;

/// The most rows that are decoded at once.
const BATCH_ROWS: u64 = 8192;

/// The bytes that they have at most, unless a row has more. A value that stands once in a dictionary is copied for each row.
const BATCH_BYTES: u64 = 256 << 20;

/// How many rows are decoded at once of columns whose pages take so much together.
///
/// # Errors
/// They take too much.
fn rows_at_once(all: Most) -> Result<u64, TableError> {
    if all.pages > MOST_AT_ONCE {
        return Err(TableError::TooLarge {
            reason: "the pages of its columns have more than 2 GiB side by side",
        });
    }
    Ok((BATCH_BYTES / all.value.max(1)).clamp(1, BATCH_ROWS))
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
        let fields = self.metadata.schema().fields().iter().enumerate();
        let roots = fields.filter(|(_, field)| is_wanted(schema, field.name()));
        let roots: Vec<usize> = roots.map(|(place, _)| place).collect();
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let mut rows = BATCH_ROWS;
        for group in self.metadata.metadata().row_groups() {
            let mut all = Most::default();
            let columns = group.columns().iter().enumerate();
            for (_, column) in columns.filter(|(place, _)| mask.leaf_included(*place)) {
                let (start, length) = pages::range(column, self.file.length)?;
                let most = pages::check(&self.file, column, start, length)?;
                all.pages = all.pages.saturating_add(most.pages);
                all.value = all.value.saturating_add(most.value);
            }
            rows = rows.min(rows_at_once(all)?);
        }
        let rows = usize::try_from(rows).unwrap_or(1);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata);
        let batches = reader.with_projection(mask).with_batch_size(rows).build();
        let mut columns = Columns::new(schema);
        for batch in batches.map_err(TableError::damaged)? {
            columns.give(&batch.map_err(TableError::damaged)?, give)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_as_many_rows_as_fit() {
        for (pages, value, rows) in [
            (0, 0, 8192),
            (1 << 20, 1000, 8192),
            // A path that stands in a dictionary once, and is that of a million rows.
            (300_000, 250_000, 1073),
            (2 << 30, 2 << 30, 1),
        ] {
            assert_eq!(rows_at_once(Most { pages, value }).unwrap(), rows);
        }
        let pages = (2 << 30) + 1;
        let error = rows_at_once(Most { pages, value: 0 }).unwrap_err();
        assert!(error.to_string().contains("more than 2 GiB"), "{error}");
    }
}
