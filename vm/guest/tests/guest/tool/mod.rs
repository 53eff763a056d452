//! Tests of the tool itself on real disks. They compare its output with the contents of the disks. Each shape of the
//! guest has a module.

mod iommu;
mod media_error;
mod root_bus;
mod switch;

use gristmill_vm_guest::disk::{file, word, Disk, FILES};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOOL: &str = "/bin/gristmill";

/// The result of a run.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    /// The rows of `--json`.
    fn objects(&self) -> Vec<Value> {
        let lines = self.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The rows of a digest, sorted.
    fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> = self.out.lines().map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    }

    /// The lines that report failures.
    fn complaints(&self) -> Vec<&str> {
        let lines = self.err.lines();
        lines
            .filter(|line| line.starts_with("gristmill: "))
            .collect()
    }

    /// The lines that report failures. Checks that there are `count` of them, and no other output.
    fn refusals(&self, count: usize) -> Vec<&str> {
        let told = (self.code, self.out.as_str());
        assert_eq!(told, (Some(2), ""), "{}", self.err);
        assert_eq!(self.complaints().len(), count, "{}", self.err);
        self.complaints()
    }

    /// The report of `ingest --json`.
    fn report(&self) -> Value {
        self.objects().last().unwrap()["report"].clone()
    }
}

/// Whether the guest has the tool. Prints `skipped:` if not.
fn has_tool() -> bool {
    let there = Path::new(TOOL).exists();
    if !there {
        gristmill_testing::skipped(
            "needs the tool in the guest: vm/run --with gristmill, as vm/test does",
        );
    }
    there
}

fn run(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    Done {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn gristmill(arguments: &[&str]) -> Done {
    run(Command::new(TOOL).args(arguments))
}

/// Path and CRC-32C of the file at this index of [`FILES`].
fn expected(index: usize) -> (PathBuf, u32) {
    let (name, bytes) = FILES[index];
    let mut content = words(index as u64 + 1, bytes);
    let zeros = match name {
        "hole" => 65_536..131_072,
        "unwritten" => 131_072..content.len(),
        _ => 0..0,
    };
    content[zeros].fill(0);
    (file(name), crc32c::crc32c(&content))
}

/// The first bytes of a disk (tag 0) or a file.
fn words(tag: u64, bytes: u64) -> Vec<u8> {
    let words = (0..bytes.div_ceil(8)).flat_map(|index| word(tag, index).to_le_bytes());
    words.take(usize::try_from(bytes).unwrap()).collect()
}

fn row((path, crc): &(PathBuf, u32)) -> String {
    format!("{crc:08x}  {}\n", path.display())
}

fn rows(indexes: &[usize]) -> String {
    indexes.iter().map(|index| row(&expected(*index))).collect()
}

/// The result of [`Done::rows`] for these files.
fn sorted_rows(indexes: &[usize]) -> Vec<String> {
    let mut rows: Vec<String> = rows(indexes).lines().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

/// `digest --stats` into the memory of the device at this address.
fn digest_into(peer: &str, read_path: &str, flags: &[&str]) -> Done {
    let into = [
        "digest",
        "--algorithm=crc32c",
        "--stats",
        "--peer-memory",
        peer,
        "--read-path",
        read_path,
    ];
    gristmill(&[&into, flags].concat())
}

fn path(index: usize) -> String {
    file(FILES[index].0).display().to_string()
}

/// The bus address of the device that has peer memory.
fn peer() -> String {
    let device = std::fs::canonicalize(Disk::find("peer").pci()).unwrap();
    device.file_name().unwrap().to_str().unwrap().to_owned()
}
