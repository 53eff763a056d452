//! The live ring's promises, on real threads and under Miri.

#![cfg(not(loom))]

use gristmill_protocol::{debug::DebugRecord, fault, opcode, priority::Priority, slot};
use gristmill_ring::{
    live_ring, ChunkMemory, Claimer, Completions, DeviceRing, Outcome, RecordMemory, RingConfig,
    Submission, Submitter, AGEING_CLAIMS,
};
use std::collections::HashSet;
use std::time::Duration;

fn ring(slots: u32) -> (Submitter, Completions, DeviceRing) {
    live_ring(RingConfig {
        slots,
        // All counters wrap within each test. The other tests that use a ring start at 0.
        counters_from: u32::MAX - 2,
        ..RingConfig::default()
    })
    .unwrap()
}

fn publish(submitter: &Submitter, submission: &Submission) {
    let token = submitter.try_acquire().unwrap();
    submitter.publish(token, submission).unwrap();
}

fn with_priority(priority: Priority, value: u32) -> Submission {
    Submission {
        priority,
        ..Submission::new(opcode::NOP, &[value])
    }
}

#[test]
fn a_full_ring_hands_out_no_token_until_a_completion_is_read() {
    let (submitter, mut completions, device) = ring(2);
    publish(&submitter, &Submission::new(opcode::NOP, &[1]));
    publish(&submitter, &Submission::new(opcode::NOP, &[2]));
    assert!(submitter.try_acquire().is_none());
    let claimed = device.claim(&mut Claimer::default()).unwrap();
    claimed.complete(&Outcome::default());
    assert!(submitter.try_acquire().is_none(), "not yet read");
    let done = completions.next().unwrap();
    submitter.release(done.token);
    assert!(submitter.try_acquire().is_some());
}

#[test]
fn what_was_published_before_is_known_to_be_done() {
    let (submitter, mut completions, device) = ring(4);
    assert!(
        submitter.is_done(submitter.published()),
        "nothing was published"
    );
    publish(&submitter, &Submission::new(opcode::NOP, &[1]));
    let first = submitter.published();
    publish(&submitter, &Submission::new(opcode::NOP, &[2]));
    let claimed = device.claim(&mut Claimer::default()).unwrap();
    assert!(!submitter.is_done(first), "it is being run");
    claimed.complete(&Outcome::default());
    assert!(submitter.is_done(first) && !submitter.is_done(submitter.published()));
    // The same slot is used for something that is published later.
    submitter.release(completions.next().unwrap().token);
    publish(&submitter, &Submission::new(opcode::NOP, &[3]));
    assert!(submitter.is_done(first) && !submitter.is_done(first + 1));
}

#[test]
fn a_token_of_another_ring_is_refused() {
    let (first, _first_completions, _first_device) = ring(1);
    let (second, _completions, device) = ring(1);
    let token = first.try_acquire().unwrap();
    let (_token, error) = second
        .publish(token, &Submission::new(opcode::NOP, &[]))
        .unwrap_err();
    assert!(error.to_string().contains("another ring"), "{error}");
    assert!(!device.has_work());
}

#[test]
fn higher_priorities_go_first_and_a_lower_one_after_sixteen() {
    let (submitter, _completions, device) = ring(64);
    publish(&submitter, &with_priority(Priority::Idle, 1000));
    for value in 0..40 {
        publish(&submitter, &with_priority(Priority::High, value));
    }
    let mut claimer = Claimer::default();
    let order: Vec<u32> = (0..41)
        .map(|_| {
            let claimed = device.claim(&mut claimer).unwrap();
            let value = claimed.args()[0];
            claimed.complete(&Outcome::default());
            value
        })
        .collect();
    let waited = order.iter().position(|value| *value == 1000).unwrap();
    assert_eq!(waited, AGEING_CLAIMS as usize);
    assert_eq!(device.aged_claims(), 1);
    let high: Vec<u32> = order.into_iter().filter(|value| *value != 1000).collect();
    assert_eq!(high, (0..40).collect::<Vec<_>>(), "in order of publication");
    assert!(device.claim(&mut claimer).is_none());
}

