//! Counters of reads, which must add up.
//!
//! [`ReadStats`] counts at both ends of a reader: what its user asked for and got (reads and bytes that were submitted,
//! landed and failed), and what was asked of the kernel for that (reads, bytes by call, depth). The other sets of
//! counters are derived from it: [`NvmeGpuIngestTelemetry`], for users of the driver, and [`IngestTransfers`].

use crate::path::ReadPath;
use crate::queue::QueueCounters;
use gristmill_protocol::PipelineError;
use std::ops::AddAssign;

/// The counters of all reads so far. The statistics of several readers are added field by field, except for
/// `depth_max`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadStats {
    /// Reads that the user submitted. Each of them is in at most one of the counters of landed and failed reads.
    pub submitted_reads: u64,
    /// Bytes that these reads asked for, without bytes after the end of a file.
    pub submitted_bytes: u64,
    /// Reads that landed.
    pub landed_reads: u64,
    /// Bytes that landed.
    pub landed_bytes: u64,
    /// How many of these bytes a disk itself wrote to their destination: by NVMe commands, or by O_DIRECT reads of a
    /// file whose file system supports them and whose bytes are on the disk. The kernel copied the others, or may have.
    pub direct_bytes: u64,
    /// Reads that failed.
    pub failed_reads: u64,
    /// Reads that the kernel was asked for, including continuations of short reads.
    pub reads: u64,
    /// Bytes read by io_uring into registered chunks (`READ_FIXED`).
    pub bytes_registered: u64,
    /// Bytes read by io_uring into chunks that are mapped and not registered (`READ`), such as those of peer memory.
    pub bytes_mapped: u64,
    /// Bytes read by NVMe passthrough, in whole blocks.
    pub bytes_passthrough: u64,
    /// Bytes read by `pread` and `read`.
    pub bytes_positioned: u64,
    /// Reads that returned fewer bytes than requested, but at least one, and were continued.
    pub short_reads: u64,
    /// Reads that were submitted again after EINTR or EAGAIN.
    pub retries: u64,
    /// For each read, the number of reads that the kernel had and that were not reaped when it took this one
    /// (included), summed over all reads.
    pub depth_sum: u64,
    /// The greatest such number.
    pub depth_max: u32,
    /// System calls made to submit and to wait (and, by positioned reads, to read).
    pub enters: u64,
    /// Files that have a slot in the ring's file table.
    pub fixed_files: u64,
    /// Why chunks were not registered although this was asked for, or why files were not read by the ring.
    pub unregistered_reason: Option<String>,
}

impl ReadStats {
    /// Achieved queue depth: the mean over all reads; 0 before the first.
    pub fn mean_depth(&self) -> f64 {
        if self.reads == 0 {
            return 0.0;
        }
        self.depth_sum as f64 / self.reads as f64
    }

    /// Bytes that the kernel transferred, summed over all calls. This is at least the number of bytes that landed.
    pub fn bytes(&self) -> u64 {
        self.bytes_registered + self.bytes_mapped + self.bytes_passthrough + self.bytes_positioned
    }

    /// Reads that neither landed nor failed.
    pub fn inflight_reads(&self) -> u64 {
        let over = self.landed_reads.saturating_add(self.failed_reads);
        self.submitted_reads.saturating_sub(over)
    }

    /// The statistics of a queue of NVMe commands. Each command counts as a read.
    pub(crate) fn of_commands(counters: QueueCounters) -> Self {
        ReadStats {
            bytes_mapped: 0,
            bytes_passthrough: counters.bytes_plain,
            // A read that continues with its next command was not short.
            short_reads: 0,
            ..ReadStats::from(counters)
        }
    }

    /// Counts a submitted read of `bytes` bytes.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] if a counter would overflow; nothing is counted then.
    pub(crate) fn count_submitted(&mut self, bytes: u32) -> Result<(), PipelineError> {
        let reads = sum(self.submitted_reads, 1)?;
        self.submitted_bytes = sum(self.submitted_bytes, u64::from(bytes))?;
        self.submitted_reads = reads;
        Ok(())
    }

    /// Counts a read that landed with `bytes` bytes. At most `direct` of these were written to their destination by a
    /// disk itself.
    ///
    /// # Errors
    /// As [`ReadStats::count_submitted`].
    pub(crate) fn count_landed(&mut self, bytes: u32, direct: u64) -> Result<(), PipelineError> {
        let bytes = u64::from(bytes);
        let reads = sum(self.landed_reads, 1)?;
        let direct = sum(self.direct_bytes, direct.min(bytes))?;
        self.landed_bytes = sum(self.landed_bytes, bytes)?;
        (self.landed_reads, self.direct_bytes) = (reads, direct);
        Ok(())
    }

