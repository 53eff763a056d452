//! Where feeders get their next work: entries of the source, entries whose opening has to wait, files that several
//! readers cut into chunks together, and chunks that a reader gave back.

use super::descriptors::{Descriptors, Moment};
use super::fetches::Fetches;
use super::kind::FileKind;
use super::output::OutputQueue;
use super::piece::{OpenFile, Piece};
use super::row_order::{HeldRows, HELD_ROWS_BYTES};
use super::status::Status;
use crate::error::{FileError, FileErrorKind};
use crate::source::{Entry, Item, Source};
use gristmill_ring::lock;
use gristmill_ring::ChunkBuf;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

struct Listing {
    source: Box<dyn Source>,
    /// The number of entries that the source has given.
    sequence: u64,
    ended: bool,
    /// Whether the source had nothing yet when it was last asked.
    early: bool,
}

/// An entry whose open failed for lack of a resource, and the state before that open.
struct Deferred {
    entry: Arc<Entry>,
    then: Moment,
}

/// How files are cut into chunks, and by how many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutting {
    /// Own bytes of a chunk.
    pub chunk_bytes: usize,
    /// How many chunks of a file may be read that the job has not seen yet.
    pub ahead: u64,
    /// The number of feeders.
    pub feeders: usize,
}

/// The work of a run that its feeders share.
pub(super) struct Intake {
    status: Arc<Status>,
    output: Arc<OutputQueue>,
    held: Arc<HeldRows>,
    descriptors: Arc<Descriptors>,
    /// Own bytes of a chunk.
    chunk_bytes: u64,
    /// How many chunks of a file may be read that the job has not seen yet, where it is not fetched.
    ahead: u64,
    /// Whether the run has more than one feeder.
    shared: bool,
    listing: Mutex<Listing>,
    /// Whether a reader holds the listing and waits for its source.
    awaited: AtomicBool,
    /// Entries that wait for a descriptor or another scarce resource, in the order in which they failed.
    deferred: Mutex<VecDeque<Deferred>>,
    /// The number of deferred entries.
    waiting: AtomicUsize,
    /// Chunks that their reader could not read and another reader may, with their buffers.
    again: Mutex<VecDeque<(Piece, ChunkBuf)>>,
    /// Files that have chunks to hand out.
    cutting: Mutex<VecDeque<Arc<OpenFile>>>,
}

impl Intake {
    pub fn new(
        source: Box<dyn Source>,
        status: Arc<Status>,
        output: Arc<OutputQueue>,
        held: Arc<HeldRows>,
        descriptors: Arc<Descriptors>,
        cutting: Cutting,
    ) -> Self {
        Self {
            status,
            output,
            held,
            descriptors,
            chunk_bytes: cutting.chunk_bytes as u64,
            ahead: cutting.ahead,
            shared: cutting.feeders > 1,
            listing: Mutex::new(Listing {
                source,
                sequence: 0,
                ended: false,
                early: false,
            }),
            awaited: AtomicBool::new(false),
            deferred: Mutex::default(),
            waiting: AtomicUsize::new(0),
            again: Mutex::default(),
            cutting: Mutex::default(),
        }
    }

