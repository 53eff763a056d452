//! `gristmill doctor`: what this machine can do, why not, and the step that would change it.

use super::print;
use crate::uring::{probe, UringProbe};
use serde_json::{json, Value};
use std::fmt::Write;
use std::process::ExitCode;

/// Flags of `gristmill doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

/// One thing that a machine can do, or not.
struct Finding {
    /// `read path`, `back end`, `feature`.
    kind: &'static str,
    name: &'static str,
    works: bool,
    /// What was seen.
    why: String,
    /// What would change it, where something would.
    step: Option<String>,
}

/// Runs `gristmill doctor`.
///
/// # Errors
/// Where the answer cannot be written.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, String> {
    let machine = machine();
    let findings = findings(&probe());
    let text = if args.json {
        let list: Vec<Value> = findings
            .iter()
            .map(|finding| {
                json!({
                    "kind": finding.kind,
                    "name": finding.name,
                    "works": finding.works,
                    "why": finding.why,
                    "step": finding.step,
                })
            })
            .collect();
        let machine: serde_json::Map<String, Value> = machine
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect();
        format!("{}\n", json!({ "machine": machine, "findings": list }))
    } else {
        let mut text = String::new();
        for (name, value) in machine {
            let _ = writeln!(text, "{name:<12}{value}");
        }
        for finding in &findings {
            let yes = if finding.works { "yes" } else { "no " };
            let _ = writeln!(
                text,
                "{yes} {:<10} {:<24} {}",
                finding.kind, finding.name, finding.why
            );
            if let Some(step) = &finding.step {
                let _ = writeln!(text, "    to change that: {step}");
            }
        }
        text
    };
    print(text.as_bytes())
}

fn machine() -> Vec<(&'static str, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|rest| rest.trim_matches([' ', '\t', ':']).to_owned())
            .unwrap_or_else(|| "not known".into())
    };
    let cores = std::thread::available_parallelism()
        .map_or_else(|error| error.to_string(), |cores| cores.to_string());
    vec![
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("processor", field(&read("/proc/cpuinfo"), "model name")),
        ("cores", cores),
        ("memory", field(&read("/proc/meminfo"), "MemTotal")),
        ("free", field(&read("/proc/meminfo"), "MemAvailable")),
    ]
}

fn findings(probe: &UringProbe) -> Vec<Finding> {
    let ring = probe.is_available();
    let refused = |error: &Option<gristmill_protocol::PipelineError>| match error {
        Some(error) => error.to_string(),
        None if ring => "works".into(),
        None => "needs io_uring".into(),
    };
    let limit = match probe.memlock_limit {
        None => "locked memory is not limited".to_owned(),
        Some(bytes) => format!(
            "locked memory (ulimit -l) is limited to {} KiB",
            bytes / 1024
        ),
    };
    vec![
        Finding {
            kind: "read path",
            name: "RegisteredMappedRead",
            works: ring,
            why: match &probe.refusal {
                None => format!("io_uring, with {:?}", probe.setup),
                Some(error) => error.to_string(),
            },
            step: (!ring).then(|| match probe.io_uring_disabled {
                Some(level @ 1..) => format!(
                    "kernel.io_uring_disabled is {level}: `sysctl kernel.io_uring_disabled=0` as root"
                ),
                _ => "run where the seccomp profile allows io_uring_setup (a container's default \
                      often does not), on Linux 5.11 or later"
                    .into(),
            }),
        },
        Finding {
            kind: "read path",
            name: "PositionedRead",
            works: true,
            why: "pread works everywhere; taken where io_uring is refused".into(),
            step: None,
        },
        Finding {
            kind: "feature",
            name: "registered buffers",
            works: probe.has_registered_buffers(),
            why: format!("{}; {limit}", refused(&probe.registered_buffers_refusal)),
            step: (ring && !probe.has_registered_buffers()).then(|| {
                "raise the limit on locked memory (`ulimit -l`, or LimitMEMLOCK= of a service)".into()
            }),
        },
        Finding {
            kind: "feature",
            name: "registered files",
            works: probe.has_registered_files(),
            why: refused(&probe.registered_files_refusal),
            step: None,
        },
        Finding {
            kind: "back end",
            name: "cpu",
            works: true,
            why: "worker threads, always there".into(),
            step: None,
        },
    ]
}
