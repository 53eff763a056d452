//! Reads that land in memory a Gristmill kernel sees.

#![warn(missing_docs)]

mod queue;
pub mod reader;
mod setup;
mod tables;

pub use setup::SetupFlags;
