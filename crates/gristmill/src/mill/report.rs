//! What a run did, by which path, and what failed.

use gristmill_ingest::{ReadPath, ReadStats};
use gristmill_megakernel::backend::device::DeviceInfo;
use gristmill_megakernel::KernelStats;
use gristmill_protocol::PipelineError;
use std::io;
use std::time::Duration;

/// Time spent by all workers together, by stage.
#[derive(Debug, Clone, Copy, Default)]
pub struct StageTimes {
    /// Listing files.
    pub source: Duration,
    /// Opening and closing files.
    pub open: Duration,
    /// Submitting reads, waiting for them (for a warm file, copying), and publishing slots.
    pub read: Duration,
    /// Claiming and running slots.
    pub kernel: Duration,
    /// Turning results into rows.
    pub collect: Duration,
    /// Writing rows, by the caller's thread.
    pub write: Duration,
}

/// Files that were decompressed or decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecodedBytes {
    /// How many files.
    pub files: u64,
    /// Bytes that were read of them. They are not among [`RunReport::reads`].
    pub raw: u64,
    /// Bytes that they were decoded to. Those that the job was given are among [`RunReport::bytes`].
    pub bytes: u64,
}

/// Objects that were fetched from stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ObjectBytes {
    /// Requests that were sent for bytes of objects. Those that list objects are not among them.
    pub requests: u64,
    /// How many of them repeated one that had failed.
    pub retried: u64,
    /// Bytes that came. They are not among [`RunReport::reads`].
    pub bytes: u64,
    /// The most fetches that were in flight at a time, in all.
    pub depth_max: u64,
}

/// What a run did for one of its jobs.
#[derive(Debug)]
pub struct JobReport {
    /// The job's name: see [`Task::named`](super::Task::named).
    pub name: String,
    /// Bytes handed to the job, each counted once: the surrounding bytes of chunks are not included.
    pub bytes: u64,
    /// Chunks handed to the job.
    pub chunks: u64,
    /// Rows written, in bytes.
    pub rows_bytes: u64,
    /// Where a device did a part of the job's opcode and the host the rest: what each did, in words.
    pub divided: Option<String>,
    /// The result of writing its rows. After an error no more were written, and the job ended.
    pub output: io::Result<()>,
}

/// What a run did.
#[derive(Debug)]
pub struct RunReport {
    /// Wall-clock time.
    pub elapsed: Duration,
    /// The name of the back end.
    pub backend: &'static str,
    /// Why this back end was chosen.
    pub why: String,
    /// The device that the kernel ran on; `None` if it ran on threads of the processor.
    pub device: Option<DeviceInfo>,
    /// The number of workers, each with a reader of its own.
    pub workers: usize,
    /// Names of the read paths that the readers took ([`ReadPath::name`]): one, or several where some were refused.
    pub read_paths: Vec<&'static str>,
    /// The bus address of the PCI device in whose memory the chunks lay; `None` if they lay in the host's memory.
    pub peer_memory: Option<String>,
    /// Why a read path or a registration that was asked for was not used.
    pub fallbacks: Vec<String>,
    /// Bytes in a chunk: as configured, and as the jobs' geometries allow.
    pub chunk_bytes: usize,
    /// The most reads in flight per reader, as configured.
    pub depth: u32,
    /// Files that were opened.
    pub files: u64,
    /// Files and places that failed.
    pub failures: u64,
    /// Bytes handed to a job, each counted once, however many jobs were given it: the surrounding bytes of chunks are not
    /// included.
    pub bytes: u64,
    /// Chunks handed to a job, each counted once.
    pub chunks: u64,
    /// What was done for each job, in the order in which they were given.
    pub jobs: Vec<JobReport>,
    /// Bytes and reads by path. The surrounding bytes of chunks are read again, so these may be more than `bytes`.
    pub reads: ReadStats,
    /// Files whose file system refused O_DIRECT, where it was asked for.
    pub direct_refused: u64,
    /// Bytes that the processor copied in user space on their way into the memory that the kernel sees: those that a
    /// stream's chunks need again. Everything else is read directly into that memory.
    pub cpu_bounce_bytes: u64,
    /// Files that were decompressed or decoded on the way into chunks.
    pub decoded: DecodedBytes,
    /// What was fetched of objects.
    pub objects: ObjectBytes,
    /// Rows written, in bytes, of all jobs together.
    pub rows_bytes: u64,
    /// The kernel's own counters.
    pub kernel: KernelStats,
    /// Time by stage.
    pub stages: StageTimes,
    /// Whether the run was ended early by its control.
    pub stopped: bool,
    /// The result of writing the output. After an error no more was written, and the run ended. With several jobs: the
    /// first job's that failed, in words; each job's own is in `jobs`.
    pub output: io::Result<()>,
    /// The result of writing the ring log, if one was recorded. After an error the run ended.
    pub record: Result<(), PipelineError>,
}

