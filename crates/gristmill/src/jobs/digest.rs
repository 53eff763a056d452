//! Digests of files, and the check of lists of them.
//!
//! Workers hash each chunk (`opcode.rs`). The results of a file's chunks are combined for CRC-32C and BLAKE3, in
//! whatever order workers process them (`tree.rs`). The other hashes process a file's chunks in order, each file on one
//! worker at a time (`in_order.rs`). The host's half combines results and writes rows.

mod algorithm;
mod check;
mod chunks;
mod in_order;
mod joined;
mod list;
mod manifest;
mod opcode;
mod rows;
mod tree;

pub use algorithm::{Algorithm, Algorithms, Digest, UnknownAlgorithm};
pub use chunks::{Chunking, Cutting, UnknownChunking, MOST_CHUNKS};
pub use list::DigestList;
pub use manifest::{manifest_schema, write_unread, MANIFEST, MANIFEST_VERSION};
pub use rows::{check_schema, digest_schema, write_row, DigestRows};

use super::{stream_args, FileEnd, Flow, Geometry, Job, LandedChunk, SlotPlace};
use crate::error::FileErrorKind;
use crate::jobs::{DEFAULT_CHUNK_BYTES, LARGE_CHUNK_BYTES};
use crate::source::{Entry, FileFacts, Origin};
use check::Check;
use chunks::Chunk;
use gristmill_megakernel::stream::subtrees;
use gristmill_megakernel::StreamJob;
use gristmill_protocol::stream::CrcResults;
use gristmill_protocol::{PipelineError, ARGS_PER_SLOT};
use gristmill_ring::lock;
use in_order::{Files, Work};
use manifest::Row;
use opcode::{DigestOpcode, Hashed};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tree::Tree;

/// The path that rows show.
fn shown(entry: &Entry) -> &Path {
    match entry.origin {
        Origin::Stdin => Path::new(list::STDIN),
        Origin::File | Origin::Special | Origin::Object(_) => &entry.path,
    }
}

/// Computes digests, or compares them with a list.
#[derive(Debug)]
pub struct DigestJob {
    rows: DigestRows,
    /// How all files are hashed; `None` where a list says it for each.
    algorithms: Option<Algorithms>,
    stream: StreamJob,
    /// The files that are being hashed, if slots must name them.
    files: Option<Arc<Files>>,
    check: Option<Arc<Check>>,
    shows: Shows,
    /// What a manifest's rows need; `None` for other rows.
    manifest: Option<Noted>,
}

/// What a job for a manifest knows beside its algorithms.
#[derive(Debug, Default)]
struct Noted {
    chunking: Option<Chunking>,
    changed: Mutex<Several>,
    uncut: Mutex<Several>,
}

/// Files of which a manifest's rows say something: how many, and the paths of the first 1,000.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Several {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<PathBuf>,
}

impl Several {
    fn add(&mut self, path: &Path) {
        self.count += 1;
        if self.first.len() < 1000 {
            self.first.push(path.to_owned());
        }
    }
}

/// Which rows of a check are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shows {
    /// Those of all files.
    #[default]
    All,
    /// Those of files that are not as listed.
    Failed,
    /// None.
    Nothing,
}

/// One file's digests as they grow.
#[derive(Debug)]
pub struct DigestFile {
    entry: Arc<Entry>,
    algorithms: Algorithms,
    crc: u32,
    tree: Tree,
    /// BLAKE3 of a stream so far.
    stream: Option<blake3::Hasher>,
    expected: Option<(Algorithm, Digest)>,
    facts: FileFacts,
}

impl DigestJob {
    /// A job that writes each file's digests, one row for each algorithm.
    pub fn new(algorithms: Algorithms, rows: DigestRows) -> Self {
        Self::with(Some(algorithms), rows, None, None)
    }

    /// A job that writes a row for each file with all its digests, and its chunks where `chunking` says how files are cut.
    /// The columns are those of [`manifest_schema`].
    pub fn manifest(algorithms: Algorithms, chunking: Option<Chunking>) -> Self {
        let noted = Noted {
            chunking,
            ..Noted::default()
        };
        Self::with(Some(algorithms), DigestRows::Table, None, Some(noted))
    }

