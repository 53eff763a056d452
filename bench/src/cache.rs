//! The state of a file in the page cache: this module arranges it and inspects it.
//!
//! Linux caches a file in folios, which are runs of pages that are handled as one. When Linux reads ahead of a
//! sequential reader, it makes large folios, if the file system supports them; without read-ahead, each page is its own
//! folio. Mapping a file costs very little in the first case and much in the second, and copying it also costs more in
//! the second. So a comparison of a program that maps with one that copies must say which case it was.

use nix::fcntl::{posix_fadvise, PosixFadviseAdvice};
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use nix::unistd::{sysconf, SysconfVar};
use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The number of pages that are inspected, spread over the file.
const SAMPLES: u64 = 256;

/// Bits of `/proc/kpageflags`: the page is the first page of a large folio, or a later one.
const COMPOUND: u64 = 1 << 15 | 1 << 16;

/// The bit of `/proc/self/pagemap` that says that a page is mapped, and the bits that say where it lies.
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The state of a file in the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folios {
    /// In large folios, which sequential reading produces.
    Large,
    /// In single pages, which random reading produces.
    Single,
    /// In folios of all sizes, which writing produces, a megabyte at a time.
    Written,
}

/// Tries to bring a file into the requested state: writes it again, or drops it from the page cache and reads it.
/// Returns the state in words, with the share of the file that is found in large folios when the cache is inspected.
pub fn arrange(path: &Path, folios: Folios) -> Result<String, String> {
    let arrange = || -> io::Result<File> {
        if folios == Folios::Written {
            return write_again(path);
        }
        let mut file = without_cache(path)?;
        if folios == Folios::Single {
            // This switches off read-ahead, but only for this open file.
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)?;
        }
        let mut buffer = vec![0; 1 << 20];
        while file.read(&mut buffer)? > 0 {}
        Ok(file)
    };
    let file = arrange().map_err(|error| format!("{}: {error}", path.display()))?;
    let name = match folios {
        Folios::Large => "large folios",
        Folios::Single => "single pages",
        Folios::Written => "as written, in large folios",
    };
    Ok(match share_in_large_folios(&file) {
        Ok(large) => {
            let share = match folios {
                Folios::Large | Folios::Written => large,
                Folios::Single => 1.0 - large,
            };
            format!("{name} ({:.0}% of the pages sampled)", 100.0 * share)
        }
        Err(error) => format!("{name} (not checked: {error})"),
    })
}

/// Opens a file and drops it from the page cache.
fn without_cache(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    // Dirty pages cannot be dropped from the cache.
    file.sync_all()?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(file)
}

/// Drops a file from the page cache.
pub fn drop(path: &Path) -> Result<(), String> {
    let dropped = without_cache(path).map(|_| ());
    dropped.map_err(|error| format!("{}: {error}", path.display()))
}

/// Replaces a file by a copy of itself, and opens the copy once all of it is on the disk, so that nothing is written
/// out later.
fn write_again(path: &Path) -> io::Result<File> {
    let copy = path.with_extension("copy");
    let (mut from, mut to) = (File::open(path)?, File::create(&copy)?);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => break,
            count => to.write_all(&buffer[..count])?,
        }
    }
    to.sync_all()?;
    std::fs::rename(&copy, path)?;
    File::open(path)
}

/// The share of a file's pages that are in large folios, estimated from a sample.
fn share_in_large_folios(file: &File) -> Result<f64, String> {
    let open = |path: &str| File::open(path).map_err(|error| format!("{path}: {error}"));
    let (pagemap, flags) = (open("/proc/self/pagemap")?, open("/proc/kpageflags")?);
    let sample = || -> io::Result<(u32, u32)> {
        let page = sysconf(SysconfVar::PAGE_SIZE)?.and_then(|bytes| u64::try_from(bytes).ok());
        let page = page.ok_or_else(|| io::Error::other("the page size is not known"))?;
        let pages = file.metadata()?.len() / page;
        let (mut large, mut all) = (0, 0);
        for index in 0..SAMPLES.min(pages) {
            let offset = pages * index / SAMPLES.min(pages) * page;
            if let Some(frame) = frame_of(file, offset, page, &pagemap)? {
                large += u32::from(word(&flags, frame)? & COMPOUND != 0);
                all += 1;
            }
        }
        Ok((large, all))
    };
    match sample().map_err(|error| error.to_string())? {
        (_, 0) => Err("/proc/self/pagemap does not tell where pages lie".into()),
        (large, all) => Ok(f64::from(large) / f64::from(all)),
    }
}

/// The page frame of the machine's memory that holds the page of a file at `offset`, which must be a multiple of `page`
/// bytes; `None` if Linux does not report it.
fn frame_of(file: &File, offset: u64, page: u64, pagemap: &File) -> io::Result<Option<u64>> {
    let out_of_range = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let bytes = usize::try_from(page).map_err(out_of_range)?;
    let length = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
    let start = i64::try_from(offset).map_err(out_of_range)?;
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_POPULATE;
    // SAFETY: this makes a new mapping at an address that Linux chooses, so no memory of this process is affected.
    // Nothing here reads or writes through the mapping: Linux maps the page (MAP_POPULATE) and is asked where it lies,
    // so it does not matter whether the file changes or is truncated.
    let mapped = unsafe { mmap(None, length, ProtFlags::PROT_READ, flags, file, start) }?;
    let entry = word(pagemap, mapped.as_ptr().addr() as u64 / page);
    // SAFETY: this is exactly the mapping that `mmap` has just returned. It is unmapped once, and no reference into it
    // was ever made.
    unsafe { munmap(mapped, bytes) }?;
    let entry = entry?;
    let frame = entry & FRAME;
    Ok((entry & PRESENT != 0 && frame != 0).then_some(frame))
}

/// Reads one 64-bit word of a file.
fn word(file: &File, index: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, index * 8)?;
    Ok(u64::from_ne_bytes(bytes))
}
