//! Memory of a PCI device that other devices can write to. The kernel hands it out through sysfs (`p2pmem/allocate`).
//!
//! It is backed by p2pdma pages, which a read into it needs. If the same bytes are mapped from the device's `resourceN`
//! file, they are not backed by such pages, and every read into them fails with EFAULT.

use crate::memory::mapped::GpuMappedBuffer;
use gristmill_protocol::PipelineError;
use gristmill_ring::{ChunkBuf, ChunkMemory, ChunkPlan, HostVisible, PAGE_BYTES};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// The advice for an EFAULT from a read into memory of a device.
pub(crate) const NO_PAGES: &str =
    "; memory of a device needs p2pdma pages, as PeerMemory (p2pmem/allocate) has them and a mapped BAR has not";

/// A device that publishes peer memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerDevice {
    /// Its address on the bus, as in `0000:03:00.0`.
    pub address: String,
    /// Bytes of peer memory that it has.
    pub bytes: u64,
    /// Bytes that are not allocated.
    pub available_bytes: u64,
}

impl PeerDevice {
    /// The devices of this machine that publish peer memory, by address.
    pub fn list() -> Vec<PeerDevice> {
        let Ok(entries) = std::fs::read_dir("/sys/bus/pci/devices") else {
            return Vec::new();
        };
        let mut devices: Vec<PeerDevice> = entries
            .flatten()
            .filter_map(|entry| {
                let directory = entry.path().join("p2pmem");
                let number = |file: &str| -> Option<u64> {
                    let text = std::fs::read_to_string(directory.join(file)).ok()?;
                    text.trim().parse().ok()
                };
                Some(PeerDevice {
                    address: entry.file_name().into_string().ok()?,
                    bytes: number("size")?,
                    available_bytes: number("available")?,
                })
            })
            .collect();
        devices.sort_by(|a, b| a.address.cmp(&b.address));
        devices
    }
}

/// A mapping of peer memory. It is unmapped when its last owner is dropped.
struct Mapping {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: the address is that of a mapping, which belongs to the process and not to a thread. Its bytes are accessed
// only through the one `PeerMemory` that has it (`&mut` for writes), by devices, or through the tokens of the one arena
// that it was moved into.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `base` and `bytes` are a mapping that `PeerMemory::allocate` made and nobody else unmaps. Buffers
        // over the mapping keep it alive, so none exists any more.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}

/// Peer memory of a PCI device, allocated and mapped here.
pub struct PeerMemory {
    mapping: Arc<Mapping>,
    device: String,
}

impl PeerMemory {
    /// Allocates `bytes` of the device at `address` (see [`PeerDevice::list`]). `bytes` must be a multiple of the page
    /// size.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for 0 bytes or parts of a page; [`PipelineError::Backend`] if the device has
    /// no peer memory or not enough, or if this user may not allocate it.
    pub fn allocate(address: &str, bytes: usize) -> Result<Self, PipelineError> {
        if bytes == 0 || !bytes.is_multiple_of(PAGE_BYTES) {
            return Err(PipelineError::InvalidArgument {
                what: "a size of peer memory that is not in whole pages",
                fix: "allocate a multiple of 4096 bytes",
            });
        }
        let named = !address.is_empty() && !address.contains('/') && !address.starts_with('.');
        let path = Path::new("/sys/bus/pci/devices")
            .join(address)
            .join("p2pmem/allocate");
        let refused = |error: std::io::Error| {
            PipelineError::Backend(format!(
                "{bytes} bytes of peer memory of the device {address:?} cannot be had: {error}; name a device with that \
                 much available (`gristmill doctor` lists them), run as root, and use Linux 6.2 or later with CONFIG_PCI_P2PDMA"
            ))
        };
        if !named {
            return Err(refused(std::io::ErrorKind::InvalidInput.into()));
        }
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(refused)?;
        let (access, fd) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: this makes a new mapping of an open file, at an address that the kernel chooses; no existing memory
        // is affected.
        let base =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(refused(std::io::Error::last_os_error()));
        }
        Ok(PeerMemory {
            mapping: Arc::new(Mapping {
                base: base.cast(),
                bytes,
            }),
            device: address.to_owned(),
        })
    }

