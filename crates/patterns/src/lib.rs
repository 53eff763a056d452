//! Sets of patterns, from one to a million, and where each of them occurs.
//!
//! This crate knows nothing of rings and files: it is given bytes and tells what it found in them.
//!
//! - [`Literals`]: byte strings, each of whose occurrences is found, overlapping ones too.

mod literals;

pub use literals::{BuildError, Literals};
