//! The engine that reads files past their file system: by NVMe commands for the blocks that hold their bytes.
//!
//! A file's blocks are asked for once, at its first read, where everything that stands against it is seen: that read is
//! refused, with the reason. After each read the file must be as it was then, and its blocks where they were, or the
//! read has failed. The first read from each file system into each memory is a canary's: its first block is compared with
//! what an ordinary read brings. None of these reads is counted.

use super::blocks::BlockReads;
use super::{Engine, Landed, Read, ReaderStats, CHANGED};
use crate::canary::{self, Canaries};
use crate::lifeline::Ring;
use crate::nvme::{self, DiskPlace, FileMap, NvmeNamespace, NvmeOp};
use crate::open::open_without_waiting;
use crate::queue::{full, NO_OFFSET};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Files that are remembered. One that was forgotten is asked again.
const REMEMBERED: usize = 32;

/// A file whose blocks are known.
struct Known {
    file: File,
    map: FileMap,
    /// Where its file system begins on the disk, in bytes.
    start: u64,
    disk: Arc<Disk>,
}

/// A disk's generic character device, open.
struct Disk {
    device: File,
    namespace: NvmeNamespace,
}

/// What a read owns while it is in flight. The disk's descriptor is in `known`.
struct Owned {
    read: Read,
    known: Arc<Known>,
    /// What of the file is read.
    part: FileMap,
}

pub(super) struct PassthroughEngine {
    reads: BlockReads<Owned, NvmeOp>,
    /// Newest first. Weak references keep no file of the caller's open, and keep an address from being used again.
    known: VecDeque<(Weak<OwnedFd>, Arc<Known>)>,
    /// By name.
    disks: HashMap<String, Arc<Disk>>,
    canaries: Canaries,
}

impl PassthroughEngine {
    pub(super) fn new(depth: u32) -> Result<Self, PipelineError> {
        crate::gpudirect::require()?;
        let ring = Ring::new(nvme::build_ring(depth)?)?;
        Ok(PassthroughEngine {
            reads: BlockReads::new(ring, depth),
            known: VecDeque::new(),
            disks: HashMap::new(),
            canaries: Canaries::default(),
        })
    }

    /// What is known of a file, asked for at its first read.
    fn known(&mut self, file: &Arc<OwnedFd>) -> Result<Arc<Known>, PipelineError> {
        let same = |known: &&(Weak<OwnedFd>, _)| std::ptr::eq(known.0.as_ptr(), Arc::as_ptr(file));
        if let Some((_, known)) = self.known.iter().find(same) {
            return Ok(Arc::clone(known));
        }
        let words = |error: std::io::Error| PipelineError::Backend(error.to_string());
        let opened = File::from(file.try_clone().map_err(words)?);
        let size = opened.metadata().map_err(words)?.len();
        let map = FileMap::read(&opened, 0, size)?;
        let place = DiskPlace::of(&opened)?;
        let disk = self.disk(&place.generic)?;
        let known = Arc::new(Known {
            file: opened,
            map,
            start: place.start,
            disk,
        });
        // What is read no more is forgotten, and so closed.
        self.known.retain(|(file, _)| file.strong_count() > 0);
        self.known.truncate(REMEMBERED - 1);
        self.known
            .push_front((Arc::downgrade(file), Arc::clone(&known)));
        Ok(known)
    }

    fn disk(&mut self, name: &str) -> Result<Arc<Disk>, PipelineError> {
        if let Some(disk) = self.disks.get(name) {
            return Ok(Arc::clone(disk));
        }
        let device = open_without_waiting(&Path::new("/dev").join(name), 0).map_err(|error| {
            PipelineError::Backend(format!(
                "/dev/{name} cannot be opened: {error}; run as a user who may read it, or use registered mapped reads"
            ))
        })?;
        let namespace = NvmeNamespace::of(device.as_raw_fd())?;
        let disk = Arc::new(Disk { device, namespace });
        self.disks.insert(name.to_owned(), Arc::clone(&disk));
        Ok(disk)
    }

