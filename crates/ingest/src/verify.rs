//! The transfer check, which tests whether the bytes of a read by a path really arrive in the target.
//!
//! A success status does not prove that bytes arrived: if an IOMMU drops what one device writes to another, reads
//! succeed but do not change the memory. So the first transfer from each file system or namespace into each memory is
//! checked. A block whose bytes are known from an ordinary read is read into a target that was filled with their
//! complement. If its bytes do not arrive, the path is refused from then on. These reads are not counted.

use crate::error::ReadError;
use crate::fs::open_without_waiting;
use crate::lifeline::Ring;
use crate::memory::peer::{read_bytes, write_bytes, NO_PAGES};
use crate::nvme::{self, LbaRange, NvmeNamespace, NvmeOp};
use crate::queue::{DropPolicy, ReadQueue};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkMemory;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// The number of attempts. More than one is needed because a file's bytes may change between the two reads.
const ATTEMPTS: u32 = 3;

/// The result of a transfer check.
#[derive(Debug)]
pub(crate) enum TransferCheck {
    /// The bytes arrived.
    Arrived,
    /// The bytes did not arrive; the error says what was found instead.
    Lost(ReadError),
}

/// Where the bytes of a transfer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A namespace, by the number of its character device.
    Namespace(u64),
    /// A file system, by the number of its block device. The check also covers that its files lie where it says.
    FileSystem(u64),
}

/// A transfer from an origin into the memory of a device, or of the host (`None`).
type Way = (Origin, Option<String>);

/// The results of the checks that were made.
#[derive(Debug, Default)]
pub(crate) struct VerifiedTransfers(Vec<(Way, Result<(), ReadError>)>);

impl VerifiedTransfers {
    /// The result of the check for this origin and memory; `None` if it was not made yet.
    pub(crate) fn outcome(
        &self,
        origin: Origin,
        peer: Option<&str>,
    ) -> Option<&Result<(), ReadError>> {
        self.0
            .iter()
            .find(|((from, to), _)| *from == origin && to.as_deref() == peer)
            .map(|(_, outcome)| outcome)
    }

    /// Makes the check for this origin and memory, as [`verify_transfer`] does, unless it was made before, and returns
    /// its result.
    ///
    /// # Errors
    /// The error of bytes that did not arrive, now or at an earlier call; and the errors of [`verify_transfer`], after
    /// which the next call tries again.
    ///
    /// # Safety
    /// As [`verify_transfer`].
    pub(crate) unsafe fn verify(
        &mut self,
        origin: Origin,
        peer: Option<&str>,
        what: &str,
        target: *mut u8,
        ordinary: impl FnMut() -> Result<Vec<u8>, PipelineError>,
        transfer: impl FnMut() -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        if let Some(outcome) = self.outcome(origin, peer) {
            return Ok(outcome.clone()?);
        }
        let memory = match peer {
            None => "host memory".into(),
            Some(device) => format!("peer memory of {device}"),
        };
        let what = format!("{what} into {memory}");
        // SAFETY: the caller's promise is the same.
        let outcome = match unsafe { verify_transfer(&what, target, ordinary, transfer) }? {
            TransferCheck::Arrived => Ok(()),
            TransferCheck::Lost(found) => Err(found),
        };
        let way = (origin, peer.map(str::to_owned));
        self.0.push((way, outcome.clone()));
        Ok(outcome?)
    }
}

