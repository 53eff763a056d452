//! Feeds one worker: takes entries and chunks from the intake, reads them and publishes what has landed.
//!
//! The worker calls its feeder when it has nothing to claim. The feeder takes the next useful step and returns, so that
//! a chunk that has just landed is claimed, by this worker or another, before the next is read. The number of reads in
//! flight adapts to how reads complete: while they complete inline (from the page cache), one at a time keeps chunks in
//! the processor's cache; as soon as one does not, the window doubles, up to the configured depth.

use super::ahead::Ahead;
use super::convert::{Converter, RawBytes, RawKind};
use super::descriptors::ran_out;
use super::halo::Landing;
use super::landings::Landed;
use super::opener::{is_passed_over, size_of, Attempt, Opened};
use super::piece::{FileKind, Handle, OpenFile, Piece};
use super::plan::BATCH_FILES;
use super::reads::{ReadDone, Reads, WAIT};
use super::report::StageTimes;
use super::run::Run;
use crate::decode::{Decoding, TextDecoding};
use crate::error::{FileError, FileErrorKind};
use crate::source::{Entry, FileFacts, Origin};
use gristmill_ingest::object::Fetched;
use gristmill_ingest::reader::{ReadOutcome, ReadPath, ReadPathChoice};
use gristmill_megakernel::{Feed, Feeder};
use gristmill_ring::lock;
use gristmill_ring::ChunkBuf;
use rustix::fs::fstat;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
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
        run,
        index: reader,
        reads,
        window: 1,
        entries: Vec::new(),
        buffers: Vec::new(),
        stages: StageTimes::default(),
        left: None,
        early: false,
        done: false,
    })
}

/// How long a feeder waits for the source while objects are in flight.
const SHORT_WAIT: Duration = Duration::from_millis(2);

struct ChunkFeeder {
    run: Arc<Run>,
    index: usize,
    reads: Reads,
    /// Reads to keep in flight.
    window: u32,
    entries: Vec<Arc<Entry>>,
    buffers: Vec<ChunkBuf>,
    stages: StageTimes,
    /// When `feed` last returned with something for the worker to do.
    left: Option<Instant>,
    /// Whether a file that is decoded had nothing yet when it was last asked.
    early: bool,
    done: bool,
}

