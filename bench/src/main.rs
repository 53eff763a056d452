//! Gristmill's benchmarks. Each is compared with a peer in the same run.
//!
//! `cargo run --release -p gristmill-bench -- [--only NAME]... [--runs N] [--record FILE] [--smoke]`
//!
//! The list of measurements is data: [`BENCHMARKS`] lists every benchmark with its goal. A benchmark runs ours and the
//! peer alternately, `runs` times each after one warm-up, and the result is the median of the paired ratios: machines
//! are shared and noisy, but the ratio of two runs that are close in time is not. No benchmark fails because it is
//! slow; the table shows which goals were missed.

#![deny(unsafe_code)]

mod bare;
#[allow(
    unsafe_code,
    reason = "whether the page cache holds large folios is seen only of pages that are mapped"
)]
mod cache;
mod cpu;
mod data;
mod device;
mod digest;
#[allow(
    unsafe_code,
    reason = "the pump and borrowed buffers are unsafe to use"
)]
mod driver;
mod ingest;
mod loading;
mod loops;
mod memory;
mod objects;
mod parquet;
mod process;
mod ring;
mod rule_files;
mod rules;
mod sets;
mod several;
#[allow(unsafe_code, reason = "Vectorscan is a C library")]
mod vectorscan;
mod vir0;

use clap::Parser;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// The location and the size of a benchmark's inputs.
pub struct Setting {
    /// The directory of generated inputs.
    pub data: PathBuf,
    /// Whether to use small inputs and single runs, only to check that everything works.
    pub smoke: bool,
    /// The number of counted runs of ours and of the peer.
    pub runs: usize,
}

/// One line of the table.
pub struct Row {
    /// The name of the measurement.
    pub name: String,
    /// Our result, with its unit.
    pub ours: String,
    /// The peer's result, with its unit.
    pub peer: String,
    /// The figure that is compared with the goal.
    pub figure: f64,
    /// The goal.
    pub goal: Goal,
}

/// The goal for a figure.
#[derive(Clone, Copy)]
pub enum Goal {
    /// The figure should be at least this.
    AtLeast(f64),
    /// The figure should be at most this.
    AtMost(f64),
    /// The figure is only recorded.
    None,
}

type Benchmark = fn(&Setting) -> Result<Vec<Row>, String>;

/// Every benchmark: its name, its description, and the function that runs it.
pub const BENCHMARKS: &[(&str, &str, Benchmark)] = &[
    ("ingest", "1 MiB reads of a warm 4 GiB file on one core, beside fio (ratio of rates)", ingest::warm),
    ("ingest-direct", "the same with O_DIRECT", ingest::direct),
    ("driver", "the ingest driver on the registered path, beside the plain pump: 1 MiB reads of a warm 2 GiB file", driver::run),
    ("scan-8", "scan -c, 8 rare patterns, 2 GiB of words cached in three ways, 2 cores, beside rg -F -c and a bare loop (the peer's time / ours)", process::scan_8),
    ("scan-512", "the same with 512 patterns, beside rg; the file is cached as it happens to be", process::scan_512),
    ("scan-dense", "scan -c -e e: a match in every line", process::scan_dense),
    ("scan-print", "scan -e e >/dev/null: every line printed", process::scan_print),
    ("small", "20,000 files of 4 KiB, warm, 2 cores, beside rg", process::small),
    ("several", "scan --all with 512 patterns, digest and stats of 2 GiB in one mill, warm and cold, beside the three one after the other", several::run),
    ("scan-sets", "scan -c -F -f beside grep (8 strings) and, with --all, too, beside rg (5,000 over 2 GiB of words, 100,000 over 64 MiB)", process::scan_sets),
    ("digest-large", "digest of a warm 4 GiB file, 2 cores, beside b3sum, xxhsum and sha256sum (the peer's time / ours)", digest::large),
    ("digest-tree", "digest of 20,000 files of 4 KiB, warm, 2 cores, beside the same tools, which are given the names", digest::tree),
    ("digest-cold", "digest --direct of a 2 GiB file that is not cached, beside fio with as many reads in flight (ratio of rates)", digest::cold),
    ("parquet", "scan --all with 10 million matches to Parquet, beside the same to text, and peak memory", parquet::run),
    ("tiny", "one tiny file: ours less rg, in milliseconds", process::tiny),
    ("ring", "publish to DONE, beside a pair of bounded crossbeam channels", ring::run),
    ("ring-opencl", "the same on an OpenCL device, beside a launch for each slot", device::ring_opencl),
    ("ring-cuda", "the same on a GPU of NVIDIA's", device::ring_cuda),
    ("mapped-cuda", "memory of the host that a GPU of NVIDIA's reads, beside copies to it", device::mapped_cuda),
    ("opcodes", "every opcode and program over 4 MiB in the cache: an OpenCL device beside the processor's threads", device::opcodes_opencl),
    ("opcodes-cuda", "the same on a GPU of NVIDIA's, over two chunks of 256 KiB for each multiprocessor", device::opcodes_cuda),
    ("files-opencl", "whole commands over a warm file of 512 MiB, on an OpenCL device beside the processor's threads", device::files_opencl),
    ("files-cuda", "the same on a GPU of NVIDIA's", device::files_cuda),
    ("vir0", "bytecode on one core, over 1 MiB in the cache, beside a loop in Rust, and beside an eBPF interpreter", vir0::run),
    ("sets", "sets of strings, one core, a text in memory, beside Vectorscan and daachorse (the best peer's time / ours)", sets::run),
    ("loading", "compiled sets of a million strings, and of rules, loaded from a cached file, in milliseconds", loading::run),
    ("rules", "the regexes of a rule file, one core, texts in memory, processor time, beside Vectorscan (the peer's time / ours)", rules::run),
    ("rules-files", "scan --rules over the sources that cargo has unpacked, and over words, 2 cores, beside rg with the same regexes (the peer's time / ours)", rule_files::beside_rg),
    ("rules-yara", "the same on one core, beside YARA-X with those regexes that it takes", rule_files::beside_yara),
    ("regexes", "scan -c with one regex, 2 GiB of words, beside rg (the peer's time / ours)", process::regexes),
    ("objects", "digest of objects of an S3 store on loopback, beside a plain loop over GETs (the peer's time / ours), and peak memory", objects::run),
    ("memory", "peak memory above the configured buffers, in MiB", memory::run),
];

