//! Feeds one worker: takes entries and chunks from the intake, reads them and publishes what has landed.
//!
//! The worker calls its feeder when it has nothing to claim. The feeder takes the next useful step and returns, so that
//! a chunk that has just landed is claimed, by this worker or another, before the next is read. The number of reads in
//! flight adapts to how reads complete: while they complete inline (from the page cache), one at a time keeps chunks in
//! the processor's cache; as soon as one does not, the window doubles, up to the configured depth.
//!
//! - `begin`: what is known of a file when it has been opened. `pieces`: reads of pieces of files, and what has landed
//!   of them. `publish`: chunks that have landed. `decoders`: which files are decoded.

mod begin;
mod decoders;
mod pieces;
mod publish;

use super::kind::FileKind;
use super::opener::Attempt;
use super::piece::Piece;
use super::plan::BATCH_FILES;
use super::reads::{Reads, WAIT};
use super::report::StageTimes;
use super::run::Run;
use crate::error::{FileError, FileErrorKind};
use crate::source::Entry;
use begin::begin;
use gristmill_megakernel::{Feed, Feeder};
use gristmill_ring::ChunkBuf;
use pieces::PieceReader;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes the feeder of one reader, on the thread that will use it.
pub(super) fn start(run: Arc<Run>, reader: usize) -> Box<dyn Feeder> {
    let config = &run.config;
    let reads = Reads::new(
        config.read_path,
        config.demands,
        config.depth,
        config.layout,
        Arc::clone(&run.descriptors),
        Arc::clone(&run.counters),
        Arc::clone(&run.status),
    );
    Box::new(ChunkFeeder {
        pieces: PieceReader {
            run: Arc::clone(&run),
            reads,
            early: false,
            has_fetched: false,
        },
        run,
        index: reader,
        window: 1,
        entries: Vec::new(),
        buffers: Vec::new(),
        stages: StageTimes::default(),
        wakes: 0,
        left: None,
        done: false,
    })
}

/// How long a feeder waits for the source while objects are in flight.
const SHORT_WAIT: Duration = Duration::from_millis(2);

struct ChunkFeeder {
    run: Arc<Run>,
    index: usize,
    pieces: PieceReader,
    /// Reads to keep in flight.
    window: u32,
    entries: Vec<Arc<Entry>>,
    buffers: Vec<ChunkBuf>,
    stages: StageTimes,
    /// How often workers had been woken when this last looked for work.
    wakes: u64,
    /// When `feed` last returned with something for the worker to do.
    left: Option<Instant>,
    done: bool,
}

impl Feeder for ChunkFeeder {
    fn feed(&mut self) -> Feed {
        if self.done {
            return Feed::Finished;
        }
        self.wakes = self.run.status.wakes();
        if !self.run.flights.is_attached() {
            return Feed::Idle;
        }
        if let Some(left) = self.left.take() {
            self.stages.kernel += left.elapsed();
        }
        let fed = self.step();
        if matches!(fed, Feed::Progress) {
            self.left = Some(Instant::now());
        }
        fed
    }

    fn has_work(&self) -> bool {
        !self.done && self.run.status.wakes() != self.wakes
    }
}

impl ChunkFeeder {
    fn step(&mut self) -> Feed {
        let began = Instant::now();
        self.run.collector.collect(false);
        let collected = Instant::now();
        self.stages.collect += collected - began;

        let landed = self.pieces.land();
        if landed {
            self.stages.read += collected.elapsed();
        }
        // Further requests bring bytes while a worker looks at those that have landed.
        let fetched = std::mem::take(&mut self.pieces.has_fetched);
        let may_read = !landed || fetched;
        let goes_on = !self.run.status.stopping() && !self.run.output.is_full();
        if may_read && goes_on && self.submit() || landed {
            return Feed::Progress;
        }
        let waited = Instant::now();
        if self.run.collector.collect(true) {
            self.stages.collect += waited.elapsed();
            return Feed::Progress;
        }
        if self.run.status.stopping() || self.run.status.is_over() {
            // Reads that are still in flight are for files that are answered or not needed any more: they are
            // cancelled.
            self.finish();
            return Feed::Finished;
        }
        if self.pieces.reads.inflight() > 0 {
            let waited = Instant::now();
            self.pieces.reads.wait();
            self.pieces.land();
            self.stages.read += waited.elapsed();
            return Feed::Blocked;
        }
        if std::mem::take(&mut self.pieces.early) {
            return Feed::Blocked;
        }
        let waited = Instant::now();
        // Objects may land meanwhile.
        let most = match self.run.fetches.inflight() {
            0 => WAIT,
            _ => SHORT_WAIT,
        };
        if self.run.intake.await_source(most) || self.run.opener.await_writers(WAIT) {
            self.stages.source += waited.elapsed();
            return Feed::Blocked;
        }
        Feed::Idle
    }

