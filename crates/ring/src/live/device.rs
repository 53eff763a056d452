//! The device's end of a live ring: claiming, parking, completing.

use super::{Outcome, Shared, SlotIndex, AGEING_CLAIMS};
use crate::memory::SharedWords;
use crate::sync::{
    load, lock, store, Arc,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use gristmill_protocol::completion::{self, CompletionEntry};
use gristmill_protocol::debug::{self, DebugRecord};
use gristmill_protocol::opcode::{self, FenceArgs};
use gristmill_protocol::priority::COUNT as PRIORITIES;
use gristmill_protocol::slot::{self, SlotImage};
use gristmill_protocol::{
    fault, ready, PipelineError, ARGS_PER_SLOT, OPCODE_WORD, SLOT_WORDS, STATUS_WORD,
};
use std::time::Duration;

/// The state that one worker needs for claiming. Each worker has its own.
#[derive(Debug, Default)]
pub struct Claimer {
    /// Slots that this worker has claimed.
    pub claimed: u64,
}

/// The device's end. Clones claim from the same ring.
#[derive(Clone)]
pub struct DeviceRing {
    pub(super) shared: Arc<Shared>,
}

impl DeviceRing {
    /// Takes the next slot, by priority with ageing. `None` if no slot is ready.
    #[inline]
    pub fn claim(&self, claimer: &mut Claimer) -> Option<ClaimedSlot<'_>> {
        let shared = &*self.shared;
        let mut aged = None;
        for priority in 1..PRIORITIES {
            if shared.ages[priority].load(Relaxed) >= AGEING_CLAIMS && shared.waiting(priority) {
                aged = Some(priority);
                break;
            }
        }
        let order = aged.into_iter().chain(0..PRIORITIES);
        for priority in order {
            if let Some((entry, ticket)) = self.take(priority) {
                if aged == Some(priority) {
                    shared.aged_claims.fetch_add(1, Relaxed);
                }
                if priority > 0 {
                    shared.ages[priority].store(0, Relaxed);
                }
                for lower in priority + 1..PRIORITIES {
                    if shared.waiting(lower) {
                        shared.ages[lower].fetch_add(1, Relaxed);
                    }
                }
                claimer.claimed += 1;
                return Some(self.claimed(entry, ticket));
            }
        }
        None
    }

    /// Takes one ticket of one priority.
    fn take(&self, priority: usize) -> Option<(u32, u32)> {
        let shared = &*self.shared;
        // Acquire order guarantees that the tail loaded below is at least as new as the tail that was seen when the
        // head moved here.
        let mut ticket = shared.heads[priority].load(Acquire);
        loop {
            if ticket == shared.memory.tails[priority].load(Acquire) {
                return None;
            }
            let entry = shared.ready_entry(priority, ticket).load(Relaxed);
            match shared.heads[priority].compare_exchange_weak(
                ticket,
                ticket.wrapping_add(1),
                AcqRel,
                Acquire,
            ) {
                Ok(_) => return Some((entry, ticket)),
                Err(now) => ticket = now,
            }
        }
    }

    fn claimed(&self, entry: u32, ticket: u32) -> ClaimedSlot<'_> {
        let shared = &*self.shared;
        let (slot, generation) = ready::decode(entry, shared.slots);
        let words = shared.slot(slot);
        let claim = Claim {
            slot,
            ticket,
            generation,
            words: SlotImage::decode(&load(words, OPCODE_WORD..SLOT_WORDS)),
        };
        words[STATUS_WORD].store(slot::CLAIMED, Relaxed);
        ClaimedSlot {
            claim,
            ring: Some(self),
        }
    }

    /// Whether every slot that was published before this BATCH_FENCE has finished. For any other opcode this is true.
    pub fn fence_ready(&self, claimed: &ClaimedSlot<'_>) -> bool {
        self.fence_reached(&claimed.claim.words)
    }

    fn fence_reached(&self, words: &SlotImage) -> bool {
        if words.opcode != opcode::BATCH_FENCE {
            return true;
        }
        let fence = FenceArgs::decode(&words.args);
        // Both counters wrap, and at most all slots are unfinished, so the difference of the two shows which one is
        // ahead.
        let finished = self.shared.finished_of(fence.generation).load(Acquire);
        finished.wrapping_sub(fence.slots) < 1 << 31
    }

    /// Whether any slot waits to be claimed.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.shared.has_work()
    }

    /// Sleeps until a slot is published, the workers are woken, or `timeout` has passed. May return early.
    pub fn sleep(&self, timeout: Duration, also: impl Fn() -> bool) {
        self.shared
            .doorbell
            .wait(timeout, || self.has_work() || also());
    }

    /// The cache line through which the host notifies a device: see [`tails`](gristmill_protocol::tails).
    pub fn tails(&self) -> &SharedWords {
        &self.shared.memory.tails
    }

    /// Sleeps until a slot is published, the workers are woken, or `timeout` has passed, unless `ready` holds. May
    /// return early. This is for the launcher of a device that claims slots by itself, because the host does not know
    /// what such a device has claimed.
    pub fn sleep_unless(&self, timeout: Duration, ready: impl Fn() -> bool) {
        self.shared.doorbell.wait(timeout, ready);
    }

    /// Whether running slots must end at once, and claimed slots must end before they begin: see [`Submitter::cancel`].
    ///
    /// [`Submitter::cancel`]: super::Submitter::cancel
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled()
    }

    /// The error for invalid data that the device has written: see [`Completions::failure`].
    ///
    /// [`Completions::failure`]: super::Completions::failure
    pub fn failure(&self) -> Option<PipelineError> {
        self.shared.broken.get().cloned()
    }

    /// Wakes every sleeping worker.
    pub fn wake_workers(&self) {
        self.shared.doorbell.notify_all();
    }

    /// The control words and observables.
    pub fn control(&self) -> &SharedWords {
        &self.shared.memory.control
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.shared.slots
    }

    /// Claims that went to a lower priority because it had waited long enough.
    pub fn aged_claims(&self) -> u32 {
        self.shared.aged_claims.load(Relaxed)
    }

    /// Appends a record to the debug log. Returns false if the log was full; the record is then dropped and counted.
    pub fn log(&self, record: &DebugRecord) -> bool {
        let shared = &*self.shared;
        let mut cursor = lock(&shared.debug_lock);
        let at = *cursor;
        let fits = at < shared.debug_records;
        if fits {
            let (records, _) = shared.memory.debug[debug::RECORDS..].as_chunks();
            store(
                &records[at as usize],
                &record.encode(),
                0..debug::RECORD_WORDS,
            );
        }
        *cursor = at.saturating_add(1);
        shared.memory.debug[debug::CURSOR].store(*cursor, Release);
        fits
    }

    /// Finishes a claimed slot: results, status, completion entry, sequence number last.
    #[inline]
    fn finish(&self, claim: &Claim, outcome: &Outcome) {
        let shared = &*self.shared;
        let status = if outcome.fault == fault::NONE {
            slot::DONE
        } else {
            slot::FAULT
        };
        shared.slot(claim.slot)[STATUS_WORD].store(status, Release);
        let ticket = shared.completion_ticket[0].fetch_add(1, Relaxed);
        let words = shared.entry(ticket);
        let entry = CompletionEntry {
            seq: ticket.wrapping_add(1),
            slot: claim.slot,
            status,
            fault: outcome.fault,
            results: outcome.results,
            records: outcome.records,
            flags: outcome.flags,
        };
        store(words, &entry.encode(), completion::SLOT..completion::SPARE);
        words[completion::SEQ].store(entry.seq, Release);
        if claim.words.opcode == opcode::BATCH_FENCE {
            shared
                .finished_of(FenceArgs::decode(&claim.words.args).generation)
                .store(shared.counters_from, Relaxed);
        }
        // Must come after the ticket was taken: then a fence that waited for this slot takes a later ticket, and the
        // host sees the fence later.
        shared.finished_of(claim.generation).fetch_add(1, AcqRel);
        shared.completed.notify_all();
    }
}