    /// Counts a read that failed.
    ///
    /// # Errors
    /// As [`ReadStats::count_submitted`].
    pub(crate) fn count_failed(&mut self) -> Result<(), PipelineError> {
        self.failed_reads = sum(self.failed_reads, 1)?;
        Ok(())
    }

    /// Counts a reader's read that ended without an error. Only the bytes that the file had count as submitted, because
    /// a reader does not ask a file for its size. A read that lies after the end of its file is not counted at all.
    pub(crate) fn count_ended(&mut self, asked: u32, bytes: u32, direct: u64) {
        let missing = asked.saturating_sub(bytes);
        self.submitted_bytes = self.submitted_bytes.saturating_sub(u64::from(missing));
        if bytes == 0 {
            self.submitted_reads = self.submitted_reads.saturating_sub(1);
        } else {
            // Full counters stay as they are. No reader runs that long.
            let _ = self.count_landed(bytes, direct);
        }
    }
}

fn sum(counter: u64, value: u64) -> Result<u64, PipelineError> {
    counter.checked_add(value).ok_or_else(|| {
        PipelineError::Backend(
            "a counter of the ingest telemetry is full; call reset_telemetry()".into(),
        )
    })
}

impl From<QueueCounters> for ReadStats {
    fn from(counters: QueueCounters) -> Self {
        ReadStats {
            reads: counters.reads,
            bytes_registered: counters.bytes_fixed,
            bytes_mapped: counters.bytes_plain,
            short_reads: counters.short_reads,
            retries: counters.retries,
            depth_sum: counters.depth_sum,
            depth_max: counters.depth_max,
            enters: counters.enters,
            ..ReadStats::default()
        }
    }
}

impl AddAssign for ReadStats {
    fn add_assign(&mut self, other: Self) {
        self.submitted_reads += other.submitted_reads;
        self.submitted_bytes += other.submitted_bytes;
        self.landed_reads += other.landed_reads;
        self.landed_bytes += other.landed_bytes;
        self.direct_bytes += other.direct_bytes;
        self.failed_reads += other.failed_reads;
        self.reads += other.reads;
        self.bytes_registered += other.bytes_registered;
        self.bytes_mapped += other.bytes_mapped;
        self.bytes_passthrough += other.bytes_passthrough;
        self.bytes_positioned += other.bytes_positioned;
        self.short_reads += other.short_reads;
        self.retries += other.retries;
        self.depth_sum += other.depth_sum;
        self.depth_max = self.depth_max.max(other.depth_max);
        self.enters += other.enters;
        self.fixed_files += other.fixed_files;
        if self.unregistered_reason.is_none() {
            self.unregistered_reason = other.unregistered_reason;
        }
    }
}

/// How the bytes that landed were moved, as far as is known. The sum is
/// [`completed_bytes`](NvmeGpuIngestTelemetry::completed_bytes). Bytes that are copied once more, in user space, are
/// counted in [`cpu_bounce_bytes`](NvmeGpuIngestTelemetry::cpu_bounce_bytes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IngestTransfers {
    /// Bytes that the disk itself wrote to their destination: [`ReadStats::direct_bytes`].
    pub direct_bytes: u64,
    /// Bytes that the kernel copied to their destination, or may have. They come from its page cache, through which
    /// every read without O_DIRECT goes, whether or not the bytes were cached before. Zeros of holes are also counted
    /// here.
    pub kernel_copied_bytes: u64,
}

impl From<&ReadStats> for IngestTransfers {
    fn from(stats: &ReadStats) -> Self {
        IngestTransfers {
            direct_bytes: stats.direct_bytes,
            kernel_copied_bytes: stats.landed_bytes.saturating_sub(stats.direct_bytes),
        }
    }
}

/// Counters of reads by one path, as confirmed by the kernel. A read fills one slot, however many commands it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NvmeGpuIngestTelemetry {
    /// Bytes that submitted reads asked for.
    pub submitted_bytes: u64,
    /// Bytes that landed.
    pub completed_bytes: u64,
    /// Reads that were submitted.
    pub submitted_reads: u64,
    /// Reads that landed.
    pub completed_reads: u64,
    /// Reads that were submitted as [`ReadPath::RegisteredMappedRead`].
    pub registered_mapped_read_submissions: u64,
    /// Reads that were submitted as [`ReadPath::GpuDirectNvmePassthrough`].
    pub gpudirect_nvme_submissions: u64,
    /// Bytes that the processor copied in user space, from where they landed to where they belong.
    pub cpu_bounce_bytes: u64,
    /// Reads that failed.
    pub failed_completions: u64,
}

