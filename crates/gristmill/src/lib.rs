//! Gristmill: files stream through io_uring into memory that a compute kernel sees, and a persistent megakernel
//! consumes each landed chunk as a slot in a live ring.
//!
//! ```no_run
//! use gristmill::{jobs::scan::ScanJob, mill::{Control, Mill}, source::Tree};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), gristmill::PipelineError> {
//! let mill = Mill::builder().workers(2).build()?;
//! let job = Arc::new(ScanJob::builder().pattern("needle").build()?);
//! let source = Tree::new(["/var/log"]).walk()?;
//! let report = mill.run(source, job, &mut std::io::stdout(), &Control::default())?;
//! eprintln!("{} files, {} bytes", report.files, report.bytes);
//! # Ok(())
//! # }
//! ```
//!
//! The crates underneath can be used alone: the protocol's words (`gristmill-protocol`, here [`megakernel::protocol`]), the
//! live ring (`gristmill-ring`, here [`ring`]), reads into mapped memory (`gristmill-ingest`, here [`uring`]) and the kernel
//! (`gristmill-megakernel`, here [`megakernel`]).

#![warn(missing_docs)]
#![forbid(unsafe_code)]

/// README's example, as a test: it compiles and runs as it is written.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub mod bounded;
mod error;
pub mod jobs;
pub mod mill;
pub mod program;
pub mod replay;
pub mod source;

pub use gristmill_ingest as uring;
pub use gristmill_megakernel as megakernel;
pub use gristmill_protocol::PipelineError;
pub use gristmill_ring as ring;
