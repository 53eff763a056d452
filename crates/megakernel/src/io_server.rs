//! The host's side of LOAD_MISS: files that a kernel's slots may ask bytes of, and chunks that the bytes land in.
//!
//! Whatever arrives from the device is a number: an index into a table of this server, an offset or a count, and is
//! checked against the table before anything is done. It is never a file descriptor, an address or a length to be
//! believed. Whose request it is comes from the slot that the host published (see [`gristmill_ring::live`]).
//!
//! | error number | for |
//! |---|---|
//! | EBADF | a handle that is in no table |
//! | EACCES | a handle of other tenants, a WRITE to a source that is not for writing |
//! | EINVAL | an offset or a count out of range, an unknown operation, a request of no slot |
//! | EBUSY | a destination that a worker is reading |
//! | any | what the file system answers |

use gristmill_protocol::io::{io_op, IoRequest, EIO};
use gristmill_ring::{ChunkBuf, ClaimedIo, IoQueue, LentChunk};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EBADF: i32 = 9;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

/// How long [`IoServer::run`] waits for a request before it looks whether it is to stop.
const WAIT: Duration = Duration::from_millis(10);

/// A file that requests may name by its handle.
#[derive(Debug)]
pub struct Source {
    /// The file, opened for what requests may do.
    pub file: File,
    /// Requests reach bytes 0 to this one, not included.
    pub len: u64,
    /// Tenants that may name it.
    pub tenants: Vec<u32>,
    /// Whether a WRITE may name it.
    pub writable: bool,
}

/// A chunk that requests may name: the host's while bytes land in it, then lent to the device.
struct Destination {
    /// `None` only while a request is served.
    chunk: Option<Place>,
    index: u32,
    /// Bytes of the chunk.
    capacity: usize,
    tenants: Vec<u32>,
}

enum Place {
    Here(ChunkBuf),
    Lent(LentChunk),
}

impl Destination {
    /// The chunk, which the device does not have until it is put back; and whether it was lent.
    fn take(&mut self) -> Result<(ChunkBuf, bool), i32> {
        match self.chunk.take().ok_or(EIO)? {
            Place::Here(chunk) => Ok((chunk, false)),
            Place::Lent(lent) => match lent.reclaim() {
                Ok(chunk) => Ok((chunk, true)),
                Err(lent) => {
                    self.chunk = Some(Place::Lent(lent));
                    Err(EBUSY)
                }
            },
        }
    }

    fn put(&mut self, chunk: ChunkBuf, lend: bool) {
        self.chunk = Some(if lend {
            Place::Lent(chunk.lend())
        } else {
            Place::Here(chunk)
        });
    }
}

/// Serves a kernel's IO queue from tables of sources and destinations.
pub struct IoServer {
    queue: IoQueue,
    sources: Vec<Source>,
    destinations: Vec<Destination>,
}

impl IoServer {
    /// A server with empty tables.
    pub fn new(queue: IoQueue) -> Self {
        Self {
            queue,
            sources: Vec::new(),
            destinations: Vec::new(),
        }
    }

    /// Registers a source; its handle.
    pub fn add_source(&mut self, source: Source) -> u32 {
        self.sources.push(source);
        last(self.sources.len())
    }

    /// Registers a chunk of the kernel's chunk memory, which only `tenants` may name; its handle. The chunk is lent to
    /// the device once a READ into it has succeeded, until one fails. A request takes it back for as long as it lasts:
    /// whoever publishes it has seen the completion of every slot that names the chunk.
    pub fn add_destination(&mut self, chunk: ChunkBuf, tenants: Vec<u32>) -> u32 {
        self.destinations.push(Destination {
            index: chunk.index(),
            capacity: chunk.capacity(),
            chunk: Some(Place::Here(chunk)),
            tenants,
        });
        last(self.destinations.len())
    }

