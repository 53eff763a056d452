//! The ring's counters wrap around, and its behaviour does not depend on that.

#![cfg(not(loom))]

use gristmill_protocol::{opcode, priority::Priority};
use gristmill_ring::{live_ring, Claimer, Outcome, RingConfig, Submission};

/// Initial values of the counters: 0, and values for which the counters wrap before, during and after a test's few
/// slots.
fn starts() -> impl Iterator<Item = u32> {
    (0..24)
        .map(|before| u32::MAX - before)
        .chain([0, (1 << 31) - 4, 1 << 31])
        // All values would take minutes under Miri, which checks memory accesses rather than numbers.
        .filter(|from| !cfg!(miri) || [u32::MAX - 11, 0].contains(from))
}

#[test]
fn a_fence_waits_for_every_slot_before_it_wherever_counters_are() {
    for from in starts() {
        let (submitter, mut completions, device) = live_ring(RingConfig {
            slots: 16,
            counters_from: from,
            ..RingConfig::default()
        })
        .unwrap();
        let mut claimer = Claimer::default();
        // In later rounds, a generation's counters hold what an earlier fence left in them.
        for round in 0..if cfg!(miri) { 10 } else { 40 } {
            let before = round % 9;
            for value in 0..before {
                let token = submitter.try_acquire().unwrap();
                let submission = Submission::new(opcode::NOP, &[value]);
                submitter.publish(token, &submission).unwrap();
            }
            let token = submitter.try_acquire().unwrap();
            let fence = Submission {
                priority: Priority::High,
                ..Submission::new(opcode::BATCH_FENCE, &[])
            };
            submitter.publish(token, &fence).unwrap();
            let fence = device.claim(&mut claimer).unwrap();
            assert_eq!(fence.opcode(), opcode::BATCH_FENCE);
            for value in 0..before {
                assert!(
                    !device.fence_ready(&fence),
                    "from {from}, round {round}: ready while {} slots are unfinished",
                    before - value
                );
                let slot = device.claim(&mut claimer).unwrap();
                assert_eq!(slot.args()[0], value, "from {from}");
                slot.complete(&Outcome::default());
            }
            assert!(device.fence_ready(&fence), "from {from}, round {round}");
            fence.complete(&Outcome::default());
            for _ in 0..=before {
                submitter.release(completions.next().unwrap().token);
            }
            assert!(completions.next().is_none(), "from {from}");
        }
    }
}

#[test]
fn nothing_is_there_that_was_not_completed_wherever_counters_are() {
    for from in starts() {
        for slots in [1, 2, 8] {
            let (submitter, mut completions, device) = live_ring(RingConfig {
                slots,
                counters_from: from,
                ..RingConfig::default()
            })
            .unwrap();
            let mut claimer = Claimer::default();
            for value in 0..3 * slots + 24 {
                assert!(!device.has_work() && device.claim(&mut claimer).is_none());
                assert!(completions.next().is_none(), "from {from}, {slots} slots");
                let token = submitter.try_acquire().unwrap();
                let submission = Submission::new(opcode::NOP, &[value]);
                submitter.publish(token, &submission).unwrap();
                let slot = device.claim(&mut claimer).unwrap();
                slot.complete(&Outcome::value(value));
                let done = completions.next().unwrap();
                assert_eq!(done.results[0], value, "from {from}, {slots} slots");
                submitter.release(done.token);
            }
        }
    }
}