impl NvmeGpuIngestTelemetry {
    /// The counters of reads that all took `path`, with no bytes copied in user space.
    pub fn of(stats: &ReadStats, path: ReadPath) -> Self {
        let by = |other| {
            if path == other {
                stats.submitted_reads
            } else {
                0
            }
        };
        NvmeGpuIngestTelemetry {
            submitted_bytes: stats.submitted_bytes,
            completed_bytes: stats.landed_bytes,
            submitted_reads: stats.submitted_reads,
            completed_reads: stats.landed_reads,
            registered_mapped_read_submissions: by(ReadPath::RegisteredMappedRead),
            gpudirect_nvme_submissions: by(ReadPath::GpuDirectNvmePassthrough),
            cpu_bounce_bytes: 0,
            failed_completions: stats.failed_reads,
        }
    }

    /// Reads that neither landed nor failed.
    pub fn inflight_reads(self) -> u64 {
        self.submitted_reads
            .saturating_sub(self.completed_reads.saturating_add(self.failed_completions))
    }

    /// Reads that were submitted by this path. [`ReadPath::PeerRead`] has no counter of its own; it gets the reads that
    /// the other counters do not count.
    pub fn path_submissions(self, path: ReadPath) -> u64 {
        let registered = self.registered_mapped_read_submissions;
        let gpudirect = self.gpudirect_nvme_submissions;
        match path {
            ReadPath::RegisteredMappedRead => registered,
            ReadPath::GpuDirectNvmePassthrough => gpudirect,
            ReadPath::PeerRead => self
                .submitted_reads
                .saturating_sub(registered.saturating_add(gpudirect)),
            ReadPath::PositionedRead => 0,
        }
    }

