//! Reading chunks: the one interface behind which io_uring and positioned reads are interchangeable.
//!
//! A [`ChunkReader`] belongs to the thread that made it. A [`ChunkBuf`] given to [`ChunkReader::submit`] belongs to the
//! reader, together with a reference to the file, until [`ChunkReader::poll`] returns it in a [`Landed`]; there is no
//! way to reach the bytes in between. Dropping the reader cancels what is in flight and waits for it, for ten seconds at
//! most: where a device has not answered by then, its chunk is leaked, and with it a reference to its arena, so the memory
//! stays mapped and nobody else gets it.
//!
//! Four engines serve the interface ([`NativeReadPath`] names them): `uring` hands reads to the kernel in batches,
//! `positioned` does them one after the other on the calling thread, where io_uring is not to be had and for files that
//! it reads wrongly (`manner`); where that is asked for, `passthrough` reads files past their file system by NVMe
//! commands, and `peer` lets disks write to the memory of another device by O_DIRECT (what both need for whole blocks is in
//! `blocks`). Which one it is, and why, is never hidden: [`ChunkReader::path`], [`ChunkReader::why`],
//! [`ChunkReader::stats`].

mod blocks;
mod manner;
mod passthrough;
mod peer;
mod positioned;
mod uring;

use crate::nvme::NvmeStatus;
use crate::queue::QueueCounters;
pub use crate::queue::NO_OFFSET;
use crate::telemetry::NativeReadPath;
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
pub use manner::is_on_fuse;
use std::marker::PhantomData;
use std::ops::AddAssign;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use uring::FUSE_REASON;

/// Which [`NativeReadPath`] a reader shall take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ReadPathChoice {
    /// io_uring, or positioned reads where it is refused.
    #[default]
    Auto,
    /// io_uring, or an error.
    Registered,
    /// Positioned reads.
    Positioned,
    /// NVMe commands for the blocks of files on ext4 or XFS, or an error. A file that cannot be read so is refused when
    /// it is submitted.
    Passthrough,
    /// O_DIRECT reads by io_uring into chunks of peer memory ([`PeerMemory::chunks`](crate::PeerMemory::chunks)), or an
    /// error. Files must be open with O_DIRECT, and reads begin at multiples of 4,096 bytes; one that the disk would not
    /// bring there alone ([`why_copied`](crate::why_copied)) is refused when it is submitted.
    Peer,
}

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

/// A read that is over.
#[derive(Debug)]
pub struct Landed {
    /// The number that the read was submitted with.
    pub tag: u64,
    /// The chunk, whose first `bytes` bytes are what was read.
    pub buffer: ChunkBuf,
    /// Bytes that landed.
    pub bytes: usize,
    /// The file ends after these bytes: a read returned 0.
    pub end: bool,
    /// What ended the read; the bytes before it are valid. An errno; of an NVMe command, the device's status, negated;
    /// or [`CHANGED`]. [`Landed::reason`] says it in words.
    pub error: Option<i32>,
    /// The kernel had this read when the reader's ring failed, and never said what it did: a stream may have lost bytes to
    /// it, a file can be read again.
    pub unanswered: bool,
}

/// The error of a file that changed while it was read past its file system.
pub const CHANGED: i32 = i32::MIN;

impl Landed {
    /// What ended the read, in words.
    pub fn reason(&self) -> Option<String> {
        let error = self.error?;
        Some(match u16::try_from(error.wrapping_neg()) {
            _ if error == CHANGED => {
                "the file changed while it was read past its file system".into()
            }
            Ok(status) => format!("the disk: {}", NvmeStatus(status)),
            Err(_) => crate::setup::words_for(error),
        })
    }
}

