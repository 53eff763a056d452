//! What the feeders of one run share.

use super::collector::Collector;
use super::descriptors::{Descriptors, Moment, Permit};
use super::halo::{Carry, Layout};
use super::outbox::Outbox;
use super::record::Recorder;
use super::report::{FileError, RunReport, StageTimes};
use super::split::Parts;
use super::writer::Written;
use super::{Control, HELD_ROWS_BYTES};
use crate::jobs::Job;
use crate::source::{Entry, Item, Source};
use gristmill_ingest::reader::{ReadPathChoice, ReadStats, ReaderDemands};
use gristmill_megakernel::backend::SelectedBackend;
use gristmill_megakernel::KernelStats;
use gristmill_protocol::{PipelineError, ARGS_PER_SLOT};
use gristmill_ring::{ChunkBuf, ChunkPool, Completions, LentChunk, RecordMemory, Submitter};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

pub(super) use gristmill_ring::lock;

#[derive(Debug, Clone, Copy)]
pub(super) struct RunConfig {
    pub workers: usize,
    pub layout: Layout,
    pub depth: u32,
    pub read_path: ReadPathChoice,
    pub demands: ReaderDemands,
    /// Whether nothing may stand in for the read path.
    pub strict: bool,
    pub direct: bool,
    pub ordered: bool,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By position: several readers may cut it into chunks.
    Positioned,
    /// In order, one read at a time: a pipe, a terminal.
    Stream,
}

/// A file that is open, shared by the readers that cut it.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub entry: Arc<Entry>,
    pub file: Arc<OwnedFd>,
    pub kind: Kind,
    /// The next chunk that nobody reads yet.
    pub next: AtomicU64,
    /// Bytes up to which chunks are handed out: the file's size when it was found to be large, more as it grows.
    pub limit: AtomicU64,
    /// The size that the file system told when it was found to be large, or 0 before.
    pub size: AtomicU64,
    /// The size that was told when it was opened, or 0 where nobody asked. File systems of the kernel's own tell any.
    pub told: u64,
    /// For a stream: bytes in chunks so far.
    pub position: AtomicU64,
    /// For a stream: what its next chunk needs again.
    pub carry: Mutex<Carry>,
    /// No more chunks are wanted: ended, failed or answered.
    pub finished: AtomicBool,
    /// Gives the descriptor back when `file`, which is dropped before it, has been closed.
    pub _permit: Permit,
}

/// One chunk of one file.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub file: Arc<OpenFile>,
    /// The chunk's number in the file.
    pub number: u64,
    /// Its position in the file.
    pub offset: u64,
}

/// How a chunk's reading ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Landing {
    /// The chunk's own bytes.
    pub bytes: usize,
    /// Where they begin in the buffer.
    pub start: usize,
    /// Bytes of the file behind them in the buffer.
    pub after: usize,
    pub end: bool,
    /// Why no more could be read, where that is so.
    pub error: Option<String>,
}

impl Landing {
    pub fn failed(reason: String) -> Self {
        Self {
            error: Some(reason),
            ..Self::default()
        }
    }
}

/// A published slot: what it stands for.
#[derive(Debug)]
pub(super) struct Flight {
    pub piece: Piece,
    pub landing: Landing,
    pub lent: LentChunk,
    pub parts: Parts,
    pub mode: u32,
    pub first_part: bool,
    /// What was published: set when it is.
    pub args: [u32; ARGS_PER_SLOT],
}

/// The ends of the kernel that the run uses, there once it is launched.
pub(super) struct Port {
    pub submitter: Submitter,
    pub records: RecordMemory,
    /// Where finished slots are recorded, if they are.
    pub recorder: Option<Mutex<Option<Recorder>>>,
}

struct Listing {
    source: Box<dyn Source>,
    sequence: u64,
    ended: bool,
    /// The source had nothing yet when it was last asked.
    early: bool,
}

#[derive(Default)]
struct Totals {
    reads: ReadStats,
    paths: Vec<&'static str>,
    fallbacks: Vec<String>,
    stages: StageTimes,
}

impl Totals {
    fn add_fallback(&mut self, reason: &str) {
        if !self.fallbacks.iter().any(|known| known == reason) {
            self.fallbacks.push(reason.to_owned());
        }
    }
}

/// An entry whose open ran out of something, and the state before that.
struct Deferred {
    entry: Arc<Entry>,
    then: Moment,
}

