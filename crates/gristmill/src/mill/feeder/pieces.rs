//! Reads pieces of files into chunks, from files, objects and decoders, and takes what has landed.

use super::decoders::{converter, found_encoded};
use super::publish::{publish, publish_of_stream};
use crate::decode::Decoding;
use crate::error::FileErrorKind;
use crate::mill::halo::Landing;
use crate::mill::kind::FileKind;
use crate::mill::landings::Landed;
use crate::mill::piece::Piece;
use crate::mill::reads::{ReadDone, Reads};
use crate::mill::run::Run;
use gristmill_ingest::reader::ReadOutcome;
use gristmill_ring::{lock, ChunkBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// The reads of one feeder, from wherever the bytes come.
pub(super) struct PieceReader {
    pub run: Arc<Run>,
    pub reads: Reads,
    /// Whether a file that is decoded had nothing yet when it was last asked.
    pub early: bool,
    /// Whether chunks of objects have landed since fetches were last begun.
    pub has_fetched: bool,
}

impl PieceReader {
    /// Takes the reads that have landed and publishes their chunks; of objects no more than a chunk full of bytes, so that
    /// others wait as they are for whichever worker is next. Returns whether it found any.
    pub(super) fn land(&mut self) -> bool {
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
        let mut bytes = 0;
        while bytes < self.run.config.layout.chunk {
            let Some(landed) = self.run.landings.next() else {
                break;
            };
            any = true;
            self.has_fetched = true;
            bytes += landed.bytes;
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
        if let Some(decoding) = found_encoded(&self.run, &piece, there, more) {
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
                publish(&self.run, piece, landing, buffer);
            }
            FileKind::Stream => publish_of_stream(&self.run, piece, landing, buffer),
        }
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
        match converter(&self.run, decoding, &file.handle, file.raw, before, fetched) {
            Ok(converter) => {
                // No other reader knows the file yet.
                let _ = file.converter.set(Mutex::new(converter));
                file.limit.store(u64::MAX, Ordering::Relaxed);
                self.read(piece, buffer, false);
            }
            Err(error) => self.run.collector.hand_in(&piece, &Landing::failed(error)),
        }
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
        publish_of_stream(&self.run, piece, landing, buffer);
    }

    /// Queues one read; false where that failed, which has been reported then.
    pub(super) fn read(&mut self, piece: Piece, buffer: ChunkBuf, registered: bool) -> bool {
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
                publish_of_stream(&self.run, piece, landing, buffer);
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
