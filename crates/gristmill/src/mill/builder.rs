//! The settings of a mill, and what they may be.

use super::error::{MillError, Setting};
use super::plan::DEFAULT_DEPTH;
use gristmill_ingest::reader::{DeviceRange, ReadPath, ReadPathChoice};
use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::backend::{Backend, SelectedBackend};
use std::sync::Arc;

/// Builds a [`Mill`].
#[derive(Debug, Clone)]
pub struct MillBuilder {
    pub(super) workers: usize,
    pub(super) chunk_bytes: Option<usize>,
    pub(super) depth: u32,
    pub(super) memory: Option<usize>,
    pub(super) read_path: ReadPathChoice,
    pub(super) peer_memory: Option<String>,
    pub(super) chunks: Option<usize>,
    pub(super) strict: bool,
    pub(super) device_range: Option<DeviceRange>,
    pub(super) direct: bool,
    pub(super) ordered: bool,
    pub(super) backend: SelectedBackend,
}

impl MillBuilder {
    /// Where the kernel runs. Default: the [`CpuBackend`]; [`open`](gristmill_megakernel::backend::open) finds others.
    #[must_use]
    pub fn backend(mut self, backend: SelectedBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Worker threads, each with a reader of its own. 0, the default, is one for each core; for a source that brings a
    /// single file which is smaller than a chunk it is one, and where no read path was named either, the file is read
    /// without a ring.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Bytes in a chunk: a multiple of 4,096 from 4 KiB to 64 MiB. Default: what suits the job
    /// ([`Job::chunk_bytes`](crate::jobs::Job::chunk_bytes)). A job may want
    /// smaller chunks, or chunks that are a multiple of its own alignment: see [`Geometry`](crate::jobs::Geometry).
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = Some(bytes);
        self
    }

    /// Reads in flight at most, per reader: 1 to 256. Default [`DEFAULT_DEPTH`].
    #[must_use]
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// Bytes of chunk buffers and record areas at most. Where what the workers would have
    /// ([`chunks_per_worker`](super::chunks_per_worker)) does not fit, readers get fewer chunks, then there are fewer workers,
    /// and [`RunReport::fallbacks`](super::RunReport::fallbacks) says so. Default:
    /// [`DEFAULT_MEMORY_BYTES`](super::DEFAULT_MEMORY_BYTES), or a quarter of the memory that this process may have where
    /// that is less. Peer memory is not counted.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Which read path to take. Default: io_uring, and positioned reads where it is refused. By passthrough and into peer
    /// memory, which are never chosen unasked, each file that cannot be read so fails, with the reason.
    #[must_use]
    pub fn read_path(mut self, choice: ReadPathChoice) -> Self {
        self.read_path = choice;
        self
    }

    /// Lets chunks lie in the peer memory of the PCI device at this address, such as `0000:03:00.0`
    /// ([`PeerDevice::list`](gristmill_ingest::PeerDevice::list)), where a kernel on the processor looks at them over the
    /// bus. Read paths that go there are [`ReadPath::PeerRead`], [`ReadPath::GpuDirectNvmePassthrough`] and
    /// [`ReadPath::PositionedRead`], which is a copy by the processor; one must be named.
    ///
    /// The device must stay while a run goes on: looking at memory of a device that was removed ends the process by
    /// SIGBUS.
    #[must_use]
    pub fn peer_memory(mut self, address: impl Into<String>) -> Self {
        self.peer_memory = Some(address.into());
        self
    }

    /// Chunk buffers of each worker's reader: at least 1, and more than one for reads to go on while a chunk is looked at.
    /// Default: [`chunks_per_worker`](super::chunks_per_worker).
    #[must_use]
    pub fn chunks(mut self, count: usize) -> Self {
        self.chunks = Some(count);
        self
    }