/// Compares the bytes that `transfer` reads into `target` with those that `ordinary` reads. `what` names the path in
/// messages.
///
/// # Errors
/// The errors of `ordinary` and `transfer`, and [`ReadError::Untried`] if there are no bytes to compare. In both cases
/// nothing is known about the path.
///
/// # Safety
/// `target` must be valid for reads and writes of as many bytes as `ordinary` returns, and nobody else may use them.
pub(crate) unsafe fn verify_transfer(
    what: &str,
    target: *mut u8,
    mut ordinary: impl FnMut() -> Result<Vec<u8>, PipelineError>,
    mut transfer: impl FnMut() -> Result<(), PipelineError>,
) -> Result<TransferCheck, PipelineError> {
    let mut seen = String::new();
    for _ in 0..ATTEMPTS {
        let expected = ordinary()?;
        if expected.is_empty() {
            let what = what.to_owned();
            return Err(ReadError::Untried { what }.into());
        }
        let poison: Vec<u8> = expected.iter().map(|byte| !byte).collect();
        // SAFETY: the caller's promise; `poison` is as long as what `ordinary` returned.
        unsafe { write_bytes(target, &poison) };
        transfer()?;
        let mut found = vec![0; expected.len()];
        // SAFETY: as above.
        unsafe { read_bytes(target, &mut found) };
        let count = |bytes: &[u8]| found.iter().zip(bytes).filter(|(a, b)| a == b).count();
        let (right, untouched) = (count(&expected), count(&poison));
        if right == expected.len() {
            return Ok(TransferCheck::Arrived);
        }
        seen = format!(
            "of {} bytes {right} are right, {untouched} were never written",
            expected.len()
        );
    }
    let what = what.to_owned();
    Ok(TransferCheck::Lost(ReadError::Undelivered { what, seen }))
}

