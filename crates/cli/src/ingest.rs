//! `gristmill ingest`: the CRC-32C of files and of ranges of NVMe devices, as in `digest`, by one chosen read path
//! without fallback; with the counters of that path, which must add up.

use super::engine::{read_path_parser, workers, BackendArgs};
use super::messages::complain;
use super::report_args::ReportArgs;
use super::size::parse_size;
use super::sources::SourceArgs;
use super::{advice, end, one_job, report, stdout};
use gristmill::jobs::digest::{Algorithm, DigestJob, DigestRows};
use gristmill::megakernel::backend::SelectedBackend;
use gristmill::mill::{Mill, MillError, RunReport};
use gristmill::uring::reader::{ChunkReader, DeviceRange, ReadPath, ReadPathChoice, ReaderConfig};
use gristmill::uring::{IngestTransfers, NvmeGpuIngestTelemetry, PeerMemory};
use gristmill::PipelineError;
use serde_json::json;
use std::process::ExitCode;
use std::sync::Arc;

/// The read paths that have no fallback.
const READ_PATHS: [ReadPathChoice; 3] = [
    ReadPathChoice::Only(ReadPath::RegisteredMappedRead),
    ReadPathChoice::Only(ReadPath::GpuDirectNvmePassthrough),
    ReadPathChoice::Only(ReadPath::PeerRead),
];

/// Flags of `gristmill ingest`.
#[derive(Debug, Clone, clap::Args)]
#[command(mut_arg("paths", |paths| paths
    .required_unless_present_any(["files_from", "files0_from"])
    .help("Files and directories to read; every file in a directory is. Standard input has no place to read from, and is \
           refused")))]
pub struct IngestArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// The read path into the slots: `registered` (io_uring, into registered memory), `passthrough` (NVMe Read
    /// commands, past the file system) or `peer` (O_DIRECT reads into the memory of another PCI device). The chosen
    /// path has no fallback.
    #[arg(long, value_name = "PATH", default_value = "registered", value_parser = read_path_parser(READ_PATHS))]
    read_path: ReadPathChoice,

    /// Put the slots into the peer memory of the PCI device at this address, such as 0000:03:00.0; `gristmill doctor`
    /// lists the devices. By default the slots lie in host memory.
    #[arg(long, value_name = "ADDRESS")]
    peer_memory: Option<String>,

    /// Read LEN bytes of each named NVMe generic character device (/dev/ng0n1), from byte START on, by passthrough.
    /// Both must be multiples of the namespace's block size.
    #[arg(long, value_name = "START,LEN", value_parser = parse_range)]
    device_range: Option<DeviceRange>,

    #[command(flatten)]
    backend: BackendArgs,

    /// The number of the kernel's worker threads, or of its groups on a device. 0 means one for each core.
    #[arg(
        short = 'j',
        long = "workers",
        visible_alias = "threads",
        value_name = "NUM",
        default_value_t = 0,
        value_parser = clap::value_parser!(u16).range(0..=256)
    )]
    workers: u16,

    /// The number of slots, each of which is a chunk with a read in flight: 1 to 64. They are divided evenly among the
    /// workers; with fewer slots than workers, there are as many workers as slots.
    #[arg(long, value_name = "NUM", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    slots: u32,

    /// The size of a slot in bytes, which is the most that one read returns, such as 256K or 1M. Registered slots count
    /// against the memory-lock limit (ulimit -l), which is 8 MiB for all processes of an ordinary user together.
    #[arg(long, value_name = "SIZE", value_parser = parse_slot_size, default_value = "1M")]
    slot_size: usize,

    /// Write a JSON object for each file, and the report as the last one.
    #[arg(long)]
    json: bool,

    /// Show no progress. It is shown on a terminal only, and only when a run takes more than a second.
    #[arg(long)]
    no_progress: bool,
}

/// A slot's size: one that every disk can fill in whole blocks, and that a chunk may have.
fn parse_slot_size(text: &str) -> Result<usize, String> {
    let bytes = parse_size(text)?;
    if !(4096..=64 << 20).contains(&bytes) || !bytes.is_multiple_of(4096) {
        return Err("a slot has a multiple of 4 KiB, up to 64 MiB; write a size such as 1M".into());
    }
    Ok(bytes)
}

/// `START,LEN`, each as [`parse_size`] takes it.
fn parse_range(text: &str) -> Result<DeviceRange, String> {
    let (start, bytes) = text
        .split_once(',')
        .ok_or("not a range; write START,LEN in bytes, such as 0,32M")?;
    let range = DeviceRange {
        start: parse_size(start)? as u64,
        bytes: parse_size(bytes)? as u64,
    };
    if range.bytes == 0 || range.start.checked_add(range.bytes).is_none() {
        return Err("a range of no bytes, or beyond every device; write START,LEN".into());
    }
    Ok(range)
}

