//! Reads that land in memory a Gristmill kernel sees.
//!
//! # The pieces
//!
//! | module | what it is | who uses it |
//! |---|---|---|
//! | [`reader`] | [`reader::ChunkReader`]: chunks of files into an arena's chunks, by io_uring, by positioned reads, or past the page cache where that is asked for | the mill |
//! | [`mapped`] | [`GpuMappedBuffer`]: borrowed memory that reads may land in, carved into parts that never overlap | streams, drivers |
//! | [`stream`] | [`AsyncUringStream`]: reads into such a buffer, counted by a tail that the device watches | pumps, users |
//! | [`pump`] | [`UringMegakernelPump`]: publishes a slot for each read that has landed | users |
//! | [`driver`] | [`NvmeGpuIngestDriver`]: files and blocks of NVMe namespaces into slots, which may be a kernel's chunks, published in the device's IO queue | `gristmill ingest`, users |
//! | [`nvme`] | NVMe Read commands, statuses, namespaces, and where files lie on them | the driver, users |
//! | `peer` | [`PeerMemory`]: memory of a PCI device that disks can write to | the mill, drivers, users |
//! | `direct` | [`why_copied`]: whether O_DIRECT would bring a file's bytes there without a copy | readers, drivers, `doctor` |
//! | `gpudirect` | [`GpuDirectCapability`]: whether passthrough is to be had, and what is missing | `doctor`, drivers |
//! | [`io_loop`] | [`MegakernelIoLoop`]: a thread that reads what the device asks for | users |
//! | `probe` | [`probe()`]: what this kernel gives and why not more | `doctor` |
//!
//! Beneath them, private: `queue` (reads in flight on one ring: the table that owns them, short reads, retries,
//! cancellation), `canary` (a path's first transfer, compared with an ordinary read), `telemetry`, `tables` (registered
//! buffers and files, filled lazily) and `setup` (making and entering a ring).
//!
//! # Rules
//!
//! 1. **A read in flight owns what it uses.** From submission to the moment its result is taken, the chunk and the file
//!    belong to the table of reads (or, for borrowed memory, the borrow does). Dropping a reader or a stream at any
//!    moment cancels what the kernel has and waits for it. A reader that waits for a device in vain leaks the chunks
//!    concerned after ten seconds, which is safe; a stream waits on, as it must.
//! 2. **Completions find their reads by `user_data`**, never by their order.
//! 3. **A short read is no answer.** It is continued until the length asked for or the file's end, which is a read of 0
//!    and nothing else: no file is asked for its size.
//! 4. **One ring, one thread.** Readers and streams stay on their thread (the types say so), so the kernel can leave
//!    completion work to it (`SINGLE_ISSUER`, `DEFER_TASKRUN`). Reads of cached pages are done within the submitting
//!    call, so several threads with a reader each go faster than one with a deep queue.
//! 5. **Nothing is registered before it pays**: chunks at their first read that asks for it, files at their fifth
//!    read in a row.
//! 6. **Nothing falls back unnamed.** Which path, why not the other, bytes by route, achieved depth: all can be asked.

#![warn(missing_docs)]

mod canary;
mod direct;
pub mod driver;
pub mod gpudirect;
pub mod io_loop;
mod lifeline;
pub mod mapped;
pub mod nvme;
mod open;
mod peer;
mod probe;
pub mod pump;
mod queue;
pub mod reader;
mod setup;
pub mod stream;
mod tables;
mod telemetry;

pub use direct::why_copied;
pub use driver::{CompletedIngest, FailedIngest, NvmeGpuIngestDriver};
pub use gpudirect::GpuDirectCapability;
pub use io_loop::{IoLoopStats, IoSource, IoTables, MegakernelIoLoop, StoppedIo};
pub use mapped::{GpuMappedBuffer, Iovec};
pub use nvme::{encode_nvme_read_sqe, NvmeNamespace};
pub use open::open_without_waiting;
pub use peer::{PeerDevice, PeerMemory};
pub use probe::{probe, UringProbe};
pub use pump::{PublishedScan, UringMegakernelPump};
pub use setup::SetupFlags;
pub use stream::{AsyncUringStream, CompletedRead, IoUringState};
pub use telemetry::{IngestTransfers, NativeReadPath, NvmeGpuIngestTelemetry};
