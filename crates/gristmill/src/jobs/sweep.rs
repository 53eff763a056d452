//! The sweep: what rules find in whole files.

mod around;
pub mod findings;
