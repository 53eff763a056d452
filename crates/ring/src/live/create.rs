//! Makes a live ring: its shared state, and the ends of host and device.

use super::device::DeviceRing;
use super::event_count::EventCount;
use super::host::{Completions, Submitter};
use super::host_io::HostIo;
use super::{HostState, RingConfig, RingMemory, Shared};
use crate::memory::SharedWords;
use crate::sync::{Arc, AtomicU32, Mutex, Ordering::Relaxed};
use crossbeam_utils::CachePadded;
use gristmill_protocol::{completion, control, priority, tails, PipelineError};

/// The next ring's number. This is the standard library's atomic even under loom, because no memory ordering depends on
/// it.
static NEXT_RING: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Makes a live ring: the host's two ends and the device's.
///
/// # Errors
/// [`PipelineError::InvalidArgument`] for sizes out of range; [`PipelineError::Backend`] where memory cannot be mapped.
pub fn live_ring(
    config: RingConfig,
) -> Result<(Submitter, Completions, DeviceRing), PipelineError> {
    config.check()?;
    make(config, RingMemory::new(&config, SharedWords::map)?, false)
}

/// Makes a live ring in zeroed memory that was sized for the same configuration, for a device that claims slots by
/// itself. The host keeps the [`DeviceRing`] only to look at the shared words. Such a device wakes no thread, so
/// [`Completions::wait`] polls.
///
/// # Errors
/// As for [`live_ring`].
pub fn live_ring_over(
    config: RingConfig,
    memory: RingMemory,
) -> Result<(Submitter, Completions, DeviceRing), PipelineError> {
    make(config, memory, true)
}

fn make(
    config: RingConfig,
    memory: RingMemory,
    silent: bool,
) -> Result<(Submitter, Completions, DeviceRing), PipelineError> {
    config.check()?;
    let parts = [
        &memory.slots,
        &memory.ready,
        &memory.tails,
        &memory.entries,
        &memory.control,
        &memory.debug,
        &memory.io,
    ];
    if parts.map(|part| part.len()) != RingMemory::lens(&config) {
        return Err(PipelineError::InvalidArgument {
            what: "ring memory of another configuration",
            fix: "make it with the configuration of the ring",
        });
    }
    let slots = config.slots as usize;
    let from = config.counters_from;
    let counters = |count: usize| {
        let words = SharedWords::map(count)?;
        for word in words.iter() {
            word.store(from, Relaxed);
        }
        Ok::<_, PipelineError>(words)
    };
    for tail in &memory.tails[..priority::COUNT] {
        tail.store(from, Relaxed);
    }
    memory.tails[tails::ENDED].store(from, Relaxed);
    // Fills in the sequence numbers as if the ring had gone round once before, so that no entry has a sequence number
    // that the host waits for.
    for ticket in (0..config.slots).map(|step| from.wrapping_add(step)) {
        let entry = (ticket & (config.slots - 1)) as usize * completion::WORDS;
        let before = ticket.wrapping_add(1).wrapping_sub(config.slots);
        memory.entries[entry + completion::SEQ].store(before, Relaxed);
    }
    let shared = Arc::new(Shared {
        id: NEXT_RING.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        slots: config.slots,
        debug_records: config.debug_records,
        io_slots: config.io_slots,
        counters_from: from,
        memory,
        silent,
        in_flight: (0..slots).map(|_| AtomicU32::new(0)).collect(),
        published: (0..slots)
            .map(|_| [AtomicU32::new(0), AtomicU32::new(0)])
            .collect(),
        broken: std::sync::OnceLock::new(),
        host: CachePadded::new(Mutex::new(HostState {
            tails: [from; priority::COUNT],
            free: (0..config.slots).rev().collect(),
            generation: from,
            in_generation: from,
            published: 0,
            published_as: vec![0; slots],
        })),
        io_host: Mutex::new(HostIo::new(config.io_slots, from)),
        io_closed: AtomicU32::new(0),
        heads: counters(priority::COUNT)?,
        ages: CachePadded::new(std::array::from_fn(|_| AtomicU32::new(0))),
        aged_claims: AtomicU32::new(0),
        completion_ticket: counters(1)?,
        finished: counters(2 * slots)?,
        debug_lock: CachePadded::new(Mutex::new(0)),
        io_waited: Mutex::new(vec![false; config.io_slots as usize]),
        doorbell: CachePadded::new(EventCount::new()),
        completed: CachePadded::new(EventCount::new()),
        asked: CachePadded::new(EventCount::new()),
    });
    let control = &shared.memory.control;
    control[control::TENANT_BASE].store(control::TENANT_MASK_BASE_VALUE, Relaxed);
    for tenant in 0..config.tenants as usize {
        control[control::TENANT_MASKS + tenant].store(control::TENANT_OPEN, Relaxed);
    }
    for quota in 0..control::TENANT_QUOTA_WORDS {
        control[control::TENANT_QUOTAS + quota].store(control::DEFAULT_QUOTA, Relaxed);
    }
    Ok((
        Submitter {
            shared: Arc::clone(&shared),
        },
        Completions {
            shared: Arc::clone(&shared),
            cursor: from,
            most_records: u32::MAX,
        },
        DeviceRing { shared },
    ))
}
