//! Fetches of objects: those in flight to stores, of all feeders together, and those that have landed.
//!
//! A fetch into a chunk owns the chunk, as a read does: the chunk goes with the sink to the store's thread, which copies
//! the bytes into it as they come, and comes back in the queue of what has landed. Whoever next looks for work takes it
//! from there. A fetch whose sink is dropped comes back, too, as a failure.

use super::counters::Counters;
use super::pace::Pace;
use super::piece::Piece;
use super::status::Status;
use gristmill_ingest::object::{FetchError, Fetched, Fetching, ObjectRef, Requests, Sink};
use gristmill_ring::lock;
use gristmill_ring::ChunkBuf;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A chunk whose fetch has ended.
pub(super) struct Landed {
    pub piece: Piece,
    pub buffer: ChunkBuf,
    /// Bytes that came.
    pub bytes: usize,
    pub result: Result<Fetched, FetchError>,
}

#[derive(Debug)]
struct Flying {
    pace: Pace,
    next: u64,
    /// The fetches in flight by number; `None` for one that is about to begin.
    fetching: HashMap<u64, Option<Fetching>>,
}

/// The fetches of one run.
pub(super) struct Fetches {
    status: Arc<Status>,
    counters: Arc<Counters>,
    flying: Mutex<Flying>,
    landed: Mutex<VecDeque<Landed>>,
    inflight: AtomicUsize,
    window: AtomicUsize,
    /// Objects that are decoded, and so take memory beside chunks.
    decoders: AtomicUsize,
    closed: AtomicBool,
}

impl Fetches {
    /// No more than `most` fetches at a time.
    pub fn new(most: usize, status: Arc<Status>, counters: Arc<Counters>) -> Arc<Self> {
        let pace = Pace::new(most);
        Arc::new(Self {
            status,
            counters,
            inflight: AtomicUsize::new(0),
            window: AtomicUsize::new(pace.window()),
            flying: Mutex::new(Flying {
                pace,
                next: 0,
                fetching: HashMap::new(),
            }),
            landed: Mutex::default(),
            decoders: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// Fetches in flight.
    pub fn inflight(&self) -> usize {
        self.inflight.load(Ordering::Relaxed)
    }

    /// How many more fetches may begin.
    pub fn room(&self) -> usize {
        let window = self.window.load(Ordering::Relaxed);
        window.saturating_sub(self.inflight())
    }

    /// How many more objects may be begun.
    pub fn room_for_objects(&self) -> usize {
        self.room()
            .saturating_sub(self.decoders.load(Ordering::Relaxed))
    }

    /// Counts an object that is decoded, until this is dropped.
    pub fn decoder(self: &Arc<Self>) -> DecoderPermit {
        self.decoders.fetch_add(1, Ordering::Relaxed);
        DecoderPermit(Arc::clone(self))
    }

    /// Fetches a chunk: `range` of the object.
    pub fn chunk(
        self: &Arc<Self>,
        object: &ObjectRef,
        range: Range<u64>,
        piece: Piece,
        buffer: ChunkBuf,
    ) {
        let sink = ChunkSink {
            fetches: Arc::clone(self),
            chunk: Some((piece, buffer)),
            bytes: 0,
        };
        self.start(object, range, Box::new(sink));
    }

    /// Begins a fetch.
    pub fn start(self: &Arc<Self>, object: &ObjectRef, range: Range<u64>, sink: Box<dyn Sink>) {
        let inflight = self.inflight.fetch_add(1, Ordering::Relaxed) + 1;
        self.counters.objects.saw_depth(inflight as u64);
        let mut flying = lock(&self.flying);
        let number = flying.next;
        flying.next += 1;
        flying.pace.begin(inflight, Instant::now());
        flying.fetching.insert(number, None);
        drop(flying);
        let counted = Counted {
            fetches: Arc::clone(self),
            number,
            bytes: 0,
            sink: Some(sink),
        };
        let fetching = object.0.fetch(range, Box::new(counted));
        // A fetch that has ended by now has taken its place away.
        if let Some(place) = lock(&self.flying).fetching.get_mut(&number) {
            *place = Some(fetching);
        }
    }

    /// The next chunk whose fetch has ended.
    pub fn next(&self) -> Option<Landed> {
        lock(&self.landed).pop_front()
    }

    /// Cancels all fetches: nobody takes them any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let cancelled = std::mem::take(&mut lock(&self.flying).fetching);
        drop(cancelled);
        let left = std::mem::take(&mut *lock(&self.landed));
        drop(left);
    }

    fn ended(&self, number: u64, bytes: u64, requests: Requests) {
        self.counters.objects.add(bytes, requests);
        let mut flying = lock(&self.flying);
        flying.pace.end(bytes, requests.slowed, Instant::now());
        self.window.store(flying.pace.window(), Ordering::Relaxed);
        let fetching = flying.fetching.remove(&number);
        drop(flying);
        drop(fetching);
        self.inflight.fetch_sub(1, Ordering::Relaxed);
    }

    fn land(&self, landed: Landed) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        lock(&self.landed).push_back(landed);
        self.status.wake();
    }
}

/// An object that is decoded: see [`Fetches::decoder`].
pub(super) struct DecoderPermit(Arc<Fetches>);

impl Drop for DecoderPermit {
    fn drop(&mut self) {
        self.0.decoders.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a fetch ended without a result.
fn broken_off() -> FetchError {
    FetchError {
        reason: "its fetch was broken off; please report this".into(),
        placeholder: false,
    }
}

/// Counts what goes to another sink.
struct Counted {
    fetches: Arc<Fetches>,
    number: u64,
    bytes: u64,
    sink: Option<Box<dyn Sink>>,
}

impl Sink for Counted {
    fn put(&mut self, bytes: &[u8]) -> bool {
        self.bytes += bytes.len() as u64;
        self.sink.as_mut().is_some_and(|sink| sink.put(bytes))
    }

    fn end(mut self: Box<Self>, result: Result<Fetched, FetchError>, requests: Requests) {
        // It is counted before its chunk can be taken, so that a report is complete.
        self.fetches.ended(self.number, self.bytes, requests);
        if let Some(sink) = self.sink.take() {
            sink.end(result, requests);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(sink) = self.sink.take() {
            let requests = Requests::default();
            self.fetches.ended(self.number, self.bytes, requests);
            sink.end(Err(broken_off()), requests);
        }
    }
}

/// Lands the bytes in a chunk.
struct ChunkSink {
    fetches: Arc<Fetches>,
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
            self.fetches.land(Landed {
                piece,
                buffer,
                bytes: self.bytes,
                result,
            });
        }
    }
}
