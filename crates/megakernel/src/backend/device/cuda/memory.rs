//! Memory that a GPU can access: pinned memory of the host, and the GPU's own.

use super::{refused, Cuda, DeviceMemory, Handle, Session, Stream};
use crate::backend::device::driver::{failed, no_room, with_a_page};
use crate::KernelError;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use gristmill_ring::{lock, HostVisible, PAGE_BYTES};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex};

/// Converts the error of a failed allocation, for use with `map_err`.
fn not_allocated(call: &'static str, bytes: usize) -> impl Fn(DriverError) -> KernelError {
    move |error| match error.0 {
        sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => no_room::<Cuda>(call, bytes),
        _ => refused(call)(error),
    }
}

/// Zeroed memory of the host that the GPU sees at the same address.
pub(super) struct Pinned {
    session: Arc<Session>,
    /// The address that `cuMemHostAlloc` returned.
    allocated: Handle<c_void>,
    /// The address of the first byte that is used, which is a multiple of the page size.
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a `Pinned` consists of addresses and a length. Any thread may use the memory, and any thread may free it (see
// `Handle`).
unsafe impl Send for Pinned {}
// SAFETY: as for `Send`; the methods of a shared `Pinned` only return addresses.
unsafe impl Sync for Pinned {}

impl Pinned {
    pub fn new(session: &Arc<Session>, bytes: usize) -> Result<Self, KernelError> {
        let call = "cuMemHostAlloc";
        let total = with_a_page(bytes).ok_or_else(|| no_room::<Cuda>(call, bytes))?;
        let flags = sys::CU_MEMHOSTALLOC_PORTABLE | sys::CU_MEMHOSTALLOC_DEVICEMAP;
        session.enter()?;
        // SAFETY: the context is entered; the result is zeroed below before any other code sees it.
        let allocated = unsafe { result::malloc_host(total, flags) };
        let allocated = allocated.map_err(not_allocated(call, total))?;
        let first = NonNull::new(allocated.cast::<u8>())
            .ok_or_else(|| failed::<Cuda>(call, None, "it gave no address"))?;
        let skip = first.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        let pinned = Self {
            session: Arc::clone(session),
            allocated: Handle(allocated),
            // SAFETY: `skip` is at most a page, and the allocation has room for `bytes` bytes and one page.
            base: unsafe { first.add(skip) },
            bytes,
        };
        // SAFETY: `base` is valid for `bytes` bytes, and no other code knows its address yet.
        unsafe { ptr::write_bytes(pinned.base.as_ptr(), 0, bytes) };
        let mut seen = 0;
        // SAFETY: `seen` is a variable that the driver may write to, and `allocated` is from cuMemHostAlloc.
        unsafe { sys::cuMemHostGetDevicePointer_v2(&raw mut seen, allocated, 0) }
            .result()
            .map_err(refused("cuMemHostGetDevicePointer"))?;
        if seen != allocated as u64 {
            let cause = "the GPU sees the memory at another address than the host";
            return Err(failed::<Cuda>(call, None, cause));
        }
        Ok(pinned)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.session.enter().is_ok() {
            // SAFETY: the memory was allocated by cuMemHostAlloc in this context, and it is freed once, here. Any code
            // that uses the memory holds the block, and kernels run only while `host.rs` keeps the block alive. If the
            // call fails, the memory stays allocated, which is safe.
            let _freed = unsafe { result::free_host(self.allocated.0) };
        }
    }
}

// SAFETY: the host may read and write mapped memory at any time. The memory is valid from `base` on for `bytes` bytes,
// which `new` checked to fit in an isize, until `drop`. `new` zeroed it and aligned it to a page. This module hands it
// to one owner and does not touch it afterwards.
unsafe impl HostVisible for Pinned {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn device(&self) -> u64 {
        self.session.number
    }
}

/// Memory of the GPU. The host writes it with copies.
///
/// Once a running kernel has seen, with acquire order, a word that the host stored after a `write` with release order,
/// it also sees what was written, even where it has read the same place before. The reason is that the copy is done
/// when `write` returns (in the L2 cache, which all multiprocessors share), and that an acquire of device or system
/// scope makes a multiprocessor discard the contents of its L1 cache, for all lanes that a barrier joins with the
/// acquiring lane. So no place in the tables has to stay unchanged until the next launch. A load through the
/// non-coherent path (`ld.global.nc`) would break this, so `scripts/ptx` fails if the compiler emits one.
pub(super) struct Memory {
    session: Arc<Session>,
    address: u64,
    words: usize,
    copies: Mutex<Stream>,
}

impl Memory {
    pub fn new(session: &Arc<Session>, words: usize) -> Result<Self, KernelError> {
        let bytes = words.max(1).saturating_mul(4);
        let copies = Mutex::new(Stream::new(session)?);
        // SAFETY: the context is entered (`Stream::new`). No code reads the memory before it is written.
        let address =
            unsafe { result::malloc_sync(bytes) }.map_err(not_allocated("cuMemAlloc", bytes))?;
        Ok(Self {
            session: Arc::clone(session),
            address,
            words,
            copies,
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.session.enter().is_ok() {
            // SAFETY: the memory was allocated by cuMemAlloc in this context, and it is freed once. Kernels that used
            // it have left or are lost; if they are lost, `host.rs` never drops it. If the call fails, the memory stays
            // allocated, which is safe.
            let _freed = unsafe { result::free_sync(self.address) };
        }
    }
}

impl DeviceMemory for Memory {
    fn address(&self) -> u64 {
        self.address
    }

    fn write(&self, at: usize, words: &[u32]) -> Result<(), KernelError> {
        if at > self.words || words.len() > self.words - at {
            let call = "a write to the device's memory";
            return Err(failed::<Cuda>(call, None, "it goes beyond its end"));
        }
        if words.is_empty() {
            return Ok(());
        }
        let copies = lock(&self.copies);
        self.session.enter()?;
        // SAFETY: the words from `at` up to `at + words.len()` lie in the memory (checked above), which lives as long
        // as `self`. `words` stays borrowed until the copy has been waited for, or the driver has reported that the
        // device is lost.
        unsafe { result::memcpy_htod_async(self.address + 4 * at as u64, words, copies.stream.0) }
            .map_err(refused("cuMemcpyHtoDAsync"))?;
        copies.wait()
    }
}
