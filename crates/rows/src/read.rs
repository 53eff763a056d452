//! Tables that were written to a file, read again.
//!
//! A file may be damaged, or come from anybody: nothing that it claims of itself is believed before it was compared with
//! the file's size, and no value is given that is not of its column's type.

mod csv;

#[cfg(feature = "arrow")]
use crate::arrow::{IpcFile, ParquetFile};
use crate::decode::RowReader;
use crate::error::TableError;
use crate::schema::Schema;
use crate::sum::{Sum, ROWS, XXH3};
use crate::told::{Told, NAME, VERSION};
use crate::value::Value;
use csv::CsvFile;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::panic::{catch_unwind, AssertUnwindSafe};

enum Format {
    Csv(CsvFile),
    #[cfg(feature = "arrow")]
    Ipc(IpcFile),
    #[cfg(feature = "arrow")]
    Parquet(Box<ParquetFile>),
}

/// Reads a table from a file of CSV, Arrow IPC or Parquet that a [`TableWriter`](crate::TableWriter) has written, or
/// another program with the same columns. Which format it is, its first bytes tell.
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
            let mut columns = self.columns().iter();
            if !columns.any(|column| column == field.name()) {
                return Err(TableError::Missing {
                    column: field.name().to_owned(),
                    found: self.told.columns.join(", "),
                });
            }
        }
        // A file of another program has none of these keys.
        let told = [ROWS, XXH3].iter().any(|key| self.metadata(key).is_some());
        let mut sum = (told && schema.is_summed()).then(Sum::default);
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
        for (key, found) in sum.iter().flat_map(Sum::metadata) {
            let told = self.told.metadata.get(key);
            let told = told.map_or("nothing", String::as_str);
            if told == found {
                continue;
            }
            let what = match key {
                ROWS => format!("{found} rows, but {told} were recorded"),
                XXH3 => format!("their XXH3 is {found}, but {told} was recorded"),
                other => other.to_owned(),
            };
            return Err(TableError::Changed { what });
        }
        Ok(())
    }
}