#[test]
fn a_slot_whose_worker_drops_it_completes_as_a_fault() {
    let (submitter, mut completions, device) = ring(1);
    publish(&submitter, &Submission::new(opcode::NOP, &[]));
    drop(device.claim(&mut Claimer::default()).unwrap());
    let done = completions.next().unwrap();
    assert_eq!(
        (done.status, done.fault),
        (slot::FAULT, fault::WORKER_PANICKED)
    );
    // A parked slot does so, too.
    submitter
        .publish(done.token, &Submission::new(opcode::NOP, &[]))
        .unwrap();
    let claimed = device.claim(&mut Claimer::default()).unwrap();
    drop(claimed.park(slot::REQUEUE));
    assert_eq!(completions.next().unwrap().status, slot::FAULT);
}

#[test]
fn a_fence_is_ready_when_everything_published_before_it_has_finished() {
    let (submitter, mut completions, device) = ring(8);
    let mut claimer = Claimer::default();
    publish(&submitter, &with_priority(Priority::Idle, 1));
    publish(&submitter, &with_priority(Priority::High, 2));
    publish(&submitter, &with_priority(Priority::Critical, 0));
    let fence = Submission {
        priority: Priority::Critical,
        ..Submission::new(opcode::BATCH_FENCE, &[3, 77])
    };
    publish(&submitter, &fence);
    publish(&submitter, &with_priority(Priority::Critical, 3));
    publish(&submitter, &fence);

    let claimed: Vec<_> = (0..6)
        .map(|_| device.claim(&mut claimer).unwrap())
        .collect();
    let [critical, first, after, second, high, idle]: [_; 6] = claimed.try_into().unwrap();
    assert_eq!((high.args()[0], idle.args()[0]), (2, 1));
    assert_eq!(first.args()[..2], [3, 77]);
    assert!(!device.fence_ready(&first));
    // What was published after the fence does not count for it.
    after.complete(&Outcome::default());
    critical.complete(&Outcome::default());
    high.complete(&Outcome::default());
    assert!(!device.fence_ready(&first));
    assert!(!device.fence_ready(&second));
    idle.complete(&Outcome::default());
    assert!(device.fence_ready(&first));
    assert!(!device.fence_ready(&second), "the first fence is before it");
    let parked = first.park(slot::REQUEUE);
    assert!(parked.fence_ready());
    parked
        .resume(&device)
        .unwrap()
        .complete(&Outcome::default());
    assert!(device.fence_ready(&second));
    second.complete(&Outcome::default());
    assert_eq!(std::iter::from_fn(|| completions.next()).count(), 6);
}

#[test]
fn fences_hold_however_often_the_ring_is_used() {
    let (submitter, mut completions, device) = ring(4);
    let mut claimer = Claimer::default();
    for round in 0..200_u32 {
        publish(&submitter, &Submission::new(opcode::NOP, &[round]));
        publish(
            &submitter,
            &Submission::new(opcode::BATCH_FENCE, &[1, round]),
        );
        let nop = device.claim(&mut claimer).unwrap();
        let fence = device.claim(&mut claimer).unwrap();
        assert!(!device.fence_ready(&fence), "round {round}");
        nop.complete(&Outcome::default());
        assert!(device.fence_ready(&fence), "round {round}");
        fence.complete(&Outcome::default());
        while let Some(done) = completions.next() {
            submitter.release(done.token);
        }
    }
}

