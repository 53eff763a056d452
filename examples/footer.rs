//! Files whose beginning says where the interesting part lies: a kernel reads the first bytes, requests a range far
//! behind them, and runs a program over the bytes that have landed.
//!
//!     cargo run --example footer -- [--opencl] [FILE]...
//!
//! The files are ELF executables. Their header says where their section table lies, which is usually at the very end.
//! For each file the ring sees four kinds of slots, one after the other:
//!
//! 1. a LOAD_MISS for the header;
//! 2. the program `footer/header.vasm` over it, whose records say where the table lies;
//! 3. a LOAD_MISS for the table (or as much of it as fits in a chunk);
//! 4. the program `footer/sections.vasm` over what has landed; then steps 3 and 4 repeat for the rest of the table.
//!
//! A slot is published when the one before it has completed, so it sees the results of that one. Many files go through
//! these steps at the same time, each with its own chunk, and the reads of all of them are in flight together.

use gristmill::megakernel::backend::{cpu::CpuBackend, device::opencl::OpenClBackend};
use gristmill::megakernel::protocol::opcode::LoadArgs;
use gristmill::megakernel::protocol::program::{decode_acc, ProgramArgs, ProgramRecord};
use gristmill::megakernel::protocol::{fault, opcode, words};
use gristmill::megakernel::{Backend, Kernel, KernelConfig, Lease};
use gristmill::program::Program;
use gristmill::ring::{Completion, RingConfig, Submission};
use gristmill::uring::reader::ReadPathChoice;
use gristmill::uring::{IoSource, IoTables, MegakernelIoLoop};
use gristmill::PipelineError;
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::time::Duration;

/// The size of a chunk in bytes: room for 256 sections.
pub const CHUNK: usize = 16 << 10;
/// The size of an ELF file's header in bytes.
const HEADER: u32 = 64;
/// The number of files that are processed at the same time, each with its own chunk.
const LANES: u32 = 8;
/// The tenant that publishes the slots.
const TENANT: u32 = 0;

/// The contents of a file's section table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sections {
    /// The number of sections.
    pub count: u64,
    /// The total size in bytes of the sections that hold code.
    pub code_bytes: u64,
}

/// The reason why a file has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The file is not 64-bit little-endian ELF, or it has no sections.
    NotElf,
    /// The table does not lie in the file.
    Truncated,
    /// A slot faulted, with this fault word.
    Fault(u32),
}

/// The purpose of the slot in flight.
#[derive(Debug, Clone, Copy)]
enum Step {
    LoadHeader,
    Header,
    /// Loads this many bytes of the table.
    LoadTable(u32),
    /// Runs over this many bytes of the table.
    Table(u32),
}

/// A file that is being processed.
#[derive(Debug)]
struct Walk {
    /// The file's number, which is its handle as well.
    file: u32,
    /// The handle of the chunk that receives the bytes, and the chunk's number in the kernel.
    destination: u32,
    chunk: u32,
    step: Step,
    /// The part of the table that was not processed yet: its offset in the file, and its size.
    at: u64,
    left: u32,
    sections: Sections,
}

/// The opcodes to which the programs are bound.
struct Opcodes {
    header: u32,
    sections: u32,
}

