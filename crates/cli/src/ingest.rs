//! `gristmill ingest`: files and ranges of devices through the ingest driver, by one named path, into the chunks of a running
//! kernel, which sums them; with the telemetry of the driver.

mod reading;
mod summing;

use super::advice;
use super::common::{self, complain};
use super::engine::{parse_size, workers, BackendArgs};
use super::progress::Shown;
use super::report;
use super::signals;
use super::sources::SourceArgs;
use gristmill::jobs::digest::DigestRows;
use gristmill::megakernel::backend::device::DeviceInfo;
use gristmill::mill::Progress;
use gristmill::uring::reader::ReaderStats;
use gristmill::uring::{
    IngestTransfers, IoUringState, NativeReadPath, NvmeGpuIngestDriver, NvmeGpuIngestTelemetry,
    PeerMemory,
};
use gristmill::PipelineError;
use reading::{parse_range, DeviceRange, Ingest, User};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use summing::{Done, Summing};

/// Flags of `gristmill ingest`.
#[derive(Debug, Clone, clap::Args)]
#[command(mut_arg("paths", |paths| paths
    .required_unless_present_any(["files_from", "files0_from"])
    .help("Files and directories to read; every file in a directory is. Standard input has no place to read from, and is \
           refused")))]
pub struct IngestArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// How bytes come into the slots: `registered` (io_uring, into registered memory), `passthrough` (NVMe Read
    /// commands, past the file system) or `peer` (O_DIRECT reads into the memory of another PCI device). No other is
    /// ever taken instead.
    #[arg(long, value_name = "PATH", default_value = "registered")]
    read_path: IngestPath,

    /// Let the slots lie in the peer memory of the PCI device at this address, such as 0000:03:00.0; `gristmill doctor`
    /// lists them. Without it they lie in host memory.
    #[arg(long, value_name = "ADDRESS")]
    peer_memory: Option<String>,

    /// Read LEN bytes of each NVMe generic character device (/dev/ng0n1) that is named, from byte START on, by passthrough.
    /// Both must be multiples of the namespace's block size.
    #[arg(long, value_name = "START,LEN", value_parser = parse_range)]
    device_range: Option<DeviceRange>,

    #[command(flatten)]
    backend: BackendArgs,

    /// Worker threads of the kernel, or groups of it on a device. 0 is one for each core.
    #[arg(
        short = 'j',
        long = "workers",
        visible_alias = "threads",
        value_name = "NUM",
        default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(0..=256)
    )]
    workers: u16,

    /// Slots, each a chunk that the kernel sees, with a read in flight: 1 to 64.
    #[arg(long, value_name = "NUM", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    slots: u32,

    /// Bytes in a slot, which is the most that one read brings, such as 256K or 1M. Registered slots count against the
    /// memory-lock limit (ulimit -l), which is 8 MiB for all processes of an ordinary user together.
    #[arg(long, value_name = "SIZE", value_parser = parse_slot_size, default_value = "1M")]
    slot_size: usize,

    /// Write a JSON object for each file, and the report as the last one.
    #[arg(long)]
    json: bool,

    /// Show no progress. It is shown on a terminal only, and only when a run takes more than a second.
    #[arg(long)]
    no_progress: bool,
}

/// Read paths by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum IngestPath {
    /// READ_FIXED into registered memory.
    Registered,
    /// NVMe Read commands.
    Passthrough,
    /// O_DIRECT reads into peer memory.
    Peer,
}

/// A slot's size: one that every disk can fill in whole blocks.
fn parse_slot_size(text: &str) -> Result<usize, String> {
    let bytes = parse_size(text)?;
    if !(4096..=1 << 30).contains(&bytes) || !bytes.is_multiple_of(4096) {
        return Err("a slot has a multiple of 4 KiB, up to 1 GiB; write a size such as 1M".into());
    }
    Ok(bytes)
}

