//! Generated inputs: the same bytes on every machine.

use crate::Setting;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A small generator of reproducible pseudo-random numbers (xorshift64*).
pub struct Numbers(u64);

impl Numbers {
    /// Makes a generator from a seed, which must not be zero.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % bound.max(1)
    }
}

fn word(numbers: &mut Numbers, shortest: u64, longest: u64) -> String {
    let length = shortest + numbers.below(longest - shortest + 1);
    (0..length)
        .map(|_| char::from(b'a' + u8::try_from(numbers.below(26)).unwrap_or(0)))
        .collect()
}

/// 32 MiB of lines of words. Larger files repeat it, with numbered lines in between.
fn words() -> Vec<u8> {
    let mut numbers = Numbers::new(7);
    let vocabulary: Vec<String> = (0..50_000).map(|_| word(&mut numbers, 2, 11)).collect();
    let mut text = Vec::with_capacity(32 << 20);
    while text.len() < 32 << 20 {
        for index in 0..3 + numbers.below(14) {
            if index > 0 {
                text.push(b' ');
            }
            let pick = usize::try_from(numbers.below(50_000)).unwrap_or(0);
            text.extend_from_slice(vocabulary[pick].as_bytes());
        }
        text.push(b'\n');
    }
    text
}

/// Generates a file of words of about `bytes` bytes.
pub fn words_file(setting: &Setting, bytes: u64) -> Result<PathBuf, String> {
    let path = setting.data.join(format!("words-{bytes}"));
    if std::fs::metadata(&path).is_ok_and(|meta| meta.len() >= bytes) {
        return Ok(path);
    }
    let make = || -> std::io::Result<()> {
        let text = words();
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut written = 0;
        let mut part = 0_u64;
        while written < bytes {
            let wanted = usize::try_from(bytes - written).unwrap_or(usize::MAX);
            let piece = &text[..wanted.min(text.len())];
            file.write_all(piece)?;
            writeln!(file, " part {part}")?;
            written += piece.len() as u64 + 8;
            part += 1;
        }
        file.flush()
    };
    make().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Generates a directory of `count` files of 4 KiB, with 100 files in each subdirectory.
pub fn small_files(setting: &Setting, count: usize) -> Result<PathBuf, String> {
    let root = setting.data.join(format!("small-{count}"));
    if root.join("complete").exists() {
        return Ok(root);
    }
    let make = || -> std::io::Result<()> {
        let text = words();
        let mut numbers = Numbers::new(11);
        for index in 0..count {
            let directory = root.join(format!("d{}", index / 100));
            std::fs::create_dir_all(&directory)?;
            let start = usize::try_from(numbers.below(text.len() as u64 - 4096)).unwrap_or(0);
            std::fs::write(
                directory.join(format!("f{index}.txt")),
                &text[start..start + 4096],
            )?;
        }
        std::fs::write(root.join("complete"), b"")
    };
    make().map_err(|error| format!("{}: {error}", root.display()))?;
    Ok(root)
}

/// The files below a directory, in order.
pub fn files_below(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut left = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = left.pop() {
        let entries = std::fs::read_dir(&directory);
        let entries = entries.map_err(|error| format!("{}: {error}", directory.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Generates a file with `count` patterns that hardly ever occur in the words.
pub fn patterns(setting: &Setting, count: usize) -> Result<PathBuf, String> {
    let path = setting.data.join(format!("patterns-{count}"));
    let mut numbers = Numbers::new(3);
    let text: String = (0..count)
        .map(|_| word(&mut numbers, 8, 12) + "\n")
        .collect();
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// Reads a file once, so that it is in the page cache.
pub fn warm(path: &PathBuf) -> Result<(), String> {
    let mut file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    std::io::copy(&mut file, &mut std::io::sink()).map_err(|error| error.to_string())?;
    Ok(())
}

/// Generates files of many kinds, about 300 MB or 3 MB in total: words, noise, lines without an end, bytes that repeat,
/// files of a few bytes and empty ones. Beside them it writes two lists of patterns, `few` and `many`; some of these
/// patterns occur in the files.
pub fn mixed_files(directory: &Path, small: bool) -> Result<(), String> {
    let make = || -> std::io::Result<()> {
        let scale = if small { 100 } else { 1 };
        let files = directory.join("files");
        std::fs::create_dir_all(files.join("small"))?;
        let text = words();
        let mut large = BufWriter::new(File::create(files.join("words"))?);
        for part in 0..if small { 1 } else { 6 } {
            large.write_all(&text[..text.len() / if small { 20 } else { 1 }])?;
            writeln!(large, " part {part}")?;
        }
        large.flush()?;
        let mut numbers = Numbers::new(13);
        let noise: Vec<u8> = (0..64_000_000 / scale)
            .map(|_| (numbers.below(256) & 0xFF) as u8)
            .collect();
        std::fs::write(files.join("noise"), noise)?;
        std::fs::write(files.join("zeros"), vec![0; 20_000_000 / scale])?;
        let one_line: Vec<u8> = text[..20_000_000 / scale]
            .iter()
            .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
            .collect();
        std::fs::write(files.join("one line"), one_line)?;
        for index in 0..2_000 / scale {
            let length = usize::try_from(numbers.below(9_000)).unwrap_or(0);
            let from = usize::try_from(numbers.below(1 << 24)).unwrap_or(0);
            let name = files.join("small").join(format!("{index}.txt"));
            std::fs::write(name, &text[from..from + length])?;
        }
        std::fs::write(files.join("empty"), b"")?;
        std::fs::write(files.join("a byte"), b"a")?;
        let mut list = |name: &str, count: usize| {
            let mut lines = String::new();
            for index in 0..count {
                // One in eight patterns is taken from the words.
                if index % 8 == 7 {
                    let from = usize::try_from(numbers.below(1 << 24)).unwrap_or(0);
                    let line = text[from..].split(|byte| *byte == b'\n').nth(1);
                    let line = String::from_utf8_lossy(line.unwrap_or_default());
                    lines.push_str(line.get(..12.min(line.len())).unwrap_or_default());
                } else {
                    lines.push_str(&word(&mut numbers, 8, 12));
                }
                lines.push('\n');
            }
            std::fs::write(directory.join(name), lines)
        };
        list("few", 8)?;
        list("many", 512)
    };
    make().map_err(|error| format!("{}: {error}", directory.display()))
}
