//! Tables that were written to a file, read again.
//!
//! A file may be damaged, or come from anybody: nothing that it claims of itself is believed before it was compared with
//! the file's size, and no value is given that is not of its column's type.

mod csv;
#[cfg(feature = "arrow")]
mod parts;

#[cfg(feature = "arrow")]
use crate::arrow::{IpcFile, ParquetFile};
use crate::decode::RowReader;
use crate::schema::{Kind, Schema};
use crate::sum::{Sum, ROWS, XXH3};
use crate::value::Value;
use csv::CsvFile;
#[cfg(feature = "arrow")]
pub(crate) use parts::Columns;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// The keys under which a file's metadata has the schema's name and its version.
pub(crate) const NAME: &str = "gristmill.schema";
pub(crate) const VERSION: &str = "gristmill.schema_version";

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no table, or damaged.
    #[error("{reason}; it is damaged or not whole: write it again, or take another copy")]
    Damaged {
        /// What is wrong, and where.
        reason: String,
    },
    /// It is compressed in a way that is not read here.
    #[error("it is compressed in a way that is not read here ({reason}); write it with zstd, or without compression")]
    Compression {
        /// Which.
        reason: String,
    },
    /// The rows are not those that were written.
    #[error(
        "its rows are not those that were written ({what}): it is damaged, or was changed by another program; write it again, or take another copy"
    )]
    Changed {
        /// What differs.
        what: String,
    },
    /// It has no column of this name.
    #[error("it has no column {column}; the columns are {found}")]
    Missing {
        /// The column.
        column: String,
        /// Those that there are.
        found: String,
    },
    /// A column holds values of another type.
    #[error("its column {column} is {found}, and not {wanted}")]
    Type {
        /// The column.
        column: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A value is not what its column holds.
    #[error("row {row}: the column {column} is not {wanted}")]
    Value {
        /// The row, from 1.
        row: u64,
        /// The column.
        column: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The format is Arrow's or Parquet, and this was built without them.
    #[error(
        "it is {0}, which this gristmill was built without; build it with the feature `arrow`"
    )]
    NotBuilt(&'static str),
}

impl TableError {
    pub(crate) fn damaged(reason: impl std::fmt::Display) -> Self {
        let reason = reason.to_string();
        match reason.contains("Disabled feature") {
            true => Self::Compression { reason },
            false => Self::Damaged { reason },
        }
    }
}

/// What a column of this kind holds, in words.
pub(crate) fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::U64 => "a number from 0 on",
        Kind::I64 => "a whole number",
        Kind::F64 => "a number",
        Kind::Bool => "true or false",
        Kind::Text => "text",
        Kind::Path => "a path with its escapes",
        Kind::Bytes => "bytes",
        Kind::U64s => "a list of numbers",
        Kind::Texts => "a list of texts",
    }
}

/// What a file says of itself.
pub(crate) struct Told {
    pub metadata: BTreeMap<String, String>,
    /// The names of its columns.
    pub columns: Vec<String>,
}

enum Format {
    Csv(CsvFile),
    #[cfg(feature = "arrow")]
    Ipc(IpcFile),
    #[cfg(feature = "arrow")]
    Parquet(Box<ParquetFile>),
}

/// Reads a table from a file of CSV, Arrow IPC or Parquet that a [`TableWriter`](crate::TableWriter) has written, or another
/// program with the same columns. Which format it is, its first bytes tell.
///
/// ```
/// use gristmill_rows::{Field, Kind, RowWriter, Schema, TableReader, TableWriter, Value};
/// use std::io::Write;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let files = Schema::new("file", 1, "Files and their sizes.", [
///     Field::new("path", Kind::Path, "The file."),
///     Field::new("bytes", Kind::U64, "Its size.").unit("bytes"),
/// ]);
/// # let file = std::env::temp_dir().join(format!("gristmill-rows-{}.csv", std::process::id()));
/// let mut table = TableWriter::csv(&files, std::fs::File::create(&file)?);
/// let mut rows = Vec::new();
/// RowWriter::row(&mut rows).bytes(b"a,b\xff").u64(7).end();
/// table.write_all(&rows)?;
/// table.finish()?;
///
/// let table = TableReader::open(std::fs::File::open(&file)?)?;
/// assert_eq!(table.columns(), ["path", "bytes"]);
/// table.read(&files, |row| {
///     assert_eq!(row, [Value::Bytes(b"a,b\xff"), Value::U64(7)]);
///     Ok(())
/// })?;
/// # std::fs::remove_file(file)?;
/// # Ok(())
/// # }
/// ```
pub struct TableReader {
    format: Format,
    told: Told,
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader")
            .field("columns", &self.told.columns)
            .finish_non_exhaustive()
    }
}