/// Uses a kernel to find every file's sections. Returns the answers in the order of the files.
pub fn sections_of(
    backend: &dyn Backend,
    files: Vec<File>,
) -> Result<Vec<Result<Sections, Failure>>, Box<dyn Error>> {
    let (memory, chunks) = backend.chunk_memory(LANES, CHUNK)?;
    let config = KernelConfig {
        workers: 2,
        ring: RingConfig {
            io_slots: LANES,
            ..RingConfig::default()
        },
        chunks: memory,
        record_words: 64,
        lease: Lease::default(),
    };
    let mut kernel = backend.launch(config, Vec::new(), Vec::new())?;
    let opcodes = load_programs(&kernel)?;

    // The resources that requests may name: these files and these chunks.
    let mut tables = IoTables::new();
    let mut answers = Vec::new();
    for file in files {
        tables.add_source(IoSource {
            len: file.metadata()?.len(),
            file,
            tenants: vec![TENANT],
            writable: false,
        });
        answers.push(Err(Failure::NotElf));
    }
    let mut lanes: Vec<(u32, u32)> = chunks
        .into_iter()
        .map(|chunk| (chunk.index(), tables.add_destination(chunk, vec![TENANT])))
        .collect();
    let queue = kernel.submitter().take_io_queue().ok_or("no IO queue")?;
    let served = MegakernelIoLoop::start(queue, tables, ReadPathChoice::Auto)?;

    let mut completions = kernel.take_completions().ok_or("no completions")?;
    let mut waiting = 0..u32::try_from(answers.len())?;
    let mut walks: HashMap<u32, Walk> = HashMap::new();
    loop {
        while !waiting.is_empty() {
            let Some((chunk, destination)) = lanes.pop() else {
                break;
            };
            let walk = Walk {
                file: waiting.start,
                destination,
                chunk,
                step: Step::LoadHeader,
                at: 0,
                left: 0,
                sections: Sections::default(),
            };
            waiting.start += 1;
            publish(&kernel, &opcodes, &mut walks, walk)?;
        }
        if walks.is_empty() {
            break;
        }
        let Some(done) = completions.next() else {
            if let Some(failure) = kernel.failure() {
                return Err(failure.into());
            }
            completions.wait(Duration::from_millis(100));
            continue;
        };
        let slot = done.token.index().get();
        let mut walk = walks.remove(&slot).ok_or("a slot of nobody")?;
        let next = walk.next(&kernel, &done);
        kernel.submitter().release(done.token);
        match next {
            Ok(Some(step)) => {
                walk.step = step;
                publish(&kernel, &opcodes, &mut walks, walk)?;
            }
            Ok(None) => end(&mut answers, &mut lanes, &walk, Ok(walk.sections)),
            Err(failure) => end(&mut answers, &mut lanes, &walk, Err(failure)),
        }
    }
    served.stop()?;
    kernel.shutdown()?;
    Ok(answers)
}

fn load_programs(kernel: &Kernel) -> Result<Opcodes, Box<dyn Error>> {
    let tenant = kernel.tenants().tenant(TENANT)?;
    let load = |name: &str, source: &str| -> Result<u32, Box<dyn Error>> {
        let program = Program::from_source(name, source)?;
        Ok(kernel
            .programs()
            .load(&tenant, program.verified().clone())?)
    };
    Ok(Opcodes {
        header: load("header.vasm", include_str!("footer/header.vasm"))?,
        sections: load("sections.vasm", include_str!("footer/sections.vasm"))?,
    })
}

/// Publishes the slot that a file's current step needs.
fn publish(
    kernel: &Kernel,
    opcodes: &Opcodes,
    walks: &mut HashMap<u32, Walk>,
    walk: Walk,
) -> Result<(), PipelineError> {
    let submitter = kernel.submitter();
    // There are more slots than files in progress.
    let token = submitter.try_acquire().ok_or(PipelineError::QueueFull {
        queue: "the ring",
        fix: "use a ring with more slots than lanes",
    })?;
    let slot = token.index().get();
    let submission = match walk.step {
        Step::LoadHeader => walk.load(HEADER),
        Step::LoadTable(bytes) => walk.load(bytes),
        Step::Header => walk.program(opcodes.header, HEADER),
        Step::Table(bytes) => walk.program(opcodes.sections, bytes),
    };
    walks.insert(slot, walk);
    submitter
        .publish(token, &submission)
        .map(drop)
        .map_err(|(_token, error)| error)
}

