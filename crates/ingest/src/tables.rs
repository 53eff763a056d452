//! The ring's tables of registered buffers and files. They are filled lazily, so a job of one tiny file registers
//! nothing.

use crate::engine::SharedFile;
use crate::lifeline::FILE_SLOTS;
use crate::setup::errno_of;
use gristmill_ring::{ChunkBuf, ChunkMemory};
use io_uring::IoUring;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Weak};

/// The most buffers that the kernel registers in one ring.
const MAX_BUFFERS: usize = 1 << 14;
/// How many reads in a row a file has before it gets a slot.
const READS_BEFORE_SLOT: u32 = 4;

/// The soft limit on locked memory in bytes; `None` if there is no limit.
pub(crate) fn memlock_limit() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the one structure that getrlimit writes.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Which chunks of an arena are registered in a ring. A chunk's index in the table is its index in the arena.
///
/// The owner keeps the table beside its ring and drops the ring first: the table keeps the arena, and with it the
/// registered memory, alive.
#[derive(Default)]
pub(crate) struct BufferTable {
    memory: Option<Arc<ChunkMemory>>,
    registered: Vec<bool>,
    count: u32,
    refused: Option<String>,
    /// The errno, if the kernel has refused.
    errno: Option<i32>,
}

impl BufferTable {
    /// The table index of a chunk. Registers the chunk if needed. `None` if it cannot be registered;
    /// [`BufferTable::refused`] then says why.
    pub(crate) fn index_of(&mut self, ring: &IoUring, chunk: &mut ChunkBuf) -> Option<u16> {
        let index = u16::try_from(chunk.index()).ok()?;
        match &self.memory {
            Some(memory) if Arc::ptr_eq(memory, chunk.memory()) => {}
            Some(_) => {
                self.refused.get_or_insert_with(|| {
                    "chunks of a second arena were read; only the first one's are registered".into()
                });
                return None;
            }
            None if self.refused.is_some() => return None,
            None => self.open(ring, chunk.memory())?,
        }
        match self.registered.get(usize::from(index)) {
            Some(true) => return Some(index),
            Some(false) if self.refused.is_none() => {}
            _ => return None,
        }
        let iovec = libc::iovec {
            iov_base: chunk.as_mut_ptr().cast(),
            iov_len: chunk.capacity(),
        };
        // SAFETY: the range is one whole chunk of the arena that `self.memory` keeps mapped; the ring that holds the
        // registration is dropped first (see the type's documentation).
        let result = unsafe {
            ring.submitter()
                .register_buffers_update(u32::from(index), &[iovec], None)
        };
        match result {
            Ok(()) => {
                self.count += 1;
                if let Some(registered) = self.registered.get_mut(usize::from(index)) {
                    *registered = true;
                }
                Some(index)
            }
            Err(error) => self.refuse(errno_of(&error), chunk.capacity()),
        }
    }

    /// Why buffers are not registered although this was asked for.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    fn open(&mut self, ring: &IoUring, memory: &Arc<ChunkMemory>) -> Option<()> {
        let slots = memory.count().min(MAX_BUFFERS);
        let result = ring
            .submitter()
            .register_buffers_sparse(u32::try_from(slots).ok()?);
        match result {
            Ok(()) => {
                self.memory = Some(Arc::clone(memory));
                self.registered = vec![false; slots];
                Some(())
            }
            Err(error) => self.refuse(errno_of(&error), memory.chunk_bytes()),
        }
    }

    /// The errno with which the kernel refused to register a buffer.
    pub(crate) fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// Records that the kernel refuses to register a buffer of this length. No further registration is tried.
    fn refuse<T>(&mut self, errno: i32, bytes: usize) -> Option<T> {
        self.refused = Some(self.explain(errno, bytes));
        self.errno = Some(errno);
        None
    }

    fn explain(&self, errno: i32, bytes: usize) -> String {
        let error = std::io::Error::from_raw_os_error(errno);
        let count = self.count;
        match (errno, memlock_limit()) {
            (libc::ENOMEM, Some(limit)) => format!(
                "the kernel registered {count} buffers of {bytes} bytes and no more: the memory-lock limit is {limit} \
                 bytes for all of this user's processes; raise it (ulimit -l, or LimitMEMLOCK in a unit)"
            ),
            (libc::EINVAL, _) if count == 0 => {
                "this kernel has no sparse buffer tables; use Linux 5.19 or later".to_owned()
            }
            _ => format!(
                "registering a buffer of {bytes} bytes after {count} others failed: {error}; reads go on unregistered"
            ),
        }
    }
}

/// The files that have a slot in a ring, because they are read many times.
///
/// A slot refers to the file weakly, so it keeps no file open that nobody else holds: once its last owner has dropped
/// it, [`FileTable::sweep`] clears the slot, and the kernel lets the file go.
#[derive(Default)]
pub(crate) struct FileTable {
    slots: Vec<Option<Weak<dyn AsFd + Send + Sync>>>,
    live: usize,
    refused: bool,
    /// The address of the file that was read last, and the number of its reads in a row. This is only a hint, because
    /// an address may be reused.
    last: (usize, u32),
}

impl FileTable {
    /// How to name the file in an entry: by its slot (and true), or by its descriptor (and false).
    pub(crate) fn target(&mut self, ring: &IoUring, file: &SharedFile) -> (RawFd, bool) {
        let address = Arc::as_ptr(file);
        if self.live > 0 {
            let slot = self.slots.iter().position(|slot| {
                // A weak reference prevents its address from being reused, so equal addresses mean the same file.
                slot.as_ref()
                    .is_some_and(|weak| std::ptr::addr_eq(weak.as_ptr(), address))
            });
            if let Some(slot) = slot.and_then(|slot| RawFd::try_from(slot).ok()) {
                return (slot, true);
            }
        }
        let reads = match self.last {
            (last, reads) if last == address.addr() => reads.saturating_add(1),
            _ => 1,
        };
        self.last = (address.addr(), reads);
        if reads > READS_BEFORE_SLOT && !self.refused {
            if let Some(slot) = self.register(ring, file) {
                return (slot, true);
            }
        }
        (file.as_fd().as_raw_fd(), false)
    }

    /// Files that have a slot now.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Clears the slots of files that nobody holds any more.
    pub(crate) fn sweep(&mut self, ring: &IoUring) {
        if self.live == 0 {
            return;
        }
        for (index, slot) in (0u32..).zip(&mut self.slots) {
            if slot.as_ref().is_some_and(|weak| weak.strong_count() == 0)
                && ring.submitter().register_files_update(index, &[-1]).is_ok()
            {
                *slot = None;
                self.live -= 1;
            }
        }
    }

    fn register(&mut self, ring: &IoUring, file: &SharedFile) -> Option<RawFd> {
        if self.slots.is_empty() {
            // The ring has had the table since its lifeline was attached.
            self.slots = vec![None; FILE_SLOTS];
        }
        let free = self.slots.iter().position(Option::is_none)?;
        let updated = ring
            .submitter()
            .register_files_update(u32::try_from(free).ok()?, &[file.as_fd().as_raw_fd()]);
        if updated.is_err() {
            self.refused = true;
            return None;
        }
        *self.slots.get_mut(free)? = Some(Arc::downgrade(file));
        self.live += 1;
        RawFd::try_from(free).ok()
    }
}