    /// The number by which slots name a destination's chunk; `None` for an unknown handle.
    pub fn chunk_of(&self, destination: u32) -> Option<u32> {
        let destination = self.destinations.get(usize::try_from(destination).ok()?)?;
        Some(destination.index)
    }

    /// Ends every request that waits to be claimed, and says how many there were.
    pub fn serve(&mut self) -> usize {
        let mut served = 0;
        let mut fences = Vec::new();
        // After the last claim, all that was published before any fence in hand was claimed too.
        let claimed: Vec<ClaimedIo> = std::iter::from_fn(|| self.queue.claim()).collect();
        for claimed in claimed {
            served += 1;
            if claimed.request().op_type == io_op::FENCE {
                fences.push(claimed);
            } else {
                let ended = self.run_one(claimed.request(), claimed.tenant());
                claimed.end(ended);
            }
        }
        for fence in fences {
            fence.end(Ok(0));
        }
        served
    }

    /// Serves until `stop` is set, asleep while there is nothing to do. Requests that wait then stay unserved.
    pub fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            if self.serve() == 0 {
                self.queue.wait(WAIT);
            }
        }
    }

    /// The chunks of all destinations. One that a worker is reading now is left out, and retired.
    pub fn into_chunks(self) -> Vec<ChunkBuf> {
        let take = |destination: Destination| match destination.chunk? {
            Place::Here(chunk) => Some(chunk),
            Place::Lent(lent) => lent.reclaim().ok(),
        };
        self.destinations.into_iter().filter_map(take).collect()
    }

    fn run_one(&mut self, request: &IoRequest, tenant: Option<u32>) -> Result<u32, i32> {
        let tenant = tenant.ok_or(EINVAL)?;
        if !matches!(request.op_type, io_op::READ | io_op::WRITE) {
            return Err(EINVAL);
        }
        let source = usize::try_from(request.src_handle)
            .ok()
            .and_then(|handle| self.sources.get(handle))
            .ok_or(EBADF)?;
        let destination = usize::try_from(request.dst_handle)
            .ok()
            .and_then(|handle| self.destinations.get_mut(handle))
            .ok_or(EBADF)?;
        if !source.tenants.contains(&tenant) || !destination.tenants.contains(&tenant) {
            return Err(EACCES);
        }
        let writes = request.op_type == io_op::WRITE;
        if writes && !source.writable {
            return Err(EACCES);
        }
        let count = usize::try_from(request.byte_count).map_err(|_| EINVAL)?;
        let left = source.len.checked_sub(request.offset).ok_or(EINVAL)?;
        if count > destination.capacity || writes && left < u64::from(request.byte_count) {
            return Err(EINVAL);
        }
        let (mut chunk, lent) = destination.take()?;
        if writes {
            let bytes = chunk.as_slice().get(..count).unwrap_or(&[]);
            let written = source.file.write_all_at(bytes, request.offset);
            destination.put(chunk, lent);
            return written
                .map(|()| request.byte_count)
                .map_err(|error| errno(&error));
        }
        let most = usize::try_from(left).map_or(count, |left| left.min(count));
        let target = chunk.as_mut_slice().get_mut(..most).unwrap_or(&mut []);
        let landed = read(&source.file, target, request.offset);
        destination.put(chunk, landed.is_ok());
        u32::try_from(landed?).map_err(|_| EINVAL)
    }
}

impl std::fmt::Debug for IoServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IoServer")
            .field("queue", &self.queue)
            .field("sources", &self.sources.len())
            .field("destinations", &self.destinations.len())
            .finish()
    }
}

/// Index of the last entry of a table. A table of 2^32 entries would take more memory than there is.
fn last(len: usize) -> u32 {
    u32::try_from(len - 1).unwrap_or(u32::MAX)
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(EIO)
}

/// Reads until `target` is full or the file ends; how many bytes that were.
fn read(file: &File, target: &mut [u8], offset: u64) -> Result<usize, i32> {
    let mut done = 0;
    while let Some(rest) = target.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(errno(&error)),
        }
    }
    Ok(done)
}
