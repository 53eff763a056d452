//! The io_uring engine: a ring of its own, whose reads own their chunk and their file.

use super::manner::{Manner, Manners};
use super::positioned::PositionedEngine;
use super::{Engine, Landed, Read, ReaderStats};
use crate::lifeline::Ring;
use crate::queue::{full, Farewell, Finished, ReadOp, ReadQueue, NO_OFFSET};
use crate::setup;
use crate::tables::{BufferTable, FileTable};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// How long a dropped reader waits for a device that does not answer; after that the chunks in flight are leaked.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why some files are not read by the ring, for reports.
pub const FUSE_REASON: &str = "files of FUSE file systems are read by pread: Linux repeats bytes where a ring's read of such \
                            a file is short";

/// What a read owns while it is in flight: all that it was submitted with.
struct Owned {
    read: Read,
    /// Nobody knew yet whether the ring may read this file.
    probing: bool,
}

/// Field order matters: the ring goes before the table that keeps its registered memory alive.
pub(super) struct UringEngine {
    queue: ReadQueue<Owned>,
    buffers: BufferTable,
    files: FileTable,
    manners: Manners,
    /// Reads of files that the ring must not read.
    plain: PositionedEngine,
}

impl UringEngine {
    pub(super) fn new(depth: u32) -> Result<Self, PipelineError> {
        let ring = Ring::new(setup::build(depth, false)?)?;
        let queue = ReadQueue::new(ring, depth, Farewell::LeakAfter(PATIENCE));
        Ok(UringEngine {
            plain: PositionedEngine::new(queue.capacity()),
            queue,
            buffers: BufferTable::default(),
            files: FileTable::default(),
            manners: Manners::default(),
        })
    }

    /// Gives a read to the ring; `probing` asks whether it may have it.
    fn submit_to_ring(
        &mut self,
        mut read: Read,
        probing: bool,
    ) -> Result<(), (ChunkBuf, PipelineError)> {
        if let Err(error) = self.queue.room() {
            return Err((read.buffer, error));
        }
        // `room` has seen that the ring has not failed, so there is one.
        let ring = self.queue.ring();
        let fixed_buffer = ring
            .filter(|_| read.registered)
            .and_then(|ring| self.buffers.index_of(ring, &mut read.buffer));
        let (fd, fixed_file) = match ring {
            Some(ring) => self.files.target(ring, &read.file),
            None => (read.file.as_raw_fd(), false),
        };
        let op = ReadOp {
            fd,
            fixed_file,
            address: read.buffer.as_mut_ptr(),
            len: read.len,
            offset: read.offset,
            fixed_buffer,
            take_short: read.offset == NO_OFFSET,
            known_end: read.known_end,
            probing,
        };
        let owned = Owned { read, probing };
        // SAFETY: the address is the start of the chunk, `len` is at most its capacity (`ChunkReader::submit`), and
        // the payload holds both the chunk's only `ChunkBuf` (so nobody else touches the bytes, and the arena stays
        // mapped even if the payload is leaked) and the file. A file in a slot stays there while the payload's `Arc`
        // keeps its count above zero (`FileTable::sweep`).
        unsafe { self.queue.submit(op, owned) }.map_err(|(owned, error)| (owned.read.buffer, error))
    }

    /// Lets go of the files that nobody else holds.
    fn sweep(&mut self) {
        if let Some(ring) = self.queue.ring() {
            self.files.sweep(ring);
        }
    }

    /// A read that the file system would not do without waiting: done otherwise, or landed with why not.
    fn refused(&mut self, mut read: Read) -> Option<Landed> {
        let tag = read.tag;
        // FUSE may tell a size that its files do not have.
        read.known_end = None;
        let again = match self.manners.ask(&read.file) {
            Manner::Plain => self.plain.submit(read),
            Manner::Ring => {
                let submitted = self.submit_to_ring(read, false);
                // Where the ring fails, its reads land with the errno.
                let _ = self.queue.flush();
                submitted
            }
        };
        let (buffer, error) = again.err()?;
        let errno = match error {
            PipelineError::IoUringSyscall { errno, .. } => errno,
            _ => libc::EOPNOTSUPP,
        };
        Some(Landed {
            tag,
            buffer,
            bytes: 0,
            end: false,
            error: Some(errno),
            unanswered: false,
        })
    }
}

impl Engine for UringEngine {
    fn submit(&mut self, read: Read) -> Result<(), (ChunkBuf, PipelineError)> {
        if self.inflight() >= self.capacity() {
            return Err((read.buffer, full()));
        }
        let known = self.manners.of(&read.file);
        let manner = match known {
            // A stream cannot be probed: what a read of it takes is gone. Streams are few.
            None if read.offset == NO_OFFSET => Some(self.manners.ask(&read.file)),
            known => known,
        };
        match manner {
            Some(Manner::Plain) => self.plain.submit(read),
            Some(Manner::Ring) => self.submit_to_ring(read, false),
            None => self.submit_to_ring(read, true),
        }
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        self.sweep();
        self.queue.flush()
    }

    fn poll(&mut self) -> Option<Landed> {
        while let Some(finished) = self.queue.poll() {
            let Finished {
                payload: Owned { read, probing },
                bytes,
                end,
                error,
                unanswered,
                ..
            } = finished;
            if probing && error == Some(libc::EOPNOTSUPP) {
                match self.refused(read) {
                    Some(landed) => return Some(landed),
                    None => continue,
                }
            }
            let end = end || (error.is_none() && read.known_end == Some(bytes));
            if probing && !end && error.is_none() {
                // There is more of it to read.
                self.manners.learn(&read.file, Manner::Ring);
            }
            return Some(Landed {
                tag: read.tag,
                buffer: read.buffer,
                bytes: bytes as usize,
                end,
                error,
                unanswered,
            });
        }
        self.plain.poll()
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.sweep();
        if self.plain.inflight() == 0 {
            return self.queue.wait(timeout);
        }
        self.queue.flush()?;
        if self.queue.inflight() == 0 {
            return self.plain.wait(timeout);
        }
        Ok(())
    }

    fn inflight(&self) -> u32 {
        self.queue.inflight() + self.plain.inflight()
    }

    fn capacity(&self) -> u32 {
        self.queue.capacity()
    }

    fn stats(&self) -> ReaderStats {
        let plain = self.plain.stats();
        let plain_reason = (plain.reads > 0).then(|| FUSE_REASON.to_owned());
        let mut stats = ReaderStats {
            fixed_files: self.files.live() as u64,
            unregistered_reason: self.buffers.refused().map(str::to_owned).or(plain_reason),
            ..ReaderStats::from(self.queue.counters())
        };
        stats += plain;
        stats
    }

    fn broken(&self) -> Option<i32> {
        self.queue.broken()
    }

    fn learn_ring_reads(&mut self, file: &Arc<OwnedFd>) {
        self.manners.learn(file, Manner::Ring);
    }

    fn streaming(&self, file: &Arc<OwnedFd>) -> bool {
        self.plain.streaming(file)
            || self
                .queue
                .payloads()
                .any(|owned| owned.read.offset == NO_OFFSET && Arc::ptr_eq(&owned.read.file, file))
    }
}
