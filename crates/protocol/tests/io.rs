//! The IO queue: each side takes only the entries meant for it, each one once, and a refused call changes nothing.

use gristmill_protocol::io::{
    claim_io_requests, claim_io_requests_into, complete_io_request, complete_io_requests_batch,
    encode_io_landing_into, encode_io_request_into, io_op, io_status, io_word, poll_io_requests,
    poll_io_requests_into, recycle, take_landing, try_encode_empty_io_queue,
    try_encode_empty_io_queue_into, IoOutcome, EIO, IO_SLOT_WORDS,
};
use gristmill_protocol::io::{IoCompletion, IoRequest};
use gristmill_protocol::{slot, words, MegakernelIoQueue, PipelineError};
use proptest::prelude::*;

fn word(bytes: &[u8], slot: usize, word: usize) -> u32 {
    words::read(bytes, slot * IO_SLOT_WORDS + word).unwrap()
}

fn set_word(bytes: &mut [u8], slot: usize, word: usize, value: u32) {
    assert!(words::write(bytes, slot * IO_SLOT_WORDS + word, value));
}

/// Asserts that `change` is refused and leaves the queue as it was.
fn refused<T>(bytes: &mut [u8], change: impl FnOnce(&mut [u8]) -> Result<T, PipelineError>) {
    let before = bytes.to_vec();
    assert!(matches!(
        change(bytes),
        Err(PipelineError::QueueFull { .. })
    ));
    assert_eq!(bytes, before);
}

fn request(slot_idx: u32) -> IoRequest {
    IoRequest {
        slot_idx,
        op_type: io_op::READ,
        src_handle: 2,
        dst_handle: 3,
        offset: 0x1_0000_0002,
        byte_count: 4096,
        tag: 70 + slot_idx,
    }
}

#[test]
fn a_queue_has_one_to_sixty_four_slots() {
    for slots in [0, 65, u32::MAX] {
        assert!(matches!(
            MegakernelIoQueue::new(slots),
            Err(PipelineError::QueueFull { .. })
        ));
        let mut image = vec![1];
        assert!(try_encode_empty_io_queue_into(slots, &mut image).is_err());
        assert_eq!(image, [1]);
    }
    for (slots, bytes) in [(1, 32), (64, 2048)] {
        let queue = MegakernelIoQueue::new(slots).unwrap();
        assert_eq!(
            (queue.slot_count(), queue.as_bytes()),
            (slots, &vec![0; bytes][..])
        );
    }
}

#[test]
fn a_request_goes_from_the_device_to_the_host_and_back() {
    let mut queue = MegakernelIoQueue::new(4).unwrap();
    queue.submit_dma_read(2, 5, 6, 4096, 99).unwrap();
    assert_eq!(word(queue.as_bytes(), 2, io_word::STATUS), slot::PUBLISHED);
    let expected = IoRequest {
        slot_idx: 2,
        op_type: io_op::READ,
        src_handle: 5,
        dst_handle: 6,
        offset: 0,
        byte_count: 4096,
        tag: 99,
    };
    assert_eq!(poll_io_requests(queue.as_bytes()).unwrap(), [expected]);
    assert_eq!(claim_io_requests(queue.as_mut_bytes()).unwrap(), [expected]);
    assert_eq!(claim_io_requests(queue.as_mut_bytes()).unwrap(), []);
    assert!(queue.completion(2).is_some() && !queue.is_recycled(2));
    complete_io_request(queue.as_mut_bytes(), 2, true).unwrap();
    assert_eq!(word(queue.as_bytes(), 2, io_word::STATUS), io_status::OK);
    let completion = IoCompletion {
        slot_idx: 2,
        mapped_slot: 6,
        byte_count: 4096,
        tag: 99,
    };
    assert_eq!(
        (queue.completion(2), queue.failure(2)),
        (Some(completion), None)
    );
    recycle(queue.as_mut_bytes(), 2).unwrap();
    assert!(queue.is_recycled(2) && queue.completion(2).is_none());
    queue.submit_dma_read(2, 5, 6, 4096, 100).unwrap();
}

#[test]
fn a_failed_request_carries_its_error_number_and_fails_alone() {
    let mut queue = MegakernelIoQueue::new(3).unwrap();
    for queue_slot in 0..3 {
        queue.submit_dma_read(queue_slot, 0, 0, 1, 7).unwrap();
    }
    assert_eq!(claim_io_requests(queue.as_mut_bytes()).unwrap().len(), 3);
    complete_io_request(queue.as_mut_bytes(), 0, Err(28)).unwrap();
    complete_io_request(queue.as_mut_bytes(), 1, false).unwrap();
    complete_io_request(queue.as_mut_bytes(), 2, IoOutcome::Served).unwrap();
    assert_eq!(
        [0, 1, 2].map(|slot| queue.failure(slot)),
        [Some(28), Some(EIO), None]
    );
    assert_eq!(
        [0, 1, 2].map(|slot| queue.completion(slot).is_some()),
        [true, true, true]
    );
    assert_eq!(word(queue.as_bytes(), 0, io_word::TAG), 28);
    for queue_slot in 0..3 {
        recycle(queue.as_mut_bytes(), queue_slot).unwrap();
    }
}

