//! Engines: the ways in which bytes get from a file to memory, behind one trait.
//!
//! | engine | how it reads | used where |
//! |---|---|---|
//! | [`uring`] | io_uring, into registered memory where there is some | readers, streams |
//! | [`positioned`] | `pread` and `read`, one after the other on the calling thread | where io_uring is refused, files that it must not read |
//! | [`passthrough`] | NVMe commands, past the file system | readers, streams |
//! | [`peer`] | O_DIRECT reads by io_uring, by which a disk writes to another device's memory | readers, streams |
//!
//! The last two read whole blocks, and are one engine over two sources ([`blocks`]).
//!
//! An engine is given a [`ReadRequest`] and a *payload*, which it owns until the read's [`Completion`] is taken. The
//! payload must contain whatever keeps the target's memory valid. [`Capabilities`](crate::path::Capabilities) says what
//! a path can do, and [`crate::admit`] decides which reads it admits.

mod blocks;
mod method;
pub(crate) mod passthrough;
pub(crate) mod peer;
pub(crate) mod positioned;
pub(crate) mod uring;

use crate::error::ReadError;
use crate::nvme::{CommandPlace, NvmeNamespace};
use crate::stats::ReadStats;
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// The error of a file that changed while it was read past its file system. It differs from every errno and every
/// negated device status.
pub const CHANGED: i32 = i32::MIN;

/// A file that an engine keeps open while it reads it.
pub(crate) type SharedFile = Arc<dyn AsFd + Send + Sync>;

/// The source of a read.
#[derive(Clone)]
pub(crate) enum ReadSource {
    /// A file that the engine keeps open.
    Shared(SharedFile),
    /// A descriptor that the request's maker keeps open until the read is over.
    Open(RawFd),
}

impl ReadSource {
    /// The descriptor, which is open for as long as the source is read.
    pub(crate) fn fd(&self) -> RawFd {
        match self {
            ReadSource::Shared(file) => file.as_fd().as_raw_fd(),
            ReadSource::Open(fd) => *fd,
        }
    }

    /// Whether both are the same descriptor.
    pub(crate) fn is(&self, other: &ReadSource) -> bool {
        match (self, other) {
            (ReadSource::Shared(one), ReadSource::Shared(other)) => {
                std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
            }
            (one, other) => one.fd() == other.fd(),
        }
    }
}

/// Where the bytes of a read go.
#[derive(Clone, Copy)]
pub(crate) struct Target<'m> {
    pub(crate) address: *mut u8,
    /// The number of bytes from `address` on that the read may write to. Whole blocks may have more bytes than were
    /// asked for.
    pub(crate) capacity: usize,
    /// The registered buffer of the engine's ring that holds the first `len` bytes.
    pub(crate) fixed_buffer: Option<u16>,
    /// The device whose memory this is; `None` for the host's.
    pub(crate) peer: Option<&'m str>,
}

/// One read.
pub(crate) struct ReadRequest<'m> {
    pub(crate) source: ReadSource,
    /// At most `i64::MAX - len`, or [`NO_OFFSET`](crate::queue::NO_OFFSET) for a stream.
    pub(crate) offset: u64,
    /// At least 1, and at most the target's capacity.
    pub(crate) len: u32,
    /// For a stream: whether to continue until `len` bytes have landed, rather than accept fewer.
    pub(crate) fill: bool,
    /// The offset in the target at which the file ends, if its size has not changed since it was looked up; below
    /// `len`. If exactly this many bytes land, no second read is needed to find the end.
    pub(crate) known_end: Option<u32>,
    /// Whether this is one of several reads that together must see the file in a single state. The file's blocks are
    /// then looked up once, and each read checks that they have not changed since.
    pub(crate) whole_file: bool,
    pub(crate) target: Target<'m>,
}

