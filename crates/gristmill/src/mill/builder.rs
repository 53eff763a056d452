//! The settings of a mill, and their checks.

use super::error::{MillError, Setting};
use super::plan::DEFAULT_DEPTH;
use crate::decode::Decode;
use crate::setters::setters;
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
    pub(super) decode: Decode,
    pub(super) backend: SelectedBackend,
}

impl MillBuilder {
    setters! {
        /// Where the kernel runs. Default: the [`CpuBackend`]; [`open`](gristmill_megakernel::backend::open) finds
        /// others.
        backend(backend: SelectedBackend) { backend = backend }

        /// The number of worker threads, each with a reader of its own. 0, the default, means one for each core. For a
        /// source with a single file that is smaller than a chunk it means one worker, and if no read path was chosen
        /// either, the file is read without a ring.
        workers(workers: usize) { workers = workers }

        /// The chunk size in bytes: a multiple of 4,096 from 4 KiB to 64 MiB. Default: the size that suits the job
        /// ([`Job::chunk_bytes`](crate::jobs::Job::chunk_bytes)). A job may want smaller chunks, or chunks that are a
        /// multiple of its own alignment: see [`Geometry`](crate::jobs::Geometry).
        chunk_bytes(bytes: usize) { chunk_bytes = Some(bytes) }

        /// The most reads in flight per reader: 1 to 256. Default [`DEFAULT_DEPTH`].
        depth(depth: u32) { depth = depth }

        /// The most bytes of chunk buffers and record areas. If the workers' usual number of chunks
        /// ([`chunks_per_worker`](super::chunks_per_worker)) does not fit, readers get fewer chunks, then the run gets
        /// fewer workers, and [`RunReport::fallbacks`](super::RunReport::fallbacks) says so. Default:
        /// [`DEFAULT_MEMORY_BYTES`](super::DEFAULT_MEMORY_BYTES), or a quarter of the memory that this process may use,
        /// if that is less. Peer memory is not counted.
        memory(bytes: usize) { memory = Some(bytes) }

        /// Which read path to take. Default: io_uring, and positioned reads where it is refused. Passthrough and reads
        /// into peer memory are never chosen by default; with them, each file that cannot be read this way fails, with
        /// the reason.
        read_path(choice: ReadPathChoice) { read_path = choice }

        /// Lets chunks lie in the peer memory of the PCI device at this address, such as `0000:03:00.0`
        /// ([`PeerDevice::list`](gristmill_ingest::PeerDevice::list)), where a kernel on the processor looks at them
        /// over the bus. The read paths into peer memory are [`ReadPath::PeerRead`],
        /// [`ReadPath::GpuDirectNvmePassthrough`] and [`ReadPath::PositionedRead`], which is a copy by the processor;
        /// one of them must be chosen.
        ///
        /// The device must not be removed during a run: an access to the memory of a removed device ends the process
        /// with SIGBUS.
        peer_memory(address: impl Into<String>) { peer_memory = Some(address.into()) }

        /// The number of chunk buffers of each worker's reader: at least 1. With more than one, reads go on while a
        /// chunk is processed. Default: [`chunks_per_worker`](super::chunks_per_worker).
        chunks(count: usize) { chunks = Some(count) }

        /// Whether the chosen read path has no fallback. Only regular files with a known size are read, and registered
        /// reads go only into registered chunks; a file that the path cannot read this way fails, with the reason.
        strict(yes: bool) { strict = yes }

        /// Reads this range of each named file by [`ReadPath::GpuDirectNvmePassthrough`]. Each must be the generic
        /// character device of an NVMe namespace.
        device_range(range: DeviceRange) { device_range = Some(range) }

        /// Whether files are opened with O_DIRECT, past the page cache. A file whose file system refuses is read
        /// through the cache, and counted in [`RunReport::direct_refused`](super::RunReport::direct_refused).
        direct(yes: bool) { direct = yes }

        /// Whether files' rows come in the source's order, rather than as files finish.
        ordered(yes: bool) { ordered = yes }

        /// How the bytes of files become those that the job sees: decompressed, or decoded. Such a file is read in
        /// order, by ordinary reads of the processor's, which leave no room for a choice: with a read path that has no
        /// fallback (passthrough, reads into peer memory, [`strict`](Self::strict)) it fails. Default: bytes are not
        /// changed.
        decode(decode: Decode) { decode = decode }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`MillError::Setting`] for a setting out of range, and for settings that exclude each other.
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

    /// The number of workers that was asked for, or else the number of cores.
    pub(super) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(256)),
            workers => workers,
        }
    }

    /// Checks that peer memory, read path and back end fit each other.
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

/// Checks that chunks may have this size, in bytes.
pub(super) fn check_chunk_bytes(bytes: usize) -> Result<(), Setting> {
    if (4096..=64 << 20).contains(&bytes) && bytes.is_multiple_of(4096) {
        Ok(())
    } else {
        Err(Setting::ChunkBytes)
    }
}

/// A configured pipeline. Each [`run`](Mill::run) launches the kernel once and feeds it until the source is exhausted.
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
            decode: Decode::default(),
            backend: SelectedBackend {
                backend: Arc::new(CpuBackend),
                why: "the default".into(),
            },
        }
    }
}
