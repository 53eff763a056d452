//! Replaying a ring log: its slots run once more, on any back end, and their results are compared word by word.
//!
//! ```no_run
//! use gristmill::megakernel::{backend::cpu::CpuBackend, RingLogReader};
//! use gristmill::replay::Replay;
//! use std::{fs::File, io::BufReader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut log = RingLogReader::new(BufReader::new(File::open("run.log")?))?;
//! let report = Replay::new(&CpuBackend).workers(2).run(&mut log)?;
//! assert!(report.is_same(), "{:?}", report.first);
//! # Ok(())
//! # }
//! ```
//!
//! A slot gets the words that were published, except that its chunk's index and, for a program, the opcode are those of
//! this replay. If a device runs only a part of an opcode, as in a search for lines that match regexes, the host does
//! the rest, as in a run; a log contains the whole opcode and its complete results, wherever it was recorded. A slot's
//! bytes come from the original file, or from the log. Slots of a file that has changed since are not run, and count as
//! lost ([`ReplayReport::lost`]) rather than as different.
//!
//! A log names files, which a replay opens for reading: regular files and block devices, nothing else.

use crate::divided::{self, Divided};
use gristmill_ingest::open_without_waiting;
use gristmill_megakernel::log::{Difference, Digest, LoggedBytes, LoggedResult, LoggedSlot};
use gristmill_megakernel::{Backend, Kernel, KernelConfig, KernelError, Lease, RingLogReader};
use gristmill_protocol::priority::Priority;
use gristmill_protocol::slot::SlotImage;
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{fault, program, slot, stream, PipelineError};
use gristmill_ring::{
    ChunkBuf, Completion, Completions, LentChunk, Outcome, RingConfig, Submission,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Files that are kept open.
const OPEN_FILES: usize = 16;

/// How long the replay sleeps, at most, before it looks for results again.
const WAIT: Duration = Duration::from_millis(100);

/// The largest number of slots that could not be run again for which the report gives the reason.
pub const TOLD: usize = 16;

/// The settings of a replay: its back end and its number of workers.
#[derive(Clone, Copy)]
pub struct Replay<'a> {
    backend: &'a dyn Backend,
    workers: usize,
    stop: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Replay<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replay(on {} by {})", self.backend.name(), self.workers)
    }
}

/// A slot of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotName {
    /// Its number in the log, from 0.
    pub number: u64,
    /// Its opcode.
    pub opcode: u32,
    /// The file that it saw, and the offset of the first byte; `None` where the log itself holds the bytes.
    pub place: Option<(PathBuf, u64)>,
}

/// A slot whose bytes are gone or have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostSlot {
    /// The slot.
    pub slot: SlotName,
    /// Why, and what to do.
    pub reason: String,
}

impl std::fmt::Display for LostSlot {
    /// `PATH: offset N: reason`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((path, offset)) = &self.slot.place {
            write!(f, "{}: offset {offset}: ", path.display())?;
        }
        f.write_str(&self.reason)
    }
}

/// What a replay found.
#[derive(Debug)]
pub struct ReplayReport {
    /// Slots that were run again.
    pub slots: u64,
    /// The bytes that they saw.
    pub bytes: u64,
    /// Slots whose results differ.
    pub differing: u64,
    /// The first differing slot in the log, with the first word that differs: recorded on the left, replayed on the
    /// right.
    pub first: Option<(SlotName, Difference)>,
    /// Slots that could not be run again, because their bytes have changed or are gone.
    pub lost: u64,
    /// The first [`TOLD`] of the lost slots.
    pub told: Vec<LostSlot>,
    /// Why the rest of the log cannot be read, where it is cut or damaged. Everything before that was replayed.
    pub damage: Option<PipelineError>,
    /// Whether the replay was asked to end before the log's end. The slots that it had replayed by then are counted.
    pub stopped: bool,
}

impl ReplayReport {
    /// Whether the whole log was run again with the same results. A log without slots is not the same.
    pub fn is_same(&self) -> bool {
        self.slots > 0 && self.differing == 0 && self.is_whole()
    }

