//! Tables of the files and chunks that requests may name, by handle. All fields of a request are validated here.

use crate::fs::is_on_fuse;
use gristmill_protocol::io::{io_op, IoRequest};
use gristmill_ring::{ChunkBuf, LentChunk};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A file that requests may name by its handle.
#[derive(Debug)]
pub struct IoSource {
    /// The file, opened with the access that requests need.
    pub file: File,
    /// Requests can access the bytes below this offset.
    pub len: u64,
    /// Tenants that may name it.
    pub tenants: Vec<u32>,
    /// Whether a WRITE may name it.
    pub writable: bool,
}

/// A registered source. All reads share its descriptor.
struct Source {
    file: Arc<OwnedFd>,
    on_fuse: bool,
    len: u64,
    tenants: Vec<u32>,
    writable: bool,
}

/// A chunk that requests may name.
struct Destination {
    place: Place,
    index: u32,
    /// Bytes of the chunk.
    capacity: usize,
    tenants: Vec<u32>,
}

/// The current holder of a destination's chunk.
enum Place {
    Host(ChunkBuf),
    Device(LentChunk),
    /// A request that is being served.
    Request,
}

/// The files and the chunks that a kernel's requests may name. A handle is the number of an entry, from 0 on.
#[derive(Default)]
pub struct IoTables {
    sources: Vec<Source>,
    destinations: Vec<Destination>,
}

/// A validated READ or WRITE. It may be carried out when its chunk is free.
pub(super) struct Checked {
    pub source: usize,
    pub file: Arc<OwnedFd>,
    pub on_fuse: bool,
    pub destination: usize,
    pub writes: bool,
    pub offset: u64,
    /// Bytes to move, which lie in the source and fit in the chunk.
    pub count: usize,
}

/// A chunk that a request has taken, and what happens to it if nothing lands there.
pub(super) struct Taken {
    pub chunk: ChunkBuf,
    pub was_lent: bool,
}

impl IoTables {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a source and returns its handle. This queries the file's file system, which may block as opening the
    /// file would.
    pub fn add_source(&mut self, source: IoSource) -> u32 {
        self.sources.push(Source {
            on_fuse: is_on_fuse(&source.file),
            file: Arc::new(source.file.into()),
            len: source.len,
            tenants: source.tenants,
            writable: source.writable,
        });
        last(self.sources.len())
    }

    /// Registers a chunk of the kernel's chunk memory, which only `tenants` may name, and returns its handle. The chunk
    /// is lent to the device after a READ into it has succeeded, until one fails. While a request for it is being
    /// served, the chunk is taken back; the request's publisher must have seen the completion of every slot that names
    /// the chunk.
    pub fn add_destination(&mut self, chunk: ChunkBuf, tenants: Vec<u32>) -> u32 {
        self.destinations.push(Destination {
            index: chunk.index(),
            capacity: chunk.capacity(),
            place: Place::Host(chunk),
            tenants,
        });
        last(self.destinations.len())
    }

    /// The index by which slots name a destination's chunk; `None` for an unknown handle.
    pub fn chunk_of(&self, destination: u32) -> Option<u32> {
        let destination = self.destinations.get(usize::try_from(destination).ok()?)?;
        Some(destination.index)
    }

    /// The chunks of all destinations. A chunk that a worker is reading now is omitted and retired.
    pub fn into_chunks(self) -> Vec<ChunkBuf> {
        let take = |destination: Destination| match destination.place {
            Place::Host(chunk) => Some(chunk),
            Place::Device(lent) => lent.reclaim().ok(),
            Place::Request => None,
        };
        self.destinations.into_iter().filter_map(take).collect()
    }

    /// Validates a request.
    ///
    /// # Errors
    /// The error number that it fails with.
    pub(super) fn check(&self, request: &IoRequest, tenant: Option<u32>) -> Result<Checked, i32> {
        let tenant = tenant.ok_or(libc::EINVAL)?;
        let writes = match request.op_type {
            io_op::READ => false,
            io_op::WRITE => true,
            _ => return Err(libc::EINVAL),
        };
        let (source, from) = entry(&self.sources, request.src_handle)?;
        let (destination, to) = entry(&self.destinations, request.dst_handle)?;
        if !from.tenants.contains(&tenant) || !to.tenants.contains(&tenant) {
            return Err(libc::EACCES);
        }
        if writes && !from.writable {
            return Err(libc::EACCES);
        }
        let count = usize::try_from(request.byte_count).map_err(|_| libc::EINVAL)?;
        let left = from.len.checked_sub(request.offset).ok_or(libc::EINVAL)?;
        if count > to.capacity || writes && left < u64::from(request.byte_count) {
            return Err(libc::EINVAL);
        }
        Ok(Checked {
            source,
            file: Arc::clone(&from.file),
            on_fuse: from.on_fuse,
            destination,
            writes,
            offset: request.offset,
            count: usize::try_from(left).map_or(count, |left| left.min(count)),
        })
    }

    /// Takes a destination's chunk. The device cannot read it until it is put back. `None` while another request has
    /// it.
    ///
    /// # Errors
    /// EBUSY while a worker is reading it.
    pub(super) fn take(&mut self, destination: usize) -> Result<Option<Taken>, i32> {
        let Some(entry) = self.destinations.get_mut(destination) else {
            return Err(libc::EBADF);
        };
        let (chunk, was_lent) = match std::mem::replace(&mut entry.place, Place::Request) {
            Place::Request => return Ok(None),
            Place::Host(chunk) => (chunk, false),
            Place::Device(lent) => match lent.reclaim() {
                Ok(chunk) => (chunk, true),
                Err(lent) => {
                    entry.place = Place::Device(lent);
                    return Err(libc::EBUSY);
                }
            },
        };
        Ok(Some(Taken { chunk, was_lent }))
    }

    /// Puts back a chunk that was taken, and lends it to the device if `lend` is true.
    pub(super) fn put(&mut self, destination: usize, chunk: ChunkBuf, lend: bool) {
        if let Some(entry) = self.destinations.get_mut(destination) {
            entry.place = if lend {
                Place::Device(chunk.lend())
            } else {
                Place::Host(chunk)
            };
        }
    }

    /// Removes the files whose close may wait for their file system: files on FUSE, and files that may have been
    /// written to, because some file systems write them out on close. Requests must not name these files afterwards.
    pub(super) fn take_files_that_close_slowly(&mut self) -> Vec<Arc<OwnedFd>> {
        let taken = self
            .sources
            .extract_if(.., |source| source.on_fuse || source.writable);
        taken.map(|source| source.file).collect()
    }
}

impl std::fmt::Debug for IoTables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoTables")
            .field("sources", &self.sources.len())
            .field("destinations", &self.destinations.len())
            .finish()
    }
}

/// The entry of a handle, and its index.
fn entry<T>(table: &[T], handle: u32) -> Result<(usize, &T), i32> {
    let index = usize::try_from(handle).map_err(|_| libc::EBADF)?;
    Ok((index, table.get(index).ok_or(libc::EBADF)?))
}

/// Index of the last entry of a table. A table of 2^32 entries would not fit in memory.
fn last(len: usize) -> u32 {
    u32::try_from(len - 1).unwrap_or(u32::MAX)
}
