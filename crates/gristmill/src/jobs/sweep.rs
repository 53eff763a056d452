//! The sweep: every match of many patterns, named and placed, over whole files as bytes.
//!
//! Patterns are strings, each of whose occurrences is found, overlapping ones too, and regexes, each of which is found
//! as if it were searched for alone over the whole file: from left to right, the first alternative first, without
//! overlaps. Lines mean nothing, and `^` and `$` are the ends of the file unless `(?m)` says otherwise. However files
//! are cut into chunks, the rows are the same, and they come in order.
//!
//! The workers search each chunk as it lands ([`opcode`](SweepJob), in `opcode`): they see 4,096 bytes around it, and tell
//! which matches are certain and from where on a regex's matches are not. This job, the host's half, goes through a
//! file's chunks in order (`file`): for a regex whose match reaches from one chunk into the next it takes those of the
//! workers' matches that a search of the whole file finds too, and searches itself only where these differ or where a
//! match is longer than what a worker saw (`chains`). Bytes are kept for that, up to twice the longest match that is
//! allowed ([`SweepJobBuilder::max_match`]). Where these do not tell whether there is a match, the regex is followed byte by byte,
//! and the search goes on as if there were none. If there is one, it is an error that names file, place and pattern: rows
//! of that pattern that lie within the long match may have been written before. So it is where following the regex takes too
//! many steps: as many as an automaton of hundreds of states may take that reads the same bytes again and again.
//!
//! A [part](crate::source::Entry::part) of a file has the matches that begin in it. They are those of the whole file: a
//! search for regexes begins at a place before the part over which no match reaches (`border`), where a search of the whole
//! file stands between two matches, too, and goes on behind the part until all that begin in it are known. Only where a
//! regex is given up may parts differ: in a part that is not read from that place on, it is searched for again.
//!
//! ```
//! use gristmill::jobs::sweep::SweepJob;
//! use gristmill::mill::{Control, Mill};
//! use gristmill::source::Tree;
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let job = SweepJob::builder()
//!     .string("name", "gristmill")
//!     .regex("version", r#"version = "(\d+)"#)
//!     .build()?;
//! let mut rows = Vec::new();
//! let mill = Mill::builder().workers(1).build()?;
//! mill.run(Tree::new(["Cargo.toml"]).walk()?, Arc::new(job), &mut rows, &Control::default())?;
//! // Offset, length and name of each match.
//! assert!(rows.starts_with(b"18:9:name\n"));
//! # Ok(())
//! # }
//! ```

mod around;
mod border;
mod builder;
mod chains;
mod context;
mod device;
mod error;
mod file;
pub mod findings;
mod job;
mod judged;
mod kept;
mod opcode;
mod order;
mod plan;
mod rows;
mod set;
mod tail;

#[cfg(test)]
mod tests;

pub use builder::{SweepBuildError, SweepJobBuilder, DEFAULT_MAX_MATCH};
pub use error::{SweepError, SweepErrorKind};
pub use gristmill_patterns::saved::{SetError, MAGIC};
pub use gristmill_patterns::{Boundary, Case, LineSettings, PatternSet, PlainStrings, RegexPlan};
pub use job::{SweepFile, SweepJob};
pub use plan::SweepReport;
pub use rows::occurrence_schema;
pub(in crate::jobs) use rows::{Occurrence, OccurrenceRows};
pub use set::{SweepSet, SweepSetError};
