//! Reports as text: what a run did, and what failed.

use gristmill::megakernel::vir0::vector::{Level, LEVEL_VARIABLE};
use gristmill::mill::RunReport;
use gristmill::uring::reader::ReadStats;
use std::time::Duration;

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// How often reads were asked for, and in how many system calls.
pub fn calls(reads: &ReadStats) -> String {
    format!(
        "{} in {} calls, {} continued, {} retried",
        reads.reads, reads.enters, reads.short_reads, reads.retries
    )
}

/// An amount or a rate of bytes, with a decimal prefix.
pub fn bytes(amount: f64) -> String {
    let mut amount = amount;
    for unit in ["B", "kB", "MB", "GB"] {
        if amount < 1000.0 {
            return if unit == "B" {
                format!("{amount:.0} B")
            } else {
                format!("{amount:.2} {unit}")
            };
        }
        amount /= 1000.0;
    }
    format!("{amount:.2} TB")
}

/// A line of [`text`].
pub fn line(name: &str, value: &str) -> String {
    format!("{name:<14}{value}\n")
}

/// The path that a run took, line by line.
pub fn text(report: &RunReport) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &line(name, &value);
    let seconds = report.elapsed.as_secs_f64().max(1e-9);
    line(
        "back end",
        match &report.device {
            None => format!(
                "{}, {} workers ({})",
                report.backend, report.workers, report.why
            ),
            Some(device) => format!(
                "{}: {}, {} workers, fed by {} readers ({})",
                report.backend,
                device.name,
                report.kernel.slots_by_worker.len(),
                report.workers,
                report.why
            ),
        },
    );
    if report.device.is_none() {
        let level = Level::in_use().name();
        let why = match Level::asked() {
            Ok(Some(_)) => format!("as {LEVEL_VARIABLE} asks"),
            _ => "the best that this CPU has".to_owned(),
        };
        let of_patterns = gristmill::jobs::scan::vector_unit();
        let what = match of_patterns == level {
            true => format!("{level}, for VIR0 programs and sets of patterns"),
            false => format!("{level}, for VIR0 programs; {of_patterns}, for sets of patterns"),
        };
        line("vector unit", format!("{what} ({why})"));
    }
    let paths = if report.read_paths.is_empty() {
        "none: nothing was read".to_owned()
    } else {
        report.read_paths.join(", ")
    };
    line("read path", paths);
    line(
        "memory",
        match &report.peer_memory {
            None => "host memory".to_owned(),
            Some(address) => format!("peer memory of {address}"),
        },
    );
    for reason in &report.fallbacks {
        line("fallback", reason.clone());
    }
    if report.direct_refused > 0 {
        line(
            "fallback",
            format!("O_DIRECT was refused for {} files", report.direct_refused),
        );
    }
    let reads = &report.reads;
    line(
        "bytes",
        format!(
            "{} in {}: {}/s",
            report.bytes,
            millis(report.elapsed),
            bytes(report.bytes as f64 / seconds)
        ),
    );
    if report.jobs.len() > 1 {
        let shown: u64 = report.jobs.iter().map(|job| job.bytes).sum();
        line(
            "read once",
            format!(
                "{} bytes, for {shown} that {} jobs were given",
                report.bytes,
                report.jobs.len()
            ),
        );
        for job in &report.jobs {
            line(
                "job",
                format!(
                    "{}: {} bytes in {} chunks, {} bytes of rows",
                    job.name, job.bytes, job.chunks, job.rows_bytes
                ),
            );
        }
    }
    for job in &report.jobs {
        if let Some(divided) = &job.divided {
            let name = match report.jobs.len() {
                1 => String::new(),
                _ => format!("{}: ", job.name),
            };
            line("divided", format!("{name}{divided}"));
        }
    }
    line(
        "by call",
        format!(
            "{} by READ_FIXED, {} by READ, {} by pread, {} by NVMe Read",
            reads.bytes_registered,
            reads.bytes_mapped,
            reads.bytes_positioned,
            reads.bytes_passthrough
        ),
    );
    line(
        "copied",
        format!(
            "{} (cpu_bounce_bytes: copied in user space before the kernel saw them)",
            report.cpu_bounce_bytes
        ),
    );
    let objects = &report.objects;
    if objects.requests > 0 {
        line(
            "objects",
            format!(
                "{} bytes in {} requests, {} of them retries, {} at most in flight",
                objects.bytes, objects.requests, objects.retried, objects.depth_max
            ),
        );
    }
    let decoded = &report.decoded;
    if decoded.files > 0 {
        line(
            "decoded",
            format!(
                "{} files, {} read of them, which became {}",
                decoded.files, decoded.raw, decoded.bytes
            ),
        );
    }
    line(
        "files",
        format!("{}, {} failures", report.files, report.failures),
    );
    line(
        "chunks",
        format!("{} of at most {} bytes", report.chunks, report.chunk_bytes),
    );
    line("reads", calls(reads));
    line(
        "queue depth",
        format!(
            "{:.2} achieved, {} at most, {} allowed for each worker's large files",
            reads.mean_depth(),
            reads.depth_max,
            report.depth
        ),
    );
    let kernel = &report.kernel;
    line(
        "kernel",
        format!(
            "{} launches ({} of them after a lease's end), {} leases, {} slots ({:.1} for each launch), {} faults",
            kernel.launches,
            kernel.launches.saturating_sub(1),
            kernel.leases,
            kernel.slots,
            kernel.slots as f64 / kernel.launches.max(1) as f64,
            kernel.faults
        ),
    );
    let stages = &report.stages;
    line(
        "time",
        format!(
            "source {}, open {}, read {}, kernel {}, collect {}, write {} (all workers together)",
            millis(stages.source),
            millis(stages.open),
            millis(stages.read),
            millis(stages.kernel),
            millis(stages.collect),
            millis(stages.write)
        ),
    );
    text
}
