//! The reads of one feeder: those in flight, and their handling when its ring fails.

use super::counters::Counters;
use super::descriptors::Descriptors;
use super::halo::Layout;
use super::kind::FileKind;
use super::piece::Piece;
use super::plan::BATCH_FILES;
use super::status::Status;
use crate::error::FileErrorKind;
use gristmill_ingest::reader::{
    ChunkReader, ReadOutcome, ReadPath, ReadPathChoice, ReaderConfig, ReaderDemands, NO_OFFSET,
};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long a reader waits for its reads before it checks the state of the run.
pub(super) const WAIT: Duration = Duration::from_millis(50);

/// Why a reader has no ring of its own.
const NO_RING: &str = "some readers had no ring, as the limit on open files leaves too few descriptors for one each; raise it \
                       (ulimit -n), or use fewer workers";

/// How a feeder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    By(ReadPathChoice),
    /// The feeder does not read: a ring is required, and the descriptors suffice only for the rings of other feeders.
    Not,
}

/// The outcome of a read.
pub(super) enum ReadDone {
    /// The read has ended.
    Landed(Piece, ReadOutcome),
    /// This reader could not do the read, but another may.
    Again(Piece, ChunkBuf),
    /// The read cannot be done.
    Failed(Piece, FileErrorKind),
}

/// The reads of one feeder.
pub(super) struct Reads {
    wanted: ReadPathChoice,
    demands: ReaderDemands,
    depth: u32,
    layout: Layout,
    descriptors: Arc<Descriptors>,
    counters: Arc<Counters>,
    status: Arc<Status>,
    /// How this feeder reads, decided when it first wants to.
    method: Option<Method>,
    /// The reader, made at the first use, so that a worker that never reads sets up no ring.
    reader: Option<ChunkReader>,
    /// The chunk that each read in flight is for, indexed by tag.
    pending: Vec<Option<Piece>>,
    /// Reads that ended otherwise than by landing.
    returned: VecDeque<ReadDone>,
}

impl Reads {
    pub fn new(
        wanted: ReadPathChoice,
        demands: ReaderDemands,
        depth: u32,
        layout: Layout,
        descriptors: Arc<Descriptors>,
        counters: Arc<Counters>,
        status: Arc<Status>,
    ) -> Self {
        Self {
            wanted,
            demands,
            depth,
            layout,
            descriptors,
            counters,
            status,
            method: None,
            reader: None,
            pending: Vec::new(),
            returned: VecDeque::new(),
        }
    }

    /// Whether this feeder reads.
    pub fn reads(&mut self) -> bool {
        self.method() != Method::Not
    }

    fn method(&mut self) -> Method {
        *self.method.get_or_insert_with(|| {
            if self.wanted == ReadPathChoice::Only(ReadPath::PositionedRead)
                || self.descriptors.take_ring()
            {
                return Method::By(self.wanted);
            }
            self.counters.add_fallback(NO_RING);
            if self.wanted == ReadPathChoice::Auto {
                Method::By(ReadPathChoice::Only(ReadPath::PositionedRead))
            } else {
                Method::Not
            }
        })
    }

    /// Reads in flight.
    pub fn inflight(&self) -> u32 {
        self.reader.as_ref().map_or(0, ChunkReader::inflight)
    }

