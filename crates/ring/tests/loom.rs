//! The live ring under loom, which runs every interleaving (up to a bound on preemptions) and every value that the
//! memory model lets a load return.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p gristmill-ring --release --test loom`

#![cfg(loom)]

use gristmill_protocol::io::{io_op, IoRequest};
use gristmill_protocol::opcode;
use gristmill_ring::{
    live_ring, Claimer, Completions, DeviceRing, Outcome, RingConfig, Submission,
};
use loom::thread;

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(body);
}

fn config(slots: u32) -> RingConfig {
    RingConfig {
        slots,
        tenants: 1,
        observables: 0,
        debug_records: 0,
        io_slots: 0,
        // Counters wrap within each model.
        counters_from: u32::MAX,
    }
}

/// Looks for slots `times` times, without waiting; answers each with twice its argument.
fn work(device: &DeviceRing, times: usize) {
    let mut claimer = Claimer::default();
    for _ in 0..times {
        if let Some(slot) = device.claim(&mut claimer) {
            let answer = slot.args()[0] * 2;
            slot.complete(&Outcome::value(answer));
        }
    }
}

/// Reaps `count` completions and returns their sorted results.
fn reap(completions: &mut Completions, count: usize) -> Vec<u32> {
    let mut results = Vec::new();
    while results.len() < count {
        match completions.next() {
            Some(done) => {
                assert_eq!(done.status, gristmill_protocol::slot::DONE);
                results.push(done.results[0]);
            }
            None => thread::yield_now(),
        }
    }
    assert!(completions.next().is_none(), "a slot completed twice");
    results.sort_unstable();
    results
}

#[test]
fn two_producers_publish_and_nothing_is_lost() {
    model(2, || {
        let (submitter, mut completions, device) = live_ring(config(2)).unwrap();
        let other = submitter.clone();
        let producer = thread::spawn(move || {
            let token = other.try_acquire().unwrap();
            other.publish(token, &Submission::new(0, &[1])).unwrap();
        });
        let other = device.clone();
        let worker = thread::spawn(move || work(&other, 1));
        let token = submitter.try_acquire().unwrap();
        submitter.publish(token, &Submission::new(0, &[2])).unwrap();
        producer.join().unwrap();
        worker.join().unwrap();
        work(&device, 2);
        assert_eq!(reap(&mut completions, 2), [2, 4]);
    });
}

#[test]
fn two_workers_claim_each_slot_once_and_results_are_visible_with_done() {
    model(3, || {
        let (submitter, mut completions, device) = live_ring(config(2)).unwrap();
        let other = device.clone();
        let worker = thread::spawn(move || work(&other, 2));
        for value in 1..=2 {
            let token = submitter.try_acquire().unwrap();
            submitter
                .publish(token, &Submission::new(0, &[value]))
                .unwrap();
        }
        work(&device, 1);
        // A completion that is visible carries its results, whichever worker wrote them, and whenever.
        let mut early = 0;
        while let Some(done) = completions.next() {
            assert!(matches!(done.results[0], 2 | 4));
            early += 1;
        }
        worker.join().unwrap();
        work(&device, 2);
        assert_eq!(reap(&mut completions, 2 - early).len(), 2 - early);
    });
}

#[test]
fn a_ready_ring_that_wraps_around_under_a_slow_worker_loses_nothing() {
    model(3, || {
        let (submitter, mut completions, device) = live_ring(config(2)).unwrap();
        for value in 1..=2 {
            let token = submitter.try_acquire().unwrap();
            submitter
                .publish(token, &Submission::new(0, &[value]))
                .unwrap();
        }
        // The slow worker may be stopped between reading the ready entry and taking the ticket, while the host claims,
        // completes and publishes the slots behind it again.
        let other = device.clone();
        let worker = thread::spawn(move || work(&other, 1));
        work(&device, 1);
        let mut results = Vec::new();
        if let Some(done) = completions.next() {
            results.push(done.results[0]);
            submitter
                .publish(done.token, &Submission::new(0, &[3]))
                .unwrap();
        }
        let published = 2 + results.len();
        worker.join().unwrap();
        work(&device, 3);
        results.extend(reap(&mut completions, published - results.len()));
        results.sort_unstable();
        assert_eq!(results, [2, 4, 6][..published]);
    });
}

