//! Whole processes: `gristmill scan` beside `rg`.

use crate::{data, median, Goal, Row, Setting};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The release build of the tool, beside this program.
pub fn gristmill() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = own.with_file_name("gristmill");
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{} is not built; run `cargo build --release` first",
            path.display()
        ))
    }
}

/// Whether a program can be started.
pub fn has(program: &str) -> Result<(), String> {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(|_| ())
        .map_err(|error| format!("{program}: {error}"))
}

/// Runs a command; its wall time in seconds, and its output where it is kept.
fn timed(program: &Path, args: &[&str], keep: bool) -> Result<(f64, Vec<u8>), String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    command.stdout(if keep { Stdio::piped() } else { Stdio::null() });
    let began = Instant::now();
    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let took = began.elapsed().as_secs_f64();
    if output.status.code() == Some(2) || output.status.code().is_none() {
        return Err(format!("{} failed: {}", program.display(), output.status));
    }
    Ok((took, output.stdout))
}

/// Ours and rg in turn: seconds of each, pairwise. The answers must be the same, line by line in any order.
fn pairs(
    setting: &Setting,
    ours: &[&str],
    peer: &[&str],
    compare: bool,
) -> Result<Vec<(f64, f64)>, String> {
    has("rg")?;
    let tool = gristmill()?;
    if compare {
        let sorted = |text: Vec<u8>| {
            let mut lines: Vec<Vec<u8>> = text
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect();
            lines.sort();
            lines
        };
        let (_, mine) = timed(&tool, ours, true)?;
        let (_, theirs) = timed(Path::new("rg"), peer, true)?;
        if sorted(mine) != sorted(theirs) {
            return Err("ours and rg gave different answers".into());
        }
    }
    timed(&tool, ours, false)?;
    timed(Path::new("rg"), peer, false)?;
    (0..setting.runs)
        .map(|_| {
            let (mine, _) = timed(&tool, ours, false)?;
            let (theirs, _) = timed(Path::new("rg"), peer, false)?;
            Ok((mine, theirs))
        })
        .collect()
}

fn row(name: &str, pairs: &[(f64, f64)], goal: Goal) -> Row {
    let ours = median(pairs.iter().map(|pair| pair.0).collect());
    let peer = median(pairs.iter().map(|pair| pair.1).collect());
    Row {
        name: name.into(),
        ours: format!("{:.1} ms", ours * 1e3),
        peer: format!("rg {:.1} ms", peer * 1e3),
        figure: median(pairs.iter().map(|pair| pair.1 / pair.0).collect()),
        goal,
    }
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| "a path that is not UTF-8".into())
}

fn big(setting: &Setting) -> Result<PathBuf, String> {
    let bytes = if setting.smoke { 8 << 20 } else { 2 << 30 };
    let file = data::words_file(setting, bytes)?;
    data::warm(&file)?;
    Ok(file)
}

fn scan(setting: &Setting, name: &str, patterns: usize, goal: f64) -> Result<Vec<Row>, String> {
    let file = big(setting)?;
    let list = data::patterns(setting, patterns)?;
    let (file, list) = (text(&file)?, text(&list)?);
    let pairs = pairs(
        setting,
        &["scan", "-c", "-j", "2", "-f", list, file],
        &["--no-config", "-F", "-c", "-j", "2", "-f", list, file],
        true,
    )?;
    Ok(vec![row(name, &pairs, Goal::AtLeast(goal))])
}

pub fn scan_8(setting: &Setting) -> Result<Vec<Row>, String> {
    scan(setting, "scan-8", 8, 1.35)
}

pub fn scan_512(setting: &Setting) -> Result<Vec<Row>, String> {
    scan(setting, "scan-512", 512, 1.8)
}

pub fn scan_dense(setting: &Setting) -> Result<Vec<Row>, String> {
    let file = big(setting)?;
    let file = text(&file)?;
    let pairs = pairs(
        setting,
        &["scan", "-c", "-j", "2", "-e", "e", file],
        &["--no-config", "-F", "-c", "-j", "2", "-e", "e", file],
        true,
    )?;
    Ok(vec![row("scan-dense", &pairs, Goal::AtLeast(1.0))])
}

pub fn scan_print(setting: &Setting) -> Result<Vec<Row>, String> {
    let file = big(setting)?;
    let file = text(&file)?;
    let pairs = pairs(
        setting,
        &["scan", "-n", "-j", "2", "-e", "e", file],
        &["--no-config", "-F", "-n", "-j", "2", "-e", "e", file],
        setting.smoke,
    )?;
    Ok(vec![row("scan-print", &pairs, Goal::None)])
}

pub fn small(setting: &Setting) -> Result<Vec<Row>, String> {
    let count = if setting.smoke { 200 } else { 20_000 };
    let root = data::small_files(setting, count)?;
    let list = data::patterns(setting, 8)?;
    let (root, list) = (text(&root)?, text(&list)?);
    let mut rows = Vec::new();
    for (name, patterns) in [
        ("small, 1 pattern", ["-e", "zqxwvk"]),
        ("small, 8 patterns", ["-f", list]),
    ] {
        let mut ours = vec!["scan", "-c", "--no-ignore", "-j", "2"];
        let mut peer = vec!["--no-config", "-F", "-c", "--no-ignore", "-j", "2"];
        ours.extend(patterns);
        peer.extend(patterns);
        ours.push(root);
        peer.push(root);
        let pairs = pairs(setting, &ours, &peer, true)?;
        rows.push(row(name, &pairs, Goal::AtLeast(1.0)));
    }
    Ok(rows)
}

pub fn tiny(setting: &Setting) -> Result<Vec<Row>, String> {
    let file = setting.data.join("tiny");
    std::fs::write(&file, "one line\n").map_err(|error| error.to_string())?;
    let file = text(&file)?;
    let many = Setting {
        data: setting.data.clone(),
        smoke: setting.smoke,
        runs: setting.runs * 5,
    };
    let pairs = pairs(
        &many,
        &["scan", "-c", "-e", "one", file],
        &["--no-config", "-F", "-c", "-e", "one", file],
        true,
    )?;
    let mut row = row("tiny", &pairs, Goal::AtMost(5.0));
    row.figure = median(pairs.iter().map(|pair| (pair.0 - pair.1) * 1e3).collect());
    Ok(vec![row])
}
