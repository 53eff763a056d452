//! Reads into one mapped buffer, counted by a tail that the device watches.
//!
//! An [`AsyncUringStream`] owns its ring and, for `'a`, the buffer. Its reads are `READ_FIXED` into the buffer, which
//! is registered once, at the first read; where the kernel refuses that, reads are plain, [`AsyncUringStream::stats`]
//! says why, and [`AsyncUringStream::submit_read_fixed`] fails. Dropping the stream cancels what is in flight and waits
//! for it as long as it takes, as the memory goes back to its owner afterwards.
//!
//! A read may belong to a pump ([`crate::pump`]): it then carries what shall be published when it has landed, and only
//! a pump takes it, whoever polls. Or it belongs to a slot of a driver ([`crate::driver`]), which owns its stream.
//!
//! A socket, a pipe or a terminal has no offsets: it is read from where it stands, whatever offset is said, and the bytes
//! that have arrived are the whole read (but a pump's, whose chunk is filled to its end or the stream's). As nothing tells two such reads apart, one may be in flight at a time.
//!
//! # Threads
//!
//! A stream stays on the thread that made it, and so do the pumps and drivers over it: they are not `Send`, as its ring has
//! one user (`SINGLE_ISSUER`), to whom the kernel leaves completion work (`DEFER_TASKRUN`), which is what makes reads of
//! cached bytes cheap. Their parts can be moved: make [`IoUringState`] and [`GpuMappedBuffer`] wherever you like, and the
//! stream on the thread that is to use it. ([`MegakernelIoLoop`](crate::MegakernelIoLoop) has its own thread.)
//!
//! NVMe commands need larger entries, so they have a ring of their own, made at the first of them.

mod note;
mod passthrough;

use crate::lifeline::Ring;
pub use crate::mapped::{GpuMappedBuffer, Iovec};
use crate::nvme::{NvmeNamespace, NvmeOp};
use crate::queue::{Farewell, Finished, ReadOp, ReadQueue, NO_OFFSET};
use crate::reader::ReaderStats;
use crate::setup::{self, SetupFlags};
use crate::tables::memlock_limit;
use gristmill_protocol::PipelineError;
use io_uring::{cqueue, squeue};
use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use note::{nvme_error, Note, NvmeOwner, Owner, Scan};

/// Bytes in each registered buffer but the last: the kernel takes 1 GiB at most.
const REGISTERED_BYTES: usize = 1 << 30;
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

/// Whether the buffer is registered with the ring.
enum Registration {
    Untried,
    /// This many buffers, `registered_stride` apart.
    Done(u16),
    Refused(i32),
}

