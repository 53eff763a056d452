//! The CRC-32C of each file: the device's CRC of each chunk, combined in file order.

use super::names;
use super::{FileEnd, Flow, Job, LandedChunk};
use crate::jobs::LARGE_CHUNK_BYTES;
use crate::source::{is_early, Ended, Entry, Item, LiveList, Origin, Source};
use gristmill_megakernel::StreamJob;
use gristmill_protocol::{opcode, stream::CrcResults};
use gristmill_ring::lock;
use serde_json::json;
use std::collections::HashMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How rows show digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestRows {
    /// `xxxxxxxx  path`, as coreutils' checksum tools write theirs.
    #[default]
    Text,
    /// One JSON object per line: `type` (`digest`, or `check` for a check), `path`, `crc32c`, `bytes`.
    Json,
}

/// Writes the row of a file's digest.
pub fn write_row(rows: DigestRows, path: &Path, crc: u32, bytes: u64, out: &mut Vec<u8>) {
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
                "type": "digest",
                "path": names::json(path),
                "crc32c": format!("{crc:08x}"),
                "bytes": bytes,
            });
            out.extend(row.to_string().as_bytes());
        }
    }
    out.push(b'\n');
}

/// Digests that were read from a list and whose files are still to come, by the place of their entry in the list's
/// order. A path may be listed several times, and files are opened in any order.
type Expected = Arc<Mutex<HashMap<u64, u32>>>;

/// How a list names standard input, as coreutils' tools do.
const STDIN: &str = "-";

/// The path that rows show.
fn shown(entry: &Entry) -> &Path {
    match entry.origin {
        Origin::Stdin => Path::new(STDIN),
        Origin::File | Origin::Special => &entry.path,
    }
}

