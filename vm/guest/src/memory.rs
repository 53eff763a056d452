//! Memory in which reads land.
//!
//! A device may write to it at any time, so there are no references to its bytes: they are read and written by volatile
//! accesses, a word at a time. Unmapping it under a read in flight is safe: the kernel holds the pages until the device
//! is done with them.

use crate::disk::{word, Disk};
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;

/// A mapping, of host memory or of memory on the PCI bus.
pub struct Memory {
    base: *mut u64,
    bytes: usize,
    peer: bool,
    /// For messages.
    name: &'static str,
}

/// The word with which [`Memory::poison`] fills memory; no disk holds it.
pub const POISON: u64 = 0xdead_dead_dead_dead;

impl Memory {
    /// Zeroed host memory.
    ///
    /// # Panics
    /// Where there is none.
    pub fn host(bytes: usize) -> Self {
        Self::map(
            bytes,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            "host memory",
        )
    }

    /// Memory of the disk `peer`.
    ///
    /// # Panics
    /// Where the disk or its memory is not to be had.
    pub fn peer(bytes: usize) -> Self {
        let path = Disk::find("peer").pci().join("p2pmem/allocate");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::map(bytes, libc::MAP_SHARED, file.as_raw_fd(), "peer memory")
    }

    /// The same bytes of the disk `peer`, mapped from its BAR without p2pdma pages. If the kernel lets nobody map them,
    /// says so and returns `None`.
    pub fn bar(bytes: usize) -> Option<Self> {
        let pci = Disk::find("peer").pci();
        // The largest region of the device is the memory.
        let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
        let regions = (0..6).map(|number| pci.join(format!("resource{number}")));
        let path = regions.max_by_key(size)?;
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let mapped = file.and_then(|file| {
            Self::try_map(bytes, libc::MAP_SHARED, file.as_raw_fd(), "a device's BAR")
        });
        mapped
            .map_err(|error| {
                gristmill_testing::skipped(format_args!("{}: {error}", path.display()))
            })
            .ok()
    }

    fn map(bytes: usize, flags: libc::c_int, fd: libc::c_int, name: &'static str) -> Self {
        Self::try_map(bytes, flags, fd, name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn try_map(
        bytes: usize,
        flags: libc::c_int,
        fd: libc::c_int,
        name: &'static str,
    ) -> std::io::Result<Self> {
        // SAFETY: the kernel chooses an address where nothing else is.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Memory {
            base: base.cast(),
            bytes,
            peer: fd >= 0,
            name,
        })
    }

    /// Whether it is on the PCI bus.
    pub fn is_peer(&self) -> bool {
        self.peer
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of `bytes` bytes at `offset`.
    ///
    /// # Panics
    /// Where they are not inside.
    pub fn address(&self, offset: usize, bytes: usize) -> *mut u8 {
        assert!(offset
            .checked_add(bytes)
            .is_some_and(|end| end <= self.bytes));
        self.base.cast::<u8>().wrapping_add(offset)
    }

    /// The words of `bytes` bytes at `offset`, both multiples of 8.
    ///
    /// # Panics
    /// Where they are not inside.
    pub fn words(&self, offset: usize, bytes: usize) -> impl Iterator<Item = u64> + '_ {
        let first = self.address(offset, bytes).cast::<u64>();
        // SAFETY: `address` has checked that all of them are inside the mapping, which `self` keeps; the mapping begins
        // at a page, so they are aligned.
        (0..bytes / 8).map(move |index| unsafe { first.add(index).read_volatile() }.to_le())
    }

    /// Fills `bytes` bytes at `offset`, both multiples of 8, with [`POISON`].
    ///
    /// # Panics
    /// Where they are not inside.
    pub fn poison(&self, offset: usize, bytes: usize) {
        let first = self.address(offset, bytes).cast::<u64>();
        for index in 0..bytes / 8 {
            // SAFETY: as in `words`; nobody holds a reference to the bytes.
            unsafe { first.add(index).write_volatile(POISON) };
        }
    }

    /// Checks that `bytes` bytes at `offset` are those at `position` of the disk `data` (tag 0) or of a file (its
    /// number); `offset` and `position` are multiples of 8.
    ///
    /// # Panics
    /// With the first word that differs.
    pub fn assert_words(&self, offset: usize, bytes: usize, tag: u64, position: u64) {
        let expected = (position / 8..).map(|index| word(tag, index));
        self.assert_are(
            offset,
            bytes,
            expected,
            &format!("byte {position} of {tag}"),
        );
    }

    /// Checks that `bytes` bytes at `offset` are zeros; `offset` is a multiple of 8.
    ///
    /// # Panics
    /// With the first word that differs.
    pub fn assert_zeros(&self, offset: usize, bytes: usize) {
        self.assert_are(offset, bytes, std::iter::repeat(0), "zeros");
    }

    fn assert_are(
        &self,
        offset: usize,
        bytes: usize,
        expected: impl Iterator<Item = u64>,
        what: &str,
    ) {
        // Only the first bytes of the last word are asked for.
        let found = self.words(offset, bytes.next_multiple_of(8));
        for ((at, found), expected) in (0..bytes).step_by(8).zip(found).zip(expected) {
            let beyond = 8 - (bytes - at).min(8);
            let mask = u64::MAX >> (8 * beyond);
            assert!(
                found & mask == expected & mask,
                "{}: {found:#018x} at byte {at} from {what} on, expected {expected:#018x}",
                self.name,
            );
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.bytes)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `map` has made this mapping, and no reference to its bytes was ever given out.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}