/// Runs `gristmill ingest`.
///
/// # Errors
/// Where it cannot start or the driver or the kernel itself fails, in words.
pub fn run(args: &IngestArgs) -> Result<ExitCode, String> {
    let words = |error: PipelineError| error.to_string();
    if args.device_range.is_some() && args.read_path != IngestPath::Passthrough {
        return Err("--device-range is read by NVMe commands; give --read-path passthrough".into());
    }
    if args.peer_memory.is_none() && args.read_path == IngestPath::Peer {
        return Err(
            "--read-path peer needs memory to read into; give --peer-memory and the address of a device that \
             `gristmill doctor` lists"
                .into(),
        );
    }
    let on = match &args.peer_memory {
        Some(_) => args.backend.open_beside_peer_memory()?,
        None => args.backend.open()?,
    };
    let (memory, chunks) = match &args.peer_memory {
        Some(address) => PeerMemory::chunks(address, args.slots, args.slot_size).map_err(words),
        None => on
            .backend
            .chunk_memory(args.slots, args.slot_size)
            .map_err(|error| advice::kernel(&error)),
    }?;
    let memory_name = match memory.peer() {
        Some(address) => format!("peer memory of {address}"),
        None => "host memory".into(),
    };
    let tail = AtomicU32::new(0);
    let ring = IoUringState::new(args.slots).map_err(words)?;
    let path = match args.read_path {
        IngestPath::Registered => NativeReadPath::RegisteredMappedRead,
        IngestPath::Passthrough => NativeReadPath::GpuDirectNvmePassthrough,
        IngestPath::Peer => NativeReadPath::PeerRead,
    };
    let driver = NvmeGpuIngestDriver::over_chunks(ring, chunks, path, &tail).map_err(words)?;
    let workers = workers(args.workers);
    let kernel = Summing::launch(&on, workers, memory).map_err(|error| advice::kernel(&error))?;
    let rows = if args.json {
        DigestRows::Json
    } else {
        DigestRows::Text
    };
    let source = args.source.source()?;
    let mut output = common::stdout()?;
    let stop = signals::watch()?;
    let progress = Arc::<Progress>::default();
    // What a range of a device has, its size does not tell.
    let estimate = args
        .source
        .estimate()
        .filter(|_| args.device_range.is_none());
    let shown = Shown::start(&progress, estimate, !args.no_progress);
    let mut ingest = Ingest::new(
        driver,
        kernel,
        source,
        args.device_range,
        rows,
        &mut output,
        User {
            shown: shown.clone(),
            progress,
            stop: Arc::clone(&stop),
        },
    );
    let began = Instant::now();
    let ended = ingest.run();
    let elapsed = began.elapsed();
    shown.finish();
    let (files, failures) = (ingest.listed, ingest.failures);
    let mut written = std::mem::replace(&mut ingest.written, Ok(()));
    let (driver, kernel) = ingest.into_parts();
    let kernel = kernel.end();
    // A kernel that had failed before has been told of.
    ended.map_err(|error| advice::kernel(&error))?;
    let report = Report {
        path,
        memory: memory_name,
        backend: on.backend.name(),
        device: on.backend.device(),
        slots: args.slots,
        slot_bytes: args.slot_size,
        files,
        failures,
        elapsed,
        telemetry: driver.telemetry_snapshot(),
        transfers: driver.transfers(),
        reads: driver.stats(),
        kernel: kernel.map_err(|error| advice::kernel(&error))?,
    };
    if args.json {
        written = written.and_then(|()| output.write_all(report.json().as_bytes()));
    } else {
        // Nothing can be done where standard error is closed.
        let _ = io::stderr().write_all(report.text().as_bytes());
    }
    let mut failed = report.failures > 0;
    if let Err(error) = common::written(written) {
        failed = true;
        complain(&error);
    }
    if let Err(error) = report.validate() {
        failed = true;
        complain(&error.to_string());
    }
    if stop.load(Ordering::Relaxed) {
        common::tell_interrupted();
        return Ok(ExitCode::from(signals::code().unwrap_or(130)));
    }
    Ok(ExitCode::from(if failed { 2 } else { 0 }))
}

