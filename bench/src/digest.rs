//! Digests beside the tools that make the same.

use crate::process::{self, cpu_row, row, text, Side, Spent};
use crate::{cache, data, ingest, Goal, Row, Setting};
use gristmill::jobs::DEFAULT_CHUNK_BYTES;
use gristmill::mill::DEFAULT_DEPTH;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An algorithm, its tool, with the space behind it in a row, the tool's arguments before names, and the goal for many small files.
const TOOLS: [(&str, &str, &[&str], f64); 3] = [
    ("blake3", "b3sum ", &["--num-threads", "2"], 1.0),
    // These have one thread.
    ("xxh3-128", "xxhsum ", &["-q", "-H128"], 1.5),
    ("sha256", "sha256sum ", &[], 1.5),
];

/// A file, or a tree whose files the tools are given by name.
fn beside_tools(
    setting: &Setting,
    name: &str,
    place: &Path,
    files: &[PathBuf],
) -> Result<Vec<Row>, String> {
    let files = files.iter().map(|file| text(file));
    let files = files.collect::<Result<Vec<_>, _>>()?;
    let one = files.len() == 1;
    let mut rows = Vec::new();
    for (algorithm, tool, args, of_tree) in TOOLS {
        process::has(tool.trim())?;
        let mut ours = Side::ours(&["digest", "-j", "2", "--algorithm", algorithm, text(place)?])?;
        let mut peer = Side::new(tool, tool.trim().into(), &[args, &files[..]].concat());
        process::same_answers(&ours, &peer)?;
        process::in_turn(&mut [&mut ours, &mut peer], setting.runs)?;
        let name = format!("{name}, {algorithm}");
        let (wall, cpu) = if one {
            (Goal::AtLeast(1.0), Goal::AtMost(1.0))
        } else {
            (Goal::AtLeast(of_tree), Goal::None)
        };
        rows.push(row(&name, &ours, &peer, wall));
        rows.push(cpu_row(&name, &ours, &peer, cpu));
    }
    Ok(rows)
}

/// A warm large file.
pub fn large(setting: &Setting) -> Result<Vec<Row>, String> {
    let file = data::words_file(setting, if setting.smoke { 8 << 20 } else { 4 << 30 })?;
    data::warm(&file)?;
    beside_tools(setting, "digest-large", &file, std::slice::from_ref(&file))
}

/// Many small files, warm.
pub fn tree(setting: &Setting) -> Result<Vec<Row>, String> {
    let root = data::small_files(setting, if setting.smoke { 200 } else { 20_000 })?;
    beside_tools(setting, "digest-tree", &root, &data::files_below(&root)?)
}

/// A cold file past the page cache, beside fio with as many reads of the same size in flight.
pub fn cold(setting: &Setting) -> Result<Vec<Row>, String> {
    process::has("fio")?;
    let path = process::big(setting)?;
    let bytes = std::fs::metadata(&path)
        .map_err(|error| error.to_string())?
        .len() as f64;
    let mut ours = Side::ours(&["digest", "--direct", "-j", "2", text(&path)?])?;
    let mut fio = Side::new("fio ", PathBuf::new(), &[]);
    // A virtual disk may be cached by its host, so that whoever comes second reads faster: they take turns in that, too.
    for run in 0..=setting.runs {
        for is_ours in [run % 2 == 0, run % 2 == 1] {
            cache::drop(&path)?;
            let (side, spent) = if is_ours {
                let (spent, _) = ours.run(false)?;
                (&mut ours, spent)
            } else {
                let (kib, depth) = (DEFAULT_CHUNK_BYTES >> 10, 2 * DEFAULT_DEPTH);
                let rate = ingest::fio(Command::new("fio"), &path, true, kib, depth)?;
                let spent = Spent {
                    wall: bytes / rate.bytes_per_second,
                    cpu: rate.cpu_per_gb * bytes / 1e9,
                };
                (&mut fio, spent)
            };
            if run > 0 {
                side.runs.push(spent);
            }
        }
    }
    Ok(vec![row(
        "digest-cold, --direct",
        &ours,
        &fio,
        Goal::AtLeast(0.97),
    )])
}
