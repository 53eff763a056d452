//! What an ingest driver did, in numbers that must add up.

use gristmill_protocol::PipelineError;

/// How bytes come from storage to the memory that a kernel sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NativeReadPath {
    /// `IORING_OP_READ_FIXED` into registered memory.
    RegisteredMappedRead,
    /// NVMe Read commands from a namespace's character device, to a plain address: host or peer memory.
    GpuDirectNvmePassthrough,
    /// `IORING_OP_READ` with O_DIRECT into peer memory, which cannot be registered.
    PeerRead,
    /// `pread` and `read` on the calling thread, where io_uring is not to be had. No driver takes it; readers do.
    PositionedRead,
}

impl NativeReadPath {
    /// The path's name: in reports, in what `doctor` says, and as the value of `--read-path`.
    pub fn name(self) -> &'static str {
        match self {
            NativeReadPath::RegisteredMappedRead => "registered",
            NativeReadPath::GpuDirectNvmePassthrough => "passthrough",
            NativeReadPath::PeerRead => "peer",
            NativeReadPath::PositionedRead => "positioned",
        }
    }
}

impl std::fmt::Display for NativeReadPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Counters of a driver, of what the kernel confirmed. A read is one slot's, however many commands it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NvmeGpuIngestTelemetry {
    /// Bytes that submitted reads were to bring.
    pub submitted_bytes: u64,
    /// Bytes that landed.
    pub completed_bytes: u64,
    /// Reads that were submitted.
    pub submitted_reads: u64,
    /// Reads that landed.
    pub completed_reads: u64,
    /// Reads that were submitted as [`NativeReadPath::RegisteredMappedRead`].
    pub registered_mapped_read_submissions: u64,
    /// Reads that were submitted as [`NativeReadPath::GpuDirectNvmePassthrough`].
    pub gpudirect_nvme_submissions: u64,
    /// Bytes that the processor copied in user space, between where they landed and where they belong.
    pub cpu_bounce_bytes: u64,
    /// Reads that failed.
    pub failed_completions: u64,
}

/// Who moved the bytes that landed, as far as is known. Together they are
/// [`completed_bytes`](NvmeGpuIngestTelemetry::completed_bytes); what is copied once more, in user space, is in
/// [`cpu_bounce_bytes`](NvmeGpuIngestTelemetry::cpu_bounce_bytes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IngestTransfers {
    /// Bytes that the disk wrote where they landed: by NVMe commands, or by O_DIRECT of a file that its file system reads so
    /// and whose bytes the disk has.
    pub direct_bytes: u64,
    /// Bytes that the kernel copied there, or may have: from its page cache, through which every read without O_DIRECT goes,
    /// whether or not the bytes were there before; and zeros of holes.
    pub kernel_copied_bytes: u64,
}

impl IngestTransfers {
    /// The counters with one more read: so many bytes landed, of which the disk wrote at most `direct`.
    ///
    /// # Errors
    /// As [`NvmeGpuIngestTelemetry::with_submitted`].
    pub(crate) fn with_landed(self, bytes: u32, direct: u64) -> Result<Self, PipelineError> {
        let mut next = self;
        let bytes = u64::from(bytes);
        let direct = direct.min(bytes);
        add(&mut next.direct_bytes, direct)?;
        add(&mut next.kernel_copied_bytes, bytes - direct)?;
        Ok(next)
    }
}

impl NvmeGpuIngestTelemetry {
    /// Reads that neither landed nor failed.
    pub fn inflight_reads(self) -> u64 {
        self.submitted_reads
            .saturating_sub(self.completed_reads.saturating_add(self.failed_completions))
    }

    /// Reads that were submitted by this path. [`NativeReadPath::PeerRead`] has no counter of its own: what the named
    /// ones do not count is its.
    pub fn path_submissions(self, path: NativeReadPath) -> u64 {
        let registered = self.registered_mapped_read_submissions;
        let gpudirect = self.gpudirect_nvme_submissions;
        match path {
            NativeReadPath::RegisteredMappedRead => registered,
            NativeReadPath::GpuDirectNvmePassthrough => gpudirect,
            NativeReadPath::PeerRead => self
                .submitted_reads
                .saturating_sub(registered.saturating_add(gpudirect)),
            NativeReadPath::PositionedRead => 0,
        }
    }

