//! How a kernel on a device is launched, and the handle by which it is followed and ended.

use super::driver::{Driver, Launch};
use super::host::{Host, LEAVE};
use super::launch_group::LaunchGroup;
use super::layout::{state, worker};
use super::loaded::Device;
use super::memory::{job_tables, Memory, PROGRAM_WORDS};
use super::tables::ProgramTables;
use super::vigil::{patience, SILENCE};
use crate::backend::{FeederFactory, KernelConfig};
use crate::kernel::{self, Kernel, KernelStats};
use crate::programs::ProgramSink;
use crate::{KernelError, ProgramTable, StreamJob};
use gristmill_protocol::{control, priority, tails};
use gristmill_ring::live_ring_over;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// The initial words of the device's state: the first value of counters that wrap around, and zeros elsewhere.
fn first_state(slots: usize, counters_from: u32) -> Vec<u32> {
    if counters_from == 0 {
        return Vec::new();
    }
    let mut words = vec![0; state::SLOTS + 4 * slots];
    words[state::HEADS..state::HEADS + priority::COUNT].fill(counters_from);
    words[state::TICKET] = counters_from;
    words[state::IO_SEEN] = counters_from;
    words[state::SLOTS + 2 * slots..].fill(counters_from);
    words
}

/// Launches a kernel on a device.
///
/// [`KernelError::InvalidConfig`] where sizes are out of range, or where the device does not see the chunk memory;
/// [`KernelError::Unsupported`] for jobs that only the host can run; and the errors of allocating memory and of
/// starting threads.
pub(super) fn launch<D: Driver>(
    device: Arc<Device<D>>,
    config: KernelConfig,
    jobs: &[StreamJob],
    feeders: Vec<FeederFactory>,
) -> Result<Kernel, KernelError> {
    config.ring.check()?;
    if config.workers == 0 {
        return Err(KernelError::InvalidConfig {
            what: "a kernel without workers",
            fix: "use at least one worker",
        });
    }
    let groups = LaunchGroup::of(&device.groups(config.workers)?);
    let workers: u32 = groups.iter().map(|group| group.workers).sum();
    let memory = Memory::lay_out(&device, &config, workers)?;
    let (image, programs) = job_tables(jobs)?;
    let tables = device.tables(programs + PROGRAM_WORDS, &image)?;

    let slots = config.ring.slots as usize;
    let state_words = state::SLOTS + 4 * slots + workers as usize * config.record_words as usize;
    let counters_from = config.ring.counters_from;
    let state = device.state(state_words, &first_state(slots, counters_from))?;
    let (submitter, completions, ring) = live_ring_over(config.ring, memory.ring)?;
    let (chunks, chunk_states) = config.chunks.addresses();
    let chunk_bytes = config.chunks.chunk_bytes() as u64;
    let tables = ProgramTables::new(
        tables,
        (programs, programs + PROGRAM_WORDS),
        memory.directory,
        config.lease.instructions,
        submitter.clone(),
    );
    let host = Arc::new(Host {
        launch: Launch {
            addresses: [
                memory.address,
                chunks as u64,
                chunk_states as u64,
                state.address(),
                tables.address(),
            ],
            first: 0,
            groups: 0,
            number: 0,
        },
        groups,
        patience: patience(chunk_bytes),
        counters_from,
        device,
        ring,
        workers: memory.workers,
        counts: (0..workers).map(|_| Default::default()).collect(),
        tables: Arc::new(tables),
        _state: state,
        _chunks: config.chunks,
        stopping: AtomicBool::new(false),
        failure: OnceLock::new(),
        threads: Arc::default(),
    });
    let sink: Arc<dyn ProgramSink> = Arc::clone(&host.tables) as _;
    let device = OnDevice {
        host: Arc::clone(&host),
        stopped: false,
    };
    device.start(feeders)?;
    Ok(Kernel {
        submitter,
        completions: Some(completions.with_most_records(config.record_words / 2)),
        records: memory.records,
        programs: ProgramTable::new(config.record_words, Some(sink)),
        device: Box::new(device),
    })
}

/// The device half of a kernel's handle.
struct OnDevice<D: Driver> {
    host: Arc<Host<D>>,
    stopped: bool,
}

