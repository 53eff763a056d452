//! Manifests, written.

use super::head::{Head, COMPLETE};
use super::json;
use gristmill_rows::{RowReader, Schema, TableWriter};
use std::io::{self, Write};
use xxhash_rust::xxh3::Xxh3;

/// A format of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestFormat {
    /// JSON Lines.
    Jsonl,
    /// Comma-separated values, which have no place for what a manifest says of itself.
    Csv,
    /// A file of Arrow IPC.
    #[cfg(feature = "arrow")]
    Arrow,
    /// A Parquet file.
    #[cfg(feature = "arrow")]
    Parquet,
}

/// Writes the rows of a [`DigestJob::manifest`](crate::jobs::digest::DigestJob::manifest) that are written to it as a
/// manifest. It is whole only once [`finish`](Self::finish) has returned.
pub struct ManifestWriter<W: Write + Send>(Format<W>);

enum Format<W: Write + Send> {
    Json(JsonWriter<W>),
    Table(TableWriter<W>),
}

struct JsonWriter<W> {
    schema: Schema,
    reader: RowReader,
    output: W,
    files: u64,
    sum: Box<Xxh3>,
}

impl<W: Write> JsonWriter<W> {
    fn line(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        self.sum.update(line.as_bytes());
        self.output.write_all(line.as_bytes())
    }
}

impl<W: Write + Send> std::fmt::Debug for ManifestWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManifestWriter").finish_non_exhaustive()
    }
}

impl<W: Write + Send> ManifestWriter<W> {
    /// Begins a manifest.
    ///
    /// # Errors
    /// Those of `output`, which takes the file's beginning.
    pub fn new(format: ManifestFormat, head: &Head, output: W) -> io::Result<Self> {
        let schema = head.schema();
        Ok(Self(match format {
            ManifestFormat::Jsonl => {
                let mut writer = JsonWriter {
                    reader: RowReader::new(&schema),
                    schema,
                    output,
                    files: 0,
                    sum: Box::default(),
                };
                writer.line(json::head(head))?;
                Format::Json(writer)
            }
            ManifestFormat::Csv => Format::Table(TableWriter::csv(&schema, output)),
            #[cfg(feature = "arrow")]
            ManifestFormat::Arrow => Format::Table(TableWriter::arrow(&schema, output)?),
            #[cfg(feature = "arrow")]
            ManifestFormat::Parquet => Format::Table(TableWriter::parquet(&schema, output)?),
        }))
    }

    /// Ends the manifest. `complete` says whether the run came to its end: a manifest of one that did not is not used.
    ///
    /// # Errors
    /// Those of the output, and an error if the last row is not whole.
    pub fn finish(self, complete: bool) -> io::Result<()> {
        match self.0 {
            Format::Table(mut table) => {
                table.note(COMPLETE, complete.to_string());
                table.finish()
            }
            Format::Json(mut writer) => {
                writer.reader.finish()?;
                let end = json::end(writer.files, complete, writer.sum.digest());
                writer.line(end)?;
                writer.output.flush()
            }
        }
    }
}

impl<W: Write + Send> Write for ManifestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Format::Table(table) => table.write(bytes),
            Format::Json(writer) => {
                let mut lines = String::new();
                let (files, schema) = (&mut writer.files, &writer.schema);
                writer.reader.read(bytes, |row| {
                    *files += 1;
                    lines += &json::row(schema, row);
                    lines.push('\n');
                    Ok(())
                })?;
                writer.sum.update(lines.as_bytes());
                writer.output.write_all(lines.as_bytes())?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Format::Table(table) => table.flush(),
            Format::Json(writer) => writer.output.flush(),
        }
    }
}