/// What a reader did so far. Sums of readers are sums of fields, but for `depth_max`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReaderStats {
    /// Reads that the kernel was asked for, continuations of short ones included.
    pub reads: u64,
    /// Bytes read by io_uring into registered chunks (`READ_FIXED`).
    pub bytes_registered: u64,
    /// Bytes read by io_uring into chunks that are mapped and not registered (`READ`), such as those of peer memory.
    pub bytes_mapped: u64,
    /// Bytes read by NVMe passthrough.
    pub bytes_passthrough: u64,
    /// Bytes read by `pread` and `read`.
    pub bytes_positioned: u64,
    /// Reads that brought fewer bytes than asked for, and more than none, and were gone on with.
    pub short_reads: u64,
    /// Reads asked for again after EINTR or EAGAIN.
    pub retries: u64,
    /// Over all reads, the number in the kernel's hands and not reaped, itself included, when it took them.
    pub depth_sum: u64,
    /// The greatest such number.
    pub depth_max: u32,
    /// System calls made to submit and to wait (and, by positioned reads, to read).
    pub enters: u64,
    /// Files that were given a slot in the ring's file table and have it still.
    pub fixed_files: u64,
    /// Why chunks were not registered although that was asked for, or files were not read by the ring.
    pub unregistered_reason: Option<String>,
}

impl ReaderStats {
    /// Achieved queue depth: the mean over all reads; 0 before the first.
    pub fn mean_depth(&self) -> f64 {
        if self.reads == 0 {
            return 0.0;
        }
        self.depth_sum as f64 / self.reads as f64
    }

    /// Bytes read by every path together.
    pub fn bytes(&self) -> u64 {
        self.bytes_registered + self.bytes_mapped + self.bytes_passthrough + self.bytes_positioned
    }
}

impl ReaderStats {
    /// Of a queue of NVMe commands, each of which counts as a read.
    pub(crate) fn of_commands(counters: QueueCounters) -> Self {
        ReaderStats {
            bytes_mapped: 0,
            bytes_passthrough: counters.bytes_plain,
            // A read that goes on with its next command is none that was short.
            short_reads: 0,
            ..ReaderStats::from(counters)
        }
    }
}

impl From<QueueCounters> for ReaderStats {
    fn from(counters: QueueCounters) -> Self {
        ReaderStats {
            reads: counters.reads,
            bytes_registered: counters.bytes_fixed,
            bytes_mapped: counters.bytes_plain,
            short_reads: counters.short_reads,
            retries: counters.retries,
            depth_sum: counters.depth_sum,
            depth_max: counters.depth_max,
            enters: counters.enters,
            ..ReaderStats::default()
        }
    }
}

impl AddAssign for ReaderStats {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.bytes_registered += other.bytes_registered;
        self.bytes_mapped += other.bytes_mapped;
        self.bytes_passthrough += other.bytes_passthrough;
        self.bytes_positioned += other.bytes_positioned;
        self.short_reads += other.short_reads;
        self.retries += other.retries;
        self.depth_sum += other.depth_sum;
        self.depth_max = self.depth_max.max(other.depth_max);
        self.enters += other.enters;
        self.fixed_files += other.fixed_files;
        if self.unregistered_reason.is_none() {
            self.unregistered_reason = other.unregistered_reason;
        }
    }
}

/// A read as an engine gets it; its numbers have been checked.
struct Read {
    file: Arc<OwnedFd>,
    /// At most `i64::MAX - len`, or [`NO_OFFSET`].
    offset: u64,
    buffer: ChunkBuf,
    /// 1 to the buffer's capacity.
    len: u32,
    tag: u64,
    registered: bool,
    /// Where the file ends in the buffer, if it still has the size that it was seen to have; below `len`.
    known_end: Option<u32>,
}

