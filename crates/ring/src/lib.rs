//! Shared memory and the live ring between a Gristmill host and its device.
//!
//! Two rules hold in this crate, and all of its unsafe code depends on them:
//!
//! 1. **Memory that a running kernel can change is touched through atomics only**, never as a `&[u8]` or `&mut [u8]`.
//!    [`SharedWords`] is the only access to such words; it hands out `&[AtomicU32]` and nothing else.
//! 2. **A chunk has one owner at a time.** A [`ChunkBuf`] is exclusive (its holder may read and write its bytes);
//!    [`ChunkBuf::lend`] gives it to the device, which may then read it through a [`ChunkRef`], and
//!    [`LentChunk::reclaim`] takes it back only when no such reference lives. The state word of each chunk decides, so
//!    no number that arrives in a slot can reach a chunk that the host is still filling.
//!
//! Read the introduction of [`live`] first. It says who writes which word, and describes a slot's life and the memory
//! ordering. `examples/ring.rs` in the repository is a host and a worker in a hundred lines. `docs/soundness.md` lists
//! everything that the unsafe code relies on.
//!
//! The pieces:
//!
//! - [`memory`]: a lazily touched mapping, and words in it.
//! - [`chunk`]: the arena of chunk buffers that reads land in; [`ChunkPool`] holds the free ones.
//! - [`records`]: the area of each slot in which an opcode leaves results that do not fit in a completion entry.
//! - [`live`]: the ring itself, with [`Submitter`] and [`Completions`] for the host and [`DeviceRing`] for workers; and
//!   its IO queue, through which the device asks for bytes, with [`IoQueue`] for the host.
//! - [`Backoff`], [`lock`] and [`PAGE_BYTES`], which the crates that depend on this one use, too.
//!
//! `docs/protocol.md` specifies what the words mean and in which order they are written.
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
