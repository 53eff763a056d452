//! Gristmill runs a job over the bytes of many files: io_uring reads them into memory that a compute kernel can see,
//! and a persistent kernel consumes each chunk as a slot of a ring. This page leads from a ready-made job to one of
//! your own in ten minutes. To *change* Gristmill, read `docs/design.md` first.
//!
//! # A ready-made job
//!
//! A [`Mill`](mill::Mill) is the configured pipeline. It runs a [job](jobs::Job) over a [source] of files and
//! writes the job's rows:
//!
//! ```
//! use gristmill::jobs::scan::{Report, ScanJob};
//! use gristmill::mill::{Control, Mill};
//! use gristmill::source::Tree;
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mill = Mill::builder().workers(2).build()?;
//! let job = Arc::new(ScanJob::builder().pattern("needle").report(Report::Count).with_path(true).build()?);
//! // A file that fails does not end the run: it is reported here, and counted in the report.
//! let control = Control::default().on_error(|error| eprintln!("{error}"));
//!
//! let files = Tree::new(["src"]).walk()?;
//! let mut rows = Vec::new();
//! let report = mill.run(files, job, &mut rows, &control)?;
//! // If rows cannot be written, the run ends with this error.
//! report.output?;
//! assert!(String::from_utf8(rows)?.contains("src/lib.rs:"));
//! assert_eq!(report.failures, 0);
//! # Ok(())
//! # }
//! ```
//!
//! Ready-made jobs are [`scan`](jobs::scan) (strings and regexes, with ripgrep's results), [`sweep`](jobs::sweep)
//! (every match of many strings, regexes or rules), [`digest`](jobs::digest) (BLAKE3, SHA-256 and others),
//! [`stats`](jobs::stats) (bytes, lines, entropy) and [`run`](jobs::run) (a program). Files come from
//! [`Tree`](source::Tree), [`FileList`](source::FileList), [`Stdin`](source::Stdin) or your own
//! [`Source`](source::Source). [`RunReport`](mill::RunReport) reports what was done, and by which path each byte was
//! read, including every fallback.
//!
//! # A question of your own, without Rust
//!
//! A VIR0 program is a few lines of text that describe a computation on each byte or on each window of bytes. It is
//! verified before it runs, so it cannot hang and cannot access memory outside its own, and it runs on every back end.
//! `docs/vir0.md` is its specification.
//!
//! ```
//! use gristmill::jobs::run::RunJob;
//! use gristmill::mill::{Control, Mill};
//! use gristmill::program::Program;
//! use gristmill::source::Tree;
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let program = Program::from_source("above.vasm", "
//!     .acc    count sum
//!     .arg    limit = 127
//!         arg   r4, limit
//!         each  r1, 1             ; for every byte
//!           ld8   r2, r1
//!           ltu   r3, r4, r2
//!           acc   count, r3
//!         end
//! ")?;
//! let job = Arc::new(RunJob::builder(program).arg("limit", 100).build()?);
//! let mut rows = Vec::new();
//! let files = Tree::new(["src"]).walk()?;
//! Mill::builder().build()?.run(files, Arc::clone(&job), &mut rows, &Control::default())?.output?;
//! println!("{}", String::from_utf8(job.total_row())?);
//! # Ok(())
//! # }
//! ```
//!
//! # A job of your own
//!
//! A job has two halves. The *device's half* is an opcode that workers run over each chunk as it lands, in any order.
//! The *host's half* sees the chunks of each file in the file's order, while their bytes are still in place, together
//! with the opcode's output: eight result words and the records of its slot. It appends rows. Here the device counts
//! the bytes of each value (the opcode HISTOGRAM), and the host says how many were not ASCII:
//!
//! ```
//! use gristmill::jobs::{FileEnd, Flow, Job, LandedChunk};
//! use gristmill::megakernel::StreamJob;
//! use gristmill::mill::{Control, Mill};
//! use gristmill::source::{Entry, FileFacts, Tree};
//! use std::sync::Arc;
//!
//! struct NotAscii;
//!
//! impl Job for NotAscii {
//!     /// What is remembered of a file while it is read: its entry, and the count.
//!     type File = (Arc<Entry>, u64);
//!
//!     fn stream_job(&self) -> Option<StreamJob> {
//!         Some(StreamJob::Histogram)
//!     }
//!
//!     fn opcode(&self) -> u32 {
//!         StreamJob::Histogram.opcode()
//!     }
//!
//!     fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> Self::File {
//!         (Arc::clone(entry), 0)
//!     }
//!
//!     fn chunk(&self, file: &mut Self::File, chunk: &LandedChunk<'_>, _: &mut Vec<u8>) -> Flow {
//!         file.1 += (0x80..=0xFF).map(|value| u64::from(chunk.records.word(value))).sum::<u64>();
//!         Flow::Continue
//!     }
//!
//!     fn close(&self, (entry, count): Self::File, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
//!         if let FileEnd::Complete { bytes } = end {
//!             rows.extend(format!("{}: {count} of {bytes}\n", entry.path.display()).into_bytes());
//!         }
//!         Flow::Continue
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rows = Vec::new();
//! let files = Tree::new(["src/lib.rs"]).walk()?;
//! Mill::builder().build()?.run(files, Arc::new(NotAscii), &mut rows, &Control::default())?.output?;
//! assert!(String::from_utf8(rows)?.starts_with("src/lib.rs: 0 of "));
//! # Ok(())
//! # }
//! ```
//!
//! [`Job`](jobs::Job) documents what a job has to handle: a file's life cycle, chunks that come in several parts, files
//! that fail.
//!
//! # An opcode of your own
//!
//! Implement [`StreamOpcode`](megakernel::StreamOpcode) and pass it as
//! [`StreamJob::Custom`](megakernel::StreamJob::Custom). It runs on the CPU back end; a device can do a part of it if
//! the opcode names one ([`device_part`](megakernel::StreamOpcode::device_part)). The job's
//! [`Geometry`](jobs::Geometry) requests the bytes that the opcode needs around its chunk. `examples/opcode.rs` counts
//! line ends that span chunks.
//!
//! # More
//!
//! - Another back end: [`open`](megakernel::backend::open) finds one, and
//!   [`MillBuilder::backend`](mill::MillBuilder::backend) takes it.
//! - Stopping, progress, recording: [`Control`](mill::Control); running a recorded log again: [`replay`].
//! - Complete programs to start from: `examples/` has `scan`, `sweep`, `job`, `opcode`, `ring` (the ring on its own)
//!   and `footer` (a kernel that requests the bytes that a file's header points to).
//!
//! # The crates beneath
//!
//! Each can be used on its own, and each front page says what to read first.
//!
//! | crate | here | what it is |
//! |---|---|---|
//! | `gristmill-protocol` | [`megakernel::protocol`] | the words that host and device share |
//! | `gristmill-ring` | [`ring`] | shared memory, chunks, the live ring |
//! | `gristmill-ingest` | [`uring`] | reads into that memory |
//! | `gristmill-megakernel` | [`megakernel`] | the kernel and its back ends |
//! | `gristmill-rules` | [`rules`] | rule files, and which matches are findings |
//! | `gristmill-rows` | [`rows`] | rows with a schema, as CSV, Arrow IPC and Parquet |
//! | `gristmill-vir0` | [`megakernel::vir0`] | the bytecode: assembler, verifier, interpreters |

#![warn(missing_docs)]
#![forbid(unsafe_code)]

/// README's example, as a test: it compiles and runs as it is written.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

pub mod bounded;
pub mod decode;
mod divided;
mod error;
pub mod jobs;
pub mod manifest;
pub mod mill;
pub mod program;
pub mod replay;
mod setters;
pub mod source;

pub use gristmill_ingest as uring;
pub use gristmill_megakernel as megakernel;
#[cfg(feature = "objects")]
pub use gristmill_objects as objects;
pub use gristmill_protocol::PipelineError;
pub use gristmill_ring as ring;
pub use gristmill_rows as rows;
pub use gristmill_rules as rules;