    /// Whether every read is over and came by `path`, with no byte copied in user space on the way.
    ///
    /// Of copies that the kernel makes this says nothing, whatever its name: registered reads without O_DIRECT are copied
    /// from the page cache. Who moved the bytes, [`IngestTransfers`] tells.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] with the first of these: bytes were copied, reads failed, reads are in flight, bytes
    /// or reads that were submitted and that landed differ, or reads came by another path.
    pub fn validate_completed_zero_copy(self, path: NativeReadPath) -> Result<(), PipelineError> {
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
            return refused(what, "use a driver for that path alone");
        }
        Ok(())
    }

    /// The counters with one more read submitted.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where a counter is full; nothing is counted then.
    pub(crate) fn with_submitted(
        self,
        path: NativeReadPath,
        bytes: u32,
    ) -> Result<Self, PipelineError> {
        let mut next = self;
        add(&mut next.submitted_reads, 1)?;
        add(&mut next.submitted_bytes, u64::from(bytes))?;
        match path {
            NativeReadPath::RegisteredMappedRead => {
                add(&mut next.registered_mapped_read_submissions, 1)?;
            }
            NativeReadPath::GpuDirectNvmePassthrough => {
                add(&mut next.gpudirect_nvme_submissions, 1)?;
            }
            NativeReadPath::PeerRead | NativeReadPath::PositionedRead => {}
        }
        Ok(next)
    }

    /// Counts a read that landed.
    ///
    /// # Errors
    /// As [`NvmeGpuIngestTelemetry::with_submitted`].
    pub(crate) fn with_completed(self, bytes: u32) -> Result<Self, PipelineError> {
        let mut next = self;
        add(&mut next.completed_reads, 1)?;
        add(&mut next.completed_bytes, u64::from(bytes))?;
        Ok(next)
    }

    /// Counts a read that failed.
    ///
    /// # Errors
    /// As [`NvmeGpuIngestTelemetry::with_submitted`].
    pub(crate) fn with_failed(self) -> Result<Self, PipelineError> {
        let mut next = self;
        add(&mut next.failed_completions, 1)?;
        Ok(next)
    }
}

fn add(counter: &mut u64, value: u64) -> Result<(), PipelineError> {
    *counter = counter.checked_add(value).ok_or_else(|| {
        PipelineError::Backend(
            "a counter of the ingest telemetry is full; call reset_telemetry()".into(),
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use NativeReadPath::{
        GpuDirectNvmePassthrough, PeerRead, PositionedRead, RegisteredMappedRead,
    };

    /// What four reads of 1024 bytes leave.
    fn clean(path: NativeReadPath) -> NvmeGpuIngestTelemetry {
        let mut telemetry = NvmeGpuIngestTelemetry::default();
        for _ in 0..4 {
            telemetry = telemetry.with_submitted(path, 1024).unwrap();
        }
        for _ in 0..4 {
            telemetry = telemetry.with_completed(1024).unwrap();
        }
        telemetry
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
            // Each alone, and each with every one behind it: the first is told.
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
        let full = NvmeGpuIngestTelemetry {
            submitted_bytes: u64::MAX - 10,
            completed_bytes: u64::MAX,
            failed_completions: u64::MAX,
            ..Default::default()
        };
        assert!(full.with_submitted(PeerRead, 11).is_err());
        assert_eq!(
            full.with_submitted(PeerRead, 10).unwrap().submitted_bytes,
            u64::MAX
        );
        assert!(full.with_completed(1).is_err());
        assert!(full.with_failed().is_err());
        assert!(full.validate_completed_zero_copy(PeerRead).is_err());
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
        let mut transfers = IngestTransfers::default();
        for (bytes, direct) in [(10, 0), (10, 10), (10, 25), (10, 4)] {
            transfers = transfers.with_landed(bytes, direct).unwrap();
        }
        assert_eq!(
            transfers,
            IngestTransfers {
                direct_bytes: 24,
                kernel_copied_bytes: 16,
            }
        );
        let full = IngestTransfers {
            direct_bytes: u64::MAX,
            kernel_copied_bytes: 0,
        };
        assert!(full.with_landed(1, 1).is_err());
    }

    #[test]
    fn reads_in_flight_are_those_that_neither_landed_nor_failed() {
        let mut telemetry = clean(PeerRead);
        for _ in 0..3 {
            telemetry = telemetry.with_submitted(PeerRead, 1).unwrap();
        }
        assert_eq!(telemetry.inflight_reads(), 3);
        telemetry = telemetry.with_failed().unwrap().with_completed(1).unwrap();
        assert_eq!(telemetry.inflight_reads(), 1);
    }
}
