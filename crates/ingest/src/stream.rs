//! Reads into one mapped buffer. A tail, which the device watches, counts the reads that have landed.
//!
//! An [`AsyncUringStream`] drives the same engines as a [`ChunkReader`](crate::reader::ChunkReader), but over borrowed
//! memory rather than chunks: it owns its rings and, for `'a`, the buffer. Its reads are `READ_FIXED` into the buffer,
//! which is registered once, at the first read. If the kernel refuses to register it, reads are plain,
//! [`AsyncUringStream::stats`] says why, and [`AsyncUringStream::submit_read_fixed`] fails. Dropping the stream cancels
//! the reads in flight and waits for them as long as it takes, because the memory goes back to its owner afterwards.
//!
//! A read may belong to a pump ([`crate::pump`]). It then carries the data of the publication for when it has landed,
//! and waits for a pump even if the stream itself is polled. Or a read belongs to a slot of a driver
//! ([`crate::driver`]), which owns its stream.
//!
//! A socket, a pipe or a terminal has no offsets. It is read from its current position, whatever offset is given, and
//! the bytes that have arrived are the whole read. (A pump's read continues until its chunk is full or the stream
//! ends.) Only one such read of a source may be in flight, because nothing distinguishes two of them.
//!
//! # Threads
//!
//! A stream stays on the thread that made it, and so do the pumps and drivers over it: they are not `Send`. The reason
//! is that its ring has one user (`SINGLE_ISSUER`), to which the kernel leaves completion work (`DEFER_TASKRUN`); this
//! makes reads of cached bytes cheap. Their parts can be moved: make [`IoUringState`] and [`GpuMappedBuffer`] on any
//! thread, and the stream on the thread that will use it. ([`MegakernelIoLoop`](crate::MegakernelIoLoop) has its own
//! thread.)
//!
//! NVMe commands need larger entries, so they have a separate ring, which is made at the first command.

mod context;
mod registration;
mod state;
mod submit;

pub use crate::memory::mapped::{GpuMappedBuffer, Iovec};
pub use state::IoUringState;

use crate::admit;
use crate::engine::passthrough::PassthroughEngine;
use crate::engine::peer::PeerEngine;
use crate::engine::uring::UringEngine;
use crate::engine::{Completion, Engine, ReadRequest, ReadSource, Target};
use crate::fs::is_stream;
use crate::nvme::NvmeNamespace;
use crate::path::ReadPath;
use crate::queue::{DropPolicy, NO_OFFSET};
use crate::reader::ReadStats;
use crate::setup::{self, SetupFlags};
use gristmill_protocol::PipelineError;
use registration::Registration;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use context::{Owner, ReadContext, Scan};

/// The length of one step of an unlimited wait, so that a lost wake-up costs at most this much.
const WAIT_STEP: Duration = Duration::from_secs(1);
/// The length of one step of a wait that alternates between two rings.
const TURN: Duration = Duration::from_millis(1);

/// A stream's read that has ended.
#[derive(Debug)]
pub struct CompletedRead {
    /// The number with which the read was submitted. If none was given, this is its chunk or its offset in the buffer.
    pub user_data: u64,
    /// The number of bytes that landed (fewer than requested if the file ends), or why the read failed.
    pub outcome: Result<u32, PipelineError>,
}

/// A pump's read that has landed but is not published yet.
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
    /// The offset in the buffer to which the bytes go.
    pub(crate) target: usize,
    /// The number of bytes from there on that may be written to.
    pub(crate) capacity: usize,
    pub(crate) context: ReadContext,
}

/// Reads from files into a mapped buffer. Each read that lands raises the tail by one.
///
/// It is used by the thread that made it: a ring belongs to one thread.
pub struct AsyncUringStream<'a> {
    /// The first field, so that it is dropped first: its reads land in `buffer`.
    uring: UringEngine<ReadContext>,
    /// The engine for reads that a disk transfers by itself. It is made at the first such read, and must be dropped
    /// before `buffer`, too.
    blocks: Option<(ReadPath, Box<dyn Engine<ReadContext>>)>,
    buffer: GpuMappedBuffer<'a>,
    tail: &'a AtomicU32,
    registration: Registration,
    enabled: Result<(), PipelineError>,
    /// Reads that have landed but that no poll has counted yet.
    uncounted: u32,
    /// A pump's reads that have landed and wait to be published.
    pub(crate) landed_scans: VecDeque<LandedScan>,
}

