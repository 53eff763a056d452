//! The bytes of an object in order, for a decoder: fetched ahead of it, so that it seldom waits.
//!
//! At most [`FETCHES`] pieces of [`PIECE_BYTES`] are in memory or in flight. The first is fetched alone, as it fixes the
//! object's version and tells its size.

use super::fetches::{DecoderPermit, Fetches};
use super::status::Status;
use gristmill_ingest::object::{FetchError, Fetched, ObjectRef, Requests, Sink};
use gristmill_ring::lock;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of a fetch.
const PIECE_BYTES: u64 = 512 << 10;

/// Fetches at a time.
const FETCHES: usize = 3;

/// How long a read waits before it looks whether the run goes on.
const WAIT: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    taken: usize,
    result: Option<Result<Fetched, FetchError>>,
}

/// The pieces that are in memory or in flight, in order, by their number from `first` on.
#[derive(Debug, Default)]
struct Parts {
    first: u64,
    parts: VecDeque<Part>,
}

impl Parts {
    /// Whether the bytes that come next have not come yet.
    fn are_due(&self) -> bool {
        let next = self.parts.front();
        next.is_some_and(|part| part.taken == part.bytes.len() && part.result.is_none())
    }
}

#[derive(Debug, Default)]
struct Shared {
    parts: Mutex<Parts>,
    arrived: Condvar,
}

/// The bytes of an object from some offset on.
pub(super) struct Ahead {
    object: ObjectRef,
    fetches: Arc<Fetches>,
    status: Arc<Status>,
    shared: Arc<Shared>,
    /// Where the next fetch begins.
    next: u64,
    /// Whether no further fetch is to begin.
    over: bool,
    size: Option<u64>,
    in_ranges: Option<bool>,
    _permit: DecoderPermit,
}

impl Ahead {
    /// Begins to fetch from `offset` on. `known` is what an earlier fetch has told.
    pub fn new(
        object: ObjectRef,
        offset: u64,
        known: Option<Fetched>,
        fetches: Arc<Fetches>,
        status: Arc<Status>,
    ) -> Self {
        let mut ahead = Self {
            size: known.and_then(|known| known.size),
            in_ranges: known.map(|known| known.in_ranges),
            over: known.is_some_and(|known| known.end),
            object,
            status,
            shared: Arc::default(),
            next: offset,
            _permit: fetches.decoder(),
            fetches,
        };
        ahead.fetch();
        ahead
    }

    /// Begins further fetches, as many as there may be.
    fn fetch(&mut self) {
        let most = match self.in_ranges {
            Some(true) => FETCHES,
            _ => 1,
        };
        while !self.over {
            let mut parts = lock(&self.shared.parts);
            if parts.parts.len() >= most {
                return;
            }
            let number = parts.first + parts.parts.len() as u64;
            parts.parts.push_back(Part::default());
            drop(parts);
            let end = self.next + PIECE_BYTES;
            let range = self.next..self.size.map_or(end, |size| end.min(size));
            self.next = range.end;
            self.over = self.size == Some(range.end);
            let shared = Arc::clone(&self.shared);
            let sink = Box::new(PartSink { shared, number });
            self.fetches.start(&self.object, range, sink);
        }
    }

    /// Whether a read would not wait.
    pub fn is_ready(&self) -> bool {
        !lock(&self.shared.parts).are_due()
    }

    /// Waits for a moment until a read would not wait.
    pub fn wait(&self) {
        let parts = lock(&self.shared.parts);
        let due = |parts: &mut Parts| parts.are_due();
        let waited = self.shared.arrived.wait_timeout_while(parts, WAIT, due);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.status.stopping() {
                return Err(io::Error::other("the run was stopped"));
            }
            let mut parts = lock(&self.shared.parts);
            let Some(part) = parts.parts.front_mut() else {
                return Ok(0);
            };
            let there = part.bytes.get(part.taken..).unwrap_or_default();
            if !there.is_empty() || into.is_empty() {
                let bytes = there.len().min(into.len());
                into[..bytes].copy_from_slice(&there[..bytes]);
                part.taken += bytes;
                return Ok(bytes);
            }
            let Some(result) = part.result.clone() else {
                drop(parts);
                self.wait();
                continue;
            };
            parts.first += 1;
            parts.parts.pop_front();
            drop(parts);
            match result {
                Ok(known) => {
                    self.size = known.size;
                    self.in_ranges = Some(known.in_ranges);
                    // The first fetch did not know how much there is.
                    self.over |= known.end;
                    self.fetch();
                }
                Err(error) => {
                    self.over = true;
                    lock(&self.shared.parts).parts.clear();
                    return Err(io::Error::other(error.reason));
                }
            }
        }
    }
}

/// Takes the bytes of one piece.
struct PartSink {
    shared: Arc<Shared>,
    number: u64,
}

impl PartSink {
    fn with(&self, change: impl FnOnce(&mut Part) -> bool) -> bool {
        let mut parts = lock(&self.shared.parts);
        let place = self.number.checked_sub(parts.first);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let changed = place
            .and_then(|place| parts.parts.get_mut(place))
            .is_some_and(change);
        drop(parts);
        self.shared.arrived.notify_all();
        changed
    }
}

impl Sink for PartSink {
    fn put(&mut self, bytes: &[u8]) -> bool {
        self.with(|part| {
            let room = part.bytes.len() + bytes.len() <= PIECE_BYTES as usize;
            if room {
                part.bytes.extend_from_slice(bytes);
            }
            room
        })
    }

    fn end(self: Box<Self>, result: Result<Fetched, FetchError>, _: Requests) {
        self.with(|part| {
            part.result = Some(result);
            true
        });
    }
}