/// The shared state of one run.
pub(super) struct Run<J: Job> {
    pub config: RunConfig,
    pub job: Arc<J>,
    pub control: Control,
    pub port: OnceLock<Port>,
    pub outbox: Outbox,
    /// By slot: what is in flight there.
    pub flights: Vec<Mutex<Option<Flight>>>,
    /// The chunks that are free, on a shelf for each reader.
    pub pool: Arc<ChunkPool>,
    pub descriptors: Arc<Descriptors>,
    listing: Mutex<Listing>,
    /// A reader holds the listing and waits for its source.
    awaited: AtomicBool,
    listed: AtomicBool,
    /// Entries that wait for a descriptor, or what else there was too little of, in the order in which they failed.
    deferred: Mutex<VecDeque<Deferred>>,
    /// Their number.
    waiting: AtomicUsize,
    /// Chunks whose reader could not read them, for another one, with their buffers.
    again: Mutex<VecDeque<(Piece, ChunkBuf)>>,
    /// Files that have chunks to hand out.
    cutting: Mutex<VecDeque<Arc<OpenFile>>>,
    collector: Mutex<Option<Collector<J>>>,
    /// Entries taken from the source, or chunks of them, whose end has not been collected.
    pub open_files: AtomicUsize,
    /// Rows held back, in bytes.
    pub held_rows: AtomicUsize,
    /// Sequence number of the file whose rows are being written, or `u64::MAX`.
    pub writing: AtomicU64,
    pub answered: AtomicBool,
    ended: AtomicBool,
    pub files: AtomicU64,
    pub failures: AtomicU64,
    pub bytes: AtomicU64,
    pub chunks: AtomicU64,
    pub direct_refused: AtomicU64,
    /// Bytes that were copied in user space on their way into chunks.
    pub bounced: AtomicU64,
    /// Why the kernel runs no more, where that is so.
    pub broken: AtomicBool,
    totals: Mutex<Totals>,
}

impl<J: Job> Run<J> {
    pub fn new(
        config: RunConfig,
        source: Box<dyn Source>,
        job: Arc<J>,
        control: Control,
        tokens: Vec<ChunkBuf>,
        slots: u32,
        descriptors: Arc<Descriptors>,
    ) -> Self {
        let pool = ChunkPool::new(tokens, config.workers);
        Self {
            config,
            job,
            control,
            port: OnceLock::new(),
            outbox: Outbox::default(),
            flights: (0..slots).map(|_| Mutex::new(None)).collect(),
            pool,
            descriptors,
            deferred: Mutex::default(),
            waiting: AtomicUsize::new(0),
            again: Mutex::default(),
            listing: Mutex::new(Listing {
                source,
                sequence: 0,
                ended: false,
                early: false,
            }),
            awaited: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            cutting: Mutex::new(VecDeque::new()),
            collector: Mutex::new(None),
            open_files: AtomicUsize::new(0),
            held_rows: AtomicUsize::new(0),
            writing: AtomicU64::new(u64::MAX),
            answered: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            files: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            direct_refused: AtomicU64::new(0),
            bounced: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            totals: Mutex::new(Totals::default()),
        }
    }

    /// Joins the run to its kernel. The feeders idle until then.
    pub fn attach(&self, port: Port, completions: Completions) {
        *lock(&self.collector) = Some(Collector::new(completions));
        self.descriptors.attach(port.submitter.clone());
        let _already = self.port.set(port);
        self.wake();
    }

    /// Ends the log, if there is one. What finishes later is not recorded.
    pub fn end_record(&self) -> Result<(), PipelineError> {
        let recorder = self.port.get().and_then(|port| port.recorder.as_ref());
        match recorder.and_then(|recorder| lock(recorder).take()) {
            Some(recorder) => recorder.finish(),
            None => Ok(()),
        }
    }

    /// Wakes workers that sleep: there is something to do for their feeders.
    pub fn wake(&self) {
        if let Some(port) = self.port.get() {
            port.submitter.wake_workers();
        }
    }

    /// Whether nothing more is to be read.
    pub fn stopping(&self) -> bool {
        self.control.stopped()
            || self.answered.load(Ordering::Relaxed)
            || self.broken.load(Ordering::Acquire)
    }

    /// Whether nothing more will come, and all that came has been collected.
    pub fn is_over(&self) -> bool {
        (self.listed.load(Ordering::Acquire) || self.stopping())
            && self.open_files.load(Ordering::Acquire) == 0
    }

