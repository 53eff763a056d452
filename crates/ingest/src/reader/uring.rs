//! The io_uring engine: a ring of its own, whose reads own their chunk and their file.

use super::{Engine, Landed, Read, ReaderStats};
use crate::queue::{Farewell, ReadOp, ReadQueue, NO_OFFSET};
use crate::setup;
use crate::tables::{BufferTable, FileTable};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How long a dropped reader waits for a device that does not answer; after that the chunks in flight are leaked.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a read owns while it is in flight.
struct Owned {
    file: Arc<OwnedFd>,
    buffer: ChunkBuf,
    tag: u64,
    stream: bool,
}

/// Field order matters: the ring goes before the table that keeps its registered memory alive.
pub(super) struct UringEngine {
    queue: ReadQueue<Owned>,
    buffers: BufferTable,
    files: FileTable,
}

impl UringEngine {
    pub(super) fn new(depth: u32) -> Result<Self, PipelineError> {
        let (ring, flags) = setup::build(depth, false)?;
        Ok(UringEngine {
            queue: ReadQueue::new(ring, flags, depth, Farewell::LeakAfter(PATIENCE)),
            buffers: BufferTable::default(),
            files: FileTable::default(),
        })
    }
}

impl Engine for UringEngine {
    fn submit(&mut self, read: Read) -> Result<(), (ChunkBuf, PipelineError)> {
        let Read {
            file,
            offset,
            mut buffer,
            len,
            tag,
            registered,
        } = read;
        if let Err(error) = self.queue.room() {
            return Err((buffer, error));
        }
        let fixed_buffer = if registered {
            self.buffers.index_of(self.queue.ring(), &mut buffer)
        } else {
            None
        };
        let (fd, fixed_file) = self.files.target(self.queue.ring(), &file);
        let op = ReadOp {
            fd,
            fixed_file,
            address: buffer.as_mut_ptr(),
            len,
            offset,
            fixed_buffer,
            take_short: offset == NO_OFFSET,
        };
        let owned = Owned {
            file,
            buffer,
            tag,
            stream: offset == NO_OFFSET,
        };
        // SAFETY: the address is the start of the chunk, `len` is at most its capacity (`ChunkReader::submit`), and
        // the payload holds both the chunk's only `ChunkBuf` (so nobody else touches the bytes, and the arena stays
        // mapped even if the payload is leaked) and the file. A file in a slot stays there while the payload's `Arc`
        // keeps its count above zero (`FileTable::sweep`).
        unsafe { self.queue.submit(op, owned) }.map_err(|(owned, error)| (owned.buffer, error))
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        self.files.sweep(self.queue.ring());
        self.queue.flush()
    }

    fn poll(&mut self) -> Option<Landed> {
        let finished = self.queue.poll()?;
        Some(Landed {
            tag: finished.payload.tag,
            buffer: finished.payload.buffer,
            bytes: finished.bytes as usize,
            end: finished.end,
            error: finished.error,
        })
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.files.sweep(self.queue.ring());
        self.queue.wait(timeout)
    }

    fn inflight(&self) -> u32 {
        self.queue.inflight()
    }

    fn capacity(&self) -> u32 {
        self.queue.capacity()
    }

    fn stats(&self) -> ReaderStats {
        ReaderStats {
            fixed_files: self.files.live() as u64,
            unregistered_reason: self.buffers.refused().map(str::to_owned),
            ..ReaderStats::from(self.queue.counters())
        }
    }

    fn streaming(&self, file: &Arc<OwnedFd>) -> bool {
        self.queue
            .payloads()
            .any(|owned| owned.stream && Arc::ptr_eq(&owned.file, file))
    }
}