    /// The device's address on the bus.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.mapping.bytes
    }

    /// Always false, because 0 bytes cannot be allocated.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole memory as a buffer for reads.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] if an earlier buffer still exists, which is possible only if it was leaked.
    pub fn buffer(&mut self) -> Result<GpuMappedBuffer<'_>, PipelineError> {
        if Arc::strong_count(&self.mapping) > 1 {
            return Err(PipelineError::QueueFull {
                queue: "peer memory",
                fix: "drop the buffer that has it first, or allocate more",
            });
        }
        let mapping = Arc::clone(&self.mapping);
        let (base, bytes) = (mapping.base, mapping.bytes);
        // SAFETY: the mapping is readable and writable, `bytes` long, and exists for as long as the `Arc` that the
        // buffer holds; `read` and `write`, the only other way to the bytes, make no references to them.
        Ok(unsafe { GpuMappedBuffer::from_mapping(mapping, base, bytes, true) })
    }

    /// Allocates `count` chunks of `chunk_bytes` in the peer memory of the device at `address`, and returns them with
    /// their only tokens. They are for a kernel on the processor, which then reads the bytes over the bus. The memory
    /// is filled with zeros, and stays allocated until the last of the chunks and their arena is dropped.
    ///
    /// The device must not be removed while the chunks exist: accessing memory of a removed device ends the process by
    /// SIGBUS.
    ///
    /// # Errors
    /// As [`PeerMemory::allocate`] and [`ChunkPlan::new`].
    pub fn chunks(
        address: &str,
        count: u32,
        chunk_bytes: usize,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), PipelineError> {
        let plan = ChunkPlan::new(count, chunk_bytes)?;
        PeerMemory::allocate(address, plan.bytes())?.place(plan)
    }

    /// Makes the chunks of a plan in this memory, which nobody else has.
    fn place(
        mut self,
        plan: ChunkPlan,
    ) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), PipelineError> {
        let base = NonNull::new(self.mapping.base).ok_or_else(|| {
            PipelineError::Backend("memory at address 0; please report this".into())
        })?;
        self.clear();
        ChunkMemory::place(plan, Box::new(PlacedMemory { memory: self, base }))
    }

    /// Writes zeros to all of it.
    fn clear(&mut self) {
        let words = self.mapping.base.cast::<u64>();
        for index in 0..self.len() / size_of::<u64>() {
            // SAFETY: the word lies inside the mapping, which is writable and whose base is aligned to a page. The
            // access is volatile because the memory is a device's.
            unsafe { words.wrapping_add(index).write_volatile(0) };
        }
    }

    /// Copies the bytes from `offset` on into `bytes`, over the bus.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] where they do not lie inside.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), PipelineError> {
        self.check(offset, bytes.len())?;
        // SAFETY: the range lies inside the mapping, which is readable.
        unsafe { read_bytes(self.mapping.base.wrapping_add(offset), bytes) };
        Ok(())
    }

    /// Copies `bytes` to `offset`, over the bus.
    ///
    /// # Errors
    /// As [`PeerMemory::read`].
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), PipelineError> {
        self.check(offset, bytes.len())?;
        // SAFETY: the range lies inside the mapping, which is writable.
        unsafe { write_bytes(self.mapping.base.wrapping_add(offset), bytes) };
        Ok(())
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), PipelineError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(PipelineError::InvalidArgument {
                what: "a range outside of the peer memory",
                fix: "stay below PeerMemory::len",
            }),
        }
    }
}

/// Peer memory that belongs to one arena exclusively.
struct PlacedMemory {
    memory: PeerMemory,
    /// Its first byte.
    base: NonNull<u8>,
}

// SAFETY: this is an address and the value that keeps it mapped; both belong to the process, and no method accesses the
// bytes.
unsafe impl Send for PlacedMemory {}
// SAFETY: as above.
unsafe impl Sync for PlacedMemory {}

// SAFETY: the mapping is valid for reads and writes from any thread at one address until it is dropped with this value
// (`Mapping::drop`; `PeerMemory::place` took the only `PeerMemory` and no buffer borrows it), aligned to a page, zeroed
// (`PeerMemory::clear`), and shorter than half the address space, as the kernel mapped it. Other devices write to it
// only where the holder of a chunk lets them, which is the purpose of an arena's chunks.
unsafe impl HostVisible for PlacedMemory {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn bytes(&self) -> usize {
        self.memory.len()
    }

    fn peer(&self) -> Option<&str> {
        Some(&self.memory.device)
    }
}

impl std::fmt::Debug for PeerMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerMemory({} bytes of {})", self.len(), self.device)
    }
}