impl std::fmt::Debug for DeviceRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceRing({} slots)", self.shared.slots)
    }
}

/// A slot as a worker took it.
#[derive(Clone, Copy)]
struct Claim {
    slot: u32,
    /// Its place in its priority's order of publication.
    ticket: u32,
    generation: u32,
    /// The words of the host's submission, without STATUS.
    words: SlotImage,
}

/// A slot that one worker owns. Completing consumes it. Dropping it unfinished, as when a worker panics, completes it
/// as FAULT with [`fault::WORKER_PANICKED`], so that no slot is ever lost.
#[must_use = "a claimed slot that is dropped is completed as a fault"]
pub struct ClaimedSlot<'r> {
    claim: Claim,
    ring: Option<&'r DeviceRing>,
}

impl ClaimedSlot<'_> {
    /// Which slot.
    pub fn index(&self) -> SlotIndex {
        SlotIndex(self.claim.slot)
    }

    /// Its place in its priority's order of publication.
    pub fn ticket(&self) -> u32 {
        self.claim.ticket
    }

    /// The opcode.
    pub fn opcode(&self) -> u32 {
        self.claim.words.opcode
    }

    /// The tenant.
    pub fn tenant(&self) -> u32 {
        self.claim.words.tenant
    }

    /// The priority's number.
    pub fn priority(&self) -> u32 {
        self.claim.words.priority
    }

    /// The argument words.
    pub fn args(&self) -> &[u32; ARGS_PER_SLOT] {
        &self.claim.words.args
    }

    /// Stores an intermediate status (WAIT_IO, YIELD, REQUEUE) for the time that the slot is parked.
    pub fn set_status(&self, status: u32) {
        if let Some(ring) = self.ring {
            ring.shared.slot(self.claim.slot)[STATUS_WORD].store(status, Relaxed);
        }
    }

    /// Finishes the slot: results, status, completion entry, sequence number last.
    #[inline]
    pub fn complete(mut self, outcome: &Outcome) {
        if let Some(ring) = self.ring.take() {
            ring.finish(&self.claim, outcome);
        }
    }

    /// Puts the slot aside, unfinished, until it is resumed. Examples are a fence that must wait, and a slot whose
    /// tenant is over its quota. `status` (WAIT_IO, YIELD, REQUEUE) is the slot's status meanwhile.
    pub fn park(mut self, status: u32) -> ParkedSlot {
        self.set_status(status);
        ParkedSlot {
            ring: self.ring.take().cloned(),
            claim: self.claim,
        }
    }
}

