//! Reads of chunks, through one interface for all read paths.
//!
//! A [`ChunkReader`] belongs to the thread that made it. A [`ChunkBuf`] given to [`ChunkReader::submit`] belongs to the
//! reader, together with a reference to the file, until [`ChunkReader::poll`] returns it in a [`ReadOutcome`]; nobody
//! can access the bytes in between. Dropping the reader cancels the reads in flight and waits for them, for at most ten
//! seconds. If a device has not answered by then, the chunk of its read is leaked together with a reference to the
//! chunk's arena, so the memory stays mapped and nobody else gets it.
//!
//! A reader drives one of the engines (`engine`), which [`ReadPath`] names. [`ChunkReader::path`], [`ChunkReader::why`]
//! and [`ChunkReader::stats`] tell which one it is, and why.

pub use crate::admit::DeviceRange;
pub use crate::engine::CHANGED;
pub use crate::fs::is_on_fuse;
pub use crate::path::{Capabilities, ReadPath, ReadPathChoice};
pub use crate::queue::NO_OFFSET;
pub use crate::stats::ReadStats;

use crate::admit;
use crate::engine::passthrough::PassthroughEngine;
use crate::engine::peer::PeerEngine;
use crate::engine::positioned::PositionedEngine;
use crate::engine::uring::UringEngine;
use crate::engine::{Completion, Engine, ReadRequest, ReadSource, SharedFile, Target};
use crate::gpudirect;
use crate::lifeline::Ring;
use crate::nvme::{CommandPlace, NvmeStatus};
use crate::queue::{self, DropPolicy};
use crate::setup;
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// How long a dropped reader waits for devices that do not answer, before it leaks the chunks of their reads.
const POLICY: DropPolicy = DropPolicy::LeakAfter(Duration::from_secs(10));

/// The configuration of a [`ChunkReader`].
#[derive(Debug, Clone, Copy)]
pub struct ReaderConfig {
    /// Most reads in flight at once; 1 to 4096.
    pub depth: u32,
    /// Which path to take.
    pub path: ReadPathChoice,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        ReaderConfig {
            depth: 8,
            path: ReadPathChoice::Auto,
        }
    }
}

/// Further requirements on a reader, in addition to its [`ReaderConfig`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReaderDemands {
    /// The range that the reader sees of each NVMe namespace. The reader's offset 0 is the start of the range, and the
    /// namespace ends for it where the range ends. A read of a namespace that does not contain the range is refused at
    /// submission.
    pub device_range: Option<DeviceRange>,
    /// Whether every read by io_uring must go into a registered chunk. If a chunk cannot be registered, the read is
    /// refused.
    pub all_registered: bool,
}

/// A read that is over.
#[derive(Debug)]
pub struct ReadOutcome {
    /// The number with which the read was submitted.
    pub tag: u64,
    /// The chunk. Its first `bytes` bytes are those that were read.
    pub buffer: ChunkBuf,
    /// Bytes that landed.
    pub bytes: usize,
    /// Whether the file ends after these bytes: a read returned 0.
    pub end: bool,
    /// The error that ended the read; the bytes before it are valid. It is an errno, the negated status of an NVMe
    /// command, or [`CHANGED`]. [`ReadOutcome::reason`] describes it in words.
    pub error: Option<i32>,
    /// The kernel had this read when the reader's ring failed, and its result never became known. If the source is a
    /// stream, the read may have consumed bytes, which are lost; a file can be read again.
    pub unanswered: bool,
    /// The place of a failed command, for reads of a namespace, where places are known only by blocks.
    command: Option<CommandPlace>,
}

impl ReadOutcome {
    /// The error that ended the read, in words.
    pub fn reason(&self) -> Option<String> {
        let error = self.error?;
        Some(match u16::try_from(error.wrapping_neg()) {
            _ if error == CHANGED => {
                "the file changed while it was read past its file system".into()
            }
            Ok(status) => {
                let place = self.command.as_ref();
                let place = place.map_or(String::new(), |place| {
                    format!(", by the command at LBA {}", place.lba)
                });
                format!("the disk: {}{place}", NvmeStatus(status))
            }
            Err(_) => setup::words_for(error),
        })
    }
}

/// What a read owns while it is in flight.
struct ChunkRead {
    buffer: ChunkBuf,
    tag: u64,
    /// Bytes that were asked for.
    len: u32,
}

