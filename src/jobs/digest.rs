//! The CRC-32C of each file: the device's CRC of each chunk, combined in file order.

use super::names;
use super::{FileEnd, Flow, Job, LandedChunk};
use crate::mill::LARGE_CHUNK_BYTES;
use crate::source::{Ended, Entry, Item, Origin, Source};
use gristmill_megakernel::StreamJob;
use gristmill_protocol::{opcode, stream};
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How digests are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestRows {
    /// `xxxxxxxx  path`, as coreutils' checksum tools write theirs.
    #[default]
    Text,
    /// A JSON object a line: `path`, `crc32c`, `bytes`.
    Json,
}

/// Writes the row of a file's digest.
pub(crate) fn write_row(rows: DigestRows, path: &Path, crc: u32, bytes: u64, out: &mut Vec<u8>) {
    match rows {
        DigestRows::Text => {
            let (marked, path) = names::escaped(path);
            if marked {
                out.push(b'\\');
            }
            out.extend(format!("{crc:08x}  ").as_bytes());
            out.extend(path);
        }
        DigestRows::Json => {
            let row = json!({
                "path": names::json(path),
                "crc32c": format!("{crc:08x}"),
                "bytes": bytes,
            });
            out.extend(row.to_string().as_bytes());
        }
    }
    out.push(b'\n');
}

/// Digests that were read from a list and whose files are still to come.
type Expected = Arc<Mutex<HashMap<PathBuf, VecDeque<u32>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Computes digests, or compares them with a list.
#[derive(Debug)]
pub struct DigestJob {
    rows: DigestRows,
    expected: Option<Expected>,
    quiet: bool,
    matched: AtomicU64,
    differing: AtomicU64,
}

/// One file's digest as it grows.
#[derive(Debug)]
pub struct DigestFile {
    entry: Arc<Entry>,
    crc: u32,
    expected: Option<u32>,
}

impl DigestJob {
    /// A job that writes each file's digest.
    pub fn new(rows: DigestRows) -> Self {
        Self {
            rows,
            expected: None,
            quiet: false,
            matched: AtomicU64::new(0),
            differing: AtomicU64::new(0),
        }
    }

    /// A job that compares the files named in a list with the digests there, and the source of these files. `quiet`
    /// writes rows for files that differ only.
    pub fn check(
        list: impl BufRead + Send + 'static,
        name: PathBuf,
        rows: DigestRows,
        quiet: bool,
    ) -> (Self, DigestList) {
        let expected = Expected::default();
        let source = DigestList {
            reader: Box::new(list),
            name,
            line: 0,
            expected: Arc::clone(&expected),
            ended: false,
        };
        let job = Self {
            expected: Some(expected),
            quiet,
            ..Self::new(rows)
        };
        (job, source)
    }

    /// Files whose digest was the list's.
    pub fn matched(&self) -> u64 {
        self.matched.load(Ordering::Relaxed)
    }

    /// Files whose digest was not the list's.
    pub fn differing(&self) -> u64 {
        self.differing.load(Ordering::Relaxed)
    }

    fn check_row(&self, file: &DigestFile, expected: u32, rows: &mut Vec<u8>) {
        let same = file.crc == expected;
        let counter = if same { &self.matched } else { &self.differing };
        counter.fetch_add(1, Ordering::Relaxed);
        if same && self.quiet {
            return;
        }
        match self.rows {
            DigestRows::Text => {
                let (marked, path) = names::escaped(&file.entry.path);
                if marked {
                    rows.push(b'\\');
                }
                rows.extend(path);
                rows.extend(if same { &b": OK"[..] } else { b": FAILED" });
            }
            DigestRows::Json => {
                let row = json!({
                    "path": names::json(&file.entry.path),
                    "crc32c": format!("{:08x}", file.crc),
                    "expected": format!("{expected:08x}"),
                    "ok": same,
                });
                rows.extend(row.to_string().as_bytes());
            }
        }
        rows.push(b'\n');
    }
}

