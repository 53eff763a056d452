//! Rows as a table in one of the formats.

use crate::csv::Csv;
use crate::decode::RowReader;
use crate::schema::Schema;
use crate::sum::Sum;
use crate::value::Value;
use std::io::{self, Write};

#[cfg(feature = "arrow")]
use crate::arrow::{BatchBuilder, IpcWriter, ParquetWriter};

/// What writes a table.
enum Format<W: Write + Send> {
    Csv(Csv<W>),
    #[cfg(feature = "arrow")]
    Ipc(BatchBuilder, Box<IpcWriter<W>>),
    #[cfg(feature = "arrow")]
    Parquet(BatchBuilder, Box<ParquetWriter<W>>),
}

impl<W: Write + Send> Format<W> {
    fn row(&mut self, row: &[Value<'_>]) -> io::Result<()> {
        match self {
            Self::Csv(csv) => csv.row(row),
            #[cfg(feature = "arrow")]
            Self::Ipc(batch, file) => batch.add(row, |batch| file.write(&batch)),
            #[cfg(feature = "arrow")]
            Self::Parquet(batch, file) => batch.add(row, |batch| file.write(batch)),
        }
    }
}

/// Writes the rows that are written to it, as bytes of a [`RowWriter`](crate::RowWriter), as a table. A table is whole only
/// once [`finish`](Self::finish) has returned.
///
/// It holds no more than some 64 MiB, however many rows there are, beside a single row.
pub struct TableWriter<W: Write + Send> {
    reader: RowReader,
    format: Format<W>,
    /// The sum of the rows, where the file's end says it.
    sum: Option<Sum>,
    /// What the file's end says beside that.
    last: Vec<(&'static str, String)>,
}

impl<W: Write + Send> std::fmt::Debug for TableWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter")
            .field("schema", &self.reader.schema().name())
            .finish_non_exhaustive()
    }
}

impl<W: Write + Send> TableWriter<W> {
    /// A table of comma-separated values (RFC 4180): UTF-8, with the columns' names in the first line. Each flush writes
    /// the rows so far.
    #[must_use]
    pub fn csv(schema: &Schema, output: W) -> Self {
        Self::new(schema, Format::Csv(Csv::new(schema, output)))
    }

    /// A file in Arrow's IPC format, also called Feather, version 2. It is not compressed, so that it can be mapped.
    ///
    /// # Errors
    /// Those of `output`, which takes the file's beginning.
    #[cfg(feature = "arrow")]
    pub fn arrow(schema: &Schema, output: W) -> io::Result<Self> {
        let batch = BatchBuilder::new(schema);
        let file = IpcWriter::new(batch.schema(), output)?;
        Ok(Self::new(schema, Format::Ipc(batch, Box::new(file))))
    }

    /// A Parquet file, compressed by zstd. Where there are more than some thousand rows, another thread encodes them, if one
    /// can be had.
    ///
    /// # Errors
    /// Those of `output`, which takes the file's beginning.
    #[cfg(feature = "arrow")]
    pub fn parquet(schema: &Schema, output: W) -> io::Result<Self> {
        let batch = BatchBuilder::small(schema);
        let file = ParquetWriter::new(schema, batch.schema(), output)?;
        Ok(Self::new(schema, Format::Parquet(batch, Box::new(file))))
    }

    fn new(schema: &Schema, format: Format<W>) -> Self {
        let says_sum = schema.is_summed() && !matches!(format, Format::Csv(_));
        Self {
            reader: RowReader::new(schema),
            format,
            sum: says_sum.then(Sum::default),
            last: Vec::new(),
        }
    }

    /// Adds a key and a value to the metadata of an Arrow or Parquet file, at its end. CSV has no place for it.
    pub fn note(&mut self, key: &'static str, value: impl Into<String>) {
        self.last.push((key, value.into()));
    }

    /// Writes what is left, and what ends the table.
    ///
    /// # Errors
    /// Those of the output, and [`RowError::Cut`](crate::RowError::Cut) where the last row is not whole.
    pub fn finish(self) -> io::Result<()> {
        self.reader.finish()?;
        let mut last = self.last;
        if let Some(sum) = self.sum {
            last.extend(sum.metadata());
        }
        match self.format {
            Format::Csv(mut csv) => csv.flush(),
            #[cfg(feature = "arrow")]
            Format::Ipc(mut batch, mut file) => {
                batch.end(|batch| file.write(&batch))?;
                file.finish(last)
            }
            #[cfg(feature = "arrow")]
            Format::Parquet(mut batch, mut file) => {
                batch.end(|batch| file.write_last(batch))?;
                file.finish(last)
            }
        }
    }
}

impl<W: Write + Send> Write for TableWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (format, sum) = (&mut self.format, &mut self.sum);
        self.reader.read(bytes, |row| {
            if let Some(sum) = sum {
                sum.add(row);
            }
            format.row(row)
        })?;
        Ok(bytes.len())
    }

    /// Gives the rows so far to the output, where the format allows it: batches of Arrow and row groups of Parquet are
    /// given when they are full.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.format {
            Format::Csv(csv) => csv.flush(),
            #[cfg(feature = "arrow")]
            Format::Ipc(..) | Format::Parquet(..) => Ok(()),
        }
    }
}
