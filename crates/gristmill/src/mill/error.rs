//! Why a mill cannot be built, or a run not start.

use gristmill_megakernel::KernelError;
use gristmill_protocol::PipelineError;

/// Why a mill cannot be built, or a run not start.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MillError {
    /// A setting is out of range, or settings exclude each other.
    #[error("invalid argument: {}: {}", .0.what(), .0.fix())]
    Setting(Setting),
    /// The peer memory of the device has no room for the run's chunks.
    #[error(
        "{chunks} chunks of {chunk_bytes} bytes, each with a page behind it, need {needed} bytes of peer memory, and \
         {address} has {available} available: use fewer workers, a smaller depth or smaller chunks"
    )]
    PeerMemoryFull {
        /// The device's address on the bus.
        address: String,
        /// The number of chunks of the run.
        chunks: u32,
        /// Bytes of a chunk's buffer.
        chunk_bytes: usize,
        /// Bytes that the chunks need.
        needed: u64,
        /// Bytes of peer memory that the device has.
        available: u64,
    },
    /// A run of no jobs, or of more than [`MAX_JOBS`](super::MAX_JOBS).
    #[error(
        "invalid argument: a run of {count} jobs: give at least one, and at most {}",
        super::plan::MAX_JOBS
    )]
    JobCount {
        /// How many were given.
        count: usize,
    },
    /// Jobs that share chunks, one of which wants them larger than another takes them.
    #[error(
        "`{aligned}` takes chunks of whole blocks of {align} bytes, and `{small}` chunks of at most {max_chunk}, so that no \
         chunk suits both: run one of them alone"
    )]
    ChunksOfJobs {
        /// The job with the blocks.
        aligned: String,
        /// The size of its blocks in bytes.
        align: usize,
        /// The job with the small chunks.
        small: String,
        /// Their largest size in bytes.
        max_chunk: usize,
    },
    /// The kernel could not be launched, or could not be shut down.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The job refused, or the run's counters do not add up.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// What is wrong with the settings of a mill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// A chunk size that is not a multiple of 4 KiB from 4 KiB to 64 MiB.
    ChunkBytes,
    /// A queue depth outside of 1 to 256.
    Depth,
    /// More than 256 workers.
    Workers,
    /// Direct reads by NVMe passthrough, which never goes through the page cache.
    DirectPassthrough,
    /// Direct reads of chunks whose size is not a multiple of 4 KiB.
    DirectUnaligned,
    /// Reads of a disk's blocks into chunks whose size is not a multiple of 4 KiB.
    BlocksUnaligned,
    /// No chunk buffers.
    Chunks,
    /// A range of a device that is read by another path than passthrough.
    DeviceRangeByOtherPath,
    /// Peer memory for a kernel on a device, which cannot access it.
    PeerMemoryOnDevice,
    /// Peer memory without a read path into it.
    PeerMemoryWithoutPath,
    /// Direct positioned reads into peer memory.
    PeerMemoryDirect,
}

impl Setting {
    /// The setting, in words.
    pub fn what(self) -> &'static str {
        self.words().0
    }

    /// What to set instead, in words.
    pub fn fix(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        let ways = "name a read path that goes there: peer (O_DIRECT), passthrough (NVMe commands), or positioned (a copy \
                    by the processor)";
        match self {
            Setting::ChunkBytes => (
                "a chunk size that is not a multiple of 4 KiB between 4 KiB and 64 MiB",
                "use a size such as 256K",
            ),
            Setting::Depth => (
                "a queue depth outside 1 to 256",
                "use a depth such as 8",
            ),
            Setting::Workers => (
                "more than 256 workers",
                "use at most as many as there are cores",
            ),
            Setting::DirectPassthrough => (
                "direct reads by NVMe passthrough",
                "leave out direct reads: passthrough never goes through the page cache",
            ),
            Setting::DirectUnaligned => (
                "direct reads of chunks that are not a multiple of 4 KiB",
                "leave out direct reads, or declare larger chunks",
            ),
            Setting::BlocksUnaligned => (
                "reads of a disk's blocks into chunks that are not a multiple of 4 KiB",
                "use another read path, or declare larger chunks",
            ),
            Setting::Chunks => ("no chunk buffers", "use at least one for each worker"),
            Setting::DeviceRangeByOtherPath => (
                "a range of a device by another path than passthrough",
                "name passthrough, whose commands read devices",
            ),
            Setting::PeerMemoryOnDevice => (
                "peer memory for a kernel on a device, which does not see it",
                "run the kernel on the processor, or leave out peer memory",
            ),
            Setting::PeerMemoryWithoutPath => {
                ("peer memory and no read path that goes there", ways)
            }
            Setting::PeerMemoryDirect => (
                "direct positioned reads into peer memory",
                "use the read path peer, which sees whether the bytes arrive, or leave out direct reads",
            ),
        }
    }
}

impl From<Setting> for MillError {
    fn from(setting: Setting) -> Self {
        MillError::Setting(setting)
    }
}

impl From<MillError> for PipelineError {
    fn from(error: MillError) -> Self {
        match error {
            MillError::Pipeline(error) => error,
            MillError::Kernel(error) => error.into(),
            MillError::Setting(setting) => PipelineError::InvalidArgument {
                what: setting.what(),
                fix: setting.fix(),
            },
            other @ (MillError::PeerMemoryFull { .. }
            | MillError::JobCount { .. }
            | MillError::ChunksOfJobs { .. }) => PipelineError::Backend(other.to_string()),
        }
    }
}
