//! Reads from files and NVMe namespaces for the device's IO queue. Each read fills one slot of a mapped buffer and is
//! published in the queue when it has landed. A driver is a stream ([`crate::stream`]) with slots.
//!
//! # Who owns a slot
//!
//! Slot `n` of the buffer corresponds to slot `n` of the [`MegakernelIoQueue`]. Its owner changes in this order:
//!
//! 1. nobody: the queue's slot is EMPTY and the driver has nothing in flight for it; only now may a read be submitted;
//! 2. the driver, from the submission until the read is published, or has failed (then nobody owns the slot again);
//! 3. the device, from the publication until it has recycled the queue's slot.
//!
//! The driver does not keep its own record of which slots the device owns; it looks at the queue. So a slot that is not
//! EMPTY is refused at submission, before any byte lands in it. If the queue refuses a publication, the driver keeps it
//! and tries again at each poll.
//!
//! # Paths
//!
//! A driver has one path ([`ReadPath`]), which is chosen when it is made, and never takes another. If a device other
//! than the processor carries out the transfer (passthrough, and any read into peer memory), it is checked once for
//! each disk or file system, at the first submission: a block is read into the slot and compared with the result of an
//! ordinary read. If they differ, this submission and every later one are refused with an error that says what was
//! found. These reads are not counted.

mod submit;

pub use crate::path::ReadPath as NativeReadPath;
pub use crate::stats::NvmeGpuIngestTelemetry;

use crate::admit;
use crate::engine::Completion;
use crate::gpudirect;
use crate::path::ReadPath;
use crate::reader::ReadStats;
use crate::stats::IngestTransfers;
use crate::stream::{AsyncUringStream, Owner};
use gristmill_protocol::{MegakernelIoQueue, PipelineError};
use std::collections::VecDeque;

/// A slot whose bytes have landed and that was published to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedIngest {
    /// The slot, of the buffer and of the queue.
    pub slot: u32,
    /// Bytes that landed in it, from its start.
    pub byte_count: u32,
    /// The tag with which the read was submitted, or the slot's number if no tag was given. The queue's slot carries
    /// the same tag.
    pub tag: u32,
}

/// A read that has failed.
#[derive(Debug)]
pub struct FailedIngest {
    /// The slot, which is free again.
    pub slot: u32,
    /// The tag with which the read was submitted.
    pub tag: u32,
    /// Why.
    pub error: PipelineError,
}

/// A read that is under way.
#[derive(Debug, Clone, Copy)]
struct Reading {
    tag: u32,
    /// Bytes that it is expected to transfer.
    bytes: u32,
    /// An upper bound on how many of these the disk writes to the slot itself, for engines that do not report this.
    direct: u64,
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    /// Nothing is in flight for it. The queue tells whether the device owns it.
    Idle,
    Reading(Reading),
    /// This many bytes have landed, and the queue has not taken the publication yet.
    Landed {
        tag: u32,
        bytes: u32,
    },
}

/// Reads files and blocks into the slots of a mapped buffer, and publishes them in an IO queue.
#[derive(Debug)]
pub struct NvmeGpuIngestDriver<'a> {
    stream: AsyncUringStream<'a>,
    slots: Vec<Slot>,
    /// Bytes in a slot.
    slot_bytes: usize,
    queue: MegakernelIoQueue,
    path: ReadPath,
    /// Counts submitted reads and how they ended; the stream counts everything else.
    counts: ReadStats,
    /// Failures of reads that were not returned yet.
    failures: VecDeque<FailedIngest>,
}

impl<'a> NvmeGpuIngestDriver<'a> {
    /// A driver whose reads are `READ_FIXED` into the stream's buffer, in `slot_count` slots of equal size.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] if the buffer cannot be divided into that many slots of 1 byte to 1 GiB each, if
    /// the queue cannot have that many, or if the stream has reads in flight; [`PipelineError::InvalidArgument`] for
    /// peer memory, which cannot be registered; [`PipelineError::IoUringSyscall`] where the kernel refuses to register
    /// the buffer.
    pub fn new(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
    ) -> Result<Self, PipelineError> {
        Self::with_path(stream, slot_count, queue, ReadPath::RegisteredMappedRead)
    }

    /// A driver whose reads are NVMe commands, of blocks or of files, into host or peer memory.
    ///
    /// # Errors
    /// As [`NvmeGpuIngestDriver::new`] for slots. If [`GpuDirectCapability`](crate::GpuDirectCapability) is not
    /// available, an error with its reason, or [`PipelineError::NvmePassthroughDisabled`].
    pub fn new_gpudirect(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
    ) -> Result<Self, PipelineError> {
        let path = ReadPath::GpuDirectNvmePassthrough;
        Self::with_path(stream, slot_count, queue, path)
    }

