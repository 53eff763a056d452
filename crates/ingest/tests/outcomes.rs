//! A driver over memory of its own: failures by slot, and what landed as the device's side sees it.

mod common;

use common::{noise, Scratch};
use gristmill_ingest::{AsyncUringStream, HostMemory, IoUringState, NvmeGpuIngestDriver};
use gristmill_protocol::{io, MegakernelIoQueue, PipelineError};
use std::fs::File;
use std::sync::atomic::AtomicU32;
use std::sync::Arc;

const SLOT: usize = 8192;
const SLOTS: u32 = 4;

/// A driver for registered reads in slots of its own; skipped where io_uring is refused.
fn with_driver(check: impl FnOnce(NvmeGpuIngestDriver<'_>)) {
    let ring = match IoUringState::new(8) {
        Ok(ring) => ring,
        Err(error) => return println!("skipped: {error}"),
    };
    let mut memory = HostMemory::allocate(SLOT * SLOTS as usize).unwrap();
    assert_eq!((memory.len(), memory.is_empty()), (SLOT * 4, false));
    let tail = AtomicU32::new(0);
    let stream = AsyncUringStream::new(ring, memory.buffer().unwrap(), &tail);
    let queue = MegakernelIoQueue::new(SLOTS).unwrap();
    check(NvmeGpuIngestDriver::new(stream, SLOTS, queue).unwrap());
}

#[test]
fn each_failure_names_its_slot_and_tag_and_others_land() {
    with_driver(|mut driver| {
        let scratch = Scratch::new();
        let bytes = noise(5000);
        scratch.file("file", &bytes);
        let file = Arc::new(File::open(scratch.0.join("file")).unwrap());
        let directory = Arc::new(File::open(&scratch.0).unwrap());
        for (slot, source) in [(0, &directory), (1, &file), (2, &file), (3, &directory)] {
            driver
                .submit_file_range(source, 0, 4096, slot, 100 + slot)
                .unwrap();
        }
        let (mut landed, mut failed) = (Vec::new(), Vec::new());
        let (mut slots, mut refused) = (Vec::new(), Vec::new());
        while driver.telemetry_snapshot().inflight_reads() > 0 {
            driver.wait_for_completion().unwrap();
            driver.poll_outcomes_into(&mut landed, &mut failed).unwrap();
            slots.extend(landed.iter().map(|read| (read.slot, read.tag)));
            for read in &failed {
                assert!(
                    matches!(read.error, PipelineError::Read { .. }),
                    "{}",
                    read.error
                );
                refused.push((read.slot, read.tag));
            }
        }
        slots.sort_unstable();
        refused.sort_unstable();
        assert_eq!(
            (slots, refused),
            (vec![(1, 101), (2, 102)], vec![(0, 100), (3, 103)])
        );
        // Told once, and the slot is free again.
        driver.poll_outcomes_into(&mut landed, &mut failed).unwrap();
        assert!(landed.is_empty() && failed.is_empty());
        driver.submit_file_range(&file, 0, 10, 0, 0).unwrap();
    });
}

#[test]
fn what_landed_can_be_read_until_its_slot_is_recycled_and_nothing_else() {
    with_driver(|mut driver| {
        let scratch = Scratch::new();
        let bytes = noise(5000);
        scratch.file("file", &bytes);
        let mut copy = vec![0; 5000];
        assert!(
            driver.read_landed(1, 0, &mut copy).is_err(),
            "nothing was read"
        );
        driver.submit_file(&scratch.0.join("file"), 1).unwrap();
        assert!(driver.read_landed(1, 0, &mut copy).is_err(), "in flight");
        driver.wait_for_completion().unwrap();
        assert_eq!(driver.poll_completions().unwrap().len(), 1);
        driver.read_landed(1, 0, &mut copy).unwrap();
        assert_eq!(copy, bytes);
        for (offset, len) in [(0, 0), (1, 4999), (4999, 1), (1234, 77), (5000, 0)] {
            driver.read_landed(1, offset, &mut copy[..len]).unwrap();
            assert_eq!(copy[..len], bytes[offset..offset + len], "{offset} {len}");
        }
        for (slot, offset, len) in [
            (1, 1, 5000),
            (1, 5000, 1),
            (1, usize::MAX, 2),
            (0, 0, 1),
            (4, 0, 1),
        ] {
            let refused = driver.read_landed(slot, offset, &mut copy[..len]);
            assert!(
                matches!(refused, Err(PipelineError::InvalidArgument { .. })),
                "{slot} {offset}"
            );
        }
        let queue = driver.megakernel_io_queue_mut().as_mut_bytes();
        let landing = io::take_landing(queue).unwrap().unwrap();
        driver.read_landed(1, 0, &mut copy[..1]).unwrap();
        let queue = driver.megakernel_io_queue_mut().as_mut_bytes();
        io::recycle(queue, landing.slot_idx).unwrap();
        assert!(
            driver.read_landed(1, 0, &mut copy[..1]).is_err(),
            "recycled"
        );
    });
}

#[test]
fn memory_is_in_whole_pages_and_lent_once() {
    for bytes in [0, 1, 4095, 4097] {
        let refused = HostMemory::allocate(bytes);
        assert!(
            matches!(refused, Err(PipelineError::InvalidArgument { .. })),
            "{bytes}"
        );
    }
    let mut memory = HostMemory::allocate(4096).unwrap();
    drop(memory.buffer().unwrap());
    std::mem::forget(memory.buffer().unwrap());
    assert!(memory.buffer().is_err());
}