    /// The files that changed while they were read. Of a job for a manifest only.
    pub fn changed(&self) -> Several {
        let noted = self.manifest.as_ref();
        noted.map_or_else(Several::default, |noted| lock(&noted.changed).clone())
    }

    /// The files that have more than [`MOST_CHUNKS`] chunks, so that their rows have none. Of a job for a manifest only.
    pub fn uncut(&self) -> Several {
        let noted = self.manifest.as_ref();
        noted.map_or_else(Several::default, |noted| lock(&noted.uncut).clone())
    }

    fn chunking(&self) -> Option<Chunking> {
        self.manifest.as_ref().and_then(|noted| noted.chunking)
    }

    fn with(
        algorithms: Option<Algorithms>,
        rows: DigestRows,
        check: Option<Arc<Check>>,
        manifest: Option<Noted>,
    ) -> Self {
        let cut = manifest
            .as_ref()
            .is_some_and(|noted| noted.chunking.is_some());
        let alike = algorithms.filter(|algorithms| !algorithms.any_in_order() && !cut);
        let files = alike.is_none().then(Arc::<Files>::default);
        let stream = alike
            .and_then(|these| these.stream_job())
            .unwrap_or_else(|| {
                let hashed = match (&files, alike) {
                    (Some(files), _) => Hashed::Each(Arc::clone(files)),
                    (None, alike) => Hashed::Alike(alike.unwrap_or_default()),
                };
                let opcode = DigestOpcode {
                    hashed,
                    part: algorithms.and_then(|these| these.on_device()),
                    told: (algorithms.unwrap_or_default(), cut),
                };
                StreamJob::Custom(opcode::OPCODE, Arc::new(opcode))
            });
        Self {
            rows,
            algorithms,
            stream,
            files,
            check,
            shows: Shows::All,
            manifest,
        }
    }

    /// A job that compares the files named in a list with the digests there, and the source of these files.
    ///
    /// A list is what [`DigestRows`] shows, but for JSON and rows that end with NULs, or what b3sum, xxhsum or
    /// coreutils' tools write: see [`DigestList`]. Where `algorithms` are given, a list has digests of these alone;
    /// otherwise those of its rows that name none tell their algorithm by their length: 64 digits are BLAKE3's, 40
    /// SHA-1's and 8 CRC-32C's, and a list with others is refused.
    pub fn check(
        list: impl BufRead + Send + 'static,
        name: PathBuf,
        algorithms: Option<Algorithms>,
        rows: DigestRows,
    ) -> (Self, DigestList) {
        let check = Arc::new(Check::default());
        let source = DigestList::new(list, name, algorithms, Arc::clone(&check));
        // A list of one algorithm is hashed with that alone; otherwise each file is hashed as its row says.
        let alike = algorithms.filter(|these| these.len() == 1);
        (Self::with(alike, rows, Some(check), None), source)
    }

    /// Which rows of a check are written. Default: all.
    #[must_use]
    pub fn shows(mut self, shows: Shows) -> Self {
        self.shows = shows;
        self
    }

    fn count(&self, counter: impl Fn(&Check) -> &AtomicU64) -> u64 {
        let check = self.check.as_ref();
        check.map_or(0, |check| counter(check).load(Ordering::Relaxed))
    }

    /// Files whose digest was the list's.
    pub fn matched(&self) -> u64 {
        self.count(|check| &check.matched)
    }

    /// Files whose digest was not the list's.
    pub fn differing(&self) -> u64 {
        self.count(|check| &check.differing)
    }

    /// Listed files that could not be read.
    pub fn unread(&self) -> u64 {
        self.count(|check| &check.unread)
    }

    /// Listed files that were passed over because they do not exist.
    pub fn missing(&self) -> u64 {
        self.count(|check| &check.missing)
    }

    /// Lines of the list that are no rows.
    pub fn malformed(&self) -> u64 {
        self.count(|check| &check.malformed)
    }

