//! The io_uring engine: a ring whose reads own their payload and their file.

use super::method::{ReadMethod, ReadMethods};
use super::positioned::PositionedEngine;
use super::{Completion, Engine, ReadRequest, ReadSource, SharedFile, Target};
use crate::lifeline::Ring;
use crate::queue::{full, DropPolicy, Finished, ReadOp, ReadQueue, NO_OFFSET};
use crate::setup::SetupFlags;
use crate::stats::ReadStats;
use crate::tables::{BufferTable, FileTable};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use io_uring::{cqueue, squeue, IoUring};
use std::time::Duration;

/// Why some files are not read by the ring, for reports.
pub(crate) const FUSE_REASON: &str =
    "files of FUSE file systems are read by pread: Linux repeats bytes where a ring's read of such a file is short";

/// What a read owns while it is in flight.
struct Owned<P> {
    payload: P,
    source: ReadSource,
    /// Set while it is not known yet whether the ring may read this file.
    probing: bool,
}

/// Field order matters: the ring must be dropped before the table that keeps its registered memory alive.
pub(crate) struct UringEngine<P> {
    queue: ReadQueue<Owned<P>>,
    buffers: BufferTable,
    files: FileTable,
    methods: ReadMethods,
    /// Reads of files that the ring must not read.
    plain: PositionedEngine<P>,
}

impl<P> UringEngine<P> {
    pub(crate) fn new(
        ring: Ring<squeue::Entry, cqueue::Entry>,
        depth: u32,
        policy: DropPolicy,
    ) -> Self {
        let queue = ReadQueue::new(ring, depth, policy);
        UringEngine {
            plain: PositionedEngine::new(queue.capacity()),
            queue,
            buffers: BufferTable::default(),
            files: FileTable::default(),
            methods: ReadMethods::default(),
        }
    }

    /// The ring, to register memory with; `None` once it has failed.
    pub(crate) fn ring(&self) -> Option<&IoUring> {
        self.queue.ring()
    }

    /// The setup flags of the ring.
    pub(crate) fn flags(&self) -> SetupFlags {
        self.queue.flags()
    }

    /// The payloads of the ring's reads that have not ended.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &P> {
        self.queue.payloads().map(|owned| &owned.payload)
    }

    /// Submits a read to the ring. `probing` makes it a probe for whether the ring may read the file.
    ///
    /// # Safety
    /// As [`Engine::submit`].
    unsafe fn submit_to_ring(
        &mut self,
        request: ReadRequest<'_>,
        payload: P,
        probing: bool,
    ) -> Result<(), (P, PipelineError)> {
        let (fd, fixed_file) = match (&request.source, self.queue.ring()) {
            (ReadSource::Shared(file), Some(ring)) => self.files.target(ring, file),
            (source, _) => (source.fd(), false),
        };
        let op = ReadOp {
            fd,
            fixed_file,
            address: request.target.address,
            len: request.len,
            offset: request.offset,
            fixed_buffer: request.target.fixed_buffer,
            take_short: request.offset == NO_OFFSET && !request.fill,
            known_end: request.known_end,
            probing,
        };
        let owned = Owned {
            payload,
            source: request.source,
            probing,
        };
        // SAFETY: the caller keeps the target, which has `len` bytes, as `ReadQueue::submit` asks; the payload holds
        // the file, or the caller keeps it open. A file in a slot stays there while the payload's `Arc` keeps its count
        // above zero (`FileTable::sweep`).
        unsafe { self.queue.submit(op, owned) }.map_err(|(owned, error)| (owned.payload, error))
    }

    /// Releases the files that nobody else holds.
    fn sweep(&mut self) {
        if let Some(ring) = self.queue.ring() {
            self.files.sweep(ring);
        }
    }

    /// Handles a probing read that the file system refused: submits it again in another way, or completes it with the
    /// error.
    fn refused(&mut self, owned: Owned<P>, op: &ReadOp) -> Option<Completion<P>> {
        let Owned {
            payload, source, ..
        } = owned;
        let method = match &source {
            ReadSource::Shared(file) => self.methods.ask(file),
            ReadSource::Open(_) => ReadMethod::Ring,
        };
        let request = ReadRequest {
            source,
            offset: op.offset,
            len: op.len,
            fill: !op.take_short,
            // FUSE may report a size that its files do not have.
            known_end: None,
            whole_file: false,
            target: Target {
                address: op.address,
                capacity: op.len as usize,
                fixed_buffer: op.fixed_buffer,
                peer: None,
            },
        };
        // SAFETY: the submitter of this read has promised the same for it, until its completion is taken.
        let again = unsafe {
            match method {
                ReadMethod::Plain => self.plain.submit(request, payload),
                ReadMethod::Ring => {
                    let submitted = self.submit_to_ring(request, payload, false);
                    // If the ring fails, its reads end with the errno.
                    let _ = self.queue.flush();
                    submitted
                }
            }
        };
        let (payload, error) = again.err()?;
        let errno = error.errno().unwrap_or(libc::EOPNOTSUPP);
        Some(Completion::failed(payload, errno))
    }
}

