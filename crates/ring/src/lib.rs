//! Shared memory and the live ring between a Gristmill host and its device.
//!
//! Two rules hold in this crate, and everything unsafe in it serves them:
//!
//! 1. **Memory that a running kernel can change is touched through atomics only**, never as a `&[u8]` or `&mut [u8]`.
//!    [`SharedWords`] is the one door to such words; it hands out `&[AtomicU32]` and nothing else.
//! 2. **A chunk has one owner at a time.** A [`ChunkBuf`] is exclusive (whoever holds it may read and write its bytes);
//!    [`ChunkBuf::lend`] gives it to the device, which may then read it through a [`ChunkRef`], and
//!    [`LentChunk::reclaim`] takes it back only when no such reference lives. The state word of each chunk decides, so
//!    no number that arrives in a slot can reach a chunk that the host is still filling.
//!
//! Read the head of [`live`] first: who writes which word, a slot's life, and the orders of access. `examples/ring.rs` in the
//! repository is a host and a worker in a hundred lines. Whatever unsafe code relies on is listed in `docs/soundness.md`.
//!
//! The pieces:
//!
//! - [`memory`]: a lazily touched mapping, and words in it.
//! - [`chunk`]: the arena of chunk buffers that reads land in; [`ChunkPool`] keeps those that are free.
//! - [`records`]: the area of each slot in which an opcode leaves results that do not fit in a completion entry.
//! - [`live`]: the ring itself: [`Submitter`] and [`Completions`] for the host, [`DeviceRing`] for workers;
//!   and its IO queue, through which the device asks for bytes: [`IoQueue`] for the host.
//!
//! `vm-memory`'s `VolatileSlice` was considered for the first rule. Its accesses are volatile rather than ordered, and
//! the ring needs acquire and release on nearly every word, so a slice of atomics is both smaller and checkable by
//! loom.

#![warn(missing_docs)]

mod backoff;
#[cfg(not(loom))]
pub mod chunk;
pub mod live;
pub mod memory;
#[cfg(not(loom))]
mod pool;
pub mod records;
mod sync;

pub use backoff::Backoff;
#[cfg(not(loom))]
pub use chunk::{ChunkBuf, ChunkMemory, ChunkPlan, ChunkRef, LentChunk};
pub use live::{
    live_ring, live_ring_over, ClaimedIo, ClaimedSlot, Claimer, Completion, Completions,
    DeviceRing, IoQueue, Outcome, ParkedSlot, PendingIo, RingConfig, RingMemory, SlotIndex,
    SlotToken, Submission, Submitter, AGEING_CLAIMS, MAX_SLOTS,
};
#[cfg(not(loom))]
pub use memory::{Arena, HostVisible, REGION_ALIGN};
pub use memory::{SharedWords, PAGE_BYTES};
#[cfg(not(loom))]
pub use pool::ChunkPool;
pub use records::{RecordMemory, RecordWriter};
pub use sync::lock;