#[test]
fn a_sleeping_worker_is_always_woken() {
    // Loom's condition variables have no clock: a wake-up that is lost here is a deadlock, which loom reports.
    model(2, || {
        let (submitter, mut completions, device) = live_ring(config(1)).unwrap();
        let worker = thread::spawn(move || {
            let mut claimer = Claimer::default();
            loop {
                if let Some(slot) = device.claim(&mut claimer) {
                    slot.complete(&Outcome::value(7));
                    return;
                }
                device.sleep(std::time::Duration::from_secs(1), || false);
            }
        });
        let token = submitter.try_acquire().unwrap();
        submitter.publish(token, &Submission::new(0, &[])).unwrap();
        worker.join().unwrap();
        assert_eq!(reap(&mut completions, 1), [7]);
    });
}

#[test]
fn a_fence_completes_behind_what_it_waited_for() {
    model(3, || {
        let (submitter, mut completions, device) = live_ring(config(2)).unwrap();
        for number in [opcode::NOP, opcode::BATCH_FENCE] {
            let token = submitter.try_acquire().unwrap();
            submitter
                .publish(token, &Submission::new(number, &[]))
                .unwrap();
        }
        let worker = |device: DeviceRing| {
            move || {
                let Some(slot) = device.claim(&mut Claimer::default()) else {
                    return;
                };
                while !device.fence_ready(&slot) {
                    thread::yield_now();
                }
                let opcode = slot.opcode();
                slot.complete(&Outcome::value(opcode));
            }
        };
        let other = thread::spawn(worker(device.clone()));
        worker(device)();
        other.join().unwrap();
        let order: Vec<u32> = std::iter::from_fn(|| completions.next())
            .map(|done| done.results[0])
            .collect();
        assert_eq!(order, [opcode::NOP, opcode::BATCH_FENCE]);
    });
}

fn io_config() -> RingConfig {
    RingConfig {
        io_slots: 1,
        ..config(1)
    }
}

fn request(tag: u32) -> IoRequest {
    IoRequest {
        op_type: io_op::READ,
        byte_count: 9,
        tag,
        ..IoRequest::default()
    }
}

#[test]
fn a_request_and_its_end_arrive_whole_and_wake_whoever_sleeps() {
    model(2, || {
        let (submitter, _completions, device) = live_ring(io_config()).unwrap();
        let mut queue = submitter.take_io_queue().unwrap();
        let worker = thread::spawn(move || {
            for tag in 0..2 {
                let pending = device.ask(&request(tag)).unwrap();
                while pending.outcome().is_none() {
                    device.sleep(std::time::Duration::from_secs(1), || {
                        pending.outcome().is_some()
                    });
                }
                assert_eq!(pending.outcome(), Some(Ok(7 + tag)));
            }
        });
        for tag in 0..2 {
            let claimed = loop {
                match queue.claim() {
                    Some(claimed) => break claimed,
                    None => queue.wait(std::time::Duration::from_secs(1)),
                }
            };
            assert_eq!(*claimed.request(), request(tag));
            claimed.end(Ok(7 + tag));
        }
        worker.join().unwrap();
    });
}

#[test]
fn a_request_stays_its_tenants_while_its_slot_becomes_anothers() {
    model(3, || {
        let (submitter, mut completions, device) = live_ring(io_config()).unwrap();
        let mut queue = submitter.take_io_queue().unwrap();
        let server = thread::spawn(move || loop {
            match queue.claim() {
                Some(claimed) => {
                    assert_eq!(claimed.tenant(), Some(1));
                    return;
                }
                None => thread::yield_now(),
            }
        });
        let of = |tenant| Submission {
            tenant,
            ..Submission::new(opcode::LOAD_MISS, &[])
        };
        let token = submitter.try_acquire().unwrap();
        submitter.publish(token, &of(1)).unwrap();
        let slot = device.claim(&mut Claimer::default()).unwrap();
        drop(device.ask(&request(slot.index().get())).unwrap());
        slot.complete(&Outcome::default());
        let done = completions.next().unwrap();
        submitter.publish(done.token, &of(2)).unwrap();
        server.join().unwrap();
    });
}