/// Computes digests, or compares them with a list.
#[derive(Debug)]
pub struct DigestJob {
    rows: DigestRows,
    expected: Option<Expected>,
    quiet: bool,
    matched: AtomicU64,
    differing: AtomicU64,
    unread: AtomicU64,
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
            unread: AtomicU64::new(0),
        }
    }

    /// A job that compares the files named in a list with the digests there, and the source of these files. `quiet`
    /// writes no rows for files that are as listed.
    ///
    /// A list is what [`DigestRows::Text`] writes, or coreutils' tools would: a digest, two spaces or a space and `*`,
    /// and a path; lines that begin with `#` and empty ones are passed over, and lines may end with CR LF.
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
            begun: Vec::new(),
            awaited: None,
            given: 0,
            reversed: None,
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

    /// Listed files that could not be read.
    pub fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }

    /// Writes the row of a listed file; `found` is its digest, if it could be read.
    fn check_row(&self, entry: &Entry, found: Option<u32>, expected: u32, rows: &mut Vec<u8>) {
        let (counter, verdict) = match found {
            Some(crc) if crc == expected => (&self.matched, "OK"),
            Some(_) => (&self.differing, "FAILED"),
            None => (&self.unread, "FAILED open or read"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let same = found == Some(expected);
        if same && self.quiet {
            return;
        }
        match self.rows {
            DigestRows::Text => {
                let (marked, path) = names::escaped(shown(entry));
                if marked {
                    rows.push(b'\\');
                }
                rows.extend(path);
                rows.extend(b": ");
                rows.extend(verdict.as_bytes());
            }
            DigestRows::Json => {
                let row = json!({
                    "type": "check",
                    "path": names::json(shown(entry)),
                    "crc32c": found.map(|crc| format!("{crc:08x}")),
                    "expected": format!("{expected:08x}"),
                    "ok": same,
                });
                rows.extend(row.to_string().as_bytes());
            }
        }
        rows.push(b'\n');
    }

    /// The digest that an entry is listed with.
    fn take(&self, entry: &Entry) -> Option<u32> {
        let expected = self.expected.as_ref()?;
        lock(expected).remove(&entry.sequence)
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
        DigestFile {
            entry: Arc::clone(entry),
            crc: 0,
            expected: self.take(entry),
        }
    }

    fn chunk(&self, file: &mut DigestFile, chunk: &LandedChunk<'_>, _rows: &mut Vec<u8>) -> Flow {
        let CrcResults { crc } = CrcResults::decode(&chunk.results);
        file.crc = crc32c::crc32c_combine(file.crc, crc, chunk.bytes.len());
        Flow::Continue
    }

    fn refused(&self, entry: &Entry, rows: &mut Vec<u8>) {
        if let Some(expected) = self.take(entry) {
            self.check_row(entry, None, expected, rows);
        }
    }

    fn close(&self, file: DigestFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        match (end, file.expected) {
            (FileEnd::Complete { .. }, Some(expected)) => {
                self.check_row(&file.entry, Some(file.crc), expected, rows);
            }
            (FileEnd::Complete { bytes }, None) if self.expected.is_none() => {
                write_row(self.rows, shown(&file.entry), file.crc, *bytes, rows);
            }
            (FileEnd::Failed { .. }, Some(expected)) => {
                self.check_row(&file.entry, None, expected, rows);
            }
            _ => {}
        }
        Flow::Continue
    }
}

/// The files that a list of digests names.
pub struct DigestList {
    reader: Box<dyn BufRead + Send>,
    name: PathBuf,
    line: u64,
    /// The part of the next line that has been read so far.
    begun: Vec<u8>,
    /// The list to wait for when the reader has nothing yet.
    awaited: Option<LiveList>,
    /// Entries that were given.
    given: u64,
    /// Whether rows have the format of BSD's `-r`, with one space between digest and path. The first row that has
    /// either format decides for the whole list, as in coreutils' tools.
    reversed: Option<bool>,
    expected: Expected,
    ended: bool,
}

impl DigestList {
    /// Lets the source wait until more of its reader's list has come.
    #[must_use]
    pub fn awaiting(mut self, list: LiveList) -> Self {
        self.awaited = Some(list);
        self
    }

    /// Digest and path of a row.
    fn parse(&mut self, line: &[u8]) -> Option<(u32, PathBuf)> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !blank(byte))?;
        let line = &line[start..];
        let (marked, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (digits, rest) = line.split_at_checked(8)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let digest = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let (_, rest) = rest.split_first().filter(|(first, _)| blank(first))?;
        let path = match rest {
            [] => return None,
            // The second character says text or binary, which makes no difference here.
            [b' ' | b'*', path @ ..] if !path.is_empty() && self.reversed != Some(true) => {
                self.reversed = Some(false);
                path
            }
            path if self.reversed != Some(false) => {
                self.reversed = Some(true);
                path
            }
            _ => return None,
        };
        let path = if marked {
            names::unescaped(path)?
        } else {
            use std::os::unix::ffi::OsStringExt;
            PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()))
        };
        Some((digest, path))
    }

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

/// The longest line that a list may hold: no path with its digest is longer, even when it is escaped.
const MAX_LINE_BYTES: u64 = 1 << 16;

impl Source for DigestList {
    fn next_item(&mut self) -> Option<Item> {
        loop {
            if self.ended {
                return None;
            }
            let left = MAX_LINE_BYTES.saturating_sub(self.begun.len() as u64);
            let mut limited = std::io::Read::take(&mut self.reader, left);
            if let Err(error) = limited.read_until(b'\n', &mut self.begun) {
                if is_early(&error) {
                    return Some(Item::Later);
                }
                self.ended = true;
                if Ended::is_said_by(&error) {
                    return None;
                }
                return Some(Item::Error {
                    path: Some(self.name.clone()),
                    reason: format!("cannot read the list: {error}"),
                });
            }
            let mut line = std::mem::take(&mut self.begun);
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
            // This CR belongs to the line end: `escaped` writes a path's final CR as an escape.
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            if line.is_empty() || line.first() == Some(&b'#') {
                continue;
            }
            let Some((digest, path)) = self.parse(&line) else {
                return Some(self.problem("not a digest and a path"));
            };
            if path == Path::new(STDIN) && self.name == path {
                return Some(self.problem("names standard input, which is the list itself"));
            }
            lock(&self.expected).insert(self.given, digest);
            self.given += 1;
            return Some(Item::Entry(Entry::listed(path)));
        }
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        self.awaited.as_ref().is_none_or(|list| list.wait(timeout))
    }
}