    /// Submits reads, up to the window. Returns whether it did anything.
    fn submit(&mut self) -> bool {
        let began = Instant::now();
        if !self.pieces.reads.reads() {
            return false;
        }
        let mut did = self.submit_pieces();
        let inflight = self.pieces.reads.inflight();
        let has_room = inflight < self.run.config.depth
            && self.run.fetches.room_for_objects() > 0
            && !self.run.intake.holds_too_much();
        if !did && has_room && self.may_open() {
            did = self.submit_batch();
        } else {
            self.stages.read += began.elapsed();
        }
        did
    }

    /// Whether a file may be waiting to be opened. If not, no permit is taken, since returning it would wake feeders
    /// that wait for one.
    fn may_open(&self) -> bool {
        self.run.intake.may_open() || self.run.opener.has_written()
    }

    /// Submits reads of files that are being cut.
    fn submit_pieces(&mut self) -> bool {
        let depth = self.run.config.depth;
        let mut did = false;
        loop {
            let inflight = self.pieces.reads.inflight();
            if inflight >= self.window {
                break;
            }
            let (piece, buffer) = match self.run.intake.take_again() {
                Some(again) => again,
                None => {
                    let Some(buffer) = self.run.pool.take(self.index) else {
                        break;
                    };
                    let Some(piece) = self.run.intake.next_piece(&self.run.fetches) else {
                        break;
                    };
                    (piece, buffer)
                }
            };
            if piece.file.converter.get().is_some() {
                // The worker runs over the chunk before the next is decoded.
                self.pieces.read(piece, buffer, false);
                did |= !self.pieces.early;
                break;
            }
            let registered = piece.file.kind() == FileKind::Positioned;
            let is_object = piece.file.object().is_some();
            if !self.pieces.read(piece, buffer, registered) {
                break;
            }
            did = true;
            if is_object {
                continue;
            }
            if inflight + 1 < self.window {
                continue;
            }
            let landed = self.flush();
            if landed {
                self.window = 1;
            } else if self.window < depth {
                self.window = (self.window * 2).min(depth);
            }
            if landed {
                break;
            }
        }
        if did {
            self.flush();
        }
        did
    }

    /// Submits the queued reads to the kernel. Returns whether any landed at once.
    fn flush(&mut self) -> bool {
        self.pieces.reads.flush();
        self.pieces.land()
    }

    /// Opens a batch of files and reads the first chunk of each, in one submission.
    fn submit_batch(&mut self) -> bool {
        let began = Instant::now();
        let mut entries = std::mem::take(&mut self.entries);
        let buffers = &mut std::mem::take(&mut self.buffers);
        let mut permits = Vec::new();
        let most = BATCH_FILES.min(self.run.fetches.room_for_objects());
        while buffers.len() < most {
            let Some(buffer) = self.run.pool.take(self.index) else {
                break;
            };
            buffers.push(buffer);
            let Some(permit) = self.run.descriptors.take() else {
                break;
            };
            permits.push(permit);
        }
        // Reverse the buffers, so that they are used in the order in which they were taken: the warmest first.
        buffers.reverse();
        // Deferred entries come first: no new entry is opened before them.
        if !self.run.intake.take_deferred(permits.len(), &mut entries) {
            self.run.intake.take_entries(permits.len(), &mut entries);
        }
        let listed = Instant::now();
        self.stages.source += listed - began;
        let written = self.run.opener.take_written();
        let mut did = !entries.is_empty() || !written.is_empty();
        for attempt in written {
            self.begin(attempt, buffers);
        }
        for (entry, permit) in entries.drain(..).zip(permits) {
            if let Some(attempt) = self.run.opener.open(entry, permit) {
                self.begin(attempt, buffers);
            }
        }
        self.entries = entries;
        // The remaining buffers go back to the pool, the warmest last, so that it is taken next.
        buffers.clear();
        self.buffers = std::mem::take(buffers);
        let opened = Instant::now();
        self.stages.open += opened - listed;
        did |= self.flush();
        self.stages.read += opened.elapsed();
        did
    }

    /// Submits the first read of a file, or says why there is none.
    fn begin(&mut self, attempt: Attempt, buffers: &mut Vec<ChunkBuf>) {
        let Some(open) = begin(&self.run, attempt) else {
            return;
        };
        if open.kind() == FileKind::Stream {
            self.run.intake.offer(open);
            return;
        }
        let Some(buffer) = buffers.pop() else {
            open.next.store(0, Ordering::Relaxed);
            self.run.intake.offer(open);
            return;
        };
        let offset = open.base;
        let piece = Piece {
            file: open,
            number: 0,
            offset,
        };
        self.pieces.read(piece, buffer, offset > 0);
    }

    fn finish(&mut self) {
        self.pieces.reads.end();
        self.run.landings.close();
        self.run
            .counters
            .add_stages(&std::mem::take(&mut self.stages));
        self.run.collector.end();
        self.done = true;
    }
}

/// A feeder can be dropped before it has finished: the kernel may be shut down before calling it again, or it may have
/// panicked. Its work is counted nevertheless, and the run does not wait for it.
impl Drop for ChunkFeeder {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if !self.run.collector.has_ended() {
            let error = FileError::new(None, FileErrorKind::ReaderPanicked);
            self.run.output.error(error);
        }
        self.finish();
    }
}