/// A read that is over.
pub(crate) struct Completion<P> {
    pub(crate) payload: P,
    /// Bytes that landed, from the target's start; at most what was asked for.
    pub(crate) bytes: u32,
    /// How many of these a disk wrote to the target itself, as far as the engine knows.
    pub(crate) by_disk: u64,
    /// The file ends after these bytes.
    pub(crate) end: bool,
    /// What ended the read: an errno, an NVMe command's status, negated, or [`CHANGED`].
    pub(crate) error: Option<i32>,
    /// The place from which the failed NVMe command reads.
    pub(crate) command: Option<CommandPlace>,
    /// Whether what was read is a file, rather than blocks of a namespace.
    pub(crate) of_file: bool,
    /// The kernel had this read when the engine's ring failed, and its result never became known.
    pub(crate) unanswered: bool,
}

impl<P> Completion<P> {
    /// A read that ended with this error, without a byte.
    fn failed(payload: P, errno: i32) -> Self {
        Completion {
            payload,
            bytes: 0,
            by_disk: 0,
            end: false,
            error: Some(errno),
            command: None,
            of_file: true,
            unanswered: false,
        }
    }
}

/// The refusal of engines that read files alone.
fn no_raw_devices() -> ReadError {
    let why = "this engine does not read raw devices".into();
    ReadError::NotANamespace { why }
}

/// One way to read.
pub(crate) trait Engine<P> {
    /// Queues a read. It reaches the kernel at the next [`Engine::flush`] or [`Engine::wait`].
    ///
    /// # Errors
    /// The payload, together with `QueueFull` if [`Engine::capacity`] reads are in flight, the ring's error if it has
    /// failed, or the reason why the engine cannot read this source into this target.
    ///
    /// # Safety
    /// Until the read's completion is taken, or the engine's drop has returned, or, under `DropPolicy::LeakAfter`, for
    /// as long as the payload exists: the target's capacity must be valid for reads and writes, nobody else may use it,
    /// and a [`ReadSource::Open`] must stay open on the same file. `fixed_buffer` must come from this engine and hold
    /// the target.
    unsafe fn submit(
        &mut self,
        request: ReadRequest<'_>,
        payload: P,
    ) -> Result<(), (P, PipelineError)>;

    /// Hands queued reads to the kernel, as many as it has room for.
    ///
    /// # Errors
    /// An error, once, if the ring fails permanently.
    fn flush(&mut self) -> Result<(), PipelineError>;

    /// The next read that is over. Never waits for one.
    fn poll(&mut self) -> Option<Completion<P>>;

    /// Flushes, and waits until a read is over, none is in flight, a signal arrives, or `timeout` has passed.
    ///
    /// # Errors
    /// As [`Engine::flush`].
    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError>;

    /// Whether [`Engine::poll`] would return a read at once.
    fn has_completed(&self) -> bool;

    /// Reads whose completion was not taken yet.
    fn inflight(&self) -> u32;

    /// Most reads in flight at once.
    fn capacity(&self) -> u32;

    /// What the engine asked of the kernel so far.
    fn stats(&self) -> ReadStats;

    /// The errno for which the engine takes no more reads.
    fn broken(&self) -> Option<i32>;

    /// Whether a read of this stream is in flight.
    fn is_streaming(&self, _source: &ReadSource) -> bool {
        false
    }

    /// The registered buffer of this chunk. Registers the chunk if needed.
    ///
    /// # Errors
    /// The errno with which the kernel refuses, which the engine's statistics also report; EOPNOTSUPP if the engine has
    /// no registered buffers.
    fn fixed_buffer(&mut self, _chunk: &mut ChunkBuf) -> Result<u16, i32> {
        Err(libc::EOPNOTSUPP)
    }

    /// Records that a ring reads this file correctly, so that its file system need not be queried.
    fn learn_ring_reads(&mut self, _file: &SharedFile) {}

    /// The namespace behind a generic character device, if the engine reads raw devices.
    ///
    /// # Errors
    /// [`ReadError::NotANamespace`] if it is not one, and always for other engines.
    fn namespace(&mut self, _fd: RawFd) -> Result<&NvmeNamespace, ReadError> {
        Err(no_raw_devices())
    }
}
