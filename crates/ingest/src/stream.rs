//! Reads into one mapped buffer, counted by a tail that the device watches.
//!
//! An [`AsyncUringStream`] drives the engines that a [`ChunkReader`](crate::reader::ChunkReader) drives, over memory
//! that it has on loan rather than chunks: it owns its rings and, for `'a`, the buffer. Its reads are `READ_FIXED` into
//! the buffer, which is registered once, at the first read; where the kernel refuses that, reads are plain,
//! [`AsyncUringStream::stats`] says why, and [`AsyncUringStream::submit_read_fixed`] fails. Dropping the stream cancels
//! what is in flight and waits for it as long as it takes, as the memory goes back to its owner afterwards.
//!
//! A read may belong to a pump ([`crate::pump`]): it then carries what is to be published when it has landed, and waits
//! for a pump even where the stream itself is polled. Or it belongs to a slot of a driver ([`crate::driver`]), which
//! owns its stream.
//!
//! A socket, a pipe or a terminal has no offsets: it is read from where it stands, whatever offset is given, and the
//! bytes that have arrived are the whole read. (A pump's read goes on until its chunk is full or the stream ends.) As
//! nothing tells two such reads apart, one may be in flight at a time.
//!
//! # Threads
//!
//! A stream stays on the thread that made it, and so do the pumps and drivers over it: they are not `Send`, as its ring
//! has one user (`SINGLE_ISSUER`), to whom the kernel leaves completion work (`DEFER_TASKRUN`), which is what makes
//! reads of cached bytes cheap. Their parts can be moved: make [`IoUringState`] and [`GpuMappedBuffer`] on any thread,
//! and the stream on the thread that is to use it. ([`MegakernelIoLoop`](crate::MegakernelIoLoop) has its own thread.)
//!
//! NVMe commands need larger entries, so they have a ring of their own, made at the first of them.

mod context;
mod registration;
mod submit;

pub use crate::memory::mapped::{GpuMappedBuffer, Iovec};

use crate::admit;
use crate::engine::passthrough::PassthroughEngine;
use crate::engine::peer::PeerEngine;
use crate::engine::uring::UringEngine;
use crate::engine::{Completion, Engine, ReadRequest, ReadSource, Target};
use crate::fs::is_stream;
use crate::lifeline::Ring;
use crate::nvme::NvmeNamespace;
use crate::path::ReadPath;
use crate::queue::{DropPolicy, NO_OFFSET};
use crate::reader::ReadStats;
use crate::setup::{self, SetupFlags};
use gristmill_protocol::PipelineError;
use io_uring::{cqueue, squeue};
use registration::Registration;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use context::{Owner, ReadContext, Scan};

/// One step of a wait without end, so that a lost wake-up costs this much and no more.
const WAIT_STEP: Duration = Duration::from_secs(1);
/// One step of a wait for two rings in turn.
const TURN: Duration = Duration::from_millis(1);

/// A ring that was set up and is not in use yet.
pub struct IoUringState {
    ring: Ring<squeue::Entry, cqueue::Entry>,
}

impl IoUringState {
    /// Sets up a ring for `entries` reads in flight, rounded up to a power of two, at most 4096.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where the kernel refuses, with the step that would change that.
    pub fn new(entries: u32) -> Result<Self, PipelineError> {
        let ring = Ring::new(setup::build(entries, true)?)?;
        Ok(IoUringState { ring })
    }

    /// The setup flags that the kernel took.
    pub fn flags(&self) -> SetupFlags {
        self.ring.flags
    }

    /// Reads that can be in flight at once.
    pub fn entries(&self) -> u32 {
        self.ring.io.params().sq_entries()
    }
}

impl std::fmt::Debug for IoUringState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoUringState")
            .field("entries", &self.entries())
            .field("flags", &self.flags())
            .finish()
    }
}

/// A read of a stream's that is over.
#[derive(Debug)]
pub struct CompletedRead {
    /// The number that the read was submitted with; where none was given, its chunk or its place in the buffer.
    pub user_data: u64,
    /// How many bytes landed, fewer than were asked for where the file ends; or why it failed.
    pub outcome: Result<u32, PipelineError>,
}

/// A pump's read that has landed and is not published yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LandedScan {
    pub(crate) scan: Scan,
    pub(crate) file_offset: u64,
    pub(crate) bytes: u32,
}

/// A read into the buffer of a stream.
pub(crate) struct StreamRead {
    pub(crate) source: ReadSource,
    /// [`NO_OFFSET`] for a stream.
    pub(crate) offset: u64,
    pub(crate) len: u32,
    /// Whether short reads of a stream are continued.
    pub(crate) fill: bool,
    /// Where in the buffer the bytes go.
    pub(crate) target: usize,
    /// Bytes from there on that may be written to.
    pub(crate) capacity: usize,
    pub(crate) context: ReadContext,
}