    /// Whether the whole log was run again.
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && self.damage.is_none() && !self.stopped
    }
}

impl<'a> Replay<'a> {
    /// A replay with one worker.
    pub fn new(backend: &'a dyn Backend) -> Self {
        Self {
            backend,
            workers: 1,
            stop: None,
        }
    }

    /// Workers, 1 to 256. Default 1.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.clamp(1, 256);
        self
    }

    /// Ends a replay soon after `stop` becomes true, and cancels the slots that run: see [`ReplayReport::stopped`].
    #[must_use]
    pub fn stop_at(mut self, stop: &'a AtomicBool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Runs what is left of a log.
    ///
    /// # Errors
    /// [`KernelError`] where the kernel cannot be launched, or refuses what a log may hold.
    pub fn run<R: Read>(&self, log: &mut RingLogReader<R>) -> Result<ReplayReport, KernelError> {
        let about = log.about();
        let (mut jobs, mut divided) = (about.jobs.clone(), Vec::new());
        let mut record_words = about.record_words;
        if self.backend.device().is_some() {
            for job in &mut jobs {
                let parts = Divided::new(job)?;
                if let Some(parts) = &parts {
                    *job = parts.part.clone();
                    record_words = record_words.max(parts.record_words());
                }
                divided.push(parts);
            }
        }
        // One chunk for each worker, and as many again that are being filled or compared.
        let chunks = u32::try_from(2 * self.workers).unwrap_or(2);
        let (memory, free) = self
            .backend
            .chunk_memory(chunks, about.chunk_bytes as usize)?;
        let mut kernel = self.backend.launch(
            KernelConfig {
                workers: self.workers,
                ring: RingConfig {
                    slots: chunks.next_power_of_two(),
                    ..RingConfig::default()
                },
                chunks: memory,
                record_words,
                lease: Lease::default(),
            },
            jobs,
            Vec::new(),
        )?;
        let tenant = kernel.tenants().tenant(0)?;
        let mut opcodes = BTreeMap::new();
        for (recorded, program) in &about.programs {
            let bound = kernel.programs().load(&tenant, program.clone())?;
            opcodes.insert(*recorded, bound);
        }
        let completions = kernel.take_completions().ok_or_else(|| {
            PipelineError::Backend("the kernel has no completions; please report this".into())
        })?;
        let mut running = Running {
            kernel,
            completions,
            opcodes,
            divided,
            free,
            slots: HashMap::new(),
            files: Vec::new(),
            report: ReplayReport {
                slots: 0,
                bytes: 0,
                differing: 0,
                first: None,
                lost: 0,
                told: Vec::new(),
                damage: None,
                stopped: false,
            },
            stop: self.stop,
        };
        while !running.stops() {
            let slot = match log.next_slot() {
                Ok(Some(slot)) => slot,
                Ok(None) => break,
                // After a stop, a reader that waits for the log's bytes ends with an error.
                Err(_) if running.stops() => break,
                Err(damage) => {
                    running.report.damage = Some(damage);
                    break;
                }
            };
            let chunk = running.free_chunk(log)?;
            running.start(log, slot, chunk)?;
        }
        while !running.slots.is_empty() {
            running.finish_some(log)?;
        }
        running.kernel.shutdown()?;
        Ok(running.report)
    }
}

/// A slot that runs.
struct RunningSlot {
    name: SlotName,
    recorded: LoggedResult<'static>,
    /// The words of this replay.
    words: SlotImage,
    lent: LentChunk,
}

struct Running<'a> {
    kernel: Kernel,
    completions: Completions,
    /// Maps a program's opcode in the log to its opcode in this replay.
    opcodes: BTreeMap<u32, u32>,
    /// On a device, of each job: how it is divided between the device and the host, if it is.
    divided: Vec<Option<Divided>>,
    free: Vec<ChunkBuf>,
    /// Running slots, keyed by the ring's slot number.
    slots: HashMap<u32, RunningSlot>,
    /// Open files, the last used last.
    files: Vec<(PathBuf, File)>,
    report: ReplayReport,
    stop: Option<&'a AtomicBool>,
}