#[test]
fn a_landing_goes_from_the_host_to_the_device_and_is_never_a_request() {
    let mut queue = MegakernelIoQueue::new(4).unwrap();
    queue.publish_slot(3, 12, 512, 44).unwrap();
    let landing = IoCompletion {
        slot_idx: 3,
        mapped_slot: 12,
        byte_count: 512,
        tag: 44,
    };
    assert_eq!(queue.completion(3), Some(landing));
    assert_eq!(queue.landing(3), Some(landing));
    assert_eq!(queue.as_bytes().as_ptr().addr() % 4, 0);
    assert_eq!(poll_io_requests(queue.as_bytes()).unwrap(), []);
    assert_eq!(claim_io_requests(queue.as_mut_bytes()).unwrap(), []);
    refused(queue.as_mut_bytes(), |bytes| recycle(bytes, 3));
    assert_eq!(take_landing(queue.as_mut_bytes()).unwrap(), Some(landing));
    assert_eq!(take_landing(queue.as_mut_bytes()).unwrap(), None);
    refused(queue.as_mut_bytes(), |bytes| {
        complete_io_request(bytes, 3, true)
    });
    assert!(!queue.is_recycled(3));
    recycle(queue.as_mut_bytes(), 3).unwrap();
    assert!(queue.is_recycled(3));
}

#[test]
fn the_device_never_takes_a_request_for_a_landing() {
    let mut bytes = try_encode_empty_io_queue(2).unwrap();
    encode_io_request_into(&mut bytes, &request(0)).unwrap();
    assert_eq!(take_landing(&mut bytes).unwrap(), None);
    refused(&mut bytes, |bytes| recycle(bytes, 0));
    assert_eq!(claim_io_requests(&mut bytes).unwrap(), [request(0)]);
    refused(&mut bytes, |bytes| recycle(bytes, 0));
}

#[test]
fn an_operation_that_is_none_reaches_the_host_which_fails_it() {
    let mut bytes = try_encode_empty_io_queue(1).unwrap();
    let odd = IoRequest {
        op_type: 77,
        ..request(0)
    };
    encode_io_request_into(&mut bytes, &odd).unwrap();
    assert_eq!(claim_io_requests(&mut bytes).unwrap(), [odd]);
    complete_io_request(&mut bytes, 0, Err(22)).unwrap();
    assert_eq!(word(&bytes, 0, io_word::STATUS), io_status::ERROR);
}

#[test]
fn a_landing_cannot_be_asked_for() {
    let mut bytes = try_encode_empty_io_queue(1).unwrap();
    let landing = IoRequest {
        op_type: io_op::LANDED,
        ..request(0)
    };
    let answer = encode_io_request_into(&mut bytes, &landing);
    assert!(matches!(answer, Err(PipelineError::InvalidArgument { .. })));
    assert_eq!(bytes, [0; 32]);
}

#[test]
fn only_empty_slots_that_are_there_are_published_into() {
    for status in (1..10).chain([io_status::OK, io_status::ERROR, u32::MAX]) {
        let mut queue = MegakernelIoQueue::new(1).unwrap();
        set_word(queue.as_mut_bytes(), 0, io_word::STATUS, status);
        let before = queue.clone();
        assert!(matches!(
            queue.publish_slot(0, 0, 1, 0),
            Err(PipelineError::QueueFull { .. })
        ));
        assert!(matches!(
            queue.submit_dma_read(0, 0, 0, 1, 0),
            Err(PipelineError::QueueFull { .. })
        ));
        assert_eq!(queue, before);
        assert!(!queue.is_recycled(0));
    }
    let mut queue = MegakernelIoQueue::new(2).unwrap();
    for missing in [2, 64, u32::MAX] {
        assert!(queue.publish_slot(missing, 0, 1, 0).is_err());
        assert!(queue.submit_dma_read(missing, 0, 0, 1, 0).is_err());
        assert_eq!(
            (queue.completion(missing), queue.is_recycled(missing)),
            (None, false)
        );
    }
}

