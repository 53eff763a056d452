//! The host's ends of a live ring: tokens of empty slots, publishing, draining.

use super::{Shared, SlotIndex, Submission};
use crate::backoff::Backoff;
use crate::memory::SharedWords;
use crate::sync::{
    load, lock, store, Arc,
    Ordering::{Acquire, Relaxed, Release},
};
use gristmill_protocol::completion::{self, CompletionEntry, RESULTS};
use gristmill_protocol::opcode::{self, FENCE_ARG_GENERATION, FENCE_ARG_SLOTS};
use gristmill_protocol::slot::{self, SlotImage};
use gristmill_protocol::{
    ready, tails, PipelineError, ARG0_WORD, OPCODE_WORD, SLOT_WORDS, STATUS_WORD,
};
use std::time::Duration;

/// An empty slot that its holder alone may fill. Publishing consumes it; [`Submitter::release`] makes the slot free for
/// others. Dropping it retires the slot. It has no counted pointer to its ring, because the reference count would put a
/// contended cache line on the path of every slot.
#[must_use = "a dropped token retires its slot: publish it, or give it back with `Submitter::release`"]
pub struct SlotToken {
    pub(super) ring: u64,
    pub(super) slot: u32,
}

impl SlotToken {
    /// Which slot.
    pub fn index(&self) -> SlotIndex {
        SlotIndex(self.slot)
    }
}

impl std::fmt::Debug for SlotToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlotToken({})", self.slot)
    }
}

/// The host's publishing end. Clones publish into the same ring.
#[derive(Clone)]
pub struct Submitter {
    pub(super) shared: Arc<Shared>,
}

impl Submitter {
    /// An empty slot, or `None` while all slots are in use. This is the backpressure.
    pub fn try_acquire(&self) -> Option<SlotToken> {
        let slot = lock(&self.shared.host).free.pop()?;
        Some(SlotToken {
            ring: self.shared.id,
            slot,
        })
    }

    /// Makes an acquired slot free again. A token of another ring is not accepted; its slot is retired.
    pub fn release(&self, token: SlotToken) {
        if token.ring == self.shared.id {
            lock(&self.shared.host).free.push(token.slot);
        }
    }

    /// Fills the token's slot and publishes it. In a BATCH_FENCE this function sets
    /// [`FENCE_ARG_SLOTS`] and [`FENCE_ARG_GENERATION`].
    ///
    /// # Errors
    /// The token, with the reason, when it belongs to another ring.
    pub fn publish(
        &self,
        token: SlotToken,
        submission: &Submission,
    ) -> Result<SlotIndex, (SlotToken, PipelineError)> {
        let shared = &*self.shared;
        if token.ring != shared.id {
            return Err((
                token,
                PipelineError::InvalidArgument {
                    what: "a slot token of another ring",
                    fix: "publish with the submitter that the token came from",
                },
            ));
        }
        let slot = token.slot;
        let priority = submission.priority.index();
        let words = shared.slot(slot);
        let image = SlotImage {
            status: slot::PUBLISHED,
            opcode: submission.opcode,
            tenant: submission.tenant,
            priority: submission.priority.word(),
            args: submission.args,
        };
        store(words, &image.encode(), OPCODE_WORD..SLOT_WORDS);

        let mut host = lock(&shared.host);
        let generation = if submission.opcode == opcode::BATCH_FENCE {
            words[ARG0_WORD + FENCE_ARG_SLOTS].store(host.in_generation, Relaxed);
            words[ARG0_WORD + FENCE_ARG_GENERATION].store(host.generation, Relaxed);
            host.in_generation = shared.counters_from;
            host.generation = host.generation.wrapping_add(1);
            host.generation
        } else {
            host.generation
        };
        host.in_generation = host.in_generation.wrapping_add(1);
        host.published += 1;
        host.published_as[slot as usize] = host.published;
        shared.in_flight[slot as usize].store(1, Relaxed);
        let [opcode, tenant] = &shared.published[slot as usize];
        opcode.store(submission.opcode, Relaxed);
        tenant.store(submission.tenant, Relaxed);
        words[STATUS_WORD].store(slot::PUBLISHED, Release);
        let ticket = host.tails[priority];
        shared
            .ready_entry(priority, ticket)
            .store(ready::encode(slot, generation), Relaxed);
        host.tails[priority] = ticket.wrapping_add(1);
        shared.memory.tails[priority].store(ticket.wrapping_add(1), Release);
        drop(host);
        shared.doorbell.notify_one();
        Ok(SlotIndex(slot))
    }

    /// How many slots were published so far.
    pub fn published(&self) -> u64 {
        lock(&self.shared.host).published
    }

    /// Whether the first `published` publications have all completed. If so, nothing that they used is in use any more.
    pub fn is_done(&self, published: u64) -> bool {
        let host = lock(&self.shared.host);
        (0..).zip(&host.published_as).all(|(slot, number)| {
            let status = self.shared.slot(slot)[STATUS_WORD].load(Acquire);
            *number > published || matches!(status, slot::EMPTY | slot::DONE | slot::FAULT)
        })
    }

    /// The control words and observables.
    pub fn control(&self) -> &SharedWords {
        &self.shared.memory.control
    }

    /// The debug log's words.
    pub fn debug_log(&self) -> &SharedWords {
        &self.shared.memory.debug
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.shared.slots
    }