    /// Whether a digest of the list was taken for BLAKE3's because of its length, which SHA-256's have, too.
    pub fn guessed(&self) -> bool {
        let check = self.check.as_ref();
        check.is_some_and(|check| check.guessed.load(Ordering::Relaxed))
    }

    /// Counts a listed file, and writes its row; `found` is its digest, if it could be read.
    fn judge(
        &self,
        entry: &Entry,
        found: Option<&Digest>,
        expected: &(Algorithm, Digest),
        rows: &mut Vec<u8>,
    ) {
        let Some(check) = &self.check else {
            return;
        };
        let (algorithm, expected) = expected;
        let same = found == Some(expected);
        let counter = match found {
            Some(_) if same => &check.matched,
            Some(_) => &check.differing,
            None => &check.unread,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.shows == Shows::All || self.shows == Shows::Failed && !same {
            rows::write_check(self.rows, shown(entry), *algorithm, found, expected, rows);
        }
    }

    /// Appends the rows of a file that was read, or compares it with the list.
    fn rows_of(&self, file: &DigestFile, bytes: u64, digests: &[Digest], rows: &mut Vec<u8>) {
        for (algorithm, digest) in file.algorithms.iter().zip(digests) {
            match &file.expected {
                Some(expected) => self.judge(&file.entry, Some(digest), expected, rows),
                None if self.check.is_some() => {}
                None => {
                    let path = shown(&file.entry);
                    write_row(self.rows, path, algorithm, digest, bytes, rows);
                }
            }
        }
    }

    /// The digest that an entry is listed with.
    fn take(&self, entry: &Entry) -> Option<(Algorithm, Digest)> {
        let check = self.check.as_ref()?;
        lock(&check.expected).remove(&entry.sequence)
    }

    /// How a file is hashed.
    fn algorithms(&self, entry: &Entry) -> Algorithms {
        self.algorithms.unwrap_or_else(|| {
            let expected = self.check.as_ref().and_then(|check| {
                let expected = lock(&check.expected);
                expected.get(&entry.sequence).copied()
            });
            expected.map_or_else(Algorithms::default, |(algorithm, _)| algorithm.into())
        })
    }
}

impl Job for DigestJob {
    type File = DigestFile;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(self.stream.clone())
    }

    fn opcode(&self) -> u32 {
        self.stream.opcode()
    }

