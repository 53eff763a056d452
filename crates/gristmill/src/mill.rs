//! The mill: files in, rows out, with everything between them bounded.
//!
//! A run is this pipeline, and each stage has a file here:
//!
//! - `feeder`: every worker of the kernel has a feeder of its own, with its own io_uring. When the worker has
//!   nothing to claim, its feeder reads on: it takes entries from the source, opens them, lands chunks and publishes a
//!   slot for each. A warm read is copied by the thread that submits it, so that thread claims the chunk next, while it
//!   is in its cache.
//! - `run`: what the feeders of a run share: the source, the files that several readers cut into chunks together, the
//!   pools of free chunk buffers.
//! - `collector`: completions become rows, in file order, under one lock; whichever worker comes by hands them in.
//! - `outbox`: rows and errors on their way to the caller, who writes them from [`Mill::run`] (`writer`).
//! - `held`: slots that return where they came from.
//! - `descriptors`: how many files may be open, and when an open that ran out of something is tried again.
//! - `halo`: where a chunk's own bytes lie in its buffer and what is around them, for jobs that look beyond them.
//! - `plan`: how many workers and chunks there are, `memory`: where the chunks lie.
//! - `split`: a chunk in parts, for jobs whose records overflow.
//! - `record`: finished slots on their way into a ring log, where one is wanted.
//!
//! What is bounded: chunk buffers (their number is fixed when the run starts), rows that cannot be written yet
//! ([`HELD_ROWS_BYTES`], then only the file that is being written goes on), rows and errors on their way out, open files (two
//! batches a reader and the files being cut, and no more than the process's limit of descriptors leaves).

mod collector;
mod descriptors;
mod feeder;
mod halo;
mod held;
mod memory;
mod outbox;
mod plan;
mod record;
mod report;
mod run;
mod split;
mod writer;

pub use plan::DEFAULT_MEMORY_BYTES;
pub use report::{FileError, RunReport, StageTimes};

use crate::jobs::Job;
use crate::source::{FileId, Source};
use descriptors::Descriptors;
use gristmill_ingest::reader::{DeviceRange, ReadPath, ReadPathChoice, ReaderDemands};
use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::backend::SelectedBackend;
use gristmill_megakernel::log::LoggedKernel;
use gristmill_megakernel::{FeederFactory, KernelConfig, KernelError, Lease};
use gristmill_protocol::PipelineError;
use gristmill_ring::{lock, RingConfig};
use halo::Layout;
use plan::Wanted;
use record::{LogOutput, Recorder};
use run::{Port, Run, RunConfig};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Chunk size of a job that wants no other, where none is asked for, in bytes: large enough that a read costs little beside
/// its copying, small enough to be scanned while it is still in cache, and for its records to fit into the area of a slot.
pub const DEFAULT_CHUNK_BYTES: usize = 512 * 1024;

/// Chunk size that suits jobs whose slots leave no records, in bytes. It was measured: digests and counts of matching lines
/// of a warm file take 5 to 15 percent less time than with [`DEFAULT_CHUNK_BYTES`].
pub const LARGE_CHUNK_BYTES: usize = 1024 * 1024;

/// Reads in flight per reader where no other number is asked for.
pub const DEFAULT_DEPTH: u32 = 8;

/// Files that a reader takes, opens and reads together.
pub const BATCH_FILES: usize = 16;

/// Rows of unfinished files and rows that wait to be written, in bytes, above which only the file that is being written out is read on.
pub const HELD_ROWS_BYTES: usize = 16 << 20;

/// Words of each slot's record area.
const RECORD_WORDS: u32 = 16_384;

/// Chunk buffers of each worker's reader at this depth: for its large files, and for a batch of small ones. Pages of a
/// buffer that no read ever fills are never touched.
pub fn chunks_per_worker(depth: u32) -> usize {
    depth as usize + BATCH_FILES
}