/// Reads from files into a mapped buffer; each read that lands raises the tail by one.
///
/// It is used by the thread that made it: a ring belongs to one thread.
pub struct AsyncUringStream<'a> {
    /// First, so that it is dropped first: its reads land in `buffer`.
    uring: UringEngine<ReadContext>,
    /// The engine whose reads a disk brings by itself, from the first of them on; before `buffer`, too.
    blocks: Option<(ReadPath, Box<dyn Engine<ReadContext>>)>,
    buffer: GpuMappedBuffer<'a>,
    tail: &'a AtomicU32,
    registration: Registration,
    enabled: Result<(), PipelineError>,
    /// Reads that have landed and that no poll has counted yet.
    uncounted: u32,
    /// Reads of a pump that have landed, waiting to be published.
    pub(crate) landed_scans: VecDeque<LandedScan>,
}

impl<'a> AsyncUringStream<'a> {
    /// A stream over `buffer` that raises `tail`, for the calling thread.
    pub fn new(state: IoUringState, buffer: GpuMappedBuffer<'a>, tail: &'a AtomicU32) -> Self {
        let enabled = setup::enable(&state.ring.io);
        let depth = state.entries();
        AsyncUringStream {
            uring: UringEngine::new(state.ring, depth, DropPolicy::WaitForAll),
            blocks: None,
            buffer,
            tail,
            registration: Registration::new(),
            enabled,
            uncounted: 0,
            landed_scans: VecDeque::new(),
        }
    }

