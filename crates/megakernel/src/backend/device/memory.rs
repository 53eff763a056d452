//! The layout of the memory that a kernel on a device shares with the host, and the tables of its jobs.

use super::driver::Driver;
use super::job;
use super::layout::{directory, launch as parameter, worker};
use super::loaded::Device;
use super::tables::IMAGE_ALIGN;
use crate::backend::KernelConfig;
use crate::KernelError;
use crate::StreamJob;
use gristmill_ring::{Arena, RecordMemory, RingMemory, SharedWords, REGION_ALIGN};
use std::sync::atomic::Ordering;

/// The number of words in the tables that is available to programs: 8 MiB.
pub(super) const PROGRAM_WORDS: usize = 2 << 20;

/// The memory that host and device share, part by part.
pub(super) struct Memory {
    /// The device's address of its beginning.
    pub address: u64,
    pub ring: RingMemory,
    pub records: RecordMemory,
    /// The directory of programs.
    pub directory: SharedWords,
    /// The words of the workers, by worker.
    pub workers: SharedWords,
}

impl Memory {
    /// Lays out the memory that a kernel of `workers` workers shares with the host, and writes the launch parameters.
    pub fn lay_out<D: Driver>(
        device: &Device<D>,
        config: &KernelConfig,
        workers: u32,
    ) -> Result<Self, KernelError> {
        let slots = config.ring.slots as usize;
        let records = slots * config.record_words as usize;
        let directory_words = directory::ENTRIES * directory::WORDS;
        let worker_words = workers as usize * worker::WORDS;
        let bytes: usize = RingMemory::lens(&config.ring)
            .into_iter()
            .chain([parameter::WORDS, records, directory_words, worker_words])
            .map(|words| (4 * words).next_multiple_of(REGION_ALIGN))
            .sum();
        let too_large = || KernelError::InvalidConfig {
            what: "a ring whose record areas take 16 GiB or more",
            fix: "use fewer slots, or fewer record words",
        };
        if u32::try_from(bytes / 4).is_err() {
            return Err(too_large());
        }
        let mut arena = Arena::new(device.shared(bytes)?);
        if config.chunks.device() != arena.device() {
            return Err(KernelError::InvalidConfig {
                what: "chunk memory that the device does not see",
                fix: "take chunk memory from the back end that the kernel is launched on",
            });
        }
        let mut places = Vec::new();
        let mut part = |words: usize| {
            places.push(u32::try_from(arena.offset() / 4).map_err(|_| too_large())?);
            arena.words(words)
        };
        let head = part(parameter::WORDS)?;
        let ring = RingMemory::new(&config.ring, &mut part)?;
        let records = part(records)?;
        let directory = part(directory_words)?;
        let workers = part(worker_words)?;
        let address = head.as_ptr() as u64;

        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let [_, slot_words, ready, tails_at, entries, control, debug, io, records_at, programs, workers_at] =
            places[..]
        else {
            return Err(too_large());
        };
        for (word, value) in [
            (parameter::SLOTS, config.ring.slots),
            (parameter::SLOT_WORDS, slot_words),
            (parameter::READY, ready),
            (parameter::TAILS, tails_at),
            (parameter::ENTRIES, entries),
            (parameter::CONTROL, control),
            (parameter::DEBUG, debug),
            (parameter::DEBUG_RECORDS, config.ring.debug_records),
            (parameter::OBSERVABLES, config.ring.observables),
            (parameter::TENANTS, config.ring.tenants.max(1)),
            (parameter::RECORDS, records_at),
            (parameter::RECORD_WORDS, config.record_words),
            (parameter::CHUNKS, number(config.chunks.count())),
            (parameter::CHUNK_BYTES, number(config.chunks.chunk_bytes())),
            (parameter::CHUNK_STRIDE, number(config.chunks.stride())),
            (parameter::IDLE_POLLS, config.lease.idle_polls),
            (
                parameter::LEASE_SLOTS,
                u32::try_from(config.lease.slots).unwrap_or(u32::MAX),
            ),
            (parameter::JOBS, 0),
            (parameter::PROGRAMS, programs),
            (parameter::WORKERS, workers_at),
            (parameter::IO, io),
            (parameter::IO_SLOTS, config.ring.io_slots),
            (parameter::COUNTERS_FROM, config.ring.counters_from),
        ] {
            head[word].store(value, Ordering::Release);
        }
        Ok(Self {
            address,
            ring,
            records: RecordMemory::over(records, config.record_words),
            directory,
            workers,
        })
    }
}

/// Makes the tables of the stream jobs: the number of jobs, the place of each image, and the images. Also returns where
/// programs begin.
pub(super) fn job_tables(jobs: &[StreamJob]) -> Result<(Vec<u32>, usize), KernelError> {
    let too_large = || KernelError::InvalidConfig {
        what: "stream jobs whose tables take 16 GiB or more",
        fix: "use fewer patterns",
    };
    let mut tables = vec![0; 1 + jobs.len()];
    tables[0] = u32::try_from(jobs.len()).map_err(|_| too_large())?;
    for (index, job) in jobs.iter().enumerate() {
        tables.resize(tables.len().next_multiple_of(IMAGE_ALIGN), 0);
        tables[1 + index] = u32::try_from(tables.len()).map_err(|_| too_large())?;
        tables.extend(job::image(job)?);
    }
    let programs = tables.len().next_multiple_of(IMAGE_ALIGN);
    if u32::try_from(programs + PROGRAM_WORDS).is_err() {
        return Err(too_large());
    }
    Ok((tables, programs))
}
