//! One run, from the launch of its kernel to its report.

use super::builder::{check_chunk_bytes, Mill};
use super::control::Control;
use super::descriptors::Descriptors;
use super::error::{MillError, Setting};
use super::feeder;
use super::flight::KernelEnds;
use super::halo::Layout;
use super::memory;
use super::output::Written;
use super::plan::{chunks_per_worker, Wanted, LEAST_CHUNKS, REMOTE_CHUNKS};
use super::record::Recorder;
use super::report::{DecodedBytes, JobReport, ObjectBytes, RunReport, StageTimes};
use super::run::{Run, RunConfig};
use super::status::Status;
use super::task::{Jobs, Task};
use crate::divided::Divided;
use crate::jobs::Job;
use crate::source::Source;
use gristmill_ingest::reader::{ReadPath, ReadPathChoice, ReaderDemands};
use gristmill_megakernel::log::LoggedKernel;
use gristmill_megakernel::{FeederFactory, Kernel, KernelConfig, KernelStats, Lease};
use gristmill_protocol::PipelineError;
use gristmill_ring::RingConfig;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What reads the files of a run.
struct Crew {
    /// Whether it reads one small file.
    alone: bool,
    workers: usize,
    /// Chunks of each worker.
    chunks: usize,
    read_path: ReadPathChoice,
}

/// Words of each slot's record area, unless the job needs more.
const RECORD_WORDS: u32 = 16_384;

