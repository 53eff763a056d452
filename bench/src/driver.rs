//! The overhead of the ingest driver: its reads on the registered path are compared with those of the plain pump, of
//! the same file into the same memory. Both publish each landed megabyte, and a device that does nothing returns the
//! slot at once.

use crate::{data, median, Goal, Row, Setting};
use gristmill::megakernel::protocol::{
    io, slot, Megakernel, MegakernelIoQueue, SLOT_WORDS, STATUS_WORD,
};
use gristmill::ring::{ChunkBuf, ChunkMemory};
use gristmill::uring::{
    AsyncUringStream, GpuMappedBuffer, IoUringState, NvmeGpuIngestDriver, UringMegakernelPump,
};
use gristmill::PipelineError;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU32;
use std::sync::Arc;
use std::time::Instant;

const SLOT_BYTES: u32 = 1 << 20;
const SLOTS: u32 = 8;
/// A user's opcode. Nothing here runs it.
const OPCODE: u32 = 0x4000_0000;

/// A stream over the whole chunk.
fn stream<'a>(
    chunk: &'a mut ChunkBuf,
    tail: &'a AtomicU32,
) -> Result<AsyncUringStream<'a>, PipelineError> {
    let (base, bytes) = (chunk.as_mut_ptr(), chunk.capacity());
    // SAFETY: the chunk is mapped for as long as it exists. It is borrowed for as long as the stream lives, and no code
    // accesses its bytes meanwhile. No stream is leaked here.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_owner(chunk, base, bytes) };
    Ok(AsyncUringStream::new(
        IoUringState::new(SLOTS)?,
        buffer,
        tail,
    ))
}

/// The bytes per second with which the pump reads the file's whole megabytes once, including all setup.
fn by_pump(file: &Arc<File>, reads: u64, chunk: &mut ChunkBuf) -> Result<f64, PipelineError> {
    let began = Instant::now();
    let tail = AtomicU32::new(0);
    let mut pump = UringMegakernelPump::new(stream(chunk, &tail)?, SLOT_BYTES);
    let mut image = Megakernel::try_encode_empty_ring(SLOTS)?;
    let (mut next, mut landed) = (0, 0);
    let mut free: Vec<u32> = (0..SLOTS).collect();
    while landed < reads {
        while let Some(slot) = free.pop_if(|_| next < reads) {
            let (fd, offset) = (file.as_raw_fd(), next * u64::from(SLOT_BYTES));
            // SAFETY: the file is open, and no code uses the memory until the pump is dropped at the end of this
            // function.
            unsafe {
                pump.submit_file_scan(fd, offset, SLOT_BYTES, slot, slot, 0, OPCODE, [0; 3])?;
            }
            next += 1;
        }
        landed += u64::from(pump.drain_into_ring(&mut image)?);
        for slot in 0..SLOTS {
            let at = (slot as usize * SLOT_WORDS + STATUS_WORD) * 4;
            let status = image.get_mut(at..at + 4);
            if let Some(status) = status.filter(|word| **word == slot::PUBLISHED.to_le_bytes()) {
                status.copy_from_slice(&slot::EMPTY.to_le_bytes());
                free.push(slot);
            }
        }
    }
    Ok((reads * u64::from(SLOT_BYTES)) as f64 / began.elapsed().as_secs_f64())
}

/// The same measurement with the driver.
fn by_driver(file: &Arc<File>, reads: u64, chunk: &mut ChunkBuf) -> Result<f64, PipelineError> {
    let began = Instant::now();
    let tail = AtomicU32::new(0);
    let queue = MegakernelIoQueue::new(SLOTS)?;
    let stream = stream(chunk, &tail)?;
    let mut driver = NvmeGpuIngestDriver::new(stream, SLOTS, queue)?;
    let (mut next, mut landed) = (0, 0);
    let mut completed = Vec::new();
    let mut free: Vec<u32> = (0..SLOTS).collect();
    while landed < reads {
        while let Some(slot) = free.pop_if(|_| next < reads) {
            driver.submit_file_range(file, next * u64::from(SLOT_BYTES), SLOT_BYTES, slot, slot)?;
            next += 1;
        }
        driver.poll_completions_into(&mut completed)?;
        landed += completed.len() as u64;
        let queue = driver.megakernel_io_queue_mut().as_mut_bytes();
        while let Some(landing) = io::take_landing(queue)? {
            io::recycle(queue, landing.slot_idx)?;
            free.push(landing.slot_idx);
        }
    }
    let rate = (reads * u64::from(SLOT_BYTES)) as f64 / began.elapsed().as_secs_f64();
    let telemetry = driver.telemetry_snapshot();
    telemetry.validate_completed_zero_copy(driver.read_path())?;
    Ok(rate)
}

/// Measures the ratio of the driver's rate to the pump's.
pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let bytes = if setting.smoke { 64 << 20 } else { 2 << 30 };
    let path = data::words_file(setting, bytes)?;
    data::warm(&path)?;
    let file = Arc::new(File::open(&path).map_err(|error| error.to_string())?);
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let reads = size / u64::from(SLOT_BYTES);
    let memory = ChunkMemory::map(1, (SLOTS * SLOT_BYTES) as usize);
    let (_memory, mut chunks) = memory.map_err(|error| error.to_string())?;
    let chunk = chunks.first_mut().ok_or("no memory")?;
    chunk.as_mut_slice().fill(0);
    let mut pair = || -> Result<(f64, f64), PipelineError> {
        Ok((
            by_driver(&file, reads, chunk)?,
            by_pump(&file, reads, chunk)?,
        ))
    };
    pair().map_err(|error| error.to_string())?;
    let pairs = (0..setting.runs)
        .map(|_| pair().map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>, String>>()?;
    let rate = |figures: Vec<f64>| format!("{:.2} GB/s", median(figures) / 1e9);
    Ok(vec![Row {
        name: "driver".into(),
        ours: rate(pairs.iter().map(|pair| pair.0).collect()),
        peer: format!("pump {}", rate(pairs.iter().map(|pair| pair.1).collect())),
        figure: median(pairs.iter().map(|pair| pair.0 / pair.1).collect()),
        goal: Goal::AtLeast(0.97),
    }])
}
