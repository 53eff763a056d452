//! A search stripped to what cannot be left out when bytes are copied: two threads, each of which reads a piece of the
//! file into its one buffer and searches it.
//!
//! No lines, no matches that straddle pieces, no order, no NULs, one file. What `gristmill scan` takes longer than this is
//! what its pipeline costs; what this takes longer than a program that maps the file is what copying costs.

use aho_corasick::packed;
use gristmill::ring::ChunkMemory;
use gristmill::uring::reader::{ChunkReader, ReadPath, ReadPathChoice, ReaderConfig};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

const THREADS: usize = 2;

/// Bytes in a piece: of 64 KiB to 2 MiB what was fastest, or as good.
const PIECE_BYTES: usize = 1 << 20;

/// Occurrences in a file of the patterns that are the lines of another.
pub fn scan(file: &Path, patterns: &Path) -> Result<u64, String> {
    let text = |error: std::io::Error| error.to_string();
    let patterns = std::fs::read_to_string(patterns).map_err(text)?;
    let searcher = packed::Config::new()
        .builder()
        .extend(patterns.lines())
        .build()
        .ok_or("the packed searcher does not take these patterns")?;
    let file = File::open(file).map_err(text)?;
    let size = file.metadata().map_err(text)?.len();
    let file = Arc::new(OwnedFd::from(file));
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| pieces(&file, size, &next, &searcher)))
            .collect();
        let counted = threads.into_iter().map(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err("a thread panicked".into()))
        });
        counted.sum()
    })
}

/// One thread: occurrences in the pieces that it took.
fn pieces(
    file: &Arc<OwnedFd>,
    size: u64,
    next: &AtomicU64,
    searcher: &packed::Searcher,
) -> Result<u64, String> {
    let (_memory, mut chunks) =
        ChunkMemory::map(1, PIECE_BYTES).map_err(|error| error.to_string())?;
    let mut buffer = chunks.pop().ok_or("no buffer")?;
    let mut reader = ChunkReader::new(ReaderConfig {
        depth: 1,
        path: ReadPathChoice::Only(ReadPath::RegisteredMappedRead),
    })
    .map_err(|error| error.to_string())?;
    let mut found = 0;
    loop {
        let offset = next.fetch_add(PIECE_BYTES as u64, Ordering::Relaxed);
        let left = size.saturating_sub(offset);
        if left == 0 {
            return Ok(found);
        }
        let bytes = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        reader
            .submit(file, offset, buffer, bytes, 0, true)
            .map_err(|(_, error)| error.to_string())?;
        reader.flush().map_err(|error| error.to_string())?;
        let landed = loop {
            match reader.poll() {
                Some(landed) => break landed,
                None => reader.wait(Duration::from_secs(10)),
            }
            .map_err(|error| error.to_string())?;
        };
        if landed.bytes != bytes {
            let reason = landed.reason().unwrap_or_else(|| "it ended early".into());
            return Err(format!("reading {bytes} bytes at {offset}: {reason}"));
        }
        buffer = landed.buffer;
        let piece = buffer.as_slice().get(..bytes).unwrap_or_default();
        found += searcher.find_iter(piece).count() as u64;
    }
}
