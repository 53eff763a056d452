//! What a worker thread does: claim, run, complete, and in between feed.

use crate::backend::{Feed, Feeder, FeederFactory, Lease};
use crate::opcode::{self as core, Reach};
use crate::programs::{Machines, ProgramTable};
use crate::stream::{Cancel, StreamJob, StreamSlot};
use gristmill_protocol::opcode::LoadArgs;
use gristmill_protocol::program::ProgramArgs;
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{control, fault, opcode, priority, slot, CONTROL_MIN_WORDS};
use gristmill_ring::{
    lock, ChunkMemory, ClaimedSlot, Claimer, DeviceRing, Outcome, ParkedSlot, PendingIo,
    RecordMemory,
};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Polls that only hint at the processor; later ones give the core away.
const SPINS: u32 = 200;

/// How long a worker sleeps before it looks around without having been woken.
const SLEEP: Duration = Duration::from_millis(100);

/// Slots between two mirrorings of a busy worker's counters.
const MIRROR_SLOTS: u64 = 256;

const TENANTS: usize = control::TENANT_QUOTA_WORDS;

/// Counters of one worker: written by it alone, so without read-modify-write, and read by anybody.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Counters {
    pub slots: AtomicU64,
    pub faults: AtomicU64,
    pub leases: AtomicU64,
    pub relaunches: AtomicU64,
    pub parked: AtomicU64,
    metrics: [AtomicU32; control::METRIC_WORDS],
    fairness: [AtomicU32; control::TENANT_FAIRNESS_WORDS],
    priorities: [AtomicU32; priority::COUNT],
}

fn bump(counter: &AtomicU32) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

