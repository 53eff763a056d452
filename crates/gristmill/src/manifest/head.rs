//! What a manifest says of itself.

use crate::jobs::digest::{manifest_schema, Algorithms, Chunking};
use crate::jobs::names;
use gristmill_ingest::object::shown_name;
use gristmill_rows::Schema;
use serde_json::Value;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The keys of metadata: the paths that were named, how files were cut, and whether the run came to its end.
pub(super) const ROOTS: &str = "gristmill.manifest.roots";
pub(super) const CHUNKS: &str = "gristmill.manifest.chunks";
pub(super) const COMPLETE: &str = "gristmill.manifest.complete";

/// What a manifest says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The digests of each file.
    pub algorithms: Algorithms,
    /// How files are cut into chunks, if they are.
    pub chunking: Option<Chunking>,
    /// Whether rows have chunks. In a table of another program they may, without `chunking`.
    pub has_chunks: bool,
    /// The paths whose files are there, as they were named, and as rows show them. None are told where there was a list
    /// of files.
    pub roots: Vec<PathBuf>,
}

impl Head {
    /// A manifest of the files below `roots`. Of URLs it tells what rows show, without user, password and query.
    pub fn new(
        algorithms: Algorithms,
        chunking: Option<Chunking>,
        roots: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        Self {
            algorithms,
            chunking,
            has_chunks: chunking.is_some(),
            roots: roots.into_iter().map(|root| shown_name(&root)).collect(),
        }
    }

    /// The schema of the rows, with what is said here as metadata.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let schema = manifest_schema(&self.algorithms, self.has_chunks).summed();
        let schema = schema.with_metadata(ROOTS, self.roots_json().to_string());
        match self.chunking {
            Some(chunking) => schema.with_metadata(CHUNKS, chunking.to_string()),
            None => schema,
        }
    }

    pub(super) fn roots_json(&self) -> Value {
        self.roots.iter().map(|root| names::json(root)).collect()
    }

    /// The roots of which [`roots_json`](Self::roots_json) made a value.
    pub(super) fn roots_of(value: &Value) -> Option<Vec<PathBuf>> {
        let roots = value.as_array()?.iter();
        let paths =
            roots.map(|root| Some(PathBuf::from(OsString::from_vec(names::of_json(root)?))));
        paths.collect()
    }
}