/// Reads chunks of files, many at once. Reads complete in any order.
///
/// It stays on the thread that made it: a ring belongs to one thread.
pub struct ChunkReader {
    engine: Box<dyn Engine<ChunkRead>>,
    path: ReadPath,
    why: Option<String>,
    /// Whether reads into chunks that cannot be registered are refused.
    all_registered: bool,
    /// Counts submitted reads and how they ended; the engine counts everything else.
    counts: ReadStats,
    /// The bytes that reads in flight asked for.
    inflight_bytes: u64,
    /// Neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl ChunkReader {
    /// Makes a reader for the calling thread.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] if the demanded path needs io_uring, which is refused; an error with the
    /// reason if passthrough is demanded and this machine has none; [`PipelineError::InvalidArgument`] for a depth of 0
    /// or above 4096.
    pub fn new(config: ReaderConfig) -> Result<Self, PipelineError> {
        Self::with_demands(config, ReaderDemands::default())
    }

    /// As [`ChunkReader::new`], but for a reader with further requirements.
    ///
    /// # Errors
    /// As there.
    pub fn with_demands(
        config: ReaderConfig,
        demands: ReaderDemands,
    ) -> Result<Self, PipelineError> {
        let depth = config.depth;
        if depth == 0 || depth > setup::MAX_ENTRIES {
            return Err(PipelineError::InvalidArgument {
                what: "a read depth that is not between 1 and 4096",
                fix: "use a depth of 1 to 4096",
            });
        }
        let positioned = |why| {
            let engine = Box::new(PositionedEngine::new(depth));
            Ok(Self::over(engine, ReadPath::PositionedRead, why, demands))
        };
        let path = match config.path {
            ReadPathChoice::Auto => ReadPath::RegisteredMappedRead,
            ReadPathChoice::Only(path) => path,
        };
        let engine: Box<dyn Engine<ChunkRead>> = match path {
            ReadPath::PositionedRead => return positioned(None),
            ReadPath::GpuDirectNvmePassthrough => {
                gpudirect::require()?;
                Box::new(PassthroughEngine::new(depth, POLICY, demands.device_range)?)
            }
            ReadPath::PeerRead => Box::new(PeerEngine::new(depth, POLICY)?),
            ReadPath::RegisteredMappedRead => {
                match setup::build(depth, false).and_then(Ring::new) {
                    Ok(ring) => Box::new(UringEngine::new(ring, depth, POLICY)),
                    Err(error) if config.path == ReadPathChoice::Auto => {
                        return positioned(Some(format!("io_uring is refused: {error}")));
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(Self::over(engine, path, None, demands))
    }

    fn over(
        engine: Box<dyn Engine<ChunkRead>>,
        path: ReadPath,
        why: Option<String>,
        demands: ReaderDemands,
    ) -> Self {
        ChunkReader {
            engine,
            path,
            why,
            all_registered: demands.all_registered
                && path.capabilities().has(Capabilities::FIXED_BUFFERS),
            counts: ReadStats::default(),
            inflight_bytes: 0,
            thread: PhantomData,
        }
    }

    /// Queues a read of `len` bytes at `offset` into the start of `buffer`. Nothing happens before
    /// [`ChunkReader::flush`] or [`ChunkReader::wait`].
    ///
    /// `offset` is [`NO_OFFSET`] for a stream; a stream can have only one read in flight. `registered` asks for a
    /// registered buffer, which pays off if the chunk will be read into many times. A chunk is registered at the first
    /// read that asks for it. If that fails, the read is done unregistered, and [`ReadStats`] says why.
    ///
    /// # Errors
    /// The buffer, together with [`PipelineError::QueueFull`] if [`ChunkReader::capacity`] reads are in flight;
    /// [`PipelineError::InvalidArgument`] for a length of 0 or above the buffer's, for an offset out of range, or for a
    /// second read of a stream; or the reason why the path cannot read this file into this buffer.
    pub fn submit(
        &mut self,
        file: &Arc<OwnedFd>,
        offset: u64,
        buffer: ChunkBuf,
        len: usize,
        tag: u64,
        registered: bool,
    ) -> Result<(), (ChunkBuf, PipelineError)> {
        self.queue(file, offset, buffer, len, tag, registered, None)
    }

    /// Queues the first read of a file whose size was `size` when it was looked up; `size` may be 0 if it is unknown.
    /// The read is for `len` bytes at offset 0, as by [`ChunkReader::submit`] without a registered buffer. If exactly
    /// `size` bytes land, and these are fewer than `len`, the file has ended there ([`ReadOutcome::end`]), and no
    /// second read is made to find its end. For a file on FUSE, which is read by `pread`, the second read is made
    /// nevertheless.
    ///
    /// # Errors
    /// As [`ChunkReader::submit`].
    pub fn submit_first(
        &mut self,
        file: &Arc<OwnedFd>,
        buffer: ChunkBuf,
        len: usize,
        tag: u64,
        size: u64,
    ) -> Result<(), (ChunkBuf, PipelineError)> {
        let known_end = u32::try_from(size).ok();
        let known_end = known_end.filter(|&size| size > 0 && (size as usize) < len);
        self.queue(file, 0, buffer, len, tag, false, known_end)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one for each thing that a read is made of"
    )]
    fn queue(
        &mut self,
        file: &Arc<OwnedFd>,
        offset: u64,
        mut buffer: ChunkBuf,
        len: usize,
        tag: u64,
        registered: bool,
        known_end: Option<u32>,
    ) -> Result<(), (ChunkBuf, PipelineError)> {
        let source = ReadSource::Shared(Arc::clone(file) as SharedFile);
        let checked = self.check(&source, offset, &buffer, len).and_then(|len| {
            let fixed_buffer = self.fixed_buffer(&mut buffer, registered)?;
            Ok((len, fixed_buffer))
        });
        let (len, fixed_buffer) = match checked {
            Ok(checked) => checked,
            Err(error) => return Err((buffer, error)),
        };
        // The chunk moves into the engine, so its arena, which holds the device's name, must be kept separately.
        let memory = buffer.memory();
        let memory = memory.peer().is_some().then(|| Arc::clone(memory));
        let request = ReadRequest {
            source,
            offset,
            len,
            fill: false,
            known_end,
            whole_file: true,
            target: Target {
                address: buffer.as_mut_ptr(),
                capacity: buffer.capacity(),
                fixed_buffer,
                peer: memory.as_ref().and_then(|memory| memory.peer()),
            },
        };
        if let Err(error) = admit::request(self.path, &request) {
            return Err((buffer, error));
        }
        let read = ChunkRead { buffer, tag, len };
        // SAFETY: the target is a whole chunk, and the payload holds its only `ChunkBuf`: nobody else touches the
        // bytes, and the arena stays mapped for as long as the payload exists, even if it is leaked. The source is a
        // shared file. `fixed_buffer` is the chunk's.
        unsafe { self.engine.submit(request, read) }
            .map_err(|(read, error)| (read.buffer, error))?;
        // No reader runs long enough to fill a counter.
        let _ = self.counts.count_submitted(len);
        self.inflight_bytes += u64::from(len);
        Ok(())
    }

    /// Checks a read, and that there is room for it, and returns its length.
    fn check(
        &self,
        source: &ReadSource,
        offset: u64,
        buffer: &ChunkBuf,
        len: usize,
    ) -> Result<u32, PipelineError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        if len == 0 || len > buffer.capacity() {
            return invalid(
                "a read of no bytes or of more than its chunk holds",
                "read at least 1 byte and at most the chunk's size",
            );
        }
        let past_the_end = offset
            .checked_add(len as u64)
            .is_none_or(|end| i64::try_from(end).is_err());
        if offset != NO_OFFSET && past_the_end {
            return invalid(
                "a read beyond the greatest file offset",
                "keep offset and length below 2^63",
            );
        }
        if offset == NO_OFFSET && self.engine.is_streaming(source) {
            return invalid(
                "a second read of a stream while the first is in flight",
                "wait for the first to land: a stream has no offsets to tell them apart",
            );
        }
        if self.engine.inflight() >= self.engine.capacity() {
            return Err(queue::full());
        }
        u32::try_from(len)
            .or_else(|_| invalid("a read of 4 GiB or more", "use chunks of at most 1 GiB"))
    }

    /// The registered buffer for a read into this chunk, if it must or should use one.
    fn fixed_buffer(
        &mut self,
        buffer: &mut ChunkBuf,
        registered: bool,
    ) -> Result<Option<u16>, PipelineError> {
        if !registered && !self.all_registered {
            return Ok(None);
        }
        match self.engine.fixed_buffer(buffer) {
            Err(errno) if self.all_registered => {
                Err(setup::refused("io_uring_register(BUFFERS)", errno))
            }
            index => Ok(index.ok()),
        }
    }

    /// Records that the file that is read next does not lie on FUSE, so that its file system need not be queried.
    pub(crate) fn learn_ring_reads(&mut self, file: &Arc<OwnedFd>) {
        let file: SharedFile = Arc::clone(file) as SharedFile;
        self.engine.learn_ring_reads(&file);
    }

    /// Submits all queued reads to the kernel, usually in one system call. Reads of cached bytes have completed when it
    /// returns. If the kernel has other reads of this reader and no room for these, they stay queued;
    /// [`ChunkReader::wait`] and the next flush try again.
    ///
    /// # Errors
    /// An error if the ring fails permanently. The next `flush` or [`ChunkReader::wait`] returns this error, once. From
    /// then on [`ChunkReader::submit`] refuses with the same error, and `poll` still returns **every** read with its
    /// buffer: reads that the kernel had completed with their results, the others with the errno
    /// ([`ReadOutcome::error`]). Some may come late, because the kernel releases the memory only when it has ended the
    /// read. [`ChunkReader::inflight`] counts the reads that are still to come, and `while reader.inflight() > 0 {
    /// reader.wait(..)?; while let Some(outcome) = reader.poll() { .. } }` gets it all, `wait` having no further error.
    pub fn flush(&mut self) -> Result<(), PipelineError> {
        self.engine.flush()
    }

    /// The next read that has ended, in the order of completion. This does not wait, except that a positioned read of a
    /// file is carried out here, however long it takes. Short reads of files are continued until all requested bytes
    /// have landed, the file ends or an error occurs. A stream's read lands with the bytes that were available.
    pub fn poll(&mut self) -> Option<ReadOutcome> {
        let Completion {
            payload: ChunkRead { buffer, tag, len },
            bytes,
            by_disk,
            end,
            error,
            command,
            of_file,
            unanswered,
        } = self.engine.poll()?;
        self.inflight_bytes -= u64::from(len);
        if error.is_some() {
            let _ = self.counts.count_failed();
        } else {
            self.counts.count_ended(len, bytes, by_disk);
        }
        Some(ReadOutcome {
            tag,
            buffer,
            bytes: bytes as usize,
            end,
            error,
            unanswered,
            command: command.filter(|_| !of_file),
        })
    }

    /// Flushes, then waits until a read has ended, none is in flight, a signal arrives, or `timeout` has passed.
    ///
    /// # Errors
    /// As [`ChunkReader::flush`].
    pub fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.engine.wait(timeout)
    }

    /// Why this reader accepts no more reads: its ring has failed permanently. `None` if it has not. Reads that
    /// [`ChunkReader::poll`] returns with an error after the failure may have failed only for that reason, and another
    /// reader may read them again. This holds for a stream only if the read is not
    /// [unanswered](ReadOutcome::unanswered).
    pub fn failure(&self) -> Option<PipelineError> {
        let errno = self.engine.broken()?;
        Some(setup::refused("io_uring_enter", errno))
    }

    /// Submitted reads that [`ChunkReader::poll`] has not returned yet.
    pub fn inflight(&self) -> u32 {
        self.engine.inflight()
    }

    /// Most reads in flight at once.
    pub fn capacity(&self) -> u32 {
        self.engine.capacity()
    }

    /// What the reader has done so far.
    pub fn stats(&self) -> ReadStats {
        let mut stats = self.engine.stats();
        stats += self.counts.clone();
        stats
    }

    /// Ends the reader, and returns what it has done. Reads in flight are cancelled, and do not count as submitted.
    pub fn end(mut self) -> ReadStats {
        self.counts.submitted_reads -= self.counts.inflight_reads();
        self.counts.submitted_bytes -= self.inflight_bytes;
        self.stats()
    }

    /// The path taken.
    pub fn path(&self) -> ReadPath {
        self.path
    }

    /// Why [`ReadPathChoice::Auto`] did not choose io_uring, and how to change that; `None` if it did, or if a path was
    /// demanded.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }
}

impl std::fmt::Debug for ChunkReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkReader")
            .field("path", &self.path)
            .field("why", &self.why)
            .field("inflight", &self.inflight())
            .finish_non_exhaustive()
    }
}
