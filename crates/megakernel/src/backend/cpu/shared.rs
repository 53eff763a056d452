//! State that the workers of a kernel share: counters, parked slots, and tenants' quotas.

use crate::backend::Lease;
use crate::programs::ProgramTable;
use crate::stream::StreamJob;
use gristmill_protocol::{control, opcode, priority, slot};
use gristmill_ring::{
    lock, ChunkMemory, ClaimedSlot, DeviceRing, ParkedSlot, PendingIo, RecordMemory,
};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

const TENANTS: usize = control::TENANT_QUOTA_WORDS;

/// Counters of one worker. Only that worker writes them, so no read-modify-write is needed; all threads read them.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Counters {
    pub slots: AtomicU64,
    pub faults: AtomicU64,
    pub leases: AtomicU64,
    pub relaunches: AtomicU64,
    pub parked: AtomicU64,
    pub metrics: [AtomicU32; control::METRIC_WORDS],
    pub fairness: [AtomicU32; control::TENANT_FAIRNESS_WORDS],
    pub priorities: [AtomicU32; priority::COUNT],
}

pub(super) fn bump(counter: &AtomicU32) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

pub(super) fn bump64(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// A LOAD_MISS that is waiting for its bytes.
pub(super) struct Loading {
    pub pending: PendingIo,
    pub parked: ParkedSlot,
    /// Whether the slot counts against its tenant's quota.
    pub counted: bool,
}

/// State that the workers of a kernel share.
pub(super) struct Shared {
    pub ring: DeviceRing,
    pub chunks: Arc<ChunkMemory>,
    pub records: RecordMemory,
    pub jobs: Vec<StreamJob>,
    pub programs: ProgramTable,
    pub lease: Lease,
    pub tenants: u32,
    /// For each tenant, the number of its slots that are running.
    pub running: [AtomicU32; TENANTS],
    /// Parked slots: fences that wait, slots of tenants over their quota, and LOAD_MISSes that found the IO queue full.
    pub parked: Mutex<Vec<ParkedSlot>>,
    pub parked_len: AtomicU32,
    /// LOAD_MISSes that are waiting for their bytes.
    pub loading: Mutex<Vec<Loading>>,
    pub loading_len: AtomicU32,
    pub epoch: AtomicU32,
    pub counters: Vec<Counters>,
    pub mirror: Mutex<()>,
}

impl Shared {
    pub fn shutting_down(&self) -> bool {
        self.ring.control()[control::SHUTDOWN].load(Ordering::Acquire) != 0
    }

    /// Copies the counters into the control words, unless another thread is doing so.
    pub fn mirror_if_free(&self) {
        if let Ok(turn) = self.mirror.try_lock() {
            self.mirror_in_turn(&turn);
        }
    }

    /// Copies the counters into the control words.
    pub fn mirror(&self) {
        self.mirror_in_turn(&lock(&self.mirror));
    }

    /// Does the copying, one thread at a time, so that plain stores suffice and no counter goes backwards.
    fn mirror_in_turn(&self, _turn: &MutexGuard<'_, ()>) {
        let words = self.ring.control();
        let sum = |pick: &dyn Fn(&Counters) -> u32| {
            self.counters.iter().map(pick).fold(0, u32::wrapping_add)
        };
        // Only the low half: this word wraps, as every counter of the protocol does.
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

    /// Completes all parked slots as faults.
    pub fn drop_parked(&self) {
        let parked = std::mem::take(&mut *lock(&self.parked));
        self.parked_len.store(0, Ordering::Relaxed);
        drop(parked);
        let loading = std::mem::take(&mut *lock(&self.loading));
        self.loading_len.store(0, Ordering::Relaxed);
        drop(loading);
    }

    pub fn park(&self, claimed: ClaimedSlot<'_>, counters: &Counters) {
        bump64(&counters.parked);
        let parked = claimed.park(slot::REQUEUE);
        let mut list = lock(&self.parked);
        list.push(parked);
        self.parked_len
            .store(len_u32(list.len()), Ordering::Release);
    }

    /// Takes a parked slot that can continue now.
    pub fn unpark(&self) -> Option<ClaimedSlot<'_>> {
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

    /// Takes a LOAD_MISS whose request has ended. Returns the slot, the result, and whether the slot counts against its
    /// tenant's quota.
    pub fn loaded(&self) -> Option<(ParkedSlot, Result<u32, u32>, bool)> {
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

    /// Whether a parked slot can continue now.
    pub fn can_resume(&self) -> bool {
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

    /// Records that a slot of the tenant has stopped running.
    pub fn leave(&self, tenant: u32) {
        if let Some(running) = self.running.get(tenant as usize) {
            running.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub fn quota(&self, tenant: u32) -> u32 {
        self.ring
            .control()
            .get(control::TENANT_QUOTAS + tenant as usize)
            .map_or(0, |quota| quota.load(Ordering::Relaxed))
    }

    /// Whether a slot of the tenant can go ahead without waiting for the quota, either to run or to be refused.
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

pub(super) fn len_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
