//! From files and NVMe namespaces to the device's IO queue: each read fills one slot of a mapped buffer, and is published
//! there when it has landed.
//!
//! # Who owns a slot
//!
//! Slot `n` of the buffer goes with slot `n` of the [`MegakernelIoQueue`]. It belongs, one after the other,
//!
//! 1. to nobody: the queue's slot is EMPTY and the driver has nothing in flight for it; only now may a read be submitted;
//! 2. to the driver, from a submission on, until the read has failed (then to nobody) or is published;
//! 3. to the device, from the publication on until it has recycled the queue's slot.
//!
//! The driver keeps no copy of what the device owns: it asks the queue. So a slot that is not EMPTY is refused at
//! submission, before any byte lands in it. A publication that the queue refuses is kept and tried again at each poll.
//!
//! Over the chunks of a running kernel (`chunks`) the device is that kernel: who was told of a landing lends the chunk, lets
//! the kernel's slots run over it, and hands it back, which recycles the queue's slot. A chunk that is away is refused at
//! submission, too.
//!
//! # Paths
//!
//! A driver has one path, named when it is made, and never takes another ([`NativeReadPath`]). A transfer that another
//! device than the processor must see through (passthrough, and any read into peer memory) is tried once for each disk or
//! file system, at the first submission: a block is read into the slot, and compared with what an ordinary read brings.
//! Where they differ, this and every later submission is refused with what was seen. None of these reads is counted.

mod blocks;
mod chunks;
mod file;

use crate::canary::{self, Canary};
use crate::gpudirect;
use crate::nvme::{FileMap, LbaRange, NvmeNamespace};
use crate::reader::ReaderStats;
use crate::stream::{nvme_error, AsyncUringStream, NvmeOwner, Owner};
use crate::telemetry::IngestTransfers;
pub use crate::telemetry::{NativeReadPath, NvmeGpuIngestTelemetry};
use gristmill_protocol::{MegakernelIoQueue, PipelineError};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;

/// A slot whose bytes have landed and that the device has been told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedIngest {
    /// The slot, of the buffer and of the queue.
    pub slot: u32,
    /// Bytes that landed in it, from its start.
    pub byte_count: u32,
    /// The number that the read was submitted with, which the queue's slot carries, too: the slot's own where none was
    /// given.
    pub tag: u32,
}

/// A read that has failed.
#[derive(Debug)]
pub struct FailedIngest {
    /// The slot, which is free again.
    pub slot: u32,
    /// The number that the read was submitted with.
    pub tag: u32,
    /// Why.
    pub error: PipelineError,
}

/// A read that is under way, or that has landed.
#[derive(Debug)]
struct Reading {
    tag: u32,
    /// Bytes that it is to bring.
    bytes: u32,
    /// How many of them the disk writes to the slot itself, at most.
    direct: u64,
    /// What is read, kept open.
    file: Option<Arc<File>>,
    /// Where the file's bytes lay when the read was submitted.
    map: Option<FileMap>,
}

/// What a canary is sent from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    /// A namespace, by the number of its character device.
    Namespace(u64),
    /// A file system, by the number of its block device: its files' places are seen to be right, too.
    FileSystem(u64),
}

#[derive(Debug)]
enum Slot {
    /// Nothing is in flight for it. Whether the device owns it, the queue tells.
    Idle,
    Reading(Reading),
    /// So many bytes have landed, and the queue has not taken the publication yet.
    Landed {
        tag: u32,
        bytes: u32,
    },
}

/// Where slots lie in the stream's buffer.
#[derive(Debug, Clone, Copy)]
struct Layout {
    count: usize,
    /// Bytes in a slot.
    bytes: usize,
    /// Bytes from one slot's first byte to the next one's.
    stride: usize,
}

