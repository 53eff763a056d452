//! Reading chunks: the one interface behind which all ways to read are interchangeable.
//!
//! A [`ChunkReader`] belongs to the thread that made it. A [`ChunkBuf`] given to [`ChunkReader::submit`] belongs to the
//! reader, together with a reference to the file, until [`ChunkReader::poll`] returns it in a [`ReadOutcome`]; there is
//! no way to reach the bytes in between. Dropping the reader cancels what is in flight and waits for it, for ten
//! seconds at most: where a device has not answered by then, its chunk is leaked, and with it a reference to its arena,
//! so the memory stays mapped and nobody else gets it.
//!
//! A reader drives one of the engines (`engine`), which [`ReadPath`] names. Which one it is, and why, is never hidden:
//! [`ChunkReader::path`], [`ChunkReader::why`], [`ChunkReader::stats`].

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

/// What becomes of reads whose device does not answer a dropped reader: after this long their chunks are leaked.
const POLICY: DropPolicy = DropPolicy::LeakAfter(Duration::from_secs(10));

/// What a [`ChunkReader`] is made from.
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

/// What a reader is held to beside its [`ReaderConfig`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReaderDemands {
    /// Of each NVMe namespace that is read, the range that the reader sees: it begins at offset 0 and ends where the
    /// range does. A read of a namespace that has no such range is refused when it is submitted.
    pub device_range: Option<DeviceRange>,
    /// Whether every read by io_uring must go into a registered chunk; where one cannot be registered, the read is
    /// refused.
    pub all_registered: bool,
}

/// A read that is over.
#[derive(Debug)]
pub struct ReadOutcome {
    /// The number that the read was submitted with.
    pub tag: u64,
    /// The chunk, whose first `bytes` bytes are what was read.
    pub buffer: ChunkBuf,
    /// Bytes that landed.
    pub bytes: usize,
    /// The file ends after these bytes: a read returned 0.
    pub end: bool,
    /// What ended the read; the bytes before it are valid. An errno; of an NVMe command, the device's status, negated;
    /// or [`CHANGED`]. [`ReadOutcome::reason`] says it in words.
    pub error: Option<i32>,
    /// The kernel had this read when the reader's ring failed, and never said what it did: a stream may have lost bytes
    /// to it, a file can be read again.
    pub unanswered: bool,
    /// Where the command reads that failed, of a namespace, which has no other places than its blocks.
    command: Option<CommandPlace>,
}

impl ReadOutcome {
    /// What ended the read, in words.
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

/// Reads chunks of files, many at once, completed in any order.
///
/// It stays on the thread that made it: a ring belongs to one thread.
pub struct ChunkReader {
    engine: Box<dyn Engine<ChunkRead>>,
    path: ReadPath,
    why: Option<String>,
    /// Whether reads into chunks that cannot be registered are refused.
    all_registered: bool,
    /// What was submitted and how it ended; the engine counts the rest.
    counts: ReadStats,
    /// Bytes that reads in flight were asked for.
    inflight_bytes: u64,
    /// Neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl ChunkReader {
    /// Makes a reader for the calling thread.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where a path is demanded that needs io_uring, which is refused; the reason
    /// where passthrough is demanded and this machine has none; [`PipelineError::InvalidArgument`] for a depth of 0 or
    /// above 4096.
    pub fn new(config: ReaderConfig) -> Result<Self, PipelineError> {
        Self::with_demands(config, ReaderDemands::default())
    }

    /// As [`ChunkReader::new`], of a reader that is held to more.
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
    /// `offset` is [`NO_OFFSET`] for a stream, of which one read may be in flight at a time. `registered` asks for a
    /// registered buffer, which pays when the chunk will be read into many times: a chunk is registered when it is
    /// first used so, and where that fails the read is done unregistered and [`ReadStats`] say why.
    ///
    /// # Errors
    /// The buffer, with [`PipelineError::QueueFull`] where [`ChunkReader::capacity`] reads are in flight;
    /// [`PipelineError::InvalidArgument`] for a length of 0 or above the buffer's, an offset out of range, or a second
    /// read of a stream; the reason where the path cannot read this file into this buffer.
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

