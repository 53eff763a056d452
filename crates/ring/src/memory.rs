//! Memory that host and device share, and the words in it. The memory is a lazily touched mapping, or comes from a
//! device's driver.

use crate::sync::AtomicU32;
use gristmill_protocol::PipelineError;
use std::ops::Deref;
#[cfg(not(loom))]
use std::{ptr::NonNull, sync::Arc};

/// Memory that this process can read and write, and that a device may see too.
///
/// # Safety
/// For as long as the value lives, the [`bytes`](Self::bytes) bytes from [`base`](Self::base) on
///
/// - are valid for reads and writes of this process, from any thread, and stay at that address;
/// - are initialised (zeroed when they were made), and `base` is aligned to [`REGION_ALIGN`] bytes;
/// - are accessed only by the device, and through parts that were handed out by the [`Arena`] that took the value, or
///   by the arena of chunks that took it ([`ChunkMemory::place`](crate::ChunkMemory::place)).
#[cfg(not(loom))]
pub unsafe trait HostVisible: Send + Sync {
    /// The first byte.
    fn base(&self) -> NonNull<u8>;
    /// Length in bytes; fits in an `isize`.
    fn bytes(&self) -> usize;
    /// A number for the device that sees the memory at the same address; 0 for none.
    fn device(&self) -> u64 {
        0
    }
    /// If this is a PCI device's memory, the bus address of that device; `None` for the host's memory.
    fn peer(&self) -> Option<&str> {
        None
    }
}

/// Alignment of host-visible memory, and of each part that an [`Arena`] hands out, in bytes: two cache lines, so that
/// no two parts share a cache line, or a pair of cache lines that is fetched together.
#[cfg(not(loom))]
pub const REGION_ALIGN: usize = 128;

/// Hands out parts of host-visible memory, each once.
#[cfg(not(loom))]
pub struct Arena {
    memory: Arc<dyn HostVisible>,
    next: usize,
}

#[cfg(not(loom))]
impl Arena {
    /// An arena over all of `memory`, which it owns exclusively from now on.
    pub fn new(memory: Box<dyn HostVisible>) -> Self {
        Self {
            memory: Arc::from(memory),
            next: 0,
        }
    }

    /// Offset of the next part, in bytes from the memory's first.
    pub fn offset(&self) -> usize {
        self.next
    }

    /// The device that sees the memory, as its driver numbers it; 0 for none.
    pub fn device(&self) -> u64 {
        self.memory.device()
    }

    /// Lets the next part begin at a multiple of `bytes`, counted from the memory's first byte; `bytes` is rounded up
    /// to a multiple of [`REGION_ALIGN`]. If there is no such offset, the arena has nothing left.
    pub fn align(&mut self, bytes: usize) {
        // This must never move downwards or wrap around, because then a byte that was handed out would be handed out
        // again.
        self.next = bytes
            .max(1)
            .checked_next_multiple_of(REGION_ALIGN)
            .and_then(|step| self.next.checked_next_multiple_of(step))
            .unwrap_or(usize::MAX);
    }

    /// The next part.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] if less than that is left.
    pub(crate) fn part(&mut self, bytes: usize) -> Result<Region, PipelineError> {
        let end = self.next.checked_add(bytes);
        let Some(end) = end.filter(|end| *end <= self.memory.bytes()) else {
            return Err(too_large(bytes));
        };
        let region = Region {
            memory: Arc::clone(&self.memory),
            start: self.next,
            bytes,
        };
        self.next = end.next_multiple_of(REGION_ALIGN);
        Ok(region)
    }

    /// The next part, as words.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] if less than that is left.
    pub fn words(&mut self, len: usize) -> Result<SharedWords, PipelineError> {
        let bytes = len
            .checked_mul(size_of::<AtomicU32>())
            .ok_or_else(|| too_large(len))?;
        Ok(SharedWords {
            region: Arc::new(self.part(bytes)?),
            len,
        })
    }
}

#[cfg(not(loom))]
impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arena({} of {} bytes)", self.next, self.memory.bytes())
    }
}

/// A part of host-visible memory that nobody else has.
#[cfg(not(loom))]
pub(crate) struct Region {
    memory: Arc<dyn HostVisible>,
    start: usize,
    bytes: usize,
}

#[cfg(not(loom))]
impl Region {
    /// A whole mapping.
    pub(crate) fn map(bytes: usize) -> Result<Self, PipelineError> {
        Ok(Self {
            memory: Arc::new(Mapping::new(bytes)?),
            start: 0,
            bytes,
        })
    }

    /// All of a memory that nobody else has.
    pub(crate) fn all(memory: Box<dyn HostVisible>) -> Self {
        let bytes = memory.bytes();
        Self {
            memory: Arc::from(memory),
            start: 0,
            bytes,
        }
    }

    /// The first byte; aligned to [`REGION_ALIGN`].
    pub(crate) fn base(&self) -> NonNull<u8> {
        // SAFETY: `start + bytes` is at most the memory's length (`Arena::part` checked it, and `map` and `all` made it
        // so), which fits in an isize and lies in one allocation (`HostVisible`).
        unsafe { self.memory.base().add(self.start) }
    }

    /// Length in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The device that sees it, or 0.
    pub(crate) fn device(&self) -> u64 {
        self.memory.device()
    }

    /// The PCI device to which the memory belongs, if it belongs to one.
    pub(crate) fn peer(&self) -> Option<&str> {
        self.memory.peer()
    }
}

