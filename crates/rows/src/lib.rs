//! Rows that tools open: typed rows with a named, versioned schema, and what writes them as CSV, Arrow IPC and Parquet, and
//! reads them again.
//!
//! A [`Schema`] names the columns of a table, with their types, units and meaning. A [`RowWriter`] appends rows to plain
//! bytes, so that they can wait in queues and be put in order like any other output, and a [`RowReader`] gives them back.
//! A [`TableWriter`] is an [`io::Write`](std::io::Write) that takes such bytes, cut anywhere, and writes a table in one
//! format. With the feature `arrow` there are Arrow record batches (`arrow::BatchBuilder`, `arrow::Batches`), Arrow IPC
//! files and Parquet.
//!
//! A [`TableReader`] reads such a file again.
//!
//! Paths are bytes on Linux, and tables want text: a column of paths has a text from which the path can be had back
//! ([`escape`], [`unescape`]), and in Arrow and Parquet the path's bytes beside it.
//!
//! ```
//! use gristmill_rows::{Field, Kind, RowWriter, Schema, TableWriter};
//! use std::io::Write;
//!
//! # fn main() -> std::io::Result<()> {
//! let files = Schema::new("file", 1, "Files and their sizes.", [
//!     Field::new("path", Kind::Path, "The file."),
//!     Field::new("bytes", Kind::U64, "Its size.").unit("bytes"),
//! ]);
//! let mut rows = Vec::new();
//! RowWriter::row(&mut rows).bytes(b"a,b\xff").u64(7).end();
//! let mut csv = Vec::new();
//! let mut table = TableWriter::csv(&files, &mut csv);
//! table.write_all(&rows)?;
//! table.finish()?;
//! assert_eq!(csv, b"path,bytes\n\"a,b\\xff\",7\n");
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]
#![forbid(unsafe_code)]

#[cfg(feature = "arrow")]
pub mod arrow;
mod csv;
mod decode;
mod encode;
mod error;
mod escape;
mod read;
mod schema;
mod sum;
mod table;
mod told;
mod value;

pub use decode::{RowError, RowReader};
pub use encode::RowWriter;
pub use error::TableError;
pub use escape::{escape, readable, unescape};
pub use read::TableReader;
pub use schema::{Field, Kind, Schema};
pub use table::TableWriter;
pub use value::{Texts, U64s, Value};