impl RunReport {
    /// Checks that the counters add up: every byte that the job was given was read by one of the paths, and if the only
    /// path is [`PeerRead`](ReadPath::PeerRead) or [`GpuDirectNvmePassthrough`](ReadPath::GpuDirectNvmePassthrough),
    /// which have no fallback, by no other.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] with the numbers, if they do not.
    pub fn validate(&self) -> Result<(), PipelineError> {
        let reads = &self.reads;
        if let Some(more) = self.jobs.iter().find(|job| job.bytes > self.bytes) {
            return Err(PipelineError::Backend(format!(
                "the run's counters do not add up: {} was given {} bytes of {}; please report this",
                more.name, more.bytes, self.bytes
            )));
        }
        // What a file was decoded to was not read, but comes from bytes that were.
        let read = reads.bytes() + self.decoded.bytes + self.objects.bytes;
        if read < self.bytes {
            return Err(PipelineError::Backend(format!(
                "the run's counters do not add up: {} bytes were processed, {read} read; please report this",
                self.bytes
            )));
        }
        let alone = [
            (ReadPath::PeerRead, reads.bytes_mapped),
            (ReadPath::GpuDirectNvmePassthrough, reads.bytes_passthrough),
        ];
        for (path, bytes) in alone {
            if self.read_paths == [path.name()] && bytes != read {
                return Err(PipelineError::Backend(format!(
                    "the run's counters do not add up: {read} bytes were read, {bytes} of them by {path}; please report \
                     this"
                )));
            }
        }
        if self.peer_memory.is_some() && reads.bytes_registered > 0 {
            return Err(PipelineError::Backend(format!(
                "the run's counters do not add up: {} bytes came into registered peer memory, but there is none; \
                 please report this",
                reads.bytes_registered
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::jobs::digest::{Algorithm, DigestJob, DigestRows};
    use crate::mill::{Control, Mill};
    use crate::source::Tree;
    use gristmill_ingest::reader::{ReadPath, ReadPathChoice};
    use std::sync::Arc;

    #[test]
    fn bytes_by_another_path_than_the_one_that_was_demanded_do_not_add_up() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("file"), [7; 10_000]).unwrap();
        let mill = Mill::builder().workers(1);
        let mill = mill
            .read_path(ReadPathChoice::Only(ReadPath::PositionedRead))
            .build()
            .unwrap();
        let source = Tree::new([scratch.path()]).walk().unwrap();
        let job = Arc::new(DigestJob::new(Algorithm::Blake3.into(), DigestRows::Text));
        let mut report = mill
            .run(source, job, &mut std::io::sink(), &Control::default())
            .unwrap();
        assert_eq!(report.bytes, 10_000);
        for path in ["peer", "passthrough"] {
            report.read_paths = vec![path];
            let error = report.validate().unwrap_err().to_string();
            assert!(
                error.contains(path) && error.contains("10000 bytes"),
                "{error}"
            );
        }
        report.reads.bytes_passthrough = std::mem::take(&mut report.reads.bytes_positioned);
        report.validate().unwrap();
        report.reads.bytes_registered = std::mem::take(&mut report.reads.bytes_passthrough);
        report.read_paths = vec!["registered"];
        report.validate().unwrap();
        report.peer_memory = Some("0000:03:00.0".into());
        assert!(report.validate().is_err());
    }
}
