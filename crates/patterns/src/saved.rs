//! The form in which a set of patterns is stored: sections behind a head and a table of them (docs/set.md).
//!
//! A set is read into memory of its own (`memory`), and its tables are used where they are (`table`). Nothing in it is trusted: the
//! checksums find damage, whoever takes a section checks every number in it that is an index or a length, and what is
//! wrong is a [`SetError`] that says where. All numbers are little-endian, and none depends on the processor that wrote
//! them.
//!
//! `file` reads and writes head and sections, `fields` what is in a section that is no table.

mod error;
mod fields;
mod file;
mod memory;
mod table;

pub use error::SetError;
pub use fields::{FieldReader, FieldWriter};
pub use file::MAGIC;
pub(crate) use file::{Section, SetReader, SetWriter, Tag};
pub use memory::{read, SetBytes};
pub(crate) use table::Table;

/// The format that is written and read. It changes with whatever gives old sets another meaning: the layout, what is
/// hashed and how, what is derived from regexes and rules.
pub const FORMAT: u32 = 3;
