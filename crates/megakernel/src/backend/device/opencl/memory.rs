//! Shared virtual memory: fine-grained memory for what the host shares with running kernels, and coarse-grained memory
//! for what only the device uses.

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

/// The alignment to request; PoCL refuses more than 128.
const SVM_ALIGN: u32 = 64;

/// A block of shared virtual memory.
pub(super) struct Block {
    session: Arc<Session>,
    /// The address that `clSVMAlloc` returned.
    allocated: NonNull<c_void>,
    /// The address of the first byte that is used, which is a multiple of the page size.
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a `Block` consists of addresses and a length. The memory behind them may be used from any thread:
// fine-grained buffers are shared at the granularity of bytes (OpenCL 2.0, 5.6.1), and a coarse-grained buffer is
// accessed only by commands of a queue. `clSVMFree` may be called from any thread.
unsafe impl Send for Block {}
// SAFETY: as for `Send`; the methods of a shared `Block` only return addresses.
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
            // SAFETY: `skip` is at most a page, and the allocation has room for `bytes` bytes and one page.
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
        // SAFETY: the pointer came from clSVMAlloc of this context, and it is freed once, here. Any code that uses the
        // memory holds the block, and kernels run only while `host.rs` keeps the block alive. If the call fails, the
        // memory stays allocated, which is safe.
        let _freed = unsafe { svm_free(self.session.context.get(), self.allocated.as_ptr()) };
    }
}

/// Zeroed memory that host and device both see while kernels run.
pub(super) struct Fine(Block);

impl Fine {
    pub fn new(session: &Arc<Session>, bytes: usize) -> Result<Self, KernelError> {
        let flags = CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS;
        let block = Block::new(session, flags, bytes)?;
        // SAFETY: `base` is valid for `bytes` bytes (`Block::new`), the host may write a fine-grained buffer without
        // mapping it, and no other code knows its address yet.
        unsafe { ptr::write_bytes(block.base.as_ptr(), 0, block.bytes) };
        Ok(Self(block))
    }
}

// SAFETY: the host may read and write the block without mapping it, from `base` on for `bytes` bytes, which
// `Block::new` checked to fit in an isize, until `drop`. `Fine::new` zeroed it, and it is aligned to a page. This
// module hands a block to one owner only, either as `HostVisible` or as `DeviceMemory`; after handing it out as
// `HostVisible`, this module does not touch it.
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
            // SAFETY: `at + index` is below the number of words in the block (checked above). The block is aligned to a
            // page and lives as long as `self`. Only this method, which uses atomics, and the device access it.
            let target =
                unsafe { AtomicU32::from_ptr(self.0.base.as_ptr().cast::<u32>().add(at + index)) };
            target.store(*word, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Memory of the device. The host writes it with copies while no kernel runs.
pub(super) struct Coarse {
    /// This field precedes the block, since the queue copies to the block.
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
        // SAFETY: `at + words.len()` words lie in the block (checked above), so the target does not go beyond its end.
        // The copy blocks, and both the block and `words` live until it is done. They do not overlap, since the host
        // has no reference into the block. No running kernel uses the block: its owner writes it before the first
        // launch (`Purpose::State`).
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