    /// Whether so many rows are held back, or wait to be written, that only the file being written may go on. While a file waits to be opened all
    /// go on: it may be the one that is due, and need what they have open.
    pub fn holds_too_much(&self) -> bool {
        self.held_rows.load(Ordering::Relaxed) + self.outbox.unwritten() > HELD_ROWS_BYTES
            && self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Whether entries may come, of the source or of those that wait to be opened.
    pub fn may_open(&self) -> bool {
        !self.listed.load(Ordering::Acquire) || self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Keeps an entry for another attempt to open it.
    pub fn defer(&self, entry: Arc<Entry>, then: Moment) {
        let mut deferred = lock(&self.deferred);
        deferred.push_back(Deferred { entry, then });
        self.waiting.store(deferred.len(), Ordering::Relaxed);
    }

    /// Up to `most` of the entries that wait to be opened, if now is the time; whether others still wait.
    pub fn take_deferred(&self, most: usize, into: &mut Vec<Arc<Entry>>) -> bool {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut deferred = lock(&self.deferred);
        while into.len() < most {
            match deferred.front() {
                Some(first) if self.descriptors.is_time(first.then) => {}
                _ => break,
            }
            into.extend(deferred.pop_front().map(|first| first.entry));
        }
        self.waiting.store(deferred.len(), Ordering::Relaxed);
        !deferred.is_empty()
    }

    /// Hands a chunk that its reader could not read to whichever reads next. It keeps its buffer: chunks behind it in its
    /// file wait for it in theirs, and may hold all others.
    pub fn read_again(&self, piece: Piece, buffer: ChunkBuf) {
        lock(&self.again).push_back((piece, buffer));
        self.wake();
    }

    /// A chunk to read again.
    pub fn take_again(&self) -> Option<(Piece, ChunkBuf)> {
        lock(&self.again).pop_front()
    }

    /// Up to `most` entries of the source, counted as open.
    pub fn take_entries(&self, most: usize, into: &mut Vec<Arc<Entry>>) {
        if self.listed.load(Ordering::Acquire) {
            return;
        }
        if self.awaited.load(Ordering::Acquire) {
            // Who waits for the source wakes the others when it has something.
            return;
        }
        let mut listing = lock(&self.listing);
        listing.early = false;
        // What cannot be listed takes no buffer, but waits to be told like everything else.
        while into.len() < most && !listing.ended && !self.outbox.is_full() {
            let then = self.descriptors.moment();
            match listing.source.next_item() {
                Some(Item::Entry(mut entry)) => {
                    entry.sequence = listing.sequence;
                    listing.sequence += 1;
                    // Counted before the listing can be seen to have ended, so that the run is not over in between.
                    self.open_files.fetch_add(1, Ordering::AcqRel);
                    into.push(Arc::new(entry));
                }
                Some(Item::Error { path, reason }) => self.fail(FileError {
                    path,
                    offset: None,
                    reason,
                    notice: false,
                }),
                // When a file of ours is closed, it comes again.
                Some(Item::Starved { .. })
                    if !into.is_empty() || self.descriptors.worth_waiting(then) =>
                {
                    break
                }
                Some(Item::Starved { path, reason }) => {
                    let _told = listing.source.give_up();
                    self.fail(FileError {
                        path: Some(path),
                        offset: None,
                        reason,
                        notice: false,
                    });
                }
                Some(Item::Later) => {
                    listing.early = true;
                    break;
                }
                Some(Item::Notice(reason)) => self.fail(FileError {
                    path: None,
                    offset: None,
                    reason,
                    notice: true,
                }),
                None => {
                    listing.ended = true;
                    self.listed.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Where the source had nothing when it was last asked, and nobody waits for it: waits, for `timeout` at most; whether
    /// it did.
    pub fn await_source(&self, timeout: Duration) -> bool {
        if self.listed.load(Ordering::Acquire) {
            return false;
        }
        let mut listing = match self.listing.try_lock() {
            Ok(listing) => listing,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return false,
        };
        if !listing.early {
            return false;
        }
        self.awaited.store(true, Ordering::Release);
        let more = listing.source.wait(timeout);
        self.awaited.store(false, Ordering::Release);
        drop(listing);
        if more {
            self.wake();
        }
        true
    }

    /// Reports a failure and counts it.
    pub fn fail(&self, error: FileError) {
        if !error.notice {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.outbox.error(error);
    }

    /// Offers a file's further chunks to all readers.
    pub fn offer(&self, file: Arc<OpenFile>) {
        lock(&self.cutting).push_back(file);
        if self.config.workers > 1 {
            self.wake();
        }
    }

    /// The next chunk to read of a file that is being cut.
    pub fn next_piece(&self) -> Option<Piece> {
        let only = self
            .holds_too_much()
            .then(|| self.writing.load(Ordering::Relaxed));
        let mut cutting = lock(&self.cutting);
        let mut index = 0;
        while let Some(file) = cutting.get(index) {
            if only.is_some_and(|sequence| file.entry.sequence != sequence)
                && !file.finished.load(Ordering::Relaxed)
            {
                index += 1;
                continue;
            }
            let number = file.next.load(Ordering::Relaxed);
            let offset = match file.kind {
                Kind::Stream => file.position.load(Ordering::Relaxed),
                Kind::Positioned => number.saturating_mul(self.config.layout.chunk as u64),
            };
            let limit = file.limit.load(Ordering::Relaxed);
            if file.finished.load(Ordering::Relaxed) || offset >= limit {
                cutting.remove(index);
                continue;
            }
            file.next.store(number + 1, Ordering::Relaxed);
            let piece = Piece {
                file: Arc::clone(file),
                number,
                offset,
            };
            if file.kind == Kind::Stream {
                // Its next read is offered when this one has landed.
                cutting.remove(index);
            }
            return Some(piece);
        }
        None
    }

    /// Turns completions into rows. Where another worker is at it already, `patient` waits for its turn: whoever is about
    /// to sleep must, or a completion might be left lying.
    pub fn collect(&self, patient: bool) -> bool {
        let guard = if patient {
            Some(lock(&self.collector))
        } else {
            match self.collector.try_lock() {
                Ok(guard) => Some(guard),
                Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(std::sync::TryLockError::WouldBlock) => None,
            }
        };
        let Some(mut guard) = guard else {
            return false;
        };
        guard
            .as_mut()
            .is_some_and(|collector| collector.drain(self))
    }

    /// Hands in a chunk that no slot was published for: an end, an error.
    pub fn hand_in(&self, piece: Piece, landing: Landing) {
        if let Some(collector) = lock(&self.collector).as_mut() {
            collector.hand_in(self, piece, landing);
        }
    }

    /// An entry that could not be opened.
    pub fn refuse(&self, entry: &Entry, error: FileError) {
        if let Some(collector) = lock(&self.collector).as_mut() {
            collector.refuse(self, entry, error);
        }
    }

    /// An entry that is no input: a file that the run writes.
    pub fn pass_over(&self, entry: &Entry) {
        if let Some(collector) = lock(&self.collector).as_mut() {
            collector.pass_over(self, entry);
        }
    }

    /// Whether [`Run::end`] was called.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Closes what is still open after a stop, once, and tells the writer that this is all.
    pub fn end(&self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            if let Some(collector) = lock(&self.collector).as_mut() {
                collector.finish(self);
            }
            self.outbox.finish();
            self.wake();
        }
    }

    /// Adds what one reader did.
    pub fn add_reader(&self, path: &'static str, why: Option<&str>, stats: ReadStats) {
        let mut totals = lock(&self.totals);
        if !totals.paths.contains(&path) {
            totals.paths.push(path);
        }
        for reason in why.into_iter().chain(stats.unregistered_reason.as_deref()) {
            totals.add_fallback(reason);
        }
        totals.reads += stats;
    }

    /// Says that something was done otherwise than it was wanted, and why.
    pub fn add_fallback(&self, reason: &str) {
        lock(&self.totals).add_fallback(reason);
    }

    /// Adds the time that one feeder took, whether it read anything or not.
    pub fn add_stages(&self, stages: &StageTimes) {
        let sum = &mut lock(&self.totals).stages;
        sum.source += stages.source;
        sum.open += stages.open;
        sum.read += stages.read;
        sum.kernel += stages.kernel;
        sum.collect += stages.collect;
    }

    pub fn report(
        &self,
        elapsed: Duration,
        backend: &SelectedBackend,
        peer_memory: Option<String>,
        kernel: &KernelStats,
        written: Written,
        record: Result<(), PipelineError>,
    ) -> Result<RunReport, PipelineError> {
        let totals = std::mem::take(&mut *lock(&self.totals));
        let report = RunReport {
            elapsed,
            backend: backend.backend.name(),
            why: backend.why.clone(),
            device: backend.backend.device(),
            workers: self.config.workers,
            read_paths: totals.paths,
            peer_memory,
            fallbacks: totals.fallbacks,
            chunk_bytes: self.config.layout.chunk,
            depth: self.config.depth,
            files: self.files.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            chunks: self.chunks.load(Ordering::Relaxed),
            reads: totals.reads,
            direct_refused: self.direct_refused.load(Ordering::Relaxed),
            cpu_bounce_bytes: self.bounced.load(Ordering::Relaxed),
            rows_bytes: written.bytes,
            kernel: kernel.clone(),
            stages: StageTimes {
                write: written.time,
                ..totals.stages
            },
            stopped: self.control.stopped(),
            output: written.result,
            record,
        };
        report.validate()?;
        Ok(report)
    }
}
