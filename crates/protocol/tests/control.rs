//! Images of the control words and of the debug log.

use gristmill_protocol::debug::{self, DebugRecord};
use gristmill_protocol::priority::Priority;
use gristmill_protocol::{control, priority, words, Megakernel, PipelineError, TenantWords};
use proptest::prelude::*;

fn word(image: &[u8], word: usize) -> u32 {
    words::read(image, word).unwrap()
}

#[test]
fn fresh_control_words_open_the_first_tenants_and_nothing_else() {
    let image = Megakernel::try_encode_control(false, 3, 10).unwrap();
    assert_eq!(image.len(), (160 + 10) * 4);
    for at in 0..170 {
        let expected = match at {
            2 => 3,
            3..=5 => u32::MAX,
            32..=63 => 1_000_000,
            _ => 0,
        };
        assert_eq!(word(&image, at), expected, "word {at}");
    }
    assert!(!Megakernel::try_read_shutdown(&image).unwrap());
    assert!(
        Megakernel::try_read_shutdown(&Megakernel::encode_control(true, 0, 0).unwrap()).unwrap()
    );
}

#[test]
fn twenty_nine_tenants_have_masks_and_the_thirtieth_is_refused() {
    let image = Megakernel::encode_control(false, 29, 0).unwrap();
    assert_eq!((word(&image, 31), word(&image, 32)), (u32::MAX, 1_000_000));
    for tenants in [30, u32::MAX] {
        let refused = Megakernel::try_encode_control(false, tenants, 0);
        assert!(matches!(
            refused,
            Err(PipelineError::InvalidArgument { .. })
        ));
    }
    for observables in [control::MAX_OBSERVABLES + 1, u32::MAX] {
        let mut image = vec![1, 2];
        assert!(Megakernel::try_encode_control_into(false, 0, observables, &mut image).is_err());
        assert_eq!(image, [1, 2]);
    }
}

#[test]
fn without_try_the_encoder_refuses_too() {
    let error = Megakernel::encode_control(false, 30, 0).unwrap_err();
    assert!(
        error.to_string().contains("use at most 29 tenants"),
        "{error}"
    );
}

#[test]
fn counters_are_read_from_their_words() {
    let mut image = Megakernel::encode_control(false, 1, 3).unwrap();
    for (at, value) in [
        (1, 11),
        (128, 12),
        (96, 13),
        (96 + 31, 14),
        (160, 15),
        (162, 16),
    ] {
        assert!(words::write(&mut image, at, value));
    }
    assert_eq!(Megakernel::read_done_count(&image), 11);
    assert_eq!(Megakernel::try_read_done_count(&image).unwrap(), 11);
    assert_eq!(Megakernel::read_epoch(&image), 12);
    assert_eq!(Megakernel::try_read_epoch(&image).unwrap(), 12);
    assert_eq!(Megakernel::read_metrics(&image), [(0, 13), (31, 14)]);
    assert_eq!(
        Megakernel::try_read_metrics(&image).unwrap(),
        [(0, 13), (31, 14)]
    );
    assert_eq!(
        [0, 1, 2, 3, u32::MAX].map(|i| Megakernel::read_observable(&image, i)),
        [15, 0, 16, 0, 0]
    );
    assert_eq!(Megakernel::try_read_observable(&image, 2).unwrap(), 16);
    for index in [3, u32::MAX] {
        let refused = Megakernel::try_read_observable(&image, index);
        assert!(matches!(
            refused,
            Err(PipelineError::InvalidArgument { .. })
        ));
    }
}

#[test]
fn strict_reads_refuse_words_that_are_cut_or_foreign() {
    let image = Megakernel::encode_control(false, 1, 1).unwrap();
    for bytes in [0, 639, 641, 643] {
        let refused = Megakernel::try_read_epoch(&image[..bytes]);
        assert!(matches!(refused, Err(PipelineError::Decode { offset, .. }) if offset == bytes));
    }
    assert!(Megakernel::try_read_epoch(&image[..640]).is_ok());
    let mut foreign = image;
    assert!(words::write(&mut foreign, control::TENANT_BASE, 4));
    let refused = Megakernel::try_read_metrics(&foreign);
    assert!(matches!(
        refused,
        Err(PipelineError::Decode { offset: 8, .. })
    ));
}

#[test]
fn a_tenants_words_are_its_own_and_ids_without_a_mask_are_refused() {
    let mut image = Megakernel::encode_control(false, 1, 0).unwrap();
    let before = Megakernel::try_read_tenant(&image, 28).unwrap();
    assert_eq!(
        before,
        TenantWords {
            mask: 0,
            quota: 1_000_000
        }
    );
    let value = TenantWords { mask: 5, quota: 6 };
    Megakernel::try_write_tenant(&mut image, 28, value).unwrap();
    assert_eq!(Megakernel::try_read_tenant(&image, 28).unwrap(), value);
    assert_eq!((word(&image, 31), word(&image, 60)), (5, 6));
    let written = image.clone();
    for tenant in [29, 31, 32, u32::MAX] {
        assert!(Megakernel::try_read_tenant(&image, tenant).is_err());
        assert!(Megakernel::try_write_tenant(&mut image, tenant, value).is_err());
        assert!(Megakernel::try_observable_window(&image, tenant).is_err());
    }
    assert_eq!(image, written);
}