    /// Queues the first read of a file that was seen to have `size` bytes, which may be 0 where nobody knows: `len`
    /// bytes at offset 0, as [`ChunkReader::submit`] does without a registered buffer. Where fewer bytes than `len`
    /// land and they are as many as `size`, the file has ended there ([`ReadOutcome::end`]), and no second read asks
    /// for its end. A file that the ring leaves to `pread` as it lies on FUSE is asked all the same.
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
        // The chunk moves into the engine, and with it what names its device.
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
        // No reader lives to fill a counter.
        let _ = self.counts.count_submitted(len);
        self.inflight_bytes += u64::from(len);
        Ok(())
    }

    /// The length of a read that is in order and for which there is room.
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

    /// The registered buffer for a read into this chunk, where there is to be one.
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

    /// Notes that a file which is read next does not lie on FUSE, so that its file system need not be asked.
    pub(crate) fn learn_ring_reads(&mut self, file: &Arc<OwnedFd>) {
        let file: SharedFile = Arc::clone(file) as SharedFile;
        self.engine.learn_ring_reads(&file);
    }

    /// Hands all queued reads to the kernel, in one system call as a rule. Reads of cached bytes are done when it
    /// returns. What the kernel has no room for at the moment stays queued, if it has other reads of this reader:
    /// [`ChunkReader::wait`] and the next flush ask again.
    ///
    /// # Errors
    /// Where the ring fails for good. The next `flush` or [`ChunkReader::wait`] returns this error, once. From then on
    /// [`ChunkReader::submit`] refuses, with the same error, and **every** read still comes back by `poll`, with its
    /// buffer: those that the kernel had completed as they were, the others with the errno ([`ReadOutcome::error`]).
    /// Some may come late, as the kernel lets go of the memory when it has ended the read, and no earlier:
    /// [`ChunkReader::inflight`] counts what is still to come, and `while reader.inflight() > 0 { reader.wait(..)?;
    /// while let Some(outcome) = reader.poll() { .. } }` gets it all, `wait` having no further error.
    pub fn flush(&mut self) -> Result<(), PipelineError> {
        self.engine.flush()
    }

    /// The next read that is over, in the order of completion. It does not wait (but a positioned read of a file is
    /// done here, and takes what it takes). Short reads of files are continued until the length asked for, the file's
    /// end or an error; a stream's read lands with what there was.
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

    /// Flushes, then waits until a read is over, none is in flight, a signal arrives, or `timeout` has passed.
    ///
    /// # Errors
    /// As [`ChunkReader::flush`].
    pub fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.engine.wait(timeout)
    }

    /// Why this reader takes no more reads: its ring has failed for good. What [`ChunkReader::poll`] returns with an
    /// error since then may have failed for that reason alone, and may be read anew by another reader, streams only
    /// where the read is not [unanswered](ReadOutcome::unanswered).
    pub fn failure(&self) -> Option<PipelineError> {
        let errno = self.engine.broken()?;
        Some(setup::refused("io_uring_enter", errno))
    }

    /// Reads submitted that [`ChunkReader::poll`] has not returned yet.
    pub fn inflight(&self) -> u32 {
        self.engine.inflight()
    }

    /// Most reads in flight at once.
    pub fn capacity(&self) -> u32 {
        self.engine.capacity()
    }

    /// What was done so far.
    pub fn stats(&self) -> ReadStats {
        let mut stats = self.engine.stats();
        stats += self.counts.clone();
        stats
    }

    /// Ends the reader, and returns what was done. Reads in flight are cancelled, and count as if they had never been
    /// submitted.
    pub fn end(mut self) -> ReadStats {
        self.counts.submitted_reads -= self.counts.inflight_reads();
        self.counts.submitted_bytes -= self.inflight_bytes;
        self.stats()
    }

    /// The path taken.
    pub fn path(&self) -> ReadPath {
        self.path
    }

    /// Why [`ReadPathChoice::Auto`] did not take io_uring, and what would change that; `None` where it did or was not
    /// asked to choose.
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
