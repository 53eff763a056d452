//! Memory that reads land in and that a kernel sees. It is a region that is passed from owner to owner.
//!
//! A [`GpuMappedBuffer`] is an address and a length that are borrowed for `'a`; it gives no access to the bytes by
//! itself. Its owner may let io_uring write to them. Carving out a [`GpuMappedBuffer::sub_region`] moves that right,
//! for the carved bytes, to the new owner, until the new owner and everything carved from it are dropped. So the bytes
//! of two owners never overlap.

use gristmill_protocol::PipelineError;
use gristmill_ring::lock;
use std::any::Any;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

/// An address range, laid out as the kernel's `struct iovec`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Iovec {
    /// First byte.
    pub iov_base: *mut core::ffi::c_void,
    /// Length in bytes.
    pub iov_len: usize,
}

/// Host-visible memory of a device, or host memory in its place, borrowed for `'a`.
pub struct GpuMappedBuffer<'a> {
    base: *mut u8,
    region: Arc<Region>,
    /// Whether it is memory of another device on the bus.
    peer: bool,
    owner: PhantomData<&'a mut [u8]>,
}

// SAFETY: the address is only ever handed to the kernel, which may write through it no matter which thread asked; the
// borrow of the memory's owner (`'a`) moves with the buffer, and no method reads or writes the bytes.
unsafe impl Send for GpuMappedBuffer<'_> {}
// SAFETY: a shared reference gives out lengths and sub-regions, and the list of carved ranges is kept under a lock.
unsafe impl Sync for GpuMappedBuffer<'_> {}

/// A range of a parent region, and the ranges that were carved out of this one.
struct Region {
    /// Offset in the parent.
    offset: usize,
    len: usize,
    /// Keeps this range carved out of the parent while anything that was carved out of this range exists.
    parent: Option<Arc<Region>>,
    carved: Mutex<Vec<(usize, usize)>>,
    /// Keeps the memory mapped, if that is the buffer's task.
    _mapping: Option<Arc<dyn Any + Send + Sync>>,
}

impl Region {
    fn new(offset: usize, len: usize, parent: Option<Arc<Region>>) -> Arc<Self> {
        Arc::new(Region {
            offset,
            len,
            parent,
            carved: Mutex::new(Vec::new()),
            _mapping: None,
        })
    }

