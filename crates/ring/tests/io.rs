//! The live IO queue's promises, on real threads and under Miri.

#![cfg(not(loom))]

use gristmill_protocol::io::{io_op, IoRequest, ECANCELED, EIO};
use gristmill_protocol::{opcode, PipelineError};
use gristmill_ring::{
    live_ring, Claimer, Completions, DeviceRing, IoQueue, Outcome, RingConfig, Submission,
    Submitter,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

struct World {
    submitter: Submitter,
    completions: Completions,
    device: DeviceRing,
    queue: IoQueue,
}

fn world(io_slots: u32) -> World {
    let config = RingConfig {
        slots: 2,
        tenants: 3,
        io_slots,
        ..RingConfig::default()
    };
    let (submitter, completions, device) = live_ring(config).unwrap();
    World {
        queue: submitter.take_io_queue().unwrap(),
        submitter,
        completions,
        device,
    }
}

fn read(number: u32) -> IoRequest {
    IoRequest {
        op_type: io_op::READ,
        src_handle: number,
        dst_handle: number + 1,
        offset: u64::from(number) << 40 | 7,
        byte_count: number + 2,
        ..IoRequest::default()
    }
}

impl World {
    fn publish(&self, tenant: u32) -> u32 {
        let token = self.submitter.try_acquire().unwrap();
        let submission = Submission {
            tenant,
            ..Submission::new(opcode::LOAD_MISS, &[])
        };
        self.submitter.publish(token, &submission).unwrap().get()
    }

    /// Runs the next slot: asks without waiting, and completes.
    fn prefetch(&self) {
        let slot = self.device.claim(&mut Claimer::default()).unwrap();
        let request = IoRequest {
            tag: slot.index().get(),
            ..read(slot.tenant())
        };
        drop(self.device.ask(&request).unwrap());
        slot.complete(&Outcome::default());
    }
}

#[test]
fn a_request_arrives_as_it_was_asked_and_its_end_as_it_was_told() {
    let mut world = world(2);
    assert!(world.queue.claim().is_none());
    let first = world.device.ask(&read(1)).unwrap();
    let second = world.device.ask(&read(2)).unwrap();
    let claimed = [world.queue.claim().unwrap(), world.queue.claim().unwrap()];
    assert!(world.queue.claim().is_none(), "each is handed out once");
    for (claimed, number) in claimed.iter().zip(1..) {
        let expected = IoRequest {
            slot_idx: claimed.request().slot_idx,
            ..read(number)
        };
        assert_eq!(*claimed.request(), expected);
    }
    let [one, two] = claimed;
    two.end(Err(13));
    assert_eq!((first.outcome(), second.outcome()), (None, Some(Err(13))));
    one.end(Ok(3));
    assert_eq!(first.outcome(), Some(Ok(3)));
}

#[test]
fn a_full_queue_takes_nothing_until_a_request_has_ended_for_which_nobody_waits() {
    let mut world = world(1);
    let waiting = world.device.ask(&read(1)).unwrap();
    assert!(!world.device.can_ask() && world.device.ask(&read(2)).is_none());
    world.queue.claim().unwrap().end(Ok(1));
    assert!(!world.device.can_ask() && world.device.ask(&read(2)).is_none());
    assert_eq!(waiting.outcome(), Some(Ok(1)));
    drop(waiting);
    // Nothing waits for this request, but it must end before its slot can be used again.
    drop(world.device.ask(&read(2)).unwrap());
    assert!(!world.device.can_ask() && world.device.ask(&read(3)).is_none());
    let claimed = world.queue.claim().unwrap();
    assert!(!world.device.can_ask() && world.device.ask(&read(3)).is_none());
    claimed.end(Err(1));
    assert!(world.device.can_ask() && world.device.ask(&read(3)).is_some());
}

#[test]
fn a_claimed_request_that_is_dropped_fails() {
    let mut world = world(1);
    let pending = world.device.ask(&read(1)).unwrap();
    drop(world.queue.claim());
    assert_eq!(pending.outcome(), Some(Err(EIO.unsigned_abs())));
}

#[test]
fn a_request_is_of_the_tenant_that_its_slot_was_published_for() {
    let mut world = world(4);
    for tenant in [2, 1] {
        world.publish(tenant);
        world.prefetch();
        let done = world.completions.next().unwrap();
        world.submitter.release(done.token);
    }
    // The same slot is in flight again, and its own request waits beside the earlier ones.
    world.publish(0);
    world.prefetch();
    let claimed: Vec<_> = std::iter::from_fn(|| world.queue.claim()).collect();
    let tenants: Vec<_> = claimed.iter().map(|claimed| claimed.tenant()).collect();
    assert_eq!(tenants, [Some(2), Some(1), Some(0)]);
    let tags: Vec<_> = claimed
        .iter()
        .map(|claimed| claimed.request().tag)
        .collect();
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
}

#[test]
fn a_tag_that_names_no_slot_is_nobodys() {
    let mut world = world(1);
    let request = IoRequest { tag: 2, ..read(1) };
    let _pending = world.device.ask(&request).unwrap();
    assert_eq!(world.queue.claim().unwrap().tenant(), None);
}

#[test]
fn what_waits_when_the_queue_is_dropped_fails_and_so_does_what_comes_later() {
    let World {
        submitter,
        mut completions,
        device,
        mut queue,
    } = world(3);
    let canceled = Some(Err(ECANCELED.unsigned_abs()));
    let claimed = device.ask(&read(1)).unwrap();
    let in_hand = queue.claim().unwrap();
    let waiting = device.ask(&read(2)).unwrap();
    drop(queue);
    assert_eq!((claimed.outcome(), waiting.outcome()), (None, canceled));
    in_hand.end(Ok(7));
    assert_eq!(claimed.outcome(), Some(Ok(7)));
    let later = device.ask(&read(3)).unwrap();
    assert!(completions.next().is_none());
    assert_eq!(later.outcome(), canceled);
    drop(later);
    // Taken again, it is served again.
    let mut queue = submitter.take_io_queue().unwrap();
    assert!(submitter.take_io_queue().is_none());
    let served = device.ask(&read(4)).unwrap();
    assert!(completions.next().is_none());
    assert_eq!(served.outcome(), None);
    queue.claim().unwrap().end(Ok(9));
    assert_eq!(served.outcome(), Some(Ok(9)));
}

#[test]
fn a_host_that_sleeps_is_woken_by_a_request_that_nobody_serves() {
    let World {
        submitter: _submitter,
        completions,
        device,
        queue,
    } = world(1);
    drop(queue);
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let worker = std::thread::spawn(move || {
        for number in 0..50 {
            std::thread::sleep(Duration::from_micros(200));
            let pending = device.ask(&read(number)).unwrap();
            while pending.outcome().is_none() {
                std::thread::yield_now();
            }
        }
        ends.store(true, Ordering::SeqCst);
        // Wakes the host for the last time.
        drop(device.ask(&read(50)));
    });
    while !over.load(Ordering::SeqCst) {
        // Without the wake-up, each request would take this long.
        completions.wait(Duration::from_secs(600));
    }
    worker.join().unwrap();
}

#[test]
fn the_queue_exists_once_and_only_where_it_was_asked_for() {
    let world = world(1);
    assert!(world.submitter.take_io_queue().is_none());
    let (submitter, _completions, device) = live_ring(RingConfig::default()).unwrap();
    assert!(submitter.take_io_queue().is_none() && device.ask(&read(1)).is_none());
    let refused = live_ring(RingConfig {
        io_slots: 65,
        ..RingConfig::default()
    });
    assert!(matches!(
        refused,
        Err(PipelineError::InvalidArgument { .. })
    ));
}

#[test]
fn a_sleeping_host_is_woken_by_a_request_and_a_sleeping_device_by_its_end() {
    let mut world = world(1);
    let device = world.device.clone();
    let worker = std::thread::spawn(move || {
        for number in 0..200 {
            let pending = device.ask(&read(number)).unwrap();
            while pending.outcome().is_none() {
                device.sleep(Duration::from_secs(60), || pending.outcome().is_some());
            }
        }
    });
    for _ in 0..200 {
        let claimed = loop {
            match world.queue.claim() {
                Some(claimed) => break claimed,
                None => world.queue.wait(Duration::from_secs(60)),
            }
        };
        claimed.end(Ok(1));
    }
    worker.join().unwrap();
}