/// Builds a [`Mill`].
#[derive(Debug, Clone)]
pub struct MillBuilder {
    workers: usize,
    chunk_bytes: Option<usize>,
    depth: u32,
    memory: Option<usize>,
    read_path: ReadPathChoice,
    peer_memory: Option<String>,
    chunks: Option<usize>,
    strict: bool,
    device_range: Option<DeviceRange>,
    direct: bool,
    ordered: bool,
    backend: SelectedBackend,
}

impl MillBuilder {
    /// Where the kernel runs. Default: the [`CpuBackend`]; [`open`](gristmill_megakernel::backend::open) finds others.
    #[must_use]
    pub fn backend(mut self, backend: SelectedBackend) -> Self {
        self.backend = backend;
        self
    }

    /// Worker threads, each with a reader of its own. 0, the default, is one for each core; for a source that brings a single
    /// file which is smaller than a chunk it is one, and where no read path was named either, the file is read without a
    /// ring.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Bytes in a chunk: a multiple of 4,096 from 4 KiB to 64 MiB. Default: what suits the job
    /// ([`Job::chunk_bytes`]). A job may want
    /// smaller chunks, or such that are multiples of its own: see [`Geometry`](crate::jobs::Geometry).
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

    /// Bytes of chunk buffers and record areas at most. Where what the workers would have ([`chunks_per_worker`]) does not
    /// fit, readers get fewer chunks, then there are fewer workers, and [`RunReport::fallbacks`] says so. Default:
    /// [`DEFAULT_MEMORY_BYTES`], or a quarter of the memory that this process may have where that is less. Peer memory is
    /// not counted.
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
    /// Default: [`chunks_per_worker`].
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
    /// the cache, and counted in [`RunReport::direct_refused`].
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

    /// As many workers as were asked for, or as there are cores.
    fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, |cores| cores.get().min(256)),
            workers => workers,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for a setting out of range, and for settings that do not go with each other.
    pub fn build(self) -> Result<Mill, PipelineError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        if let Some(bytes) = self.chunk_bytes {
            check_chunk_bytes(bytes)?;
        }
        if !(1..=256).contains(&self.depth) {
            return invalid("a queue depth outside 1 to 256", "use a depth such as 8");
        }
        let past = ReadPathChoice::Only(ReadPath::GpuDirectNvmePassthrough);
        if self.chunks == Some(0) {
            return invalid("no chunk buffers", "use at least one for each worker");
        }
        if self.device_range.is_some() && self.read_path != past {
            return invalid(
                "a range of a device by another path than passthrough",
                "name passthrough, whose commands read devices",
            );
        }
        if self.direct && self.read_path == past {
            return invalid(
                "direct reads by NVMe passthrough",
                "leave out direct reads: passthrough never goes through the page cache",
            );
        }
        let backend = &*self.backend.backend;
        memory::check(
            self.peer_memory.as_deref(),
            self.read_path,
            self.direct,
            backend,
        )?;
        if self.workers > 256 {
            return invalid(
                "more than 256 workers",
                "use at most as many as there are cores",
            );
        }
        Ok(Mill { settings: self })
    }
}

fn check_chunk_bytes(bytes: usize) -> Result<(), PipelineError> {
    if (4096..=64 << 20).contains(&bytes) && bytes.is_multiple_of(4096) {
        return Ok(());
    }
    Err(PipelineError::InvalidArgument {
        what: "a chunk size that is not a multiple of 4 KiB between 4 KiB and 64 MiB",
        fix: "use a size such as 256K",
    })
}

/// A configured pipeline. Each [`run`](Mill::run) launches the kernel once and feeds it until the source is spent.
#[derive(Debug, Clone)]
pub struct Mill {
    settings: MillBuilder,
}

/// Counters that move while a run goes on, for progress displays.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes landed.
    pub bytes: AtomicU64,
    /// Files finished.
    pub files: AtomicU64,
}

type ErrorSink = Box<dyn FnMut(&FileError) + Send>;

/// How the caller of a run follows and ends it.
#[derive(Clone, Default)]
pub struct Control {
    stop: Arc<AtomicBool>,
    progress: Arc<Progress>,
    errors: Option<Arc<Mutex<ErrorSink>>>,
    written: Arc<Vec<(FileId, bool)>>,
    record: Arc<Mutex<Option<LogOutput>>>,
    kernel_failure: Arc<Mutex<Option<KernelError>>>,
}

