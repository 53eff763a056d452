//! Ring images: which slots may be published into, and that a refused call changes nothing.

use gristmill_protocol::priority::Priority;
use gristmill_protocol::slot::{self, SlotImage, SLOT_BYTES};
use gristmill_protocol::{
    opcode, words, Megakernel, PipelineError, ARG0_WORD, SLOT_WORDS, STATUS_WORD,
};
use proptest::prelude::*;

fn set_status(ring: &mut [u8], slot: usize, status: u32) {
    assert!(words::write(ring, slot * SLOT_WORDS + STATUS_WORD, status));
}

/// Asserts that `publish` answers `QueueFull` and leaves the ring as it was.
fn refused<T>(ring: &mut [u8], publish: impl FnOnce(&mut [u8]) -> Result<T, PipelineError>) {
    let before = ring.to_vec();
    assert!(matches!(
        publish(ring),
        Err(PipelineError::QueueFull { .. })
    ));
    assert_eq!(ring, before);
}

#[test]
fn a_published_slot_says_what_was_asked_and_zeroes_the_arguments_that_were_not() {
    let mut ring = Megakernel::encode_empty_ring(3).unwrap();
    for word in 0..12 {
        assert!(words::write(&mut ring, SLOT_WORDS + ARG0_WORD + word, 99));
    }
    set_status(&mut ring, 1, slot::DONE);
    Megakernel::publish_slot(&mut ring, 1, 4, 0x300, &[7, 8]).unwrap();
    let expected = SlotImage {
        status: slot::PUBLISHED,
        opcode: 0x300,
        tenant: 4,
        priority: Priority::Normal.word(),
        args: [7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    assert_eq!(Megakernel::read_slot(&ring, 1), Some(expected));
    assert_eq!(Megakernel::read_slot(&ring, 0), Some(SlotImage::default()));
    assert_eq!(Megakernel::read_slot(&ring, 2), Some(SlotImage::default()));
    assert_eq!(&ring[SLOT_BYTES..SLOT_BYTES + 8], [1, 0, 0, 0, 0, 3, 0, 0]);
}

#[test]
fn only_empty_and_done_slots_are_published_into() {
    for status in (0..10).chain([0x10, u32::MAX]) {
        let mut ring = Megakernel::encode_empty_ring(1).unwrap();
        set_status(&mut ring, 0, status);
        if status == slot::EMPTY || status == slot::DONE {
            Megakernel::publish_slot(&mut ring, 0, 0, opcode::NOP, &[]).unwrap();
        } else {
            refused(&mut ring, |ring| {
                Megakernel::publish_slot(ring, 0, 0, opcode::NOP, &[])
            });
            refused(&mut ring, |ring| {
                Megakernel::publish_packed_slot::<[u32; 0]>(ring, 0, 0, &[(0, [])])
            });
        }
    }
}

#[test]
fn a_faulted_slot_is_published_into_once_its_fault_was_acknowledged() {
    let mut ring = Megakernel::encode_empty_ring(2).unwrap();
    refused(&mut ring, |ring| Megakernel::acknowledge_fault(ring, 0));
    refused(&mut ring, |ring| Megakernel::acknowledge_fault(ring, 2));
    set_status(&mut ring, 0, slot::FAULT);
    refused(&mut ring, |ring| {
        Megakernel::publish_slot(ring, 0, 0, opcode::NOP, &[])
    });
    Megakernel::acknowledge_fault(&mut ring, 0).unwrap();
    Megakernel::publish_slot(&mut ring, 0, 0, opcode::NOP, &[]).unwrap();
}

#[test]
fn a_slot_beyond_the_ring_thirteen_arguments_and_half_a_slot_are_refused() {
    let mut ring = Megakernel::encode_empty_ring(2).unwrap();
    Megakernel::publish_slot(&mut ring, 1, 0, opcode::NOP, &[1; 12]).unwrap();
    refused(&mut ring, |ring| {
        Megakernel::publish_slot(ring, 0, 0, opcode::NOP, &[1; 13])
    });
    for slot in [2, 3, u32::MAX / 64, u32::MAX] {
        refused(&mut ring, |ring| {
            Megakernel::publish_slot(ring, slot, 0, opcode::NOP, &[])
        });
    }
    for bytes in [1, 63, 65, 127] {
        refused(&mut vec![0; bytes], |ring| {
            Megakernel::publish_slot(ring, 0, 0, opcode::NOP, &[])
        });
    }
    refused(&mut [], |ring| {
        Megakernel::publish_slot(ring, 0, 0, opcode::NOP, &[])
    });
}

#[test]
fn a_slot_can_be_published_at_every_priority() {
    let mut ring = Megakernel::encode_empty_ring(5).unwrap();
    for (slot, priority) in (0..).zip(Priority::ALL) {
        Megakernel::publish_slot_at(&mut ring, slot, 0, opcode::NOP, priority, &[]).unwrap();
        assert_eq!(
            Megakernel::read_slot(&ring, slot).unwrap().priority,
            priority.word()
        );
    }
}

#[test]
fn a_batch_ends_in_a_fence_that_carries_its_count_and_tag() {
    let mut ring = Megakernel::encode_empty_ring(5).unwrap();
    let items = [
        (opcode::NOP, vec![]),
        (opcode::STORE_U32, vec![5, 6]),
        (0x200, vec![1]),
    ];
    assert_eq!(
        Megakernel::batch_publish(&mut ring, 1, 9, &items, 0xABCD).unwrap(),
        4
    );
    assert_eq!(Megakernel::read_slot(&ring, 0).unwrap().status, slot::EMPTY);
    for (slot, (opcode, args)) in (1..).zip(&items) {
        let read = Megakernel::read_slot(&ring, slot).unwrap();
        assert_eq!(
            (read.status, read.opcode, read.tenant),
            (slot::PUBLISHED, *opcode, 9)
        );
        assert_eq!(&read.args[..args.len()], &args[..]);
    }
    let fence = Megakernel::read_slot(&ring, 4).unwrap();
    assert_eq!(
        (fence.status, fence.opcode, fence.tenant),
        (slot::PUBLISHED, opcode::BATCH_FENCE, 9)
    );
    assert_eq!(fence.args, [3, 0xABCD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn an_empty_batch_is_a_fence() {
    let mut ring = Megakernel::encode_empty_ring(1).unwrap();
    let items: [(u32, [u32; 0]); 0] = [];
    assert_eq!(
        Megakernel::batch_publish(&mut ring, 0, 0, &items, 1).unwrap(),
        1
    );
    assert_eq!(
        Megakernel::read_slot(&ring, 0).unwrap().opcode,
        opcode::BATCH_FENCE
    );
}

#[test]
fn a_batch_is_published_whole_or_not_at_all() {
    let two = [(opcode::NOP, vec![1]), (opcode::NOP, vec![2])];
    for busy in 0..3 {
        let mut ring = Megakernel::encode_empty_ring(3).unwrap();
        set_status(&mut ring, busy, slot::CLAIMED);
        refused(&mut ring, |ring| {
            Megakernel::batch_publish(ring, 0, 0, &two, 0)
        });
    }
    let mut ring = Megakernel::encode_empty_ring(3).unwrap();
    refused(&mut ring, |ring| {
        Megakernel::batch_publish(ring, 1, 0, &two, 0)
    });
    refused(&mut ring, |ring| {
        Megakernel::batch_publish(ring, u32::MAX, 0, &two, 0)
    });
    refused(&mut ring, |ring| {
        Megakernel::batch_publish(ring, u32::MAX - 2, 0, &two, 0)
    });
    let too_long = [(opcode::NOP, vec![]), (opcode::NOP, vec![0; 13])];
    refused(&mut ring, |ring| {
        Megakernel::batch_publish(ring, 0, 0, &too_long, 0)
    });
    Megakernel::batch_publish(&mut ring, 0, 0, &two, 0).unwrap();
}

#[test]
fn rings_of_every_size_that_an_image_may_have_are_empty() {
    assert_eq!(Megakernel::try_encode_empty_ring(0).unwrap(), []);
    assert_eq!(Megakernel::try_encode_empty_ring(3).unwrap(), [0; 192]);
    let largest = Megakernel::try_encode_empty_ring(slot::MAX_IMAGE_SLOTS).unwrap();
    assert_eq!(Megakernel::ring_slots(&largest), 1 << 20);
    for slots in [slot::MAX_IMAGE_SLOTS + 1, u32::MAX] {
        let mut image = vec![3; 5];
        assert!(Megakernel::try_encode_empty_ring(slots).is_err());
        assert!(Megakernel::try_encode_empty_ring_into(slots, &mut image).is_err());
        assert_eq!(image, [3; 5]);
    }
    let mut image = vec![3; 500];
    Megakernel::try_encode_empty_ring_into(2, &mut image).unwrap();
    assert_eq!(image, [0; 128]);
}

#[test]
fn without_try_the_encoder_refuses_too() {
    let error = Megakernel::encode_empty_ring(u32::MAX).unwrap_err();
    assert!(
        error.to_string().contains("use at most 1,048,576 slots"),
        "{error}"
    );
}

#[test]
fn numbers_that_the_protocol_keeps_are_not_published() {
    let mut ring = Megakernel::encode_empty_ring(3).unwrap();
    let empty = ring.clone();
    for kept in [
        0xFFF0,
        0xFFFC,
        0xFFFF,
        0x8000_0000,
        0x8000_0002,
        0xFFFF_FFFE,
    ] {
        let refused = Megakernel::publish_slot(&mut ring, 0, 0, kept, &[]);
        assert!(
            matches!(refused, Err(PipelineError::QueueFull { .. })),
            "{kept:#x}"
        );
        let batch = [(opcode::NOP, []), (kept, [])];
        assert!(Megakernel::batch_publish(&mut ring, 0, 0, &batch, 1).is_err());
        assert_eq!(ring, empty);
    }
    for (slot, used) in (0..).zip([opcode::SHUTDOWN, opcode::PRINTF, opcode::PACKED_SLOT]) {
        Megakernel::publish_slot(&mut ring, slot, 0, used, &[]).unwrap();
    }
}

#[test]
fn strict_slot_reads_name_what_is_wrong() {
    let ring = Megakernel::encode_empty_ring(2).unwrap();
    assert!(Megakernel::try_read_slot(&ring, 1).is_ok());
    assert!(matches!(
        Megakernel::try_read_slot(&ring, 2),
        Err(PipelineError::InvalidArgument { .. })
    ));
    let cut = Megakernel::try_read_slot(&ring[..127], 0);
    assert!(matches!(
        cut,
        Err(PipelineError::Decode { offset: 127, .. })
    ));
    assert!(Megakernel::read_slot(&ring[..127], 0).is_some());
    assert!(Megakernel::read_slot(&ring[..127], 1).is_none());
}

proptest! {
    #[test]
    fn what_is_published_is_what_is_read(
        (slots, slot) in (1u32..40).prop_flat_map(|slots| (Just(slots), 0..slots)),
        tenant: u32,
        opcode: u32,
        priority in 0usize..5,
        args in proptest::collection::vec(any::<u32>(), 0..=12),
    ) {
        let mut ring = Megakernel::encode_empty_ring(slots).unwrap();
        let priority = Priority::ALL[priority];
        let published = Megakernel::publish_slot_at(&mut ring, slot, tenant, opcode, priority, &args);
        if opcode::is_reserved(opcode) && !opcode::is_assigned(opcode) {
            prop_assert!(published.is_err());
            prop_assert_eq!(ring, Megakernel::encode_empty_ring(slots).unwrap());
            return Ok(());
        }
        published.unwrap();
        let read = Megakernel::try_read_slot(&ring, slot).unwrap();
        let mut all = args.clone();
        all.resize(12, 0);
        prop_assert_eq!(read.args.to_vec(), all);
        prop_assert_eq!((read.status, read.opcode, read.tenant), (slot::PUBLISHED, opcode, tenant));
        prop_assert_eq!(Priority::from_word(read.priority), Some(priority));
        let others = (0..slots).filter(|other| *other != slot);
        for other in others {
            prop_assert_eq!(Megakernel::read_slot(&ring, other), Some(SlotImage::default()));
        }
    }

    #[test]
    fn a_slot_image_round_trips(words: [u32; 16]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let image = SlotImage::decode_from(&bytes).unwrap();
        let mut again = [0; SLOT_BYTES];
        image.encode_into(&mut again).unwrap();
        prop_assert_eq!(&again[..], &bytes[..]);
    }

    #[test]
    fn publishing_into_any_bytes_either_publishes_or_changes_nothing(
        mut ring in proptest::collection::vec(0u8..5, 0..400),
        slot in 0u32..8,
        items in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u32>(), 0..14)), 0..5),
    ) {
        let before = ring.clone();
        match Megakernel::batch_publish(&mut ring, slot, 1, &items, 2) {
            Ok(used) => {
                for published in slot..slot + used {
                    prop_assert_eq!(Megakernel::read_slot(&ring, published).unwrap().status, slot::PUBLISHED);
                }
            }
            Err(_) => prop_assert_eq!(&ring, &before),
        }
        let before = ring.clone();
        if Megakernel::acknowledge_fault(&mut ring, slot).is_err() {
            prop_assert_eq!(ring, before);
        }
    }

    #[test]
    fn slot_decoders_survive_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), slot: u32) {
        let _ = Megakernel::read_slot(&bytes, slot);
        let _ = Megakernel::try_read_slot(&bytes, slot);
        let near = slot % 6;
        prop_assert_eq!(
            Megakernel::read_slot(&bytes, near).is_some(),
            usize::try_from(near).unwrap() < Megakernel::ring_slots(&bytes)
        );
        prop_assert_eq!(SlotImage::decode_from(&bytes).is_ok(), bytes.len() >= SLOT_BYTES);
    }
}
