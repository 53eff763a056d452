//! Why a table could not be read.

use crate::schema::Kind;
use std::io;

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no table, or damaged.
    #[error("{reason}; it is damaged or incomplete: write it again, or take another copy")]
    Damaged {
        /// What is wrong, and where.
        reason: String,
    },
    /// Reading it would take more memory than it may.
    #[error("{reason}; write it again with smaller ones")]
    TooLarge {
        /// What is too large.
        reason: &'static str,
    },
    /// It is compressed in a way that is not read here.
    #[error("it is compressed in a way that is not read here ({reason}); write it with zstd, snappy, gzip or lz4_raw, or without compression")]
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
        Self::Damaged {
            reason: reason.to_string(),
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