#[test]
fn observables_are_dealt_to_the_open_tenants_in_equal_windows() {
    let one = Megakernel::encode_control(false, 1, 7).unwrap();
    assert_eq!(Megakernel::try_observable_window(&one, 0).unwrap(), 0..7);
    assert!(Megakernel::try_observable_window(&one, 1).is_err());

    let mut image = Megakernel::encode_control(false, 0, 11).unwrap();
    for tenant in [2, 5, 28] {
        let open = TenantWords { mask: 1, quota: 1 };
        Megakernel::try_write_tenant(&mut image, tenant, open).unwrap();
    }
    let windows =
        [2, 5, 28].map(|tenant| Megakernel::try_observable_window(&image, tenant).unwrap());
    assert_eq!(windows, [0..3, 3..6, 6..9]);
    assert!(Megakernel::try_observable_window(&image, 3).is_err());
    assert_eq!(control::observable_window(10, 0, 0), None);
    assert_eq!(
        control::observable_window(u32::MAX, 1, 0),
        Some(0..u32::MAX)
    );
    assert_eq!(control::observable_window(1, 2, 1), Some(0..0));
}

#[test]
fn partitions_by_priority_are_stored_at_their_words_and_never_overlap() {
    let mut image = Megakernel::encode_control(false, 1, 0).unwrap();
    assert_eq!(
        Megakernel::try_read_priority_offsets(&image).unwrap(),
        [0; 6]
    );
    let offsets = [0, 1, 1, 60, 63, 64];
    Megakernel::try_write_priority_offsets(&mut image, &offsets).unwrap();
    assert_eq!(
        (word(&image, 129), word(&image, 134), word(&image, 135)),
        (0, 64, 0)
    );
    assert_eq!(
        Megakernel::try_read_priority_offsets(&image).unwrap(),
        offsets
    );
    let written = image.clone();
    assert!(Megakernel::try_write_priority_offsets(&mut image, &[0, 2, 1, 3, 4, 5]).is_err());
    assert_eq!(image, written);
    assert!(words::write(&mut image, 130, 2));
    assert!(matches!(
        Megakernel::try_read_priority_offsets(&image),
        Err(PipelineError::Decode { offset: 516, .. })
    ));
    assert_eq!(priority::of_slot(&offsets, 0), Some(Priority::Critical));
    assert_eq!(priority::of_slot(&offsets, 1), Some(Priority::Normal));
    assert_eq!(priority::of_slot(&offsets, 63), Some(Priority::Idle));
    assert_eq!(priority::of_slot(&offsets, 64), None);
    assert_eq!(priority::partition(&offsets, Priority::High), 1..1);
}

#[test]
fn an_even_division_gives_every_slot_to_one_priority() {
    assert_eq!(priority::even_offsets(0), [0; 6]);
    assert_eq!(priority::even_offsets(3), [0, 1, 2, 3, 3, 3]);
    assert_eq!(priority::even_offsets(64), [0, 13, 26, 39, 52, 64]);
    assert_eq!(priority::even_offsets(u32::MAX)[5], u32::MAX);
}

#[test]
fn a_full_debug_log_drops_records_and_counts_them() {
    let mut log = Megakernel::try_encode_empty_debug_log(2).unwrap();
    assert_eq!(log.len(), (1 + 2 * 4) * 4);
    let record = |n| DebugRecord {
        format_id: n,
        args: [n + 1, n + 2],
        slot: n + 3,
    };
    let kept = [10, 20, 30].map(|n| Megakernel::append_debug_record(&mut log, &record(n)).unwrap());
    assert_eq!(kept, [true, true, false]);
    assert_eq!(words::read(&log, 0), Some(3));
    assert_eq!([5, 6, 7, 8].map(|at| word(&log, at)), [20, 21, 22, 23]);
    let read = Megakernel::read_debug_log(&log);
    assert_eq!(
        (&read[..], read.dropped),
        (&[record(10), record(20)][..], 1)
    );
    assert_eq!(Megakernel::try_read_debug_log(&log).unwrap(), read);
    assert_eq!(
        read.into_iter()
            .map(|record| record.slot)
            .collect::<Vec<_>>(),
        [13, 23]
    );
}

#[test]
fn a_log_without_room_and_a_cursor_that_has_no_room_left_only_count() {
    let mut log = Megakernel::encode_empty_debug_log(0).unwrap();
    assert_eq!(log.len(), 4);
    assert!(words::write(&mut log, debug::CURSOR, u32::MAX));
    assert!(!Megakernel::append_debug_record(&mut log, &DebugRecord::default()).unwrap());
    let read = Megakernel::try_read_debug_log(&log).unwrap();
    assert_eq!((read.len(), read.dropped), (0, u32::MAX));
    assert!(Megakernel::try_encode_empty_debug_log(debug::MAX_RECORDS + 1).is_err());
    assert_eq!(
        Megakernel::encode_empty_debug_log(debug::DEFAULT_RECORDS)
            .unwrap()
            .len(),
        257 * 4
    );
}

