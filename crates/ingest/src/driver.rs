//! From files and NVMe namespaces to the device's IO queue: each read fills one slot of a mapped buffer, and is published
//! there when it has landed. A driver is a stream ([`crate::stream`]) with slots.
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
//! Over the chunks of a running kernel (`chunks`) the device is that kernel: the driver's user lends the chunk of each
//! landing, lets the kernel's slots run over it, and hands it back, which recycles the queue's slot. A chunk that is lent is
//! refused at submission, too.
//!
//! # Paths
//!
//! A driver has one path, named when it is made, and never takes another ([`ReadPath`]). A transfer that another device than
//! the processor carries out (passthrough, and any read into peer memory) is checked once for each disk or file system, at
//! the first submission: a block is read into the slot, and compared with what an ordinary read brings. Where they differ,
//! this and every later submission is refused with what was found. None of these reads is counted.

mod chunks;

pub use crate::path::ReadPath as NativeReadPath;
pub use crate::stats::NvmeGpuIngestTelemetry;

use crate::admit;
use crate::engine::{Completion, ReadSource, SharedFile};
use crate::fs::{is_on_fuse, name_of, open_without_waiting};
use crate::gpudirect;
use crate::nvme::LbaRange;
use crate::path::ReadPath;
use crate::reader::ReadStats;
use crate::stats::IngestTransfers;
use crate::stream::{AsyncUringStream, Owner, ReadContext, StreamRead};
use gristmill_protocol::{MegakernelIoQueue, PipelineError};
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
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