impl Control {
    /// A control whose run ends soon after `stop` becomes true.
    pub fn with_stop(stop: Arc<AtomicBool>) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// Calls `sink` with each file that failed, as the run goes on. Called by the thread in [`Mill::run`].
    #[must_use]
    pub fn on_error(mut self, sink: impl FnMut(&FileError) + Send + 'static) -> Self {
        self.errors = Some(Arc::new(Mutex::new(Box::new(sink))));
        self
    }

    /// Records every slot of the next run in a ring log, which [`Replay`](crate::replay::Replay) runs again; the log's
    /// format is that of [`gristmill_megakernel::log`]. The run ends when `log` cannot be written: see
    /// [`RunReport::record`].
    #[must_use]
    pub fn record(self, log: impl Write + Send + 'static) -> Self {
        *run::lock(&self.record) = Some(Box::new(log));
        self
    }

    /// Tells of a file that the run writes, such as its log: it is not read. One that a walk has found is passed over; one
    /// that was named is a failure, or where it was `empty` when the run began is read as an empty one. Tell the source,
    /// too ([`Source::written`]).
    #[must_use]
    pub fn writing(mut self, file: FileId, empty: bool) -> Self {
        Arc::make_mut(&mut self.written).push((file, empty));
        self
    }

    /// Whether the run writes a file, and if so whether it was empty when the run began.
    fn writes(&self, file: FileId) -> Option<bool> {
        let written = self.written.iter().find(|(written, _)| *written == file);
        written.map(|(_, empty)| *empty)
    }

    /// Why the run's kernel could not be launched, or ended before the run: which kind of error it was, for callers who can
    /// do something about it.
    pub fn kernel_failure(&self) -> Option<KernelError> {
        run::lock(&self.kernel_failure).clone()
    }

    fn kernel_failed(&self, error: KernelError) {
        *run::lock(&self.kernel_failure) = Some(error);
    }

    /// The run's counters.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Asks the run to end: what was done so far is kept.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the run was asked to end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn report(&self, error: &FileError) {
        if let Some(sink) = &self.errors {
            let mut sink = lock(sink);
            (*sink)(error);
        }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("stopped", &self.stopped())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
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