    /// Whether the rows that are held back, or wait to be written, have reached the limit at which only the file being
    /// written, the first of those of all jobs, may go on. While a file waits to be opened, all files go on: the
    /// waiting file may be the one that is due, and may need a descriptor of theirs.
    pub fn holds_too_much(&self) -> bool {
        self.held.bytes() + self.output.unwritten() > HELD_ROWS_BYTES
            && self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Whether entries may come, from the source or from those that wait to be opened.
    pub fn may_open(&self) -> bool {
        !self.status.is_listed() || self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Keeps an entry for another attempt to open it.
    pub fn defer(&self, entry: Arc<Entry>, then: Moment) {
        let mut deferred = lock(&self.deferred);
        deferred.push_back(Deferred { entry, then });
        self.waiting.store(deferred.len(), Ordering::Relaxed);
    }

    /// Takes up to `most` of the entries that wait to be opened, if it is time to retry them. Returns whether others
    /// still wait.
    pub fn take_deferred(&self, most: usize, into: &mut Vec<Arc<Entry>>) -> bool {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut deferred = lock(&self.deferred);
        while into.len() < most {
            match deferred.front() {
                Some(first) if self.descriptors.is_time(first.then) => {}
                _ => break,
            }
            into.extend(deferred.pop_front().map(|first| first.entry));
        }
        self.waiting.store(deferred.len(), Ordering::Relaxed);
        !deferred.is_empty()
    }

    /// Takes up to `most` entries of the source, and counts them as open.
    pub fn take_entries(&self, most: usize, into: &mut Vec<Arc<Entry>>) {
        // The reader that waits for the source wakes the others when it has something.
        if self.status.is_listed() || self.awaited.load(Ordering::Acquire) {
            return;
        }
        let listing_failed = |path, reason| {
            let kind = FileErrorKind::Listing { reason };
            self.output.error(FileError::new(path, kind));
        };
        let mut listing = lock(&self.listing);
        listing.early = false;
        // An entry that cannot be listed takes no buffer, but its error waits in the output queue like all others.
        while into.len() < most && !listing.ended && !self.output.is_full() {
            let then = self.descriptors.moment();
            match listing.source.next_item() {
                Some(Item::Entry(mut entry)) => {
                    entry.sequence = listing.sequence;
                    listing.sequence += 1;
                    self.status.opened();
                    into.push(Arc::new(entry));
                }
                Some(Item::Error { path, reason }) => listing_failed(path, reason),
                // The source gives the directory again when one of the run's files is closed.
                Some(Item::Starved { .. })
                    if !into.is_empty() || self.descriptors.worth_waiting(then) =>
                {
                    break
                }
                Some(Item::Starved { path, reason }) => {
                    let _told = listing.source.give_up();
                    listing_failed(Some(path), reason);
                }
                Some(Item::Later) => {
                    listing.early = true;
                    break;
                }
                Some(Item::Notice(text)) => {
                    let notice = FileError::new(None, FileErrorKind::Notice { text });
                    self.output.error(notice);
                }
                None => {
                    listing.ended = true;
                    self.status.all_listed();
                }
            }
        }
    }

    /// Waits for the source, for at most `timeout`, if it had nothing when it was last asked and no other feeder waits
    /// for it. Returns whether it waited.
    pub fn await_source(&self, timeout: Duration) -> bool {
        if self.status.is_listed() {
            return false;
        }
        let mut listing = match self.listing.try_lock() {
            Ok(listing) => listing,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        if !listing.early {
            return false;
        }
        self.awaited.store(true, Ordering::Release);
        let more = listing.source.wait(timeout);
        self.awaited.store(false, Ordering::Release);
        drop(listing);
        if more {
            self.status.wake();
        }
        true
    }

    /// Gives a chunk that its reader could not read to the feeder that reads next. The chunk keeps its buffer, because
    /// later chunks of its file wait for it in their buffers, and may hold all others.
    pub fn read_again(&self, piece: Piece, buffer: ChunkBuf) {
        lock(&self.again).push_back((piece, buffer));
        self.status.wake();
    }

    /// A chunk to read again.
    pub fn take_again(&self) -> Option<(Piece, ChunkBuf)> {
        lock(&self.again).pop_front()
    }

    /// Offers a file's further chunks to all readers.
    pub fn offer(&self, file: Arc<OpenFile>) {
        lock(&self.cutting).push_back(file);
        if self.shared {
            self.status.wake();
        }
    }

    /// Offers the further chunks of a file that is decoded, before those of other files: the fewer such files are begun
    /// at a time, the fewer decoders take memory.
    pub fn offer_first(&self, file: Arc<OpenFile>) {
        lock(&self.cutting).push_front(file);
        if self.shared {
            self.status.wake();
        }
    }

    /// The next chunk to read of a file that is being cut. `fetches` says whether chunks of objects may be fetched, and how
    /// far ahead: of an object whose chunks have a turn, twice as many as there may be in flight, since they do not land
    /// in that order.
    pub fn next_piece(&self, fetches: &Fetches) -> Option<Piece> {
        // Where too much is held but no job writes a file, any file may be the one that ends next.
        let only = (self.holds_too_much())
            .then(|| self.held.first_writing())
            .filter(|sequence| *sequence != u64::MAX);
        let has_room = fetches.room() > 0;
        let fetched_ahead = self.ahead.max(2 * fetches.window() as u64);
        let mut cutting = lock(&self.cutting);
        let mut index = 0;
        while let Some(file) = cutting.get(index) {
            let finished = file.finished.load(Ordering::Relaxed);
            if only.is_some_and(|sequence| file.entry.sequence != sequence) && !finished {
                index += 1;
                continue;
            }
            let is_fetched = file.object().is_some() && file.converter.get().is_none();
            if is_fetched && !has_room && !finished {
                index += 1;
                continue;
            }
            let number = file.next.load(Ordering::Relaxed);
            let offset = match file.kind() {
                FileKind::Stream => file.position.load(Ordering::Relaxed),
                FileKind::Positioned => {
                    let before = number.saturating_mul(self.chunk_bytes);
                    file.base.saturating_add(before)
                }
            };
            if finished || offset >= file.limit.load(Ordering::Relaxed) {
                cutting.remove(index);
                continue;
            }
            let ahead = if is_fetched {
                fetched_ahead
            } else {
                self.ahead
            };
            if number.saturating_sub(file.seen.load(Ordering::Relaxed)) >= ahead {
                index += 1;
                continue;
            }
            file.next.store(number + 1, Ordering::Relaxed);
            let piece = Piece {
                file: Arc::clone(file),
                number,
                offset,
            };
            if file.kind() == FileKind::Stream {
                // The stream's next read is offered when this one has landed.
                cutting.remove(index);
            }
            return Some(piece);
        }
        None
    }
}