/// Reads from files into a mapped buffer; each read that lands raises the tail by one.
///
/// It is used by the thread that made it: a ring belongs to one thread.
pub struct AsyncUringStream<'a> {
    /// First, so that it is dropped first: its reads land in `buffer`.
    queue: ReadQueue<Note>,
    /// For NVMe commands, from the first of them on; before `buffer`, too.
    nvme: Option<ReadQueue<NvmeOwner, NvmeOp>>,
    buffer: GpuMappedBuffer<'a>,
    tail: &'a AtomicU32,
    registration: Registration,
    /// Bytes from one registered buffer's first byte to the next one's.
    registered_stride: usize,
    /// Bytes in each registered buffer, but fewer in one that the buffer ends in.
    registered_bytes: usize,
    /// What is known of namespaces, by the number of their character device, each with the device: while it is open, no
    /// other gets its number, even where it was pulled.
    namespaces: HashMap<u64, (Rc<NvmeNamespace>, OwnedFd)>,
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
            queue: ReadQueue::new(state.ring, depth, Farewell::WaitForAll),
            nvme: None,
            buffer,
            tail,
            registration: Registration::Untried,
            registered_stride: REGISTERED_BYTES,
            registered_bytes: REGISTERED_BYTES,
            namespaces: HashMap::new(),
            enabled,
            uncounted: 0,
            landed_scans: VecDeque::new(),
        }
    }

    /// Queues a read of `len` bytes at `offset` of `fd` into the buffer at `chunk_idx * len`. The first of `iovs` is
    /// set to the target; nothing refers to it afterwards.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for empty `iovs`, a target out of range, or as many reads in flight as the ring
    /// holds; [`PipelineError::InvalidArgument`] for a length of 0.
    ///
    /// # Safety
    /// Until the read is over (or the stream dropped, which waits for it): `fd` must stay open and the same file,
    /// nobody may use the target's bytes, and the stream must not be leaked.
    pub unsafe fn submit_read_to_gpu(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        chunk_idx: usize,
        iovs: &mut [Iovec],
    ) -> Result<(), PipelineError> {
        let target = chunk_target(chunk_idx, len)?;
        let user_data = u64::try_from(chunk_idx).unwrap_or(u64::MAX);
        // SAFETY: the caller's promises are the same.
        unsafe {
            self.submit_read_to_gpu_at_with_user_data(fd, offset, len, target, user_data, iovs)
        }
    }

    /// As [`AsyncUringStream::submit_read_to_gpu`], into the buffer at `target_offset`.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn submit_read_to_gpu_at(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        target_offset: u64,
        iovs: &mut [Iovec],
    ) -> Result<(), PipelineError> {
        // SAFETY: the caller's promises are the same.
        unsafe {
            self.submit_read_to_gpu_at_with_user_data(
                fd,
                offset,
                len,
                target_offset,
                target_offset,
                iovs,
            )
        }
    }

    /// As [`AsyncUringStream::submit_read_to_gpu_at`], with a number of the caller's, by which
    /// [`AsyncUringStream::poll_completions_into`] tells of the read.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn submit_read_to_gpu_at_with_user_data(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        target_offset: u64,
        user_data: u64,
        iovs: &mut [Iovec],
    ) -> Result<(), PipelineError> {
        let Some(first) = iovs.first_mut() else {
            return Err(PipelineError::QueueFull {
                queue: "iovecs",
                fix: "pass room for at least one iovec",
            });
        };
        let target = usize::try_from(target_offset).map_err(|_| out_of_range())?;
        let note = Note::new(fd, offset, Owner::Caller(user_data));
        // SAFETY: the caller's promises are the same.
        let address = unsafe { self.submit_note(note, len, target, None) }?;
        *first = Iovec {
            iov_base: address.cast(),
            iov_len: len as usize,
        };
        Ok(())
    }

    /// Queues a `READ_FIXED` of `len` bytes at `offset` of `fd` into the buffer at `chunk_idx * len`, bytes that lie in
    /// registered buffer `buf_index`: the buffer's gibibytes are registered as 0, 1 and so on, so 0 is the only one of
    /// a buffer of at most 1 GiB.
    ///
    /// # Errors
    /// As [`AsyncUringStream::submit_read_to_gpu`]; [`PipelineError::QueueFull`] also where the target is not inside
    /// that registered buffer; [`PipelineError::IoUringSyscall`] where the kernel refused to register.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`].
    pub unsafe fn submit_read_fixed(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        chunk_idx: usize,
        buf_index: u16,
    ) -> Result<(), PipelineError> {
        let target = chunk_target(chunk_idx, len)?;
        let user_data = u64::try_from(chunk_idx).unwrap_or(u64::MAX);
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit_read_fixed_at(fd, offset, len, target, buf_index, user_data) }
    }

    /// As [`AsyncUringStream::submit_read_fixed`], into the buffer at `target_offset`, with a number of the caller's, by
    /// which [`AsyncUringStream::poll_completions_into`] tells of the read.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn submit_read_fixed_at(
        &mut self,
        fd: i32,
        offset: u64,
        len: u32,
        target_offset: u64,
        buf_index: u16,
        user_data: u64,
    ) -> Result<(), PipelineError> {
        let target = usize::try_from(target_offset).map_err(|_| out_of_range())?;
        let note = Note::new(fd, offset, Owner::Caller(user_data));
        // SAFETY: the caller's promises are the same.
        unsafe { self.submit_note(note, len, target, Some(buf_index)) }.map(drop)
    }

    /// Queues a read, and returns its target's address. `demanded` is the registered buffer that it must use; without
    /// one it uses what there is.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_read_to_gpu`].
    pub(crate) unsafe fn submit_note(
        &mut self,
        mut note: Note,
        len: u32,
        target: usize,
        demanded: Option<u16>,
    ) -> Result<*mut u8, PipelineError> {
        self.enabled.clone()?;
        if len == 0 {
            return Err(PipelineError::InvalidArgument {
                what: "a read of no bytes",
                fix: "read at least one byte",
            });
        }
        let address = self
            .buffer
            .target(target, len as usize)
            .ok_or_else(out_of_range)?;
        self.queue.room()?;
        // A driver reads files only.
        note.is_stream = !matches!(note.owner, Owner::Slot(_)) && is_stream(note.fd);
        let same = |other: &Note| other.is_stream && other.fd == note.fd;
        if note.is_stream && self.queue.payloads().any(same) {
            return Err(PipelineError::QueueFull {
                queue: "reads of one stream",
                fix: "wait for the read of this socket or pipe that is in flight: it has no offsets to tell two apart",
            });
        }
        self.register();
        let fixed_buffer = self.registered_index(target, len as usize);
        if demanded.is_some() && demanded != fixed_buffer {
            return Err(match self.registration {
                Registration::Refused(errno) => {
                    setup::refused("io_uring_register(BUFFERS)", errno)
                }
                _ => PipelineError::QueueFull {
                    queue: "registered buffer",
                    fix: "name the registered buffer (each holds 1 GiB) that the whole target lies in",
                },
            });
        }
        let op = ReadOp {
            fd: note.fd,
            fixed_file: false,
            address,
            len,
            offset: if note.is_stream {
                NO_OFFSET
            } else {
                note.file_offset
            },
            fixed_buffer,
            // A pump's scan is of a whole chunk.
            take_short: note.is_stream && matches!(note.owner, Owner::Caller(_)),
            known_end: None,
            probing: false,
        };
        // SAFETY: `target` checked that the range lies inside the buffer and was not carved out for another owner; the
        // buffer is borrowed for `'a`, which outlives the queue, whose drop waits for all (`Farewell::WaitForAll`) as
        // the caller does not leak the stream. That nobody else uses the bytes and `fd` stays open is the caller's
        // promise.
        unsafe { self.queue.submit(op, note) }.map_err(|(_, error)| error)?;
        Ok(address)
    }

    /// Hands all queued reads to the kernel. [`AsyncUringStream::poll`] and
    /// [`AsyncUringStream::wait_for_completion`] do it too.
    ///
    /// # Errors
    /// Where the ring fails for good.
    pub fn flush_submissions(&mut self) -> Result<(), PipelineError> {
        let flushed = self.queue.flush();
        self.nvme.as_mut().map_or(Ok(()), ReadQueue::flush)?;
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
    fn for_each_over(&mut self, mut tell: impl FnMut(u64, Result<u32, PipelineError>)) {
        while let Some(finished) = self.queue.poll() {
            let (owner, bytes) = (finished.payload.owner, finished.bytes);
            let user_data = match owner {
                Owner::Caller(user_data) => user_data,
                Owner::Slot(slot) => u64::from(slot),
                Owner::Scan(scan) => u64::from(scan.slot),
            };
            match self.sort(finished) {
                Ok(true) => {
                    self.raise_tail();
                    tell(user_data, Ok(bytes));
                }
                Ok(false) => {}
                Err(error) => tell(user_data, Err(error)),
            }
        }
        while let Some(finished) = self.next_nvme() {
            let user_data = match finished.payload {
                NvmeOwner::Caller(user_data) => user_data,
                NvmeOwner::Slot(slot) => u64::from(slot),
                NvmeOwner::Canary => 0,
            };
            match finished.error {
                None => {
                    self.raise_tail();
                    tell(user_data, Ok(finished.bytes));
                }
                Some(error) => tell(
                    user_data,
                    Err(nvme_error(finished.payload, &finished.op, error)),
                ),
            }
        }
    }

    /// Puts a pump's read aside (false), passes a plain one on (true), and names what went wrong.
    pub(crate) fn sort(&mut self, finished: Finished<Note>) -> Result<bool, PipelineError> {
        let Finished {
            payload: note,
            bytes,
            error,
            ..
        } = finished;
        if let Some(errno) = error {
            return Err(note.error(bytes, errno));
        }
        match note.scan() {
            None => Ok(true),
            Some(scan) => {
                self.landed_scans.push_back(LandedScan {
                    scan: *scan,
                    file_offset: note.file_offset,
                    bytes,
                });
                Ok(false)
            }
        }
    }

    /// The next read that is over.
    pub(crate) fn next_finished(&mut self) -> Option<Finished<Note>> {
        self.queue.poll()
    }

    /// The next NVMe read that is over.
    pub(crate) fn next_nvme(&mut self) -> Option<Finished<NvmeOwner, NvmeOp>> {
        self.nvme.as_mut()?.poll()
    }

    /// Tells the device of one more landed read. What was written before is visible to whoever sees the new count.
    pub(crate) fn raise_tail(&self) {
        self.tail.fetch_add(1, Ordering::Release);
    }

    /// The scans of reads that are not over.
    pub(crate) fn scans_in_flight(&self) -> impl Iterator<Item = &Scan> {
        self.queue.payloads().filter_map(Note::scan)
    }

    /// Waits until a read is over, and takes what is over, as [`AsyncUringStream::poll`] does, which counts it later: so
    /// `while stream.inflight() > 0 { stream.wait_for_completion()? }` ends. Returns at once where none is in flight.
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
            let reading = self.queue.inflight() > 0;
            let Some(nvme) = self.nvme.as_mut().filter(|nvme| nvme.inflight() > 0) else {
                if !reading || self.queue.has_finished() {
                    return Ok(());
                }
                self.queue.wait(WAIT_STEP)?;
                continue;
            };
            if nvme.has_finished() || self.queue.has_finished() {
                return Ok(());
            }
            nvme.wait(if reading { TURN } else { WAIT_STEP })?;
            if reading {
                self.queue.wait(TURN)?;
            }
        }
    }

    /// Reads submitted and not taken by a poll yet.
    pub fn inflight(&self) -> u32 {
        let commands = self.nvme.as_ref().map_or(0, ReadQueue::inflight);
        self.queue.inflight().saturating_add(commands)
    }

    /// Whether nothing is in flight, and nothing that has landed waits for a pump.
    pub(crate) fn is_idle(&self) -> bool {
        self.inflight() == 0 && self.landed_scans.is_empty()
    }

    /// What was done so far: bytes by route, achieved queue depth, and why reads are not fixed if they are not. Each
    /// NVMe command counts as a read.
    pub fn stats(&self) -> ReaderStats {
        let mut stats = ReaderStats::from(self.queue.counters());
        if let Some(nvme) = &self.nvme {
            stats += ReaderStats::of_commands(nvme.counters());
        }
        if let Registration::Refused(errno) = self.registration {
            let bytes = self.buffer.len();
            stats.unregistered_reason = Some(if self.buffer.is_peer() {
                "peer memory cannot be registered".to_owned()
            } else {
                let error = std::io::Error::from_raw_os_error(errno);
                let limit = memlock_limit().map_or("none".to_owned(), |limit| limit.to_string());
                format!(
                    "registering {bytes} bytes failed: {error}; the memory-lock limit is {limit}: raise it (ulimit -l) \
                     or map less"
                )
            });
        }
        stats
    }

    /// The setup flags of the ring.
    pub fn flags(&self) -> SetupFlags {
        self.queue.flags()
    }

    /// Registers the buffer, once. Memory of another device is not registered: the kernel would refuse.
    fn register(&mut self) {
        if !matches!(self.registration, Registration::Untried) {
            return;
        }
        if self.buffer.is_peer() {
            self.registration = Registration::Refused(libc::EFAULT);
            return;
        }
        let base = self.buffer.base();
        let len = self.buffer.len();
        let iovecs: Vec<libc::iovec> = (0..len)
            .step_by(self.registered_stride)
            .map(|offset| libc::iovec {
                iov_base: base.wrapping_add(offset).cast(),
                iov_len: self.registered_bytes.min(len - offset),
            })
            .collect();
        let Ok(count) = u16::try_from(iovecs.len()) else {
            self.registration = Registration::Refused(libc::E2BIG);
            return;
        };
        let Some(ring) = self.queue.ring() else {
            return; // It has failed, so that nothing is submitted any more.
        };
        // SAFETY: the ranges together are the buffer, memory that is valid for `'a`, which outlives the ring.
        let result = unsafe { ring.submitter().register_buffers(&iovecs) };
        self.registration = match result {
            Ok(()) => Registration::Done(count),
            Err(error) => Registration::Refused(setup::errno_of(&error)),
        };
    }

    /// The registered buffer that holds all of these bytes of the buffer.
    pub(crate) fn registered_index(&self, target: usize, len: usize) -> Option<u16> {
        let Registration::Done(count) = self.registration else {
            return None;
        };
        let (index, within) = (
            target / self.registered_stride,
            target % self.registered_stride,
        );
        if len == 0 || within.checked_add(len)? > self.registered_bytes {
            return None;
        }
        let index = u16::try_from(index).ok()?;
        (index < count).then_some(index)
    }

    /// Registers the buffer so that each of its slots of `slot_bytes`, which begin `stride` bytes apart, lies in one
    /// registered buffer. What lies between slots is not registered: it would count against the memory-lock limit.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where the kernel refuses, [`PipelineError::QueueFull`] for slots of more than
    /// 1 GiB, and for a stream whose buffer was registered otherwise before.
    pub(crate) fn register_slots(
        &mut self,
        slot_bytes: usize,
        stride: usize,
    ) -> Result<(), PipelineError> {
        self.enabled.clone()?;
        if let (Registration::Untried, 1..=REGISTERED_BYTES) = (&self.registration, slot_bytes) {
            if slot_bytes == stride {
                self.registered_bytes = REGISTERED_BYTES / slot_bytes * slot_bytes;
                self.registered_stride = self.registered_bytes;
            } else {
                (self.registered_bytes, self.registered_stride) = (slot_bytes, stride);
            }
        }
        self.register();
        match self.registration {
            Registration::Refused(errno) => {
                Err(setup::refused("io_uring_register(BUFFERS)", errno))
            }
            _ if self.buffer.len() > self.registered_stride
                && !self.registered_stride.is_multiple_of(stride) =>
            {
                Err(PipelineError::QueueFull {
                    queue: "registered buffer",
                    fix: "hand in a stream that has not read yet, with slots of 1 GiB at most",
                })
            }
            _ => Ok(()),
        }
    }

    /// Length of the buffer, and whether it is memory of another device.
    pub(crate) fn memory(&self) -> (usize, bool) {
        (self.buffer.len(), self.buffer.is_peer())
    }

    /// The address of `len` bytes of the buffer.
    pub(crate) fn address(&self, target: usize, len: usize) -> Result<*mut u8, PipelineError> {
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

/// Whether a descriptor has no offsets, as a socket, a pipe or a terminal.
fn is_stream(fd: i32) -> bool {
    // SAFETY: takes numbers only; a descriptor that is not open is refused.
    let at = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    at < 0 && setup::errno_of(&std::io::Error::last_os_error()) == libc::ESPIPE
}

fn chunk_target(chunk_idx: usize, len: u32) -> Result<u64, PipelineError> {
    u64::try_from(chunk_idx)
        .ok()
        .and_then(|chunk| chunk.checked_mul(u64::from(len)))
        .ok_or_else(out_of_range)
}

fn out_of_range() -> PipelineError {
    PipelineError::QueueFull {
        queue: "mapped buffer",
        fix: "read into a range that lies inside the buffer and outside of its sub-regions, or map a larger buffer",
    }
}