    /// Queues the read of a chunk, or for a stream, a read of `stream_bytes`. First reads (`registered` is false) are
    /// those of many small files. If the read could not be queued, returns false, and [`next`](Self::next) returns its
    /// outcome.
    pub fn submit(
        &mut self,
        piece: Piece,
        buffer: ChunkBuf,
        stream_bytes: usize,
        registered: bool,
    ) -> bool {
        if self.reader.is_none() {
            let Method::By(path) = self.method() else {
                self.returned.push_back(ReadDone::Again(piece, buffer));
                return false;
            };
            let config = ReaderConfig {
                // The depth of the window, plus a batch of first reads.
                depth: self.depth + BATCH_FILES as u32,
                path,
            };
            match ChunkReader::with_demands(config, self.demands) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => {
                    let failed = ReadDone::Failed(piece, error.into());
                    self.returned.push_back(failed);
                    return false;
                }
            }
        }
        let Some(reader) = &mut self.reader else {
            return false;
        };
        let tag = match self.pending.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.pending.push(None);
                self.pending.len() - 1
            }
        };
        let Some(file) = piece.file.descriptor() else {
            // Objects are fetched: see `fetches`.
            self.pending[tag] = None;
            self.returned.push_back(ReadDone::Again(piece, buffer));
            return false;
        };
        let number = tag as u64;
        let submitted = match piece.file.kind() {
            FileKind::Stream => {
                reader.submit(file, NO_OFFSET, buffer, stream_bytes, number, registered)
            }
            FileKind::Positioned => {
                let (before, len) = self.layout.read(piece.offset);
                match piece.offset - before as u64 {
                    0 if !registered => {
                        reader.submit_first(file, buffer, len, number, piece.file.told)
                    }
                    offset => reader.submit(file, offset, buffer, len, number, registered),
                }
            }
        };
        let (buffer, error) = match submitted {
            Ok(()) => {
                self.pending[tag] = Some(piece);
                return true;
            }
            Err(refused) => refused,
        };
        if reader.failure().is_some() {
            self.returned.push_back(ReadDone::Again(piece, buffer));
            self.ring_failed(&error);
        } else {
            let failed = ReadDone::Failed(piece, error.into());
            self.returned.push_back(failed);
        }
        false
    }

    /// Submits the queued reads to the kernel.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.reader.as_mut().map(ChunkReader::flush) {
            self.ring_failed(&error);
        }
    }

    /// Waits until a read in flight ends, or for [`WAIT`].
    pub fn wait(&mut self) {
        if let Some(Err(error)) = self.reader.as_mut().map(|reader| reader.wait(WAIT)) {
            self.ring_failed(&error);
        }
    }

    /// The next read that has ended.
    pub fn next(&mut self) -> Option<ReadDone> {
        loop {
            if let Some(returned) = self.returned.pop_front() {
                return Some(returned);
            }
            let reader = self.reader.as_mut()?;
            let landed = reader.poll();
            let (failure, others) = (reader.failure(), reader.inflight() > 0);
            let Some(landed) = landed else {
                self.ring_failed(&failure?);
                continue;
            };
            let Some(piece) = self.piece_of(landed.tag) else {
                continue;
            };
            return Some(match failure {
                Some(error) => self.landed_at_last(piece, landed, &error),
                // The kernel ran out of memory, some of which the other reads hold: the file is not at fault.
                None if landed.error == Some(libc::ENOMEM) && landed.bytes == 0 && others => {
                    ReadDone::Again(piece, landed.buffer)
                }
                None => ReadDone::Landed(piece, landed),
            });
        }
    }

    /// The chunk that the read with this tag was for.
    fn piece_of(&mut self, tag: u64) -> Option<Piece> {
        let pending = self.pending.get_mut(usize::try_from(tag).ok()?)?;
        pending.take()
    }

    /// Whether another read path may replace a ring that failed.
    fn goes_on(&self) -> bool {
        self.wanted == ReadPathChoice::Auto
    }

    /// The outcome of a read that comes back after the ring has failed. Its error may be the ring's or the file's: if
    /// the read can be repeated, a second reader will meet the file's error again; if not, the ring's error is
    /// reported.
    fn landed_at_last(&self, piece: Piece, landed: ReadOutcome, error: &PipelineError) -> ReadDone {
        // The bytes that a stream's read has taken are lost.
        let lost = landed.unanswered && piece.file.kind() == FileKind::Stream;
        if landed.error.is_none() {
            ReadDone::Landed(piece, landed)
        } else if self.goes_on() && !lost {
            ReadDone::Again(piece, landed.buffer)
        } else {
            ReadDone::Failed(piece, error.clone().into())
        }
    }

    /// Handles a failure of the ring itself. Reads that had landed are kept. The others are repeated by positioned
    /// reads if the mill may choose the path; if a ring was required, they have failed.
    fn ring_failed(&mut self, error: &PipelineError) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        if self.goes_on() {
            self.method = Some(Method::By(ReadPathChoice::Only(ReadPath::PositionedRead)));
            self.counters.add_fallback(&format!(
                "io_uring failed in the middle of the run, and what followed was read without it: {error}"
            ));
        }
        // Every read comes back; a read that the kernel had comes back when the kernel has released its memory.
        loop {
            while let Some(landed) = reader.poll() {
                if let Some(piece) = self.piece_of(landed.tag) {
                    let done = self.landed_at_last(piece, landed, error);
                    self.returned.push_back(done);
                }
            }
            if reader.inflight() == 0 || self.status.stopping() {
                break;
            }
            // An error here is the one that is being handled already.
            let _ = reader.wait(WAIT);
        }
        self.counters.end_reader(reader);
        self.pending.clear();
    }

    /// Ends the reader: reads that are still in flight are cancelled, and what it did is counted.
    pub fn end(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.counters.end_reader(reader);
        }
        self.pending.clear();
        self.returned.clear();
    }
}
