//! The loop's thread: claims requests, has them done by its reader or by more threads, and ends them.

use super::tables::{Checked, IoTables, Taken};
use super::threads::{Done, FileThreads, Job};
use super::{IoLoopStats, StoppedIo};
use crate::engine::uring::FUSE_REASON;
use crate::path::{Capabilities, ReadPath, ReadPathChoice};
use crate::reader::{ChunkReader, ReadOutcome, ReadStats, ReaderConfig};
use gristmill_protocol::io::{io_op, IO_SLOT_COUNT};
use gristmill_protocol::PipelineError;
use gristmill_ring::{lock, Backoff, ChunkBuf, ClaimedIo, IoQueue};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long an idle loop sleeps before it looks whether it is to stop.
const IDLE: Duration = Duration::from_millis(10);

/// How long a loop that stops waits for what other threads are doing, before it leaves them behind.
const GRACE: Duration = Duration::from_millis(10);

/// The thread: makes the reader, which belongs to it, serves until `stop`, and hands over what is left.
pub(super) fn serve(
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
    // The receivers of these messages may be gone; then nobody needs them.
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
        threads_stats: ReadStats::default(),
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
    threads_stats: ReadStats,
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

    /// Serves the requests whose destination is free, in order, and hands the reads among them to the kernel.
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
        let path = self.reader.path();
        path.capabilities().has(Capabilities::BLOCKS_ITS_THREAD)
            || path == ReadPath::RegisteredMappedRead && checked.on_fuse
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

    fn land(&mut self, landed: ReadOutcome) {
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
        if flight.checked.on_fuse && self.reader.path() == ReadPath::RegisteredMappedRead {
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
    // Where the system gives no thread, they are closed here.
    let _ = std::thread::Builder::new().spawn(body);
    let _ = closed.recv_timeout(until.saturating_duration_since(Instant::now()));
}
