//! The loop's thread: it claims requests, passes them to its reader or to other threads, and ends them.

use super::done::{IoLoopStats, StoppedIo};
use super::tables::{Checked, IoTables, Taken};
use super::threads::{Done, FileThreads, Job};
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

/// How long an idle loop sleeps before it checks whether it must stop.
const IDLE: Duration = Duration::from_millis(10);

/// How long a stopping loop waits for the jobs of other threads, before it leaves them behind.
const GRACE: Duration = Duration::from_millis(10);

/// The thread's function: makes the reader, which belongs to the thread, serves until `stop`, and hands over what is
/// left.
pub(super) fn serve(
    queue: IoQueue,
    tables: IoTables,
    path: ReadPathChoice,
    stats: Arc<Mutex<IoLoopStats>>,
    stop: &AtomicBool,
    ready: &Sender<Result<(), PipelineError>>,
    leaves: &Sender<StoppedIo>,
) {
    // A request keeps its slot of the queue until it has ended, so there are never more requests than slots.
    let config = ReaderConfig {
        depth: IO_SLOT_COUNT,
        path,
    };
    // The receivers of these messages may be gone. In that case nobody needs the messages.
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
        may_go_on: path == ReadPathChoice::Auto,
        lost: false,
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

/// A READ or WRITE that the reader or a thread is carrying out.
struct Flight {
    claimed: ClaimedIo,
    checked: Checked,
    /// Whether the device had the destination's chunk before.
    was_lent: bool,
}

/// A chunk that comes back with its request's outcome.
type Ended = (ChunkBuf, Result<usize, i32>);

/// The thread's state. Requests are numbered in the order in which they were claimed.
struct Server {
    queue: IoQueue,
    tables: IoTables,
    reader: ChunkReader,
    /// Whether READs go on by threads should the reader's ring fail for good: io_uring was not demanded.
    may_go_on: bool,
    /// Whether that has happened.
    lost: bool,
    /// They carry out requests that would block this thread.
    threads: FileThreads,
    /// The system calls of READs on these threads.
    threads_stats: ReadStats,
    stats: Arc<Mutex<IoLoopStats>>,
    claims: u64,
    /// Requests whose destination is in use by another request, by number.
    waiting: VecDeque<(u64, ClaimedIo)>,
    /// Requests in flight by number, which is also their tag in the reader and the number of their job.
    flights: BTreeMap<u64, Flight>,
    /// Fences, each with a number: all requests with smaller numbers must have ended first.
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
                // New requests do not interrupt these waits, and neither do threads while this waits for the reader. So
                // the waits are short.
                let pause = backoff.pause();
                if self.reader.inflight() == 0 {
                    self.threads.wait(pause);
                } else if self.reader.wait(pause).is_err() {
                    std::thread::sleep(pause);
                }
            }
        }
    }

    /// Claims, submits and ends as many requests as possible. Returns whether there were any.
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

    /// Claims all waiting requests. Returns whether there were any.
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
        // After the last claim, every request that was published before any of these fences has been claimed, too.
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
            // A request that must wait longer goes to the end of the queue, so after one round all are in their
            // original order again.
            if let Some(claimed) = self.start(number, claimed) {
                self.waiting.push_back((number, claimed));
            }
        }
        // If the ring fails, its reads complete with the error.
        let _ = self.reader.flush();
    }

    /// Serves a request, as far as that is possible without waiting. Gives it back if its destination is in use by
    /// another request.
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

    /// Whether the reader would read a file on this thread, which would then block for as long as the file system
    /// takes.
    fn blocks(&self, checked: &Checked) -> bool {
        let path = self.reader.path();
        self.lost
            || path.capabilities().has(Capabilities::BLOCKS_ITS_THREAD)
            || path == ReadPath::RegisteredMappedRead && checked.on_fuse
    }

    /// Passes a READ to the reader, or returns the chunk with the READ's outcome.
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
        submitted.or_else(|(chunk, error)| {
            if self.ring_is_lost() {
                return self.give(number, checked, chunk);
            }
            let errno = match error {
                PipelineError::IoUringSyscall { errno, .. } => errno,
                PipelineError::InvalidArgument { .. } => libc::EINVAL,
                _ => libc::EOPNOTSUPP,
            };
            Err((chunk, Err(errno)))
        })
    }

    /// Whether the ring has failed for good and READs go on by threads. The first time, the counts say why.
    fn ring_is_lost(&mut self) -> bool {
        if let (true, false, Some(error)) = (self.may_go_on, self.lost, self.reader.failure()) {
            self.lost = true;
            lock(&self.stats).why = Some(format!(
                "io_uring failed while the loop ran, and what followed was read without it: {error}"
            ));
        }
        self.lost
    }

    /// Passes a READ or a WRITE to a thread, or returns the chunk with the request's outcome.
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
        // The error may be the ring's alone. If it is the file's, the thread meets it again.
        if landed.error.is_some() && self.ring_is_lost() {
            match self.give(landed.tag, &flight.checked, landed.buffer) {
                Ok(()) => drop(self.flights.insert(landed.tag, flight)),
                Err((chunk, outcome)) => self.end(flight, chunk, outcome),
            }
            return;
        }
        // A negative number is not an errno.
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
        // This is at most the request's count, which has 32 bits.
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

    /// Ends the fences for which all earlier requests have ended.
    fn end_fences(&mut self) {
        // A request that waits for its destination waits for an earlier request in flight, so only those in flight are
        // checked.
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

    /// Cancels the requests in flight, fails the claimed ones, and returns the rest.
    fn close(mut self) -> StoppedIo {
        // A job that has not begun has not changed its chunk.
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
        // The drop returns when no byte can land any more, so requests may end only after it.
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

/// Closes files on a separate thread, because closing a file may block in some file systems. Waits for the thread until
/// `until`.
fn close_elsewhere(files: Vec<Arc<OwnedFd>>, until: Instant) {
    if files.is_empty() {
        return;
    }
    let (closing, closed) = mpsc::channel::<()>();
    let body = move || {
        drop(files);
        drop(closing);
    };
    // If no thread can be started, the files are closed here.
    let _ = std::thread::Builder::new().spawn(body);
    let _ = closed.recv_timeout(until.saturating_duration_since(Instant::now()));
}
