//! The driver of `gristmill-ingest` on real disks, a module for each shape of the guest.

mod iommu;
mod media_error;
mod removal;
mod root_bus;
mod silence;
mod switch;

use gristmill_ingest::{AsyncUringStream, CompletedIngest, GpuMappedBuffer, IoUringState};
use gristmill_ingest::{NativeReadPath, NvmeGpuIngestDriver};
use gristmill_protocol::{io, MegakernelIoQueue, PipelineError};
use gristmill_vm_guest::disk::Namespace;
use gristmill_vm_guest::memory::Memory;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU32;

use NativeReadPath::{GpuDirectNvmePassthrough as Passthrough, PeerRead};

/// A driver over all of `memory`, in slots of equal size.
fn with_driver(
    memory: &Memory,
    path: NativeReadPath,
    slots: u32,
    test: impl FnOnce(&mut NvmeGpuIngestDriver<'_>),
) {
    let tail = AtomicU32::new(0);
    let (mut owner, base) = ((), memory.address(0, memory.bytes()));
    // SAFETY: `memory` stays mapped beyond this function, has no references to its bytes, and the tests look at a slot
    // only when its read is over.
    let buffer = unsafe {
        if memory.is_peer() {
            GpuMappedBuffer::from_bar1_peer_with_owner(&mut owner, base, memory.bytes())
        } else {
            GpuMappedBuffer::from_host_visible_owner(&mut owner, base, memory.bytes())
        }
    };
    let stream = AsyncUringStream::new(IoUringState::new(64).unwrap(), buffer, &tail);
    let queue = MegakernelIoQueue::new(slots).unwrap();
    let driver = match path {
        PeerRead => NvmeGpuIngestDriver::new_peer_read(stream, slots, queue),
        _ => NvmeGpuIngestDriver::new_gpudirect(stream, slots, queue),
    };
    test(&mut driver.unwrap());
}

/// Checks that everything that the driver has completed came by `path` and was not copied.
fn all_zero_copy(driver: &NvmeGpuIngestDriver<'_>, path: NativeReadPath) {
    let telemetry = driver.telemetry_snapshot();
    telemetry.validate_completed_zero_copy(path).unwrap();
}

/// Submits a read of `bytes` at `position` of a namespace.
fn submit(
    driver: &mut NvmeGpuIngestDriver<'_>,
    namespace: &Namespace,
    position: u64,
    bytes: usize,
    slot: u32,
) -> Result<(), PipelineError> {
    let block = namespace.block_bytes;
    let blocks = u32::try_from(bytes as u64 / block).unwrap();
    let block_bytes = u32::try_from(block).unwrap();
    let fd = namespace.generic.as_raw_fd();
    // SAFETY: the namespaces of these tests are open for longer than their drivers, which are dropped.
    unsafe {
        driver.submit_native_nvme_read(
            fd,
            namespace.id,
            position / block,
            blocks,
            block_bytes,
            slot,
        )
    }
}

/// Waits until a read has ended. Returns what landed, and what failed.
fn next(driver: &mut NvmeGpuIngestDriver<'_>) -> (Vec<CompletedIngest>, Vec<String>) {
    let (mut landed, mut failed) = (Vec::new(), Vec::new());
    driver.wait_for_completion().unwrap();
    loop {
        match driver.poll_completions() {
            Ok(some) if some.is_empty() => return (landed, failed),
            Ok(some) => landed.extend(some),
            Err(error) => failed.push(error.to_string()),
        }
    }
}

/// As [`next`], until nothing is in flight.
fn finish(driver: &mut NvmeGpuIngestDriver<'_>) -> (Vec<CompletedIngest>, Vec<String>) {
    let (mut landed, mut failed) = (Vec::new(), Vec::new());
    loop {
        let (some, errors) = next(driver);
        landed.extend(some);
        failed.extend(errors);
        if driver.telemetry_snapshot().inflight_reads() == 0 {
            return (landed, failed);
        }
    }
}

/// The device's side: takes whatever has landed, and gives the slots back.
fn recycle(driver: &mut NvmeGpuIngestDriver<'_>) {
    let queue = driver.megakernel_io_queue_mut().as_mut_bytes();
    while let Some(landing) = io::take_landing(queue).unwrap() {
        io::recycle(queue, landing.slot_idx).unwrap();
    }
}
