//! The kernel on an OpenCL device: the ring beside a launch for each slot, and every opcode and program beside the
//! processor's threads.
#![allow(unsafe_code)]

use crate::data::words_file;
use crate::ring::{self, Figures};
use crate::vir0::{shipped, SHIPPED};
use crate::{median, Goal, Row, Setting};
use gristmill::megakernel::backend::cpu::CpuBackend;
use gristmill::megakernel::backend::opencl::OpenClBackend;
use gristmill::megakernel::{Backend, KernelConfig, Lease, ScanMode, ScanSet, StreamJob};
use gristmill::protocol::program::ProgramArgs;
use gristmill::protocol::{opcode, slot, stream};
use gristmill::ring::{ChunkBuf, LentChunk, RingConfig, Submission};
use opencl3::command_queue::CommandQueue;
use opencl3::context::Context;
use opencl3::device::{get_all_devices, Device, CL_DEVICE_TYPE_ALL};
use opencl3::kernel::Kernel;
use opencl3::program::Program;
use std::time::Instant;

/// Chunks that are processed again and again: small enough for a processor's cache.
const CHUNKS: u32 = 16;

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 256 << 10;

/// Words of a slot's record area: what the largest shipped program needs.
const RECORD_WORDS: u32 = 1 << 17;

/// One launch for each slot, as a host does that has no ring: enqueue an empty kernel, wait.
fn launches(count: usize) -> Result<Figures, String> {
    let told = |error: opencl3::error_codes::ClError| error.to_string();
    let devices = get_all_devices(CL_DEVICE_TYPE_ALL).map_err(told)?;
    let device = Device::new(*devices.first().ok_or("no OpenCL device")?);
    let context = Context::from_device(&device).map_err(told)?;
    let program =
        Program::create_and_build_from_source(&context, "__kernel void slot(uint a) {}", "")?;
    let kernel = Kernel::create(&program, "slot").map_err(told)?;
    let queue = CommandQueue::create_default_with_properties(&context, 0, 0).map_err(told)?;
    // SAFETY: the kernel takes one word of 32 bits.
    unsafe { kernel.set_arg(0, &7_u32) }.map_err(told)?;
    let one = [1_usize];
    let mut taken = Vec::with_capacity(count);
    let mut began = Instant::now();
    for slot in 0..count + count / 10 {
        if slot == count / 10 {
            taken.clear();
            began = Instant::now();
        }
        let published = Instant::now();
        // SAFETY: the argument is set, the sizes are arrays of one for one dimension, and the kernel touches no memory.
        let event = unsafe {
            queue.enqueue_nd_range_kernel(
                kernel.get(),
                1,
                std::ptr::null(),
                one.as_ptr(),
                one.as_ptr(),
                &[],
            )
        };
        event.map_err(told)?.wait().map_err(told)?;
        taken.push(ring::nanos(published));
    }
    Ok(ring::figures(taken, began.elapsed().as_secs_f64()))
}

