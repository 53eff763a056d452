//! From files and NVMe namespaces to the device's IO queue: each read fills one slot of a mapped buffer, and is
//! published there when it has landed. A driver is a stream ([`crate::stream`]) with slots.
//!
//! # Who owns a slot
//!
//! Slot `n` of the buffer goes with slot `n` of the [`MegakernelIoQueue`]. It belongs, one after the other,
//!
//! 1. to nobody: the queue's slot is EMPTY and the driver has nothing in flight for it; only now may a read be
//!    submitted;
//! 2. to the driver, from a submission on, until the read has failed (then to nobody) or is published;
//! 3. to the device, from the publication on until it has recycled the queue's slot.
//!
//! The driver keeps no copy of what the device owns: it asks the queue. So a slot that is not EMPTY is refused at
//! submission, before any byte lands in it. A publication that the queue refuses is kept and tried again at each poll.
//!
//! # Paths
//!
//! A driver has one path, named when it is made, and never takes another ([`ReadPath`]). A transfer that another device
//! than the processor carries out (passthrough, and any read into peer memory) is checked once for each disk or file
//! system, at the first submission: a block is read into the slot, and compared with what an ordinary read brings.
//! Where they differ, this and every later submission is refused with what was found. None of these reads is counted.

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

/// Reads files and blocks into the slots of a mapped buffer, and publishes them in an IO queue.
#[derive(Debug)]
pub struct NvmeGpuIngestDriver<'a> {
    stream: AsyncUringStream<'a>,
    slots: Vec<Slot>,
    /// Bytes in a slot.
    slot_bytes: usize,
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
    /// [`PipelineError::QueueFull`] where the buffer does not divide into that many slots of at least a byte (and of 1
    /// GiB at most), the queue has fewer, or the stream has reads in flight; [`PipelineError::InvalidArgument`] for
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
    /// As [`NvmeGpuIngestDriver::new`] for slots; where [`GpuDirectCapability`](crate::GpuDirectCapability) is not
    /// available, its reason, or [`PipelineError::NvmePassthroughDisabled`].
    pub fn new_gpudirect(
        stream: AsyncUringStream<'a>,
        slot_count: u32,
        queue: MegakernelIoQueue,
    ) -> Result<Self, PipelineError> {
        let path = ReadPath::GpuDirectNvmePassthrough;
        Self::with_path(stream, slot_count, queue, path)
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

    /// Takes the reads that are over, and publishes those that landed. Returns what was published now.
    ///
    /// A read that failed takes nothing away from others: where something was published, that is the answer, and the
    /// failure is the next call's.
    ///
    /// # Errors
    /// The oldest failure that was not returned yet: a read's, with its slot, place and reason; the file changed while
    /// it was read by passthrough; the queue refused a publication (which is tried again at the next poll).
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

    /// Waits until a read is over, which the next poll takes. Returns at once where a poll would have something to
    /// return, or nothing is in flight.
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

    /// What was submitted and landed since the counters were last reset, and what was asked of the kernel ever:
    /// commands and reads, bytes by route, achieved depth.
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

    /// Ends the read of a slot: `result` is the number of bytes that landed, `by_disk` of which the disk wrote there,
    /// or why it failed.
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