    /// The commands of a read, the part of the file that they bring, and what they read from.
    fn prepare(&mut self, read: &mut Read) -> Result<(NvmeOp, Arc<Known>, FileMap), PipelineError> {
        if read.offset == NO_OFFSET {
            return Err(PipelineError::Backend(
                "a stream cannot be read by NVMe passthrough; use registered mapped reads".into(),
            ));
        }
        let known = self.known(&read.file)?;
        let part = known.map.part(read.offset, u64::from(read.len));
        let namespace = &known.disk.namespace;
        let ranges = part.lba_ranges(known.start, namespace.block_bytes)?;
        let blocks: u64 = ranges.iter().map(|range| range.blocks).sum();
        let bytes = blocks.saturating_mul(u64::from(namespace.block_bytes));
        if bytes > read.buffer.capacity() as u64 {
            return Err(PipelineError::InvalidArgument {
                what: "a chunk without room for the whole last block",
                fix: "use chunks that are multiples of the disk's blocks",
            });
        }
        let memory = Arc::clone(read.buffer.memory());
        let target = read.buffer.as_mut_ptr();
        let address = target.addr() as u64;
        let fd = known.disk.device.as_raw_fd();
        let reads = nvme::plan(namespace, &ranges, address)?;
        if let Some(first) = ranges.first() {
            self.prove(&known, first.lba, &part, target, memory.peer())?;
        }
        Ok((NvmeOp::new(fd, &reads)?, known, part))
    }

    /// Runs the canary of a file system where it has not run yet: reads the first block of `part`, at `lba`, to
    /// `target`, in the memory of `peer` or the host's.
    fn prove(
        &mut self,
        known: &Known,
        lba: u64,
        part: &FileMap,
        target: *mut u8,
        peer: Option<&str>,
    ) -> Result<(), PipelineError> {
        let words = |error: std::io::Error| PipelineError::Backend(error.to_string());
        let file_system = known.file.metadata().map_err(words)?.dev();
        if let Some(outcome) = self.canaries.outcome(file_system, peer) {
            return outcome.clone();
        }
        let (fd, namespace) = (known.disk.device.as_raw_fd(), &known.disk.namespace);
        let block = u64::from(namespace.block_bytes);
        let len = usize::try_from(part.bytes().min(block)).unwrap_or(0);
        let memory = canary::memory_name(peer);
        let what = format!("NVMe passthrough from {} into {memory}", namespace.name);
        let ordinary = || canary::read_cached(&known.file, part.offset(), len);
        // SAFETY: `prepare` saw that the chunk has room for whole blocks, and it is this read's alone.
        let transfer = || unsafe { canary::read_by_command(fd, namespace, lba, target) };
        // SAFETY: as above.
        let ended = unsafe { canary::watch(&what, target, ordinary, transfer) }?;
        self.canaries.keep(file_system, peer, ended)
    }
}

impl Engine for PassthroughEngine {
    fn submit(&mut self, mut read: Read) -> Result<(), (ChunkBuf, PipelineError)> {
        if self.inflight() >= self.capacity() {
            return Err((read.buffer, full()));
        }
        if read.offset != NO_OFFSET {
            match self.known(&read.file) {
                Ok(known) if read.offset >= known.map.bytes() => {
                    let changed = !known.map.part(read.offset, 0).is_unchanged(&known.file);
                    self.reads.end(read, changed);
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => return Err((read.buffer, error)),
            }
        }
        let (op, known, part) = match self.prepare(&mut read) {
            Ok(prepared) => prepared,
            Err(error) => return Err((read.buffer, error)),
        };
        let owned = Owned { read, known, part };
        // SAFETY: the commands write from the start of the chunk on, as many bytes as its capacity at most (`prepare`),
        // and each as many as its blocks have on the device (`plan`). The payload holds the chunk's only `ChunkBuf`, so
        // nobody else touches the bytes and the arena stays mapped even if the payload is leaked, and the device's
        // descriptor.
        let submitted = unsafe { self.reads.queue.submit(op, owned) };
        submitted.map_err(|(owned, error)| (owned.read.buffer, error))
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        self.reads.queue.flush()
    }

    fn poll(&mut self) -> Option<Landed> {
        if let Some(landed) = self.reads.poll_ended() {
            return Some(landed);
        }
        let finished = self.reads.queue.poll()?;
        let Owned { read, known, part } = finished.payload;
        let wanted = usize::try_from(part.bytes()).unwrap_or(0);
        let mut landed = Landed {
            tag: read.tag,
            buffer: read.buffer,
            // Whole blocks were read: what lies behind the file's last byte does not count.
            bytes: wanted.min(finished.bytes as usize),
            end: wanted < read.len as usize,
            error: finished.error,
            unanswered: finished.unanswered,
        };
        if !part.is_unchanged(&known.file) {
            // Nothing that came has been seen to be the file's.
            (landed.bytes, landed.error) = (0, Some(CHANGED));
        }
        landed.end &= landed.error.is_none();
        Some(landed)
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        self.reads.wait(timeout)
    }

    fn inflight(&self) -> u32 {
        self.reads.inflight()
    }

    fn capacity(&self) -> u32 {
        self.reads.queue.capacity()
    }

    fn stats(&self) -> ReaderStats {
        ReaderStats::of_commands(self.reads.queue.counters())
    }

    fn streaming(&self, _file: &Arc<OwnedFd>) -> bool {
        false
    }
}
