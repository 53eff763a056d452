//! The host's side of LOAD_MISS: a thread that reads what a kernel's slots ask for.
//!
//! Whatever arrives from the device is a number: a handle in the loop's tables ([`IoTables`]), an offset or a count,
//! and is checked against the table before anything is done. It is never a file descriptor, an address or a length to
//! be believed. Whose request it is comes from the slot that the host published (see [`gristmill_ring::live`]).
//!
//! | error number | for |
//! |---|---|
//! | EBADF | a handle that is in no table |
//! | EACCES | a handle of other tenants, a WRITE to a source that is not for writing |
//! | EINVAL | an offset or a count out of range, an unknown operation, a request of no slot |
//! | EBUSY | a destination that a worker is reading |
//! | ECANCELED | a request that was in flight when the loop was stopped, or that is made while none serves the queue |
//! | EAGAIN | a READ or WRITE for which there was no thread to be had |
//! | EOPNOTSUPP | a file that the loop's path cannot read |
//! | EIO | what a disk answers to a command, a file that changed while it was read past its file system |
//! | any | what the file system answers |
//!
//! # Order
//!
//! READs go to a [`ChunkReader`] of the thread's own, many at once. What that could not do without blocking the thread
//! is done on other threads (`io_loop/threads.rs`), a few for each file: WRITEs, READs of files on FUSE (which io_uring
//! must not read), and all READs where io_uring is refused. So a file system that does not answer holds up the requests
//! of its files, and no others.
//!
//! READs and WRITEs end in any order, but requests for one destination are served one after the other. A FENCE ends
//! when all have ended that were published before it. A READ that meets the file's or the source's end tells how many
//! bytes landed. Of a WRITE that was cancelled, bytes may have reached the file.

mod tables;
mod threads;

pub use tables::{IoSource, IoTables};

use crate::reader::{ChunkReader, Landed, ReadPathChoice, ReaderConfig, ReaderStats, FUSE_REASON};
use crate::telemetry::NativeReadPath;
use gristmill_protocol::io::{io_op, IoRequest, IO_SLOT_COUNT};
use gristmill_protocol::PipelineError;
use gristmill_ring::{lock, Backoff, ChunkBuf, ClaimedIo, IoQueue};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tables::{Checked, Taken};
use threads::{Done, FileThreads, Job};

/// How long an idle loop sleeps before it looks whether it is to stop.
const IDLE: Duration = Duration::from_millis(10);

/// How long a loop that stops waits for what other threads are doing, before it leaves them behind.
const GRACE: Duration = Duration::from_millis(10);

/// How long [`MegakernelIoLoop::stop`] waits for a device that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a loop did so far. Of each request exactly one count says how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IoLoopStats {
    /// READs that were served.
    pub reads: u64,
    /// Bytes that these landed.
    pub bytes_read: u64,
    /// WRITEs that were served.
    pub writes: u64,
    /// Bytes that these wrote.
    pub bytes_written: u64,
    /// FENCEs that ended.
    pub fences: u64,
    /// Requests that the tables refused: nothing was asked of a file.
    pub refused: u64,
    /// READs and WRITEs that a file failed.
    pub failed: u64,
    /// Requests that were in flight when the loop was stopped.
    pub cancelled: u64,
    /// How READs are done: the name of the reader's path.
    pub path: &'static str,
    /// Why io_uring was not taken; `None` where it was, or was not asked for.
    pub why: Option<String>,
    /// What READs asked of the kernel, and bytes by path.
    pub reader: ReaderStats,
}

impl IoLoopStats {
    /// Requests that have ended, one way or the other.
    pub fn ended(&self) -> u64 {
        self.reads + self.writes + self.fences + self.refused + self.failed + self.cancelled
    }
}

