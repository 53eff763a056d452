//! Chunks of objects: fetched into a chunk each, and those that have landed.
//!
//! A fetch owns its chunk, as a read does: the chunk goes with the sink to the store's thread, which copies the bytes into
//! it as they come, and comes back in the queue of what has landed. Whoever next looks for work takes it from there.

use super::fetches::Fetches;
use super::piece::Piece;
use super::status::Status;
use gristmill_ingest::object::{FetchError, Fetched, ObjectRef, Requests, Sink};
use gristmill_ring::lock;
use gristmill_ring::ChunkBuf;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A chunk whose fetch has ended.
pub(super) struct Landed {
    pub piece: Piece,
    pub buffer: ChunkBuf,
    /// Bytes that came.
    pub bytes: usize,
    pub result: Result<Fetched, FetchError>,
}

/// The chunks of objects of one run.
pub(super) struct Landings {
    fetches: Arc<Fetches>,
    status: Arc<Status>,
    landed: Mutex<VecDeque<Landed>>,
    closed: AtomicBool,
}

impl Landings {
    pub fn new(fetches: Arc<Fetches>, status: Arc<Status>) -> Arc<Self> {
        Arc::new(Self {
            fetches,
            status,
            landed: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Fetches a chunk: `range` of the object.
    pub fn fetch(
        self: &Arc<Self>,
        object: &ObjectRef,
        range: Range<u64>,
        piece: Piece,
        buffer: ChunkBuf,
    ) {
        let sink = ChunkSink {
            landings: Arc::clone(self),
            chunk: Some((piece, buffer)),
            bytes: 0,
        };
        self.fetches.start(object, range, Box::new(sink));
    }

    /// The next chunk whose fetch has ended.
    pub fn next(&self) -> Option<Landed> {
        let landed = lock(&self.landed).pop_front()?;
        self.fetches.taken();
        Some(landed)
    }

    /// Cancels all fetches, and gives back the chunks that have landed: nobody takes them any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.fetches.close();
        let left = std::mem::take(&mut *lock(&self.landed));
        drop(left);
    }

    fn land(&self, landed: Landed) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        self.fetches.landed();
        lock(&self.landed).push_back(landed);
        self.status.wake_one();
    }
}

/// Lands the bytes in a chunk.
struct ChunkSink {
    landings: Arc<Landings>,
    chunk: Option<(Piece, ChunkBuf)>,
    bytes: usize,
}

impl Sink for ChunkSink {
    fn put(&mut self, bytes: &[u8]) -> bool {
        let Some((_, buffer)) = &mut self.chunk else {
            return false;
        };
        let room = buffer.as_mut_slice().get_mut(self.bytes..);
        let Some(into) = room.and_then(|room| room.get_mut(..bytes.len())) else {
            return false;
        };
        into.copy_from_slice(bytes);
        self.bytes += bytes.len();
        true
    }

    fn end(mut self: Box<Self>, result: Result<Fetched, FetchError>, _: Requests) {
        if let Some((piece, buffer)) = self.chunk.take() {
            self.landings.land(Landed {
                piece,
                buffer,
                bytes: self.bytes,
                result,
            });
        }
    }
}
