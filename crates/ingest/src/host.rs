//! Host memory for a driver's slots, where a program has none of its own to lend.

use crate::mapped::GpuMappedBuffer;
use crate::peer::Mapping;
use gristmill_protocol::PipelineError;
use std::sync::Arc;

/// Anonymous memory of this process, touched once, so that no read finds a page missing.
pub struct HostMemory {
    mapping: Arc<Mapping>,
}

impl HostMemory {
    /// Maps `bytes` bytes, a multiple of the page size.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for no bytes or parts of a page; [`PipelineError::Backend`] where there is not
    /// as much memory.
    pub fn allocate(bytes: usize) -> Result<Self, PipelineError> {
        if bytes == 0 || !bytes.is_multiple_of(4096) {
            return Err(PipelineError::InvalidArgument {
                what: "a size of memory that is not in whole pages",
                fix: "allocate a multiple of 4096 bytes",
            });
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new mapping, wherever the kernel puts it; nothing that exists is touched.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            let error = std::io::Error::last_os_error();
            return Err(PipelineError::Backend(format!(
                "{bytes} bytes of memory cannot be had: {error}; use fewer or smaller slots"
            )));
        }
        let base = base.cast();
        Ok(HostMemory {
            mapping: Arc::new(Mapping { base, bytes }),
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.mapping.bytes
    }

    /// Never: no bytes cannot be allocated.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it as a buffer for reads.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] where an earlier buffer still exists, which can only be one that was leaked.
    pub fn buffer(&mut self) -> Result<GpuMappedBuffer<'_>, PipelineError> {
        if Arc::strong_count(&self.mapping) > 1 {
            return Err(PipelineError::QueueFull {
                queue: "host memory",
                fix: "drop the buffer that has it first, or allocate more",
            });
        }
        let mapping = Arc::clone(&self.mapping);
        let (base, bytes) = (mapping.base, mapping.bytes);
        // SAFETY: the mapping is readable and writable, `bytes` long, and exists for as long as the `Arc` that the
        // buffer holds; nobody else has its address.
        Ok(unsafe { GpuMappedBuffer::from_mapping(mapping, base, bytes, false) })
    }
}

impl std::fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostMemory({} bytes)", self.len())
    }
}