impl Running<'_> {
    /// Whether the replay is to end. If so, running slots are cancelled.
    fn stops(&mut self) -> bool {
        if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            self.report.stopped = true;
            self.kernel.cancel();
        }
        self.report.stopped
    }

    fn free_chunk<R: Read>(&mut self, log: &RingLogReader<R>) -> Result<ChunkBuf, KernelError> {
        loop {
            if let Some(chunk) = self.free.pop() {
                return Ok(chunk);
            }
            self.finish_some(log)?;
        }
    }

    /// Publishes a slot, if its bytes are available.
    fn start<R: Read>(
        &mut self,
        log: &RingLogReader<R>,
        slot: LoggedSlot<'static>,
        mut chunk: ChunkBuf,
    ) -> Result<(), KernelError> {
        let words = slot.words;
        let name = SlotName {
            number: log.slots().saturating_sub(1),
            opcode: words.opcode,
            place: match &slot.bytes {
                LoggedBytes::File { path, offset, .. } => Some((path.to_path_buf(), *offset)),
                LoggedBytes::Kept(_) => None,
            },
        };
        // The log's reader gives no slot of an unknown opcode, and no chunk is smaller than the log's.
        let visible = log.about().visible(&words).unwrap_or(0..0);
        let Some(into) = chunk.as_mut_slice().get_mut(visible) else {
            let error = "a slot that sees more than its chunk; please report this";
            return Err(PipelineError::Backend(error.into()).into());
        };
        let there = match &slot.bytes {
            LoggedBytes::File { path, offset, size } => self.read(path, *offset, *size, into),
            LoggedBytes::Kept(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
        };
        let there = there.and_then(|()| unchanged(slot.digest, into));
        if let Err(reason) = there {
            self.report.lost += 1;
            if self.report.told.len() < TOLD {
                self.report.told.push(LostSlot { slot: name, reason });
            }
            self.free.push(chunk);
            return Ok(());
        }
        self.report.bytes += u64::from(slot.digest.len);
        let bound = self.opcodes.get(&words.opcode);
        let with_chunk = match bound {
            Some(_) => program::with_chunk,
            None => stream::with_chunk,
        };
        let words = SlotImage {
            args: with_chunk(words.args, chunk.index()),
            ..words
        };
        let (opcode, args) = match (bound, self.divided(&words)) {
            (Some(bound), _) => (*bound, words.args),
            (None, Some(divided)) => {
                let args = divided.part_args(StreamArgs::decode(&words.args));
                (divided.part.opcode(), args.encode())
            }
            (None, None) => (words.opcode, words.args),
        };
        let submission = Submission {
            priority: Priority::from_word(words.priority).unwrap_or(Priority::Normal),
            ..Submission::new(opcode, &args)
        };
        let submitter = self.kernel.submitter();
        let token = submitter.try_acquire().ok_or_else(|| {
            PipelineError::Backend("no slot for a free chunk; please report this".into())
        })?;
        let slot = RunningSlot {
            name,
            recorded: slot.result,
            words,
            lent: chunk.lend(),
        };
        self.slots.insert(token.index().get(), slot);
        submitter
            .publish(token, &submission)
            .map_err(|(_token, error)| error)?;
        Ok(())
    }

    /// How the opcode of a slot is divided, if it is.
    fn divided(&self, words: &SlotImage) -> Option<&Divided> {
        let job = StreamArgs::decode(&words.args).job as usize;
        let divided = self.divided.get(job)?.as_ref()?;
        (divided.whole().opcode() == words.opcode).then_some(divided)
    }

    /// Does the rest of a slot of which a device has done a part.
    fn finish_rest(&self, slot: &RunningSlot, done: Completion) -> Completion {
        let divided = self.divided(&slot.words);
        let writer = self.kernel.records().writer(done.token.index().get());
        let (Some(divided), Some(mut records), slot::DONE) = (divided, writer, done.status) else {
            return done;
        };
        let part = Outcome {
            fault: done.fault,
            results: done.results,
            records: done.records,
            flags: done.flags,
        };
        let args = StreamArgs::decode(&slot.words.args);
        let stops = || self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
        let chunk = slot.lent.as_slice();
        let outcome = divided.finish(&args, &part, chunk, &mut records, &stops);
        Completion {
            status: divided::status(&outcome),
            fault: outcome.fault,
            results: outcome.results,
            records: outcome.records,
            flags: outcome.flags,
            ..done
        }
    }

    /// Waits for results, and compares those that have arrived.
    fn finish_some<R: Read>(&mut self, log: &RingLogReader<R>) -> Result<(), KernelError> {
        if let Some(failure) = self.kernel.failure() {
            return Err(failure);
        }
        self.stops();
        self.completions.wait(WAIT);
        while let Some(done) = self.completions.next() {
            self.finish(log, done);
        }
        Ok(())
    }

    fn finish<R: Read>(&mut self, log: &RingLogReader<R>, done: Completion) {
        let index = done.token.index().get();
        let Some(slot) = self.slots.remove(&index) else {
            return;
        };
        let done = self.finish_rest(&slot, done);
        if fault::reason(done.fault) == fault::CANCELLED {
            self.free.push(slot.lent.reclaim_completed());
            return self.kernel.submitter().release(done.token);
        }
        let opcode = slot.words.opcode;
        let area = log
            .about()
            .area_words(opcode, done.status, done.flags, done.records);
        let records = self.kernel.records();
        let area: Vec<u32> = (0..area).map(|word| records.word(index, word)).collect();
        let replayed = LoggedResult {
            status: done.status,
            fault: done.fault,
            results: done.results,
            records: done.records,
            flags: done.flags,
            area: Cow::Owned(area),
        };
        let report = &mut self.report;
        report.slots += 1;
        if let Some(difference) = slot.recorded.difference(&replayed) {
            report.differing += 1;
            let number = slot.name.number;
            let earlier = report.first.as_ref();
            if earlier.is_none_or(|(name, _)| number < name.number) {
                report.first = Some((slot.name, difference));
            }
        }
        self.free.push(slot.lent.reclaim_completed());
        self.kernel.submitter().release(done.token);
    }

    /// Fills `into` from a file, which must still have the recorded size.
    fn read(&mut self, path: &Path, offset: u64, size: u64, into: &mut [u8]) -> Result<(), String> {
        let known = self.files.iter().position(|(open, _)| open == path);
        let entry = match known {
            Some(known) => self.files.remove(known),
            None => (path.to_path_buf(), open(path)?),
        };
        let read = entry.1.read_exact_at(into, offset);
        // A file that grew has bytes that no slot of the log has seen.
        let now = entry.1.metadata().map(|metadata| metadata.len());
        if self.files.len() >= OPEN_FILES {
            self.files.remove(0);
        }
        self.files.push(entry);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the file has changed: it ends earlier than when it was recorded; restore what was recorded"
                    .to_owned()
            }
            _ => format!("{error}; check the file and its storage"),
        })?;
        match now {
            Ok(now) if now == size => Ok(()),
            Ok(now) => Err(format!(
                "the file has changed: it had {size} bytes when recorded, and has {now}; restore what was recorded"
            )),
            Err(error) => Err(format!("{error}; check the file's storage")),
        }
    }
}

fn open(path: &Path) -> Result<File, String> {
    // The open must not block: a FIFO may have replaced the regular file.
    let file = open_without_waiting(path, 0)
        .map_err(|error| format!("{error}; restore the file that was recorded"))?;
    let kind = file.metadata().map_err(|error| error.to_string())?;
    let kind = kind.file_type();
    if kind.is_file() || kind.is_block_device() {
        Ok(file)
    } else {
        Err("no longer a regular file; restore the file that was recorded".into())
    }
}

/// Checks that bytes have the recorded digest.
fn unchanged(recorded: Digest, bytes: &[u8]) -> Result<(), String> {
    let now = Digest::of(bytes);
    if now == recorded {
        return Ok(());
    }
    Err(format!(
        "the file has changed: its {} bytes from here on had CRC-32C {:08x} when recorded, and have {:08x}; put back \
         what was recorded",
        recorded.len, recorded.crc, now.crc
    ))
}
