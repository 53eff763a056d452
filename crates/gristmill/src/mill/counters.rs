//! What a run counts, for its report.

use super::report::{ReadTotals, StageTimes};
use gristmill_ingest::reader::ChunkReader;
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
    totals: Mutex<Totals>,
}

/// What is summed when a reader ends.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub reads: ReadTotals,
    /// Names of the read paths that were taken.
    pub paths: Vec<&'static str>,
    /// Why something was done otherwise than it was wanted.
    pub fallbacks: Vec<String>,
    pub stages: StageTimes,
}

impl Totals {
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
    /// Adds what one reader did.
    pub fn add_reader(&self, reader: &ChunkReader) {
        let (path, stats) = (reader.path().name(), reader.stats());
        let mut totals = lock(&self.totals);
        if !totals.paths.contains(&path) {
            totals.paths.push(path);
        }
        for reason in reader
            .why()
            .into_iter()
            .chain(stats.unregistered_reason.as_deref())
        {
            totals.add_fallback(reason);
        }
        let reads = &mut totals.reads;
        reads.reads += stats.reads;
        reads.bytes_registered += stats.bytes_registered;
        reads.bytes_mapped += stats.bytes_mapped;
        reads.bytes_passthrough += stats.bytes_passthrough;
        reads.bytes_positioned += stats.bytes_positioned;
        reads.short_reads += stats.short_reads;
        reads.retries += stats.retries;
        reads.enters += stats.enters;
        reads.depth_max = reads.depth_max.max(stats.depth_max);
        reads.depth_sum += stats.depth_sum;
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

    /// The sums, once all readers have ended.
    pub fn take_totals(&self) -> Totals {
        std::mem::take(&mut *lock(&self.totals))
    }
}