#[test]
fn many_threads_lose_and_double_nothing() {
    const PRODUCERS: u32 = 3;
    let each: u32 = if cfg!(miri) { 20 } else { 20_000 };
    let (submitter, mut completions, device) = ring(16);
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let submitter = submitter.clone();
            scope.spawn(move || {
                for value in 0..each {
                    let token = loop {
                        match submitter.try_acquire() {
                            Some(token) => break token,
                            None => std::thread::yield_now(),
                        }
                    };
                    let priority =
                        [Priority::High, Priority::Normal, Priority::Idle][value as usize % 3];
                    let id = producer * each + value;
                    submitter
                        .publish(token, &with_priority(priority, id))
                        .unwrap();
                }
            });
        }
        for _ in 0..2 {
            let device = device.clone();
            scope.spawn(move || {
                let mut claimer = Claimer::default();
                let mut idle = 0;
                while idle < 200 {
                    match device.claim(&mut claimer) {
                        Some(claimed) => {
                            idle = 0;
                            let value = claimed.args()[0];
                            claimed.complete(&Outcome::value(value ^ 0x5555));
                        }
                        None => {
                            idle += 1;
                            device.sleep(Duration::from_millis(5), || false);
                        }
                    }
                }
            });
        }
        let mut seen = HashSet::new();
        while seen.len() < (PRODUCERS * each) as usize {
            match completions.next() {
                Some(done) => {
                    assert!(seen.insert(done.results[0] ^ 0x5555), "twice");
                    submitter.release(done.token);
                }
                None => completions.wait(Duration::from_millis(5)),
            }
        }
        assert_eq!(seen.into_iter().max(), Some(PRODUCERS * each - 1));
    });
}

#[test]
fn sizes_out_of_range_are_refused() {
    for slots in [0, 3, 1 << 16] {
        let config = RingConfig {
            slots,
            ..RingConfig::default()
        };
        assert!(live_ring(config).is_err(), "{slots} slots");
    }
    let config = RingConfig {
        tenants: 30,
        ..RingConfig::default()
    };
    assert!(live_ring(config).is_err());
    assert!(ChunkMemory::map(0, 4096).is_err());
    assert!(ChunkMemory::map(1, 0).is_err());
    // Miri ends the process where memory runs out.
    if !cfg!(miri) {
        assert!(ChunkMemory::map(u32::MAX, 1 << 30).is_err());
    }
}

#[test]
fn a_chunk_has_one_owner_at_a_time() {
    let (memory, mut chunks) = ChunkMemory::map(2, 4096).unwrap();
    let mut chunk = chunks.pop().unwrap();
    let index = chunk.index();
    assert!(memory.borrow_chunk(index).is_none(), "the host has it");
    assert!(memory.borrow_chunk(99).is_none(), "no such chunk");
    chunk.as_mut_slice()[..3].copy_from_slice(b"abc");
    let lent = chunk.lend();
    let borrowed = memory.borrow_chunk(index).unwrap();
    assert_eq!(&borrowed[..3], b"abc");
    let other = memory.borrow_chunk(index).unwrap();
    let lent = lent.reclaim().unwrap_err();
    drop(borrowed);
    let lent = lent.reclaim().unwrap_err();
    drop(other);
    let chunk = lent.reclaim().unwrap();
    assert_eq!(&chunk.as_slice()[..3], b"abc");
    assert!(memory.borrow_chunk(index).is_none());
}

#[test]
fn records_are_bounded_by_their_area() {
    let memory = RecordMemory::new(2, 4).unwrap();
    let mut writer = memory.writer(1).unwrap();
    assert!(writer.push(1, 2) && writer.push(3, 4));
    assert!(!writer.push(5, 6), "full");
    assert_eq!(writer.len(), 2);
    assert_eq!((memory.get(1, 1), memory.get(1, 2)), ((3, 4), (0, 0)));
    assert_eq!(memory.get(0, 0), (0, 0), "the other area is untouched");
    assert!(memory.writer(2).is_none());
}

#[test]
fn the_debug_log_drops_and_counts_what_does_not_fit() {
    let (submitter, _completions, device) = live_ring(RingConfig {
        debug_records: 2,
        ..RingConfig::default()
    })
    .unwrap();
    let log = |words: [u32; 4]| device.log(&DebugRecord::decode(&words));
    assert!(log([1, 2, 3, 4]) && log([5, 6, 7, 8]));
    assert!(!log([9, 9, 9, 9]));
    let words: Vec<u32> = submitter
        .debug_log()
        .iter()
        .map(|word| word.load(std::sync::atomic::Ordering::Relaxed))
        .collect();
    assert_eq!(words, [3, 1, 2, 3, 4, 5, 6, 7, 8]);
}
