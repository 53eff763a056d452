//! Reads that land in memory a Gristmill kernel sees.
//!
//! Read [`reader`] first, then `engine`: a [`ChunkReader`](reader::ChunkReader) hands chunks to one of four engines.
//! `docs/soundness.md` in the repository says who may call the unsafe functions.
//!
//! # The pieces
//!
//! One stack, from the top down:
//!
//! | module | what it is | who uses it |
//! |---|---|---|
//! | [`reader`] | [`reader::ChunkReader`]: chunks of files and namespaces into an arena's chunks | the mill |
//! | [`stream`] | [`AsyncUringStream`]: the same engines over a borrowed buffer, counted by a tail that the device watches | users |
//! | [`pump`] | [`UringMegakernelPump`]: a stream that publishes a slot for each read that has landed | users |
//! | [`driver`] | [`NvmeGpuIngestDriver`]: a stream that publishes each read in the device's IO queue | users |
//! | [`io_loop`] | [`MegakernelIoLoop`]: a thread with a reader that reads what the device asks for | users |
//! | `admit` | whether a source may be read by a path into this memory, and why not ([`why_copied`]) | readers, streams, `doctor` |
//! | `verify` | the transfer check: whether the first read's bytes arrive | engines |
//! | `engine` | the ways to read: `uring`, `positioned`, `passthrough`, `peer`, behind one trait | readers, streams |
//! | `queue` | reads in flight on one ring: the table that owns them, short reads, retries, cancellation | engines |
//! | [`nvme`] | NVMe Read commands, statuses, namespaces, and where files lie on them | engines, users |
//! | `memory` | [`GpuMappedBuffer`]: borrowed memory, carved into parts that never overlap; [`PeerMemory`]: memory of a PCI device that disks can write to | streams, the mill, users |
//! | [`object`] | the seam to object stores: [`object::Object`], whose ranges are fetched by requests | the mill, stores |
//! | `path`, `stats`, `error` | [`ReadPath`] and what each can do; [`ReadStats`] and the views of it; [`ReadError`]: why a path does not read a source | all |
//! | `fs` | opening files without waiting, and what a descriptor is | all |
//! | `gpudirect`, `probe` | what this machine has: [`GpuDirectCapability`], [`probe()`] | `doctor`, drivers |
//! | `setup`, `lifeline`, `tables` | making and entering a ring, seeing its end, its registered buffers and files | queues, engines |
//!
//! # Rules
//!
//! 1. **A read in flight owns what it uses.** From submission to the moment its result is taken, the chunk and the file
//!    belong to the table of reads (or, for borrowed memory, the borrow does). Dropping a reader or a stream at any
//!    moment cancels what the kernel has and waits for it. If a device does not answer, a reader leaks the affected
//!    chunks after ten seconds, which is safe; a stream must keep waiting.
//! 2. **Completions find their reads by `user_data`**, never by their order.
//! 3. **A short read is not final.** It is continued until all requested bytes have landed or the file ends. Only a
//!    read of 0 bytes marks the end: no file is asked for its size.
//! 4. **One ring, one thread.** Readers and streams stay on their thread (their types are not `Send`), so the kernel
//!    can leave completion work to that thread (`SINGLE_ISSUER`, `DEFER_TASKRUN`). Reads of cached pages are done
//!    within the submitting call, so several threads with a reader each are faster than one thread with a deep queue.
//! 5. **Nothing is registered before that pays off.** A chunk is registered at its first read that asks for it, and a
//!    file at its fifth read in a row.
//! 6. **No fallback is silent.** Statistics report the path, why another path was not taken, bytes by route, and the
//!    achieved depth.

#![warn(missing_docs)]

mod admit;
pub mod driver;
mod engine;
mod error;
mod fs;
pub mod gpudirect;
pub mod io_loop;
mod lifeline;
mod memory;
pub mod nvme;
pub mod object;
mod path;
mod probe;
pub mod pump;
mod queue;
pub mod reader;
mod setup;
mod stats;
pub mod stream;
mod tables;
mod verify;

pub use admit::{memory as admit_memory, why_copied, DeviceRange};
pub use driver::{CompletedIngest, FailedIngest, NvmeGpuIngestDriver};
pub use error::ReadError;
pub use fs::open_without_waiting;
pub use gpudirect::GpuDirectCapability;
pub use io_loop::{IoLoopStats, IoSource, IoTables, MegakernelIoLoop, StoppedIo};
pub use memory::mapped::{GpuMappedBuffer, Iovec};
pub use memory::peer::{PeerDevice, PeerMemory};
pub use nvme::{encode_nvme_read_sqe, NvmeNamespace};
pub use path::{Capabilities, ReadPath, ReadPath as NativeReadPath, ReadPathChoice};
pub use probe::{probe, UringProbe};
pub use pump::{PublishedScan, UringMegakernelPump};
pub use setup::SetupFlags;
pub use stats::{IngestTransfers, NvmeGpuIngestTelemetry, ReadStats};
pub use stream::{AsyncUringStream, CompletedRead, IoUringState};