#[test]
fn a_batch_of_completions_is_all_or_nothing() {
    let mut bytes = try_encode_empty_io_queue(4).unwrap();
    for slot in 0..3 {
        encode_io_request_into(&mut bytes, &request(slot)).unwrap();
    }
    claim_io_requests(&mut bytes).unwrap();
    encode_io_request_into(&mut bytes, &request(3)).unwrap();
    for outcomes in [
        [(0, true), (3, true)],
        [(0, true), (0, true)],
        [(0, true), (4, true)],
        [(0, false), (u32::MAX, true)],
    ] {
        refused(&mut bytes, |bytes| {
            complete_io_requests_batch(bytes, &outcomes)
        });
    }
    let outcomes = [(2, Ok(())), (0, Err(5)), (1, Ok(()))];
    complete_io_requests_batch(&mut bytes, &outcomes).unwrap();
    let statuses = [0, 1, 2, 3].map(|slot| word(&bytes, slot, io_word::STATUS));
    assert_eq!(
        statuses,
        [
            io_status::ERROR,
            io_status::OK,
            io_status::OK,
            slot::PUBLISHED
        ]
    );
    refused(&mut bytes, |bytes| complete_io_request(bytes, 0, true));
    complete_io_requests_batch::<bool>(&mut bytes, &[]).unwrap();
}

#[test]
fn reads_of_half_a_slot_or_of_too_many_are_refused() {
    for len in [1, 31, 33, 65 * 32] {
        let mut bytes = vec![0; len];
        let mut requests = vec![request(0)];
        assert!(
            matches!(poll_io_requests(&bytes), Err(PipelineError::Decode { offset, .. }) if offset == len)
        );
        assert!(poll_io_requests_into(&bytes, &mut requests).is_err());
        assert!(claim_io_requests_into(&mut bytes, &mut requests).is_err());
        assert_eq!(requests, [request(0)]);
        assert!(take_landing(&mut bytes).is_err());
        assert!(recycle(&mut bytes, 0).is_err());
        assert!(complete_io_request(&mut bytes, 0, true).is_err());
        refused(&mut bytes, |bytes| {
            encode_io_request_into(bytes, &request(0))
        });
    }
}

proptest! {
    #[test]
    fn requests_round_trip(
        slot_idx in 0u32..64,
        op_type: u32,
        src_handle: u32,
        dst_handle: u32,
        offset: u64,
        byte_count: u32,
        tag: u32,
    ) {
        prop_assume!(op_type != io_op::LANDED);
        let request = IoRequest { slot_idx, op_type, src_handle, dst_handle, offset, byte_count, tag };
        let mut bytes = try_encode_empty_io_queue(64).unwrap();
        encode_io_request_into(&mut bytes, &request).unwrap();
        prop_assert_eq!(poll_io_requests(&bytes).unwrap(), vec![request]);
    }

    #[test]
    fn landings_round_trip(slot_idx in 0u32..64, mapped_slot: u32, byte_count: u32, tag: u32) {
        let landing = IoCompletion { slot_idx, mapped_slot, byte_count, tag };
        let mut bytes = try_encode_empty_io_queue(64).unwrap();
        encode_io_landing_into(&mut bytes, &landing).unwrap();
        prop_assert_eq!(take_landing(&mut bytes).unwrap(), Some(landing));
    }

    #[test]
    fn everything_survives_any_bytes(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        shape: bool,
        statuses in proptest::collection::vec((0u32..9, 0u32..0x13), 9),
        slot: u32,
    ) {
        if shape {
            bytes.truncate(bytes.len() / 32 * 32);
            for (index, (op, status)) in statuses.iter().enumerate().take(bytes.len() / 32) {
                set_word(&mut bytes, index, io_word::OP_TYPE, *op);
                set_word(&mut bytes, index, io_word::STATUS, *status);
            }
        }
        let polled = poll_io_requests(&bytes);
        let claimed = claim_io_requests(&mut bytes);
        prop_assert_eq!(polled.is_ok(), bytes.len() % 32 == 0);
        if let (Ok(polled), Ok(claimed)) = (polled, claimed) {
            prop_assert!(polled.iter().all(|request| request.op_type != io_op::LANDED));
            prop_assert_eq!(&polled, &claimed);
            prop_assert_eq!(claim_io_requests(&mut bytes).unwrap(), vec![]);
            let outcomes: Vec<_> = claimed.iter().map(|request| (request.slot_idx, true)).collect();
            prop_assert!(complete_io_requests_batch(&mut bytes, &outcomes).is_ok());
        }
        for slot in [slot, slot % 12] {
            let before = bytes.clone();
            if complete_io_request(&mut bytes, slot, true).is_err() {
                prop_assert_eq!(&bytes, &before);
            }
            let before = bytes.clone();
            if recycle(&mut bytes, slot).is_err() {
                prop_assert_eq!(&bytes, &before);
            }
        }
        while let Ok(Some(landing)) = take_landing(&mut bytes) {
            prop_assert!(recycle(&mut bytes, landing.slot_idx).is_ok());
        }
        let mut queue = MegakernelIoQueue::new(8).unwrap();
        let own = queue.as_mut_bytes();
        let shared = own.len().min(bytes.len());
        own[..shared].copy_from_slice(&bytes[..shared]);
        for slot in [slot, slot % 12] {
            let _ = (queue.completion(slot), queue.failure(slot), queue.is_recycled(slot));
        }
    }
}