/// Reads at most `len` bytes of `file` from `offset` on, through the page cache.
///
/// # Errors
/// The system's.
pub(crate) fn read_cached(file: &File, offset: u64, len: usize) -> Result<Vec<u8>, PipelineError> {
    let failed = |error: std::io::Error| ReadError::System {
        what: "the ordinary read to compare with failed",
        error: format!("{error}; check the file and its storage"),
    };
    // The file is opened again, because the descriptor may be open with O_DIRECT.
    let file = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(failed)?;
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match file
            .read_at(&mut bytes[done..], offset + done as u64)
            .map_err(failed)?
        {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Reads a block of a namespace in an ordinary way: from its block device past the page cache or, if that may not be
/// opened, by the same command into ordinary memory.
///
/// # Errors
/// The system's, or the device's.
pub(crate) fn read_block(
    fd: RawFd,
    namespace: &NvmeNamespace,
    lba: u64,
) -> Result<Vec<u8>, PipelineError> {
    let block = namespace.block_bytes as usize;
    let (_memory, mut chunks) = ChunkMemory::map(1, block.max(4096))?;
    let Some(chunk) = chunks.first_mut() else {
        return Ok(Vec::new());
    };
    let address = chunk.as_mut_ptr();
    let disk = namespace
        .disk()
        .and_then(|disk| open_without_waiting(&Path::new("/dev").join(disk), libc::O_DIRECT).ok());
    let offset = lba.checked_mul(u64::from(namespace.block_bytes));
    let offset = offset.and_then(|offset| libc::off_t::try_from(offset).ok());
    let direct = disk.zip(offset).is_some_and(|(disk, offset)| {
        // SAFETY: the chunk is at least a block long and nobody else's.
        let count = unsafe { libc::pread(disk.as_raw_fd(), address.cast(), block, offset) };
        usize::try_from(count) == Ok(block)
    });
    if !direct {
        // SAFETY: as above; the call waits for the command.
        unsafe { read_by_command(fd, namespace, lba, address) }?;
    }
    let mut bytes = vec![0; block];
    // SAFETY: as above, and the read that wrote to the chunk is over.
    unsafe { read_bytes(address, &mut bytes) };
    Ok(bytes)
}

/// Reads one block of a namespace by a command to `address`, on a ring of its own, and waits for it.
///
/// # Errors
/// [`PipelineError::Read`], with a description of the device's status, if the command fails; and the errors of making a
/// ring.
///
/// # Safety
/// `address` must be valid for writes of a block, and nobody else may use it meanwhile.
pub(crate) unsafe fn read_by_command(
    fd: RawFd,
    namespace: &NvmeNamespace,
    lba: u64,
    address: *mut u8,
) -> Result<(), PipelineError> {
    let ring = Ring::new(nvme::build_ring(1)?)?;
    let mut queue = ReadQueue::new(ring, 1, DropPolicy::WaitForAll);
    let range = LbaRange { lba, blocks: 1 };
    let reads = nvme::plan(namespace, &[range], address.addr() as u64)?;
    let op = NvmeOp::new(fd, &reads)?;
    // SAFETY: the command transfers one block, and before this returns, the queue is dropped, which waits for the
    // command.
    unsafe { queue.submit(op, ()) }.map_err(|((), error)| error)?;
    loop {
        queue.wait(Duration::from_secs(1))?;
        if let Some(finished) = queue.poll() {
            let Some(error) = finished.error else {
                return Ok(());
            };
            let place = finished.op.place();
            return Err(place.error("the first read, which tries the path", error));
        }
    }
}

/// Reads `len` bytes of a file that is open with O_DIRECT to `address`, or fewer if the file ends earlier.
///
/// # Errors
/// [`ReadError::System`]. If the disk cannot reach this memory, it says what is missing.
///
/// # Safety
/// `address` must be valid for writes of as many bytes, and nobody else may use them meanwhile.
pub(crate) unsafe fn read_direct(
    file: &File,
    offset: u64,
    len: usize,
    address: *mut u8,
) -> Result<(), ReadError> {
    let position = libc::off_t::try_from(offset).unwrap_or(libc::off_t::MAX);
    // SAFETY: the caller's promise.
    let count = unsafe { libc::pread(file.as_raw_fd(), address.cast(), len, position) };
    if count >= 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    let way = match error.raw_os_error() {
        // The kernel's errnos if it finds no route from one device to the other.
        Some(libc::EINVAL | libc::EREMOTEIO) => {
            "; put the disk and the memory behind one PCIe switch"
        }
        Some(libc::EFAULT) => NO_PAGES,
        _ => "",
    };
    Err(ReadError::System {
        what: "read into peer memory",
        error: format!("{error}{way}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 512;

    fn verify_with(transfer: impl Fn(&mut [u8])) -> TransferCheck {
        let mut memory = vec![0; BLOCK];
        let address = memory.as_mut_ptr();
        let ordinary = || Ok((0..BLOCK).map(|byte| byte as u8).collect());
        let transfer = || {
            // SAFETY: `memory` has a block, and is used by nobody else meanwhile.
            transfer(unsafe { std::slice::from_raw_parts_mut(address, BLOCK) });
            Ok(())
        };
        // SAFETY: as there.
        unsafe { verify_transfer("the path", address, ordinary, transfer) }.unwrap()
    }

    #[test]
    fn a_path_that_brings_the_bytes_is_taken() {
        let right = verify_with(|memory| {
            memory
                .iter_mut()
                .enumerate()
                .for_each(|(at, byte)| *byte = at as u8);
        });
        assert!(matches!(right, TransferCheck::Arrived));
    }

    #[test]
    fn a_path_that_succeeds_without_bringing_the_bytes_is_refused_with_what_was_seen() {
        for (transfer, seen) in [
            (
                (|_| ()) as fn(&mut [u8]),
                "of 512 bytes 0 are right, 512 were never written",
            ),
            (
                |memory| {
                    memory[..256]
                        .iter_mut()
                        .enumerate()
                        .for_each(|(at, byte)| *byte = at as u8)
                },
                "of 512 bytes 256 are right, 256 were never written",
            ),
        ] {
            let TransferCheck::Lost(error) = verify_with(transfer) else {
                panic!("{seen}");
            };
            assert!(error.to_string().contains(seen), "{error}");
        }
    }

    #[test]
    fn a_failed_read_says_nothing_of_the_path() {
        let mut memory = vec![0; BLOCK];
        let fail = || Err(PipelineError::Backend("a media error".into()));
        // SAFETY: `memory` has a block.
        let result = unsafe {
            verify_transfer("the path", memory.as_mut_ptr(), || Ok(vec![1; BLOCK]), fail)
        };
        assert!(result.is_err());
        // A read of 0 bytes proves nothing either. SAFETY: as above.
        let result = unsafe {
            verify_transfer(
                "the path",
                memory.as_mut_ptr(),
                || Ok(Vec::new()),
                || Ok(()),
            )
        };
        assert!(result.is_err());
    }
}