/// What an ingest did.
struct Report {
    path: NativeReadPath,
    memory: String,
    /// Name of the back end that summed.
    backend: &'static str,
    device: Option<DeviceInfo>,
    slots: u32,
    slot_bytes: usize,
    files: u64,
    failures: u64,
    elapsed: Duration,
    telemetry: NvmeGpuIngestTelemetry,
    transfers: IngestTransfers,
    reads: ReaderStats,
    kernel: Done,
}

impl Report {
    /// Whether every read came by the named path, not copied in user space, and the counters add up: the driver's among
    /// themselves, its bytes beside those that the rings took by that path, and its reads beside the slots that the kernel
    /// ran.
    fn validate(&self) -> Result<(), PipelineError> {
        self.telemetry.validate_completed_zero_copy(self.path)?;
        let landed = self.telemetry.completed_bytes;
        let by_route = match self.path {
            NativeReadPath::RegisteredMappedRead => self.reads.bytes_registered,
            NativeReadPath::GpuDirectNvmePassthrough => self.reads.bytes_passthrough,
            _ => self.reads.bytes_mapped,
        };
        // Whole blocks are read, so that more may come than the file has.
        if by_route < landed {
            return Err(PipelineError::Backend(format!(
                "the counters do not add up: {landed} bytes landed, and {by_route} came by {}; please report this",
                self.path
            )));
        }
        let IngestTransfers {
            direct_bytes,
            kernel_copied_bytes,
        } = self.transfers;
        if direct_bytes.checked_add(kernel_copied_bytes) != Some(landed) {
            return Err(PipelineError::Backend(format!(
                "the counters do not add up: {landed} bytes landed, of which the disk wrote {direct_bytes} and the kernel \
                 copied {kernel_copied_bytes}; please report this"
            )));
        }
        // A read that brings nothing, of an empty file or behind an end, is no chunk for the kernel.
        let kernel = &self.kernel;
        let ran = kernel.stats.slots;
        if kernel.bytes != landed || kernel.chunks != ran || ran > self.telemetry.completed_reads {
            return Err(PipelineError::Backend(format!(
                "the counters do not add up: {landed} bytes landed by {} reads, and the kernel summed {} in {} of {ran} \
                 slots; please report this",
                self.telemetry.completed_reads, kernel.bytes, kernel.chunks
            )));
        }
        Ok(())
    }

    /// Whether bytes landed, and the disk wrote all of them to their slots itself.
    fn is_zero_copy(&self) -> bool {
        self.transfers.direct_bytes > 0 && self.transfers.kernel_copied_bytes == 0
    }

