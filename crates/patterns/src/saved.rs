//! The format of stored pattern sets: a header, a table of sections, and the sections (docs/set.md).
//!
//! A set is read into its own memory (`memory`), and its tables are used in place (`table`). Nothing in it is trusted:
//! checksums detect damage, the reader of a section validates every index and length in it, and errors are a
//! [`SetError`] with the position. All numbers are little-endian, and none depends on the CPU that wrote them.
//!
//! `file` reads and writes header and sections, `fields` the contents of sections that are not tables.

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