/// Runs `gristmill ingest`.
///
/// # Errors
/// A message, if the command cannot start.
pub fn run(args: &IngestArgs) -> Result<ExitCode, String> {
    let words = |error: PipelineError| error.to_string();
    let ReadPathChoice::Only(path) = args.read_path else {
        return Err("ingest needs a named read path; give --read-path registered".into());
    };
    if args.device_range.is_some() && path != ReadPath::GpuDirectNvmePassthrough {
        return Err("--device-range is read by NVMe commands; give --read-path passthrough".into());
    }
    let on = (args.backend).open_for(args.read_path, args.peer_memory.as_deref())?;
    // A lack of this machine is reported once, and not for each file.
    if let Some(address) = &args.peer_memory {
        PeerMemory::allocate(address, 4096).map_err(words)?;
    }
    let mill = args.mill(on).map_err(|error| advice::mill(&error))?;
    ChunkReader::new(ReaderConfig {
        depth: 1,
        path: args.read_path,
    })
    .map_err(words)?;
    let mut output = stdout::open()?;
    // If a range of each device is read, the sizes that an estimate adds up are not the bytes to read.
    let estimate = args
        .source
        .estimate()
        .filter(|_| args.device_range.is_none());
    let rows = if args.json {
        DigestRows::Json
    } else {
        DigestRows::Text
    };
    let told = ReportArgs {
        no_progress: args.no_progress,
        ..ReportArgs::default()
    };
    let (ran, mut end) = one_job::run_and_tell(
        &mill,
        args.source.source()?,
        Arc::new(DigestJob::new(Algorithm::Crc32c.into(), rows)),
        &mut output,
        &told,
        estimate,
        |run| (!args.json).then(|| args.report(path, run).text()),
    )?;
    let (json, valid) = {
        let report = args.report(path, &ran);
        (report.json(), report.validate())
    };
    if args.json {
        end::write_last(&mut output, &told.rows, json.as_bytes(), &mut end);
    }
    if let Err(error) = valid {
        end.failed = true;
        complain(&error.to_string());
    }
    Ok(end.code(0))
}

impl IngestArgs {
    /// The number of workers, each with a reader of its own, and of slots per worker.
    fn shares(&self) -> (usize, usize) {
        let slots = self.slots as usize;
        let workers = workers(self.workers.into()).min(slots);
        (workers, slots / workers)
    }

    /// The mill that these flags describe.
    fn mill(&self, on: SelectedBackend) -> Result<Mill, MillError> {
        let (workers, slots) = self.shares();
        let mut builder = Mill::builder()
            .backend(on)
            .workers(workers)
            .chunks(slots)
            .depth(u32::try_from(slots).unwrap_or(u32::MAX))
            .chunk_bytes(self.slot_size)
            // The number of slots was asked for, so memory is not bounded here.
            .memory(usize::MAX)
            .read_path(self.read_path)
            .strict(true)
            .ordered(true);
        if let Some(range) = self.device_range {
            builder = builder.device_range(range);
        }
        if let Some(address) = &self.peer_memory {
            builder = builder.peer_memory(address);
        }
        builder.build()
    }

    fn report<'a>(&self, path: ReadPath, run: &'a RunReport) -> Report<'a> {
        let (workers, slots) = self.shares();
        Report {
            path,
            slots: workers * slots,
            run,
            telemetry: NvmeGpuIngestTelemetry {
                cpu_bounce_bytes: run.cpu_bounce_bytes,
                ..NvmeGpuIngestTelemetry::of(&run.reads, path)
            },
            transfers: IngestTransfers::from(&run.reads),
        }
    }
}

/// The report of an ingest.
struct Report<'a> {
    path: ReadPath,
    slots: usize,
    run: &'a RunReport,
    telemetry: NvmeGpuIngestTelemetry,
    transfers: IngestTransfers,
}

