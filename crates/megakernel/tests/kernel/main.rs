//! The kernel on the CPU back end: opcodes, faults, tenants, fences, leases and shutdown.

mod life;
mod opcodes;
mod tenants;

use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::{
    Backend, Feed, Feeder, FeederFactory, Kernel, KernelConfig, Lease, ScanMode, ScanSet,
    StreamJob, StreamOpcode, StreamSlot,
};
use gristmill_protocol::{control, fault, opcode, priority::Priority, slot, stream};
use gristmill_ring::{
    ChunkBuf, ChunkMemory, Completion, Completions, Outcome, RecordWriter, RingConfig, Submission,
};
use gristmill_testing::Patience;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

struct World {
    kernel: Kernel,
    completions: Completions,
    chunks: Vec<ChunkBuf>,
}

#[derive(Default)]
struct Setup {
    workers: usize,
    tenants: u32,
    lease: Lease,
    jobs: Vec<StreamJob>,
    feeders: Vec<FeederFactory>,
    debug_records: u32,
}

fn world(setup: Setup) -> World {
    let (memory, chunks) = ChunkMemory::map(4, 4096).unwrap();
    let mut kernel = CpuBackend
        .launch(
            KernelConfig {
                workers: setup.workers.max(1),
                ring: RingConfig {
                    slots: 64,
                    tenants: setup.tenants.max(1),
                    observables: 64,
                    debug_records: setup.debug_records,
                    io_slots: 0,
                    counters_from: u32::MAX - 3,
                },
                chunks: memory,
                record_words: 256,
                lease: setup.lease,
            },
            setup.jobs,
            setup.feeders,
        )
        .unwrap();
    let completions = kernel.take_completions().unwrap();
    assert!(kernel.take_completions().is_none());
    World {
        kernel,
        completions,
        chunks,
    }
}

impl World {
    fn publish(&self, submission: &Submission) {
        let submitter = self.kernel.submitter();
        let token = submitter.try_acquire().expect("a free slot");
        submitter.publish(token, submission).unwrap();
    }

    /// Waits for the next completion. Fails the test rather than hang.
    fn reap(&mut self) -> Completion {
        let next = || {
            self.completions.wait(Duration::from_millis(10));
            self.completions.next()
        };
        Patience::until(next, || "no completion")
    }

    /// Publishes one slot and returns its status, fault and first result.
    fn run(&mut self, submission: &Submission) -> (u32, u32, u32) {
        self.publish(submission);
        let done = self.reap();
        let answer = (done.status, done.fault, done.results[0]);
        self.kernel.submitter().release(done.token);
        answer
    }

    fn op(&mut self, number: u32, args: &[u32]) -> (u32, u32, u32) {
        self.run(&Submission::new(number, args))
    }
}

fn tenant(id: u32, number: u32, args: &[u32]) -> Submission {
    Submission {
        tenant: id,
        ..Submission::new(number, args)
    }
}

const OK: u32 = slot::DONE;
