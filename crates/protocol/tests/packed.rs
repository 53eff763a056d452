//! Packed slots: the device finds every op that the host accepts.

use gristmill_protocol::packed::{self, MAX_OPS};
use gristmill_protocol::{opcode, Megakernel, PipelineError};
use proptest::prelude::*;

fn unpacked(args: &[u32; 12]) -> Vec<(u8, Vec<u32>)> {
    packed::decode(args)
        .unwrap()
        .map(|(inner, args)| (inner, args.to_vec()))
        .collect()
}

/// The payload's bytes as a slot's arguments.
fn payload(bytes: &[u8]) -> [u32; 12] {
    let mut all = bytes.to_vec();
    all.resize(48, 0);
    let mut args = [0; 12];
    for (word, bytes) in args.iter_mut().zip(all.chunks_exact(4)) {
        *word = u32::from_le_bytes(bytes.try_into().unwrap());
    }
    args
}

#[test]
fn the_layout_is_the_protocols_byte_for_byte() {
    let ops = [(1, vec![10, 11]), (0, vec![]), (4, vec![12, 13, 14])];
    let args = packed::encode(&ops).unwrap();
    let bytes: Vec<u8> = args.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(bytes[..8], [3, 5, 1, 0, 0, 2, 4, 2]);
    assert_eq!(args[2..], [10, 11, 12, 13, 14, 0, 0, 0, 0, 0]);
    assert_eq!(unpacked(&args), ops);
    assert_eq!(packed::decode(&args).unwrap().len(), 3);
}

#[test]
fn an_even_number_of_ops_is_padded_to_a_word() {
    let args = packed::encode(&[(2, [7]), (2, [8])]).unwrap();
    let bytes: Vec<u8> = args.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(bytes[..8], [2, 2, 2, 0, 2, 1, 0, 0]);
    assert_eq!(args[2..4], [7, 8]);
}

#[test]
fn twenty_three_ops_without_arguments_fill_a_slot() {
    let full = vec![(opcode_byte(opcode::NOP), vec![]); MAX_OPS];
    assert_eq!(unpacked(&packed::encode(&full).unwrap()), full);
    let mut longer = full.clone();
    longer.push(full[0].clone());
    assert!(matches!(
        packed::encode(&longer),
        Err(PipelineError::QueueFull { .. })
    ));
    let mut with_argument = full;
    with_argument[22].1.push(1);
    assert!(matches!(
        packed::encode(&with_argument),
        Err(PipelineError::QueueFull { .. })
    ));
}

#[test]
fn one_op_takes_eleven_arguments_and_no_more() {
    let most = [(5u8, (0..11).collect::<Vec<u32>>())];
    assert_eq!(unpacked(&packed::encode(&most).unwrap()), most);
    assert!(packed::encode(&[(5, [0; 12])]).is_err());
    assert!(packed::encode(&[(5, vec![0; 300])]).is_err());
}

#[test]
fn no_ops_and_a_fence_are_not_packed() {
    let none: [(u8, [u32; 0]); 0] = [];
    assert!(matches!(
        packed::encode(&none),
        Err(PipelineError::QueueFull { .. })
    ));
    assert!(matches!(
        packed::encode(&[(0, vec![]), (7, vec![1, 2])]),
        Err(PipelineError::QueueFull { .. })
    ));
    assert!(packed::is_packable(6) && packed::is_packable(8) && !packed::is_packable(7));
}

#[test]
fn payloads_that_no_encoder_makes_are_refused_with_their_byte() {
    let cases: [(&[u8], usize); 9] = [
        (&[0, 0], 0),
        (&[24, 0], 0),
        (&[255, 255], 0),
        (&[1, 12], 1),
        (&[23, 1], 1),
        (&[1, 1, 7, 0], 2),
        (&[1, 1, 0, 1], 3),
        (&[2, 2, 0, 0, 0, 3], 5),
        (&[2, 1, 0, 0, 0, 1, 0, 9], 7),
    ];
    for (bytes, at) in cases {
        match packed::decode(&payload(bytes)) {
            Err(PipelineError::Decode { offset, .. }) => assert_eq!(offset, at, "{bytes:?}"),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
    let decreasing = payload(&[3, 3, 0, 0, 0, 2, 0, 1]);
    assert!(matches!(
        packed::decode(&decreasing),
        Err(PipelineError::Decode { offset: 7, .. })
    ));
}

#[test]
fn a_packed_slot_is_published_whole() {
    let mut ring = Megakernel::encode_empty_ring(1).unwrap();
    let ops = [(1, vec![1, 2]), (2, vec![3, 4])];
    Megakernel::publish_packed_slot(&mut ring, 0, 3, &ops).unwrap();
    let slot = Megakernel::read_slot(&ring, 0).unwrap();
    assert_eq!((slot.opcode, slot.tenant), (opcode::PACKED_SLOT, 3));
    assert_eq!(unpacked(&slot.args), ops);
}

fn opcode_byte(opcode: u32) -> u8 {
    u8::try_from(opcode).unwrap()
}

proptest! {
    #[test]
    fn every_op_that_is_accepted_comes_out_again(
        ops in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u32>(), 0..6)), 0..26),
    ) {
        let words = (2 + 2 * ops.len()).div_ceil(4) + ops.iter().map(|(_, args)| args.len()).sum::<usize>();
        let fits = !ops.is_empty() && words <= 12 && ops.iter().all(|(inner, _)| *inner != 7);
        match packed::encode(&ops) {
            Ok(args) => {
                prop_assert!(fits);
                prop_assert_eq!(unpacked(&args), ops);
            }
            Err(_) => prop_assert!(!fits),
        }
    }

    #[test]
    fn the_decoder_survives_any_words_and_what_it_accepts_has_one_encoding(
        mut args: [u32; 12],
        ops in 0u8..30,
        total in 0u8..14,
    ) {
        let _ = packed::decode(&args).map(Iterator::count);
        args[0] = (args[0] & !0xFFFF) | u32::from(ops) | u32::from(total) << 8;
        if let Ok(decoded) = packed::decode(&args) {
            let ops: Vec<_> = decoded.collect();
            prop_assert_eq!(ops.len(), decoded.len());
            let again = packed::encode(&ops).unwrap();
            let used = (2 + 2 * ops.len()).div_ceil(4) + ops.iter().map(|(_, args)| args.len()).sum::<usize>();
            prop_assert_eq!(&again[..used], &args[..used]);
        }
    }
}