/// Whether reads by this path may go into host or into peer memory.
fn check_path(path: NativeReadPath, peer: bool) -> Result<(), PipelineError> {
    let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
    match path {
        NativeReadPath::RegisteredMappedRead if peer => invalid(
            "peer memory for registered reads",
            "read into it by new_gpudirect or new_peer_read, or use host memory",
        ),
        NativeReadPath::PeerRead if !peer => invalid(
            "host memory for reads into peer memory",
            "make the buffer from peer memory, or use new(), whose reads are registered",
        ),
        NativeReadPath::PositionedRead => invalid(
            "a driver for positioned reads, which none does",
            "use a ChunkReader for those, or another path",
        ),
        NativeReadPath::GpuDirectNvmePassthrough => gpudirect::require(),
        NativeReadPath::RegisteredMappedRead | NativeReadPath::PeerRead => Ok(()),
    }
}

/// Reads files and blocks into the slots of a mapped buffer, and publishes them in an IO queue.
#[derive(Debug)]
pub struct NvmeGpuIngestDriver<'a> {
    /// First, so that it is dropped first: its reads use the files that `slots` keeps open.
    stream: AsyncUringStream<'a>,
    slots: Vec<Slot>,
    layout: Layout,
    /// The chunks that the slots are, where they are a kernel's.
    chunks: Option<chunks::Chunks>,
    queue: MegakernelIoQueue,
    path: NativeReadPath,
    telemetry: NvmeGpuIngestTelemetry,
    transfers: IngestTransfers,
    /// The generic character devices of disks that files lie on, by name.
    disks: HashMap<String, Arc<File>>,
    /// How the canary of each source ended.
    canaries: HashMap<Source, Result<(), PipelineError>>,
    /// Failures of reads that were not returned yet.
    failures: VecDeque<FailedIngest>,
}

impl<'a> NvmeGpuIngestDriver<'a> {
    /// A driver whose reads are `READ_FIXED` into the stream's buffer, in `slot_count` slots of equal size.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where the buffer does not divide into that many slots of at least a byte (and of
    /// 1 GiB at most), the queue has fewer, or the stream has reads in flight; [`PipelineError::InvalidArgument`] for peer
    /// memory, which cannot be registered; [`PipelineError::IoUringSyscall`] where the kernel refuses to register the
    /// buffer.
    pub fn new(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
    ) -> Result<Self, PipelineError> {
        Self::dividing(
            stream,
            slot_count,
            queue,
            NativeReadPath::RegisteredMappedRead,
        )
    }

    /// A driver whose reads are NVMe commands, of blocks or of files, into host or peer memory.
    ///
    /// # Errors
    /// As [`NvmeGpuIngestDriver::new`] for slots; where [`GpuDirectCapability`](crate::GpuDirectCapability) is not
    /// available, its reason, or [`PipelineError::NvmePassthroughDisabled`].
    pub fn new_gpudirect(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
    ) -> Result<Self, PipelineError> {
        let path = NativeReadPath::GpuDirectNvmePassthrough;
        Self::dividing(stream, slot_count, queue, path)
    }

    /// A driver whose reads are O_DIRECT reads of files into peer memory: the file system maps them, the disk writes to
    /// the other device.
    ///
    /// # Errors
    /// As [`NvmeGpuIngestDriver::new`] for slots; [`PipelineError::InvalidArgument`] for host memory.
    pub fn new_peer_read(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
    ) -> Result<Self, PipelineError> {
        Self::dividing(stream, slot_count, queue, NativeReadPath::PeerRead)
    }

    /// A driver whose slots divide the stream's buffer.
    fn dividing(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
        path: NativeReadPath,
    ) -> Result<Self, PipelineError> {
        let refused = |queue, fix| Err(PipelineError::QueueFull { queue, fix });
        check_path(path, stream.memory().1)?;
        if slot_count == 0 || queue.slot_count() < slot_count {
            return refused("io queue", "use 1 to 64 slots, and a queue with as many");
        }
        let (bytes, count) = (stream.memory().0, slot_count as usize);
        if bytes == 0 || !bytes.is_multiple_of(count) || bytes / count > u32::MAX as usize {
            return refused(
                "mapped buffer",
                "map a buffer that divides into slots of equal size, each of a byte to 4 GiB",
            );
        }
        if !stream.is_idle() {
            return refused(
                "reads in flight",
                "poll the stream until nothing is in flight",
            );
        }
        let layout = Layout {
            count,
            bytes: bytes / count,
            stride: bytes / count,
        };
        Self::over(stream, layout, queue, path)
    }

