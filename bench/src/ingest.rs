//! Reads alone: our reader compared with fio, with the same shape of reads.

use crate::cpu::cpu_seconds;
use crate::{data, median, Goal, Row, Setting};
use gristmill::ring::ChunkMemory;
use gristmill::uring::reader::{ChunkReader, ReadPath, ReadPathChoice, ReaderConfig};
use nix::sys::resource::UsageWho;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const READ_BYTES: usize = 1 << 20;
const DEPTH: u32 = 8;
/// The value of O_DIRECT on Linux for x86-64.
const O_DIRECT: i32 = 0o40000;

/// The cost of reading a file once.
pub struct Rate {
    /// Bytes per second.
    pub bytes_per_second: f64,
    /// Processor time in seconds, of user and kernel together, for each 10^9 bytes.
    pub cpu_per_gb: f64,
}

/// Reads a whole file once, in 1 MiB reads at depth 8 into registered buffers. The clocks start when the buffers are
/// registered and warm, as fio's clocks do.
pub fn read_rate(path: &Path, direct: bool) -> Result<Rate, String> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(if direct { O_DIRECT } else { 0 })
        .open(path)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let file = Arc::new(OwnedFd::from(file));
    let (_memory, mut chunks) =
        ChunkMemory::map(DEPTH, READ_BYTES).map_err(|error| error.to_string())?;
    let mut reader = ChunkReader::new(ReaderConfig {
        depth: DEPTH,
        path: ReadPathChoice::Only(ReadPath::RegisteredMappedRead),
    })
    .map_err(|error| error.to_string())?;
    let mut rate = Rate {
        bytes_per_second: 0.0,
        cpu_per_gb: 0.0,
    };
    // The first round only registers and touches the buffers.
    for (from, until) in [(0, (u64::from(DEPTH) << 20).min(size)), (0, size)] {
        let (began, cpu) = (Instant::now(), cpu_seconds(UsageWho::RUSAGE_SELF)?);
        let mut next: u64 = from;
        let mut landed: u64 = 0;
        while landed < until {
            let mut queued = false;
            while next < until {
                let Some(buffer) = chunks.pop() else { break };
                let len = usize::try_from(until - next)
                    .unwrap_or(READ_BYTES)
                    .min(READ_BYTES);
                reader
                    .submit(
                        &file,
                        next,
                        buffer,
                        if direct { READ_BYTES } else { len },
                        0,
                        true,
                    )
                    .map_err(|(_, error)| error.to_string())?;
                next += READ_BYTES as u64;
                queued = true;
            }
            if queued {
                reader.flush().map_err(|error| error.to_string())?;
            }
            let mut any = false;
            while let Some(done) = reader.poll() {
                any = true;
                if let Some(errno) = done.error {
                    return Err(std::io::Error::from_raw_os_error(errno).to_string());
                }
                landed += done.bytes as u64;
                chunks.push(done.buffer);
                if done.bytes == 0 {
                    return Err("the file ended early".into());
                }
            }
            if !any {
                reader
                    .wait(Duration::from_secs(10))
                    .map_err(|error| error.to_string())?;
            }
        }
        rate = Rate {
            bytes_per_second: landed as f64 / began.elapsed().as_secs_f64(),
            cpu_per_gb: (cpu_seconds(UsageWho::RUSAGE_SELF)? - cpu) / (landed as f64 / 1e9),
        };
    }
    Ok(rate)
}

fn on_one_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

fn ours(path: &Path, direct: bool) -> Result<Rate, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = on_one_core(&own);
    command.arg("--read").arg(path);
    if direct {
        command.arg("--o-direct");
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = told.split_whitespace().flat_map(str::parse).collect();
    match figures[..] {
        [bytes_per_second, cpu_per_gb] => Ok(Rate {
            bytes_per_second,
            cpu_per_gb,
        }),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The cost of reading a file by fio, which `command` runs, with reads of so many KiB, so many at a time.
pub fn fio(
    mut command: Command,
    path: &Path,
    direct: bool,
    kib: usize,
    depth: u32,
) -> Result<Rate, String> {
    let output = command
        .args(["--name=ingest", "--rw=read"])
        .arg(format!("--bs={kib}k"))
        .arg(format!("--iodepth={depth}"))
        .args([
            "--ioengine=io_uring",
            "--fixedbufs",
            "--registerfiles",
            "--invalidate=0",
            "--thread",
        ])
        .args(["--output-format=json", "--readonly"])
        .arg(format!("--filename={}", path.display()))
        .arg(format!("--direct={}", u8::from(direct)))
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let start = text
        .find('{')
        .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let json: serde_json::Value =
        serde_json::from_str(&text[start..]).map_err(|error| error.to_string())?;
    let bytes = json["jobs"][0]["read"]["io_bytes"].as_f64().unwrap_or(0.0);
    let millis = json["jobs"][0]["read"]["runtime"].as_f64().unwrap_or(0.0);
    if bytes == 0.0 || millis == 0.0 {
        return Err("fio reported no reads".into());
    }
    let share = |name: &str| json["jobs"][0][name].as_f64().unwrap_or(0.0) / 100.0;
    Ok(Rate {
        bytes_per_second: bytes / (millis / 1e3),
        cpu_per_gb: (share("usr_cpu") + share("sys_cpu")) * (millis / 1e3) / (bytes / 1e9),
    })
}

fn compare(setting: &Setting, name: &str, direct: bool) -> Result<Vec<Row>, String> {
    crate::process::has("fio")?;
    let bytes = if setting.smoke { 64 << 20 } else { 4 << 30 };
    let file = data::words_file(setting, bytes)?;
    data::warm(&file)?;
    let theirs = || {
        let command = on_one_core(Path::new("fio"));
        fio(command, &file, direct, READ_BYTES >> 10, DEPTH)
    };
    ours(&file, direct)?;
    theirs()?;
    let pairs = (0..setting.runs)
        .map(|_| Ok((ours(&file, direct)?, theirs()?)))
        .collect::<Result<Vec<_>, String>>()?;
    let rate = |pick: fn(&(Rate, Rate)) -> &Rate| {
        let rates = || pairs.iter().map(pick);
        format!(
            "{:.2} GB/s, {:.3} s of processor time for each GB",
            median(rates().map(|rate| rate.bytes_per_second).collect()) / 1e9,
            median(rates().map(|rate| rate.cpu_per_gb).collect())
        )
    };
    let ratio = |pick: fn(&Rate) -> f64| {
        median(
            pairs
                .iter()
                .map(|pair| pick(&pair.0) / pick(&pair.1))
                .collect(),
        )
    };
    let row = |name: String, figure: f64, goal: Goal| Row {
        name,
        ours: rate(|pair| &pair.0),
        peer: format!("fio {}", rate(|pair| &pair.1)),
        figure,
        goal,
    };
    Ok(vec![
        row(
            name.into(),
            ratio(|rate| rate.bytes_per_second),
            Goal::AtLeast(0.97),
        ),
        row(
            format!("{name}, processor time (ours / fio's)"),
            ratio(|rate| rate.cpu_per_gb),
            Goal::None,
        ),
    ])
}

pub fn warm(setting: &Setting) -> Result<Vec<Row>, String> {
    compare(setting, "ingest", false)
}

pub fn direct(setting: &Setting) -> Result<Vec<Row>, String> {
    compare(setting, "ingest-direct", true)
}
