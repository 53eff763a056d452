//! Measures the kernel on a device, for each back end that has one: the ring compared with a launch for each slot,
//! every opcode and program compared with the processor's threads, the throughput of mapped memory, and whole commands
//! over files.

mod cuda;
mod opencl;

use crate::data::words_file;
use crate::process;
use crate::ring::{self, Figures};
use crate::vir0::{shipped, SHIPPED};
use crate::{data, median, Goal, Row, Setting};
use cuda::Gpu;
use gristmill::megakernel::backend::cpu::CpuBackend;
use gristmill::megakernel::backend::{open, BackendName};
use gristmill::megakernel::protocol::program::ProgramArgs;
use gristmill::megakernel::protocol::stream::{self, StreamArgs};
use gristmill::megakernel::protocol::{opcode, slot};
use gristmill::megakernel::{Backend, KernelConfig, Lease, ScanMode, ScanSet, StreamJob};
use gristmill::ring::{ChunkBuf, LentChunk, RingConfig, Submission};
use std::sync::Arc;
use std::time::Instant;

/// The number of chunks that are processed again and again: on a processor few enough for its cache, on other devices
/// at least two for each worker.
const CHUNKS: usize = 16;

/// The size of a chunk in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// The number of words in a slot's record area: as many as the largest shipped program needs.
const RECORD_WORDS: u32 = 1 << 17;

/// The number of patterns in the largest set.
const PATTERNS: usize = 5_000;

type Rows = Result<Vec<Row>, String>;

/// Kinds of work with their throughput in bytes per second.
type Rates = Vec<(String, f64)>;

/// The rates of the device, and those of the processor.
type Pair = (Rates, Rates);

/// Measures the ring on an OpenCL device.
pub fn ring_opencl(setting: &Setting) -> Rows {
    ring(setting, BackendName::OpenCl)
}

/// Measures the ring on an NVIDIA GPU.
pub fn ring_cuda(setting: &Setting) -> Rows {
    ring(setting, BackendName::Cuda)
}

/// Measures opcodes and programs on an OpenCL device.
pub fn opcodes_opencl(setting: &Setting) -> Rows {
    opcodes(setting, BackendName::OpenCl)
}

/// Measures opcodes and programs on an NVIDIA GPU.
pub fn opcodes_cuda(setting: &Setting) -> Rows {
    opcodes(setting, BackendName::Cuda)
}

/// Measures whole commands on an OpenCL device.
pub fn files_opencl(setting: &Setting) -> Rows {
    files(setting, "opencl")
}

/// Measures whole commands on an NVIDIA GPU.
pub fn files_cuda(setting: &Setting) -> Rows {
    files(setting, "cuda")
}

fn device(name: BackendName) -> Result<Arc<dyn Backend>, String> {
    let opened = open(name, None).map_err(|error| error.to_string())?;
    Ok(opened.backend)
}

fn name_of(backend: &dyn Backend) -> String {
    backend
        .device()
        .map_or_else(|| backend.name().to_owned(), |info| info.name)
}

