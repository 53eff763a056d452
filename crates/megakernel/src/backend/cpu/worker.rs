//! The loop of a worker thread: it claims slots, runs and completes them, and calls its feeder in between.

use super::shared::{bump, bump64, len_u32, Counters, Loading, Shared};
use crate::backend::{Feed, Feeder, FeederFactory};
use crate::opcode::{self as core, OpContext};
use crate::programs::Machines;
use crate::stream::{Cancel, StreamJob, StreamSlot};
use gristmill_protocol::opcode::LoadArgs;
use gristmill_protocol::program::ProgramArgs;
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{control, fault, opcode, slot, CONTROL_MIN_WORDS};
use gristmill_ring::{lock, ClaimedSlot, Claimer, Outcome};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The number of polls that only tell the processor that this is a spin loop. Later polls yield to other threads.
const SPINS: u32 = 200;

/// How long a worker sleeps before it checks for work without having been woken.
const SLEEP: Duration = Duration::from_millis(100);

/// How many slots a busy worker runs between two mirrorings of its counters.
const MIRROR_SLOTS: u64 = 256;

/// The reason why a lease ended.
enum Left {
    /// There was nothing to do for too long.
    Idle,
    /// The worker ran as many slots as the lease allows.
    Spent,
    Shutdown,
}