    /// Queues a read of a descriptor that the caller keeps open, and returns its target's address. `demanded` is the
    /// registered buffer that it must use; without one it uses what there is.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`].
    pub(crate) unsafe fn submit_open(
        &mut self,
        context: ReadContext,
        len: u32,
        target: usize,
        demanded: Option<u16>,
    ) -> Result<*mut u8, PipelineError> {
        self.enabled.clone()?;
        let source = ReadSource::Open(context.fd);
        let is_stream = is_stream(context.fd);
        if is_stream && self.uring.is_streaming(&source) {
            return Err(PipelineError::QueueFull {
                queue: "reads of one stream",
                fix: "wait for the read of this socket or pipe that is in flight: it has no offsets to tell two apart",
            });
        }
        let read = StreamRead {
            source,
            offset: if is_stream {
                NO_OFFSET
            } else {
                context.file_offset
            },
            len,
            // A pump's scan is of a whole chunk.
            fill: !(is_stream && matches!(context.owner, Owner::Caller(_))),
            target,
            capacity: len as usize,
            context,
        };
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit(ReadPath::RegisteredMappedRead, read, demanded) }
    }

    /// Queues a read by a path, and returns its target's address. `demanded` is the registered buffer that it must use.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for a target out of range and for as many reads in flight as the ring holds;
    /// [`PipelineError::InvalidArgument`] for a length of 0; those of the path's engine.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`], for the target's capacity; a [`ReadSource::Shared`] needs no
    /// promise.
    pub(crate) unsafe fn submit(
        &mut self,
        path: ReadPath,
        read: StreamRead,
        demanded: Option<u16>,
    ) -> Result<*mut u8, PipelineError> {
        self.enabled.clone()?;
        let (target, len) = (read.target, read.len as usize);
        if len == 0 {
            return Err(PipelineError::InvalidArgument {
                what: "a read of no bytes",
                fix: "read at least one byte",
            });
        }
        let capacity = read.capacity.max(len);
        let address = self.address(target, capacity)?;
        let mut fixed_buffer = None;
        if path == ReadPath::RegisteredMappedRead {
            self.registration.register(self.uring.ring(), &self.buffer);
            fixed_buffer = self.registration.index(target, len);
            if demanded.is_some() && demanded != fixed_buffer {
                return Err(self.registration.refusal());
            }
        }
        let request = ReadRequest {
            source: read.source,
            offset: read.offset,
            len: read.len,
            fill: read.fill,
            known_end: None,
            whole_file: false,
            target: Target {
                address,
                capacity,
                fixed_buffer,
                peer: self.buffer.is_peer().then_some("a device"),
            },
        };
        admit::request(path, &request)?;
        let engine: &mut dyn Engine<ReadContext> = match path {
            ReadPath::RegisteredMappedRead => &mut self.uring,
            _ => self.blocks(path)?,
        };
        // SAFETY: `address` checked that the capacity lies inside the buffer and was not carved out for another owner;
        // the buffer is borrowed for `'a`, which outlives the engines, whose drop waits for all
        // (`DropPolicy::WaitForAll`), as the caller does not leak the stream. That nobody else uses the bytes and an
        // open descriptor stays so is the caller's promise. `fixed_buffer` is the registered buffer of this engine's
        // ring that holds the target.
        unsafe { engine.submit(request, read.context) }.map_err(|(_, error)| error)?;
        Ok(address)
    }

    /// What is known of the namespace behind a generic character device; asked for once per device.
    ///
    /// # Errors
    /// As [`NvmeNamespace::of`], and where the kernel has no passthrough.
    pub(crate) fn namespace(&mut self, fd: RawFd) -> Result<NvmeNamespace, PipelineError> {
        let engine = self.blocks(ReadPath::GpuDirectNvmePassthrough)?;
        Ok(engine.namespace(fd)?.clone())
    }

    /// The engine for reads that a disk brings by itself, made at the first call. Where there is one for another path,
    /// it must be idle, and is replaced.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn blocks(
        &mut self,
        path: ReadPath,
    ) -> Result<&mut dyn Engine<ReadContext>, PipelineError> {
        self.enabled.clone()?;
        let depth = self.uring.capacity();
        let (of, engine) = match self.blocks.take() {
            Some((of, engine)) if of == path || engine.inflight() > 0 => (of, engine),
            _ => {
                let policy = DropPolicy::WaitForAll;
                let engine: Box<dyn Engine<ReadContext>> = match path {
                    ReadPath::PeerRead => Box::new(PeerEngine::new(depth, policy)?),
                    _ => Box::new(PassthroughEngine::new(depth, policy, None)?),
                };
                (path, engine)
            }
        };
        let (of, engine) = self.blocks.insert((of, engine));
        if *of != path {
            return Err(PipelineError::QueueFull {
                queue: "reads in flight",
                fix: "poll until no read of another path is in flight",
            });
        }
        Ok(engine.as_mut())
    }

    /// Hands all queued reads to the kernel. [`AsyncUringStream::poll`] and
    /// [`AsyncUringStream::wait_for_completion`] do it too.
    ///
    /// # Errors
    /// Where the ring fails for good.
    pub fn flush_submissions(&mut self) -> Result<(), PipelineError> {
        let flushed = self.uring.flush();
        if let Some((_, blocks)) = &mut self.blocks {
            blocks.flush()?;
        }
        flushed
    }

    /// Takes the reads that are over, without waiting, and raises the tail by one for each that landed. Returns how
    /// many have landed since a poll last returned a number, those that [`AsyncUringStream::wait_for_completion`] took
    /// included. Reads that end early at the end of a file have landed, too.
    ///
    /// # Errors
    /// The first read that failed, with file, offset, reason and errno; the rest were taken all the same, and the tail
    /// counts those that landed.
    pub fn poll(&mut self) -> Result<u32, PipelineError> {
        self.take_over()?;
        Ok(std::mem::take(&mut self.uncounted))
    }

    /// As [`AsyncUringStream::poll`], with each read by the number that it was submitted with, those that failed
    /// included. What was in `completed` is gone.
    ///
    /// # Errors
    /// Where the ring fails for good; `completed` then holds what there is.
    pub fn poll_completions_into(
        &mut self,
        completed: &mut Vec<CompletedRead>,
    ) -> Result<(), PipelineError> {
        completed.clear();
        self.uncounted = 0;
        let flushed = self.flush_submissions();
        self.for_each_over(|user_data, outcome| {
            completed.push(CompletedRead { user_data, outcome })
        });
        flushed
    }

    /// Takes the reads that are over, and adds those that landed to `uncounted`.
    fn take_over(&mut self) -> Result<(), PipelineError> {
        let mut first_error = self.flush_submissions().err();
        let mut landed = 0;
        self.for_each_over(|_, outcome| match outcome {
            Ok(_) => landed += 1,
            Err(error) => {
                first_error.get_or_insert(error);
            }
        });
        self.uncounted = self.uncounted.saturating_add(landed);
        first_error.map_or(Ok(()), Err)
    }

    /// Takes the reads that are over; a pump's that have landed are put aside, and the tail counts the others.
    pub(crate) fn for_each_over(&mut self, mut tell: impl FnMut(u64, Result<u32, PipelineError>)) {
        while let Some(completion) = self.next_completion() {
            let context = completion.payload;
            match (completion.outcome(), context.scan()) {
                (Ok(bytes), Some(scan)) => self.landed_scans.push_back(LandedScan {
                    scan: *scan,
                    file_offset: context.file_offset,
                    bytes,
                }),
                (Ok(bytes), None) => {
                    self.raise_tail();
                    tell(context.user_data(), Ok(bytes));
                }
                (Err(error), _) => tell(context.user_data(), Err(error)),
            }
        }
    }

    /// The next read that is over.
    pub(crate) fn next_completion(&mut self) -> Option<Completion<ReadContext>> {
        self.uring
            .poll()
            .or_else(|| self.blocks.as_mut().and_then(|(_, blocks)| blocks.poll()))
    }

    /// Tells the device of one more landed read. What was written before is visible to all who see the new count.
    pub(crate) fn raise_tail(&self) {
        self.tail.fetch_add(1, Ordering::Release);
    }

    /// The scans of reads that are not over.
    pub(crate) fn scans_in_flight(&self) -> impl Iterator<Item = &Scan> {
        self.uring.payloads().filter_map(ReadContext::scan)
    }

    /// Waits until a read is over, and takes what is over, as [`AsyncUringStream::poll`] does, which counts it later:
    /// so `while stream.inflight() > 0 { stream.wait_for_completion()? }` ends. Returns at once where none is in
    /// flight.
    ///
    /// # Errors
    /// Where the ring fails for good, and the first read that failed.
    pub fn wait_for_completion(&mut self) -> Result<(), PipelineError> {
        self.wait_until_ready()?;
        self.take_over()
    }

    /// Waits until a read is over, and leaves it to the next poll. Returns at once where none is in flight.
    ///
    /// # Errors
    /// Where the ring fails for good.
    pub fn wait_until_ready(&mut self) -> Result<(), PipelineError> {
        loop {
            let reading = self.uring.inflight() > 0;
            let blocks = self.blocks.as_mut().map(|(_, blocks)| blocks);
            let Some(blocks) = blocks.filter(|blocks| blocks.inflight() > 0) else {
                if !reading || self.uring.has_completed() {
                    return Ok(());
                }
                self.uring.wait(WAIT_STEP)?;
                continue;
            };
            if blocks.has_completed() || self.uring.has_completed() {
                return Ok(());
            }
            blocks.wait(if reading { TURN } else { WAIT_STEP })?;
            if reading {
                self.uring.wait(TURN)?;
            }
        }
    }

    /// Reads submitted and not taken by a poll yet.
    pub fn inflight(&self) -> u32 {
        let blocks = self.blocks.as_ref();
        let blocks = blocks.map_or(0, |(_, blocks)| blocks.inflight());
        self.uring.inflight().saturating_add(blocks)
    }

    /// Whether nothing is in flight, and nothing that has landed waits for a pump.
    pub(crate) fn is_idle(&self) -> bool {
        self.inflight() == 0 && self.landed_scans.is_empty()
    }

    /// What was asked of the kernel so far: bytes by route, achieved queue depth, and why reads are not fixed if they
    /// are not. Each NVMe command counts as a read.
    pub fn stats(&self) -> ReadStats {
        let mut stats = self.uring.stats();
        if let Some((_, blocks)) = &self.blocks {
            stats += blocks.stats();
        }
        let why_not = self.registration.why_not(&self.buffer);
        stats.unregistered_reason = why_not.or(stats.unregistered_reason);
        stats
    }

    /// The setup flags of the ring.
    pub fn flags(&self) -> SetupFlags {
        self.uring.flags()
    }

    /// Registers the buffer in slots, as [`Registration::register_slots`] does.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn register_slots(&mut self, slot_bytes: usize) -> Result<(), PipelineError> {
        self.enabled.clone()?;
        let ring = self.uring.ring();
        self.registration
            .register_slots(ring, &self.buffer, slot_bytes)
    }

    /// Length of the buffer, and whether it is memory of another device.
    pub(crate) fn memory(&self) -> (usize, bool) {
        (self.buffer.len(), self.buffer.is_peer())
    }

    /// The address of `len` bytes of the buffer.
    fn address(&self, target: usize, len: usize) -> Result<*mut u8, PipelineError> {
        self.buffer.target(target, len).ok_or_else(out_of_range)
    }
}

impl std::fmt::Debug for AsyncUringStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncUringStream")
            .field("buffer", &self.buffer)
            .field("inflight", &self.inflight())
            .finish_non_exhaustive()
    }
}

fn out_of_range() -> PipelineError {
    PipelineError::QueueFull {
        queue: "mapped buffer",
        fix: "read into a range that lies inside the buffer and outside of its sub-regions, or map a larger buffer",
    }
}