/// Benchmarks of Gristmill beside their peers.
#[derive(Parser)]
struct Args {
    /// Run only this benchmark; may be given again.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Counted runs of each side.
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Small inputs, one run: only to see that everything works.
    #[arg(long)]
    smoke: bool,
    /// A benchmark that cannot be run fails the command.
    #[arg(long)]
    no_skip: bool,
    /// Write files of many kinds into this directory, of 300 MB (with --smoke: of 3 MB), and end.
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// Where generated inputs are kept.
    #[arg(long, default_value = "target/bench-data")]
    data: PathBuf,
    /// Append the table to this file, in Markdown.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Internal: read FILE through a reader and print bytes per second, and processor time for each GB.
    #[arg(long, hide = true, value_name = "FILE")]
    read: Option<PathBuf>,
    /// Internal, with --read: O_DIRECT.
    #[arg(long, hide = true)]
    o_direct: bool,
    /// Internal: search FILE for the lines of LIST with the bare loop and print the number of occurrences.
    #[arg(long, hide = true, num_args = 2, value_names = ["FILE", "LIST"])]
    bare_scan: Vec<PathBuf>,
    /// Internal: serve FILE as an S3 store on loopback, until standard input ends.
    #[arg(long, hide = true, value_name = "FILE")]
    serve: Option<PathBuf>,
    /// Internal: fetch this object, or all below this prefix, by the plain loop and print the number of bytes.
    #[arg(long, hide = true, num_args = 3, value_names = ["KEY", "RANGE_BYTES", "PARALLEL"])]
    gets: Vec<String>,
    /// Internal: run a command and print its peak memory in KiB.
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
    peak_of: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gristmill-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    if let Some(file) = &args.read {
        let rate = ingest::read_rate(file, args.o_direct)?;
        println!("{} {}", rate.bytes_per_second, rate.cpu_per_gb);
        return Ok(());
    }
    if let [file, patterns] = &args.bare_scan[..] {
        println!("{}", bare::scan(file, patterns)?);
        return Ok(());
    }
    if let Some(file) = &args.serve {
        return objects::serve(file);
    }
    if let [key, range_bytes, parallel] = &args.gets[..] {
        let number = |text: &str| {
            let parsed = text.parse::<u64>();
            parsed.map_err(|error| format!("{text}: {error}"))
        };
        let parallel = usize::try_from(number(parallel)?).map_err(|error| error.to_string())?;
        println!("{}", objects::gets(key, number(range_bytes)?, parallel)?);
        return Ok(());
    }
    if !args.peak_of.is_empty() {
        println!("{}", memory::peak_of(&args.peak_of)?);
        return Ok(());
    }
    if let Some(directory) = &args.files {
        return data::mixed_files(directory, args.smoke);
    }
    let setting = Setting {
        data: args.data.clone(),
        smoke: args.smoke,
        runs: if args.smoke { 1 } else { args.runs.max(1) },
    };
    std::fs::create_dir_all(&setting.data).map_err(|error| error.to_string())?;
    let mut table = String::new();
    let _ = writeln!(
        table,
        "| benchmark | ours | peer | figure | goal | |\n|---|---|---|---|---|---|"
    );
    for (name, about, benchmark) in BENCHMARKS {
        if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
            continue;
        }
        eprintln!("{name}: {about}");
        match benchmark(&setting) {
            Ok(rows) => {
                for row in rows {
                    let (goal, met) = match row.goal {
                        Goal::AtLeast(goal) => (format!(">= {goal}"), row.figure >= goal),
                        Goal::AtMost(goal) => (format!("<= {goal}"), row.figure <= goal),
                        Goal::None => ("".into(), true),
                    };
                    let line = format!(
                        "| {} | {} | {} | {:.2} | {goal} | {} |",
                        row.name,
                        row.ours,
                        row.peer,
                        row.figure,
                        if met { "" } else { "**falls short**" }
                    );
                    eprintln!("{line}");
                    let _ = writeln!(table, "{line}");
                }
            }
            Err(reason) if args.no_skip => return Err(format!("{name}: {reason}")),
            Err(reason) => {
                gristmill_testing::skipped(format_args!("{name}: {reason}"));
                let _ = writeln!(table, "| {name} | skipped: {reason} | | | | |");
            }
        }
    }
    println!("{table}");
    if let Some(file) = &args.record {
        let mut command = Vec::new();
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            // The locations of the inputs and of the record do not affect the figures.
            if ["--data", "--record"].contains(&argument.as_str()) {
                given.next();
            } else {
                command.push(argument);
            }
        }
        let text = format!(
            "\n{}\n\nCommand: `gristmill-bench {}`\n\n{table}",
            machine(),
            command.join(" ")
        );
        let mut whole = std::fs::read_to_string(file).unwrap_or_default();
        whole.push_str(&text);
        std::fs::write(file, whole).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// Describes the machine on which the figures were measured.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")
                .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
        })
        .unwrap_or_default();
    let memory = read("/proc/meminfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")
                .map(|rest| rest.trim().to_owned())
        })
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Machine: {cpu}, {cores} cores, {memory} of memory, Linux {}",
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// The median of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