impl Drop for ClaimedSlot<'_> {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.take() {
            ring.finish(&self.claim, &Outcome::fault(fault::WORKER_PANICKED));
        }
    }
}

impl std::fmt::Debug for ClaimedSlot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ClaimedSlot({}, opcode {:#x})",
            self.claim.slot, self.claim.words.opcode
        )
    }
}

/// A claimed slot that was put aside. Dropping it completes it as FAULT, as dropping a [`ClaimedSlot`] does.
#[must_use = "a parked slot that is dropped is completed as a fault"]
pub struct ParkedSlot {
    claim: Claim,
    ring: Option<DeviceRing>,
}

impl ParkedSlot {
    /// The tenant.
    pub fn tenant(&self) -> u32 {
        self.claim.words.tenant
    }

    /// The opcode.
    pub fn opcode(&self) -> u32 {
        self.claim.words.opcode
    }

    /// Whether this is a BATCH_FENCE that may complete now; true for every other opcode.
    pub fn fence_ready(&self) -> bool {
        self.ring
            .as_ref()
            .is_none_or(|ring| ring.fence_reached(&self.claim.words))
    }

    /// Turns this back into a claimed slot, on a worker of the same ring.
    ///
    /// # Errors
    /// The parked slot, when `ring` is another ring.
    pub fn resume(mut self, ring: &DeviceRing) -> Result<ClaimedSlot<'_>, ParkedSlot> {
        let same = self
            .ring
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(&own.shared, &ring.shared));
        if !same {
            return Err(self);
        }
        self.ring = None;
        ring.shared.slot(self.claim.slot)[STATUS_WORD].store(slot::CLAIMED, Relaxed);
        Ok(ClaimedSlot {
            claim: self.claim,
            ring: Some(ring),
        })
    }
}

impl Drop for ParkedSlot {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.take() {
            ring.finish(&self.claim, &Outcome::fault(fault::WORKER_PANICKED));
        }
    }
}

impl std::fmt::Debug for ParkedSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ParkedSlot({}, opcode {:#x})",
            self.claim.slot, self.claim.words.opcode
        )
    }
}
