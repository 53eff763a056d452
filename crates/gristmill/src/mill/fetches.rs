//! Fetches of objects: those in flight to stores, of all feeders together, how many there may be, and their counting.
//!
//! A fetch whose sink is dropped ends, too, as a failure.

use super::counters::Counters;
use super::pace::Pace;
use super::plan::BATCH_FILES;
use gristmill_ingest::object::{FetchError, Fetched, Fetching, ObjectRef, Requests, Sink};
use gristmill_ring::lock;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

#[derive(Debug)]
struct Flying {
    pace: Pace,
    next: u64,
    /// The fetches in flight by number; `None` for one that is about to begin.
    fetching: HashMap<u64, Option<Fetching>>,
}

/// The fetches of one run.
pub(super) struct Fetches {
    counters: Arc<Counters>,
    flying: Mutex<Flying>,
    inflight: AtomicUsize,
    /// Chunks that have landed and wait for a worker.
    waiting: AtomicUsize,
    window: AtomicUsize,
    /// Objects that are decoded, and so take memory beside chunks.
    decoders: AtomicUsize,
}

impl Fetches {
    /// No more than `most` fetches at a time.
    pub fn new(most: usize, counters: Arc<Counters>) -> Arc<Self> {
        let pace = Pace::new(most);
        Arc::new(Self {
            counters,
            inflight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            window: AtomicUsize::new(pace.window()),
            flying: Mutex::new(Flying {
                pace,
                next: 0,
                fetching: HashMap::new(),
            }),
            decoders: AtomicUsize::new(0),
        })
    }

    /// Fetches in flight.
    pub fn inflight(&self) -> usize {
        self.inflight.load(Ordering::Relaxed)
    }

    /// How many fetches there may be in flight.
    pub fn window(&self) -> usize {
        self.window.load(Ordering::Relaxed)
    }

    /// A chunk has landed and waits for a worker.
    pub fn landed(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker has taken a chunk that had landed.
    pub fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many more fetches may begin. Where workers are slower than the store, no more chunks wait for them than there
    /// may be in flight, so that few chunks are in use.
    pub fn room(&self) -> usize {
        let (window, inflight) = (self.window(), self.inflight());
        let waiting = self.waiting.load(Ordering::Relaxed);
        let more = window.saturating_sub(inflight);
        more.min((2 * window).saturating_sub(inflight + waiting))
    }

    /// How many more entries of a source may be opened, each of which may be an object. However few requests are best, as
    /// many as are opened together may be decoded, which wait for each other's bytes, and where nothing is fetched all may
    /// be files.
    pub fn room_for_objects(&self) -> usize {
        let decoders = self.decoders.load(Ordering::Relaxed);
        let busy = self.inflight() + self.waiting.load(Ordering::Relaxed);
        let least = match decoders > 0 || busy == 0 {
            true => BATCH_FILES.saturating_sub(busy),
            false => 0,
        };
        self.room().max(least).saturating_sub(decoders)
    }

    /// Counts an object that is decoded, until this is dropped.
    pub fn decoder(self: &Arc<Self>) -> DecoderPermit {
        self.decoders.fetch_add(1, Ordering::Relaxed);
        DecoderPermit(Arc::clone(self))
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

    /// Cancels all fetches: nobody takes them any more.
    pub fn close(&self) {
        let cancelled = std::mem::take(&mut lock(&self.flying).fetching);
        // Dropping them takes the lock.
        drop(cancelled);
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
