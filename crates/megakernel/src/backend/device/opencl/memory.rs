//! Shared virtual memory: fine-grained for what host and running kernels share, coarse-grained for what the device has alone.

use super::{refused, DeviceMemory, OpenCl, Session};
use crate::backend::device::driver::{failed, no_room, with_a_page};
use crate::KernelError;
use gristmill_ring::{lock, HostVisible, PAGE_BYTES};
use opencl3::command_queue::CommandQueue;
use opencl3::memory::{
    svm_alloc, svm_free, CL_MEM_READ_WRITE, CL_MEM_SVM_ATOMICS, CL_MEM_SVM_FINE_GRAIN_BUFFER,
};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// Alignment that is asked for; PoCL refuses more than 128.
const SVM_ALIGN: u32 = 64;

/// A block of shared virtual memory.
pub(super) struct Block {
    session: Arc<Session>,
    /// What `clSVMAlloc` returned.
    allocated: NonNull<c_void>,
    /// The first byte that is used: a multiple of a page.
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a `Block` is addresses and a length; the memory behind them may be used from any thread (OpenCL 2.0, 5.6.1:
// fine-grained buffers are shared at the granularity of bytes; a coarse-grained one is touched by commands of a queue alone),
// and `clSVMFree` may be called from any.
unsafe impl Send for Block {}
// SAFETY: as for `Send`: the methods of a shared `Block` only tell addresses.
unsafe impl Sync for Block {}

impl Block {
    fn new(session: &Arc<Session>, flags: u64, bytes: usize) -> Result<Self, KernelError> {
        let bytes = bytes.max(4);
        let no_room = || no_room::<OpenCl>("clSVMAlloc", bytes);
        let total = with_a_page(bytes).ok_or_else(no_room)?;
        // SAFETY: the context is alive (`session` holds it) and the flags are a combination that clSVMAlloc knows; the
        // result is checked before it is used.
        let allocated = unsafe { svm_alloc(session.context.get(), flags, total, SVM_ALIGN) };
        let allocated = allocated.ok().and_then(NonNull::new).ok_or_else(no_room)?;
        let first = allocated.cast::<u8>();
        let skip = first.as_ptr().align_offset(PAGE_BYTES).min(PAGE_BYTES);
        Ok(Self {
            session: Arc::clone(session),
            allocated,
            // SAFETY: `skip` is at most a page, and the allocation is `bytes` and a page long.
            base: unsafe { first.add(skip) },
            bytes,
        })
    }

    /// Checks that words `at` to `at + words.len()` lie in the block.
    fn check(&self, at: usize, words: &[u32]) -> Result<(), KernelError> {
        let capacity = self.bytes / 4;
        if at > capacity || words.len() > capacity - at {
            let call = "a write to the device's memory";
            return Err(failed::<OpenCl>(call, None, "it goes beyond its end"));
        }
        Ok(())
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the pointer came from clSVMAlloc of this context, is freed once, here, and who uses the memory holds
        // the block: kernels run only while `host.rs` keeps it alive. An error leaves it allocated, which is safe.
        let _freed = unsafe { svm_free(self.session.context.get(), self.allocated.as_ptr()) };
    }
}

/// Memory that host and device see while kernels run, zeroed.
pub(super) struct Fine(Block);

impl Fine {
    pub fn new(session: &Arc<Session>, bytes: usize) -> Result<Self, KernelError> {
        let flags = CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS;
        let block = Block::new(session, flags, bytes)?;
        // SAFETY: `base` is valid for `bytes` bytes (`Block::new`), the host may write a fine-grained buffer without mapping
        // it, and nobody else knows its address yet.
        unsafe { ptr::write_bytes(block.base.as_ptr(), 0, block.bytes) };
        Ok(Self(block))
    }
}

// SAFETY: the block is readable and writable by the host without mapping from `base` on for `bytes` bytes, which
// `Block::new` checked to fit in an isize, until `drop`; zeroed by `Fine::new`; aligned to a page. This module hands a block
// to one owner only, either as this or as `DeviceMemory`, and as this touches it no more.
unsafe impl HostVisible for Fine {
    fn base(&self) -> NonNull<u8> {
        self.0.base
    }

    fn bytes(&self) -> usize {
        self.0.bytes
    }

    fn device(&self) -> u64 {
        self.0.session.number
    }
}

impl DeviceMemory for Fine {
    fn address(&self) -> u64 {
        self.0.base.as_ptr() as u64
    }

    fn write(&self, at: usize, words: &[u32]) -> Result<(), KernelError> {
        self.0.check(at, words)?;
        for (index, word) in words.iter().enumerate() {
            // SAFETY: `at + index` is below the block's words (checked above), the block is aligned to a page, alive as
            // long as `self`, and reached by nobody but this method, with atomics, and the device.
            let target =
                unsafe { AtomicU32::from_ptr(self.0.base.as_ptr().cast::<u32>().add(at + index)) };
            target.store(*word, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Memory of the device, which the host writes by copies while no kernel runs.
pub(super) struct Coarse {
    /// Before the block, which it copies to.
    copies: Mutex<CommandQueue>,
    block: Block,
}

impl Coarse {
    pub fn new(session: &Arc<Session>, bytes: usize) -> Result<Self, KernelError> {
        Ok(Self {
            copies: Mutex::new(session.queue()?),
            block: Block::new(session, CL_MEM_READ_WRITE, bytes)?,
        })
    }
}

impl DeviceMemory for Coarse {
    fn address(&self) -> u64 {
        self.block.base.as_ptr() as u64
    }

    fn write(&self, at: usize, words: &[u32]) -> Result<(), KernelError> {
        self.block.check(at, words)?;
        if words.is_empty() {
            return Ok(());
        }
        let copies = lock(&self.copies);
        // SAFETY: `at + words.len()` words lie in the block (checked above), so the target does not leave it; block and
        // `words` live until the copy, which blocks, is done; and they do not overlap, as the host has no reference into
        // the block. No kernel runs that uses it: its owner writes it before the first launch (`Purpose::State`).
        unsafe {
            copies.enqueue_svm_mem_cpy(
                opencl3::types::CL_BLOCKING,
                self.block.base.as_ptr().cast::<u32>().add(at).cast(),
                words.as_ptr().cast(),
                size_of_val(words),
                &[],
            )
        }
        .map_err(refused("clEnqueueSVMMemcpy"))?;
        Ok(())
    }
}
