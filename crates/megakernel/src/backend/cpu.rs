//! The kernel on CPU threads. This back end is always available, and it is the reference for the others.
//!
//! Workers are threads that stay in `worker`'s loop for the length of a lease. Device memory is ordinary memory here.
//! Each worker keeps its own copy of the counters that a GPU would keep in its memory; only that worker writes them,
//! and they are mirrored into the control words.

mod shared;
mod worker;

use super::{Backend, FeederFactory, KernelConfig};
use crate::kernel::{Device, Kernel, KernelStats};
use crate::{KernelError, ProgramTable, StreamJob};
use gristmill_protocol::control;
use gristmill_ring::{live_ring, DeviceRing, RecordMemory};
use gristmill_vir0::vector::Level;
use shared::{Counters, Shared};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The back end whose device is the processor's threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuBackend;

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn launch(
        &self,
        config: KernelConfig,
        jobs: Vec<StreamJob>,
        feeders: Vec<FeederFactory>,
    ) -> Result<Kernel, KernelError> {
        if config.workers == 0 || feeders.len() > config.workers {
            return Err(KernelError::InvalidConfig {
                what: "a kernel without workers, or with more feeders than workers",
                fix: "use at least one worker, and one for each feeder",
            });
        }
        // Programs run on the vector unit that was requested, or not at all.
        Level::asked().map_err(|error| KernelError::VectorUnit(error.to_string()))?;
        let (submitter, completions, ring) = live_ring(config.ring)?;
        let records = RecordMemory::new(config.ring.slots, config.record_words)?;
        let programs = ProgramTable::new(config.record_words, None);
        let shared = Arc::new(Shared {
            ring,
            chunks: config.chunks,
            records: records.clone(),
            programs: programs.clone(),
            jobs,
            lease: config.lease,
            tenants: config.ring.tenants.max(1),
            running: std::array::from_fn(|_| AtomicU32::new(0)),
            parked: Mutex::new(Vec::new()),
            parked_len: AtomicU32::new(0),
            loading: Mutex::new(Vec::new()),
            loading_len: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
            counters: (0..config.workers).map(|_| Counters::default()).collect(),
            mirror: Mutex::new(()),
        });
        let mut device = CpuDevice {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        let mut feeders = feeders.into_iter();
        for index in 0..config.workers {
            let shared = Arc::clone(&shared);
            let feeder = feeders.next();
            let thread = std::thread::Builder::new()
                .name(format!("gristmill-{index}"))
                .spawn(move || worker::main(&shared, index, feeder))
                .map_err(|error| KernelError::Thread {
                    thread: format!("worker {index}"),
                    cause: Arc::new(error),
                })?;
            device.threads.push(thread);
        }
        Ok(Kernel {
            submitter,
            completions: Some(completions.with_most_records(config.record_words / 2)),
            records,
            programs,
            device: Box::new(device),
        })
    }
}

struct CpuDevice {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl CpuDevice {
    fn ring(&self) -> &DeviceRing {
        &self.shared.ring
    }
}

impl Device for CpuDevice {
    fn stats(&self) -> KernelStats {
        let mut stats = KernelStats {
            launches: 1,
            aged_claims: u64::from(self.ring().aged_claims()),
            ..KernelStats::default()
        };
        for counters in &self.shared.counters {
            let slots = counters.slots.load(Ordering::Relaxed);
            stats.slots += slots;
            stats.slots_by_worker.push(slots);
            stats.leases += counters.leases.load(Ordering::Relaxed);
            stats.launches += counters.relaunches.load(Ordering::Relaxed);
            stats.faults += counters.faults.load(Ordering::Relaxed);
            stats.parked += counters.parked.load(Ordering::Relaxed);
        }
        stats
    }

    fn mirror(&self) {
        self.shared.mirror();
    }

    fn stop(&mut self) -> Result<(), KernelError> {
        self.ring().control()[control::SHUTDOWN].store(1, Ordering::Release);
        self.ring().wake_workers();
        let mut panicked = 0;
        for thread in self.threads.drain(..) {
            panicked += usize::from(thread.join().is_err());
        }
        self.shared.drop_parked();
        self.shared.mirror();
        if panicked > 0 {
            let threads = format!("{panicked} workers");
            return Err(KernelError::Panicked { threads });
        }
        Ok(())
    }
}

impl Drop for CpuDevice {
    fn drop(&mut self) {
        drop(self.stop());
    }
}