/// A read that is under way.
#[derive(Debug, Clone, Copy)]
struct Reading {
    tag: u32,
    /// Bytes that it is to bring.
    bytes: u32,
    /// How many of them the disk writes to the slot itself where the engine does not tell, at most.
    direct: u64,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    /// Nothing is in flight for it. Whether the device owns it, the queue tells.
    Idle,
    Reading(Reading),
    /// This many bytes have landed, and the queue has not taken the publication yet.
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

/// Whether a driver may read by this path into host or into peer memory.
fn check_path(path: ReadPath, peer: bool) -> Result<(), PipelineError> {
    if path == ReadPath::PositionedRead {
        return Err(PipelineError::InvalidArgument {
            what: "a driver for positioned reads, which none does",
            fix: "use a ChunkReader for those, or another path",
        });
    }
    admit::memory(path, peer)?;
    if path == ReadPath::GpuDirectNvmePassthrough {
        gpudirect::require()?;
    }
    Ok(())
}

/// Reads files and blocks into the slots of a mapped buffer, and publishes them in an IO queue.
#[derive(Debug)]
pub struct NvmeGpuIngestDriver<'a> {
    stream: AsyncUringStream<'a>,
    slots: Vec<Slot>,
    layout: Layout,
    /// The chunks that the slots are, where they are a kernel's. After `stream`, whose reads land in them.
    chunks: Option<chunks::Chunks>,
    queue: MegakernelIoQueue,
    path: ReadPath,
    /// What was submitted and how it ended; the stream counts the rest.
    counts: ReadStats,
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
        Self::dividing(stream, slot_count, queue, ReadPath::RegisteredMappedRead)
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
        let path = ReadPath::GpuDirectNvmePassthrough;
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
        Self::dividing(stream, slot_count, queue, ReadPath::PeerRead)
    }

    /// A driver whose slots divide the stream's buffer.
    fn dividing(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
        path: ReadPath,
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
        path: ReadPath,
    ) -> Result<Self, PipelineError> {
        let mut driver = NvmeGpuIngestDriver {
            stream,
            slots: (0..layout.count).map(|_| Slot::Idle).collect(),
            layout,
            chunks: None,
            queue,
            path,
            counts: ReadStats::default(),
            failures: VecDeque::new(),
        };
        match path {
            ReadPath::RegisteredMappedRead => {
                driver.stream.register_slots(layout.bytes, layout.stride)?;
            }
            _ => drop(driver.stream.blocks(path)?),
        }
        Ok(driver)
    }

    /// Queues a read of a whole file, which must fit into the slot, by the driver's path. Its tag is the slot's number.
    /// A file without bytes lands at once.
    ///
    /// # Errors
    /// [`PipelineError::Read`] where the file cannot be opened, is no regular file, lies on a FUSE file system
    /// ([`is_on_fuse`]) or does not tell its size, and [`NvmeGpuIngestDriver::submit_file_range`]'s.
    pub fn submit_file(&mut self, path: &Path, slot: u32) -> Result<(), PipelineError> {
        self.admit(slot)?;
        let failed = |errno: Option<i32>, reason: String| PipelineError::Read {
            path: path.display().to_string(),
            offset: 0,
            errno,
            reason,
        };
        let refused = |error: std::io::Error| failed(error.raw_os_error(), error.to_string());
        let unfit = |reason: &str| failed(None, reason.to_owned());
        let flags = match self.path {
            ReadPath::PeerRead => libc::O_DIRECT,
            _ => 0,
        };
        let file = open_without_waiting(path, flags).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        if !metadata.is_file() {
            return Err(unfit("it is no regular file"));
        }
        if is_on_fuse(&file) {
            return Err(unfit(
                "it lies on a FUSE file system, of which a ring may read bytes twice; read it by positioned reads",
            ));
        }
        let size = metadata.len();
        // Files of /proc and the like say 0 and have bytes.
        if size == 0
            && self.path != ReadPath::PeerRead
            && matches!(file.read_at(&mut [0], 0), Ok(1..))
        {
            return Err(unfit("it does not tell its size"));
        }
        let len = self.fits(size)?;
        self.submit_file_range(&Arc::new(file), 0, len, slot, slot)
    }

    /// Queues a read of `len` bytes of a file from `offset` on into a slot, with a tag of the caller's; fewer where the
    /// file ends, as it is now. The driver keeps the file open until the read is over.
    ///
    /// By passthrough and into peer memory, `offset` must be a multiple of the disk's block size, and the slot must
    /// have room for whole blocks; for reads into peer memory the file must have been opened with O_DIRECT. A registered
    /// read of a file on FUSE is done by `pread` when it is polled for, as [`NvmeGpuIngestDriver::stats`] tells.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for more bytes than a slot has and for a slot that is not there or not free;
    /// [`PipelineError::InvalidArgument`] for a file that was opened in the wrong way, and for a slot without room for whole
    /// blocks; [`PipelineError::Backend`] where the file cannot be read by the driver's path, with the reason (see
    /// [`FileMap::read`](crate::nvme::FileMap::read)), or where its bytes do not arrive in this memory.
    pub fn submit_file_range(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: u32,
        slot: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        let target = self.admit(slot)?;
        self.fits(u64::from(len))?;
        let metadata = file.metadata().map_err(|error| PipelineError::Read {
            path: name_of(file.as_raw_fd()),
            offset,
            errno: error.raw_os_error(),
            reason: error.to_string(),
        })?;
        let left = metadata.len().saturating_sub(offset);
        let bytes = match u32::try_from(left) {
            Ok(left) if metadata.is_file() => len.min(left),
            _ => len,
        };
        let direct = match self.path {
            ReadPath::RegisteredMappedRead => {
                admit::brought_by_disk(file, offset, u64::from(bytes))
            }
            // The engine tells.
            _ => 0,
        };
        let reading = Reading { tag, bytes, direct };
        if bytes == 0 {
            self.begin(slot, reading)?;
            self.settle(slot, Ok(0), 0);
            return Ok(());
        }
        let source = ReadSource::Shared(Arc::clone(file) as SharedFile);
        // SAFETY: the source is shared, and what nobody else uses of the slot is `submit`'s to see.
        unsafe { self.submit(source, offset, target, slot, reading) }
    }

    /// Queues a read of `blocks` logical blocks of a namespace from `starting_lba` on into a slot, whose tag is its
    /// number. A read that is larger than the queue takes at once goes in pieces, one after the other.
    ///
    /// # Errors
    /// [`PipelineError::NvmePassthroughDisabled`] on a driver for another path; [`PipelineError::InvalidArgument`]
    /// where the namespace is another one, has other blocks or not these, and for no blocks;
    /// [`PipelineError::QueueFull`] for more bytes than a slot has and for a slot that is not there or not free;
    /// [`PipelineError::Backend`] where `nvme_fd` is no such device, and where bytes do not arrive in this memory.
    ///
    /// # Safety
    /// Until the read is over, or the driver is dropped: `nvme_fd`, a generic character device (`/dev/ng0n1`), must
    /// stay open, and its namespace must not be formatted anew. The driver must not be leaked with reads in flight,
    /// unless the memory stays, too.
    pub unsafe fn submit_native_nvme_read(
        &mut self,
        nvme_fd: i32,
        namespace_id: u32,
        starting_lba: u64,
        blocks: u32,
        bytes_per_block: u32,
        slot: u32,
    ) -> Result<(), PipelineError> {
        let source = ReadSource::Open(nvme_fd);
        let asked = Some((namespace_id, bytes_per_block));
        // SAFETY: the caller keeps `nvme_fd` open and does not leak the driver.
        unsafe { self.submit_lbas(source, asked, starting_lba, blocks, slot, slot) }
    }

    /// As [`NvmeGpuIngestDriver::submit_native_nvme_read`], with a tag of the caller's, of a device that the driver
    /// keeps open until the read is over. The namespace must not be formatted anew meanwhile.
    ///
    /// # Errors
    /// As there.
    pub fn submit_blocks(
        &mut self,
        device: &Arc<File>,
        starting_lba: u64,
        blocks: u32,
        slot: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        let source = ReadSource::Shared(Arc::clone(device) as SharedFile);
        // SAFETY: the source is shared. That the driver is not leaked with reads in flight while its memory goes away, the
        // buffer's maker has promised, or the buffer keeps the memory.
        unsafe { self.submit_lbas(source, None, starting_lba, blocks, slot, tag) }
    }

    /// Queues a read of blocks, of the namespace with this number and these blocks where that is `asked` for.
    ///
    /// # Safety
    /// As [`NvmeGpuIngestDriver::submit_native_nvme_read`]; a shared source needs no promise.
    unsafe fn submit_lbas(
        &mut self,
        source: ReadSource,
        asked: Option<(u32, u32)>,
        lba: u64,
        blocks: u32,
        slot: u32,
        tag: u32,
    ) -> Result<(), PipelineError> {
        if self.path != ReadPath::GpuDirectNvmePassthrough {
            return Err(PipelineError::NvmePassthroughDisabled);
        }
        let target = self.admit(slot)?;
        let namespace = self.stream.namespace(source.fd())?;
        if asked.is_some_and(|asked| asked != (namespace.id, namespace.block_bytes)) {
            return Err(PipelineError::InvalidArgument {
                what: "a read of another namespace, or of other blocks, than the device has",
                fix: "use the id and the block size that NvmeNamespace tells for this descriptor",
            });
        }
        let block = u64::from(namespace.block_bytes);
        let bytes = self.fits(u64::from(blocks) * block)?;
        namespace.check(LbaRange {
            lba,
            blocks: u64::from(blocks),
        })?;
        let direct = 0;
        let reading = Reading { tag, bytes, direct };
        // SAFETY: the caller's promises are the same. The namespace has the blocks, so the product fits.
        unsafe { self.submit(source, lba * block, target, slot, reading) }
    }

    /// Queues a read into a slot that was admitted, and counts it.
    ///
    /// # Safety
    /// An open source must stay open until the read is over. The driver must not be leaked with reads in flight while its
    /// memory goes away, which the maker of the buffer has promised already, unless the buffer keeps the memory.
    unsafe fn submit(
        &mut self,
        source: ReadSource,
        offset: u64,
        target: usize,
        slot: u32,
        reading: Reading,
    ) -> Result<(), PipelineError> {
        let mut counts = self.counts.clone();
        counts.count_submitted(reading.bytes)?;
        let read = StreamRead {
            context: ReadContext {
                fd: source.fd(),
                file_offset: offset,
                owner: Owner::Slot(slot),
            },
            source,
            offset,
            len: reading.bytes,
            fill: true,
            target,
            capacity: self.layout.bytes,
        };
        // SAFETY: the caller's promises. `admit` saw that neither the device nor another read has the slot, and its bytes lie
        // from `target` on.
        unsafe { self.stream.submit(self.path, read, None) }?;
        self.counts = counts;
        if let Some(state) = self.slots.get_mut(slot as usize) {
            *state = Slot::Reading(reading);
        }
        Ok(())
    }

    /// Notes a read that needs no engine.
    fn begin(&mut self, slot: u32, reading: Reading) -> Result<(), PipelineError> {
        self.counts.count_submitted(reading.bytes)?;
        if let Some(state) = self.slots.get_mut(slot as usize) {
            *state = Slot::Reading(reading);
        }
        Ok(())
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
    pub fn read_path(&self) -> ReadPath {
        self.path
    }

    /// The counters as they are now.
    pub fn telemetry_snapshot(&self) -> NvmeGpuIngestTelemetry {
        NvmeGpuIngestTelemetry::of(&self.counts, self.path)
    }

    /// Who moved the bytes that landed: the disk, or the kernel by a copy.
    pub fn transfers(&self) -> IngestTransfers {
        IngestTransfers::from(&self.counts)
    }

    /// Counts anew. Reads in flight count as submitted since, so that the counters add up when they are over.
    pub fn reset_telemetry(&mut self) {
        self.counts = ReadStats::default();
        for slot in &self.slots {
            if let Slot::Reading(reading) = slot {
                // Of 64 slots with less than 4 GiB each no counter overflows.
                let _ = self.counts.count_submitted(reading.bytes);
            }
        }
    }

    /// What was submitted and landed since the counters were last reset, and what was asked of the kernel ever: commands and
    /// reads, bytes by route, achieved depth.
    pub fn stats(&self) -> ReadStats {
        let mut stats = self.stream.stats();
        stats += self.counts.clone();
        stats
    }

    /// The oldest failure that was not returned yet, or else `trouble`.
    fn tell(&mut self, trouble: Option<PipelineError>) -> Result<(), PipelineError> {
        let failure = self.failures.pop_front().map(|failed| failed.error);
        failure.or(trouble).map_or(Ok(()), Err)
    }

    /// Sorts what is over and publishes what has landed. Returns an error that no read alone has: the ring's, or the
    /// queue's refusal, which is tried again at the next call.
    fn drain(&mut self, completed: &mut Vec<CompletedIngest>) -> Option<PipelineError> {
        let mut trouble = self.stream.flush_submissions().err();
        while let Some(completion) = self.stream.next_completion() {
            let Completion {
                payload, by_disk, ..
            } = completion;
            if let Owner::Slot(slot) = payload.owner {
                self.settle(slot, completion.outcome(), by_disk);
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

    /// Ends the read of a slot: `result` is the number of bytes that landed, `by_disk` of which the disk wrote there, or why
    /// it failed.
    fn settle(&mut self, slot: u32, result: Result<u32, PipelineError>, by_disk: u64) {
        let Some(state) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let Slot::Reading(Reading { tag, direct, .. }) = *state else {
            return;
        };
        let counted = match result {
            Ok(bytes) => {
                *state = Slot::Landed { tag, bytes };
                self.counts.count_landed(bytes, by_disk.max(direct))
            }
            Err(error) => {
                *state = Slot::Idle;
                self.failures.push_back(FailedIngest { slot, tag, error });
                self.counts.count_failed()
            }
        };
        if let Err(error) = counted {
            self.failures.push_back(FailedIngest { slot, tag, error });
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
}
