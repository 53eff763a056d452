//! The memory that a set is read into.

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{Mmap, MmapOptions};
use std::io::{self, Read};

/// The bytes of a set, in memory of their own.
///
/// They are read, once, into pages that nobody else has, and then made read-only. The file itself is not mapped: others
/// could change it after it was checked.
#[derive(Debug)]
pub struct SetBytes(Mmap);

/// Reads a set of `len` bytes, which [`PatternSet::load`](crate::PatternSet::load) takes.
///
/// # Errors
/// The reader's error, and one if it ends before; if there is not so much memory.
pub fn read(mut from: impl Read, len: usize) -> io::Result<SetBytes> {
    let mut memory = MmapOptions::new().len(len).map_anon()?;
    // Most of the time to read a large set would be that for getting small pages, and searches look up fewer, too. Where
    // there are no large pages, small ones do.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(Advice::HugePage);
    from.read_exact(&mut memory)?;
    Ok(SetBytes(memory.make_read_only()?))
}

impl SetBytes {
    /// The bytes. They begin where a page does.
    #[inline]
    pub(super) fn all(&self) -> &[u8] {
        &self.0
    }
}
