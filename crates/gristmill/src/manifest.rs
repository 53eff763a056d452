//! Manifests: what the files of a tree were at a moment, as a table that is compared with what they are later.
//!
//! A manifest has a row for each file: path, size, time, digests, and what could not be read
//! ([`manifest_schema`](crate::jobs::digest::manifest_schema)).
//! [`DigestJob::manifest`](crate::jobs::digest::DigestJob::manifest) makes the rows and a [`ManifestWriter`] writes
//! them as JSON Lines, CSV, Arrow or Parquet. [`Manifest::open`] reads any of these into memory, [`Manifest::fetch`]
//! one that is an object of a store; a [`Gather`] takes the rows of a run without a file between. [`Diff`] compares two manifests, and [`Duplicates`] finds the files of one
//! that have the same content.
//!
//! A manifest in memory takes 48 bytes for each file, and the bytes of its path and digests.
//!
//! ```
//! use gristmill::jobs::digest::{Algorithm, DigestJob};
//! use gristmill::manifest::{Change, Diff, Gather, Head, Names};
//! use gristmill::mill::{Control, Mill};
//! use gristmill::source::Tree;
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mill = Mill::builder().workers(1).build()?;
//! let read = || -> Result<_, Box<dyn std::error::Error>> {
//!     let head = Head::new(Algorithm::Blake3.into(), None, ["src".into()]);
//!     let mut rows = Gather::new(head);
//!     let job = DigestJob::manifest(Algorithm::Blake3.into(), None);
//!     let files = Tree::new(["src"]).walk()?;
//!     mill.run(files, Arc::new(job), &mut rows, &Control::default())?.output?;
//!     Ok(rows.finish()?)
//! };
//! let (old, new) = (read()?, read()?);
//! let diff = Diff::new(&old, &new, &Names::default())?;
//! assert!(diff.is_empty() && diff.counts().unchanged > 0);
//! assert!(!diff.iter().any(|difference| difference.change == Change::Rot));
//! # Ok(())
//! # }
//! ```

mod diff;
mod difference;
mod dupes;
mod error;
mod fetch;
mod head;
mod json;
mod names;
mod read;
mod same_sizes;
mod share;
mod table;
mod write;

pub use diff::{Counts, Diff};
pub use difference::{difference_schema, Change, Difference};
pub use dupes::{duplicate_schema, Duplicates, Group};
pub use error::{ManifestError, ManifestErrorKind};
pub use head::Head;
pub use names::Names;
pub use same_sizes::SameSizes;
pub use share::ChunkShare;
pub use table::{FileRow, Gather, Manifest};
pub use write::{ManifestFormat, ManifestWriter};
