//! `gristmill doctor`: what this machine can do, why not, and the step that would change it.

mod finding;
mod storage;

use super::messages::complain;
use super::stdout::print;
use finding::Finding;
use gristmill::jobs::names;
use gristmill::megakernel::backend::device::cuda::CudaBackend;
use gristmill::megakernel::backend::device::opencl::OpenClBackend;
use gristmill::megakernel::backend::device::Found;
use gristmill::megakernel::protocol::PipelineError;
use gristmill::megakernel::vir0::vector::{Level, LEVEL_VARIABLE};
use gristmill::megakernel::KernelError;
use gristmill::uring::{probe, UringProbe};
use serde_json::{json, Value};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `gristmill doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// Show which read paths can read each of these files and devices (/dev/ng*), instead of describing the machine.
    /// Bytes of a file that are only in the page cache are written to its disk first.
    files: Vec<PathBuf>,

    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `gristmill doctor`.
///
/// # Errors
/// A message, if the answer cannot be written.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, String> {
    let probe = probe();
    if !args.files.is_empty() {
        return of_files(args, &probe);
    }
    let machine = machine(&probe);
    let findings = findings(&probe);
    let text = if args.json {
        let machine: serde_json::Map<String, Value> = machine
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect();
        format!(
            "{}\n",
            json!({ "type": "machine", "machine": machine, "findings": list(&findings) })
        )
    } else {
        let mut text = String::new();
        for (name, value) in machine {
            let _ = writeln!(text, "{name:<12}{value}");
        }
        text + &rows(&findings)
    };
    print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the findings about files. The exit code is 2 if one cannot be opened.
fn of_files(args: &DoctorArgs, probe: &UringProbe) -> Result<ExitCode, String> {
    let (mut files, mut text, mut failed) = (Vec::new(), String::new(), false);
    for path in &args.files {
        match storage::file(path, probe) {
            Err(why) => {
                complain(&format!("{}: {why}", path.display()));
                failed = true;
            }
            Ok(findings) if args.json => {
                files.push(json!({ "path": names::json(path), "findings": list(&findings) }));
            }
            Ok(findings) => {
                let name = names::escaped(path).1;
                let _ = writeln!(text, "{}", String::from_utf8_lossy(&name));
                text.push_str(&rows(&findings));
            }
        }
    }
    if args.json {
        text = format!("{}\n", json!({ "type": "files", "files": files }));
    }
    print(text.as_bytes())?;
    Ok(if failed {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

/// Findings for programs.
fn list(findings: &[Finding]) -> Vec<Value> {
    let value = |finding: &Finding| {
        json!({
            "kind": finding.kind,
            "name": finding.name,
            "device": finding.device,
            "works": finding.works,
            "why": finding.why,
            "step": finding.step,
        })
    };
    findings.iter().map(value).collect()
}

/// Findings for people.
fn rows(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let yes = if finding.works { "yes" } else { "no " };
        let name = match finding.device {
            Some(number) => format!("{}, device {number}", finding.name),
            None => finding.name.to_owned(),
        };
        let _ = writeln!(
            text,
            "{yes} {:<10} {name:<24} {}",
            finding.kind, finding.why
        );
        if let Some(step) = &finding.step {
            let _ = writeln!(text, "    to change that: {step}");
        }
    }
    text
}

fn machine(probe: &UringProbe) -> Vec<(&'static str, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|rest| rest.trim_matches([' ', '\t', ':']).to_owned())
            .unwrap_or_else(|| "not known".into())
    };
    let cores = std::thread::available_parallelism()
        .map_or_else(|error| error.to_string(), |cores| cores.to_string());
    let locked = match probe.memlock_limit {
        None => "not limited".into(),
        Some(bytes) => format!("{} KiB at most (ulimit -l)", bytes / 1024),
    };
    vec![
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("processor", field(&read("/proc/cpuinfo"), "model name")),
        ("cores", cores),
        ("memory", field(&read("/proc/meminfo"), "MemTotal")),
        ("free", field(&read("/proc/meminfo"), "MemAvailable")),
        ("lockable", locked),
    ]
}

/// The features with which a ring was set up, by the kernel's names.
fn setup(probe: &UringProbe) -> String {
    let setup = &probe.setup;
    let flags = [
        (setup.single_issuer, "SINGLE_ISSUER"),
        (setup.defer_taskrun, "DEFER_TASKRUN"),
        (setup.coop_taskrun, "COOP_TASKRUN"),
        (setup.submit_all, "SUBMIT_ALL"),
    ];
    let taken: Vec<&str> = flags
        .iter()
        .filter_map(|(taken, name)| taken.then_some(*name))
        .collect();
    if taken.is_empty() {
        "io_uring, with no setup flag".into()
    } else {
        format!("io_uring, with {}", taken.join(", "))
    }
}

/// A vector unit, and whether VIR0 programs and sets of patterns run on it.
fn vector_unit(level: Level) -> Finding {
    let (works, used) = (level.is_available(), Level::in_use());
    let forced = match Level::asked() {
        Ok(Some(_)) => format!(", as {LEVEL_VARIABLE} asks"),
        _ => String::new(),
    };
    Finding {
        kind: "vector unit",
        name: level.name(),
        device: None,
        works,
        why: match (works, used == level) {
            (true, true) => {
                let of_patterns = gristmill::jobs::scan::vector_unit();
                match of_patterns == level.name() {
                    true => format!("VIR0 programs and sets of patterns run on it{forced}"),
                    false => format!(
                        "VIR0 programs run on it, sets of patterns on {of_patterns}{forced}"
                    ),
                }
            }
            (true, false) => format!("there; {} is used{forced}", used.name()),
            (false, _) => format!("this CPU does not have it; {} is used{forced}", used.name()),
        },
        step: (!works).then(|| "nothing on this machine; a CPU that has it".into()),
    }
}

fn findings(probe: &UringProbe) -> Vec<Finding> {
    let ring = probe.is_available();
    let refused = |error: &Option<PipelineError>| match error {
        Some(error) => error.to_string(),
        None if ring => "works".into(),
        None => "needs io_uring".into(),
    };
    let mut findings = vec![
        Finding {
            kind: "read path",
            name: "registered",
            device: None,
            works: ring,
            why: match &probe.refusal {
                None => setup(probe),
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
            name: "positioned",
            device: None,
            works: true,
            why: "pread works everywhere; used where io_uring is refused".into(),
            step: None,
        },
    ];
    findings.extend(storage::machine());
    findings.extend([
        Finding {
            kind: "feature",
            name: "registered buffers",
            device: None,
            works: probe.has_registered_buffers(),
            why: refused(&probe.registered_buffers_refusal),
            step: (ring && !probe.has_registered_buffers()).then(|| {
                "raise the limit on locked memory (`ulimit -l`, or LimitMEMLOCK= of a service)"
                    .into()
            }),
        },
        Finding {
            kind: "feature",
            name: "registered files",
            device: None,
            works: probe.has_registered_files(),
            why: refused(&probe.registered_files_refusal),
            step: None,
        },
    ]);
    findings.extend(Level::ALL.into_iter().rev().map(vector_unit));
    findings.extend([Finding {
        kind: "back end",
        name: "cpu",
        device: None,
        works: true,
        why: "worker threads, always available".into(),
        step: None,
    }]);
    let opencl = OpenClBackend::devices();
    // If there is no device at all, its reason already names the broken drivers.
    let broken = opencl.as_ref().map(|_| OpenClBackend::broken_drivers());
    findings.extend(broken.unwrap_or_default().into_iter().map(|why| Finding {
        kind: "back end",
        name: "opencl",
        device: None,
        works: false,
        why,
        step: Some("install that driver again, or remove the file that names it".into()),
    }));
    findings.extend(devices("opencl", opencl));
    findings.extend(devices("cuda", CudaBackend::devices()));
    findings
}

/// The devices of a back end, by the numbers that `--device` takes.
fn devices(backend: &'static str, found: Result<Vec<Found>, KernelError>) -> Vec<Finding> {
    let devices = match found {
        Ok(devices) => devices,
        Err(error) => {
            return vec![Finding {
                kind: "back end",
                name: backend,
                device: None,
                works: false,
                why: error.to_string(),
                step: Some(
                    "install or mend its driver, as said above, then run this again; `cpu` works without"
                        .into(),
                ),
            }]
        }
    };
    let finding = |(number, found): (usize, &Found)| Finding {
        kind: "back end",
        name: backend,
        device: Some(number),
        works: found.refused.is_none(),
        why: format!(
            "{}, {}: {}{}{}",
            found.info.name,
            found.info.driver,
            found.info.details,
            if found.gpu { ", a GPU" } else { "" },
            match &found.refused {
                Some(reason) => format!("; {reason}"),
                None => String::new(),
            }
        ),
        step: (found.refused.is_some())
            .then(|| "a newer driver, if there is one; or another device".into()),
    };
    devices.iter().enumerate().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill::uring::SetupFlags;

    /// A machine on which everything works.
    fn able() -> UringProbe {
        UringProbe {
            refusal: None,
            setup: SetupFlags::default(),
            registered_buffers_refusal: None,
            registered_files_refusal: None,
            memlock_limit: None,
            io_uring_disabled: None,
        }
    }

    fn refusal(syscall: &'static str, errno: i32) -> Option<PipelineError> {
        Some(PipelineError::IoUringSyscall {
            syscall,
            errno,
            fix: "allow it",
        })
    }

    fn finding(probe: &UringProbe, name: &str) -> (bool, String, String) {
        let found = findings(probe).into_iter().find(|it| it.name == name);
        let found = found.unwrap_or_else(|| panic!("{name} is not told"));
        (found.works, found.why, found.step.unwrap_or_default())
    }

    #[test]
    fn a_refused_ring_is_told_with_the_switch_that_refuses_it() {
        for (switch, step) in [
            (None, "seccomp"),
            (Some(0), "seccomp"),
            (Some(1), "sysctl kernel.io_uring_disabled=0"),
            (Some(2), "sysctl kernel.io_uring_disabled=0"),
        ] {
            let probe = UringProbe {
                refusal: refusal("io_uring_setup", 1),
                io_uring_disabled: switch,
                ..able()
            };
            let ring = finding(&probe, "registered");
            assert!(!ring.0 && ring.1.contains("io_uring_setup"), "{ring:?}");
            assert!(ring.2.contains(step), "{switch:?}: {ring:?}");
            assert!(finding(&probe, "positioned").0);
            for name in ["registered buffers", "registered files"] {
                let (works, why, _) = finding(&probe, name);
                assert_eq!((works, why.as_str()), (false, "needs io_uring"));
            }
        }
    }

    #[test]
    fn refused_registration_of_buffers_leaves_the_path_and_names_the_limit() {
        let probe = UringProbe {
            registered_buffers_refusal: refusal("io_uring_register(BUFFERS)", 12),
            memlock_limit: Some(64 << 10),
            ..able()
        };
        assert!(finding(&probe, "registered").0);
        let (works, why, step) = finding(&probe, "registered buffers");
        assert!(!works && why.contains("BUFFERS") && step.contains("ulimit -l"));
        let lockable = ("lockable", "64 KiB at most (ulimit -l)".to_owned());
        assert!(machine(&probe).contains(&lockable));
    }

    #[test]
    fn setup_flags_are_told_by_the_kernels_names() {
        assert_eq!(setup(&able()), "io_uring, with no setup flag");
        let setup_flags = SetupFlags {
            single_issuer: true,
            defer_taskrun: true,
            coop_taskrun: false,
            submit_all: true,
        };
        let probe = UringProbe {
            setup: setup_flags,
            ..able()
        };
        assert_eq!(
            setup(&probe),
            "io_uring, with SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL"
        );
    }
}