    /// Makes running slots end at once, and published slots end before they begin. This also holds for slots that are
    /// published later. Slots of opcodes that take long (programs, stream opcodes) complete as FAULT with
    /// [`CANCELLED`](gristmill_protocol::fault::CANCELLED).
    pub fn cancel(&self) {
        self.shared.memory.tails[tails::CANCELLED].store(1, Release);
        self.wake_workers();
    }

    /// The error for invalid data that the device has written: see [`Completions::failure`].
    pub fn failure(&self) -> Option<PipelineError> {
        self.shared.broken.get().cloned()
    }

    /// Wakes a worker that sleeps, if there is one, where the work that has come is one worker's.
    pub fn wake_worker(&self) {
        self.shared.doorbell.notify_one();
    }

    /// Wakes every worker that sleeps, for instance after SHUTDOWN was set.
    pub fn wake_workers(&self) {
        self.shared.doorbell.notify_all();
    }

    /// The current STATUS of a slot, for reports; `None` if there is no such slot.
    pub fn status(&self, index: u32) -> Option<u32> {
        (index < self.shared.slots).then(|| self.shared.slot(index)[STATUS_WORD].load(Acquire))
    }
}

impl std::fmt::Debug for Submitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Submitter({} slots)", self.shared.slots)
    }
}

/// A finished slot, with its token for the next publication.
#[derive(Debug)]
pub struct Completion {
    /// The slot, empty again.
    pub token: SlotToken,
    /// [`slot::DONE`] or [`slot::FAULT`].
    pub status: u32,
    /// [`NONE`](gristmill_protocol::fault::NONE), or the reason in the low half and a detail in the high half.
    pub fault: u32,
    /// Result words.
    pub results: [u32; RESULTS],
    /// Records in the slot's area.
    pub records: u32,
    /// Flags, such as [`completion::FLAG_OVERFLOW`].
    pub flags: u32,
}

/// The host's draining end: reads the completion ring in order, by sequence number.
pub struct Completions {
    pub(super) shared: Arc<Shared>,
    pub(super) cursor: u32,
    /// Records that a slot's area holds.
    pub(super) most_records: u32,
}

impl Completions {
    /// Sets the number of records that a slot's area holds. A completion that reports more records breaks the ring.
    #[must_use]
    pub fn with_most_records(mut self, most: u32) -> Self {
        self.most_records = most;
        self
    }

    /// The error after which there are no further completions. It is set when the device has written an invalid
    /// completion: for a slot that does not exist or is not in flight, with a status that does not end a slot, or with
    /// more records than the slot's area holds. From then on the device is not trusted in anything, and the caller
    /// should end the kernel.
    pub fn failure(&self) -> Option<PipelineError> {
        self.shared.broken.get().cloned()
    }

    /// Takes the slot of a completion entry out of flight.
    ///
    /// # Errors
    /// What is wrong with the entry.
    fn check(&self, slot: u32, status: u32, records: u32) -> Result<(), PipelineError> {
        let broken = |what: String| {
            PipelineError::Backend(format!(
                "the device completed {what}: its memory or its driver is broken, and nothing that it says is used \
                 any more; run again, or with another back end"
            ))
        };
        let slots = self.shared.slots;
        let Some(in_flight) = self.shared.in_flight.get(slot as usize) else {
            return Err(broken(format!("slot {slot} of a ring of {slots} slots")));
        };
        if in_flight.load(Relaxed) == 0 {
            return Err(broken(format!("slot {slot}, which is not in flight")));
        }
        if !matches!(status, slot::DONE | slot::FAULT) {
            return Err(broken(format!("slot {slot} with the status {status}")));
        }
        if records > self.most_records {
            return Err(broken(format!(
                "slot {slot} with {records} records, and there is room for {}",
                self.most_records
            )));
        }
        // Relaxed order is enough: the publisher set this before it published the slot, so before this entry was
        // written. The next publisher sets it again, and it needs the token that is made here.
        in_flight.store(0, Relaxed);
        Ok(())
    }

    /// Whether an entry is there to be read.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.shared.broken.get().is_none()
            && self.shared.entry(self.cursor)[completion::SEQ].load(Acquire)
                == self.cursor.wrapping_add(1)
    }

    /// The next completion. `None` if there is none yet, or if the ring is broken ([`failure`](Self::failure)). Never
    /// blocks.
    // Not an `Iterator`: `None` here means "not yet".
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Option<Completion> {
        if !self.is_ready() {
            self.shared.cancel_unserved();
            return None;
        }
        let words = load(
            self.shared.entry(self.cursor),
            completion::SLOT..completion::SPARE,
        );
        let CompletionEntry {
            slot,
            status,
            fault,
            results,
            records,
            flags,
            ..
        } = CompletionEntry::decode(&words);
        if let Err(error) = self.check(slot, status, records) {
            let _only_reader = self.shared.broken.set(error);
            return None;
        }
        if self.shared.io_slots != 0 {
            self.shared.note_tenant(slot);
        }
        let done = Completion {
            token: SlotToken {
                ring: self.shared.id,
                slot,
            },
            status,
            fault,
            results,
            records,
            flags,
        };
        self.cursor = self.cursor.wrapping_add(1);
        Some(done)
    }

    /// Sleeps until a completion may be there, or until `timeout`. May return early.
    pub fn wait(&self, timeout: Duration) {
        let ready = || self.is_ready() || self.shared.cancel_unserved();
        if self.shared.silent {
            Backoff::DEVICE.sleep_until(timeout, ready);
        } else {
            self.shared.completed.wait(timeout, ready);
        }
    }
}

impl std::fmt::Debug for Completions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Completions(at {})", self.cursor)
    }
}