/// Reads bytes that a device may have written.
///
/// # Safety
/// `from` must be valid for reads of as many bytes.
pub(crate) unsafe fn read_bytes(from: *const u8, bytes: &mut [u8]) {
    const WORD: usize = size_of::<u64>();
    let before = from.align_offset(WORD).min(bytes.len());
    let (head, rest) = bytes.split_at_mut(before);
    let words = rest.len() / WORD * WORD;
    let (middle, tail) = rest.split_at_mut(words);
    let single = |from: *const u8, bytes: &mut [u8]| {
        for (index, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: the caller's promise. The access is volatile because a device may change the byte.
            *byte = unsafe { from.wrapping_add(index).read_volatile() };
        }
    };
    single(from, head);
    // This reads whole words, because a read over a bus takes as long for one byte as for eight.
    let aligned = from.wrapping_add(before).cast::<u64>();
    for (index, bytes) in middle.chunks_exact_mut(WORD).enumerate() {
        // SAFETY: as above, for the word's bytes; `align_offset` made the address a multiple of the word.
        let word = unsafe { aligned.wrapping_add(index).read_volatile() };
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    single(from.wrapping_add(before + words), tail);
}

/// Writes bytes for a device to see or to overwrite.
///
/// # Safety
/// `to` must be valid for writes of as many bytes.
pub(crate) unsafe fn write_bytes(to: *mut u8, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        // SAFETY: the caller's promise. The access is volatile because a device reads the byte.
        unsafe { to.wrapping_add(index).write_volatile(*byte) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_no_device_has_is_refused_with_what_to_do() {
        for address in ["ffff:ff:1f.7", "", "..", "../../../tmp", "/etc"] {
            let error = PeerMemory::allocate(address, 4096).unwrap_err().to_string();
            assert!(error.contains("CONFIG_PCI_P2PDMA"), "{error}");
        }
        for bytes in [0, 1, 4095] {
            let error = PeerMemory::allocate("ffff:ff:1f.7", bytes).unwrap_err();
            assert!(matches!(error, PipelineError::InvalidArgument { .. }));
        }
    }

    /// A mapping of ordinary memory in place of a device's memory.
    fn memory() -> PeerMemory {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a new mapping, wherever the kernel puts it.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), 8192, access, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        PeerMemory {
            mapping: Arc::new(Mapping {
                base: base.cast(),
                bytes: 8192,
            }),
            device: "test".into(),
        }
    }

    #[test]
    fn a_leaked_buffer_keeps_the_memory_mapped_and_to_itself() {
        let mut memory = memory();
        drop(memory.buffer().unwrap());
        let part = memory.buffer().unwrap().sub_region(4096, 4096).unwrap();
        assert!(part.is_peer() && part.len() == 4096);
        let address = part.target(0, 4096).unwrap();
        std::mem::forget(part);
        assert!(memory.buffer().is_err());
        memory.write(4096, &[7; 4096]).unwrap();
        drop(memory);
        let mut byte = [0];
        // SAFETY: the leaked buffer keeps these bytes mapped, which is what this tests.
        unsafe { read_bytes(address, &mut byte) };
        assert_eq!(byte, [7]);
    }

    #[test]
    fn chunks_lie_in_it_and_keep_it() {
        let mut memory = memory();
        memory.write(0, &[7; 8192]).unwrap();
        let plan = ChunkPlan::new(1, 4096).unwrap();
        assert_eq!(plan.bytes(), 8192);
        let base = memory.mapping.base;
        let (arena, mut chunks) = memory.place(plan).unwrap();
        assert_eq!((arena.peer(), arena.device()), (Some("test"), 0));
        let mut chunk = chunks.pop().unwrap();
        assert_eq!(chunk.as_slice(), [0; 4096]);
        assert_eq!(chunk.as_mut_ptr(), base);
        chunk.as_mut_slice().fill(3);
        let lent = chunk.lend();
        assert_eq!(*arena.borrow_chunk(lent.index()).unwrap(), [3; 4096]);
        drop(arena);
        assert_eq!(lent.reclaim().unwrap().as_slice(), [3; 4096]);
    }

    #[test]
    fn chunks_that_it_has_no_room_for_are_refused() {
        let plan = ChunkPlan::new(2, 4096).unwrap();
        assert!(memory().place(plan).is_err());
    }

    #[test]
    fn copies_are_the_same_from_every_address_and_of_every_length() {
        let mut memory = memory();
        let content: Vec<u8> = (0..64).map(|byte| byte * 3 + 1).collect();
        memory.write(100, &content).unwrap();
        for from in 0..17 {
            for len in 0..40 {
                let mut bytes = vec![0; len];
                memory.read(100 + from, &mut bytes).unwrap();
                assert_eq!(bytes, content[from..from + len], "{from} {len}");
            }
        }
    }

    #[test]
    fn copies_stay_inside() {
        let mut memory = memory();
        memory.write(8000, &[1; 192]).unwrap();
        let mut bytes = [9; 193];
        assert!(memory.read(8000, &mut bytes).is_err());
        assert!(memory.read(usize::MAX, &mut bytes).is_err());
        assert!(memory.write(8192, &[1]).is_err());
        memory.read(7999, &mut bytes).unwrap();
        assert!(bytes[0] == 0 && bytes[1..] == [1; 192]);
    }
}