/// The thread of one worker: it works lease after lease, and sleeps in between when there is nothing to do.
pub(super) fn main(shared: &Shared, index: usize, feeder: Option<FeederFactory>) {
    let Some(counters) = shared.counters.get(index) else {
        return;
    };
    let mut worker = Worker {
        shared,
        counters,
        claimer: Claimer::default(),
        feeder: feeder.map(|make| make(index)),
        machines: Machines::default(),
    };
    loop {
        let left = worker.lease();
        bump64(&counters.leases);
        shared.mirror_if_free();
        match left {
            Left::Shutdown => return,
            Left::Spent => {}
            Left::Idle => shared.ring.sleep(SLEEP, || {
                shared.shutting_down()
                    || worker.feeder.as_ref().is_some_and(|of| of.has_work())
                    || shared.can_resume()
            }),
        }
        if shared.shutting_down() {
            return;
        }
        bump64(&counters.relaunches);
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    counters: &'a Counters,
    claimer: Claimer,
    feeder: Option<Box<dyn Feeder>>,
    machines: Machines,
}

impl Worker<'_> {
    /// Works until the lease is spent.
    fn lease(&mut self) -> Left {
        let shared = self.shared;
        let mut idle = 0_u32;
        let mut slots = 0_u64;
        loop {
            if shared.shutting_down() {
                return Left::Shutdown;
            }
            if self.end_load() || self.run_next() {
                idle = 0;
                slots += 1;
                if slots.is_multiple_of(MIRROR_SLOTS) {
                    shared.mirror_if_free();
                }
                if slots >= shared.lease.slots {
                    return Left::Spent;
                }
                continue;
            }
            match self.feed() {
                Feed::Progress | Feed::Blocked => {
                    idle = 0;
                    continue;
                }
                // An idle feeder has checked every source, and each of them rings the doorbell when there is something
                // to do.
                Feed::Idle => return Left::Idle,
                Feed::Finished => self.feeder = None,
            }
            idle += 1;
            if idle >= shared.lease.idle_polls {
                return Left::Idle;
            }
            if idle < SPINS {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    fn feed(&mut self) -> Feed {
        let Some(feeder) = &mut self.feeder else {
            return Feed::Finished;
        };
        // A feeder that panics is dropped, which notifies the threads that wait for it.
        catch_unwind(AssertUnwindSafe(|| feeder.feed())).unwrap_or(Feed::Finished)
    }

    /// Completes a LOAD_MISS whose request has ended. Returns whether there was one.
    fn end_load(&self) -> bool {
        let Some((parked, outcome, counted)) = self.shared.loaded() else {
            return false;
        };
        if counted {
            self.shared.leave(parked.tenant());
        }
        if let Ok(claimed) = parked.resume(&self.shared.ring) {
            let result = outcome.map(Outcome::value).map_err(|errno| {
                fault::word(fault::IO_FAILED, u16::try_from(errno).unwrap_or(u16::MAX))
            });
            self.finish(claimed, result);
        }
        true
    }

    /// Runs the next slot. Returns whether there was one.
    fn run_next(&mut self) -> bool {
        let shared = self.shared;
        let claimed = shared
            .unpark()
            .or_else(|| shared.ring.claim(&mut self.claimer));
        claimed.map(|claimed| self.run(claimed)).is_some()
    }

    fn run(&mut self, claimed: ClaimedSlot<'_>) {
        let shared = self.shared;
        // This comes before anything that can refuse the slot: later fences rely on every earlier fence having waited.
        if !shared.ring.fence_ready(&claimed) {
            return shared.park(claimed, self.counters);
        }
        let tenant = claimed.tenant() as usize;
        let refused = match shared.ring.control().get(control::TENANT_MASKS + tenant) {
            Some(mask) if tenant < control::TENANT_MASK_WORDS => {
                (mask.load(Ordering::Relaxed) == 0).then_some(fault::TENANT_MASKED)
            }
            _ => Some(fault::BAD_TENANT),
        };
        if let Some(reason) = refused {
            return self.finish(claimed, Err(reason));
        }
        let quota = shared.quota(claimed.tenant());
        if quota == 0 {
            return self.finish(claimed, Err(fault::QUOTA));
        }
        // A quota that is at least the number of slots limits nothing, and counting would make all workers contend for
        // one cache line.
        let running = (quota < shared.ring.slots()).then_some(&shared.running[tenant]);
        if let Some(running) = running {
            if running.fetch_add(1, Ordering::AcqRel) >= quota {
                running.fetch_sub(1, Ordering::AcqRel);
                return shared.park(claimed, self.counters);
            }
        }
        if claimed.opcode() == opcode::LOAD_MISS {
            return self.load(claimed, running.is_some());
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.execute(&claimed)))
            .unwrap_or(Err(fault::WORKER_PANICKED));
        if running.is_some() {
            shared.leave(claimed.tenant());
        }
        self.finish(claimed, result);
    }

    /// Runs LOAD_MISS: asks the host, and parks the slot until there is an answer, or room to ask. `counted` says
    /// whether the slot counts against its tenant's quota; if so, it counts until its bytes have arrived.
    fn load(&self, claimed: ClaimedSlot<'_>, counted: bool) {
        let shared = self.shared;
        let args = LoadArgs::decode(claimed.args());
        let asked = shared.ring.ask(&args.request(claimed.index().get()));
        let result = match asked {
            Some(pending) if args.prefetch == 0 => {
                bump64(&self.counters.parked);
                let mut list = lock(&shared.loading);
                list.push(Loading {
                    pending,
                    parked: claimed.park(slot::WAIT_IO),
                    counted,
                });
                shared
                    .loading_len
                    .store(len_u32(list.len()), Ordering::Release);
                return;
            }
            Some(_prefetched) => Some(Ok(Outcome::default())),
            None if shared.ring.io_slots() == 0 => Some(Err(fault::NO_IO_QUEUE)),
            None => None,
        };
        if counted {
            shared.leave(claimed.tenant());
        }
        match result {
            Some(result) => self.finish(claimed, result),
            None => shared.park(claimed, self.counters),
        }
    }

    fn execute(&mut self, claimed: &ClaimedSlot<'_>) -> Result<Outcome, u32> {
        let shared = self.shared;
        let number = claimed.opcode();
        if number == opcode::BATCH_FENCE {
            let epoch = shared.epoch.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
            return Ok(Outcome::value(epoch));
        }
        let context = OpContext {
            ring: &shared.ring,
            window: self.window(claimed.tenant())?,
            slot: claimed.index().get(),
            tenant: claimed.tenant(),
            programs: &shared.programs,
        };
        if let Some(result) = core::run(number, &context, claimed.args()) {
            return result;
        }
        if opcode::tenant_of(number).is_some() {
            return self.program(claimed);
        }
        self.stream(claimed)
    }

    /// The tenant's share of the observables.
    fn window(&self, tenant: u32) -> Result<&[AtomicU32], u32> {
        let all = self
            .shared
            .ring
            .control()
            .get(CONTROL_MIN_WORDS..)
            .unwrap_or(&[]);
        // Tenants beyond the number that the ring was configured for have no share.
        if tenant >= self.shared.tenants {
            return Ok(&[]);
        }
        let each = all.len() / self.shared.tenants as usize;
        let start = each * tenant as usize;
        Ok(all.get(start..start + each).unwrap_or(&[]))
    }

    /// Runs a program of the tenant over a chunk.
    fn program(&mut self, claimed: &ClaimedSlot<'_>) -> Result<Outcome, u32> {
        let shared = self.shared;
        if !opcode::is_open_to(claimed.opcode(), claimed.tenant()) {
            return Err(fault::FOREIGN_OPCODE);
        }
        if shared.ring.is_cancelled() {
            return Err(fault::CANCELLED);
        }
        let program = shared.programs.get(claimed.opcode());
        let program = program.ok_or(fault::NO_SUCH_PROGRAM)?;
        let args = ProgramArgs::decode(claimed.args());
        if program.cost().at(args.len) > shared.lease.instructions {
            return Err(fault::OVER_BUDGET);
        }
        let chunk = shared
            .chunks
            .borrow_chunk(args.chunk)
            .ok_or(fault::CHUNK_NOT_LENT)?;
        let mut records = shared
            .records
            .writer(claimed.index().get())
            .ok_or(fault::INDEX_OUT_OF_RANGE)?;
        let cancelled = || shared.ring.is_cancelled();
        self.machines
            .run(&program, &args, &chunk, &mut records, &cancelled)
    }

    fn stream(&self, claimed: &ClaimedSlot<'_>) -> Result<Outcome, u32> {
        let shared = self.shared;
        let args = StreamArgs::decode(claimed.args());
        let known = |job: &&StreamJob| job.opcode() == claimed.opcode();
        let Some(job) = shared.jobs.get(args.job as usize).filter(known) else {
            let any = shared.jobs.iter().any(|job| known(&job));
            let stream_opcode = opcode::is_stream(claimed.opcode());
            return Err(if any || stream_opcode {
                fault::NO_SUCH_JOB
            } else {
                fault::UNKNOWN_OPCODE
            });
        };
        if shared.ring.is_cancelled() {
            return Err(fault::CANCELLED);
        }
        let chunk = shared
            .chunks
            .borrow_chunk(args.chunk)
            .ok_or(fault::CHUNK_NOT_LENT)?;
        let [start, len, before, after] =
            [args.start, args.len, args.before, args.after].map(|bytes| bytes as usize);
        let around = || {
            let end = start.checked_add(len)?.checked_add(after)?;
            chunk.get(start.checked_sub(before)?..end)
        };
        let around = around().ok_or(fault::INDEX_OUT_OF_RANGE)?;
        // The own bytes within `around`, which holds `before`, `len` and `after` bytes.
        let bytes = around
            .get(before..before + len)
            .ok_or(fault::INDEX_OUT_OF_RANGE)?;
        let mut records = shared
            .records
            .writer(claimed.index().get())
            .ok_or(fault::INDEX_OUT_OF_RANGE)?;
        let cancelled = || shared.ring.is_cancelled();
        let place = StreamSlot {
            cancel: Cancel::new(&cancelled),
            mode: args.mode,
            offset: args.offset,
            resume: args.resume,
            around,
            before,
        };
        job.run(bytes, &place, &mut records)
    }

    fn finish(&self, claimed: ClaimedSlot<'_>, result: Result<Outcome, u32>) {
        let counters = self.counters;
        let outcome = result.unwrap_or_else(|reason| {
            bump64(&counters.faults);
            Outcome::fault(reason)
        });
        // This comes before the slot completes, so that a thread that sees it complete also sees it counted.
        bump64(&counters.slots);
        if let Some(metric) = counters.metrics.get(claimed.opcode() as usize) {
            bump(metric);
        }
        bump(&counters.fairness[claimed.tenant() as usize % control::TENANT_FAIRNESS_WORDS]);
        if let Some(priority) = counters.priorities.get(claimed.priority() as usize) {
            bump(priority);
        }
        claimed.complete(&outcome);
    }
}
