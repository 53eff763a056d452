//! A mapping that is touched lazily, and the words in it that host and device share.

use crate::sync::{Arc, AtomicU32};
use gristmill_protocol::PipelineError;
use std::ops::Deref;

/// Zeroed, page-aligned memory that is backed by physical pages only where it was touched.
///
/// Under Miri it comes from the allocator, as Miri has no shared mappings.
#[cfg(not(loom))]
pub(crate) struct Mapping {
    base: std::ptr::NonNull<u8>,
    bytes: usize,
}

// SAFETY: a `Mapping` is an address and a length. It gives out no reference by itself; `SharedWords` and `ChunkMemory`
// do, under their own rules, and the mapping is released only when the last of them is dropped.
#[cfg(not(loom))]
unsafe impl Send for Mapping {}
// SAFETY: as for `Send`: no method of `Mapping` reads or writes the memory.
#[cfg(not(loom))]
unsafe impl Sync for Mapping {}

/// Alignment of every mapping, in bytes.
#[cfg(not(loom))]
pub(crate) const PAGE_BYTES: usize = 4096;

#[cfg(not(loom))]
impl Mapping {
    /// Maps `bytes` (rounded up to whole pages, at least one) of zeroed memory.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the kernel refuses the mapping.
    pub(crate) fn new(bytes: usize) -> Result<Self, PipelineError> {
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
    fn allocate(bytes: usize) -> Result<std::ptr::NonNull<u8>, PipelineError> {
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
        std::ptr::NonNull::new(address.cast()).ok_or_else(|| too_large(bytes))
    }

    #[cfg(miri)]
    fn allocate(bytes: usize) -> Result<std::ptr::NonNull<u8>, PipelineError> {
        let layout =
            std::alloc::Layout::from_size_align(bytes, PAGE_BYTES).map_err(|_| too_large(bytes))?;
        // SAFETY: the layout's size is not zero: `new` rounded it up to at least one page.
        std::ptr::NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })
            .ok_or_else(|| too_large(bytes))
    }

    /// The first byte.
    pub(crate) fn base(&self) -> std::ptr::NonNull<u8> {
        self.base
    }

    /// Length in bytes, a multiple of [`PAGE_BYTES`].
    pub(crate) fn bytes(&self) -> usize {
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
        // SAFETY: `base` and `bytes` are those of one successful `mmap` in `allocate`, unmapped once, here. Whoever
        // hands out references into the mapping holds it in an `Arc`, so none of them outlives this.
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

/// Words that host and device share: the only door to them, and it opens on atomics.
///
/// A clone names the same words.
#[derive(Clone)]
pub struct SharedWords {
    #[cfg(not(loom))]
    map: Arc<Mapping>,
    #[cfg(not(loom))]
    len: usize,
    #[cfg(loom)]
    words: Arc<Vec<AtomicU32>>,
}

impl SharedWords {
    /// Maps `len` words, all zero.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] where the memory is not to be had.
    #[cfg(not(loom))]
    pub fn map(len: usize) -> Result<Self, PipelineError> {
        let bytes = len
            .checked_mul(size_of::<AtomicU32>())
            .ok_or_else(|| too_large(len))?;
        let map = Arc::new(Mapping::new(bytes)?);
        Ok(Self { map, len })
    }

    /// Makes `len` words of loom's, all zero.
    ///
    /// # Errors
    /// Never; the signature is that of the real one.
    #[cfg(loom)]
    pub fn map(len: usize) -> Result<Self, PipelineError> {
        Ok(Self {
            words: Arc::new((0..len).map(|_| AtomicU32::new(0)).collect()),
        })
    }
}

impl Deref for SharedWords {
    type Target = [AtomicU32];

    #[cfg(not(loom))]
    fn deref(&self) -> &[AtomicU32] {
        debug_assert!(self.len * size_of::<AtomicU32>() <= self.map.bytes());
        // SAFETY: the mapping holds at least `len` words (`map` sized it so), is aligned to a page and therefore to a
        // word, is initialised (zeroed by the kernel or the allocator), and lives as long as `self.map`, which the
        // returned borrow keeps. `AtomicU32` has the layout of `u32`, every bit pattern is valid, and shared mutation
        // through it is allowed; nobody makes a plain reference to these bytes, as `Mapping` is private to this crate
        // and a `SharedWords` shares its mapping with nothing but its own clones.
        unsafe { std::slice::from_raw_parts(self.map.base().as_ptr().cast(), self.len) }
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