impl Job for DigestJob {
    type File = DigestFile;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Crc32c)
    }

    fn opcode(&self) -> u32 {
        opcode::CRC32C
    }

    fn chunk_bytes(&self) -> usize {
        LARGE_CHUNK_BYTES
    }

    fn open(&self, entry: &Arc<Entry>) -> DigestFile {
        let expected = self
            .expected
            .as_ref()
            .and_then(|expected| take(expected, entry));
        DigestFile {
            entry: Arc::clone(entry),
            crc: 0,
            expected,
        }
    }

    fn chunk(&self, file: &mut DigestFile, chunk: &LandedChunk<'_>, _rows: &mut Vec<u8>) -> Flow {
        let crc = chunk.results[stream::RESULT_CRC];
        file.crc = crc32c::crc32c_combine(file.crc, crc, chunk.bytes.len());
        Flow::Continue
    }

    fn close(&self, file: DigestFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        if let FileEnd::Complete { bytes } = end {
            match file.expected {
                Some(expected) => self.check_row(&file, expected, rows),
                None if self.expected.is_none() => {
                    write_row(self.rows, &file.entry.path, file.crc, *bytes, rows);
                }
                None => {}
            }
        }
        Flow::Continue
    }
}

/// One of the digests that a path is listed with.
fn take(expected: &Expected, entry: &Entry) -> Option<u32> {
    let mut map = lock(expected);
    let digests = map.get_mut(&entry.path)?;
    let digest = digests.pop_front();
    if digests.is_empty() {
        map.remove(&entry.path);
    }
    digest
}

/// The files that a list of digests names.
pub struct DigestList {
    reader: Box<dyn BufRead + Send>,
    name: PathBuf,
    line: u64,
    expected: Expected,
    ended: bool,
}

impl DigestList {
    fn problem(&self, what: &str) -> Item {
        Item::Error {
            path: Some(self.name.clone()),
            reason: format!(
                "line {}: {what}; a line is 8 hexadecimal digits, two spaces and a path",
                self.line
            ),
        }
    }
}

/// Longest line that a list may hold: no path with its digest is longer, even escaped.
const MAX_LINE_BYTES: u64 = 1 << 16;

impl Source for DigestList {
    fn next_item(&mut self) -> Option<Item> {
        loop {
            if self.ended {
                return None;
            }
            let mut line = Vec::new();
            let mut limited = std::io::Read::take(&mut self.reader, MAX_LINE_BYTES);
            if let Err(error) = limited.read_until(b'\n', &mut line) {
                self.ended = true;
                if Ended::is_said_by(&error) {
                    return None;
                }
                return Some(Item::Error {
                    path: Some(self.name.clone()),
                    reason: format!("cannot read the list: {error}"),
                });
            }
            if line.is_empty() {
                self.ended = true;
                return None;
            }
            self.line += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 == MAX_LINE_BYTES {
                self.ended = true;
                return Some(self.problem("longer than any path"));
            }
            if line.is_empty() {
                continue;
            }
            let Some((digest, path)) = parse(&line) else {
                return Some(self.problem("not a digest and a path"));
            };
            lock(&self.expected)
                .entry(path.clone())
                .or_default()
                .push_back(digest);
            return Some(Item::Entry(Entry {
                path,
                explicit: true,
                origin: Origin::Special,
                root: None,
                sequence: 0,
            }));
        }
    }
}

fn parse(line: &[u8]) -> Option<(u32, PathBuf)> {
    let (marked, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (digits, rest) = line.split_at_checked(8)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digest = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let path = rest.strip_prefix(b"  ")?;
    if path.is_empty() {
        return None;
    }
    let path = if marked {
        names::unescaped(path)?
    } else {
        use std::os::unix::ffi::OsStringExt;
        PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()))
    };
    Some((digest, path))
}
