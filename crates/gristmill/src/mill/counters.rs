//! The counters of a run, for its report.

use super::report::StageTimes;
use gristmill_ingest::object::Requests;
use gristmill_ingest::reader::{ChunkReader, ReadPath, ReadPathChoice, ReadStats};
use gristmill_ring::lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

/// The counters of one run.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Files that were opened.
    pub files: AtomicU64,
    /// Bytes handed to the job.
    pub bytes: AtomicU64,
    /// Chunks handed to the job.
    pub chunks: AtomicU64,
    /// Files whose file system refused O_DIRECT.
    pub direct_refused: AtomicU64,
    /// Bytes that were copied in user space on their way into chunks.
    pub bounced: AtomicU64,
    pub decoded: DecodedCounters,
    pub objects: ObjectCounters,
    totals: Mutex<Totals>,
}

/// The counters of files that are decoded.
#[derive(Debug, Default)]
pub(super) struct DecodedCounters {
    /// Files.
    pub files: AtomicU64,
    /// Bytes that were read of them.
    pub raw: AtomicU64,
    /// Bytes that they were decoded to.
    pub bytes: AtomicU64,
}

/// The counters of fetches of objects.
#[derive(Debug, Default)]
pub(super) struct ObjectCounters {
    /// Requests that were sent.
    pub requests: AtomicU64,
    /// Of these, those that repeated one that had failed.
    pub retried: AtomicU64,
    /// Bytes that came.
    pub bytes: AtomicU64,
    /// The most fetches in flight.
    pub depth_max: AtomicU64,
}

impl ObjectCounters {
    /// Adds a fetch.
    pub fn add(&self, bytes: u64, requests: Requests) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.requests.fetch_add(requests.sent, Ordering::Relaxed);
        self.retried.fetch_add(requests.retried, Ordering::Relaxed);
    }

    /// Notes how many fetches are in flight.
    pub fn saw_depth(&self, depth: u64) {
        self.depth_max.fetch_max(depth, Ordering::Relaxed);
    }
}

/// The sums to which each reader adds when it ends.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub reads: ReadStats,
    /// Names of the read paths that were taken.
    pub paths: Vec<&'static str>,
    /// Reasons why something was not done as it was asked for.
    pub fallbacks: Vec<String>,
    pub stages: StageTimes,
}

impl Totals {
    fn add_path(&mut self, path: &'static str) {
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    fn add_fallback(&mut self, reason: &str) {
        if !self.fallbacks.iter().any(|known| known == reason) {
            self.fallbacks.push(reason.to_owned());
        }
    }
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Ends a reader, and adds what it did.
    pub fn end_reader(&self, reader: ChunkReader) {
        let path = reader.path().name();
        let why = reader.why().map(str::to_owned);
        let stats = reader.end();
        let mut totals = lock(&self.totals);
        totals.add_path(path);
        for reason in why.iter().chain(&stats.unregistered_reason) {
            totals.add_fallback(reason);
        }
        totals.reads += stats;
    }

    /// Whether files are refused that are read in another way than by `choice`, which has no fallback if it is `strict`.
    /// Where they are not, and `choice` names another path, `why` is told as the fallback's reason.
    pub fn refuses_other_ways(&self, choice: ReadPathChoice, strict: bool, why: &str) -> bool {
        match choice {
            ReadPathChoice::Auto | ReadPathChoice::Only(ReadPath::PositionedRead) => strict,
            ReadPathChoice::Only(ReadPath::RegisteredMappedRead) => {
                self.add_fallback(why);
                strict
            }
            ReadPathChoice::Only(_) => true,
        }
    }

    /// Adds one read of a file that is decoded: what was read, and what it became.
    pub fn add_decoded(&self, raw: u64, bytes: u64) {
        self.decoded.raw.fetch_add(raw, Ordering::Relaxed);
        self.decoded.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds a file that is read by a path.
    pub fn add_path(&self, path: ReadPath) {
        lock(&self.totals).add_path(path.name());
    }

    /// Adds a reason why something was not done as it was asked for.
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

    /// The sums, once all readers have ended.
    pub fn take_totals(&self) -> Totals {
        std::mem::take(&mut *lock(&self.totals))
    }
}