impl<D: Driver> OnDevice<D> {
    /// Starts a thread that shares the host's state until it ends.
    fn spawn(
        &self,
        name: String,
        run: impl FnOnce(&Host<D>) + Send + 'static,
    ) -> Result<(), KernelError> {
        let spawned = self
            .host
            .threads
            .spawn(name.clone(), &self.host, move |host| {
                // Drivers are foreign code, and a panic in one must not keep the other threads waiting.
                if catch_unwind(AssertUnwindSafe(|| run(host))).is_err() {
                    let current = std::thread::current();
                    let threads = current.name().unwrap_or("a thread of the kernel").into();
                    host.fail(KernelError::Panicked { threads });
                }
                if host.failure.get().is_some() {
                    // The device may still write to its memory, so the memory is never released.
                    std::mem::forget(Arc::clone(host));
                }
            });
        spawned.map_err(|error| KernelError::Thread {
            thread: format!("thread {name}"),
            cause: Arc::new(error),
        })
    }

    fn start(&self, feeders: Vec<FeederFactory>) -> Result<(), KernelError> {
        let backend = D::BACKEND;
        for index in 0..self.host.groups.len() {
            self.spawn(format!("gm-{backend}-{index}"), move |host| {
                host.run_group(&host.groups[index]);
            })?;
        }
        self.spawn(format!("gm-{backend}-watch"), Host::watch)?;
        for (index, feeder) in feeders.into_iter().enumerate() {
            self.spawn(format!("gm-feeder-{index}"), move |host| {
                host.feed(index, feeder)
            })?;
        }
        Ok(())
    }
}

impl<D: Driver> kernel::Device for OnDevice<D> {
    fn stats(&self) -> KernelStats {
        let host = &self.host;
        let aged = &host.ring.control()[control::PRIORITY_STARVATION];
        let mut stats = KernelStats {
            launches: host
                .groups
                .iter()
                .map(|group| u64::from(group.launches.load(Ordering::Relaxed)))
                .sum(),
            aged_claims: u64::from(aged.load(Ordering::Relaxed)),
            ..KernelStats::default()
        };
        for [slots, faults, parked, leases] in host.count() {
            stats.slots += slots;
            stats.slots_by_worker.push(slots);
            stats.faults += faults;
            stats.parked += parked;
            stats.leases += leases;
        }
        stats
    }

    fn mirror(&self) {
        let host = &self.host;
        let request = host.ring.tails()[tails::MIRROR]
            .fetch_add(1, Ordering::AcqRel)
            .wrapping_add(1);
        let begun = Instant::now();
        // A worker that left the kernel mirrored the counters when it left. Of the workers that are inside, one answer
        // is enough for all. A busy worker answers after its slot.
        while host.failure.get().is_none() && begun.elapsed() < SILENCE {
            let answered = (0..host.worker_count()).any(|number| {
                host.worker(number, worker::MIRRORED)
                    .load(Ordering::Acquire)
                    .wrapping_sub(request)
                    < 1 << 31
            });
            if answered
                || !host
                    .groups
                    .iter()
                    .any(|group| group.inside.load(Ordering::Acquire))
            {
                return;
            }
            std::thread::yield_now();
        }
    }

    fn failure(&self) -> Option<KernelError> {
        self.host.failure.get().cloned()
    }

    fn stop(&mut self) -> Result<(), KernelError> {
        let host = &self.host;
        // The watchdog may not have seen yet what the completions' reader has.
        host.fails_with_ring();
        host.stop();
        if !std::mem::replace(&mut self.stopped, true) {
            let left = host.wait_for_end();
            if left == 0 {
                // The driver of a lost device may never finish with a thread, so the threads are not joined then.
                if host.failure.get().is_none() {
                    host.threads.join();
                }
            } else {
                host.fail(KernelError::DeviceStuck {
                    backend: D::BACKEND,
                    device: host.device.info.name.clone(),
                    seconds: LEAVE.as_secs(),
                    threads: left,
                });
            }
        }
        host.failure
            .get()
            .map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl<D: Driver> Drop for OnDevice<D> {
    fn drop(&mut self) {
        drop(kernel::Device::stop(self));
    }
}