/// Publish to DONE on a device, beside a launch for each slot.
pub fn ring(setting: &Setting) -> Result<Vec<Row>, String> {
    let backend = OpenClBackend::new(None).map_err(|error| error.to_string())?;
    let (count, launched) = if setting.smoke {
        (2_000, 200)
    } else {
        (500_000, 20_000)
    };
    let mut rows = Vec::new();
    for depth in [1, 64] {
        let pairs = (0..setting.runs)
            .map(|_| Ok((ring::ours(&backend, depth, count)?, launches(launched)?)))
            .collect::<Result<Vec<_>, String>>()?;
        let ratio = |pick: fn(&Figures, &Figures) -> f64| {
            median(pairs.iter().map(|(ours, peer)| pick(ours, peer)).collect())
        };
        let mut row = |name: &str, figure: f64, goal: Goal| {
            rows.push(Row {
                name: format!("{name}, {}, depth {depth}", backend.info().name),
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
            row(
                "ring, p50 in us",
                ratio(|ours, _| ours.p50 / 1e3),
                Goal::AtMost(1.5),
            );
            row(
                "ring, p50 of launches / ours",
                ratio(|ours, peer| peer.p50 / ours.p50),
                Goal::AtLeast(20.0),
            );
        } else {
            row(
                "ring, million slots/s",
                ratio(|ours, _| ours.per_second / 1e6),
                Goal::AtLeast(1.5),
            );
        }
    }
    Ok(rows)
}

/// What is run over each chunk.
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

/// Bytes per second of each kind of work, in the order of `names`.
fn rates(
    backend: &dyn Backend,
    setting: &Setting,
    patterns: &[Vec<u8>],
) -> Result<Vec<(String, f64)>, String> {
    let told = |error: gristmill::PipelineError| error.to_string();
    let (memory, mut chunks) = backend.chunk_memory(CHUNKS, CHUNK_BYTES).map_err(told)?;
    let file = words_file(setting, 1 << 20)?;
    let mut bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    bytes.truncate(CHUNK_BYTES);
    for chunk in &mut chunks {
        chunk.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
    }
    let few = &patterns[..8];
    let set = |patterns: &[Vec<u8>], mode| ScanSet::build(patterns, false, mode).map_err(told);
    let jobs = vec![
        StreamJob::Scan(set(few, ScanMode::Lines)?.into()),
        StreamJob::Scan(set(patterns, ScanMode::Lines)?.into()),
        StreamJob::Scan(set(few, ScanMode::All)?.into()),
        StreamJob::Histogram,
        StreamJob::Lines,
        StreamJob::Crc32c,
    ];
    let stream = |opcode, job, mode| Work::Stream { opcode, job, mode };
    let mut kinds = vec![
        (
            "scan, 8 patterns, lines".to_owned(),
            stream(opcode::SCAN, 0, stream::MODE_LINES),
        ),
        (
            "scan, 512 patterns, lines".to_owned(),
            stream(opcode::SCAN, 1, stream::MODE_LINES),
        ),
        (
            "scan, 8 patterns, all".to_owned(),
            stream(opcode::SCAN, 2, stream::MODE_ALL),
        ),
        ("histogram".to_owned(), stream(opcode::HISTOGRAM, 3, 0)),
        ("lines".to_owned(), stream(opcode::LINES, 4, 0)),
        ("crc32c".to_owned(), stream(opcode::CRC32C, 5, 0)),
    ];
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut kernel = backend
        .launch(
            KernelConfig {
                workers: backend.workers(cores),
                ring: RingConfig {
                    slots: CHUNKS.next_power_of_two(),
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
    for (name, source) in SHIPPED {
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
            (0..CHUNKS.next_power_of_two()).map(|_| None).collect();
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
            if !warm && done >= u64::from(CHUNKS) * 4096 {
                warm = true;
                done = 0;
                began = Instant::now();
            }
        }
        found.push((name, done as f64 / began.elapsed().as_secs_f64()));
    }
    kernel.shutdown().map_err(told)?;
    Ok(found)
}

fn submission(work: &Work, chunk: u32, len: usize) -> Result<Submission, String> {
    match work {
        Work::Stream { opcode, job, mode } => {
            let mut args = [0; 12];
            args[stream::ARG_CHUNK] = chunk;
            args[stream::ARG_LEN] = u32::try_from(len).map_err(|error| error.to_string())?;
            args[stream::ARG_JOB] = *job;
            args[stream::ARG_MODE] = *mode;
            Ok(Submission::new(*opcode, &args))
        }
        Work::Program { opcode, len, args } => {
            let place = ProgramArgs {
                chunk,
                len: u32::try_from(*len).map_err(|error| error.to_string())?,
                ..*args
            };
            let args = place.to_args().ok_or("a place that no slot takes")?;
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

/// Every stream opcode and shipped program on the device, beside the processor's threads.
pub fn opcodes(setting: &Setting) -> Result<Vec<Row>, String> {
    let device = OpenClBackend::new(None).map_err(|error| error.to_string())?;
    let patterns =
        std::fs::read(crate::data::patterns(setting, 512)?).map_err(|error| error.to_string())?;
    let patterns: Vec<Vec<u8>> = patterns
        .split(|byte| *byte == b'\n')
        .take(512)
        .map(<[u8]>::to_vec)
        .collect();
    let runs = (0..setting.runs)
        .map(|_| {
            Ok((
                rates(&device, setting, &patterns)?,
                rates(&CpuBackend, setting, &patterns)?,
            ))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let kinds = runs.first().map_or(0, |run| run.0.len());
    let rows = (0..kinds).map(|kind| {
        let rate = |peer: bool| {
            median(
                runs.iter()
                    .map(|run| if peer { run.1[kind].1 } else { run.0[kind].1 })
                    .collect(),
            ) / 1e9
        };
        Row {
            name: format!("{} (opencl / cpu)", runs[0].0[kind].0),
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
