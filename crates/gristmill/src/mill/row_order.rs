//! Which file's rows may go out, so that a file's rows stay together, and in an ordered run files keep the source's order.
//!
//! At most one file at a time, the *writing* one, has rows out before it has ended; the rows of all others are held until
//! they end.

use super::output::OutputQueue;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

/// Rows of unfinished files and rows that wait to be written, in bytes, above which only the file that is being written out is read on.
pub const HELD_ROWS_BYTES: usize = 16 << 20;

/// Rows, in bytes, that a file may gather before it asks to be the one that is written as it goes.
const GATHER_BYTES: usize = 64 << 10;

/// How much is held back, and for which file, as those see it who decide what is read next.
#[derive(Debug)]
pub(super) struct HeldRows {
    bytes: AtomicUsize,
    /// Sequence number of the writing file, or `u64::MAX`.
    writing: AtomicU64,
}

impl Default for HeldRows {
    fn default() -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            writing: AtomicU64::new(u64::MAX),
        }
    }
}

impl HeldRows {
    /// Bytes of rows that are held back.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Sequence number of the writing file, or `u64::MAX`.
    pub fn writing(&self) -> u64 {
        self.writing.load(Ordering::Relaxed)
    }
}

/// Rows of a file that is open.
#[derive(Debug, Default)]
struct OpenRows {
    rows: Vec<u8>,
    /// How many bytes of `rows` are counted in [`RowOrder::held_bytes`].
    counted: usize,
    /// Rows of a pipe or a terminal are wanted as they come.
    prompt: bool,
}

/// The rows that are not out yet.
#[derive(Debug)]
pub(super) struct RowOrder {
    /// Whether files' rows come in the source's order.
    ordered: bool,
    output: Arc<OutputQueue>,
    held: Arc<HeldRows>,
    /// By the file's sequence number.
    open: HashMap<u64, OpenRows>,
    /// Rows of files that have ended and may not go out yet, by sequence number.
    ended: BTreeMap<u64, Vec<u8>>,
    /// In an ordered run: the next file whose rows may go out.
    next_out: u64,
    /// The file that is written as it goes.
    writing: Option<u64>,
    /// Rows held, of open and of ended files, in bytes.
    held_bytes: usize,
}

impl RowOrder {
    pub fn new(ordered: bool, output: Arc<OutputQueue>, held: Arc<HeldRows>) -> Self {
        Self {
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

    /// A file begins; `prompt` says that its rows are wanted as they come.
    pub fn begin(&mut self, sequence: u64, prompt: bool) {
        let rows = OpenRows {
            prompt,
            ..OpenRows::default()
        };
        self.open.insert(sequence, rows);
    }

    /// Where the rows of an open file gather.
    pub fn rows(&mut self, sequence: u64) -> &mut Vec<u8> {
        &mut self.open.entry(sequence).or_default().rows
    }

    /// A file ends: its rows that are not out yet, which [`settle`](Self::settle) takes with those that end it.
    pub fn end(&mut self, sequence: u64) -> Vec<u8> {
        let file = self.open.remove(&sequence).unwrap_or_default();
        self.held_bytes -= file.counted;
        file.rows
    }

    /// The rows of a file that has ended: out, or held until they may go.
    pub fn settle(&mut self, sequence: u64, mut rows: Vec<u8>) {
        let was_writing = self.writing == Some(sequence);
        if was_writing || (self.writing.is_none() && !self.ordered) {
            self.output.rows(&mut rows, false);
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
                // The file that is due is written as it goes, so that it cannot be held up by what others hold.
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

    /// Lets an open file's rows out, if it is the one that may; counts them as held otherwise.
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
            self.held.writing.store(sequence, Ordering::Relaxed);
        }
        if self.writing == Some(sequence) {
            self.output.rows(&mut file.rows, prompt);
        }
        self.held_bytes = self.held_bytes - file.counted + file.rows.len();
        file.counted = file.rows.len();
        self.tell();
    }

    /// All files have ended: what is held goes out.
    pub fn finish(&mut self) {
        for (_, rows) in std::mem::take(&mut self.ended) {
            self.release(rows);
        }
    }

    /// Rows that were held go out.
    fn release(&mut self, mut rows: Vec<u8>) {
        self.held_bytes -= rows.len();
        self.output.rows(&mut rows, false);
    }

    fn set_writing(&mut self, sequence: Option<u64>) {
        self.writing = sequence;
        let writing = sequence.unwrap_or(u64::MAX);
        self.held.writing.store(writing, Ordering::Relaxed);
    }

    fn tell(&self) {
        self.held.bytes.store(self.held_bytes, Ordering::Relaxed);
    }
}