/// Measures the time from publication to DONE, compared with a launch for each slot, and the throughput with all
/// workers and a thousand slots in flight.
fn ring(setting: &Setting, name: BackendName) -> Rows {
    let backend = &*device(name)?;
    let gpu = match name {
        BackendName::Cuda => Some(Gpu::new(0)?),
        _ => None,
    };
    let launches = |count| match &gpu {
        Some(gpu) => gpu.launches(count),
        None => opencl::launches(count),
    };
    let (count, launched) = if setting.smoke {
        (2_000, 200)
    } else {
        (200_000, 20_000)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all = backend.workers(cores);
    let mut rows = Vec::new();
    for (workers, depth) in [(1, 1), (1, 64), (all, 1024)] {
        let pairs = (0..setting.runs)
            .map(|_| {
                let (ours, peer) = (
                    ring::ours(backend, workers, depth, count)?,
                    launches(launched)?,
                );
                eprintln!(
                    "depth {depth}, workers {workers}: {}",
                    ring::describe([&ours].into_iter())
                );
                Ok((ours, peer))
            })
            .collect::<Result<Vec<_>, String>>()?;
        let ratio = |pick: fn(&Figures, &Figures) -> f64| {
            median(pairs.iter().map(|(ours, peer)| pick(ours, peer)).collect())
        };
        let mut row = |what: &str, figure: f64, goal: Goal| {
            rows.push(Row {
                name: format!(
                    "{what}, {}, depth {depth}, workers {workers}",
                    name_of(backend)
                ),
                ours: ring::describe(pairs.iter().map(|pair| &pair.0)),
                peer: format!(
                    "launches {}",
                    ring::describe(pairs.iter().map(|pair| &pair.1))
                ),
                figure,
                goal,
            });
        };
        if depth == 1 {
            // These goals were reached on a processor. For devices on a bus there is no figure yet from which a goal
            // could be derived.
            let goals = match name {
                BackendName::Cuda => [Goal::None, Goal::AtLeast(1.0)],
                _ => [Goal::AtMost(1.5), Goal::AtLeast(20.0)],
            };
            row("ring, p50 in us", ratio(|ours, _| ours.p50 / 1e3), goals[0]);
            row(
                "ring, p50 of launches / ours",
                ratio(|ours, peer| peer.p50 / ours.p50),
                goals[1],
            );
        } else {
            let goal = match (name, workers) {
                (BackendName::OpenCl, 1) => Goal::AtLeast(1.5),
                _ => Goal::None,
            };
            row(
                "ring, million slots/s",
                ratio(|ours, _| ours.per_second / 1e6),
                goal,
            );
        }
    }
    Ok(rows)
}

/// Measures how fast the GPU reads mapped memory, compared with copies of the same bytes: with a kernel that only
/// reads, and with the persistent kernel's cheapest opcode.
pub fn mapped_cuda(setting: &Setting) -> Rows {
    let backend = &*device(BackendName::Cuda)?;
    // The memory is one piece; with many pieces, the benchmark would measure the launch for each.
    let bytes = if setting.smoke { 4 << 20 } else { 64 << 20 };
    let gpu = Gpu::new(bytes)?;
    let memory = backend.chunk_memory(1, bytes);
    let (_memory, mut chunks) = memory.map_err(|error| error.to_string())?;
    let mut numbers = data::Numbers::new(5);
    for chunk in &mut chunks {
        for byte in chunk.as_mut_slice() {
            *byte = u8::try_from(numbers.below(256)).unwrap_or(0);
        }
    }
    let sources: Vec<&[u8]> = chunks.iter().map(ChunkBuf::as_slice).collect();
    let rounds = if setting.smoke { 3 } else { 51 };
    let mut runs = Vec::new();
    for run in 0..=setting.runs {
        let pair = (
            gpu.read_rate(&sources, rounds)?,
            gpu.copy_rate(&sources, rounds)?,
        );
        if run > 0 {
            runs.push(pair);
        }
    }
    let lines = (0..setting.runs)
        .map(|_| rates(backend, setting, None))
        .collect::<Result<Vec<_>, String>>()?;
    let lines = median(lines.iter().map(|run| run[0].1).collect());
    let copies = median(runs.iter().map(|run| run.1).collect());
    let reads = median(runs.iter().map(|run| run.0).collect());
    let row = |what: &str, rate: f64, figure: f64| Row {
        name: format!("mapped reads, {what}, {}", name_of(backend)),
        ours: format!("{:.2} GB/s", rate / 1e9),
        peer: format!("cuMemcpyHtoDAsync {:.2} GB/s", copies / 1e9),
        figure,
        goal: Goal::None,
    };
    let ratio = median(runs.iter().map(|run| run.0 / run.1).collect());
    Ok(vec![
        row("by a kernel that only reads", reads, ratio),
        row("by LINES in the ring", lines, lines / copies),
    ])
}

/// Measures whole commands, from files in the page cache to rows, compared with the same commands on the processor's
/// threads.
fn files(setting: &Setting, backend: &str) -> Rows {
    let bytes = if setting.smoke { 2 << 20 } else { 512 << 20 };
    let file = words_file(setting, bytes)?;
    data::warm(&file)?;
    let file = process::text(&file)?;
    let mut rows = Vec::new();
    for patterns in [8, 512, PATTERNS] {
        let list = data::patterns(setting, patterns)?;
        let args = ["scan", "-c", "-f", process::text(&list)?, file];
        let name = format!("files: scan -c, {patterns} patterns");
        rows.push(process::on_two(setting, &name, &args, backend)?);
    }
    for command in [
        &["digest", "--algorithm=crc32c"][..],
        &["digest", "--algorithm=blake3"],
        &["stats"],
    ] {
        let name = format!("files: {}", command.join(" "));
        let args = [command, &[file]].concat();
        rows.push(process::on_two(setting, &name, &args, backend)?);
    }
    Ok(rows)
}

/// How many chunks keep `workers` workers busy.
fn chunks_of(backend: &dyn Backend, workers: usize) -> usize {
    if backend.name() == "cuda" {
        CHUNKS.max(2 * workers)
    } else {
        CHUNKS
    }
}

/// The work that is done on each chunk.
enum Work {
    Stream {
        opcode: u32,
        job: u32,
        mode: u32,
    },
    Program {
        opcode: u32,
        len: usize,
        args: ProgramArgs,
    },
}

/// Measures the bytes per second of each kind of work; without patterns, only of LINES.
fn rates(
    backend: &dyn Backend,
    setting: &Setting,
    patterns: Option<&[Vec<u8>]>,
) -> Result<Rates, String> {
    fn told(error: impl std::fmt::Display) -> String {
        error.to_string()
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = backend.workers(cores);
    let count = u32::try_from(chunks_of(backend, workers)).map_err(|error| error.to_string())?;
    let (memory, mut chunks) = backend.chunk_memory(count, CHUNK_BYTES).map_err(told)?;
    let file = words_file(setting, 1 << 20)?;
    let mut bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    bytes.truncate(CHUNK_BYTES);
    for chunk in &mut chunks {
        chunk.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
    }
    let set = |patterns: &[Vec<u8>], mode| ScanSet::build(patterns, false, mode).map_err(told);
    let stream = |opcode, job, mode| Work::Stream { opcode, job, mode };
    let mut jobs = vec![StreamJob::Lines];
    let mut kinds = vec![("lines".to_owned(), stream(opcode::LINES, 0, 0))];
    if let Some(patterns) = patterns {
        jobs.extend([StreamJob::Histogram, StreamJob::Crc32c, StreamJob::Blake3]);
        kinds.push(("histogram".to_owned(), stream(opcode::HISTOGRAM, 1, 0)));
        kinds.push(("crc32c".to_owned(), stream(opcode::CRC32C, 2, 0)));
        kinds.push(("blake3".to_owned(), stream(opcode::BLAKE3, 3, 0)));
        for (count, mode) in [
            (8, ScanMode::Lines),
            (512, ScanMode::Lines),
            (PATTERNS, ScanMode::Lines),
            (8, ScanMode::All),
        ] {
            let (what, word) = match mode {
                ScanMode::All => ("all", stream::MODE_ALL),
                _ => ("lines", stream::MODE_LINES),
            };
            let job = u32::try_from(jobs.len()).map_err(|error| error.to_string())?;
            let some = patterns.get(..count).ok_or("too few patterns")?;
            jobs.push(StreamJob::Scan(set(some, mode)?.into()));
            kinds.push((
                format!("scan, {count} patterns, {what}"),
                stream(opcode::SCAN, job, word),
            ));
        }
    }
    let mut kernel = backend
        .launch(
            KernelConfig {
                workers,
                ring: RingConfig {
                    slots: count.next_power_of_two(),
                    ..RingConfig::default()
                },
                chunks: memory,
                record_words: RECORD_WORDS,
                lease: Lease::default(),
            },
            jobs,
            Vec::new(),
        )
        .map_err(told)?;
    let tenant = kernel.tenants().tenant(0).map_err(told)?;
    for (name, source) in SHIPPED.iter().filter(|_| patterns.is_some()) {
        let program = shipped(name, source)?;
        let declared = program.program();
        let len = bytes.len().min(declared.chunk as usize);
        let len = len - len % declared.align as usize;
        let mut args = ProgramArgs::default();
        for (word, arg) in args.args.iter_mut().zip(&declared.args) {
            *word = arg.default.unwrap_or(0);
        }
        let opcode = kernel.programs().load(&tenant, program).map_err(told)?;
        kinds.push((
            format!("program {name}"),
            Work::Program { opcode, len, args },
        ));
    }
    let mut completions = kernel.take_completions().ok_or("no completions")?;
    let mut found = Vec::new();
    for (name, work) in kinds {
        let mut flying: Vec<Option<LentChunk>> =
            (0..count.next_power_of_two()).map(|_| None).collect();
        let mut done = 0_u64;
        let mut began = Instant::now();
        let mut warm = false;
        let seconds = if setting.smoke { 0.02 } else { 0.5 };
        let mut in_flight = 0;
        loop {
            let over = warm && began.elapsed().as_secs_f64() >= seconds;
            while let Some(chunk) = chunks.pop_if(|_| !over) {
                let lent = chunk.lend();
                let submission = submission(&work, lent.index(), bytes.len())?;
                let token = kernel.submitter().try_acquire().ok_or("no slot")?;
                flying[token.index().get() as usize] = Some(lent);
                kernel
                    .submitter()
                    .publish(token, &submission)
                    .map_err(|(_, error)| told(error))?;
                in_flight += 1;
            }
            if in_flight == 0 {
                break;
            }
            let Some(completion) = completions.next() else {
                completions.wait(std::time::Duration::from_millis(1));
                if let Some(error) = kernel.failure() {
                    return Err(told(error));
                }
                continue;
            };
            in_flight -= 1;
            if completion.status != slot::DONE {
                return Err(format!("{name}: fault {:#x}", completion.fault));
            }
            let lent = flying[completion.token.index().get() as usize]
                .take()
                .ok_or("a slot that was not published")?;
            chunks.push(reclaim(lent));
            kernel.submitter().release(completion.token);
            done += match &work {
                Work::Stream { .. } => bytes.len() as u64,
                Work::Program { len, .. } => *len as u64,
            };
            if !warm && done >= u64::from(count) * 4096 {
                warm = true;
                done = 0;
                began = Instant::now();
            }
        }
        let rate = done as f64 / began.elapsed().as_secs_f64();
        // Each rate is printed as soon as it is known, so that an interrupted run has reported what it had.
        eprintln!("{}: {name}: {:.3} GB/s", backend.name(), rate / 1e9);
        found.push((name, rate));
    }
    kernel.shutdown().map_err(told)?;
    Ok(found)
}

fn submission(work: &Work, chunk: u32, len: usize) -> Result<Submission, String> {
    match work {
        Work::Stream { opcode, job, mode } => {
            let args = StreamArgs {
                chunk,
                len: u32::try_from(len).map_err(|error| error.to_string())?,
                job: *job,
                mode: *mode,
                ..StreamArgs::default()
            };
            Ok(Submission::new(*opcode, &args.encode()))
        }
        Work::Program { opcode, len, args } => {
            let place = ProgramArgs {
                chunk,
                len: u32::try_from(*len).map_err(|error| error.to_string())?,
                ..*args
            };
            let args = place.encode().ok_or("a place that no slot takes")?;
            Ok(Submission::new(*opcode, &args))
        }
    }
}

fn reclaim(mut lent: LentChunk) -> ChunkBuf {
    loop {
        match lent.reclaim() {
            Ok(chunk) => return chunk,
            Err(still) => lent = still,
        }
    }
}

/// Measures every stream opcode and shipped program on the device, compared with the processor's threads.
fn opcodes(setting: &Setting, name: BackendName) -> Rows {
    let device = &*device(name)?;
    let patterns = std::fs::read(data::patterns(setting, PATTERNS)?);
    let patterns: Vec<Vec<u8>> = patterns
        .map_err(|error| error.to_string())?
        .split(|byte| *byte == b'\n')
        .take(PATTERNS)
        .map(<[u8]>::to_vec)
        .collect();
    let runs = (0..setting.runs)
        .map(|_| {
            Ok((
                rates(device, setting, Some(&patterns))?,
                rates(&CpuBackend, setting, Some(&patterns))?,
            ))
        })
        .collect::<Result<Vec<Pair>, String>>()?;
    let kinds = runs.first().map_or(0, |run| run.0.len());
    let rows = (0..kinds).map(|kind| {
        let rate = |peer: bool| {
            let side = |run: &Pair| if peer { run.1[kind].1 } else { run.0[kind].1 };
            median(runs.iter().map(side).collect()) / 1e9
        };
        Row {
            name: format!("{} ({} / cpu)", runs[0].0[kind].0, device.name()),
            ours: format!("{:.3} GB/s", rate(false)),
            peer: format!("cpu {:.3} GB/s", rate(true)),
            figure: median(
                runs.iter()
                    .map(|run| run.0[kind].1 / run.1[kind].1)
                    .collect(),
            ),
            goal: Goal::None,
        }
    });
    Ok(rows.collect())
}