impl Mill {
    /// Runs `job` over every file of `source` and writes its rows to `output`.
    ///
    /// Files that fail are reported through `control` and counted; the run goes on with the others. A failing `output`
    /// ends the run: see [`RunReport::output`].
    ///
    /// # Errors
    /// [`MillError`] if the run cannot start: for lack of memory, without the chosen read path, or for a job whose
    /// geometry is out of range.
    pub fn run<J: Job + 'static>(
        &self,
        source: impl Source + 'static,
        job: Arc<J>,
        output: &mut dyn Write,
        control: &Control,
    ) -> Result<RunReport, MillError> {
        let mut report = self.launch(Box::new(source), vec![Task::new(job, output)], control)?;
        // The error itself is where the only job's is looked for.
        for only in &mut report.jobs {
            std::mem::swap(&mut report.output, &mut only.output);
        }
        Ok(report)
    }

    /// Runs several jobs over every file of `source`, which is read once: each chunk that has landed is shown to every
    /// job, and goes back to its reader when the last is done with it. Each job's rows go to its own output, and are
    /// what [`run`](Self::run) gives for that job alone.
    ///
    /// - A job that has done with a file ([`Flow::SkipFile`](crate::jobs::Flow)) or wants no more
    ///   ([`Flow::Stop`](crate::jobs::Flow)) has done so for itself. A file is read as long as a job needs it, and the run
    ///   goes on as long as a job does.
    /// - A file that cannot be read is reported once, and counts as one failure; each job ends it as failed. What fails in
    ///   one job alone, such as a panic of its code, ends the file for that job, and
    ///   [`FileError::job`](crate::error::FileError::job) names it.
    /// - An output that fails ends its job, not the others: see [`JobReport::output`]. An output that blocks holds up all,
    ///   as the rows that wait are bounded for all jobs together.
    /// - The settings of the mill, such as [`decode`](super::MillBuilder::decode), hold for all jobs. Chunks have the
    ///   smallest size that a job asks for, unless one is set.
    ///
    /// ```
    /// use gristmill::jobs::digest::{Algorithm, DigestJob, DigestRows};
    /// use gristmill::jobs::stats::{StatsJob, StatsRows};
    /// use gristmill::mill::{Control, Mill, Task};
    /// use gristmill::source::Tree;
    /// use std::sync::Arc;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let digest = Arc::new(DigestJob::new(Algorithm::Blake3.into(), DigestRows::Text));
    /// let stats = Arc::new(StatsJob::new(StatsRows::Text));
    /// let (mut sums, mut table) = (Vec::new(), Vec::new());
    /// let report = Mill::builder().workers(1).build()?.run_all(
    ///     Tree::new(["Cargo.toml"]).walk()?,
    ///     vec![
    ///         Task::new(digest, &mut sums).named("digest"),
    ///         Task::new(Arc::clone(&stats), &mut table).named("stats"),
    ///     ],
    ///     &Control::default(),
    /// )?;
    /// assert!(sums.ends_with(b"  Cargo.toml\n") && table.ends_with(b"  Cargo.toml\n"));
    /// // The file was read once, and both jobs have seen all of it.
    /// assert_eq!(report.reads.bytes(), report.bytes);
    /// assert!(report.jobs.iter().all(|job| job.bytes == report.bytes));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MillError`] as for [`run`](Self::run), for no jobs or more than [`MAX_JOBS`](super::MAX_JOBS), for jobs that
    /// cannot share chunks, and for a job that the back end cannot run.
    pub fn run_all(
        &self,
        source: impl Source + 'static,
        tasks: Vec<Task<'_>>,
        control: &Control,
    ) -> Result<RunReport, MillError> {
        self.launch(Box::new(source), tasks, control)
    }

    fn launch(
        &self,
        source: Box<dyn Source>,
        tasks: Vec<Task<'_>>,
        control: &Control,
    ) -> Result<RunReport, MillError> {
        let started = Instant::now();
        let settings = &self.settings;
        let backend = &*settings.backend.backend;
        let (jobs, mut outputs) = Jobs::new(tasks, backend.device().is_some())?;
        let jobs = Arc::new(jobs);
        let layout = self.layout(&jobs)?;
        let record_words = jobs.record_words.max(RECORD_WORDS);
        let crew = self.crew(&*source, &layout);
        let wanted = Wanted {
            workers: crew.workers,
            chunks: crew.chunks,
            buffer: layout.buffer(),
            records: record_words as usize * 4,
            jobs: jobs.len(),
            memory: settings.memory,
        };
        let peer = settings.peer_memory.as_deref();
        let (plan, memory, tokens) = memory::planned(backend, peer, wanted)?;
        let peer = memory.peer().map(str::to_owned);
        // Every chunk has a slot for each job, so one that has landed never waits for a slot.
        let slots = (memory.count() * jobs.len()).next_power_of_two();
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let ring = RingConfig {
            slots,
            ..RingConfig::default()
        };
        let config = RunConfig {
            workers: plan.workers,
            layout,
            depth: settings.depth,
            read_path: crew.read_path,
            demands: ReaderDemands {
                device_range: settings.device_range,
                all_registered: settings.strict,
            },
            strict: settings.strict,
            direct: settings.direct,
            ordered: settings.ordered,
            decode: settings.decode,
        };
        let status = Arc::new(Status::new(control.clone()));
        let descriptors = match crew.alone {
            true => Descriptors::of_one_file(Arc::clone(&status)),
            false => Descriptors::new(plan.workers, Arc::clone(&status)),
        };
        let run = Run::new(config, source, &jobs, status, tokens, slots, descriptors);
        let run = Arc::new(run);
        if let Some(why) = &plan.why {
            run.counters.add_fallback(why);
        }
        let feeders = (0..plan.workers)
            .map(|reader| {
                let run = Arc::clone(&run);
                Box::new(move |_worker| feeder::start(run, reader)) as FeederFactory
            })
            .collect();
        let mut kernel = backend.launch(
            KernelConfig {
                workers: backend.workers(plan.workers),
                ring,
                chunks: memory,
                record_words,
                lease: Lease::default(),
            },
            jobs.kernel_jobs(),
            feeders,
        )?;
        jobs.prepare(&kernel)?;
        let recorder = control.take_log().map(|log| {
            let about = self.logged(&jobs, &kernel, record_words, &layout);
            Recorder::begin(log, about).map(|recorder| Mutex::new(Some(recorder)))
        });
        let recorder = recorder.transpose()?;
        let completions = kernel.take_completions().ok_or_else(|| {
            PipelineError::Backend(
                "the kernel's completions were taken already; launch a kernel for each run".into(),
            )
        })?;
        run.collector.attach(completions);
        // Feeders begin when they see this.
        run.flights.attach(KernelEnds {
            submitter: kernel.submitter().clone(),
            records: kernel.records().clone(),
            recorder,
        });
        run.status.attach(kernel.submitter().clone());
        let written = run
            .output
            .write_to(&mut outputs, &jobs, &kernel, &run.status);
        let kernel_stats = kernel.stats();
        if let Err(error) = kernel.shutdown() {
            // A failure of the kernel before this has been reported already.
            if !run.status.is_broken() {
                return Err(error.into());
            }
        }
        let report = self.report(&run, &jobs, started, peer, written, kernel_stats);
        report.validate()?;
        Ok(report)
    }

    /// How files are cut for these jobs.
    ///
    /// # Errors
    /// A setting that does not go with it.
    fn layout(&self, jobs: &Jobs) -> Result<Layout, Setting> {
        let settings = &self.settings;
        let chunk_bytes = settings.chunk_bytes.unwrap_or(jobs.chunk_bytes);
        check_chunk_bytes(chunk_bytes)?;
        let layout = Layout::new(jobs.iter().map(|running| running.geometry), chunk_bytes);
        if settings.direct && !layout.is_direct() {
            return Err(Setting::DirectUnaligned);
        }
        let by_blocks = [ReadPath::GpuDirectNvmePassthrough, ReadPath::PeerRead];
        let by_blocks = by_blocks.map(ReadPathChoice::Only);
        if by_blocks.contains(&settings.read_path) && !layout.is_direct() {
            return Err(Setting::BlocksUnaligned);
        }
        Ok(layout)
    }

    /// What reads the files of this source.
    fn crew(&self, source: &dyn Source, layout: &Layout) -> Crew {
        let settings = &self.settings;
        // For a single small file, threads, rings and buffers would cost more than everything else.
        let alone = settings.workers == 0
            && settings.read_path == ReadPathChoice::Auto
            && !settings.direct
            // A small file may hold much.
            && !settings.decode.compressed
            && settings.backend.backend.device().is_none()
            && source
                .only_file()
                .is_some_and(|bytes| bytes < layout.chunk as u64);
        if alone {
            return Crew {
                alone,
                workers: 1,
                chunks: LEAST_CHUNKS,
                read_path: ReadPathChoice::Only(ReadPath::PositionedRead),
            };
        }
        let workers = settings.worker_count();
        let least = match source.is_remote() {
            true => REMOTE_CHUNKS.div_ceil(workers),
            false => 0,
        };
        // The reader needs chunks for its reads in flight and for a batch of small files.
        let usual = chunks_per_worker(settings.depth).max(least);
        Crew {
            alone,
            workers,
            chunks: settings.chunks.unwrap_or(usual),
            read_path: settings.read_path,
        }
    }

    /// What a log says of the kernel. Of an opcode that is divided it has the whole, and the results of the whole.
    fn logged(
        &self,
        jobs: &Jobs,
        kernel: &Kernel,
        record_words: u32,
        layout: &Layout,
    ) -> LoggedKernel {
        let opcodes = jobs.iter().map(|running| running.job.opcode());
        let programs = kernel.programs();
        LoggedKernel {
            backend: self.settings.backend.backend.name().to_owned(),
            record_words,
            chunk_bytes: u32::try_from(layout.buffer()).unwrap_or(u32::MAX),
            jobs: jobs.stream_jobs(),
            programs: opcodes
                .filter_map(|opcode| programs.get(opcode).map(|program| (opcode, program)))
                .collect(),
        }
    }

    /// What a run says of itself when it is over.
    fn report(
        &self,
        run: &Run,
        jobs: &Jobs,
        started: Instant,
        peer_memory: Option<String>,
        written: Vec<Written>,
        kernel: KernelStats,
    ) -> RunReport {
        let settings = &self.settings;
        let backend = &*settings.backend.backend;
        let record = run.flights.end_record();
        let mut totals = run.counters.take_totals();
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (rows_bytes, write) = (written.iter())
            .fold((0, Duration::ZERO), |(bytes, time), written| {
                (bytes + written.bytes, time + written.time)
            });
        if counted(&run.counters.objects.requests) > 0 {
            totals.paths.push("objects");
        }
        let jobs: Vec<JobReport> = (jobs.iter().zip(written))
            .map(|(running, written)| JobReport {
                name: running.name.to_string(),
                bytes: counted(&running.bytes),
                chunks: counted(&running.chunks),
                rows_bytes: written.bytes,
                divided: running.divided.as_ref().map(Divided::explain),
                output: written.result,
            })
            .collect();
        let output = (jobs.iter()).find_map(|job| {
            let error = job.output.as_ref().err()?;
            Some(io::Error::new(
                error.kind(),
                format!("{}: {error}", job.name),
            ))
        });
        RunReport {
            elapsed: started.elapsed(),
            backend: backend.name(),
            why: settings.backend.why.clone(),
            device: backend.device(),
            workers: run.config.workers,
            read_paths: totals.paths,
            peer_memory,
            fallbacks: totals.fallbacks,
            chunk_bytes: run.config.layout.chunk,
            depth: settings.depth,
            files: counted(&run.counters.files),
            failures: run.output.failures(),
            bytes: counted(&run.counters.bytes),
            chunks: counted(&run.counters.chunks),
            reads: totals.reads,
            direct_refused: counted(&run.counters.direct_refused),
            cpu_bounce_bytes: counted(&run.counters.bounced),
            decoded: DecodedBytes {
                files: counted(&run.counters.decoded.files),
                raw: counted(&run.counters.decoded.raw),
                bytes: counted(&run.counters.decoded.bytes),
            },
            objects: ObjectBytes {
                requests: counted(&run.counters.objects.requests),
                retried: counted(&run.counters.objects.retried),
                bytes: counted(&run.counters.objects.bytes),
                depth_max: counted(&run.counters.objects.depth_max),
            },
            jobs,
            rows_bytes,
            kernel,
            stages: StageTimes {
                write,
                ..totals.stages
            },
            stopped: run.status.control.stopped(),
            output: output.map_or(Ok(()), Err),
            record,
        }
    }
}
