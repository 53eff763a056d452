//! Completion entries, fault words, stream arguments and error messages.

use gristmill_protocol::completion::{self, CompletionEntry};
use gristmill_protocol::io::{io_word, IoRequest};
use gristmill_protocol::opcode::{FenceArgs, LoadArgs};
use gristmill_protocol::program::{decode_acc, encode_acc, ProgramRecord};
use gristmill_protocol::slot::SlotImage;
use gristmill_protocol::stream::{CrcResults, LinesResults, ScanResults, StreamArgs};
use gristmill_protocol::{fault, ready, words, PipelineError};
use proptest::prelude::*;

#[test]
fn an_entry_is_stored_word_by_word_and_its_spare_words_are_zero() {
    let entry = CompletionEntry {
        seq: 1,
        slot: 2,
        status: 3,
        fault: 4,
        results: [5, 6, 7, 8, 9, 10, 11, 12],
        records: 13,
        flags: 14,
    };
    let mut bytes = [0xFF; 70];
    entry.encode_into(&mut bytes).unwrap();
    let stored: [u32; 16] = words::read_array(&bytes, 0).unwrap();
    assert_eq!(
        stored,
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 0]
    );
    assert_eq!(bytes[64..], [0xFF; 6]);
    assert!(!entry.overflowed());
    assert!(CompletionEntry {
        flags: completion::FLAG_OVERFLOW,
        ..entry
    }
    .overflowed());
}

#[test]
fn a_buffer_that_is_too_short_is_refused_unchanged() {
    let mut bytes = [7; 63];
    assert!(CompletionEntry::default().encode_into(&mut bytes).is_err());
    assert!(SlotImage::default().encode_into(&mut bytes).is_err());
    assert!(!words::write(&mut bytes, 15, 1));
    assert!(!words::write_all(&mut bytes, 14, &[1, 1]));
    assert!(!words::write(&mut bytes, usize::MAX, 1));
    assert!(!words::write_all(&mut bytes, usize::MAX / 4, &[1, 1]));
    assert_eq!(bytes, [7; 63]);
    assert!(matches!(
        CompletionEntry::decode_from(&bytes),
        Err(PipelineError::Decode { offset: 63, .. })
    ));
}

#[test]
fn a_fault_word_has_its_reason_low_and_its_detail_high() {
    assert_eq!(fault::word(fault::BAD_ARGUMENT, 0x1234), 0x1234_0006);
    assert_eq!(fault::word(0xFFFF_0001, 0), 1);
    assert_eq!(fault::name(0xFFFF_0003), fault::name(fault::QUOTA));
}

/// One of each variant.
fn every_error() -> Vec<PipelineError> {
    let fix = "do this";
    vec![
        PipelineError::IoUringSyscall {
            syscall: "io_uring_setup",
            errno: 12,
            fix,
        },
        PipelineError::QueueFull { queue: "ring", fix },
        PipelineError::NotLinux,
        PipelineError::NvmePassthroughDisabled,
        PipelineError::Backend("no driver; install it".into()),
        PipelineError::Read {
            path: "/a/b".into(),
            offset: 77,
            errno: Some(5),
            reason: "EIO".into(),
        },
        PipelineError::Fault {
            slot: 3,
            tenant: 4,
            opcode: 0x100,
            reason: fault::name(fault::QUOTA),
        },
        PipelineError::InvalidArgument {
            what: "no slots",
            fix,
        },
        PipelineError::Decode {
            what: "a slot",
            offset: 5,
            fix,
        },
    ]
}

#[test]
fn every_message_names_what_failed_and_ends_in_what_to_do() {
    let expected = [
        ("io_uring_setup failed with errno 12", "do this"),
        ("ring", "do this"),
        ("Linux", "positioned reads"),
        ("disabled", "registered mapped reads"),
        ("no driver", "install it"),
        ("/a/b: offset 77: EIO", "run again for it"),
        (
            "slot 3: opcode 0x100 of tenant 4 faulted: the tenant's quota is used up",
            "publish it again",
        ),
        ("no slots", "do this"),
        ("a slot at byte 5", "do this"),
    ];
    for (error, (what, fix)) in every_error().iter().zip(expected) {
        let message = error.to_string();
        assert!(
            message.contains(what) && message.ends_with(fix),
            "{message}"
        );
    }
}

