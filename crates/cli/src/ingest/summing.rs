//! The kernel's side of an ingest: every chunk that has landed is a slot of the ring, and its sum is what the slot leaves.

use gristmill::megakernel::backend::SelectedBackend;
use gristmill::megakernel::protocol::stream::{CrcResults, StreamArgs};
use gristmill::megakernel::protocol::{fault, opcode, slot, PipelineError};
use gristmill::megakernel::{Kernel, KernelConfig, KernelError, KernelStats, Lease, StreamJob};
use gristmill::ring::{
    ChunkBuf, ChunkMemory, Completions, LentChunk, RingConfig, SlotIndex, Submission,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a wait for the kernel is before it is asked whether it still runs.
const WAIT: Duration = Duration::from_millis(50);

/// Words of each slot's record area. CRC32C leaves no records.
const RECORD_WORDS: u32 = 64;

/// A running kernel that sums chunks.
pub(super) struct Summing {
    kernel: Kernel,
    completions: Completions,
    /// The chunks that the kernel has, and the bytes to be summed in each, by slot of the ring.
    running: HashMap<u32, (LentChunk, u32)>,
    done: Done,
}

/// What a kernel has done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) stats: KernelStats,
    /// Chunks that were summed.
    pub(super) chunks: u64,
    /// Bytes that were summed.
    pub(super) bytes: u64,
}

/// A chunk that the kernel is done with.
pub(super) struct Summed {
    pub(super) chunk: ChunkBuf,
    pub(super) bytes: u32,
    /// The CRC-32C of its first bytes.
    pub(super) crc: Result<u32, PipelineError>,
}

impl Summing {
    /// Launches the kernel over `memory`.
    ///
    /// # Errors
    /// The back end's.
    pub(super) fn launch(
        on: &SelectedBackend,
        workers: usize,
        memory: Arc<ChunkMemory>,
    ) -> Result<Self, KernelError> {
        let slots = u32::try_from(memory.count().next_power_of_two()).unwrap_or(u32::MAX);
        let config = KernelConfig {
            workers: on.backend.workers(workers),
            ring: RingConfig {
                slots,
                ..RingConfig::default()
            },
            chunks: memory,
            record_words: RECORD_WORDS,
            lease: Lease::default(),
        };
        let mut kernel = on
            .backend
            .launch(config, vec![StreamJob::Crc32c], Vec::new())?;
        let completions = kernel
            .take_completions()
            .ok_or_else(|| lost("the kernel's completions were taken already"))?;
        Ok(Summing {
            kernel,
            completions,
            running: HashMap::new(),
            done: Done::default(),
        })
    }

    /// Whether the kernel has no chunk.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Lets the kernel sum the first `bytes` bytes of a chunk.
    ///
    /// # Errors
    /// Where the ring has no slot left, which it has for each chunk.
    pub(super) fn submit(&mut self, chunk: LentChunk, bytes: u32) -> Result<(), PipelineError> {
        let submitter = self.kernel.submitter();
        let token = submitter
            .try_acquire()
            .ok_or_else(|| lost("the ring has no slot left for a chunk"))?;
        let args = StreamArgs {
            chunk: chunk.index(),
            len: bytes,
            ..StreamArgs::default()
        };
        let submission = Submission::new(opcode::CRC32C, &args.encode());
        let published = submitter.publish(token, &submission);
        let slot: SlotIndex = published.map_err(|(_token, error)| error)?;
        self.running.insert(slot.get(), (chunk, bytes));
        Ok(())
    }

    /// The next chunk that the kernel is done with, if there is one now.
    pub(super) fn poll(&mut self) -> Option<Summed> {
        let done = self.completions.next()?;
        let running = self.running.remove(&done.token.index().get());
        self.kernel.submitter().release(done.token);
        let (chunk, bytes) = running?;
        let crc = match done.status {
            slot::DONE => {
                self.done.chunks += 1;
                self.done.bytes += u64::from(bytes);
                Ok(CrcResults::decode(&done.results).crc)
            }
            _ => Err(lost(&format!("the kernel: {}", fault::name(done.fault)))),
        };
        Some(Summed {
            chunk: chunk.reclaim_completed(),
            bytes,
            crc,
        })
    }

    /// Waits a while for the kernel.
    ///
    /// # Errors
    /// Why it runs no more.
    pub(super) fn wait(&self) -> Result<(), KernelError> {
        self.completions.wait(WAIT);
        self.kernel.failure().map_or(Ok(()), Err)
    }

    /// Ends the kernel, and tells what it did.
    ///
    /// # Errors
    /// Where it ended in a way that it should not.
    pub(super) fn end(mut self) -> Result<Done, KernelError> {
        self.done.stats = self.kernel.stats();
        self.kernel.shutdown()?;
        Ok(self.done)
    }
}

fn lost(what: &str) -> PipelineError {
    PipelineError::Backend(format!("{what}; please report this"))
}