    /// Checks that every read has landed by `path`, and that no byte was copied in user space.
    ///
    /// Despite its name, this does not check for copies by the kernel: registered reads without O_DIRECT are copied
    /// from the page cache. [`IngestTransfers`] tells how the bytes were moved.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] with the first of these that applies: bytes were copied, reads failed, reads are in
    /// flight, the numbers of submitted and landed bytes or reads differ, or reads took another path.
    pub fn validate_completed_zero_copy(self, path: ReadPath) -> Result<(), PipelineError> {
        let refused = |what: String, fix: &str| {
            Err(PipelineError::Backend(format!(
                "this ingest was not all zero-copy: {what}; {fix}"
            )))
        };
        if self.cpu_bounce_bytes != 0 {
            let what = format!(
                "{} bytes went through a bounce buffer",
                self.cpu_bounce_bytes
            );
            return refused(what, "read into mapped slots");
        }
        if self.failed_completions != 0 {
            let what = format!("{} reads failed", self.failed_completions);
            return refused(
                what,
                "see the errors that the driver returned, and read those again",
            );
        }
        if self.inflight_reads() != 0 {
            let what = format!("{} reads are in flight", self.inflight_reads());
            return refused(what, "poll until none is");
        }
        if self.submitted_bytes != self.completed_bytes {
            let what = format!(
                "{} bytes were asked for and {} landed",
                self.submitted_bytes, self.completed_bytes
            );
            return refused(what, "read files that do not change meanwhile");
        }
        if self.submitted_reads != self.completed_reads {
            let what = format!(
                "{} reads were submitted and {} landed",
                self.submitted_reads, self.completed_reads
            );
            return refused(what, "report this: the counters do not add up");
        }
        let named = u128::from(self.registered_mapped_read_submissions)
            + u128::from(self.gpudirect_nvme_submissions);
        let by_path = self.path_submissions(path);
        if by_path != self.submitted_reads || named > u128::from(self.submitted_reads) {
            let what = format!("{by_path} of {} reads came by {path}", self.submitted_reads);
            return refused(what, "use a driver for that path only");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReadPath::{GpuDirectNvmePassthrough, PeerRead, PositionedRead, RegisteredMappedRead};

    /// The counters after four reads of 1024 bytes.
    fn clean(path: ReadPath) -> NvmeGpuIngestTelemetry {
        let mut stats = ReadStats::default();
        for _ in 0..4 {
            stats.count_submitted(1024).unwrap();
        }
        for _ in 0..4 {
            stats.count_landed(1024, 0).unwrap();
        }
        NvmeGpuIngestTelemetry::of(&stats, path)
    }

    #[test]
    fn a_clean_run_is_valid_for_its_path_and_no_other() {
        let paths = [RegisteredMappedRead, GpuDirectNvmePassthrough, PeerRead];
        for path in paths {
            let telemetry = clean(path);
            for asked in [paths[0], paths[1], paths[2], PositionedRead] {
                let valid = telemetry.validate_completed_zero_copy(asked).is_ok();
                assert_eq!(valid, asked == path, "{path} as {asked}");
            }
            assert_eq!(telemetry.path_submissions(path), 4);
        }
        for path in paths {
            assert!(NvmeGpuIngestTelemetry::default()
                .validate_completed_zero_copy(path)
                .is_ok());
        }
    }

    #[test]
    fn faults_are_told_in_their_order() {
        type Fault = fn(&mut NvmeGpuIngestTelemetry);
        let faults: [(Fault, &str); 6] = [
            (
                |t| t.cpu_bounce_bytes = 7,
                "7 bytes went through a bounce buffer",
            ),
            (|t| t.failed_completions = 1, "1 reads failed"),
            (|t| t.completed_reads = 1, "are in flight"),
            (
                |t| t.completed_bytes = 4095,
                "4096 bytes were asked for and 4095 landed",
            ),
            (
                |t| t.completed_reads = 9,
                "4 reads were submitted and 9 landed",
            ),
            (
                |t| t.gpudirect_nvme_submissions = 1,
                "reads came by registered",
            ),
        ];
        for (index, (first, words)) in faults.iter().enumerate() {
            // Each fault alone, and each together with every later one: the first is reported.
            for (second, _) in &faults[index..] {
                let mut telemetry = clean(RegisteredMappedRead);
                second(&mut telemetry);
                first(&mut telemetry);
                let error = telemetry.validate_completed_zero_copy(RegisteredMappedRead);
                let error = error.unwrap_err().to_string();
                assert!(error.contains(words), "{error}");
            }
        }
    }

    #[test]
    fn an_overflow_is_an_error_and_counts_nothing() {
        let full = ReadStats {
            submitted_bytes: u64::MAX - 10,
            landed_bytes: u64::MAX,
            failed_reads: u64::MAX,
            ..Default::default()
        };
        let mut counted = full.clone();
        assert!(counted.count_submitted(11).is_err());
        assert!(counted.count_landed(1, 1).is_err());
        assert!(counted.count_failed().is_err());
        assert_eq!(counted, full);
        counted.count_submitted(10).unwrap();
        assert_eq!(counted.submitted_bytes, u64::MAX);
        let telemetry = NvmeGpuIngestTelemetry::of(&full, PeerRead);
        assert!(telemetry.validate_completed_zero_copy(PeerRead).is_err());
        let mixed = NvmeGpuIngestTelemetry {
            registered_mapped_read_submissions: u64::MAX,
            gpudirect_nvme_submissions: u64::MAX,
            submitted_reads: u64::MAX,
            completed_reads: u64::MAX,
            ..Default::default()
        };
        for path in [RegisteredMappedRead, GpuDirectNvmePassthrough, PeerRead] {
            assert!(mixed.validate_completed_zero_copy(path).is_err());
        }
    }

    #[test]
    fn what_the_disk_did_not_bring_counts_as_copied() {
        let mut stats = ReadStats::default();
        for (bytes, direct) in [(10, 0), (10, 10), (10, 25), (10, 4)] {
            stats.count_landed(bytes, direct).unwrap();
        }
        assert_eq!(
            IngestTransfers::from(&stats),
            IngestTransfers {
                direct_bytes: 24,
                kernel_copied_bytes: 16,
            }
        );
        stats.direct_bytes = u64::MAX;
        assert!(stats.count_landed(1, 1).is_err());
    }

    #[test]
    fn reads_in_flight_are_those_that_neither_landed_nor_failed() {
        let mut stats = ReadStats::default();
        for _ in 0..3 {
            stats.count_submitted(1).unwrap();
        }
        let inflight = |stats: &ReadStats| {
            let telemetry = NvmeGpuIngestTelemetry::of(stats, PeerRead);
            assert_eq!(telemetry.inflight_reads(), stats.inflight_reads());
            stats.inflight_reads()
        };
        assert_eq!(inflight(&stats), 3);
        stats.count_failed().unwrap();
        stats.count_landed(1, 0).unwrap();
        assert_eq!(inflight(&stats), 1);
    }
}