/// Calls a decoder. One that panics has met bytes that it does not expect, and is not used any more.
fn guarded<T>(call: impl FnOnce() -> Result<T, TableError>) -> Result<T, TableError> {
    let done = catch_unwind(AssertUnwindSafe(call));
    done.unwrap_or_else(|_| Err(TableError::damaged("its decoder has given up")))
}

impl TableReader {
    /// Opens a table: reads what it says of itself.
    ///
    /// # Errors
    /// [`TableError`], if it is no table, damaged, or of a format that this was built without.
    pub fn open(mut file: File) -> Result<Self, TableError> {
        let mut head = [0; 6];
        let length = file.metadata()?.len();
        let known = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(head.len());
        file.read_exact(&mut head[..known])?;
        file.rewind()?;
        if head.starts_with(b"PAR1") {
            #[cfg(feature = "arrow")]
            {
                let (file, told) = guarded(|| ParquetFile::open(file, length))?;
                let format = Format::Parquet(Box::new(file));
                return Ok(Self { format, told });
            }
            #[cfg(not(feature = "arrow"))]
            return Err(TableError::NotBuilt("a Parquet file"));
        }
        if head.starts_with(b"ARROW1") {
            #[cfg(feature = "arrow")]
            {
                let (file, told) = guarded(|| IpcFile::open(file, length))?;
                let format = Format::Ipc(file);
                return Ok(Self { format, told });
            }
            #[cfg(not(feature = "arrow"))]
            return Err(TableError::NotBuilt("an Arrow file"));
        }
        let (file, columns) = CsvFile::open(file)?;
        let metadata = BTreeMap::new();
        Ok(Self {
            format: Format::Csv(file),
            told: Told { metadata, columns },
        })
    }

    /// The value of a key in the metadata of the file: none in CSV.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.told.metadata.get(key).map(String::as_str)
    }

    /// The name of the schema that the rows were written with, and its version; none in CSV.
    #[must_use]
    pub fn schema(&self) -> Option<(&str, &str)> {
        let version = self.metadata(VERSION).unwrap_or_default();
        Some((self.metadata(NAME)?, version))
    }

    /// Whether the file has room for metadata, as Arrow and Parquet have.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        !matches!(self.format, Format::Csv(_))
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.told.columns
    }

    /// Reads all rows, and calls `each` with the values of these columns of each row. Other columns are passed over. Where
    /// `schema` is [`summed`](Schema::summed), and the file tells how many rows it has or their sum, both are compared at
    /// the end: until then nothing is certain of what was given.
    ///
    /// # Errors
    /// [`TableError`], and the first error of `each`.
    pub fn read(
        self,
        schema: &Schema,
        mut each: impl FnMut(&[Value<'_>]) -> io::Result<()>,
    ) -> Result<(), TableError> {
        for field in schema.fields() {
            if !self
                .told
                .columns
                .iter()
                .any(|column| column == field.name())
            {
                return Err(TableError::Missing {
                    column: field.name().to_owned(),
                    found: self.told.columns.join(", "),
                });
            }
        }
        let mut sum = schema.is_summed().then(Sum::default);
        let mut reader = RowReader::new(schema);
        let mut give = |rows: &[u8]| {
            reader.read(rows, |row| {
                if let Some(sum) = &mut sum {
                    sum.add(row);
                }
                each(row)
            })
        };
        let format = self.format;
        guarded(move || match format {
            Format::Csv(file) => file.read(schema, &mut give),
            #[cfg(feature = "arrow")]
            Format::Ipc(file) => file.read(schema, &mut give),
            #[cfg(feature = "arrow")]
            Format::Parquet(file) => file.read(schema, &mut give),
        })?;
        // A file of another program has none of these keys.
        let has = |key: &str| self.told.metadata.contains_key(key);
        let known = has(ROWS) || has(XXH3);
        for (key, found) in sum.iter().filter(|_| known).flat_map(Sum::metadata) {
            let told = self.told.metadata.get(key);
            let told = match told {
                Some(told) if *told == found => continue,
                Some(told) => told,
                None => "nothing",
            };
            let what = match key {
                ROWS => format!("{found} rows, where {told} is told"),
                XXH3 => format!("their XXH3 is {found}, where {told} is told"),
                other => other.to_owned(),
            };
            return Err(TableError::Changed { what });
        }
        Ok(())
    }
}
