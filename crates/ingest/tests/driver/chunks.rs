//! Slots that are a kernel's chunks: whose they are at each moment.

use super::common::{noise, Scratch};
use gristmill_ingest::{IoUringState, NativeReadPath, NvmeGpuIngestDriver};
use gristmill_protocol::{io, PipelineError};
use gristmill_ring::ChunkMemory;
use std::fs::File;
use std::sync::atomic::AtomicU32;
use std::sync::Arc;

const CHUNK: usize = 8192;

/// A file of so many bytes of noise.
fn file(scratch: &Scratch, len: usize) -> Arc<File> {
    let file = scratch.file("noise", &noise(len));
    Arc::new(File::from(file.try_clone().unwrap()))
}

/// A driver over so many chunks, or why there is none.
fn driver(
    count: u32,
    tail: &AtomicU32,
) -> Result<(NvmeGpuIngestDriver<'_>, Arc<ChunkMemory>), PipelineError> {
    let (memory, chunks) = ChunkMemory::map(count, CHUNK)?;
    let ring = IoUringState::new(8)?;
    let path = NativeReadPath::RegisteredMappedRead;
    Ok((
        NvmeGpuIngestDriver::over_chunks(ring, chunks, path, tail)?,
        memory,
    ))
}

/// Whether there is no io_uring here, which is then said.
fn skipped() -> bool {
    let refused = IoUringState::new(1).err();
    if let Some(error) = &refused {
        gristmill_testing::skipped(format_args!("io_uring: {error}"));
    }
    refused.is_some()
}

/// Reads so many bytes of a file from its start into a slot, until they have landed.
fn land(driver: &mut NvmeGpuIngestDriver<'_>, file: &Arc<File>, len: u32, slot: u32) {
    driver.submit_file_range(file, 0, len, slot, slot).unwrap();
    let mut landed = Vec::new();
    while landed.is_empty() {
        driver.wait_for_completion().unwrap();
        landed = driver.poll_completions().unwrap();
    }
    assert_eq!((landed[0].slot, landed[0].byte_count), (slot, len));
}

#[test]
fn what_landed_is_what_the_kernel_borrows() {
    if skipped() {
        return;
    }
    let tail = AtomicU32::new(0);
    let (mut driver, memory) = driver(4, &tail).unwrap();
    assert_eq!((driver.slot_bytes(), driver.slot_count()), (CHUNK, 4));
    let scratch = Scratch::new();
    let file = file(&scratch, CHUNK);
    let content = noise(CHUNK);
    for slot in [3, 0, 2, 1] {
        land(&mut driver, &file, CHUNK as u32, slot);
        let lent = driver.lend(slot).unwrap();
        assert_eq!(lent.index(), slot);
        let bytes = memory.borrow_chunk(slot).unwrap();
        assert!(*bytes == content);
        drop(bytes);
        driver.take_back(lent.reclaim().unwrap()).unwrap();
    }
    assert!(driver.stats().bytes_registered == 4 * CHUNK as u64);
}

#[test]
fn a_slot_is_refused_until_its_chunk_is_home_and_the_queue_recycled() {
    if skipped() {
        return;
    }
    let tail = AtomicU32::new(0);
    let (mut driver, _) = driver(2, &tail).unwrap();
    let scratch = Scratch::new();
    let file = file(&scratch, 100);
    assert!(driver.lend(0).is_err(), "nothing has landed");
    driver.submit_file_range(&file, 0, 100, 0, 0).unwrap();
    assert!(driver.lend(0).is_err(), "a read is in flight");
    while driver.poll_completions().unwrap().is_empty() {
        driver.wait_for_completion().unwrap();
    }
    let lent = driver.lend(0).unwrap();
    assert!(driver.lend(0).is_err(), "it is lent");
    io::take_landing(driver.megakernel_io_queue_mut().as_mut_bytes()).unwrap();
    io::recycle(driver.megakernel_io_queue_mut().as_mut_bytes(), 0).unwrap();
    // The queue is recycled, the chunk is away.
    let refused = driver.submit_file_range(&file, 0, 100, 0, 0).unwrap_err();
    assert!(refused.to_string().contains("lent"), "{refused}");
    driver.take_back(lent.reclaim().unwrap()).unwrap();
    land(&mut driver, &file, 100, 0);
    // The chunk is home again, the queue is not recycled.
    let lent = driver.lend(0).unwrap();
    driver.take_back(lent.reclaim().unwrap()).unwrap();
    assert!(driver.submit_file_range(&file, 0, 100, 0, 0).is_err());
}

#[test]
fn chunks_of_others_are_not_taken() {
    if skipped() {
        return;
    }
    let tail = AtomicU32::new(0);
    let (mut driver, _) = driver(1, &tail).unwrap();
    let (_memory, mut others) = ChunkMemory::map(2, CHUNK).unwrap();
    let (other, error) = driver.take_back(others.remove(0)).unwrap_err();
    assert!(error.to_string().contains("not lent"), "{error}");
    let ring = || IoUringState::new(2).unwrap();
    let path = NativeReadPath::RegisteredMappedRead;
    // Out of order, then none, then of two arenas.
    let second = others.remove(0);
    let (_memory, third) = ChunkMemory::map(1, CHUNK).unwrap();
    for wrong in [vec![second, other], vec![], third] {
        let count = wrong.len();
        let refused = NvmeGpuIngestDriver::over_chunks(ring(), wrong, path, &tail);
        assert_eq!(refused.is_err(), count != 1);
    }
}

#[test]
fn paths_that_do_not_lead_there_are_refused() {
    if skipped() {
        return;
    }
    let tail = AtomicU32::new(0);
    for path in [NativeReadPath::PeerRead, NativeReadPath::PositionedRead] {
        let (_memory, chunks) = ChunkMemory::map(1, CHUNK).unwrap();
        let ring = IoUringState::new(1).unwrap();
        let refused = NvmeGpuIngestDriver::over_chunks(ring, chunks, path, &tail).unwrap_err();
        assert!(matches!(refused, PipelineError::InvalidArgument { .. }));
    }
}

#[test]
fn each_failure_names_its_slot_and_tag_and_others_land() {
    if skipped() {
        return;
    }
    let tail = AtomicU32::new(0);
    let (mut driver, _) = driver(4, &tail).unwrap();
    let scratch = Scratch::new();
    let file = file(&scratch, 5000);
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
            let named = matches!(read.error, PipelineError::Read { .. });
            assert!(named, "{}", read.error);
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
}