/// What a reader needs of an engine. Meanings are those of [`ChunkReader`]'s methods.
trait Engine {
    fn submit(&mut self, read: Read) -> Result<(), (ChunkBuf, PipelineError)>;
    fn flush(&mut self) -> Result<(), PipelineError>;
    fn poll(&mut self) -> Option<Landed>;
    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError>;
    fn inflight(&self) -> u32;
    fn capacity(&self) -> u32;
    fn stats(&self) -> ReaderStats;
    /// The file does not lie on FUSE.
    fn learn_ring_reads(&mut self, _file: &Arc<OwnedFd>) {}
    /// The errno for which the engine takes no more reads.
    fn broken(&self) -> Option<i32> {
        None
    }
    /// Whether a stream read of this file is in flight.
    fn streaming(&self, file: &Arc<OwnedFd>) -> bool;
}

/// Reads chunks of files, many at once, completed in any order.
///
/// It stays on the thread that made it: a ring belongs to one thread.
pub struct ChunkReader {
    engine: Box<dyn Engine>,
    path: NativeReadPath,
    why: Option<String>,
    /// Neither `Send` nor `Sync`.
    thread: PhantomData<*const ()>,
}

impl ChunkReader {
    /// Makes a reader for the calling thread.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where io_uring is demanded ([`ReadPathChoice::Registered`] and
    /// [`ReadPathChoice::Peer`]) and refused; where
    /// passthrough is demanded and not to be had, the reason;
    /// [`PipelineError::InvalidArgument`] for a depth of 0 or above 4096.
    pub fn new(config: ReaderConfig) -> Result<Self, PipelineError> {
        if config.depth == 0 || config.depth > crate::setup::MAX_ENTRIES {
            return Err(PipelineError::InvalidArgument {
                what: "a read depth that is not between 1 and 4096",
                fix: "use a depth of 1 to 4096",
            });
        }
        let positioned = |why| ChunkReader {
            engine: Box::new(positioned::PositionedEngine::new(config.depth)),
            path: NativeReadPath::PositionedRead,
            why,
            thread: PhantomData,
        };
        if config.path == ReadPathChoice::Positioned {
            return Ok(positioned(None));
        }
        if config.path == ReadPathChoice::Passthrough {
            return Ok(ChunkReader {
                engine: Box::new(passthrough::PassthroughEngine::new(config.depth)?),
                path: NativeReadPath::GpuDirectNvmePassthrough,
                why: None,
                thread: PhantomData,
            });
        }
        if config.path == ReadPathChoice::Peer {
            return Ok(ChunkReader {
                engine: Box::new(peer::PeerEngine::new(config.depth)?),
                path: NativeReadPath::PeerRead,
                why: None,
                thread: PhantomData,
            });
        }
        match uring::UringEngine::new(config.depth) {
            Ok(engine) => Ok(ChunkReader {
                engine: Box::new(engine),
                path: NativeReadPath::RegisteredMappedRead,
                why: None,
                thread: PhantomData,
            }),
            Err(error) if config.path == ReadPathChoice::Registered => Err(error),
            Err(error) => Ok(positioned(Some(format!("io_uring is refused: {error}")))),
        }
    }

    /// Queues a read of `len` bytes at `offset` into the start of `buffer`. Nothing happens before
    /// [`ChunkReader::flush`] or [`ChunkReader::wait`].
    ///
    /// `offset` is [`NO_OFFSET`] for a stream, of which one read may be in flight at a time. `registered` asks for a
    /// registered buffer, which pays when the chunk will be read into many times: a chunk is registered when it is
    /// first used so, and where that fails the read is done unregistered and [`ReaderStats`] say why.
    ///
    /// # Errors
    /// The buffer, with [`PipelineError::QueueFull`] where [`ChunkReader::capacity`] reads are in flight, or
    /// [`PipelineError::InvalidArgument`] for a length of 0 or above the buffer's, an offset out of range, or a second
    /// read of a stream.
    pub fn submit(
        &mut self,
        file: &Arc<OwnedFd>,
        offset: u64,
        buffer: ChunkBuf,
        len: usize,
        tag: u64,
        registered: bool,
    ) -> Result<(), (ChunkBuf, PipelineError)> {
        match self.admit(file, offset, &buffer, len) {
            Ok(len) => self.engine.submit(Read {
                file: Arc::clone(file),
                offset,
                buffer,
                len,
                tag,
                registered,
                known_end: None,
            }),
            Err(error) => Err((buffer, error)),
        }
    }