    fn text(&self) -> String {
        let (telemetry, reads) = (&self.telemetry, &self.reads);
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        let valid = match self.validate() {
            Ok(()) if self.telemetry.submitted_reads == 0 => "nothing was read".into(),
            Ok(()) if self.is_zero_copy() => {
                format!("every read was zero-copy, by {}", self.path)
            }
            Ok(()) => format!("every read came by {}", self.path),
            Err(_) => "no, see below".into(),
        };
        let lines = [
            ("read path", format!("{}, into {}", self.path, self.memory)),
            (
                "slots",
                format!("{} of {} bytes", self.slots, self.slot_bytes),
            ),
            (
                "summed by",
                format!(
                    "the kernel{}, where the bytes had landed: {} launches, {} slots, {} faults",
                    match &self.device {
                        None => format!(" on {}", self.backend),
                        Some(device) => format!(" on {}: {}", self.backend, device.name),
                    },
                    self.kernel.stats.launches,
                    self.kernel.stats.slots,
                    self.kernel.stats.faults
                ),
            ),
            (
                "files",
                format!("{}, {} failures", self.files, self.failures),
            ),
            (
                "bytes",
                format!(
                    "{} landed of {} in {:.1} ms: {}/s, summing included",
                    telemetry.completed_bytes,
                    telemetry.submitted_bytes,
                    seconds * 1e3,
                    report::bytes(telemetry.completed_bytes as f64 / seconds)
                ),
            ),
            (
                "reads",
                format!(
                    "{} landed of {}, {} failed, {} in flight",
                    telemetry.completed_reads,
                    telemetry.submitted_reads,
                    telemetry.failed_completions,
                    telemetry.inflight_reads()
                ),
            ),
            (
                "by path",
                format!(
                    "{} registered, {} passthrough, {} peer",
                    telemetry.registered_mapped_read_submissions,
                    telemetry.gpudirect_nvme_submissions,
                    telemetry.path_submissions(NativeReadPath::PeerRead)
                ),
            ),
            (
                "copied",
                format!(
                    "{} by the kernel, from its page cache, or may have been; {} in user space (cpu_bounce_bytes)",
                    self.transfers.kernel_copied_bytes, telemetry.cpu_bounce_bytes
                ),
            ),
            (
                "not copied",
                format!(
                    "{} bytes, which the disk wrote to their slots itself",
                    self.transfers.direct_bytes
                ),
            ),
            (
                "commands",
                format!(
                    "{} in {} calls, {} continued, {} retried",
                    reads.reads, reads.enters, reads.short_reads, reads.retries
                ),
            ),
            (
                "queue depth",
                format!(
                    "{:.2} achieved, {} at most",
                    reads.mean_depth(),
                    reads.depth_max
                ),
            ),
            ("adds up", valid),
        ];
        let mut text = String::new();
        for (name, value) in lines {
            let _ = writeln!(text, "{name:<14}{value}");
        }
        text
    }

    fn json(&self) -> String {
        let (telemetry, reads) = (&self.telemetry, &self.reads);
        let valid = self.validate();
        let report = json!({ "type": "report", "report": {
            "read_path": self.path.name(),
            "memory": self.memory,
            "slots": self.slots,
            "slot_bytes": self.slot_bytes,
            "backend": self.backend,
            "device": self.device.as_ref().map(|device| device.name.as_str()),
            "kernel": {
                "launches": self.kernel.stats.launches,
                "slots": self.kernel.stats.slots,
                "faults": self.kernel.stats.faults,
                "bytes": self.kernel.bytes,
            },
            "files": self.files,
            "failures": self.failures,
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "telemetry": {
                "submitted_bytes": telemetry.submitted_bytes,
                "completed_bytes": telemetry.completed_bytes,
                "submitted_reads": telemetry.submitted_reads,
                "completed_reads": telemetry.completed_reads,
                "registered_mapped_read_submissions": telemetry.registered_mapped_read_submissions,
                "gpudirect_nvme_submissions": telemetry.gpudirect_nvme_submissions,
                "peer_read_submissions": telemetry.path_submissions(NativeReadPath::PeerRead),
                "cpu_bounce_bytes": telemetry.cpu_bounce_bytes,
                "failed_completions": telemetry.failed_completions,
                "inflight_reads": telemetry.inflight_reads(),
            },
            "commands": reads.reads,
            "bytes_registered": reads.bytes_registered,
            "bytes_passthrough": reads.bytes_passthrough,
            "bytes_mapped": reads.bytes_mapped,
            "depth_mean": reads.mean_depth(),
            "depth_max": reads.depth_max,
            "direct_bytes": self.transfers.direct_bytes,
            "kernel_copied_bytes": self.transfers.kernel_copied_bytes,
            "adds_up": valid.is_ok(),
            "zero_copy": valid.is_ok() && self.is_zero_copy(),
            "why_not": valid.err().map(|error| error.to_string()),
        }});
        format!("{report}\n")
    }
}