impl Feeder for ChunkFeeder {
    fn feed(&mut self) -> Feed {
        if self.done {
            return Feed::Finished;
        }
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
}

impl ChunkFeeder {
    fn step(&mut self) -> Feed {
        let began = Instant::now();
        self.run.collector.collect(false);
        let collected = Instant::now();
        self.stages.collect += collected - began;

        if self.land() {
            self.stages.read += collected.elapsed();
            return Feed::Progress;
        }
        if !self.run.status.stopping() && !self.run.output.is_full() && self.submit() {
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
        if self.reads.inflight() > 0 {
            let waited = Instant::now();
            self.reads.wait();
            self.land();
            self.stages.read += waited.elapsed();
            return Feed::Blocked;
        }
        if std::mem::take(&mut self.early) {
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

    /// Takes the reads that have landed and publishes their chunks. Returns whether it found any.
    fn land(&mut self) -> bool {
        let mut any = false;
        while let Some(done) = self.reads.next() {
            any = true;
            match done {
                ReadDone::Landed(piece, landed) => self.landed(piece, landed),
                ReadDone::Again(piece, buffer) => self.run.intake.read_again(piece, buffer),
                ReadDone::Failed(piece, error) => {
                    self.run.collector.hand_in(&piece, &Landing::failed(error));
                }
            }
        }
        while let Some(landed) = self.run.landings.next() {
            any = true;
            self.fetched(landed);
        }
        any
    }

    /// Takes a chunk of an object.
    fn fetched(&mut self, landed: Landed) {
        let Landed {
            piece,
            buffer,
            bytes,
            result,
        } = landed;
        let file = &piece.file;
        let (end, error) = match result {
            Ok(fetched) => {
                if file.fetched.set(fetched).is_ok() && !fetched.in_ranges {
                    // No other reader knows it yet.
                    file.limit.store(u64::MAX, Ordering::Relaxed);
                }
                file.arrived.fetch_add(bytes as u64, Ordering::Relaxed);
                (fetched.end, None)
            }
            Err(error) if piece.number == 0 && error.placeholder && !file.entry.explicit => {
                return self.run.collector.pass_over(&file.entry);
            }
            Err(error) if piece.number == 0 && file.fetched.get().is_none() => {
                let reason = error.reason;
                let kind = FileErrorKind::Open {
                    errno: None,
                    reason,
                };
                return self.run.collector.refuse(&file.entry, kind);
            }
            Err(error) => {
                let reason = error.reason;
                (false, Some(FileErrorKind::Read { reason }))
            }
        };
        self.landed_bytes(piece, buffer, bytes, end, error);
    }

    fn landed(&mut self, piece: Piece, landed: ReadOutcome) {
        let error = landed.reason().map(|reason| FileErrorKind::Read { reason });
        let ReadOutcome {
            buffer, bytes, end, ..
        } = landed;
        self.landed_bytes(piece, buffer, bytes, end, error);
    }

    fn landed_bytes(
        &mut self,
        piece: Piece,
        buffer: ChunkBuf,
        bytes: usize,
        end: bool,
        error: Option<FileErrorKind>,
    ) {
        let more = !end && error.is_none();
        let there = buffer.as_slice().get(..bytes).unwrap_or_default();
        if let Some(decoding) = self.found_encoded(&piece, there, more) {
            return self.begin_decoding(decoding, piece, buffer, bytes);
        }
        let landing = Landing {
            bytes,
            end,
            error,
            last: true,
            ..Landing::default()
        };
        let layout = &self.run.config.layout;
        match piece.file.kind() {
            FileKind::Positioned => {
                let (before, _) = layout.read(piece.offset);
                let landing = layout.landed(before, landing);
                self.take(piece, landing, buffer);
            }
            FileKind::Stream if layout.geometry.is_plain() => self.take(piece, landing, buffer),
            FileKind::Stream => self.take_of_stream(piece, landing, buffer),
        }
    }

    /// How a file must be decoded of which a read brought these first bytes.
    fn found_encoded(&self, piece: &Piece, bytes: &[u8], more: bool) -> Option<Decoding> {
        let decode = &self.run.config.decode;
        let first = decode.text != TextDecoding::Bytes
            && piece.offset == 0
            && piece.file.converter.get().is_none();
        if !first || !lock(&piece.file.tail).is_empty() {
            return None;
        }
        let in_order = piece.file.kind() == FileKind::Stream;
        decode.of_beginning(bytes, more && in_order)
    }

    /// Begins a file again, whose first bytes say that it must be decoded.
    fn begin_decoding(&mut self, decoding: Decoding, piece: Piece, buffer: ChunkBuf, bytes: usize) {
        let file = &piece.file;
        let again = file.raw == FileKind::Positioned && file.object().is_none();
        let before = match again {
            true => Vec::new(),
            false => buffer.as_slice()[..bytes].to_vec(),
        };
        let fetched = file.fetched.get().copied();
        match self.converter(decoding, &file.handle, file.raw, before, fetched) {
            Ok(converter) => {
                // No other reader knows the file yet.
                let _ = file.converter.set(Mutex::new(converter));
                file.limit.store(u64::MAX, Ordering::Relaxed);
                self.read(piece, buffer, false);
            }
            Err(error) => self.run.collector.hand_in(&piece, &Landing::failed(error)),
        }
    }

    /// A decoder of a file, or why the read path has none. Of an object, `before` and `fetched` are what its first fetch
    /// brought.
    fn converter(
        &self,
        decoding: Decoding,
        handle: &Handle,
        kind: FileKind,
        before: Vec<u8>,
        fetched: Option<Fetched>,
    ) -> Result<Converter, FileErrorKind> {
        let config = &self.run.config;
        let status = Arc::clone(&self.run.status);
        let file = match handle {
            Handle::File(file) => file,
            Handle::Object(object) => {
                self.run.counters.add_decoded_object();
                let fetches = Arc::clone(&self.run.fetches);
                let offset = before.len() as u64;
                let ahead = Ahead::new(
                    object.clone(),
                    offset,
                    fetched,
                    fetches,
                    Arc::clone(&status),
                );
                let from = RawBytes::Object(ahead);
                return Ok(Converter::new(decoding, from, before, status));
            }
        };
        let refuses = match config.read_path {
            ReadPathChoice::Auto | ReadPathChoice::Only(ReadPath::PositionedRead) => config.strict,
            ReadPathChoice::Only(ReadPath::RegisteredMappedRead) => {
                let why = "files that are decompressed or decoded are read by pread";
                self.run.counters.add_fallback(why);
                config.strict
            }
            ReadPathChoice::Only(_) => true,
        };
        if refuses {
            let what = decoding.what();
            return Err(FileErrorKind::NotDecoded { what });
        }
        self.run.counters.add_decoded_file();
        let kind = match kind {
            FileKind::Positioned => RawKind::Positioned,
            FileKind::Stream => RawKind::Stream,
        };
        let from = RawBytes::File(Arc::clone(file), kind);
        Ok(Converter::new(decoding, from, before, status))
    }

    /// Decodes the next bytes of a file, up to `wanted` of them, into a chunk.
    fn convert(&mut self, piece: Piece, mut buffer: ChunkBuf, wanted: usize) {
        let Some(converter) = piece.file.converter.get() else {
            return;
        };
        let mut converter = lock(converter);
        if converter.is_early() {
            drop(converter);
            self.early = true;
            piece.file.next.store(piece.number, Ordering::Relaxed);
            return self.run.intake.offer(Arc::clone(&piece.file));
        }
        let into = buffer.as_mut_slice();
        let most = wanted.min(into.len());
        let done = converter.read(&mut into[..most]);
        drop(converter);
        self.run.counters.add_decoded(done.raw, done.bytes as u64);
        let landing = Landing {
            bytes: done.bytes,
            end: done.end,
            error: done.error,
            last: true,
            ..Landing::default()
        };
        match self.run.config.layout.geometry.is_plain() {
            true => self.take(piece, landing, buffer),
            false => self.take_of_stream(piece, landing, buffer),
        }
    }

    /// Takes bytes of a stream whose chunks have surrounding bytes: they follow the bytes that were kept of the stream.
    fn take_of_stream(&mut self, piece: Piece, landing: Landing, mut buffer: ChunkBuf) {
        let layout = self.run.config.layout;
        let mut tail = lock(&piece.file.tail);
        let landing = tail.landed(&layout, buffer.as_mut_slice(), landing);
        let copied = tail.take_copied();
        drop(tail);
        self.run
            .counters
            .bounced
            .fetch_add(copied, Ordering::Relaxed);
        if landing.bytes == 0 && !landing.end && landing.error.is_none() {
            // The bytes are not a chunk yet: its number is taken again when more has been read.
            piece.file.next.store(piece.number, Ordering::Relaxed);
            self.run.intake.offer(Arc::clone(&piece.file));
            return;
        }
        self.take(piece, landing, buffer);
    }

    /// Publishes a chunk that has landed, and arranges the next read of its file.
    fn take(&mut self, piece: Piece, landing: Landing, buffer: ChunkBuf) {
        let bytes = landing.bytes;
        if bytes == 0 {
            if !landing.end && landing.error.is_none() {
                self.go_on(&piece, bytes);
            }
            self.run.collector.hand_in(&piece, &landing);
            return;
        }
        // A job is asked for the mode of a file's first chunk before any other chunk of it is read.
        let published = self.run.flights.publish(&piece, &landing, buffer);
        if published.goes_on {
            self.go_on(&piece, bytes);
        }
        self.run.collector.hand_in_rest(&piece, published);
    }

    /// Offers the chunks that follow this one in its file, which has not ended.
    fn go_on(&self, piece: &Piece, bytes: usize) {
        let file = &piece.file;
        if file.finished.load(Ordering::Relaxed) {
            return;
        }
        match file.kind() {
            FileKind::Stream => {
                file.position.fetch_add(bytes as u64, Ordering::Relaxed);
                if file.raw == FileKind::Positioned {
                    self.run.intake.offer_first(Arc::clone(file));
                } else {
                    self.run.intake.offer(Arc::clone(file));
                }
            }
            FileKind::Positioned => {
                let chunk_bytes = self.run.config.layout.chunk as u64;
                if piece.number == 0 {
                    // The file is larger than a chunk, so its size is worth asking for now.
                    // It may have shrunk since it was opened, which is a failure where it ends.
                    let fetched = file.fetched.get().and_then(|fetched| fetched.size);
                    let found = file.descriptor().and_then(|file| fstat(file).ok());
                    let size = found.map_or(0, |found| size_of(&found));
                    let size = fetched.unwrap_or(size.max(file.told));
                    file.size.store(size, Ordering::Relaxed);
                    // Behind a part no more is read than its jobs ask for, a chunk at a time.
                    let wanted = file.entry.part.map_or(size, |part| part.end.min(size));
                    let limit = match fetched {
                        Some(size) => size,
                        None => wanted.max(file.base.saturating_add(2 * chunk_bytes)),
                    };
                    file.limit.store(limit, Ordering::Relaxed);
                    self.run.intake.offer(Arc::clone(file));
                } else {
                    let reached = piece.offset.saturating_add(chunk_bytes);
                    if reached >= file.limit.load(Ordering::Relaxed) {
                        // The end has not been seen yet: the file has grown, or ends exactly here.
                        file.limit
                            .store(reached.saturating_add(chunk_bytes), Ordering::Relaxed);
                        self.run.intake.offer(Arc::clone(file));
                    }
                }
            }
        }
    }

    /// Submits reads, up to the window. Returns whether it did anything.
    fn submit(&mut self) -> bool {
        let began = Instant::now();
        if !self.reads.reads() {
            return false;
        }
        let mut did = self.submit_pieces();
        let inflight = self.reads.inflight();
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
            let inflight = self.reads.inflight();
            if inflight >= self.window {
                break;
            }
            let (piece, buffer) = match self.run.intake.take_again() {
                Some(again) => again,
                None => {
                    let Some(buffer) = self.run.pool.take(self.index) else {
                        break;
                    };
                    let Some(piece) = self.run.intake.next_piece(self.run.fetches.room() > 0)
                    else {
                        break;
                    };
                    (piece, buffer)
                }
            };
            if piece.file.converter.get().is_some() {
                // The worker runs over the chunk before the next is decoded.
                self.read(piece, buffer, false);
                did |= !self.early;
                break;
            }
            let registered = piece.file.kind() == FileKind::Positioned;
            let is_object = piece.file.object().is_some();
            if !self.read(piece, buffer, registered) {
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
        self.reads.flush();
        self.land()
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
        let Attempt {
            entry,
            opened,
            permit,
            then,
        } = attempt;
        let Opened {
            handle,
            kind,
            told,
            found,
        } = match opened {
            Ok(opened) => opened,
            Err(error) if is_passed_over(&entry, &error) => {
                self.run.collector.pass_over(&entry);
                return;
            }
            Err(error) if ran_out(&error) && self.run.descriptors.worth_waiting(then) => {
                self.run.intake.defer(entry, then);
                return;
            }
            Err(error) => {
                self.run.collector.refuse(&entry, error.into());
                return;
            }
        };
        let base = match self.base(&entry, &handle, kind, told) {
            Ok(base) => base,
            Err(error) => return self.run.collector.refuse(&entry, error.into()),
        };
        let named = (entry.origin != Origin::Stdin).then_some(entry.path.as_path());
        let converter = match self.run.config.decode.of_file(named) {
            None => OnceLock::new(),
            Some(decoding) => match self.converter(decoding, &handle, kind, Vec::new(), None) {
                Ok(converter) => OnceLock::from(Mutex::new(converter)),
                Err(error) => return self.run.collector.refuse(&entry, error),
            },
        };
        let in_order = kind == FileKind::Stream || converter.get().is_some();
        let open = Arc::new(OpenFile {
            entry,
            facts: match &handle {
                Handle::File(file) => FileFacts::new(found, Arc::clone(file)),
                Handle::Object(_) => FileFacts::default(),
            },
            handle,
            raw: kind,
            fetched: OnceLock::new(),
            arrived: AtomicU64::new(0),
            converter,
            base,
            seen: AtomicU64::new(0),
            next: AtomicU64::new(u64::from(!in_order)),
            limit: AtomicU64::new(match in_order {
                false => base + self.run.config.layout.chunk as u64,
                true => u64::MAX,
            }),
            // A part whose file has lost the bytes before it since then has shrunk, too.
            size: AtomicU64::new(if base > 0 { told } else { 0 }),
            told,
            position: AtomicU64::new(0),
            tail: Mutex::default(),
            done: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            _permit: permit.opened(),
        });
        if in_order {
            self.run.intake.offer(open);
            return;
        }
        let Some(buffer) = buffers.pop() else {
            open.next.store(0, Ordering::Relaxed);
            self.run.intake.offer(open);
            return;
        };
        let piece = Piece {
            file: open,
            number: 0,
            offset: base,
        };
        self.read(piece, buffer, base > 0);
    }

    /// Where the first chunk of a file begins.
    fn base(&self, entry: &Entry, handle: &Handle, kind: FileKind, told: u64) -> io::Result<u64> {
        let Some(part) = &entry.part else {
            return Ok(0);
        };
        let (Handle::File(file), FileKind::Positioned) = (handle, kind) else {
            return Err(io::Error::other(
                "it is no regular file, of which parts could be read",
            ));
        };
        let decode = &self.run.config.decode;
        if decode.compressed || decode.text != TextDecoding::Bytes {
            return Err(io::Error::other(
                "a part of a file is not decoded; read the whole file, or its bytes as they are",
            ));
        }
        let from = self.run.jobs.part_from(file, part, told)?.min(part.begin);
        Ok(from - from % self.run.config.layout.chunk as u64)
    }

    /// Queues one read; false where that failed, which has been reported then.
    fn read(&mut self, piece: Piece, buffer: ChunkBuf, registered: bool) -> bool {
        let layout = self.run.config.layout;
        let carries = piece.file.kind() == FileKind::Stream && !layout.geometry.is_plain();
        let mut wanted = buffer.capacity();
        if carries {
            let tail = lock(&piece.file.tail);
            wanted = tail.wanted(&layout).min(wanted);
            if let Some(error) = tail.ended() {
                // The whole stream was read, and more than one chunk of it is left.
                drop(tail);
                let landing = Landing {
                    end: error.is_none(),
                    error,
                    ..Landing::default()
                };
                self.take_of_stream(piece, landing, buffer);
                return true;
            }
        }
        if piece.file.converter.get().is_some() {
            self.convert(piece, buffer, wanted);
            return true;
        }
        if let Some(object) = piece.file.object().cloned() {
            let (from, end) = match piece.file.kind() {
                FileKind::Positioned => {
                    let (before, len) = layout.read(piece.offset);
                    let from = piece.offset - before as u64;
                    (from, from + len as u64)
                }
                FileKind::Stream => {
                    let from = piece.file.arrived.load(Ordering::Relaxed);
                    (from, from + wanted as u64)
                }
            };
            let size = piece.file.fetched.get().and_then(|fetched| fetched.size);
            let end = size.map_or(end, |size| end.min(size).max(from));
            self.run.landings.fetch(&object, from..end, piece, buffer);
            return true;
        }
        let queued = self.reads.submit(piece, buffer, wanted, registered);
        if !queued {
            self.land();
        }
        queued
    }
}

impl ChunkFeeder {
    fn finish(&mut self) {
        self.reads.end();
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