impl Report<'_> {
    /// Checks that every read came by the chosen path without a copy in user space, and that the counters add up: the
    /// bytes that landed agree with those that the path read and, for files that were read to their end, with those
    /// that were summed.
    fn validate(&self) -> Result<(), PipelineError> {
        self.telemetry.validate_completed_zero_copy(self.path)?;
        let (run, landed) = (self.run, self.telemetry.completed_bytes);
        let by_path = match self.path {
            ReadPath::RegisteredMappedRead => run.reads.bytes_registered,
            ReadPath::GpuDirectNvmePassthrough => run.reads.bytes_passthrough,
            _ => run.reads.bytes_mapped,
        };
        // Whole blocks are read, so more bytes may be read than the file has.
        if by_path < landed || by_path != run.reads.bytes() {
            return Err(PipelineError::Backend(format!(
                "the counters do not add up: {landed} bytes landed, and of {} bytes that were read {by_path} came by {}; \
                 please report this",
                run.reads.bytes(),
                self.path
            )));
        }
        let reads = self.telemetry.completed_reads;
        let whole = run.failures == 0 && !run.stopped && run.output.is_ok();
        let summed = (run.bytes, run.chunks);
        if run.bytes > landed
            || run.kernel.slots > reads
            || whole && (summed != (landed, reads) || run.kernel.slots != reads)
        {
            return Err(PipelineError::Backend(format!(
                "the counters do not add up: {landed} bytes landed by {reads} reads, and the kernel summed {} in {} of {} \
                 slots; please report this",
                run.bytes, run.chunks, run.kernel.slots
            )));
        }
        Ok(())
    }

    /// Whether bytes landed, and the disk itself wrote all of them to their slots.
    fn is_zero_copy(&self) -> bool {
        self.transfers.direct_bytes > 0 && self.transfers.kernel_copied_bytes == 0
    }

    fn memory(&self) -> String {
        match &self.run.peer_memory {
            Some(address) => format!("peer memory of {address}"),
            None => "host memory".into(),
        }
    }

    fn text(&self) -> String {
        let (telemetry, run) = (&self.telemetry, self.run);
        let (reads, kernel) = (&run.reads, &run.kernel);
        let seconds = run.elapsed.as_secs_f64().max(1e-9);
        let valid = match self.validate() {
            Ok(()) if telemetry.submitted_reads == 0 => "nothing was read".into(),
            Ok(()) if self.is_zero_copy() => {
                format!("every read was zero-copy, by {}", self.path)
            }
            Ok(()) => format!("every read came by {}", self.path),
            Err(_) => "no, see below".into(),
        };
        let summed_on = match &run.device {
            None => run.backend.to_owned(),
            Some(device) => format!("{}: {}", run.backend, device.name),
        };
        let mut text = String::new();
        let mut line = |name: &str, value: String| text += &report::line(name, &value);
        line(
            "read path",
            format!("{}, into {}", self.path, self.memory()),
        );
        line(
            "slots",
            format!("{} of {} bytes", self.slots, run.chunk_bytes),
        );
        for reason in &run.fallbacks {
            line("fallback", reason.clone());
        }
        line(
            "summed by",
            format!(
                "the kernel on {summed_on}, where the bytes had landed: {} launches, {} slots, {} faults",
                kernel.launches, kernel.slots, kernel.faults
            ),
        );
        line("files", format!("{}, {} failures", run.files, run.failures));
        line(
            "bytes",
            format!(
                "{} landed of {} in {:.1} ms: {}/s, summing included",
                telemetry.completed_bytes,
                telemetry.submitted_bytes,
                seconds * 1e3,
                report::bytes(telemetry.completed_bytes as f64 / seconds)
            ),
        );
        line(
            "reads",
            format!(
                "{} landed of {}, {} failed, {} in flight",
                telemetry.completed_reads,
                telemetry.submitted_reads,
                telemetry.failed_completions,
                telemetry.inflight_reads()
            ),
        );
        line(
            "by path",
            format!(
                "{} registered, {} passthrough, {} peer",
                telemetry.registered_mapped_read_submissions,
                telemetry.gpudirect_nvme_submissions,
                telemetry.path_submissions(ReadPath::PeerRead)
            ),
        );
        line(
            "copied",
            format!(
                "{} by the kernel, from its page cache, or may have been; {} in user space (cpu_bounce_bytes)",
                self.transfers.kernel_copied_bytes, telemetry.cpu_bounce_bytes
            ),
        );
        line(
            "not copied",
            format!(
                "{} bytes, which the disk wrote to their slots itself",
                self.transfers.direct_bytes
            ),
        );
        line("commands", report::calls(reads));
        line(
            "queue depth",
            format!(
                "{:.2} achieved, {} at most",
                reads.mean_depth(),
                reads.depth_max
            ),
        );
        line("adds up", valid);
        text
    }

    fn json(&self) -> String {
        let (telemetry, run) = (&self.telemetry, self.run);
        let (reads, kernel) = (&run.reads, &run.kernel);
        let valid = self.validate();
        let report = json!({ "type": "report", "report": {
            "read_path": self.path.name(),
            "memory": self.memory(),
            "slots": self.slots,
            "slot_bytes": run.chunk_bytes,
            "backend": run.backend,
            "device": run.device.as_ref().map(|device| device.name.as_str()),
            "kernel": {
                "launches": kernel.launches,
                "slots": kernel.slots,
                "faults": kernel.faults,
                "bytes": run.bytes,
            },
            "files": run.files,
            "failures": run.failures,
            "elapsed_seconds": run.elapsed.as_secs_f64(),
            "telemetry": {
                "submitted_bytes": telemetry.submitted_bytes,
                "completed_bytes": telemetry.completed_bytes,
                "submitted_reads": telemetry.submitted_reads,
                "completed_reads": telemetry.completed_reads,
                "registered_mapped_read_submissions": telemetry.registered_mapped_read_submissions,
                "gpudirect_nvme_submissions": telemetry.gpudirect_nvme_submissions,
                "peer_read_submissions": telemetry.path_submissions(ReadPath::PeerRead),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_two_sizes() {
        let range = |start, bytes| Ok(DeviceRange { start, bytes });
        assert_eq!(parse_range("0,512"), range(0, 512));
        assert_eq!(parse_range("1M,32K"), range(1 << 20, 32 << 10));
        for text in ["", "1", "1,", ",1", "1,0", "-1,5", "18446744073709551615,1"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }
}