    /// A driver whose slots lie in the stream's buffer as `layout` says, which was seen to fit.
    fn over(
        stream: AsyncUringStream<'a>,
        layout: Layout,
        queue: MegakernelIoQueue,
        path: NativeReadPath,
    ) -> Result<Self, PipelineError> {
        let mut driver = NvmeGpuIngestDriver {
            stream,
            slots: (0..layout.count).map(|_| Slot::Idle).collect(),
            layout,
            chunks: None,
            queue,
            path,
            telemetry: NvmeGpuIngestTelemetry::default(),
            transfers: IngestTransfers::default(),
            disks: HashMap::new(),
            canaries: HashMap::new(),
            failures: VecDeque::new(),
        };
        match path {
            NativeReadPath::RegisteredMappedRead => {
                driver.stream.register_slots(layout.bytes, layout.stride)?;
            }
            NativeReadPath::GpuDirectNvmePassthrough => driver.stream.nvme_queue().map(|_| ())?,
            NativeReadPath::PeerRead | NativeReadPath::PositionedRead => {}
        }
        Ok(driver)
    }

    /// Takes the reads that are over, and publishes those that landed. Returns what was published now.
    ///
    /// A read that failed takes nothing away from others: where something was published, that is the answer, and the
    /// failure is the next call's.
    ///
    /// # Errors
    /// The oldest failure that was not told yet: a read's, with its slot, place and reason; the file changed while it was
    /// read by passthrough; the queue refused a publication (which is tried again at the next poll).
    pub fn poll_completions(&mut self) -> Result<Vec<CompletedIngest>, PipelineError> {
        let mut completed = Vec::new();
        let trouble = self.drain(&mut completed);
        if completed.is_empty() {
            self.tell(trouble)?;
        }
        Ok(completed)
    }

    /// As [`NvmeGpuIngestDriver::poll_completions`], into memory that is reused; what was in it is gone.
    ///
    /// # Errors
    /// As there; `completed` then still holds what was published.
    pub fn poll_completions_into(
        &mut self,
        completed: &mut Vec<CompletedIngest>,
    ) -> Result<(), PipelineError> {
        completed.clear();
        let trouble = self.drain(completed);
        self.tell(trouble)
    }

    /// As [`NvmeGpuIngestDriver::poll_completions_into`], with every read that has failed since it was last asked, each
    /// by its slot and tag. What was in both vectors is gone.
    ///
    /// # Errors
    /// Where the ring fails for good, or the queue refuses a publication; both vectors then hold what there is.
    pub fn poll_outcomes_into(
        &mut self,
        completed: &mut Vec<CompletedIngest>,
        failed: &mut Vec<FailedIngest>,
    ) -> Result<(), PipelineError> {
        completed.clear();
        failed.clear();
        let trouble = self.drain(completed);
        failed.extend(self.failures.drain(..));
        trouble.map_or(Ok(()), Err)
    }

    /// Waits until a read is over, which the next poll takes. Returns at once where a poll would have something to tell,
    /// or nothing is in flight.
    ///
    /// # Errors
    /// Where the ring fails for good.
    pub fn wait_for_completion(&mut self) -> Result<(), PipelineError> {
        let landed = self
            .slots
            .iter()
            .any(|slot| matches!(slot, Slot::Landed { .. }));
        if landed || !self.failures.is_empty() {
            return Ok(());
        }
        self.stream.wait_until_ready()
    }

    /// The queue.
    pub fn megakernel_io_queue(&self) -> &MegakernelIoQueue {
        &self.queue
    }

    /// The queue, for the device's side of it.
    pub fn megakernel_io_queue_mut(&mut self) -> &mut MegakernelIoQueue {
        &mut self.queue
    }

    /// Bytes in a slot.
    pub fn slot_bytes(&self) -> usize {
        self.layout.bytes
    }

    /// Number of slots.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// The path that every read takes.
    pub fn read_path(&self) -> NativeReadPath {
        self.path
    }

    /// The counters as they are now.
    pub fn telemetry_snapshot(&self) -> NvmeGpuIngestTelemetry {
        self.telemetry
    }

    /// Who moved the bytes that landed: the disk, or the kernel by a copy.
    pub fn transfers(&self) -> IngestTransfers {
        self.transfers
    }