fn bump64(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// A LOAD_MISS that waits for its bytes.
pub(super) struct Loading {
    pending: PendingIo,
    parked: ParkedSlot,
    /// Whether it counts against its tenant's quota.
    counted: bool,
}

/// What the workers of a kernel share.
pub(super) struct Shared {
    pub ring: DeviceRing,
    pub chunks: Arc<ChunkMemory>,
    pub records: RecordMemory,
    pub jobs: Vec<StreamJob>,
    pub programs: ProgramTable,
    pub lease: Lease,
    pub tenants: u32,
    /// By tenant: slots being run.
    pub running: [AtomicU32; TENANTS],
    /// Slots put aside: fences that wait, tenants over their quota, LOAD_MISSes that find the IO queue full.
    pub parked: Mutex<Vec<ParkedSlot>>,
    pub parked_len: AtomicU32,
    /// LOAD_MISSes that wait for their bytes.
    pub loading: Mutex<Vec<Loading>>,
    pub loading_len: AtomicU32,
    pub epoch: AtomicU32,
    pub counters: Vec<Counters>,
    pub mirror: Mutex<()>,
}

impl Shared {
    fn shutting_down(&self) -> bool {
        self.ring.control()[control::SHUTDOWN].load(Ordering::Acquire) != 0
    }

    /// Copies the counters into the control words, unless somebody else is at it.
    fn mirror_if_free(&self) {
        if let Ok(turn) = self.mirror.try_lock() {
            self.mirror_in_turn(&turn);
        }
    }

    /// Copies the counters into the control words.
    pub fn mirror(&self) {
        self.mirror_in_turn(&lock(&self.mirror));
    }

    /// One at a time, so that plain stores do and no counter goes back.
    fn mirror_in_turn(&self, _turn: &MutexGuard<'_, ()>) {
        let words = self.ring.control();
        let sum = |pick: &dyn Fn(&Counters) -> u32| {
            self.counters.iter().map(pick).fold(0, u32::wrapping_add)
        };
        // The low half: the word wraps, as every counter of the protocol does.
        let done = sum(&|counters| (counters.slots.load(Ordering::Relaxed) & 0xFFFF_FFFF) as u32);
        words[control::DONE_COUNT].store(done, Ordering::Release);
        words[control::EPOCH].store(self.epoch.load(Ordering::Acquire), Ordering::Release);
        for index in 0..control::METRIC_WORDS {
            words[control::METRICS + index].store(
                sum(&|counters| counters.metrics[index].load(Ordering::Relaxed)),
                Ordering::Relaxed,
            );
        }
        for index in 0..control::TENANT_FAIRNESS_WORDS {
            words[control::TENANT_FAIRNESS + index].store(
                sum(&|counters| counters.fairness[index].load(Ordering::Relaxed)),
                Ordering::Relaxed,
            );
        }
        for index in 0..control::PRIORITY_FAIRNESS_WORDS {
            words[control::PRIORITY_FAIRNESS + index].store(
                sum(&|counters| counters.priorities[index].load(Ordering::Relaxed)),
                Ordering::Relaxed,
            );
        }
        words[control::PRIORITY_STARVATION].store(self.ring.aged_claims(), Ordering::Relaxed);
    }

    /// Completes as faults whatever is still parked.
    pub fn drop_parked(&self) {
        let parked = std::mem::take(&mut *lock(&self.parked));
        self.parked_len.store(0, Ordering::Relaxed);
        drop(parked);
        let loading = std::mem::take(&mut *lock(&self.loading));
        self.loading_len.store(0, Ordering::Relaxed);
        drop(loading);
    }

    fn park(&self, claimed: ClaimedSlot<'_>, counters: &Counters) {
        bump64(&counters.parked);
        let parked = claimed.park(slot::REQUEUE);
        let mut list = lock(&self.parked);
        list.push(parked);
        self.parked_len
            .store(len_u32(list.len()), Ordering::Release);
    }

    /// A parked slot that can go on now.
    fn unpark(&self) -> Option<ClaimedSlot<'_>> {
        if self.parked_len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut list = lock(&self.parked);
        let ready = list.iter().position(|parked| self.can_go_on(parked))?;
        let parked = list.remove(ready);
        self.parked_len
            .store(len_u32(list.len()), Ordering::Release);
        drop(list);
        parked.resume(&self.ring).ok()
    }

    fn can_go_on(&self, parked: &ParkedSlot) -> bool {
        let asks = parked.opcode() == opcode::LOAD_MISS && self.ring.io_slots() != 0;
        parked.fence_ready() && self.has_room(parked.tenant()) && (!asks || self.ring.can_ask())
    }

    /// A LOAD_MISS whose request has ended.
    fn loaded(&self) -> Option<(ParkedSlot, Result<u32, u32>, bool)> {
        if self.loading_len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut list = lock(&self.loading);
        let outcome =
            |(index, loading): (usize, &Loading)| Some((index, loading.pending.outcome()?));
        let (index, outcome) = list.iter().enumerate().find_map(outcome)?;
        let ended = list.remove(index);
        self.loading_len
            .store(len_u32(list.len()), Ordering::Release);
        Some((ended.parked, outcome, ended.counted))
    }

    /// Whether a slot that was put aside can go on now.
    fn can_resume(&self) -> bool {
        let loaded = || {
            lock(&self.loading)
                .iter()
                .any(|loading| loading.pending.outcome().is_some())
        };
        let parked = || {
            lock(&self.parked)
                .iter()
                .any(|parked| self.can_go_on(parked))
        };
        self.loading_len.load(Ordering::Acquire) != 0 && loaded()
            || self.parked_len.load(Ordering::Acquire) != 0 && parked()
    }

    /// A slot of the tenant is being run no more.
    fn leave(&self, tenant: u32) {
        if let Some(running) = self.running.get(tenant as usize) {
            running.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn quota(&self, tenant: u32) -> u32 {
        self.ring
            .control()
            .get(control::TENANT_QUOTAS + tenant as usize)
            .map_or(0, |quota| quota.load(Ordering::Relaxed))
    }

    /// Whether a slot of the tenant need not wait: it may run, or is to be refused.
    fn has_room(&self, tenant: u32) -> bool {
        if tenant as usize >= control::TENANT_MASK_WORDS {
            return true;
        }
        let quota = self.quota(tenant);
        quota == 0
            || self
                .running
                .get(tenant as usize)
                .is_some_and(|running| running.load(Ordering::Relaxed) < quota)
    }
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// How a lease ended.
enum Left {
    /// There was nothing to do for too long.
    Idle,
    /// The lease's slots were run.
    Spent,
    Shutdown,
}

/// The thread of one worker: lease after lease, asleep in between where there is nothing to do.
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
                    || worker.feeder.is_some() && shared.ring.has_work()
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
                // A feeder that is idle has looked everywhere: what there is to wait for rings the doorbell.
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
        // A feeder that panics is dropped, which is where it tells whoever waits for it.
        catch_unwind(AssertUnwindSafe(|| feeder.feed())).unwrap_or(Feed::Finished)
    }

    /// Completes a LOAD_MISS whose request has ended; says whether there was one.
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

    /// Runs the next slot; says whether there was one.
    fn run_next(&mut self) -> bool {
        let shared = self.shared;
        let claimed = shared
            .unpark()
            .or_else(|| shared.ring.claim(&mut self.claimer));
        claimed.map(|claimed| self.run(claimed)).is_some()
    }

    fn run(&mut self, claimed: ClaimedSlot<'_>) {
        let shared = self.shared;
        // Before anything refuses it: the fence behind this one counts on it having waited.
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
        // A quota of at least all slots binds nothing, and counting would contend for one line on every slot.
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

    /// LOAD_MISS: asks the host, and puts the slot aside until there is an answer, or room to ask. `counted` says
    /// whether the slot counts against its tenant's quota, as it then does until its bytes are there.
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
            Some(_nobody_waits) => Some(Ok(Outcome::default())),
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
        let reach = Reach {
            ring: &shared.ring,
            window: self.window(claimed.tenant())?,
            slot: claimed.index().get(),
            tenant: claimed.tenant(),
            programs: &shared.programs,
        };
        if let Some(result) = core::run(number, &reach, claimed.args()) {
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
        // A tenant that was opened later than at launch has no share.
        if tenant >= self.shared.tenants {
            return Ok(&[]);
        }
        let each = all.len() / self.shared.tenants as usize;
        let start = each * tenant as usize;
        Ok(all.get(start..start + each).unwrap_or(&[]))
    }

    /// A program of the tenant's over a chunk.
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
        // Within `around`, which is of `before`, `len` and `after` bytes.
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
        // Before the slot is complete: whoever sees it complete sees it counted.
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
