//! The first transfer on a path: does a read bring the bytes where it says it does?
//!
//! A success status does not prove that bytes arrived: behind an IOMMU that drops what one device writes to another,
//! reads succeed and leave memory as it was. So a block whose bytes are known from an ordinary read is read by the path
//! into a target that was filled with the opposite of every bit of them.

use crate::lifeline::Ring;
use crate::nvme::{self, LbaRange, NvmeNamespace, NvmeOp};
use crate::open::open_without_waiting;
use crate::peer::{read_bytes, write_bytes};
use crate::queue::{Farewell, ReadQueue};
use crate::stream::{nvme_error, NvmeOwner};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkMemory;
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Attempts, as a file's bytes may change between the two reads.
const ATTEMPTS: u32 = 3;

/// How a canary ended.
pub(crate) enum Canary {
    /// The bytes arrived.
    Sings,
    /// They did not: what was seen.
    Silent(PipelineError),
}

/// How the first transfers ended, from each file system into each memory.
#[derive(Debug, Default)]
pub(crate) struct Canaries(Vec<(Way, Result<(), PipelineError>)>);

/// From where to where: the number of a file system's device, and the device whose memory it is, if it is one's.
type Way = (u64, Option<String>);

impl Canaries {
    /// How it ended from this file system into the memory of `peer`, or the host's; `None` before it was tried.
    pub(crate) fn outcome(
        &self,
        file_system: u64,
        peer: Option<&str>,
    ) -> Option<&Result<(), PipelineError>> {
        let same = |((from, to), _): &&(Way, _)| *from == file_system && to.as_deref() == peer;
        self.0.iter().find(same).map(|(_, outcome)| outcome)
    }

    /// Keeps how it ended.
    ///
    /// # Errors
    /// What was seen, where nothing arrived.
    pub(crate) fn keep(
        &mut self,
        file_system: u64,
        peer: Option<&str>,
        ended: Canary,
    ) -> Result<(), PipelineError> {
        let outcome = match ended {
            Canary::Sings => Ok(()),
            Canary::Silent(seen) => Err(seen),
        };
        self.0
            .push(((file_system, peer.map(str::to_owned)), outcome.clone()));
        outcome
    }
}

/// How messages call the memory of `peer`, or the host's.
pub(crate) fn memory_name(peer: Option<&str>) -> String {
    match peer {
        None => "host memory".into(),
        Some(address) => format!("peer memory of {address}"),
    }
}

/// Compares what `transfer` brings to `target` with what `ordinary` reads, for the path and device that `what` names.
///
/// # Errors
/// Those of `ordinary` and `transfer`, and where there is nothing to compare: then nothing is known of the path.
///
/// # Safety
/// `target` must be valid for reads and writes of as many bytes as `ordinary` returns, and nobody else may use them.
pub(crate) unsafe fn watch(
    what: &str,
    target: *mut u8,
    mut ordinary: impl FnMut() -> Result<Vec<u8>, PipelineError>,
    mut transfer: impl FnMut() -> Result<(), PipelineError>,
) -> Result<Canary, PipelineError> {
    let mut seen = String::new();
    for _ in 0..ATTEMPTS {
        let expected = ordinary()?;
        if expected.is_empty() {
            // No byte was seen to arrive.
            return Err(PipelineError::Backend(format!(
                "{what}: the file ended before its bytes could be compared; read it again"
            )));
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
            return Ok(Canary::Sings);
        }
        seen = format!(
            "of {} bytes {right} are right, {untouched} were never written",
            expected.len()
        );
    }
    Ok(Canary::Silent(PipelineError::Backend(format!(
        "{what} is refused: its reads report success, but {seen}; let the devices reach each other (both behind one \
         PCIe switch, or the IOMMU off or passing through for them), or use registered mapped reads"
    ))))
}

/// Reads the first bytes of `file` from `offset` on through the page cache, `len` at most.
///
/// # Errors
/// The system's.
pub(crate) fn read_cached(file: &File, offset: u64, len: usize) -> Result<Vec<u8>, PipelineError> {
    let failed = |error: std::io::Error| {
        PipelineError::Backend(format!(
            "the ordinary read to compare with failed: {error}; check the file and what it is stored on"
        ))
    };
    // Opened anew, as the descriptor may be one for O_DIRECT.
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

/// Reads a block of a namespace in an ordinary way: from its block device past the page cache, or, where that may not
/// be opened, by the same command into ordinary memory.
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
    // SAFETY: as above, and whoever wrote to the chunk is done.
    unsafe { read_bytes(address, &mut bytes) };
    Ok(bytes)
}

/// Reads one block of a namespace by a command to `address`, on a ring of its own, and waits for it.
///
/// # Errors
/// As a read by a driver has them.
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
    let mut queue = ReadQueue::new(ring, 1, Farewell::WaitForAll);
    let range = LbaRange { lba, blocks: 1 };
    let reads = nvme::plan(namespace, &[range], address.addr() as u64)?;
    let op = NvmeOp::new(fd, &reads)?;
    // SAFETY: the command brings one block, and the queue is dropped, which waits for it, before this returns.
    unsafe { queue.submit(op, ()) }.map_err(|((), error)| error)?;
    loop {
        queue.wait(Duration::from_secs(1))?;
        if let Some(finished) = queue.poll() {
            return match finished.error {
                None => Ok(()),
                Some(error) => Err(nvme_error(NvmeOwner::Canary, &finished.op, error)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 512;

    fn watch_with(transfer: impl Fn(&mut [u8])) -> Canary {
        let mut memory = vec![0; BLOCK];
        let address = memory.as_mut_ptr();
        let ordinary = || Ok((0..BLOCK).map(|byte| byte as u8).collect());
        let transfer = || {
            // SAFETY: `memory` has a block, and is used by nobody else meanwhile.
            transfer(unsafe { std::slice::from_raw_parts_mut(address, BLOCK) });
            Ok(())
        };
        // SAFETY: as there.
        unsafe { watch("the path", address, ordinary, transfer) }.unwrap()
    }

    #[test]
    fn a_path_that_brings_the_bytes_is_taken() {
        let right = watch_with(|memory| {
            memory
                .iter_mut()
                .enumerate()
                .for_each(|(at, byte)| *byte = at as u8);
        });
        assert!(matches!(right, Canary::Sings));
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
            let Canary::Silent(error) = watch_with(transfer) else {
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
        let result = unsafe { watch("the path", memory.as_mut_ptr(), || Ok(vec![1; BLOCK]), fail) };
        assert!(result.is_err());
        // Nor does a read of nothing.
        // SAFETY: as above.
        let result = unsafe {
            watch(
                "the path",
                memory.as_mut_ptr(),
                || Ok(Vec::new()),
                || Ok(()),
            )
        };
        assert!(result.is_err());
    }
}