    /// Runs `job` over every file of `source` and writes its rows to `output`.
    ///
    /// Files that fail are reported through `control` and counted; the run goes on with the others. A failing `output`
    /// ends the run: see [`RunReport::output`].
    ///
    /// # Errors
    /// [`PipelineError`] where the run cannot start: no memory, no read path of the kind asked for, a job whose geometry
    /// is out of range.
    pub fn run<J: Job + 'static>(
        &self,
        source: impl Source + 'static,
        job: Arc<J>,
        output: &mut dyn Write,
        control: &Control,
    ) -> Result<RunReport, PipelineError> {
        let started = Instant::now();
        let settings = &self.settings;
        let backend = &*settings.backend.backend;
        let geometry = job.geometry();
        geometry.check()?;
        let chunk_bytes = settings.chunk_bytes.unwrap_or_else(|| job.chunk_bytes());
        check_chunk_bytes(chunk_bytes)?;
        let layout = Layout::new(geometry, chunk_bytes);
        if settings.direct && !layout.is_direct() {
            return Err(PipelineError::InvalidArgument {
                what: "direct reads of chunks that are no multiple of 4 KiB",
                fix: "leave out direct reads, or declare larger chunks",
            });
        }
        let by_blocks = [ReadPath::GpuDirectNvmePassthrough, ReadPath::PeerRead];
        if by_blocks
            .map(ReadPathChoice::Only)
            .contains(&settings.read_path)
            && !layout.is_direct()
        {
            return Err(PipelineError::InvalidArgument {
                what: "reads of a disk's blocks into chunks that are no multiple of 4 KiB",
                fix: "use another read path, or declare larger chunks",
            });
        }
        let record_words = job.record_words().max(RECORD_WORDS);
        // For a single small file, threads, rings and buffers would cost more than all else.
        let alone = settings.workers == 0
            && settings.read_path == ReadPathChoice::Auto
            && !settings.direct
            && backend.device().is_none()
            && source
                .only_file()
                .is_some_and(|bytes| bytes < layout.chunk as u64);
        let (workers, chunks, read_path) = if alone {
            let positioned = ReadPathChoice::Only(ReadPath::PositionedRead);
            (1, plan::LEAST_CHUNKS, positioned)
        } else {
            // For what the reader has in flight, and for a batch of small files.
            let chunks = settings.chunks;
            let chunks = chunks.unwrap_or_else(|| chunks_per_worker(settings.depth));
            (settings.worker_count(), chunks, settings.read_path)
        };
        let wanted = Wanted {
            workers,
            chunks,
            buffer: layout.buffer(),
            records: record_words as usize * 4,
            memory: settings.memory,
        };
        let peer = settings.peer_memory.as_deref();
        let failed = |error: KernelError| {
            control.kernel_failed(error.clone());
            PipelineError::from(error)
        };
        let (plan, memory, tokens) = memory::planned(backend, peer, wanted).map_err(failed)?;
        let peer = memory.peer().map(str::to_owned);
        // No slot is ever missing for a chunk that has landed.
        let slots = u32::try_from(memory.count().next_power_of_two()).unwrap_or(u32::MAX);
        let ring = RingConfig {
            slots,
            ..RingConfig::default()
        };
        let run = Arc::new(Run::new(
            RunConfig {
                workers: plan.workers,
                layout,
                depth: settings.depth,
                read_path,
                demands: ReaderDemands {
                    device_range: settings.device_range,
                    all_registered: settings.strict,
                },
                strict: settings.strict,
                direct: settings.direct,
                ordered: settings.ordered,
            },
            Box::new(source),
            Arc::clone(&job),
            control.clone(),
            tokens,
            slots,
            if alone {
                Descriptors::of_one_file()
            } else {
                Descriptors::new(plan.workers)
            },
        ));
        if let Some(why) = &plan.why {
            run.add_fallback(why);
        }
        let feeders = (0..plan.workers)
            .map(|reader| {
                let run = Arc::clone(&run);
                Box::new(move |_worker| feeder::start(run, reader)) as FeederFactory
            })
            .collect();
        let kernel = backend.launch(
            KernelConfig {
                workers: backend.workers(plan.workers),
                ring,
                chunks: memory,
                record_words,
                lease: Lease::default(),
            },
            job.stream_job().into_iter().collect(),
            feeders,
        );
        let mut kernel = kernel.map_err(failed)?;
        job.prepare(&kernel)?;
        let log = run::lock(&control.record).take();
        let recorder = log.map(|log| {
            let opcode = job.opcode();
            let program = kernel.programs().get(opcode);
            let about = LoggedKernel {
                backend: backend.name().to_owned(),
                record_words,
                chunk_bytes: u32::try_from(layout.buffer()).unwrap_or(u32::MAX),
                jobs: job.stream_job().into_iter().collect(),
                programs: program
                    .map(|program| (opcode, program))
                    .into_iter()
                    .collect(),
            };
            Recorder::begin(log, about).map(|recorder| Mutex::new(Some(recorder)))
        });
        let recorder = recorder.transpose()?;
        let completions = kernel.take_completions().ok_or_else(|| {
            PipelineError::Backend(
                "the kernel's completions were taken already; launch a kernel for each run".into(),
            )
        })?;
        let port = Port {
            submitter: kernel.submitter().clone(),
            records: kernel.records().clone(),
            recorder,
        };
        run.attach(port, completions);
        let written = run.pump_output(&kernel, output, control);
        let stats = kernel.stats();
        if let Err(error) = kernel.shutdown() {
            // A kernel that had failed before has been told of.
            if !run.broken.load(Ordering::Acquire) {
                return Err(failed(error));
            }
        }
        let record = run.end_record();
        run.report(
            started.elapsed(),
            &settings.backend,
            peer,
            &stats,
            written,
            record,
        )
    }
}