#[test]
fn a_log_that_is_cut_short_gives_its_whole_records() {
    let mut log = Megakernel::encode_empty_debug_log(2).unwrap();
    for _ in 0..2 {
        assert!(Megakernel::append_debug_record(&mut log, &DebugRecord::default()).unwrap());
    }
    let cut = &log[..35];
    let read = Megakernel::read_debug_log(cut);
    assert_eq!((read.len(), read.dropped), (1, 1));
    assert!(matches!(
        Megakernel::try_read_debug_log(cut),
        Err(PipelineError::Decode { offset: 35, .. })
    ));
    assert!(Megakernel::append_debug_record(&mut log[..35], &DebugRecord::default()).is_err());
    assert!(Megakernel::try_read_debug_log(&[]).is_err());
}

proptest! {
    #[test]
    fn what_is_encoded_is_what_is_read(shutdown: bool, tenants in 0u32..=29, observables in 0u32..300) {
        let mut image = vec![0xFF; 77];
        Megakernel::try_encode_control_into(shutdown, tenants, observables, &mut image).unwrap();
        prop_assert_eq!(&image, &Megakernel::encode_control(shutdown, tenants, observables).unwrap());
        prop_assert_eq!(Megakernel::try_read_shutdown(&image).unwrap(), shutdown);
        prop_assert_eq!(Megakernel::read_shutdown(&image), shutdown);
        for tenant in 0..29 {
            let read = Megakernel::try_read_tenant(&image, tenant).unwrap();
            prop_assert_eq!((read.mask != 0, read.quota), (tenant < tenants, control::DEFAULT_QUOTA));
        }
        prop_assert_eq!(Megakernel::try_read_observable(&image, observables).is_err(), true);
        let mut next = 0;
        for tenant in 0..tenants {
            let window = Megakernel::try_observable_window(&image, tenant).unwrap();
            prop_assert_eq!(window.start, next);
            next = window.end;
        }
        prop_assert!(next <= observables);
    }

    #[test]
    fn priority_offsets_round_trip(mut offsets: [u32; 6], slot: u32) {
        offsets.sort_unstable();
        let mut image = Megakernel::encode_control(false, 1, 0).unwrap();
        Megakernel::try_write_priority_offsets(&mut image, &offsets).unwrap();
        prop_assert_eq!(Megakernel::try_read_priority_offsets(&image).unwrap(), offsets);
        let inside = (offsets[0]..offsets[5]).contains(&slot);
        prop_assert_eq!(priority::of_slot(&offsets, slot).is_some(), inside);
        prop_assert!(priority::are_offsets(&priority::even_offsets(slot)));
    }

    #[test]
    fn debug_records_round_trip(records in proptest::collection::vec(any::<[u32; 4]>(), 0..20), room in 0u32..20) {
        let mut log = Megakernel::encode_empty_debug_log(room).unwrap();
        for record in &records {
            Megakernel::append_debug_record(&mut log, &DebugRecord::decode(record)).unwrap();
        }
        let read = Megakernel::try_read_debug_log(&log).unwrap();
        let present: Vec<_> = read.iter().map(DebugRecord::encode).collect();
        let kept = records.len().min(usize::try_from(room).unwrap());
        prop_assert_eq!(&present[..], &records[..kept]);
        prop_assert_eq!(usize::try_from(read.dropped).unwrap(), records.len() - kept);
    }

    #[test]
    fn decoders_survive_any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..900), n: u32, ours: bool) {
        if ours {
            let _ = words::write(&mut bytes, control::TENANT_BASE, control::TENANT_MASK_BASE_VALUE);
        }
        for index in [n, n % 64] {
            let _ = (Megakernel::read_observable(&bytes, index), Megakernel::try_read_observable(&bytes, index));
            let _ = (Megakernel::try_read_tenant(&bytes, index), Megakernel::try_observable_window(&bytes, index));
            let _ = (words::read(&bytes, usize::try_from(index).unwrap()), words::read(&bytes, usize::MAX));
        }
        let _ = (Megakernel::read_shutdown(&bytes), Megakernel::try_read_shutdown(&bytes));
        let _ = (Megakernel::read_epoch(&bytes), Megakernel::try_read_epoch(&bytes));
        let _ = (Megakernel::read_done_count(&bytes), Megakernel::try_read_done_count(&bytes));
        let _ = Megakernel::try_read_priority_offsets(&bytes);
        let metrics = Megakernel::read_metrics(&bytes);
        if let Ok(strict) = Megakernel::try_read_metrics(&bytes) {
            prop_assert_eq!(strict, metrics);
        }
        let log = Megakernel::read_debug_log(&bytes);
        prop_assert!(log.len() <= debug::capacity(bytes.len()));
        if let Ok(strict) = Megakernel::try_read_debug_log(&bytes) {
            prop_assert_eq!(strict, log);
        }
    }
}