/// What a stopped loop leaves.
#[derive(Debug)]
pub struct StoppedIo {
    /// The queue: requests that nobody has claimed wait in it, for another loop.
    pub queue: IoQueue,
    /// The chunks of all destinations, but for those of reads that were in flight and those that a worker is reading:
    /// these are retired.
    pub chunks: Vec<ChunkBuf>,
    /// READs and WRITEs whose file had not answered. They ended with ECANCELED, but each is still being done, by a
    /// thread that keeps its file and its chunk until the file answers, and then ends: a READ may still change that
    /// chunk, which nobody else has, and a WRITE the file. Linux ends no process before such a thread of it ends.
    pub left_behind: Vec<IoRequest>,
    /// What the loop did.
    pub stats: IoLoopStats,
}

/// A thread that serves the device's IO requests, by io_uring or, where that is refused, by positioned reads on more
/// threads. Dropping it stops it.
pub struct MegakernelIoLoop {
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<IoLoopStats>>,
    /// `None` once the loop was stopped.
    thread: Option<(JoinHandle<()>, Receiver<StoppedIo>)>,
}

impl MegakernelIoLoop {
    /// Starts serving a queue from tables, which are fixed from here on.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where `path` demands io_uring and it is refused; [`PipelineError::Backend`]
    /// where there is no thread to be had. The queue and the chunks are lost.
    pub fn start(
        queue: IoQueue,
        tables: IoTables,
        path: ReadPathChoice,
    ) -> Result<Self, PipelineError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::new(Mutex::new(IoLoopStats::default()));
        let (ready, started) = mpsc::channel();
        let (leaves, left) = mpsc::channel();
        let (stops, counts) = (Arc::clone(&stop), Arc::clone(&stats));
        let body = move || serve(queue, tables, path, counts, &stops, &ready, &leaves);
        let thread = std::thread::Builder::new()
            .name("gristmill-io".into())
            .spawn(body)
            .map_err(|error| {
                PipelineError::Backend(format!(
                    "no thread for the IO loop: {error}; raise the limit on processes (ulimit -u)"
                ))
            })?;
        started.recv().unwrap_or_else(|_| Err(panicked()))?;
        Ok(Self {
            stop,
            stats,
            thread: Some((thread, left)),
        })
    }

    /// What was done so far. A request is counted before the device learns that it has ended.
    pub fn stats(&self) -> IoLoopStats {
        lock(&self.stats).clone()
    }

    /// Stops serving: cancels the reads in flight, waits until no byte lands any more, and fails their requests with
    /// ECANCELED. This takes some milliseconds. A `pread` or `pwrite` cannot be cancelled: one that is not over by
    /// then, because its file system does not answer, is left behind ([`StoppedIo::left_behind`]) and holds nothing
    /// else up.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where a device does not answer within two seconds to the cancelling of io_uring's
    /// reads or of NVMe commands. The thread then ends by itself, when the device answers or ten seconds have passed,
    /// and keeps until then all memory that bytes may land in.
    pub fn stop(mut self) -> Result<StoppedIo, PipelineError> {
        self.finish().unwrap_or_else(|| Err(panicked()))
    }

    /// Stops the thread; `None` if that was done before.
    fn finish(&mut self) -> Option<Result<StoppedIo, PipelineError>> {
        let (thread, left) = self.thread.take()?;
        self.stop.store(true, Ordering::Release);
        let result = match left.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => {
                return Some(Err(PipelineError::Backend(
                    "the IO loop waits for a device that does not answer; check what its files are stored on".into(),
                )));
            }
            Err(RecvTimeoutError::Disconnected) => Err(panicked()),
            Ok(stopped) => Ok(stopped),
        };
        // The thread has said all it had to say: this takes no time.
        let joined = thread.join();
        Some(joined.map_err(|_| panicked()).and(result))
    }
}

impl Drop for MegakernelIoLoop {
    fn drop(&mut self) {
        // Errors have nowhere to go here: `stop` returns them.
        drop(self.finish());
    }
}

impl std::fmt::Debug for MegakernelIoLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MegakernelIoLoop")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

fn panicked() -> PipelineError {
    PipelineError::Backend("the IO loop's thread has panicked; please report this".into())
}