impl<'a> AsyncUringStream<'a> {
    /// A stream for the calling thread, over `buffer`, that raises `tail`.
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
    /// registered buffer that the read must use; with `None` it uses a registered buffer if it can.
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
            // A pump's scan reads a whole chunk.
            fill: !(is_stream && matches!(context.owner, Owner::Caller(_))),
            target,
            capacity: len as usize,
            context,
        };
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit(ReadPath::RegisteredMappedRead, read, demanded) }
    }

    /// Queues a read by a path, and returns its target's address. `demanded` is the registered buffer that the read
    /// must use.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for a target out of range, or if as many reads are in flight as the ring holds;
    /// [`PipelineError::InvalidArgument`] for a length of 0; and the errors of the path's engine.
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
        // SAFETY: `address` checked that the capacity lies inside the buffer and was not carved out for another owner.
        // The buffer is borrowed for `'a`, which outlives the engines: their drop waits for all reads
        // (`DropPolicy::WaitForAll`), and the caller does not leak the stream. The caller promises that nobody else
        // uses the bytes, and that an open descriptor stays open. `fixed_buffer` is the registered buffer of this
        // engine's ring that holds the target.
        unsafe { engine.submit(request, read.context) }.map_err(|(_, error)| error)?;
        Ok(address)
    }

    /// The namespace behind a generic character device. It is queried once per device.
    ///
    /// # Errors
    /// As [`NvmeNamespace::of`], and an error if the kernel has no passthrough.
    pub(crate) fn namespace(&mut self, fd: RawFd) -> Result<NvmeNamespace, PipelineError> {
        let engine = self.blocks(ReadPath::GpuDirectNvmePassthrough)?;
        Ok(engine.namespace(fd)?.clone())
    }

    /// The engine for reads that a disk transfers by itself. It is made at the first call. If there is already one for
    /// another path, that one must be idle, and is replaced.
    ///
    /// # Errors
    /// The reason why the engine cannot be made.
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

    /// Takes the reads that have ended, without waiting, and raises the tail by one for each that landed. Returns how
    /// many reads have landed since a poll last returned a number, including those that
    /// [`AsyncUringStream::wait_for_completion`] took. A read that is short because the file ends counts as landed.
    ///
    /// # Errors
    /// The first read that failed, with file, offset, reason and errno. The other reads were taken nevertheless, and
    /// the tail counts those that landed.
    pub fn poll(&mut self) -> Result<u32, PipelineError> {
        self.take_over()?;
        Ok(std::mem::take(&mut self.uncounted))
    }

    /// As [`AsyncUringStream::poll`], but returns each read with the number with which it was submitted, including
    /// failed reads. The previous contents of `completed` are overwritten.
    ///
    /// # Errors
    /// An error if the ring fails permanently; `completed` then holds the results so far.
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

    /// Takes the reads that have ended, and adds those that landed to `uncounted`.
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

    /// Takes the reads that have ended. Landed reads of a pump are put aside, and the tail counts the other landed
    /// reads.
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

    /// The next read that has ended.
    pub(crate) fn next_completion(&mut self) -> Option<Completion<ReadContext>> {
        self.uring
            .poll()
            .or_else(|| self.blocks.as_mut().and_then(|(_, blocks)| blocks.poll()))
    }

    /// Tells the device that one more read has landed. Everything written before is visible to a thread or device that
    /// sees the new count.
    pub(crate) fn raise_tail(&self) {
        self.tail.fetch_add(1, Ordering::Release);
    }

    /// The scans of reads that have not ended.
    pub(crate) fn scans_in_flight(&self) -> impl Iterator<Item = &Scan> {
        self.uring.payloads().filter_map(ReadContext::scan)
    }

    /// Waits until a read has ended, and takes all reads that have ended, as [`AsyncUringStream::poll`] does; the next
    /// poll counts them. So `while stream.inflight() > 0 { stream.wait_for_completion()? }` terminates. Returns at once
    /// if no read is in flight.
    ///
    /// # Errors
    /// An error if the ring fails permanently; otherwise the first read that failed.
    pub fn wait_for_completion(&mut self) -> Result<(), PipelineError> {
        self.wait_until_ready()?;
        self.take_over()
    }

    /// Waits until a read has ended, and leaves it to the next poll. Returns at once if no read is in flight.
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

    /// Submitted reads that no poll has taken yet.
    pub fn inflight(&self) -> u32 {
        let blocks = self.blocks.as_ref();
        let blocks = blocks.map_or(0, |(_, blocks)| blocks.inflight());
        self.uring.inflight().saturating_add(blocks)
    }

    /// Whether no read is in flight, and no landed read waits for a pump.
    pub(crate) fn is_idle(&self) -> bool {
        self.inflight() == 0 && self.landed_scans.is_empty()
    }

    /// What was asked of the kernel so far: bytes by route, achieved queue depth and, if reads are not fixed, the
    /// reason. Each NVMe command counts as a read.
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

    /// The length of the buffer, and whether it is memory of another device.
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
