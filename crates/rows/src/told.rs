//! What the file of a table says of itself.

use std::collections::BTreeMap;

/// The keys under which a file's metadata has the schema's name and its version.
pub(crate) const NAME: &str = "gristmill.schema";
pub(crate) const VERSION: &str = "gristmill.schema_version";

/// What a file says of itself.
pub(crate) struct Told {
    pub metadata: BTreeMap<String, String>,
    /// The names of its columns.
    pub columns: Vec<String>,
}
