//! The mill: files in, rows out, with everything between them bounded.
//!
//! A run is this pipeline, and each stage has a file here:
//!
//! - `builder`: a mill's settings. `launch`: one run, from its kernel's launch to its report.
//! - `feeder`: every worker of the kernel has a feeder of its own, with its own io_uring. When the worker has nothing
//!   to claim, its feeder reads further: it opens entries, lands chunks and publishes a slot for each. A read from the
//!   page cache is copied by the thread that submits it, so that thread claims the chunk next, while it is in its
//!   cache.
//! - `reads`: a feeder's reads, and their handling when its ring fails. `opener`: opening files without waiting for
//!   any. `convert`: files that are decompressed or decoded on their way into chunks.
//! - `fetches`: objects, which are fetched from stores by requests (`pace`: how many at a time; `landings`: into chunks;
//!   `ahead`: ahead of a decoder).
//! - `intake`: where feeders get their next work: the source, and the files that several readers cut into chunks
//!   together.
//! - `flight`: chunks that are lent to the kernel, and their slots, one for each job (`held`: slots that are freed when
//!   they are dropped, and chunks that go back with the last of their slots; `finished`: a slot that has run).
//! - `collector`: completions become rows, in file order, under one lock; a worker that finds completions does this.
//!   `half`: what one job knows of a file. `row_order`: which file's rows may be written.
//! - `output`: rows and errors on their way to the caller, who writes them from [`Mill::run`].
//!
//! The state that these share is `run`. The other modules are:
//!
//! - `task`: the jobs of a run. `status`: whether the run goes on. `control`: how the caller follows and ends it.
//! - `piece`: open files and their chunks; `kind`: how they are read. `parts`: a chunk in parts, for jobs whose records
//!   overflow.
//! - `halo`: where a chunk's own bytes lie in its buffer, and the bytes around them, for jobs that look beyond a chunk.
//! - `plan`: the number of workers and chunks. `memory`: where the chunks lie.
//! - `descriptors`: how many files may be open, and when an open that failed for lack of a resource is tried again.
//! - `record`: finished slots on their way into a ring log, where one is wanted.
//! - `counters` and `report`: what the run did. `error`: why it could not start.
//!
//! The modules do not depend on each other in cycles. These are bounded: chunk buffers (their number is fixed when the
//! run starts), rows that cannot be written yet ([`HELD_ROWS_BYTES`], then only the file that is being written goes
//! on), rows and errors on their way out, open files (two batches for each reader and the files being cut, and no more
//! than the process's limit of descriptors leaves).

mod ahead;
mod builder;
mod collector;
mod control;
mod convert;
mod counters;
mod descriptors;
mod error;
mod feeder;
mod fetches;
mod finished;
mod flight;
mod half;
mod halo;
mod held;
mod intake;
mod kind;
mod landings;
mod launch;
mod memory;
mod opener;
mod output;
mod pace;
mod parts;
mod piece;
mod plan;
mod reads;
mod record;
mod report;
mod row_order;
mod run;
mod status;
mod task;

pub use crate::error::{FileError, FileErrorKind};
pub use builder::{Mill, MillBuilder};
pub use control::{Control, Progress};
pub use error::{MillError, Setting};
pub use plan::{chunks_per_worker, BATCH_FILES, DEFAULT_DEPTH, DEFAULT_MEMORY_BYTES, MAX_JOBS};
pub use report::{DecodedBytes, JobReport, ObjectBytes, RunReport, StageTimes};
pub use row_order::HELD_ROWS_BYTES;
pub use task::Task;