/// The thread: makes the reader, which belongs to it, serves until `stop`, and hands over what is left.
fn serve(
    queue: IoQueue,
    tables: IoTables,
    path: ReadPathChoice,
    stats: Arc<Mutex<IoLoopStats>>,
    stop: &AtomicBool,
    ready: &Sender<Result<(), PipelineError>>,
    leaves: &Sender<StoppedIo>,
) {
    // A request keeps its slot of the queue until it has ended, so there are never more.
    let config = ReaderConfig {
        depth: IO_SLOT_COUNT,
        path,
    };
    // Whoever waits for these messages may be gone; then nobody needs them.
    let reader = match ChunkReader::new(config) {
        Ok(reader) => reader,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    {
        let mut stats = lock(&stats);
        stats.path = reader.path().name();
        stats.why = reader.why().map(str::to_owned);
    }
    let _ = ready.send(Ok(()));
    let mut server = Server {
        queue,
        tables,
        reader,
        threads: FileThreads::new(),
        threads_stats: ReaderStats::default(),
        stats,
        claims: 0,
        waiting: VecDeque::new(),
        flights: BTreeMap::new(),
        fences: VecDeque::new(),
    };
    server.run(stop);
    let _ = leaves.send(server.close());
}

/// A READ or WRITE that the reader or a thread has.
struct Flight {
    claimed: ClaimedIo,
    checked: Checked,
    /// Whether the device had the destination's chunk before.
    was_lent: bool,
}

/// A chunk that comes back with its request's outcome.
type Ended = (ChunkBuf, Result<usize, i32>);

/// What the thread works with. Requests are numbered in the order in which they were claimed.
struct Server {
    queue: IoQueue,
    tables: IoTables,
    reader: ChunkReader,
    /// For what would block this thread.
    threads: FileThreads,
    /// What READs on these threads asked of the kernel.
    threads_stats: ReaderStats,
    stats: Arc<Mutex<IoLoopStats>>,
    claims: u64,
    /// Requests whose destination another one has, by number.
    waiting: VecDeque<(u64, ClaimedIo)>,
    /// By number, which is also their tag in the reader and their number among the threads' jobs.
    flights: BTreeMap<u64, Flight>,
    /// Fences, each with the number below which all must have ended.
    fences: VecDeque<(u64, ClaimedIo)>,
}

impl Server {
    fn run(&mut self, stop: &AtomicBool) {
        let mut backoff = Backoff::DEVICE;
        while !stop.load(Ordering::Acquire) {
            if self.turn(stop) {
                backoff.reset();
            } else if self.flights.is_empty() {
                self.queue.wait(IDLE);
            } else {
                // Requests make no noise that these waits would hear, nor do threads where the reader is waited for: so
                // they are short.
                let pause = backoff.pause();
                if self.reader.inflight() == 0 {
                    self.threads.wait(pause);
                } else if self.reader.wait(pause).is_err() {
                    std::thread::sleep(pause);
                }
            }
        }
    }

    /// Claims, submits and ends what it can; whether there was anything.
    fn turn(&mut self, stop: &AtomicBool) -> bool {
        let claimed = self.claim();
        self.start_waiting();
        let mut landed = false;
        while let Some(read) = self.reader.poll() {
            self.land(read);
            landed = true;
            if stop.load(Ordering::Acquire) {
                return true;
            }
        }
        while let Some(done) = self.threads.poll() {
            self.done(done);
            landed = true;
        }
        if landed {
            self.start_waiting();
        }
        self.end_fences();
        claimed || landed
    }

    /// Claims all requests there are; whether there were any.
    fn claim(&mut self) -> bool {
        let mut fences = Vec::new();
        let before = self.claims;
        while let Some(claimed) = self.queue.claim() {
            if claimed.request().op_type == io_op::FENCE {
                fences.push(claimed);
            } else {
                self.waiting.push_back((self.claims, claimed));
                self.claims += 1;
            }
        }
        let any = self.claims > before || !fences.is_empty();
        // After the last claim, all that was published before any of these fences was claimed too.
        let until = self.claims;
        self.fences
            .extend(fences.into_iter().map(|fence| (until, fence)));
        any
    }

    /// Serves the requests whose destination is to be had, in order, and hands the reads among them to the kernel.
    fn start_waiting(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some((number, claimed)) = self.waiting.pop_front() else {
                break;
            };
            // What must wait on goes behind, so after one round all are in their order again.
            if let Some(claimed) = self.start(number, claimed) {
                self.waiting.push_back((number, claimed));
            }
        }
        // Where the ring fails, its reads land with the error.
        let _ = self.reader.flush();
    }

    /// Serves a request, as far as that goes without waiting; or gives it back, if another one has its destination.
    fn start(&mut self, number: u64, claimed: ClaimedIo) -> Option<ClaimedIo> {
        let checked = match self.tables.check(claimed.request(), claimed.tenant()) {
            Ok(checked) => checked,
            Err(errno) => {
                self.refuse(claimed, errno);
                return None;
            }
        };
        match self.tables.take(checked.destination) {
            Ok(None) => return Some(claimed),
            Ok(Some(taken)) => self.submit(number, claimed, checked, taken),
            Err(errno) => self.refuse(claimed, errno),
        }
        None
    }

    fn submit(&mut self, number: u64, claimed: ClaimedIo, checked: Checked, taken: Taken) {
        let Taken { chunk, was_lent } = taken;
        let submitted = if checked.count == 0 {
            Err((chunk, Ok(0)))
        } else if checked.writes || self.blocks(&checked) {
            self.give(number, &checked, chunk)
        } else {
            self.read(number, &checked, chunk)
        };
        let flight = Flight {
            claimed,
            checked,
            was_lent,
        };
        match submitted {
            Ok(()) => drop(self.flights.insert(number, flight)),
            Err((chunk, outcome)) => self.end(flight, chunk, outcome),
        }
    }

    /// Whether the reader would read a file on this thread, which waits then for as long as the file system likes.
    fn blocks(&self, checked: &Checked) -> bool {
        match self.reader.path() {
            NativeReadPath::PositionedRead => true,
            NativeReadPath::RegisteredMappedRead => checked.on_fuse,
            _ => false,
        }
    }

    /// Hands a READ to the reader; or gives back the chunk, with the READ's outcome.
    fn read(&mut self, number: u64, checked: &Checked, chunk: ChunkBuf) -> Result<(), Ended> {
        self.reader.learn_ring_reads(&checked.file);
        let submitted = self.reader.submit(
            &checked.file,
            checked.offset,
            chunk,
            checked.count,
            number,
            true,
        );
        submitted.map_err(|(chunk, error)| {
            let errno = match error {
                PipelineError::IoUringSyscall { errno, .. } => errno,
                PipelineError::InvalidArgument { .. } => libc::EINVAL,
                _ => libc::EOPNOTSUPP,
            };
            (chunk, Err(errno))
        })
    }

    /// Hands a READ or a WRITE to a thread; or gives back the chunk, with the request's outcome.
    fn give(&mut self, number: u64, checked: &Checked, chunk: ChunkBuf) -> Result<(), Ended> {
        let job = Job {
            number,
            source: checked.source,
            file: Arc::clone(&checked.file),
            offset: checked.offset,
            chunk,
            count: checked.count,
            writes: checked.writes,
        };
        self.threads
            .give(job)
            .map_err(|(chunk, errno)| (chunk, Err(errno)))
    }

    fn land(&mut self, landed: Landed) {
        let Some(flight) = self.flights.remove(&landed.tag) else {
            return;
        };
        self.tell_reader_stats();
        // What is below 0 is no errno.
        let errno = landed
            .error
            .map(|error| if error > 0 { error } else { libc::EIO });
        self.end(flight, landed.buffer, errno.map_or(Ok(landed.bytes), Err));
    }

    fn done(&mut self, done: Done) {
        let Some(flight) = self.flights.remove(&done.number) else {
            return;
        };
        self.threads_stats += done.stats;
        if flight.checked.on_fuse && self.reader.path() == NativeReadPath::RegisteredMappedRead {
            let reason = &mut self.threads_stats.unregistered_reason;
            reason.get_or_insert_with(|| FUSE_REASON.to_owned());
        }
        self.tell_reader_stats();
        self.end(flight, done.chunk, done.outcome);
    }

    fn tell_reader_stats(&self) {
        let mut stats = self.reader.stats();
        stats += self.threads_stats.clone();
        lock(&self.stats).reader = stats;
    }

    fn end(&mut self, flight: Flight, chunk: ChunkBuf, outcome: Result<usize, i32>) {
        let Flight {
            claimed,
            checked,
            was_lent,
        } = flight;
        let lend = if checked.writes {
            was_lent
        } else {
            outcome.is_ok()
        };
        self.tables.put(checked.destination, chunk, lend);
        // At most a request's count, which has 32 bits.
        let outcome = outcome.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        let mut stats = lock(&self.stats);
        match outcome {
            Ok(bytes) if checked.writes => {
                stats.writes += 1;
                stats.bytes_written += u64::from(bytes);
            }
            Ok(bytes) => {
                stats.reads += 1;
                stats.bytes_read += u64::from(bytes);
            }
            Err(_) => stats.failed += 1,
        }
        drop(stats);
        claimed.end(outcome);
    }

    fn refuse(&self, claimed: ClaimedIo, errno: i32) {
        lock(&self.stats).refused += 1;
        claimed.end(Err(errno));
    }

    /// Ends the fences before which nothing is left.
    fn end_fences(&mut self) {
        // What waits for a destination waits for an earlier request in flight, so it need not be looked at.
        let first = self.flights.first_key_value().map(|(number, _)| *number);
        while let Some((until, fence)) = self.fences.pop_front() {
            if first.is_some_and(|first| first < until) {
                self.fences.push_front((until, fence));
                break;
            }
            lock(&self.stats).fences += 1;
            fence.end(Ok(0));
        }
    }

    /// Cancels what is in flight, fails what was claimed, and returns the rest.
    fn close(mut self) -> StoppedIo {
        // What has not begun leaves its chunk as it was.
        for job in self.threads.take_queued() {
            if let Some(flight) = self.flights.get(&job.number) {
                let destination = flight.checked.destination;
                self.tables.put(destination, job.chunk, flight.was_lent);
            }
        }
        let until = Instant::now() + GRACE;
        while self.threads.under_way().next().is_some() && Instant::now() < until {
            self.threads
                .wait(until.saturating_duration_since(Instant::now()));
            while let Some(done) = self.threads.poll() {
                self.done(done);
            }
        }
        self.tell_reader_stats();
        // Its drop returns when no byte can land any more, so only now the requests may end.
        drop(self.reader);
        let left_behind = self
            .threads
            .under_way()
            .filter_map(|number| self.flights.get(&number))
            .map(|flight| *flight.claimed.request())
            .collect();
        let flights = self.flights.into_values().map(|flight| flight.claimed);
        let queued = self.waiting.into_iter().chain(self.fences);
        for claimed in flights.chain(queued.map(|(_, claimed)| claimed)) {
            lock(&self.stats).cancelled += 1;
            claimed.end(Err(libc::ECANCELED));
        }
        close_elsewhere(self.tables.take_files_that_close_slowly(), until);
        StoppedIo {
            queue: self.queue,
            chunks: self.tables.into_chunks(),
            left_behind,
            stats: lock(&self.stats).clone(),
        }
    }
}

/// Closes files on a thread that may take its time, as some file systems are asked when a file is closed; waits for it
/// until `until`.
fn close_elsewhere(files: Vec<Arc<OwnedFd>>, until: Instant) {
    if files.is_empty() {
        return;
    }
    let (closing, closed) = mpsc::channel::<()>();
    let body = move || {
        drop(files);
        drop(closing);
    };
    // Where there is no thread to be had, they are closed here.
    let _ = std::thread::Builder::new().spawn(body);
    let _ = closed.recv_timeout(until.saturating_duration_since(Instant::now()));
}