    /// Counts anew. Reads in flight count as submitted since, so that the counters add up when they are over.
    pub fn reset_telemetry(&mut self) {
        let mut telemetry = NvmeGpuIngestTelemetry::default();
        for slot in &self.slots {
            if let Slot::Reading(reading) = slot {
                // Of 64 slots with less than 4 GiB each no counter overflows.
                telemetry = telemetry
                    .with_submitted(self.path, reading.bytes)
                    .unwrap_or(telemetry);
            }
        }
        self.telemetry = telemetry;
        self.transfers = IngestTransfers::default();
    }

    /// What the rings did: commands and reads, bytes by route, achieved depth.
    pub fn stats(&self) -> ReaderStats {
        self.stream.stats()
    }

    /// The oldest failure that was not told yet, or else `trouble`.
    fn tell(&mut self, trouble: Option<PipelineError>) -> Result<(), PipelineError> {
        let failure = self.failures.pop_front().map(|failed| failed.error);
        failure.or(trouble).map_or(Ok(()), Err)
    }

    /// Sorts what is over and publishes what has landed. Returns what goes on being wrong.
    fn drain(&mut self, completed: &mut Vec<CompletedIngest>) -> Option<PipelineError> {
        let mut trouble = self.stream.flush_submissions().err();
        while let Some(finished) = self.stream.next_finished() {
            if let Owner::Slot(slot) = finished.payload.owner {
                // Direct reads are of whole blocks: an error behind the last byte asked for does not count, such as that of
                // going on within a block, in a file that has grown meanwhile.
                let enough = matches!(self.slots.get(slot as usize),
                    Some(Slot::Reading(reading)) if finished.bytes >= reading.bytes);
                let result = match finished.error {
                    Some(errno) if !enough => Err(finished.payload.error(finished.bytes, errno)),
                    _ => Ok(finished.bytes),
                };
                self.settle(slot, result);
            }
        }
        while let Some(finished) = self.stream.next_nvme() {
            if let NvmeOwner::Slot(slot) = finished.payload {
                let result = match finished.error {
                    None => Ok(finished.bytes),
                    Some(error) => Err(nvme_error(finished.payload, &finished.op, error)),
                };
                self.settle(slot, result);
            }
        }
        for (slot, state) in (0..).zip(&mut self.slots) {
            let Slot::Landed { tag, bytes } = *state else {
                continue;
            };
            match self.queue.publish_slot(slot, slot, bytes, tag) {
                Ok(()) => {
                    *state = Slot::Idle;
                    self.stream.raise_tail();
                    completed.push(CompletedIngest {
                        slot,
                        byte_count: bytes,
                        tag,
                    });
                }
                Err(error) => {
                    trouble.get_or_insert(error);
                }
            }
        }
        trouble
    }

    /// Ends the read of a slot: `result` is the number of bytes that landed, or why it failed.
    fn settle(&mut self, slot: u32, result: Result<u32, PipelineError>) {
        let Some(state) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let Slot::Reading(reading) = std::mem::replace(state, Slot::Idle) else {
            return;
        };
        let result = result.and_then(|bytes| {
            if let (Some(file), Some(map)) = (&reading.file, &reading.map) {
                if !map.is_unchanged(file) {
                    return Err(file::changed(file, slot));
                }
            }
            // Whole blocks were read: what lies behind the last byte asked for does not count.
            Ok(bytes.min(reading.bytes))
        });
        let tag = reading.tag;
        let counted = match result {
            Ok(bytes) => {
                *state = Slot::Landed { tag, bytes };
                let transfers = self.transfers.with_landed(bytes, reading.direct);
                transfers.and_then(|transfers| {
                    let telemetry = self.telemetry.with_completed(bytes)?;
                    Ok((telemetry, transfers))
                })
            }
            Err(error) => {
                self.failures.push_back(FailedIngest { slot, tag, error });
                let telemetry = self.telemetry.with_failed();
                telemetry.map(|telemetry| (telemetry, self.transfers))
            }
        };
        match counted {
            Ok((telemetry, transfers)) => {
                self.telemetry = telemetry;
                self.transfers = transfers;
            }
            Err(error) => self.failures.push_back(FailedIngest { slot, tag, error }),
        }
    }

