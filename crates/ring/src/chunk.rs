//! The arena of chunk buffers: memory that reads land in and that the kernel sees.
//!
//! One mapping holds all chunks; pages that no read has ever filled are never touched. Each chunk has a state word:
//!
//! | state | who may touch the bytes | by holding |
//! |---|---|---|
//! | HOST | one owner on the host, exclusively | the chunk's only [`ChunkBuf`] |
//! | LENT | the host, reading | a [`LentChunk`] |
//! | BORROWED, or more | so many workers and the host, all reading | a [`ChunkRef`] for each worker |
//!
//! [`ChunkBuf::lend`] changes HOST to LENT. [`ChunkMemory::borrow_chunk`] adds one to LENT or more, and dropping its
//! result takes one away, so that LENT plus n says that n workers read. [`LentChunk::reclaim`] changes LENT, and nothing
//! above it, to HOST, and so does dropping a [`LentChunk`]. Every transition is one atomic operation (or a release store
//! by the sole owner), so the table holds whatever numbers slots carry. While a chunk is lent nobody writes it: several
//! slots may name it, and run at the same time.
//!
//! A device behind a bus cannot compare and swap in host memory, so it does not borrow: it reads a chunk whose state is
//! LENT. There the publisher must protect the bytes: it reclaims a chunk only after it has seen the completion of every
//! slot that names it, as the mill does. A device never writes a chunk, so a publisher that breaks this rule gets wrong
//! results from the device, and nothing worse.

use crate::memory::{Arena, HostVisible, Region, SharedWords, PAGE_BYTES};
use crate::pool::Home;
use gristmill_protocol::chunk::{HOST, LENT};
use gristmill_protocol::PipelineError;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Chunk buffers of one size in one lazily touched mapping.
///
/// The distance between chunks is `chunk_bytes` rounded up to whole pages, plus one page. Chunk sizes are usually
/// powers of two, and without the extra page the first bytes of all chunks would compete for the same few sets of the
/// cache.
pub struct ChunkMemory {
    region: Region,
    state: SharedWords,
    chunk_bytes: usize,
    stride: usize,
}

/// Where an arena's chunks and their states lie, for a device that reads them by address.
///
/// If chunks overlapped, there could be two exclusive slices of the same memory. So only [`ChunkPlan::new`] makes
/// plans, and nothing can change one:
///
/// ```compile_fail,E0451
/// let plan = gristmill_ring::ChunkPlan { count: 2, chunk_bytes: 4096, stride: 0 };
/// ```
///
/// ```compile_fail,E0616
/// let mut plan = gristmill_ring::ChunkPlan::new(2, 4096).unwrap();
/// plan.stride = 0;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlan {
    count: u32,
    chunk_bytes: usize,
    /// At least `chunk_bytes`. All unsafe code here relies on this.
    stride: usize,
}

impl ChunkPlan {
    /// The plan for `count` chunks of `chunk_bytes` each.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for a size of zero or out of range.
    pub fn new(count: u32, chunk_bytes: usize) -> Result<Self, PipelineError> {
        if count == 0 || chunk_bytes == 0 || chunk_bytes > 1 << 30 {
            return Err(PipelineError::InvalidArgument {
                what: "a chunk arena of no chunks, of empty chunks, or too large to address",
                fix: "ask for at least one chunk of 1 byte to 1 GiB",
            });
        }
        Ok(Self {
            count,
            chunk_bytes,
            stride: chunk_bytes.next_multiple_of(PAGE_BYTES) + PAGE_BYTES,
        })
    }

    /// Chunks.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes in each.
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Bytes from one chunk's first byte to the next one's, at least as many as are in each.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes that an arena needs, so that chunks and their states can be carved from it.
    pub fn carved_bytes(&self) -> usize {
        (self.count as usize * 4)
            .next_multiple_of(PAGE_BYTES)
            .saturating_add(self.bytes())
    }

    /// Bytes of all chunks together.
    pub fn bytes(&self) -> usize {
        // At most 2^32 times a little more than 2^30: far from overflowing 64 bits.
        self.stride.saturating_mul(self.count as usize)
    }
}

impl ChunkMemory {
    /// Maps `count` chunks of `chunk_bytes` each, and returns the arena with the chunks' only tokens.
    ///
    /// # Errors
    /// [`PipelineError`] for a size of zero or out of range, or where memory cannot be mapped.
    pub fn map(
        count: u32,
        chunk_bytes: usize,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), PipelineError> {
        let plan = ChunkPlan::new(count, chunk_bytes)?;
        let region = Region::map(plan.bytes())?;
        Ok(Self::over(plan, region, SharedWords::map(count as usize)?))
    }

