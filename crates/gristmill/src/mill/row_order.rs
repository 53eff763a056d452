//! Decides which file's rows may be written, so that a file's rows stay together and the files of an ordered run keep
//! the source's order.
//!
//! At most one file at a time, the *writing* one, may have rows written before it has ended; the rows of all others are
//! held until they end.

use super::output::OutputQueue;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

/// The bytes of held and unwritten rows above which only the file that is being written is read further.
pub const HELD_ROWS_BYTES: usize = 16 << 20;

/// Bytes of rows that a file may gather before it asks to be the writing file.
const GATHER_BYTES: usize = 64 << 10;

/// How many bytes of rows each job holds back, and which file is its writing one, for the feeders, which decide what is
/// read next.
#[derive(Debug)]
pub(super) struct HeldRows(Box<[HeldOfJob]>);

#[derive(Debug)]
struct HeldOfJob {
    bytes: AtomicUsize,
    /// Sequence number of the writing file, or `u64::MAX`.
    writing: AtomicU64,
}

impl HeldRows {
    /// Of so many jobs, none of which holds anything.
    pub fn new(jobs: usize) -> Self {
        let of_job = |_| HeldOfJob {
            bytes: AtomicUsize::new(0),
            writing: AtomicU64::new(u64::MAX),
        };
        Self((0..jobs).map(of_job).collect())
    }

    /// Bytes of rows that are held back, of all jobs together.
    pub fn bytes(&self) -> usize {
        let bytes = self.0.iter().map(|job| job.bytes.load(Ordering::Relaxed));
        bytes.sum()
    }

    /// Sequence number of the first file that a job writes, or `u64::MAX`. A job that is ahead of another writes a later
    /// one; were that read further, the rows of the other would pile up.
    pub fn first_writing(&self) -> u64 {
        let writing = self.0.iter().map(|job| job.writing.load(Ordering::Relaxed));
        writing.min().unwrap_or(u64::MAX)
    }
}

/// Rows of a file that is open.
#[derive(Debug, Default)]
struct OpenRows {
    rows: Vec<u8>,
    /// How many bytes of `rows` are counted in [`RowOrder::held_bytes`].
    counted: usize,
    /// Whether rows are written as they come, as for a pipe or a terminal.
    prompt: bool,
}

/// The rows of one job that were not handed to the output yet.
#[derive(Debug)]
pub(super) struct RowOrder {
    /// The job's number.
    job: usize,
    /// Whether files' rows come in the source's order.
    ordered: bool,
    output: Arc<OutputQueue>,
    held: Arc<HeldRows>,
    /// Rows of open files, keyed by the file's sequence number.
    open: HashMap<u64, OpenRows>,
    /// Rows of ended files that may not be written yet, by sequence number.
    ended: BTreeMap<u64, Vec<u8>>,
    /// In an ordered run: the next file whose rows may be written.
    next_out: u64,
    /// The file whose rows are written before it has ended.
    writing: Option<u64>,
    /// Rows held, of open and of ended files, in bytes.
    held_bytes: usize,
}

impl RowOrder {
    pub fn new(job: usize, ordered: bool, output: Arc<OutputQueue>, held: Arc<HeldRows>) -> Self {
        Self {
            job,
            ordered,
            output,
            held,
            open: HashMap::new(),
            ended: BTreeMap::new(),
            next_out: 0,
            writing: None,
            held_bytes: 0,
        }
    }

    /// Begins a file. `prompt` says that its rows are written as they come.
    pub fn begin(&mut self, sequence: u64, prompt: bool) {
        let rows = OpenRows {
            prompt,
            ..OpenRows::default()
        };
        self.open.insert(sequence, rows);
    }

    /// The buffer in which the rows of an open file gather.
    pub fn rows(&mut self, sequence: u64) -> &mut Vec<u8> {
        &mut self.open.entry(sequence).or_default().rows
    }

    /// Ends a file. Returns its unwritten rows, to which the caller appends the last ones for [`settle`](Self::settle).
    pub fn end(&mut self, sequence: u64) -> Vec<u8> {
        let file = self.open.remove(&sequence).unwrap_or_default();
        self.held_bytes -= file.counted;
        file.rows
    }

    /// Takes the rows of an ended file: they are written, or held until they may be.
    pub fn settle(&mut self, sequence: u64, mut rows: Vec<u8>) {
        let was_writing = self.writing == Some(sequence);
        if was_writing || (self.writing.is_none() && !self.ordered) {
            self.output.rows(self.job, &mut rows, false);
        } else if self.ordered || !rows.is_empty() {
            self.held_bytes += rows.len();
            self.ended.insert(sequence, rows);
        }
        if self.ordered {
            if was_writing {
                self.next_out = sequence + 1;
                self.writing = None;
            }
            if self.writing.is_none() {
                while let Some(rows) = self.ended.remove(&self.next_out) {
                    self.release(rows);
                    self.next_out += 1;
                }
                // The file that is due becomes the writing file, so that rows held for other files cannot block it.
                self.set_writing(Some(self.next_out));
                self.spill(self.next_out);
            }
        } else if was_writing {
            self.set_writing(None);
            for (_, rows) in std::mem::take(&mut self.ended) {
                self.release(rows);
            }
            let gathered = self.open.iter();
            let gathered = gathered.filter(|(_, file)| file.rows.len() >= GATHER_BYTES);
            if let Some(sequence) = gathered.map(|(sequence, _)| *sequence).min() {
                self.spill(sequence);
            }
        }
        self.tell();
    }

    /// Lets an open file's rows out, if it is the writing file, and otherwise counts them as held.
    pub fn spill(&mut self, sequence: u64) {
        if self.ordered && self.writing.is_none() {
            self.set_writing(Some(self.next_out));
        }
        let Some(file) = self.open.get_mut(&sequence) else {
            return;
        };
        let prompt = file.prompt && !file.rows.is_empty();
        if self.writing.is_none() && (prompt || file.rows.len() >= GATHER_BYTES) {
            self.writing = Some(sequence);
            let held = &self.held.0[self.job];
            held.writing.store(sequence, Ordering::Relaxed);
        }
        if self.writing == Some(sequence) {
            self.output.rows(self.job, &mut file.rows, prompt);
        }
        self.held_bytes = self.held_bytes - file.counted + file.rows.len();
        file.counted = file.rows.len();
        self.tell();
    }

    /// Lets out all held rows, since all files have ended.
    pub fn finish(&mut self) {
        for (_, rows) in std::mem::take(&mut self.ended) {
            self.release(rows);
        }
    }

    /// Lets out rows that were held.
    fn release(&mut self, mut rows: Vec<u8>) {
        self.held_bytes -= rows.len();
        self.output.rows(self.job, &mut rows, false);
    }

    fn set_writing(&mut self, sequence: Option<u64>) {
        self.writing = sequence;
        let writing = sequence.unwrap_or(u64::MAX);
        self.held.0[self.job]
            .writing
            .store(writing, Ordering::Relaxed);
    }

    fn tell(&self) {
        self.held.0[self.job]
            .bytes
            .store(self.held_bytes, Ordering::Relaxed);
    }
}