    fn chunk_bytes(&self) -> usize {
        match self.stream {
            StreamJob::Crc32c => LARGE_CHUNK_BYTES,
            // These hashes take longer, and a chunk waits for them in a cache: they were measured to take 10 percent less
            // processor time than with large ones.
            _ => DEFAULT_CHUNK_BYTES,
        }
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            in_order: self.files.is_some(),
            ..Geometry::default()
        }
    }

    fn args(&self, place: &SlotPlace) -> Result<[u32; ARGS_PER_SLOT], PipelineError> {
        let mut args = stream_args(place);
        if place.stream {
            args.mode |= in_order::STREAM;
        }
        Ok(args.encode())
    }

    fn mode(&self, entry: &Entry, offset: u64) -> u32 {
        match &self.files {
            None => 0,
            Some(files) if offset == 0 => {
                files.begin(entry, self.algorithms(entry), self.chunking())
            }
            Some(files) => files.number(entry),
        }
    }

    fn open(&self, entry: &Arc<Entry>, facts: &FileFacts) -> DigestFile {
        DigestFile {
            entry: Arc::clone(entry),
            algorithms: self.algorithms(entry),
            crc: 0,
            tree: Tree::default(),
            stream: None,
            expected: self.take(entry),
            facts: match self.manifest {
                Some(_) => facts.clone(),
                None => FileFacts::default(),
            },
        }
    }

    fn chunk(&self, file: &mut DigestFile, chunk: &LandedChunk<'_>, _rows: &mut Vec<u8>) -> Flow {
        // Where a chunk had to wait for its turn, a second part follows, in which only the hashes in order were at work.
        if !chunk.first_part {
            return Flow::Continue;
        }
        if file.algorithms.contains(Algorithm::Crc32c) {
            let CrcResults { crc } = CrcResults::decode(&chunk.results);
            file.crc = joined::crc32c(file.crc, crc, chunk.bytes.len());
        }
        if file.algorithms.contains(Algorithm::Blake3) && chunk.stream {
            file.stream.get_or_insert_default().update(chunk.bytes);
        } else if file.algorithms.contains(Algorithm::Blake3) {
            let records = chunk.records;
            let parts = subtrees::left(&chunk.results, |index| records.word(index));
            file.tree.add(chunk.offset, chunk.bytes.len(), parts);
        }
        Flow::Continue
    }

    fn refused(&self, entry: &Entry, why: &FileErrorKind, rows: &mut Vec<u8>) {
        if let (Some(noted), Some(algorithms)) = (&self.manifest, &self.algorithms) {
            let (path, why) = (shown(entry), why.to_string());
            write_unread(path, &why, algorithms, noted.chunking.is_some(), rows);
        } else if let Some(expected) = self.take(entry) {
            self.judge(entry, None, &expected, rows);
        }
    }

    fn close(&self, mut file: DigestFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        let work = self.files.as_ref().and_then(|files| files.end(&file.entry));
        match (end, &self.manifest) {
            (FileEnd::Complete { bytes }, noted) => {
                let (digests, chunks) = file.finish(work, self.chunking());
                match noted {
                    Some(noted) => noted.row(&file, *bytes, &digests, chunks.as_deref(), rows),
                    None => self.rows_of(&file, *bytes, &digests, rows),
                }
            }
            (FileEnd::Failed { error, .. }, Some(noted)) => {
                let (path, error) = (shown(&file.entry), error.to_string());
                let row = Row::unread(path, file.facts.found(), &error);
                row.write(&file.algorithms, noted.chunking.is_some(), rows);
            }
            (FileEnd::Failed { .. }, None) => {
                if let Some(expected) = &file.expected {
                    self.judge(&file.entry, None, expected, rows);
                }
            }
            // The run was ended: nothing is known of the file.
            (FileEnd::Skipped { .. }, _) => {}
        }
        Flow::Continue
    }
}

impl DigestFile {
    /// The digests of the file, which ends here, one for each algorithm, and its chunks if it was cut.
    fn finish(
        &mut self,
        work: Option<Arc<Work>>,
        chunking: Option<Chunking>,
    ) -> (Vec<Digest>, Option<Vec<Chunk>>) {
        // A file of no bytes had no chunk, and so no work for a worker.
        let work = work.unwrap_or_else(|| Arc::new(Work::new(self.algorithms, chunking)));
        let mut hashes = work.hashes.as_ref().map(lock);
        let tree: [u8; subtrees::VALUE] = match self.stream.take() {
            Some(stream) => stream.finalize().into(),
            None => std::mem::take(&mut self.tree).finish(),
        };
        let digests = self.algorithms.iter().map(|algorithm| match algorithm {
            Algorithm::Crc32c => Digest::new(&self.crc.to_be_bytes()),
            Algorithm::Blake3 => Digest::new(&tree),
            _ => (hashes.as_ref())
                .and_then(|hashes| hashes.digest(algorithm))
                .unwrap_or_else(|| Digest::new(&[])),
        });
        let digests = digests.collect();
        (digests, hashes.as_mut().and_then(|hashes| hashes.chunks()))
    }
}

impl Noted {
    /// Appends the row of a file that was read.
    fn row(
        &self,
        file: &DigestFile,
        bytes: u64,
        digests: &[Digest],
        chunks: Option<&[Chunk]>,
        rows: &mut Vec<u8>,
    ) {
        let (path, found) = (shown(&file.entry), file.facts.found());
        let chunked = self.chunking.is_some();
        // A size of 0 tells nothing: files of /proc have bytes, too.
        let grown = found.is_some_and(|found| found.size != bytes && found.size > 0);
        let changed = found.is_some() && (grown || found != file.facts.now());
        if chunked && chunks.is_none() {
            lock(&self.uncut).add(path);
        }
        if changed {
            lock(&self.changed).add(path);
        }
        let row = Row {
            path,
            read: Some((bytes, digests)),
            found,
            changed,
            chunks,
            error: None,
        };
        row.write(&file.algorithms, chunked, rows);
    }
}
