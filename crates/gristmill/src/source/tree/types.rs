//! Types of files, by their names: those of the crate `ignore`, which are ripgrep's.

use ignore::types::{Types, TypesBuilder};

/// A change to the types of files, or a choice among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeChange {
    /// Adds a glob to a type: `name:glob`, or `name:include:other,another` for all globs of other types.
    Add(String),
    /// Removes all globs of a type.
    Clear(String),
    /// Takes files of this type, and no others but those of other selected types. `all` is every type.
    Select(String),
    /// Passes over files of this type. `all` is every type.
    Negate(String),
}

/// A type that is not known, or whose definition cannot be parsed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(ignore::Error);

/// Types of files, and which of them are taken.
#[derive(Debug, Clone)]
pub struct FileTypes(Types);

impl Default for FileTypes {
    /// No types, so that files of all names are taken.
    fn default() -> Self {
        Self(Types::empty())
    }
}

impl FileTypes {
    /// ripgrep's types, with these changes to them, in this order.
    ///
    /// # Errors
    /// [`TypeError`] for a type that is chosen and not known, or a definition that cannot be parsed.
    pub fn new(changes: impl IntoIterator<Item = TypeChange>) -> Result<Self, TypeError> {
        let mut types = TypesBuilder::new();
        types.add_defaults();
        for change in changes {
            match change {
                TypeChange::Add(definition) => types.add_def(&definition).map_err(TypeError)?,
                TypeChange::Clear(name) => {
                    types.clear(&name);
                }
                TypeChange::Select(name) => {
                    types.select(&name);
                }
                TypeChange::Negate(name) => {
                    types.negate(&name);
                }
            }
        }
        types.build().map(Self).map_err(TypeError)
    }

    /// The names of all types, sorted, each with its globs.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .definitions()
            .iter()
            .map(|definition| (definition.name(), definition.globs()))
    }

    pub(super) fn matcher(&self) -> Types {
        self.0.clone()
    }
}