impl<P> Engine<P> for UringEngine<P> {
    unsafe fn submit(
        &mut self,
        request: ReadRequest<'_>,
        payload: P,
    ) -> Result<(), (P, PipelineError)> {
        if self.inflight() >= self.capacity() {
            return Err((payload, full()));
        }
        let method = match &request.source {
            // A caller that passes a descriptor is responsible for what it is open on.
            ReadSource::Open(_) => Some(ReadMethod::Ring),
            ReadSource::Shared(file) => match self.methods.of(file) {
                // A stream cannot be probed, because a read consumes its bytes. So its file system is looked up;
                // streams are rare.
                None if request.offset == NO_OFFSET => Some(self.methods.ask(file)),
                known => known,
            },
        };
        // SAFETY: the caller's promises are the same.
        unsafe {
            match method {
                Some(ReadMethod::Plain) => self.plain.submit(request, payload),
                Some(ReadMethod::Ring) => self.submit_to_ring(request, payload, false),
                None => self.submit_to_ring(request, payload, true),
            }
        }
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        self.sweep();
        self.queue.flush()
    }

    fn poll(&mut self) -> Option<Completion<P>> {
        while let Some(finished) = self.queue.poll() {
            let Finished {
                payload: owned,
                op,
                bytes,
                end,
                error,
                unanswered,
            } = finished;
            if owned.probing && error == Some(libc::EOPNOTSUPP) {
                match self.refused(owned, &op) {
                    Some(completion) => return Some(completion),
                    None => continue,
                }
            }
            let end = end || (error.is_none() && op.known_end == Some(bytes));
            if let (true, false, None, ReadSource::Shared(file)) =
                (owned.probing, end, error, &owned.source)
            {
                // There are more bytes of it to read.
                self.methods.learn(file, ReadMethod::Ring);
            }
            return Some(Completion {
                payload: owned.payload,
                bytes,
                by_disk: 0,
                end,
                error,
                command: None,
                of_file: true,
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

    fn has_completed(&self) -> bool {
        self.queue.has_finished() || self.plain.has_completed()
    }

    fn inflight(&self) -> u32 {
        self.queue.inflight() + self.plain.inflight()
    }

    fn capacity(&self) -> u32 {
        self.queue.capacity()
    }

    fn stats(&self) -> ReadStats {
        let plain = self.plain.stats();
        let plain_reason = (plain.reads > 0).then(|| FUSE_REASON.to_owned());
        let mut stats = ReadStats {
            fixed_files: self.files.live() as u64,
            unregistered_reason: self.buffers.refused().map(str::to_owned).or(plain_reason),
            ..ReadStats::from(self.queue.counters())
        };
        stats += plain;
        stats
    }

    fn broken(&self) -> Option<i32> {
        self.queue.broken()
    }

    fn is_streaming(&self, source: &ReadSource) -> bool {
        let in_ring = self
            .queue
            .reads()
            .any(|(op, owned)| op.offset == NO_OFFSET && owned.source.is(source));
        in_ring || self.plain.is_streaming(source)
    }

    fn fixed_buffer(&mut self, chunk: &mut ChunkBuf) -> Result<u16, i32> {
        // A failed ring accepts no more reads.
        let ring = self.queue.ring().ok_or(libc::EBADF)?;
        let index = self.buffers.index_of(ring, chunk);
        index.ok_or_else(|| self.buffers.errno().unwrap_or(libc::EOPNOTSUPP))
    }

    fn learn_ring_reads(&mut self, file: &SharedFile) {
        self.methods.learn(file, ReadMethod::Ring);
    }
}