/// Zeroed, page-aligned memory that is backed by physical pages only where it was touched.
///
/// Under Miri it comes from the allocator, as Miri has no shared mappings.
#[cfg(not(loom))]
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a `Mapping` is an address and a length. It gives out no reference by itself; `SharedWords` and `ChunkMemory`
// do, under their own rules, and the mapping is released only when the last of them is dropped.
#[cfg(not(loom))]
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`: no method of `Mapping` reads or writes the memory.
#[cfg(not(loom))]
unsafe impl Sync for Mapping {}

/// Bytes of a page. The address and the length of every mapping are multiples of this.
pub const PAGE_BYTES: usize = 4096;

#[cfg(not(loom))]
impl Mapping {
    /// Maps `bytes` (rounded up to whole pages, at least one) of zeroed memory.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the kernel refuses the mapping.
    fn new(bytes: usize) -> Result<Self, PipelineError> {
        let bytes = bytes
            .max(1)
            .checked_next_multiple_of(PAGE_BYTES)
            .ok_or_else(|| too_large(bytes))?;
        if isize::try_from(bytes).is_err() {
            return Err(too_large(bytes));
        }
        Ok(Self {
            base: Self::allocate(bytes)?,
            bytes,
        })
    }

    #[cfg(not(miri))]
    fn allocate(bytes: usize) -> Result<NonNull<u8>, PipelineError> {
        // SAFETY: an anonymous mapping at an address of the kernel's choice: no existing memory is affected, no file
        // descriptor is passed, and the result is checked below before it is used.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            let error = std::io::Error::last_os_error();
            return Err(PipelineError::Backend(format!(
                "cannot map {bytes} bytes of chunk memory: {error}; use fewer or smaller chunks"
            )));
        }
        NonNull::new(address.cast()).ok_or_else(|| too_large(bytes))
    }

    #[cfg(miri)]
    fn allocate(bytes: usize) -> Result<NonNull<u8>, PipelineError> {
        let layout =
            std::alloc::Layout::from_size_align(bytes, PAGE_BYTES).map_err(|_| too_large(bytes))?;
        // SAFETY: the layout's size is not zero: `new` rounded it up to at least one page.
        NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).ok_or_else(|| too_large(bytes))
    }
}

// SAFETY: the mapping is private, readable and writable until `drop`, zeroed by the kernel or the allocator, aligned to
// a page, and its length was checked to fit in an isize (`new`). `Mapping` is private to this module, which hands it to
// one `Region` only.
#[cfg(not(loom))]
unsafe impl HostVisible for Mapping {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(not(loom))]
fn too_large(bytes: usize) -> PipelineError {
    PipelineError::Backend(format!(
        "cannot map {bytes} bytes: the size is out of range; use fewer or smaller chunks"
    ))
}

#[cfg(not(loom))]
impl Drop for Mapping {
    fn drop(&mut self) {
        #[cfg(not(miri))]
        // SAFETY: `base` and `bytes` are those of one successful `mmap` in `allocate`, unmapped once, here. All owners
        // that hand out references into the mapping hold it in an `Arc`, so none of the references outlives this.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.bytes);
        }
        #[cfg(miri)]
        // SAFETY: `base` came from `alloc_zeroed` with this very layout, which was valid then.
        unsafe {
            std::alloc::dealloc(
                self.base.as_ptr(),
                std::alloc::Layout::from_size_align_unchecked(self.bytes, PAGE_BYTES),
            );
        }
    }
}

/// Words that host and device share. This type is the only access to them, and it gives access through atomics only.
///
/// A clone names the same words.
#[derive(Clone)]
pub struct SharedWords {
    #[cfg(not(loom))]
    region: Arc<Region>,
    #[cfg(not(loom))]
    len: usize,
    #[cfg(loom)]
    words: crate::sync::Arc<Vec<AtomicU32>>,
}

impl SharedWords {
    /// Maps `len` words, all zero.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where memory cannot be mapped.
    #[cfg(not(loom))]
    pub fn map(len: usize) -> Result<Self, PipelineError> {
        let bytes = len
            .checked_mul(size_of::<AtomicU32>())
            .ok_or_else(|| too_large(len))?;
        Ok(Self {
            region: Arc::new(Region::map(bytes)?),
            len,
        })
    }

    /// Makes `len` words of loom's, all zero.
    ///
    /// # Errors
    /// Never; the signature is that of the real one.
    #[cfg(loom)]
    pub fn map(len: usize) -> Result<Self, PipelineError> {
        Ok(Self {
            words: crate::sync::Arc::new((0..len).map(|_| AtomicU32::new(0)).collect()),
        })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU32];

    #[cfg(not(loom))]
    fn deref(&self) -> &[AtomicU32] {
        debug_assert!(self.len * size_of::<AtomicU32>() <= self.region.bytes());
        // SAFETY: the region holds at least `len` words (`map` and `Arena::words` sized it so), is aligned to
        // `REGION_ALIGN` and therefore to a word, is initialised (`HostVisible`), and lives as long as `self.region`,
        // which the returned borrow keeps. `AtomicU32` has the layout of `u32`, every bit pattern is valid, and shared
        // mutation through it is allowed; nobody makes a plain reference to these bytes, because a region has one owner
        // (`Arena::part` hands out each byte once) and a `SharedWords` shares its region only with its clones.
        unsafe { std::slice::from_raw_parts(self.region.base().as_ptr().cast(), self.len) }
    }

    #[cfg(loom)]
    fn deref(&self) -> &[AtomicU32] {
        &self.words
    }
}

impl std::fmt::Debug for SharedWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedWords({} words)", self.len())
    }
}
