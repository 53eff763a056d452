//! What a table's columns are called, what they hold, and what they mean.

use std::borrow::Cow;
use std::fmt::Write;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An unsigned number of 64 bits.
    U64,
    /// A signed number of 64 bits.
    I64,
    /// A number with a point, of 64 bits.
    F64,
    /// True or false.
    Bool,
    /// Text for reading. Bytes that are not UTF-8 are shown by [`readable`](crate::readable).
    Text,
    /// A path. In Arrow and Parquet it has two columns: the text that [`escape`](crate::escape) makes, and behind it, under
    /// the column's name and `_bytes`, the path's bytes. CSV has the text.
    Path,
    /// Bytes. In CSV they are the text that [`escape`](crate::escape) makes.
    Bytes,
    /// A list of unsigned numbers of 64 bits. In CSV it is an array of JSON.
    U64s,
    /// A list of texts. In CSV it is an array of JSON.
    Texts,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    pub(crate) distinct: bool,
    pub(crate) unit: &'static str,
    pub(crate) about: Cow<'static, str>,
}

impl Field {
    /// A column that has a value in every row. `about` says what it means, in a sentence.
    #[must_use]
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        about: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            nullable: false,
            distinct: false,
            unit: "",
            about: about.into(),
        }
    }

    /// The column may have no value in a row.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Values seldom come twice, so that a table keeps no dictionary of them.
    #[must_use]
    pub fn distinct(mut self) -> Self {
        self.distinct = true;
        self
    }

    /// The unit of its numbers.
    #[must_use]
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// The columns of a table. Name and version are in every Arrow and Parquet file; a version's columns do not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    name: &'static str,
    version: u32,
    about: &'static str,
    fields: Vec<Field>,
    metadata: Vec<(&'static str, String)>,
    summed: bool,
}

impl Schema {
    /// A schema. `about` says what a row is, in a sentence.
    #[must_use]
    pub fn new(
        name: &'static str,
        version: u32,
        about: &'static str,
        fields: impl IntoIterator<Item = Field>,
    ) -> Self {
        Self {
            name,
            version,
            about,
            fields: fields.into_iter().collect(),
            metadata: Vec::new(),
            summed: false,
        }
    }

    /// Adds a key and a value to the metadata of Arrow and Parquet files.
    #[must_use]
    pub fn with_metadata(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// Lets Arrow and Parquet files say at their end how many rows there are, and their XXH3 (`gristmill.rows`,
    /// `gristmill.rows_xxh3`). [`TableReader`](crate::TableReader) compares them.
    #[must_use]
    pub fn summed(mut self) -> Self {
        self.summed = true;
        self
    }

    /// Whether [`summed`](Self::summed) was called.
    pub(crate) fn is_summed(&self) -> bool {
        self.summed
    }

    /// What [`with_metadata`](Self::with_metadata) has added.
    #[must_use]
    pub fn metadata(&self) -> &[(&'static str, String)] {
        &self.metadata
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The number of its version, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What a row is.
    #[must_use]
    pub fn about(&self) -> &str {
        self.about
    }

    /// Its columns.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The schema as a section of a document in Markdown: a heading, a sentence, and a table of the columns of Arrow and
    /// Parquet.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "### `{}`, version {}\n\n{}\n\n| column | type | unit | meaning |\n|---|---|---|---|\n",
            self.name, self.version, self.about
        );
        for field in self.fields.iter() {
            let kind = match field.kind {
                Kind::U64 => "uint64",
                Kind::I64 => "int64",
                Kind::F64 => "float64",
                Kind::Bool => "bool",
                Kind::Text | Kind::Path => "utf8",
                Kind::Bytes => "binary",
                Kind::U64s => "list of uint64",
                Kind::Texts => "list of utf8",
            };
            let null = if field.nullable { ", or null" } else { "" };
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "| `{}` | {kind}{null} | {}{}| {} |",
                field.name,
                field.unit,
                if field.unit.is_empty() { "" } else { " " },
                field.about.replace('|', "\\|")
            );
            if field.kind == Kind::Path {
                let _ = writeln!(
                    text,
                    "| `{}_bytes` | binary{null} | | The same as bytes; not in CSV. |",
                    field.name
                );
            }
        }
        text
    }
}