    /// Queues the first read of a file that was seen to have `size` bytes, which may be 0 where nobody knows: `len` bytes
    /// at offset 0, as [`ChunkReader::submit`] does without a registered buffer. Where fewer bytes than `len` land and they
    /// are as many as `size`, the file has ended there ([`Landed::end`]), and no second read asks for its end. A file that
    /// the ring leaves to `pread` as it lies on FUSE is asked all the same.
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
        match self.admit(file, 0, &buffer, len) {
            Ok(len) => self.engine.submit(Read {
                file: Arc::clone(file),
                offset: 0,
                buffer,
                len,
                tag,
                registered: false,
                known_end: u32::try_from(size)
                    .ok()
                    .filter(|&size| size > 0 && size < len),
            }),
            Err(error) => Err((buffer, error)),
        }
    }

    /// The length of a read that is in order.
    fn admit(
        &self,
        file: &Arc<OwnedFd>,
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
        if offset == NO_OFFSET && self.engine.streaming(file) {
            return invalid(
                "a second read of a stream while the first is in flight",
                "wait for the first to land: a stream has no offsets to tell them apart",
            );
        }
        u32::try_from(len)
            .or_else(|_| invalid("a read of 4 GiB or more", "use chunks of at most 1 GiB"))
    }

    /// Says of a file that is read next that it does not lie on FUSE, so that its file system need not be asked.
    pub(crate) fn learn_ring_reads(&mut self, file: &Arc<OwnedFd>) {
        self.engine.learn_ring_reads(file);
    }

    /// Hands all queued reads to the kernel, in one system call as a rule. Reads of cached bytes are done when it
    /// returns. What the kernel has no room for at the moment stays queued, if it has other reads of this reader:
    /// [`ChunkReader::wait`] and the next flush ask again.
    ///
    /// # Errors
    /// Where the ring fails for good. This is told once, by the next `flush` or [`ChunkReader::wait`]. From then on [`ChunkReader::submit`] refuses, with the same error,
    /// and **every** read still comes back by `poll`, with its buffer: those that the kernel had completed as they were,
    /// the others with the errno ([`Landed::error`]). Some may come late, as the kernel lets go of the memory when it has
    /// ended the read, and no earlier: [`ChunkReader::inflight`] counts what is still to come, and
    /// `while reader.inflight() > 0 { reader.wait(..)?; while let Some(landed) = reader.poll() { .. } }` gets it all,
    /// `wait` having no further error.
    pub fn flush(&mut self) -> Result<(), PipelineError> {
        self.engine.flush()
    }

    /// The next read that is over, in the order of completion. It does not wait (but a positioned read of a file is
    /// done here, and takes what it takes). Short reads of files are continued until the length asked for, the file's
    /// end or an error; a stream's read lands with what there was.
    pub fn poll(&mut self) -> Option<Landed> {
        self.engine.poll()
    }

    /// Flushes, then waits until a read is over, none is in flight, a signal arrives, or `timeout` has passed.
    ///
    /// # Errors
    /// As [`ChunkReader::flush`].
    pub fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.engine.wait(timeout)
    }

    /// Why this reader takes no more reads: its ring has failed for good. What [`ChunkReader::poll`] returns with an error
    /// since then may have failed for that reason alone, and may be read anew by another reader, streams only where the
    /// read is not [unanswered](Landed::unanswered).
    pub fn failure(&self) -> Option<PipelineError> {
        let errno = self.engine.broken()?;
        Some(crate::setup::refused("io_uring_enter", errno))
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
    pub fn stats(&self) -> ReaderStats {
        self.engine.stats()
    }

    /// The path taken.
    pub fn path(&self) -> NativeReadPath {
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