    /// A driver whose reads are O_DIRECT reads of files into peer memory. The file system finds the blocks, and the
    /// disk writes to the other device.
    ///
    /// # Errors
    /// As [`NvmeGpuIngestDriver::new`] for slots; [`PipelineError::InvalidArgument`] for host memory.
    pub fn new_peer_read(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
    ) -> Result<Self, PipelineError> {
        Self::with_path(stream, slot_count, queue, ReadPath::PeerRead)
    }

    fn with_path(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
        path: ReadPath,
    ) -> Result<Self, PipelineError> {
        let refused = |queue, fix| Err(PipelineError::QueueFull { queue, fix });
        let (bytes, peer) = stream.memory();
        admit::memory(path, peer)?;
        if path == ReadPath::GpuDirectNvmePassthrough {
            gpudirect::require()?;
        }
        if slot_count == 0 || queue.slot_count() < slot_count {
            return refused("io queue", "use 1 to 64 slots, and a queue with as many");
        }
        let count = slot_count as usize;
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
        let mut driver = NvmeGpuIngestDriver {
            stream,
            slots: vec![Slot::Idle; count],
            slot_bytes: bytes / count,
            queue,
            path,
            counts: ReadStats::default(),
            failures: VecDeque::new(),
        };
        match path {
            ReadPath::RegisteredMappedRead => {
                driver.stream.register_slots(driver.slot_bytes)?;
            }
            _ => drop(driver.stream.blocks(path)?),
        }
        Ok(driver)
    }

    /// Takes the reads that have ended, and publishes those that landed. Returns the reads that this call published.
    ///
    /// A failed read does not hide the others: if anything was published, this call returns that, and the next call
    /// returns the failure.
    ///
    /// # Errors
    /// The oldest failure that was not returned yet. It is that of a read, with its slot, place and reason (such as
    /// that the file changed while it was read by passthrough), or the queue refused a publication (which is tried
    /// again at the next poll).
    pub fn poll_completions(&mut self) -> Result<Vec<CompletedIngest>, PipelineError> {
        let mut completed = Vec::new();
        let trouble = self.drain(&mut completed);
        if completed.is_empty() {
            self.tell(trouble)?;
        }
        Ok(completed)
    }

    /// As [`NvmeGpuIngestDriver::poll_completions`], but reuses the memory of `completed` and overwrites its contents.
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

    /// As [`NvmeGpuIngestDriver::poll_completions_into`], and also returns every read that has failed since the last
    /// call, each with its slot and tag. The previous contents of both vectors are overwritten.
    ///
    /// # Errors
    /// An error if the ring fails permanently, or if the queue refuses a publication. Both vectors then hold the
    /// results so far.
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

    /// Waits until a read has ended, and leaves it to the next poll. Returns at once if a poll would have something to
    /// return, or if nothing is in flight.
    ///
    /// # Errors
    /// An error if the ring fails permanently.
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

    /// The queue for writing, for the device's side.
    pub fn megakernel_io_queue_mut(&mut self) -> &mut MegakernelIoQueue {
        &mut self.queue
    }

    /// Bytes in a slot.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
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

    /// How the bytes that landed were moved: by the disk itself, or by a copy in the kernel.
    pub fn transfers(&self) -> IngestTransfers {
        IngestTransfers::from(&self.counts)
    }

    /// Resets the counters. Reads in flight count as submitted after the reset, so that the counters add up when they
    /// have ended.
    pub fn reset_telemetry(&mut self) {
        self.counts = ReadStats::default();
        for slot in &self.slots {
            if let Slot::Reading(reading) = slot {
                // There are at most 64 slots of less than 4 GiB each, so no counter overflows.
                let _ = self.counts.count_submitted(reading.bytes);
            }
        }
    }

    /// The reads that were submitted and that landed since the last reset, and everything that was asked of the kernel
    /// since the stream was made: commands and reads, bytes by route, achieved depth.
    pub fn stats(&self) -> ReadStats {
        let mut stats = self.stream.stats();
        stats += self.counts.clone();
        stats
    }

    /// Returns the oldest failure that was not returned yet, or else `trouble`.
    fn tell(&mut self, trouble: Option<PipelineError>) -> Result<(), PipelineError> {
        let failure = self.failures.pop_front().map(|failed| failed.error);
        failure.or(trouble).map_or(Ok(()), Err)
    }

    /// Handles the reads that have ended, and publishes those that landed. Returns an error that does not belong to a
    /// single read: the ring's, or the queue's refusal of a publication, which is tried again at the next call.
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

    /// Ends the read of a slot. `result` is the number of bytes that landed, or the reason why the read failed;
    /// `by_disk` is how many of these bytes the disk wrote there itself.
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
}
