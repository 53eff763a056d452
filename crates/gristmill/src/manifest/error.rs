//! Why a manifest cannot be used.

use crate::jobs::digest::{Algorithms, MANIFEST_VERSION};
use gristmill_rows::TableError;
use std::path::PathBuf;

/// A file that cannot be used as a manifest.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct ManifestError {
    /// The file.
    pub path: PathBuf,
    /// Why, and what to do.
    pub kind: ManifestErrorKind,
}

/// Why a file cannot be used as a manifest, or two manifests cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestErrorKind {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is an object that cannot be fetched.
    #[error("{reason}")]
    Fetch {
        /// Why, and what to do, without secrets.
        reason: String,
    },
    /// It is an object, and the file that is to keep its bytes takes no more.
    #[error("the file that keeps it meanwhile: {0}")]
    Keep(std::io::Error),
    /// Its table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// It is a table of other rows.
    #[error("it is a table of the schema {found:?}, and no manifest; give a file that `gristmill digest --manifest` has written")]
    OtherTable {
        /// The name of its schema.
        found: String,
    },
    /// It has a version that is not known here.
    #[error("it is a manifest of version {found}, and this gristmill ({own}) reads version {MANIFEST_VERSION}; read it with the gristmill that wrote it{by}, or write it again")]
    Version {
        /// Its version.
        found: String,
        /// The version of this crate.
        own: &'static str,
        /// Who wrote it, if that is known.
        by: String,
    },
    /// No column has digests.
    #[error("it has no column of digests, such as blake3; the columns are {found}; give a file that `gristmill digest --manifest` has written")]
    NoDigests {
        /// The columns that there are.
        found: String,
    },
    /// The run that wrote it was ended early.
    #[error("the run that wrote it was ended early, so that files are missing; write it again")]
    Unfinished,
    /// What is at this line of JSON Lines, or is missing there.
    #[error(
        "line {line}: {reason}; it is damaged or no manifest: write it again, or take another copy"
    )]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be what it is said to be.
    #[error("row {row}: {reason}; it is damaged, or was changed by another program: write it again, or take another copy")]
    Row {
        /// The row, from 1.
        row: u64,
        /// What is wrong.
        reason: String,
    },
    /// A path has two rows that differ.
    #[error("{path} is there twice, with different contents; write it again, with each file once")]
    Twice {
        /// The path.
        path: String,
    },
    /// Nothing can be compared.
    #[error(
        "no digest is in both: one has {} and the other {}; write one again with --algorithm {}",
        listed(old),
        listed(new),
        listed(old)
    )]
    NoneInCommon {
        /// Those of the old manifest.
        old: Algorithms,
        /// Those of the new one.
        new: Algorithms,
    },
    /// Its rows would take too much memory.
    #[error("its rows take more than {most} bytes of memory, which is more than those of a file of its size may; it is damaged, or divide it")]
    TooMuch {
        /// The bytes that they may take.
        most: u64,
    },
    /// It has more rows than are numbered here.
    #[error("it has more than {} rows; divide it", u32::MAX)]
    TooManyRows,
}

fn listed(algorithms: &Algorithms) -> String {
    algorithms.names().join(",")
}
