//! The peak memory of whole runs, beyond the buffers that they are configured with.

use crate::{data, process, Goal, Row, Setting};
use gristmill::jobs::{DEFAULT_CHUNK_BYTES, LARGE_CHUNK_BYTES};
use gristmill::mill::{chunks_per_worker, DEFAULT_DEPTH};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command and returns the peak resident memory, in KiB, of the largest process that this one has waited for.
pub fn peak_of(command: &[String]) -> Result<i64, String> {
    let (program, args) = command.split_first().ok_or("no command")?;
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)
        .map_err(|error| error.to_string())?;
    Ok(usage.max_rss())
}

/// The peak memory of a program with these variables, in MiB. A separate process measures, so that no earlier child
/// counts.
pub fn peak(program: &Path, args: &[&str], variables: &[(String, String)]) -> Result<f64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(own)
        .arg("--peak-of")
        .arg(program)
        .args(args)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .map_err(|error| error.to_string())?;
    let kib: f64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(kib / 1024.0)
}

pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let (bytes, files) = if setting.smoke {
        (8 << 20, 200)
    } else {
        (4 << 30, 20_000)
    };
    let big = data::words_file(setting, bytes)?;
    let small = data::small_files(setting, files)?;
    let big = big.to_str().ok_or("a path that is not UTF-8")?;
    let small = small.to_str().ok_or("a path that is not UTF-8")?;
    let mut rows = Vec::new();
    for (name, chunk, args) in [
        (
            "memory, one large file, counted",
            LARGE_CHUNK_BYTES,
            vec!["scan", "-c", "-e", "e", big],
        ),
        (
            "memory, one large file, every line printed",
            DEFAULT_CHUNK_BYTES,
            vec!["scan", "-n", "-e", "e", big],
        ),
        (
            "memory, many files, every line printed",
            DEFAULT_CHUNK_BYTES,
            vec!["scan", "-n", "--sort", "path", "-e", "e", small],
        ),
        (
            "memory, digest of many files",
            LARGE_CHUNK_BYTES,
            vec!["digest", small],
        ),
    ] {
        rows.push(above_buffers(name, chunk, &args)?);
    }
    Ok(rows)
}

/// A row for the peak memory of the tool beyond its buffers, which are chunks of so many bytes.
pub fn above_buffers(name: &str, chunk: usize, args: &[&str]) -> Result<Row, String> {
    let peak = peak(&process::gristmill()?, args, &[])?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let buffers = (cores * chunks_per_worker(DEFAULT_DEPTH) * chunk) as f64 / f64::from(1 << 20);
    Ok(Row {
        name: name.into(),
        ours: format!("{peak:.1} MiB, {buffers:.1} MiB of them configured at most"),
        peer: String::new(),
        figure: peak - buffers,
        goal: Goal::AtMost(64.0),
    })
}
