//! The sweep: what rules find in whole files.

pub mod findings;