    /// Chunks in a device's memory: first their states, then, from the next page on, their bytes. This takes
    /// [`ChunkPlan::carved_bytes`].
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the arena has not enough left.
    pub fn carve(
        plan: ChunkPlan,
        arena: &mut Arena,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), PipelineError> {
        let states = arena.words(plan.count as usize)?;
        arena.align(PAGE_BYTES);
        let region = arena.part(plan.bytes())?;
        Ok(Self::over(plan, region, states))
    }

    /// Chunks in the caller's memory, of which nobody else has a part. The chunks' bytes begin at its start and take
    /// [`ChunkPlan::bytes`]; their states are in the host's memory. This is for remote memory, such as a PCI device's,
    /// where a compare-and-swap would cross the bus or would not be possible at all.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] if the memory is smaller than that; [`PipelineError::Backend`] if no memory
    /// can be mapped for the states.
    pub fn place(
        plan: ChunkPlan,
        memory: Box<dyn HostVisible>,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), PipelineError> {
        if memory.bytes() < plan.bytes() {
            return Err(PipelineError::InvalidArgument {
                what: "memory that is smaller than the chunks to place in it",
                fix: "allocate ChunkPlan::bytes",
            });
        }
        let states = SharedWords::map(plan.count as usize)?;
        Ok(Self::over(plan, Region::all(memory), states))
    }

    /// The arena over its parts, which are large enough for the plan.
    fn over(
        plan: ChunkPlan,
        region: Region,
        state: SharedWords,
    ) -> (Arc<ChunkMemory>, Vec<ChunkBuf>) {
        let memory = Arc::new(ChunkMemory {
            region,
            state,
            chunk_bytes: plan.chunk_bytes,
            stride: plan.stride,
        });
        let tokens = (0..plan.count)
            .map(|index| ChunkBuf {
                memory: Arc::clone(&memory),
                index,
                home: None,
            })
            .collect();
        (memory, tokens)
    }

    /// Bytes in each chunk.
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Number of chunks.
    pub fn count(&self) -> usize {
        self.state.len()
    }

    /// Number of the device whose memory this is, as its driver gave it; 0 for plain memory.
    pub fn device(&self) -> u64 {
        self.region.device()
    }

    /// The address on the bus of the PCI device whose memory this is, as in `0000:03:00.0`; `None` for the host's.
    pub fn peer(&self) -> Option<&str> {
        self.region.peer()
    }

    /// Bytes from one chunk's first byte to the next one's.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Addresses of the first chunk's first byte and of the first chunk's state, for a device that sees both.
    pub fn addresses(&self) -> (usize, usize) {
        (
            self.region.base().as_ptr() as usize,
            self.state.as_ptr() as usize,
        )
    }

    /// The device's side: the bytes of a lent chunk, for reading; `None` for a chunk that is not lent or does not exist.
    /// Several workers may read a chunk at the same time.
    pub fn borrow_chunk(&self, index: u32) -> Option<ChunkRef<'_>> {
        let one_more = |readers: u32| (readers >= LENT).then(|| readers.checked_add(1)).flatten();
        self.state
            .get(index as usize)?
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more)
            .ok()?;
        Some(ChunkRef {
            memory: self,
            index,
        })
    }

    /// Address of a chunk's first byte. `index` comes from a token of this arena, so it is below `count`.
    fn address(&self, index: u32) -> *mut u8 {
        debug_assert!((index as usize) < self.state.len());
        // SAFETY: `index < count` (tokens are made for 0..count only, and `borrow_chunk` looked its index up in
        // `state`), and `stride >= chunk_bytes` (`ChunkPlan::new`, the only maker of a plan, whose fields are private),
        // so the offset plus `chunk_bytes` lies inside the region of `stride * count` bytes, whose size fits in an
        // isize (`HostVisible`; `map`, `carve` and `place` saw that it is as large as the plan says), and no byte of it
        // belongs to another chunk.
        unsafe {
            self.region
                .base()
                .as_ptr()
                .add(self.stride * index as usize)
        }
    }
}

impl std::fmt::Debug for ChunkMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkMemory")
            .field("count", &self.count())
            .field("chunk_bytes", &self.chunk_bytes)
            .finish_non_exhaustive()
    }
}

/// A chunk that the host owns: exclusive access to its bytes. Not `Clone`. When a chunk of a
/// [`ChunkPool`](crate::ChunkPool) is dropped, it returns to the pool; a chunk without a pool is retired.
pub struct ChunkBuf {
    memory: Arc<ChunkMemory>,
    index: u32,
    /// Where the chunk returns to. `None` while it is in its pool.
    home: Option<Home>,
}

impl ChunkBuf {
    pub(crate) fn set_home(&mut self, home: Home) {
        self.home = Some(home);
    }

    /// The chunk's number in its arena.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Size in bytes.
    pub fn capacity(&self) -> usize {
        self.memory.chunk_bytes
    }

    /// The arena that this chunk belongs to.
    pub fn memory(&self) -> &Arc<ChunkMemory> {
        &self.memory
    }