#[test]
fn errors_travel_between_threads() {
    fn travels<T: std::error::Error + Clone + Send + Sync + 'static>() {}
    travels::<PipelineError>();
}

proptest! {
    #[test]
    fn every_layout_of_words_round_trips(
        args: [u32; 12],
        results: [u32; 8],
        queue: [u32; 8],
        offset: u64,
        record: (i32, u32),
    ) {
        let fence = FenceArgs::decode(&args).encode();
        prop_assert_eq!((&fence[..4], &fence[4..]), (&args[..4], &[0; 8][..]));
        let load = LoadArgs { offset, ..LoadArgs::decode(&args) };
        prop_assert_eq!(LoadArgs::decode(&load.encode()), load);
        let request = load.request(9);
        prop_assert_eq!((request.offset, request.byte_count, request.tag), (offset, args[5], 9));
        prop_assert_eq!(ScanResults::decode(&results).encode(), results);
        prop_assert_eq!(LinesResults::decode(&results).count, results[0]);
        prop_assert_eq!(CrcResults::decode(&results).crc, results[0]);
        let mut empty = queue;
        empty[io_word::STATUS] = 0;
        prop_assert_eq!(IoRequest::decode(3, &queue).encode(), empty);
        let written = ProgramRecord { position: record.0, value: record.1 };
        let area = [encode_acc(offset), written.encode()].concat();
        let word = |index: usize| area[index];
        prop_assert_eq!(decode_acc(word, 0), offset);
        let read = ProgramRecord::decode(word, 1, 0);
        prop_assert_eq!((read.position, read.value), record);
    }

    #[test]
    fn a_ready_entry_leads_to_its_slot_and_to_no_other_ring(slot in 0_u32..1024, generation: u32, any: u32) {
        let entry = ready::encode(slot, generation);
        prop_assert_eq!(ready::decode(entry, 1024), (slot, generation & 0xFFFF));
        prop_assert!(ready::decode(any, 64).0 < 64);
    }

    #[test]
    fn entries_round_trip(seq: u32, slot: u32, status: u32, fault: u32, results: [u32; 8], records: u32, flags: u32) {
        let entry = CompletionEntry { seq, slot, status, fault, results, records, flags };
        let mut bytes = [0; completion::BYTES];
        entry.encode_into(&mut bytes).unwrap();
        prop_assert_eq!(CompletionEntry::decode_from(&bytes).unwrap(), entry);
    }

    #[test]
    fn the_entry_decoder_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(CompletionEntry::decode_from(&bytes).is_ok(), bytes.len() >= completion::BYTES);
    }

    #[test]
    fn fault_words_round_trip(reason in 0u32..=0xFFFF, detail: u16, any: u32) {
        let word = fault::word(reason, detail);
        prop_assert_eq!((fault::reason(word), fault::detail(word)), (reason, detail));
        prop_assert_eq!(fault::word(fault::reason(any), fault::detail(any)), any);
        prop_assert!(!fault::name(any).is_empty());
    }

    #[test]
    fn stream_arguments_round_trip(
        chunk: u32, start: u32, len: u32, job: u32, mode: u32, offset: u64, resume: u32, halo: [u32; 2],
        args: [u32; 12],
    ) {
        let [after, before] = halo;
        let stream = StreamArgs { chunk, start, len, job, mode, offset, resume, after, before };
        let words = stream.encode();
        prop_assert_eq!(StreamArgs::decode(&words), stream);
        prop_assert_eq!(u64::from(words[5]) | u64::from(words[6]) << 32, offset);
        prop_assert_eq!((words[8], words[9]), (after, before));
        prop_assert_eq!(&StreamArgs::decode(&args).encode()[..10], &args[..10]);
    }
}