    /// Whether nothing may stand in for the read path that is named. Only regular files that tell their size are read, and
    /// registered reads go into registered chunks alone; what the path cannot read so fails, with the reason.
    #[must_use]
    pub fn strict(mut self, yes: bool) -> Self {
        self.strict = yes;
        self
    }

    /// Reads this range of each file that is named, which must be the generic character device of an NVMe namespace, by
    /// [`ReadPath::GpuDirectNvmePassthrough`].
    #[must_use]
    pub fn device_range(mut self, range: DeviceRange) -> Self {
        self.device_range = Some(range);
        self
    }

    /// Whether files are opened with O_DIRECT, past the page cache. A file whose file system refuses is read through
    /// the cache, and counted in [`RunReport::direct_refused`](super::RunReport::direct_refused).
    #[must_use]
    pub fn direct(mut self, yes: bool) -> Self {
        self.direct = yes;
        self
    }

    /// Whether files' rows come in the source's order, rather than as files finish.
    #[must_use]
    pub fn ordered(mut self, yes: bool) -> Self {
        self.ordered = yes;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`MillError::Setting`] for a setting out of range, and for settings that do not go with each other.
    pub fn build(self) -> Result<Mill, MillError> {
        if let Some(bytes) = self.chunk_bytes {
            check_chunk_bytes(bytes)?;
        }
        if !(1..=256).contains(&self.depth) {
            return Err(Setting::Depth.into());
        }
        let past = ReadPathChoice::Only(ReadPath::GpuDirectNvmePassthrough);
        if self.chunks == Some(0) {
            return Err(Setting::Chunks.into());
        }
        if self.device_range.is_some() && self.read_path != past {
            return Err(Setting::DeviceRangeByOtherPath.into());
        }
        if self.direct && self.read_path == past {
            return Err(Setting::DirectPassthrough.into());
        }
        self.check_peer_memory(&*self.backend.backend)?;
        if self.workers > 256 {
            return Err(Setting::Workers.into());
        }
        Ok(Mill { settings: self })
    }

    /// As many workers as were asked for, or as there are cores.
    pub(super) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(256)),
            workers => workers,
        }
    }

    /// Whether peer memory, read path and back end go with each other.
    fn check_peer_memory(&self, backend: &dyn Backend) -> Result<(), MillError> {
        let peer = self.peer_memory.is_some();
        if peer && backend.device().is_some() {
            return Err(Setting::PeerMemoryOnDevice.into());
        }
        match self.read_path {
            ReadPathChoice::Auto if peer => Err(Setting::PeerMemoryWithoutPath.into()),
            ReadPathChoice::Auto => Ok(()),
            ReadPathChoice::Only(ReadPath::PositionedRead) if peer && self.direct => {
                Err(Setting::PeerMemoryDirect.into())
            }
            ReadPathChoice::Only(path) => Ok(gristmill_ingest::admit_memory(path, peer)?),
        }
    }
}

/// Whether chunks may be of this size, in bytes.
pub(super) fn check_chunk_bytes(bytes: usize) -> Result<(), Setting> {
    if (4096..=64 << 20).contains(&bytes) && bytes.is_multiple_of(4096) {
        Ok(())
    } else {
        Err(Setting::ChunkBytes)
    }
}

/// A configured pipeline. Each [`run`](Mill::run) launches the kernel once and feeds it until the source is spent.
#[derive(Debug, Clone)]
pub struct Mill {
    pub(super) settings: MillBuilder,
}

impl Mill {
    /// A builder with the default settings.
    pub fn builder() -> MillBuilder {
        MillBuilder {
            workers: 0,
            chunk_bytes: None,
            depth: DEFAULT_DEPTH,
            memory: None,
            read_path: ReadPathChoice::Auto,
            peer_memory: None,
            chunks: None,
            strict: false,
            device_range: None,
            direct: false,
            ordered: false,
            backend: SelectedBackend {
                backend: Arc::new(CpuBackend),
                why: "the default".into(),
            },
        }
    }
}