    /// The whole chunk: what was read into it, and zeros or older contents elsewhere.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `capacity` bytes at the chunk's address lie inside the mapping (see `address`), which `self.memory`
        // keeps alive and which is initialised (zeroed when mapped). This is the chunk's only `ChunkBuf`: `over` makes
        // the first, `reclaim` makes one again and consumes the `LentChunk` that came from it, and `drop` makes one
        // again from the one that is being dropped. Where the chunk's state is not HOST, `self` lies inside of a
        // `LentChunk`, whose `ChunkRef`s only read. `&self` excludes `as_mut_slice`.
        unsafe { std::slice::from_raw_parts(self.memory.address(self.index), self.capacity()) }
    }

    /// The whole chunk, for writing.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_slice`. The chunk's state is HOST, as a `LentChunk` gives no `&mut` to what it holds, so no
        // `ChunkRef` exists, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.memory.address(self.index), self.capacity()) }
    }

    /// Address of the first byte, for reads by the kernel. The owner of the read's state must also own the chunk until
    /// the kernel has completed the read.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.memory.address(self.index)
    }

    /// Gives the chunk to the device, which may then borrow it by its index.
    pub fn lend(self) -> LentChunk {
        if let Some(state) = self.memory.state.get(self.index as usize) {
            state.store(LENT, Ordering::Release);
        }
        LentChunk { chunk: self }
    }
}

/// Returns the chunk to its pool, if it has one. The chunk of a dropped [`LentChunk`] is reclaimed first; if a worker
/// is still reading it, it is retired.
impl Drop for ChunkBuf {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else {
            return;
        };
        let is_free = self
            .memory
            .state
            .get(self.index as usize)
            .is_some_and(|state| {
                matches!(
                    state.compare_exchange(LENT, HOST, Ordering::Acquire, Ordering::Relaxed),
                    Ok(_) | Err(HOST)
                )
            });
        if is_free {
            home.put_back(ChunkBuf {
                memory: Arc::clone(&self.memory),
                index: self.index,
                home: None,
            });
        }
    }
}

impl std::fmt::Debug for ChunkBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChunkBuf({})", self.index)
    }
}

/// The host's claim to a chunk that is lent to the device. Dropping the claim tries to [reclaim](Self::reclaim) the
/// chunk and then drops the chunk. Only drop the claim if no published slot names the chunk.
#[derive(Debug)]
pub struct LentChunk {
    /// Never given out by `&mut` while the chunk is lent.
    chunk: ChunkBuf,
}

impl LentChunk {
    /// The chunk's number in its arena: what a slot carries.
    pub fn index(&self) -> u32 {
        self.chunk.index
    }

    /// The whole chunk, for reading beside workers: what was read into it, and zeros or older contents elsewhere.
    pub fn as_slice(&self) -> &[u8] {
        // Nobody writes a lent chunk, and it cannot be reclaimed while this claim is borrowed.
        self.chunk.as_slice()
    }

    /// Takes the chunk back.
    ///
    /// # Errors
    /// The claim itself, while workers are reading the chunk.
    pub fn reclaim(self) -> Result<ChunkBuf, LentChunk> {
        let taken = self
            .chunk
            .memory
            .state
            .get(self.chunk.index as usize)
            .is_some_and(|state| {
                state
                    .compare_exchange(LENT, HOST, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            });
        if taken {
            Ok(self.chunk)
        } else {
            Err(self)
        }
    }

    /// Takes back a chunk whose slots have all completed. A worker that has completed one of them may not have dropped
    /// its [`ChunkRef`] yet; this function waits until all have.
    pub fn reclaim_completed(mut self) -> ChunkBuf {
        loop {
            match self.reclaim() {
                Ok(chunk) => return chunk,
                Err(still) => {
                    self = still;
                    std::thread::yield_now();
                }
            }
        }
    }
}

/// A worker's read access to a lent chunk. Once all of them are dropped, the lender can reclaim the chunk.
#[derive(Debug)]
pub struct ChunkRef<'a> {
    memory: &'a ChunkMemory,
    index: u32,
}

impl Deref for ChunkRef<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: in the mapping, alive and initialised as in `ChunkBuf::as_slice`. The state is at least BORROWED until
        // this is dropped (`borrow_chunk` has added one to it, which only the drop takes away), so `reclaim` fails, and
        // the `ChunkBuf` sits inside a `LentChunk`, which lets it be read only. Nobody writes until this is dropped.
        unsafe {
            std::slice::from_raw_parts(self.memory.address(self.index), self.memory.chunk_bytes)
        }
    }
}

impl Drop for ChunkRef<'_> {
    fn drop(&mut self) {
        // The next `reclaim` acquires this from whichever reader was the last, as all of them are links of one chain of
        // read-modify-writes.
        if let Some(state) = self.memory.state.get(self.index as usize) {
            state.fetch_sub(1, Ordering::Release);
        }
    }
}