    /// Whether the range overlaps no range that was carved out.
    fn is_free(carved: &[(usize, usize)], offset: usize, len: usize) -> bool {
        carved.iter().all(|&(at, size)| {
            offset >= at.saturating_add(size) || at >= offset.saturating_add(len)
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(parent) = &self.parent {
            let mut carved = lock(&parent.carved);
            if let Some(at) = carved
                .iter()
                .position(|&range| range == (self.offset, self.len))
            {
                carved.swap_remove(at);
            }
        }
    }
}

impl<'a> GpuMappedBuffer<'a> {
    /// Takes a borrowed slice.
    ///
    /// # Safety
    /// Until the buffer, everything carved from it and every stream over it are dropped, nobody may read or write the
    /// slice's memory, except by a protocol that the buffer's users agree on (such as the publication of a slot). None
    /// of those may be leaked with reads in flight: the borrow would end, but the reads would not.
    pub unsafe fn from_host_visible_slice(slice: &'a mut [u8]) -> Self {
        Self::over(slice.as_mut_ptr(), slice.len())
    }

    /// Takes `len` bytes at `base`. The memory belongs to `owner`, which stays borrowed.
    ///
    /// # Safety
    /// `base` must be valid for reads and writes of `len` bytes for as long as `owner` is borrowed, and otherwise as
    /// for [`GpuMappedBuffer::from_host_visible_slice`].
    pub unsafe fn from_host_visible_owner<O: ?Sized>(
        _owner: &'a mut O,
        base: *mut u8,
        len: usize,
    ) -> Self {
        Self::over(base, len)
    }

    /// Takes `len` bytes at `base`. They are mapped memory of a PCI device, which belongs to `owner`; `owner` stays
    /// borrowed. Reads into this memory work only if it is backed by p2pdma pages. [`PeerMemory`](crate::PeerMemory) is
    /// such an owner, and its interface is safe. The memory is never registered with a ring, because the kernel would
    /// refuse that.
    ///
    /// # Safety
    /// As [`GpuMappedBuffer::from_host_visible_owner`].
    pub unsafe fn from_bar1_peer_with_owner<O: ?Sized>(
        _owner: &'a mut O,
        base: *mut u8,
        len: usize,
    ) -> Self {
        GpuMappedBuffer {
            peer: true,
            ..Self::over(base, len)
        }
    }

    /// Takes memory that stays mapped for as long as the buffer, or anything carved from it, exists. With `peer`, it is
    /// memory of another device.
    ///
    /// # Safety
    /// `base` must be valid for reads and writes of `len` bytes for as long as `mapping` exists, and nobody may make
    /// references to bytes into which the buffer's owner has reads in flight, or which it is looking at.
    pub(crate) unsafe fn from_mapping(
        mapping: Arc<dyn Any + Send + Sync>,
        base: *mut u8,
        len: usize,
        peer: bool,
    ) -> Self {
        let region = Arc::new(Region {
            offset: 0,
            len,
            parent: None,
            carved: Mutex::new(Vec::new()),
            _mapping: Some(mapping),
        });
        GpuMappedBuffer {
            base,
            region,
            peer,
            owner: PhantomData,
        }
    }

    fn over(base: *mut u8, len: usize) -> Self {
        GpuMappedBuffer {
            base,
            region: Region::new(0, len, None),
            peer: false,
            owner: PhantomData,
        }
    }

    /// Whether it is memory of another device on the bus.
    pub fn is_peer(&self) -> bool {
        self.peer
    }

    /// Carves out `len` bytes at `offset` for another owner. They return when that owner, and everything carved from
    /// its part, are dropped.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where the range is not inside this region, or overlaps one that is still carved
    /// out.
    pub fn sub_region(&self, offset: usize, len: usize) -> Result<Self, PipelineError> {
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(PipelineError::QueueFull {
                queue: "mapped buffer",
                fix: "carve sub-regions that end inside the buffer, or map a larger one",
            });
        }
        let mut carved = lock(&self.region.carved);
        if !Region::is_free(&carved, offset, len) {
            return Err(PipelineError::QueueFull {
                queue: "mapped buffer",
                fix: "carve sub-regions that do not overlap, or drop the one that has these bytes first",
            });
        }
        carved.push((offset, len));
        drop(carved);
        Ok(GpuMappedBuffer {
            base: self.base.wrapping_add(offset),
            region: Region::new(offset, len, Some(Arc::clone(&self.region))),
            peer: self.peer,
            owner: PhantomData,
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.region.len
    }

    /// Whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.region.len == 0
    }

    /// The address of `len` bytes at `offset`, if they lie inside the buffer and are not carved out.
    pub(crate) fn target(&self, offset: usize, len: usize) -> Option<*mut u8> {
        if offset.checked_add(len)? > self.len() {
            return None;
        }
        let carved = lock(&self.region.carved);
        Region::is_free(&carved, offset, len).then(|| self.base.wrapping_add(offset))
    }

    /// The first byte's address.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }
}

impl std::fmt::Debug for GpuMappedBuffer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuMappedBuffer({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_buffer(check: impl FnOnce(GpuMappedBuffer<'_>)) {
        let mut memory = vec![0; 100];
        // SAFETY: `memory` is used by nobody else until the buffer is gone, and nothing reads into it here.
        check(unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) });
    }

    #[test]
    fn sub_regions_of_two_owners_never_overlap() {
        with_buffer(|buffer| {
            let first = buffer.sub_region(10, 20).unwrap();
            for (offset, len) in [(10, 20), (0, 11), (29, 1), (15, 2), (0, 100)] {
                assert!(buffer.sub_region(offset, len).is_err(), "{offset} {len}");
            }
            let second = buffer.sub_region(30, 70).unwrap();
            assert_eq!(buffer.sub_region(0, 10).unwrap().len(), 10);
            drop(first);
            assert!(buffer.sub_region(0, 30).is_ok());
            drop(second);
            assert!(buffer.sub_region(0, 100).is_ok());
        });
    }

    #[test]
    fn what_was_carved_from_a_sub_region_keeps_it_carved_out() {
        with_buffer(|buffer| {
            let child = buffer.sub_region(0, 50).unwrap();
            let grandchild = child.sub_region(40, 10).unwrap();
            drop(child);
            assert!(buffer.sub_region(45, 1).is_err());
            drop(grandchild);
            assert!(buffer.sub_region(45, 1).is_ok());
        });
    }

    #[test]
    fn a_region_outside_is_refused() {
        with_buffer(|buffer| {
            for (offset, len) in [(0, 101), (100, 1), (usize::MAX, 1), (1, usize::MAX)] {
                let error = buffer.sub_region(offset, len).unwrap_err();
                assert!(matches!(error, PipelineError::QueueFull { .. }));
            }
            assert!(buffer.sub_region(100, 0).unwrap().is_empty());
        });
    }

    #[test]
    fn a_carved_out_target_is_no_target_of_the_parent() {
        with_buffer(|buffer| {
            let child = buffer.sub_region(10, 10).unwrap();
            assert!(buffer.target(0, 10).is_some() && buffer.target(20, 80).is_some());
            assert!(buffer.target(0, 11).is_none() && buffer.target(19, 1).is_none());
            assert_eq!(child.target(0, 10), Some(buffer.base().wrapping_add(10)));
        });
    }
}
