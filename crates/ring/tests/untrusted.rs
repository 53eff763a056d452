//! The host does not trust what a broken device writes.

#![cfg(not(loom))]

use gristmill_protocol::io::IoRequest;
use gristmill_protocol::{completion, opcode, slot, OPCODE_WORD, SLOT_WORDS, TENANT_WORD};
use gristmill_ring::{
    live_ring_over, Completions, DeviceRing, RingConfig, RingMemory, SharedWords, Submission,
    Submitter,
};
use std::sync::atomic::Ordering::{Relaxed, Release};

const SLOTS: u32 = 4;

/// A ring, and the completion entries as a device sees them.
struct World {
    submitter: Submitter,
    completions: Completions,
    entries: SharedWords,
    /// Completions written so far.
    written: u32,
}

/// A ring, and the parts of its memory, which the test writes as a device would.
fn ring_of(config: RingConfig) -> (Vec<SharedWords>, Submitter, Completions, DeviceRing) {
    let mut parts = Vec::new();
    let memory = RingMemory::new(&config, |len| {
        let words = SharedWords::map(len)?;
        parts.push(words.clone());
        Ok(words)
    });
    let (submitter, completions, device) = live_ring_over(config, memory.unwrap()).unwrap();
    (parts, submitter, completions, device)
}

impl World {
    fn new() -> Self {
        let config = RingConfig {
            slots: SLOTS,
            ..RingConfig::default()
        };
        let (mut parts, submitter, completions, _device) = ring_of(config);
        Self {
            submitter,
            completions: completions.with_most_records(8),
            entries: parts.swap_remove(3),
            written: 0,
        }
    }

    fn publish(&self) -> u32 {
        let token = self.submitter.try_acquire().unwrap();
        let submission = Submission::new(opcode::NOP, &[]);
        self.submitter.publish(token, &submission).unwrap().get()
    }

    /// Writes a completion, as a device would.
    fn complete(&mut self, slot: u32, status: u32, records: u32) {
        let entry = (self.written % SLOTS) as usize * completion::WORDS;
        let word = |word: usize| &self.entries[entry + word];
        word(completion::SLOT).store(slot, Relaxed);
        word(completion::STATUS).store(status, Relaxed);
        word(completion::RECORDS).store(records, Relaxed);
        self.written += 1;
        word(completion::SEQ).store(self.written, Release);
    }

    /// Asserts that the ring is broken for this reason, and returns no more completions, not even a valid one.
    fn breaks(mut self, why: &str) {
        assert!(self.completions.next().is_none(), "{why}");
        let right = self.publish();
        let error = self.completions.failure().expect(why).to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(
            self.submitter.failure().map(|error| error.to_string()),
            Some(error)
        );
        self.complete(right, slot::DONE, 0);
        assert!(self.completions.next().is_none(), "{why}");
    }
}

#[test]
fn a_completion_of_no_slot_breaks_the_ring() {
    for bad in [SLOTS, SLOTS + 1, 0xFFFF, 1 << 31, u32::MAX] {
        let mut world = World::new();
        world.publish();
        world.complete(bad, slot::DONE, 0);
        world.breaks(&format!("slot {bad} of a ring of 4 slots"));
    }
}

#[test]
fn a_slot_that_completes_twice_gives_one_token() {
    let mut world = World::new();
    let slot = world.publish();
    world.complete(slot, slot::DONE, 0);
    world.complete(slot, slot::DONE, 0);
    let done = world.completions.next().unwrap();
    assert_eq!(done.token.index().get(), slot);
    world.breaks("which is not in flight");
}

#[test]
fn a_slot_that_was_never_published_gives_no_token() {
    for slot in 1..SLOTS {
        let mut world = World::new();
        assert_eq!(world.publish(), 0);
        world.complete(slot, slot::DONE, 0);
        world.breaks("which is not in flight");
    }
}

#[test]
fn a_slot_may_complete_once_for_each_publication() {
    let mut world = World::new();
    for _ in 0..3 * SLOTS {
        let slot = world.publish();
        world.complete(slot, slot::FAULT, 8);
        let done = world.completions.next().unwrap();
        world.submitter.release(done.token);
    }
    assert!(world.completions.failure().is_none());
}

#[test]
fn a_status_that_ends_no_slot_and_records_beyond_the_area_break_the_ring() {
    for status in [slot::EMPTY, slot::PUBLISHED, slot::CLAIMED, 8, u32::MAX] {
        let mut world = World::new();
        let slot = world.publish();
        world.complete(slot, status, 0);
        world.breaks(&format!("with the status {status}"));
    }
    for records in [9, u32::MAX] {
        let mut world = World::new();
        let slot = world.publish();
        world.complete(slot, slot::DONE, records);
        world.breaks(&format!("with {records} records"));
    }
}

#[test]
fn a_request_is_its_slots_tenants_whatever_the_device_writes_into_the_slot() {
    let config = RingConfig {
        slots: SLOTS,
        tenants: 4,
        io_slots: 2,
        ..RingConfig::default()
    };
    let (parts, submitter, _completions, device) = ring_of(config);
    let mut queue = submitter.take_io_queue().unwrap();
    let token = submitter.try_acquire().unwrap();
    let submission = Submission {
        tenant: 2,
        ..Submission::new(opcode::LOAD_MISS, &[])
    };
    let slot = submitter.publish(token, &submission).unwrap().get();
    // The slot's own words, first of all parts.
    let words = &parts[0][slot as usize * SLOT_WORDS..][..SLOT_WORDS];
    words[TENANT_WORD].store(3, Relaxed);
    words[OPCODE_WORD].store(opcode::NOP, Relaxed);
    for (tag, tenant) in [(slot, Some(2)), (SLOTS, None), (u32::MAX, None)] {
        let request = IoRequest {
            tag,
            ..IoRequest::default()
        };
        drop(device.ask(&request).unwrap());
        let claimed = queue.claim().unwrap();
        assert_eq!(claimed.tenant(), tenant, "tag {tag}");
        claimed.end(Ok(0));
    }
}