    /// Where a slot begins in the buffer, if a read may be submitted for it.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where it is not there, a read has it, or the device.
    fn admit(&self, slot: u32) -> Result<usize, PipelineError> {
        let refused = |fix| Err(PipelineError::QueueFull { queue: "slot", fix });
        match self.slots.get(slot as usize) {
            None => return refused("use a slot below slot_count()"),
            Some(Slot::Idle) => {}
            Some(_) => return refused("poll until the read of this slot is published"),
        }
        if !self.queue.is_recycled(slot) {
            return refused(
                "the device owns this slot: wait until it has recycled it, or use another",
            );
        }
        self.at_home(slot)?;
        Ok(slot as usize * self.layout.stride)
    }

    /// `bytes`, if a slot has room for as many.
    fn fits(&self, bytes: u64) -> Result<u32, PipelineError> {
        u32::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes as usize <= self.layout.bytes)
            .ok_or(PipelineError::QueueFull {
                queue: "slot",
                fix: "read at most slot_bytes() at once (in whole blocks, past the page cache), or map larger slots",
            })
    }

    /// Queues a read by commands, and counts it.
    ///
    /// # Safety
    /// As [`AsyncUringStream::submit_ranges`]; nobody but the driver owns the slot.
    unsafe fn submit_command(
        &mut self,
        fd: i32,
        namespace: &NvmeNamespace,
        ranges: &[LbaRange],
        target: usize,
        slot: u32,
        reading: Reading,
    ) -> Result<(), PipelineError> {
        let telemetry = self.telemetry.with_submitted(self.path, reading.bytes)?;
        let owner = NvmeOwner::Slot(slot);
        // SAFETY: the caller's promises are the same.
        unsafe {
            self.stream
                .submit_ranges(fd, namespace, ranges, target, owner)
        }?;
        self.begin(slot, reading, telemetry);
        Ok(())
    }

    /// Notes a read that was queued.
    fn begin(&mut self, slot: u32, reading: Reading, telemetry: NvmeGpuIngestTelemetry) {
        if let Some(state) = self.slots.get_mut(slot as usize) {
            *state = Slot::Reading(reading);
            self.telemetry = telemetry;
        }
    }

    /// Sees once for each source that commands bring bytes to this buffer: the block at `lba`, of which `ordinary` reads
    /// the first bytes in another way.
    fn prove_command(
        &mut self,
        source: Source,
        fd: i32,
        namespace: &NvmeNamespace,
        lba: u64,
        target: usize,
        ordinary: impl FnMut() -> Result<Vec<u8>, PipelineError>,
    ) -> Result<(), PipelineError> {
        let block = namespace.block_bytes as usize;
        let address = self.stream.address(target, block)?;
        // SAFETY: the address is of a block in the slot, which is the driver's alone (`admit`).
        let transfer = || unsafe { canary::read_by_command(fd, namespace, lba, address) };
        let what = format!("NVMe passthrough from {}", namespace.name);
        self.prove(source, &what, target, block, ordinary, transfer)
    }

    /// Runs the canary of a source where it has not run yet, and tells how it ended.
    fn prove(
        &mut self,
        source: Source,
        what: &str,
        target: usize,
        len: usize,
        ordinary: impl FnMut() -> Result<Vec<u8>, PipelineError>,
        transfer: impl FnMut() -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        if let Some(outcome) = self.canaries.get(&source) {
            return outcome.clone();
        }
        let address = self.stream.address(target, len)?;
        let into = if self.stream.memory().1 {
            "peer"
        } else {
            "host"
        };
        let what = format!("{what} into {into} memory");
        // SAFETY: `address` checked that `len` bytes, as many as `ordinary` returns at most, lie in the buffer, whose
        // memory is readable and writable; the slot is the driver's alone (`admit`).
        let outcome = match unsafe { canary::watch(&what, address, ordinary, transfer) }? {
            Canary::Sings => Ok(()),
            Canary::Silent(seen) => Err(seen),
        };
        self.canaries.insert(source, outcome.clone());
        outcome
    }
}