/// Records a file's answer. Its chunk is then free for the next file.
fn end(
    answers: &mut [Result<Sections, Failure>],
    lanes: &mut Vec<(u32, u32)>,
    walk: &Walk,
    answer: Result<Sections, Failure>,
) {
    if let Some(place) = answers.get_mut(walk.file as usize) {
        *place = answer;
    }
    lanes.push((walk.chunk, walk.destination));
}

impl Walk {
    /// A slot that requests bytes of the file.
    fn load(&self, bytes: u32) -> Submission {
        let args = LoadArgs {
            resource: self.file,
            destination: self.destination,
            offset: self.at,
            bytes,
            ..LoadArgs::default()
        };
        Submission {
            tenant: TENANT,
            ..Submission::new(opcode::LOAD_MISS, &args.encode())
        }
    }

    /// A slot that runs a program over the bytes that have landed.
    fn program(&self, opcode: u32, len: u32) -> Submission {
        let args = ProgramArgs {
            chunk: self.chunk,
            len,
            offset: self.at,
            ..ProgramArgs::default()
        };
        // `None` occurs only for chunk indexes of half a million and more.
        let args = args.encode().unwrap_or_default();
        Submission {
            tenant: TENANT,
            ..Submission::new(opcode, &args)
        }
    }

    /// The step that follows a slot that has completed; `None` at the end.
    fn next(&mut self, kernel: &Kernel, done: &Completion) -> Result<Option<Step>, Failure> {
        if done.fault != fault::NONE {
            return Err(Failure::Fault(done.fault));
        }
        let landed = done.results[opcode::RESULT_VALUE];
        let area = |word| kernel.records().word(done.token.index().get(), word);
        Ok(match self.step {
            Step::LoadHeader if landed < HEADER => return Err(Failure::NotElf),
            Step::LoadHeader => Some(Step::Header),
            Step::Header if done.records == 0 => return Err(Failure::NotElf),
            Step::Header => {
                let value = |index| ProgramRecord::decode(area, 0, index).value;
                self.at = words::join(value(0), value(1));
                self.left = value(2);
                Some(self.load_more())
            }
            Step::LoadTable(bytes) if landed < bytes => return Err(Failure::Truncated),
            Step::LoadTable(bytes) => Some(Step::Table(bytes)),
            Step::Table(bytes) => {
                let acc = |number| decode_acc(area, number);
                let code = acc(1).wrapping_add(acc(2) << 32);
                self.sections.count += acc(0);
                self.sections.code_bytes = self.sections.code_bytes.wrapping_add(code);
                self.at += u64::from(bytes);
                self.left -= bytes;
                (self.left > 0).then(|| self.load_more())
            }
        })
    }

    fn load_more(&self) -> Step {
        Step::LoadTable(self.left.min(CHUNK as u32))
    }
}

/// Describes the failure in words.
fn describe(failure: Failure) -> String {
    match failure {
        Failure::NotElf => "not a 64-bit little-endian ELF file, or without sections".into(),
        Failure::Truncated => "its table of sections is cut off".into(),
        Failure::Fault(word) => match word & 0xFFFF {
            fault::IO_FAILED => std::io::Error::from_raw_os_error((word >> 16) as i32).to_string(),
            reason => fault::name(reason).into(),
        },
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    let backend: Box<dyn Backend> = match paths.first().map(String::as_str) {
        Some("--opencl") => {
            paths.remove(0);
            Box::new(OpenClBackend::new(None)?)
        }
        _ => Box::new(CpuBackend),
    };
    if paths.is_empty() {
        paths.push(std::env::current_exe()?.display().to_string());
    }
    let files: Result<Vec<File>, _> = paths.iter().map(File::open).collect();
    for (path, answer) in paths.iter().zip(sections_of(backend.as_ref(), files?)?) {
        match answer {
            Ok(Sections { count, code_bytes }) => {
                println!("{path}: {count} sections, {code_bytes} bytes of code");
            }
            Err(failure) => println!("{path}: {}", describe(failure)),
        }
    }
    Ok(())
}
