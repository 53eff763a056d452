//! Chunks that have landed are published, and the next reads of their files are arranged.

use crate::mill::halo::Landing;
use crate::mill::kind::FileKind;
use crate::mill::opener::size_of;
use crate::mill::piece::Piece;
use crate::mill::run::Run;
use gristmill_ring::{lock, ChunkBuf};
use rustix::fs::fstat;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Publishes bytes of a stream. If chunks have surrounding bytes, they follow the bytes that were kept of the stream.
pub(super) fn publish_of_stream(run: &Run, piece: Piece, landing: Landing, mut buffer: ChunkBuf) {
    let layout = run.config.layout;
    if layout.geometry.is_plain() {
        return publish(run, piece, landing, buffer);
    }
    let mut tail = lock(&piece.file.tail);
    let landing = tail.landed(&layout, buffer.as_mut_slice(), landing);
    let copied = tail.take_copied();
    drop(tail);
    run.counters.bounced.fetch_add(copied, Ordering::Relaxed);
    if landing.bytes == 0 && !landing.end && landing.error.is_none() {
        // The bytes are not a chunk yet: its number is taken again when more has been read.
        piece.file.next.store(piece.number, Ordering::Relaxed);
        run.intake.offer(Arc::clone(&piece.file));
        return;
    }
    publish(run, piece, landing, buffer);
}

/// Publishes a chunk that has landed, and arranges the next read of its file.
pub(super) fn publish(run: &Run, piece: Piece, landing: Landing, buffer: ChunkBuf) {
    let bytes = landing.bytes;
    if bytes == 0 {
        if !landing.end && landing.error.is_none() {
            go_on(run, &piece, bytes);
        }
        run.collector.hand_in(&piece, &landing);
        return;
    }
    // A job is asked for the mode of a file's first chunk before any other chunk of it is read.
    let published = run.flights.publish(&piece, &landing, buffer);
    if published.goes_on {
        go_on(run, &piece, bytes);
    }
    run.collector.hand_in_rest(&piece, published);
}

/// Offers the chunks that follow this one in its file, which has not ended.
fn go_on(run: &Run, piece: &Piece, bytes: usize) {
    let file = &piece.file;
    if file.finished.load(Ordering::Relaxed) {
        return;
    }
    match file.kind() {
        FileKind::Stream => {
            file.position.fetch_add(bytes as u64, Ordering::Relaxed);
            if file.raw == FileKind::Positioned {
                run.intake.offer_first(Arc::clone(file));
            } else {
                run.intake.offer(Arc::clone(file));
            }
        }
        FileKind::Positioned => {
            let chunk_bytes = run.config.layout.chunk as u64;
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
                run.intake.offer(Arc::clone(file));
            } else {
                let reached = piece.offset.saturating_add(chunk_bytes);
                if reached >= file.limit.load(Ordering::Relaxed) {
                    // The end has not been seen yet: the file has grown, or ends exactly here.
                    file.limit
                        .store(reached.saturating_add(chunk_bytes), Ordering::Relaxed);
                    run.intake.offer(Arc::clone(file));
                }
            }
        }
    }
}
