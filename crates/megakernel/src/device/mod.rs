//! What the back ends of real devices share: the device source, and what it works with in memory.

pub mod header;
pub mod job;
